import Base
import CallLink
import SpeechGateway
import Testing

/// Calls whose speech process dies at any moment, several times each: their runtimes are told what they would have been told
/// without.
@Suite("Deaths at any moment") struct DeathSimulation {
  /// One thing that happens in a call, and what the runtime is to be told because of it.
  private enum Act: CaseIterable {
    case prompt, queue, bargeIn, turn, digit, keptBack, stop, loop, hold, partOfATurn
  }

  /// Keeps the time, and kills.
  fileprivate final class Director {
    let world: KeptWorld
    var random: SeededRandom
    var kills = 0
    private var ticks = 0
    private var nextKill = 0
    private var backAt: Int?
    private var releaseAt: Int?

    init(seed: UInt64) throws {
      world = KeptWorld()
      random = SeededRandom(seed: seed)
      try world.start()
      nextKill = below(300)
    }

    func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

    func tick(_ sound: [Int16] = [Int16](repeating: 0, count: 320)) async throws {
      ticks += 1
      world.tick(sound)
      if let backAt {
        if ticks >= backAt {
          self.backAt = nil
          try world.start()
          nextKill = ticks + below(3) * below(300) + 1
        }
      } else if ticks >= nextKill {
        kills += 1
        world.kill()
        releaseAt = nil
        backAt = ticks + below(2) * below(90)
      } else if let releaseAt, ticks >= releaseAt {
        self.releaseAt = nil
        world.process?.custody.release(below(2) == 0 ? 1 + below(3) : .max)
        if below(2) == 0 { world.process?.custody.release() } else { self.releaseAt = ticks + below(20) }
      } else if releaseAt == nil, below(60) == 0 {
        // The media role takes its time to keep what it is given.
        world.process?.custody.hold()
        releaseAt = ticks + below(30)
      }
      // As a rule the workers keep up; now and then they do not.
      if below(4) == 0 { await world.settle(frames: 3) } else if ticks % 5 == 0 { await Task.yield() }
    }

    func silence(ms: Int) async throws { for _ in 0..<ms / 20 { try await tick() } }

    func hear(_ sound: [Int16]) async throws {
      for start in stride(from: 0, to: sound.count, by: 320) {
        let packet = sound[start..<min(sound.count, start + 320)]
        try await tick(Array(packet) + [Int16](repeating: 0, count: 320 - packet.count))
      }
    }

    /// - Returns: false where it never comes.
    func until(_ done: () -> Bool) async throws -> Bool {
      let limit = ticks + 6_000
      while !done() {
        if ticks > limit { return false }
        try await tick()
        await world.settle(frames: 3)
      }
      return true
    }

    func lastHeard() -> Int { Int(world.media.line.with { $0.heard.last { $0 != 0 } } ?? 0) }
  }

  private final class Script {
    var playbacks: [String] = []
    var turns: [String] = []
    var rest: [String] = ["answered"]
    var id: UInt32 = 0
    var word = 0
    /// Words of each prompt that is played to its end.
    var whole: [ClosedRange<Int>] = []
    /// What was heard of the prompts that were cut is a beginning of their text.
    var texts: [UInt32: String] = [:]

    func say(_ words: Int, bargeIn: Bool = true, loop: Bool = false) -> (RuntimeToSpeech, ClosedRange<Int>) {
      id += 1
      let range = word + 1...word + words
      word += words
      let text = SurvivalTests.text(range)
      texts[id] = text
      return (.say(Prompt(id: PlaybackID(id), source: .text(text), bargeIn: bargeIn, loop: loop)), range)
    }
  }

  private static let speeches: [[Int16]] = (1...4).compactMap { try? MarkRecognizer.speech($0) }

  private func perform(_ act: Act, _ script: Script, _ director: Director) async throws -> Bool {
    let world = director.world
    func speak() async throws -> Bool {
      let mark = 1 + director.below(4)
      let finals = script.turns.count / 2 + 1
      script.turns += ["speech", "final said \(mark)"]
      try await director.hear(Self.speeches[mark - 1])
      try await director.silence(ms: 700)
      return try await director.until {
        world.told.count { if case .speechFinal = $0 { true } else { false } } >= finals
      }
    }
    func played(_ range: ClosedRange<Int>) async throws -> Bool {
      script.whole.append(range)
      let id = script.id
      script.playbacks += ["started p\(id)", "finished p\(id)"]
      return try await director.until { world.hasTold("finished p\(id)") }
    }
    /// Until a good part of it has been heard.
    func started(_ range: ClosedRange<Int>) async throws -> Bool {
      let word = range.lowerBound + director.below(8)
      return try await director.until { director.lastHeard() >= word }
    }
    func cut(by cause: String) async throws -> Bool {
      let id = script.id
      script.playbacks += ["started p\(id)", "interrupted p\(id) \(cause)"]
      return try await director.until { world.hasTold("interrupted p\(id) \(cause)") }
    }

    switch act {
    case .prompt:
      let (order, range) = script.say(3 + director.below(14))
      world.order(order)
      return try await played(range)
    case .queue:
      var last = 1...1
      for n in 0...2 {
        let (order, range) = script.say(1 + director.below(8))
        world.order(order)
        last = range
        if n < 2 {
          script.whole.append(range)
          script.playbacks += ["started p\(script.id)", "finished p\(script.id)"]
        }
      }
      return try await played(last)
    case .bargeIn:
      let (order, range) = script.say(60)
      world.order(order)
      guard try await started(range), try await speak() else { return false }
      return try await cut(by: "speech")
    case .turn: return try await speak()
    case .digit:
      let (order, range) = script.say(60)
      world.order(order)
      guard try await started(range) else { return false }
      let digit = "0123456789*#".randomElement(using: &director.random) ?? "0"
      world.tell(.digit(digit, durationMs: 80))
      script.rest.append("digit \(digit) 80")
      return try await cut(by: "digit")
    case .keptBack:
      let (order, range) = script.say(45, bargeIn: false)
      world.order(order)
      guard try await started(range) else { return false }
      try await director.hear(Self.speeches[0])
      return try await played(range)
    case .stop:
      let (order, range) = script.say(60)
      world.order(order)
      guard try await started(range) else { return false }
      world.order(.stop(nil))
      return try await cut(by: "command")
    case .loop:
      let (order, _) = script.say(1 + director.below(6), loop: true)
      world.order(order)
      try await director.silence(ms: 2_000 + director.below(3_000))
      let id = script.id
      guard try await director.until({ world.hasTold("started p\(id)") }) else { return false }
      world.order(.stop(PlaybackID(id)))
      return try await cut(by: "command")
    case .hold:
      world.tell(.held)
      try await director.silence(ms: 400)
      world.tell(.resumed)
      script.rest += ["held", "resumed"]
      return true
    case .partOfATurn:
      // The specification changes in the middle of a turn.
      world.order(.listen(ListenSpec(phrases: ["phrase \(director.below(9))"])))
      return try await speak()
    }
  }

