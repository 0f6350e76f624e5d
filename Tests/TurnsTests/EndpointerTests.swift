import Base
import Testing
import Turns

@Suite("Endpointer: turns")
struct EndpointerTurnTests {
  @Test func `a phrase becomes one turn with pre-roll and tail`() throws {
    var line = Line()
    line.pause(ms: 960)
    line.speak(ms: 640)
    line.pause(ms: 960)
    #expect(line.story == ["started", "candidate", "ended by silence"])
    let segment = try #require(line.segments.first)
    // Onset is put one detector lag (32 ms) before the first voiced frame at 960 ms.
    #expect(segment.speechStart == 928 * 16)
    #expect(segment.start == (928 - 200) * 16)
    #expect(segment.speechEnd == 1600 * 16)
    #expect(segment.end == (1600 + 100) * 16)
  }

  @Test(arguments: [
    (minSilenceMs: 500, endsAt: 1600 + 512), (minSilenceMs: 200, endsAt: 1600 + 224),
    (minSilenceMs: 1000, endsAt: 1600 + 1024),
  ])
  func `the configured silence ends the turn`(minSilenceMs: Int, endsAt: Int) {
    var line = Line(TurnSettings(minSilenceMs: minSilenceMs))
    line.pause(ms: 960)
    line.speak(ms: 640)
    line.pause(ms: 1600)
    #expect(line.atMs("ended by silence") == endsAt)
  }

  @Test func `a state can ask for another silence, from its next turn on`() {
    var line = Line()
    line.speak(ms: 320)
    line.tell(.listening(Listening(minSilenceMs: 1200)))
    line.pause(ms: 1600)
    line.speak(ms: 320)
    line.pause(ms: 1600)
    let ends = zip(line.story, line.log).filter { $0.0 == "ended by silence" }.map(\.1.atMs)
    #expect(ends == [320 + 512, 1920 + 320 + 1216])
  }

  @Test(arguments: [32, 96, 192])
  func `speech that is too short is a false start`(ms: Int) {
    var line = Line()
    line.pause(ms: 320)
    line.speak(ms: ms)
    line.pause(ms: 960)
    #expect(line.story == ["false start"])
  }

  @Test func `a recognised word makes a turn of short speech`() {
    var line = Line()
    line.speak(ms: 128)
    line.tell(.recognition(revision: 1, .words(1)))
    line.pause(ms: 960)
    #expect(line.story == ["started", "candidate", "ended by silence"])
  }

  @Test func `a voice that hovers between the thresholds does not flicker`() {
    var line = Line()
    line.speak(ms: 320)
    line.hear(0.42, ms: 960)
    #expect(line.story == ["started"])
    line.hear(0.3, ms: 192)
    line.hear(0.45, ms: 960)
    #expect(line.story == ["started", "candidate", "ended by silence"])
  }

  @Test func `probabilities below the threshold begin nothing`() {
    var line = Line()
    line.hear(0.49, ms: 3200)
    #expect(line.story.isEmpty)
    #expect(!line.endpointer.isHearingSpeech)
  }

  @Test func `a short pause does not end the turn and its candidate is withdrawn`() throws {
    var line = Line()
    line.speak(ms: 640)
    line.pause(ms: 256)
    line.speak(ms: 640)
    line.pause(ms: 960)
    #expect(line.story == ["started", "candidate", "resumed", "candidate", "ended by silence"])
    let segment = try #require(line.segments.first)
    #expect(segment.speechEnd == (640 + 256 + 640) * 16)
    #expect(Set(line.candidates.map(\.revision)).count == 2)
    #expect(segment.revision == line.candidates.last?.revision)
    #expect(segment == line.candidates.last)
  }

