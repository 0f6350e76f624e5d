import Base
import Testing
import Turns

@Suite("Endpointer: successors")
struct TurnMemoryTests {
  /// What was decided, without what a successor asks the recogniser again.
  private static func decisions(_ actions: [EndpointerAction]) -> [String] {
    actions.compactMap { action in
      switch action {
      case .speechStarted(let onset, let start, _): "started \(onset) \(start)"
      case .interruption(let cause, _): "interrupted by \(cause)"
      case .candidateEnd, .resumed: nil
      case .speechEnded(let segment, let end, _):
        "ended \(segment.start) \(segment.end) \(segment.speechStart) \(segment.speechEnd) \(end)"
      case .falseStart(let interrupted, _): "false \(interrupted)"
      }
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `one that goes on from another's memory decides alike`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var one = Endpointer()
    var many = Endpointer()
    var expected: [EndpointerAction] = []
    var actions: [EndpointerAction] = []
    var position: Int64 = 0
    var level: Float = 0
    for _ in 0..<10_000 {
      var input = EndpointerInput.frame(position: position, samples: 512, probability: level)
      switch random.next() % 40 {
      case 0: input = .playback(.playing(bargeIn: random.next() % 2 == 0))
      case 1: input = .playback(.silent)
      case 2: input = .digit
      case 3: input = .listening(Listening(minSilenceMs: 300, speech: random.next() % 8 != 0))
      case 4...8:
        level = Float(random.next() % 100) / 100
        continue
      default: position += 512
      }
      expected += one.receive(input)
      if random.next() % 3 == 0 {
        let memory = many.memory
        #expect(memory.audioFrom <= memory.position && memory.audioFrom >= 0)
        many = Endpointer(resuming: memory)
      }
      actions += many.receive(input)
    }
    #expect(Self.decisions(actions) == Self.decisions(expected))
    #expect(expected.count > 50)
  }

  @Test func `no later segment begins before what a memory asks for`() {
    var line = Line()
    line.pause(ms: 960)
    line.speak(ms: 640)
    let wanted = line.endpointer.memory.audioFrom
    line.pause(ms: 960)
    #expect(line.segments.first?.start == wanted)
    let next = line.endpointer.memory.audioFrom
    line.speak(ms: 640)
    line.pause(ms: 960)
    #expect(line.segments.last?.start ?? 0 >= next)
  }

  @Test func `what is heard before the memory's position decides nothing`() {
    var line = Line()
    line.pause(ms: 960)
    line.speak(ms: 640)
    line.pause(ms: 960)
    line.log.removeAll()
    line.endpointer = Endpointer(resuming: line.endpointer.memory)
    line.positionMs -= 1_600
    line.speak(ms: 640)
    line.pause(ms: 960)
    #expect(line.story.isEmpty)
  }

  @Test func `a pause that was being decoded is decoded again`() {
    var line = Line()
    line.speak(ms: 640)
    line.pause(ms: 200)
    line.endpointer = Endpointer(resuming: line.endpointer.memory)
    line.pause(ms: 960)
    #expect(line.story == ["started", "candidate", "candidate", "ended by silence"])
    #expect(line.candidates[0].revision < line.candidates[1].revision)
  }
}