  private static func isPlayback(_ event: String) -> Bool {
    event.hasPrefix("started") || event.hasPrefix("finished") || event.hasPrefix("interrupted")
      || event.hasPrefix("failed")
  }
  private static func isTurn(_ event: String) -> Bool { event.hasPrefix("speech") || event.hasPrefix("final") }

  @Test(arguments: 0..<60) func theRuntimeNoticesNothing(seed: UInt64) async throws {
    let director = try Director(seed: seed)
    let world = director.world
    let script = Script()
    world.tell(.answered)
    world.order(.listen(ListenSpec(phrases: ["password"])))
    try await director.silence(ms: 1_000)
    for _ in 0..<6 {
      let act = Act.allCases[director.below(Act.allCases.count)]
      let isDone = try await perform(act, script, director)
      try #require(isDone, "seed \(seed): \(act) does not end; told \(world.events.suffix(12))")
    }
    let (order, range) = script.say(6)
    world.order(order)
    world.order(.hangup(.normal, afterPlayback: true))
    let isOver = try await perform(last: range, script, director)
    try #require(isOver, "seed \(seed): the call does not end; told \(world.events.suffix(12))")

    // How often somebody looks at what has been said so far is a matter of time; nobody is told the same twice.
    for (a, b) in zip(world.events, world.events.dropFirst()) where a.hasPrefix("partial") {
      #expect(a != b, "seed \(seed)")
    }
    let events = world.events.filter { !$0.hasPrefix("partial") }
    #expect(events.filter(Self.isPlayback) == script.playbacks, "seed \(seed)")
    #expect(events.filter(Self.isTurn) == script.turns, "seed \(seed)")
    #expect(
      events.filter { !Self.isPlayback($0) && !Self.isTurn($0) } == script.rest + ["ended normal"], "seed \(seed)")
    #expect(world.inbox.isGapFree && world.media.orders.isGapFree && world.isEchoComplete)
    checkWhatWasHeard(world, script, kills: director.kills, seed: seed)
    world.kill()
  }

  private func perform(last range: ClosedRange<Int>, _ script: Script, _ director: Director) async throws -> Bool {
    let world = director.world
    script.whole.append(range)
    script.playbacks += ["started p\(script.id)", "finished p\(script.id)"]
    let isHangup: @Sendable (SpeechToMedia) -> Bool = { if case .hangup(.normal) = $0 { true } else { false } }
    guard try await director.until({ world.media.orders.messages.contains(where: isHangup) }) else { return false }
    world.tell(.ended(.normal))
    return await director.end()
  }

  /// Nothing is left out, and what is said twice is said from the beginning of its sentence.
  private func checkWhatWasHeard(_ world: KeptWorld, _ script: Script, kills: Int, seed: UInt64) {
    let heard = world.heard
    var back = 0
    for range in script.whole {
      let words = heard.filter { range.contains($0.word) }
      #expect(words.first?.word == range.lowerBound && words.last?.word == range.upperBound, "seed \(seed)")
      for (a, b) in zip(words, words.dropFirst()) where b.word != a.word + 1 {
        back += 1
        let sentence = (a.word - range.lowerBound) / 4 * 4 + range.lowerBound
        let next = sentence + 4
        #expect(b.word == sentence || b.word == next && a.word == next - 1, "seed \(seed): \(b.word) after \(a.word)")
      }
      #expect(words.last?.samples ?? 0 >= FakeVoice.wordSamples - 800, "seed \(seed)")
    }
    #expect(back <= kills, "seed \(seed)")
    for message in world.told {
      guard case .playbackInterrupted(let id, let text, _, _) = message else { continue }
      // The voice's words have no punctuation, which is what there is before all of a prompt has been made.
      let written = script.texts[id.value]?.filter { $0 != "." }
      #expect(written?.hasPrefix(text.filter { $0 != "." }) == true, "seed \(seed): \(text)")
    }
  }
}

extension DeathSimulation.Director {
  /// The process that is alive, or the next one, tells the end.
  fileprivate func end() async -> Bool {
    if world.process == nil { _ = try? world.start() }
    world.process?.custody.release()
    _ = await world.inbox.wait { $0.contains { KeptWorld.event($0) == "ended normal" } }
    return true
  }
}