  @Test func `segments of neighbouring turns do not overlap`() {
    var line = Line(TurnSettings(minSilenceMs: 100))
    for _ in 0..<4 {
      line.speak(ms: 320)
      line.pause(ms: 128)
    }
    #expect(line.segments.count == 4)
    for (earlier, later) in zip(line.segments, line.segments.dropFirst()) { #expect(later.start >= earlier.end) }
  }

  @Test func `a turn without end is cut`() throws {
    var settings = TurnSettings()
    settings.maxTurnMs = 10_000
    var line = Line(settings)
    line.speak(ms: 12_000)
    #expect(line.story.prefix(3) == ["started", "ended by max_turn", "started"])
    let segment = try #require(line.segments.first)
    #expect(segment.end - segment.start <= (10_000 + 32) * 16)
  }

  @Test func `the end of the call ends the turn`() {
    var line = Line()
    line.speak(ms: 640)
    line.tell(.streamEnded)
    #expect(line.story == ["started", "ended by stream_ended"])
    #expect(!line.endpointer.isInTurn)
  }

  @Test func `nothing is heard where speech is of no interest`() {
    var line = Line()
    line.tell(.listening(Listening(speech: false)))
    line.speak(ms: 960)
    line.pause(ms: 960)
    #expect(line.story.isEmpty)
  }

  @Test func `outdated, repeated and impossible frames change nothing`() {
    var line = Line()
    line.speak(ms: 640)
    let before = line.story
    line.tell(.frame(position: 0, samples: 512, probability: 0))
    line.tell(.frame(position: Int64(line.positionMs) * 16, samples: 512, probability: .nan))
    line.tell(.frame(position: Int64(line.positionMs) * 16, samples: -5, probability: 0))
    line.tell(.frame(position: .max, samples: 512, probability: 0))
    line.tell(.frame(position: .min, samples: 512, probability: 1))
    #expect(line.story == before)
    line.pause(ms: 960)
    #expect(line.story == ["started", "candidate", "ended by silence"])
  }
}

@Suite("Endpointer: what recognition says")
struct EndpointerRecognitionTests {
  private func paused() throws -> (Line, Int) {
    var line = Line()
    line.speak(ms: 640)
    line.pause(ms: 192)
    return (line, try #require(line.candidates.first).revision)
  }

  @Test func `a complete phrase ends the turn early`() throws {
    var (line, revision) = try paused()
    line.tell(.recognition(revision: revision, .complete))
    #expect(line.story == ["started", "candidate", "ended by grammar_complete"])
    #expect(line.segments == line.candidates)
    // 192 ms after the last voice instead of 512.
    #expect(line.atMs("ended by grammar_complete") == 640 + 192)
  }

  @Test func `a result for speech that went on is dropped`() throws {
    var (line, revision) = try paused()
    line.speak(ms: 320)
    line.tell(.recognition(revision: revision, .complete))
    line.pause(ms: 192)
    line.tell(.recognition(revision: revision, .complete))
    #expect(line.story == ["started", "candidate", "resumed", "candidate"])
    #expect(line.endpointer.isInTurn)
  }

  @Test func `an unfinished phrase is given more time`() throws {
    var (line, revision) = try paused()
    line.tell(.recognition(revision: revision, .incomplete))
    line.pause(ms: 4000)
    #expect(line.atMs("ended by max_silence") == 640 + 3008)
    #expect(line.atMs("ended by silence") == nil)
  }

  @Test func `time given for one pause does not count for the next`() throws {
    var (line, revision) = try paused()
    line.tell(.recognition(revision: revision, .incomplete))
    line.pause(ms: 960)
    line.speak(ms: 320)
    line.pause(ms: 1600)
    #expect(line.story == ["started", "candidate", "resumed", "candidate", "ended by silence"])
  }

  @Test func `speech that fits nothing waits for the usual silence`() throws {
    var (line, revision) = try paused()
    line.tell(.recognition(revision: revision, .nothing))
    line.pause(ms: 960)
    #expect(line.atMs("ended by silence") == 640 + 512)
  }
}

@Suite("Endpointer: prompts")
struct EndpointerPromptTests {
  @Test func `speech interrupts a prompt once, long before the turn is over`() throws {
    var line = Line()
    line.tell(.playback(.playing(bargeIn: true)))
    line.pause(ms: 960)
    line.speak(ms: 960)
    #expect(line.story == ["interrupted by speech", "started"])
    // Two voiced frames, the detector's lag and the line's make the 120 ms.
    #expect(line.atMs("interrupted by speech") == 960 + 64)
  }

  @Test(arguments: [(120, 64), (60, 32), (300, 256)])
  func `the interruption's length is configured`(limitMs: Int, afterMs: Int) {
    var line = Line(TurnSettings(interruptionMinMs: limitMs))
    line.tell(.playback(.playing(bargeIn: true)))
    line.pause(ms: 960)
    line.speak(ms: 960)
    #expect(line.atMs("interrupted by speech") == 960 + afterMs)
  }

  @Test func `a cough that stopped a prompt is told, so that it can be resumed`() {
    var line = Line()
    line.tell(.playback(.playing(bargeIn: true)))
    line.speak(ms: 128)
    line.tell(.playback(.silent))
    line.pause(ms: 320)
    #expect(line.story == ["interrupted by speech", "false interruption"])
  }

  @Test func `a click does not stop a prompt`() {
    var line = Line()
    line.tell(.playback(.playing(bargeIn: true)))
    line.speak(ms: 64)
    line.pause(ms: 320)
    #expect(line.story == ["false start"])
  }

  @Test func `the next prompt can be interrupted again`() {
    var line = Line()
    for _ in 0..<2 {
      line.tell(.playback(.playing(bargeIn: true)))
      line.speak(ms: 320)
      line.tell(.playback(.silent))
      line.pause(ms: 640)
    }
    #expect(line.story.filter { $0 == "interrupted by speech" }.count == 2)
  }

  @Test func `a prompt that starts into speech is interrupted`() {
    var line = Line()
    line.speak(ms: 640)
    line.tell(.playback(.playing(bargeIn: true)))
    line.speak(ms: 64)
    #expect(line.story == ["started", "interrupted by speech"])
  }

  @Test(arguments: [PlaybackState.playing(bargeIn: false), .playing(bargeIn: true)])
  func `a protected prompt is not interrupted and hears no turn`(state: PlaybackState) {
    var line = Line()
    // Either the prompt or the state of the dialog forbids it.
    line.tell(.listening(Listening(bargeIn: state == .playing(bargeIn: false))))
    line.tell(.playback(state))
    line.speak(ms: 960)
    line.pause(ms: 960)
    line.tell(.digit)
    line.tell(.playback(.silent))
    line.pause(ms: 960)
    #expect(line.story.isEmpty)
  }

  @Test func `who still speaks when a protected prompt ends is heard from the real onset`() throws {
    var line = Line()
    line.tell(.playback(.playing(bargeIn: false)))
    line.pause(ms: 960)
    line.speak(ms: 640)
    line.tell(.playback(.silent))
    #expect(line.story == ["started"])
    line.speak(ms: 320)
    line.pause(ms: 640)
    #expect(line.story == ["started", "candidate", "ended by silence"])
    #expect(try #require(line.segments.first).speechStart == 928 * 16)
  }

  @Test func `a monologue over a protected prompt counts from five seconds before its end`() throws {
    var line = Line()
    line.tell(.playback(.playing(bargeIn: false)))
    line.speak(ms: 20_000)
    line.tell(.playback(.silent))
    line.pause(ms: 640)
    #expect(try #require(line.segments.first).speechStart == 15_000 * 16)
  }

  @Test func `a digit interrupts a prompt that allows it`() {
    var line = Line()
    line.tell(.playback(.playing(bargeIn: true)))
    line.tell(.digit)
    line.tell(.digit)
    line.tell(.playback(.silent))
    line.tell(.digit)
    #expect(line.story == ["interrupted by digit"])
  }
}

@Suite("Endpointer: evidence")
struct EndpointerEvidenceTests {
  @Test func `a decision carries what it was based on`() throws {
    var line = Line()
    line.speak(ms: 640)
    line.pause(ms: 640)
    guard case .speechEnded(_, .silence, let evidence) = try #require(line.log.last).action else {
      Issue.record("the turn did not end by silence")
      return
    }
    #expect(evidence.speechMs == 640)
    #expect(evidence.silenceMs == 512)
    #expect(evidence.limitMs == 500)
    #expect(evidence.turn == 1)
    #expect(evidence.value["at_ms"] == .int(640 + 512))
    #expect(evidence.value["playback"] == "silent")
  }

  @Test(arguments: [UInt64(1), 2, 3, 4, 5])
  func `any sequence of inputs replays alike and stays in order`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var inputs: [EndpointerInput] = []
    var position: Int64 = 0
    var level: Float = 0
    for _ in 0..<20_000 {
      switch random.next() % 40 {
      case 0: inputs.append(.playback(.playing(bargeIn: random.next() % 2 == 0)))
      case 1: inputs.append(.playback(.silent))
      case 2: inputs.append(.digit)
      case 3:
        let notices: [RecognitionNotice] = [.complete, .incomplete, .nothing, .words(1)]
        inputs.append(.recognition(revision: Int(random.next() % 400), notices[Int(random.next() % 4)]))
      case 4: inputs.append(.listening(Listening(minSilenceMs: 300, speech: random.next() % 8 != 0)))
      case 5...9: level = Float(random.next() % 100) / 100
      default:
        inputs.append(.frame(position: position, samples: 512, probability: level))
        position += 512
      }
    }
    func run() -> [EndpointerAction] {
      var endpointer = Endpointer()
      return inputs.flatMap { endpointer.receive($0) }
    }
    let actions = run()
    #expect(actions == run())
    #expect(actions.count > 50)
    var isOpen = false
    var lastEnd: Int64 = 0
    for action in actions {
      switch action {
      case .speechStarted(let onset, let start, _):
        #expect(!isOpen)
        #expect(start <= onset && start >= lastEnd)
        isOpen = true
      case .candidateEnd, .resumed: #expect(isOpen)
      case .speechEnded(let segment, _, let evidence):
        #expect(isOpen)
        #expect(segment.start >= lastEnd && segment.start <= segment.speechStart)
        #expect(segment.speechStart < segment.speechEnd && segment.speechEnd <= segment.end)
        #expect(segment.end <= evidence.position)
        lastEnd = segment.end
        isOpen = false
      case .falseStart: #expect(!isOpen)
      case .interruption: break
      }
    }
  }
}
