import Base
import CallLink
import SpeechGateway
import Testing

@Suite("A speech process dies") struct SurvivalTests {
  /// `w1 w2 w3 w4. w5 ...`: sentences of four words.
  static func text(_ words: ClosedRange<Int>) -> String {
    words.map { "w\($0)" + (($0 - words.lowerBound) % 4 == 3 ? "." : "") }.joined(separator: " ")
  }

  private func world(_ configuration: SpeechGatewayConfiguration = .init()) async throws -> KeptWorld {
    let world = KeptWorld(configuration)
    try world.start()
    world.tell(.answered)
    world.order(.listen(ListenSpec(phrases: ["password"])))
    await world.hear(Sounds.silence(ms: 1_000))
    return world
  }

  private func say(_ id: UInt32, _ words: ClosedRange<Int>, bargeIn: Bool = true, loop: Bool = false) -> RuntimeToSpeech
  {
    .say(Prompt(id: PlaybackID(id), source: .text(Self.text(words)), bargeIn: bargeIn, loop: loop))
  }

  /// Seconds pass before somebody else has the call.
  private func succeed(_ world: KeptWorld, after ticks: Int = 25, recognizer: any Recognizer = MarkRecognizer()) throws
  {
    world.kill()
    for _ in 0..<ticks { world.tick() }
    try world.start(recognizer: recognizer)
  }

  private func lastHeard(_ world: KeptWorld) -> Int {
    Int(world.media.line.with { $0.heard.last { $0 != 0 } } ?? 0)
  }

  @Test func aPromptGoesOnAtTheSentenceInWhichItWas() async throws {
    let world = try await world()
    world.order(say(1, 1...12))
    try await world.pass { lastHeard(world) == 6 }
    // The line's buffer reaches into the third sentence by then, but nobody plays it.
    world.kill()
    try world.start()
    try await world.pass { world.hasTold("finished p1") }
    #expect(world.events == ["answered", "started p1", "finished p1"])
    let words = world.heard.map(\.word)
    let back = try #require(words.lastIndex(of: 5))
    #expect(Array(words[..<back]) == Array(1...words[back - 1]))
    #expect((6...8).contains(words[back - 1]))
    #expect(Array(words[back...]) == Array(5...12))
    #expect(world.heard[back...].allSatisfy { $0.samples == FakeVoice.wordSamples })
    world.kill()
  }

  @Test func whatTheLinePlayedMeanwhileIsNotSaidAgain() async throws {
    let world = try await world()
    world.order(say(1, 1...20))
    try await world.pass { lastHeard(world) == 3 }
    // A second of the prompt is on the line, less what has just been played.
    while world.media.line.with({ $0.waiting.values.reduce(0) { $0 + $1.count } }) < 13_000 { await Task.yield() }
    try succeed(world, after: 60)
    let reached = lastHeard(world)
    #expect(reached > 6)
    try await world.pass { world.hasTold("finished p1") }
    let words = world.heard.map(\.word)
    #expect(Array(words.prefix(reached)) == Array(1...reached))
    let rest = Array(words.dropFirst(reached))
    let sentence = (reached - 1) / 4 * 4 + 1
    // A word at the beginning of a sentence goes on sounding, and after the last one comes the next sentence.
    let goesOn = reached == sentence || reached % 4 == 0
    #expect(rest == Array(sentence...20) || goesOn && rest == Array(reached + 1...20))
    world.kill()
  }

  @Test func promptsThatWaitedFollow() async throws {
    let world = try await world()
    world.order(say(1, 1...8))
    world.order(.say(Prompt(id: PlaybackID(2), source: .silence(ms: 400))))
    world.order(say(3, 9...12))
    world.order(say(4, 13...16))
    try await world.pass { lastHeard(world) == 2 }
    try succeed(world, after: 3)
    try await world.pass { world.hasTold("finished p4") }
    #expect(
      world.events == [
        "answered", "started p1", "finished p1", "started p2", "finished p2", "started p3", "finished p3", "started p4",
        "finished p4",
      ])
    #expect(world.heard.map(\.word).suffix(14) == [3, 4] + Array(5...16))
    world.kill()
  }

  @Test func whatIsHeardOfAPromptCountsFromItsBeginning() async throws {
    let world = try await world()
    world.order(say(1, 1...20))
    try await world.pass { lastHeard(world) == 10 }
    try succeed(world, after: 0)
    try await world.pass { world.heard.last?.word == 13 }
    world.order(.stop(PlaybackID(1)))
    let (heard, playedMs) = await world.inbox.first { message -> (String, Int)? in
      if case .playbackInterrupted(_, let heard, let playedMs, .command) = message { (heard, playedMs) } else { nil }
    }
    #expect(heard.filter { $0 != "." }.hasPrefix("w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12"))
    // Twelve words, three pauses of 220 ms, and a part of the thirteenth.
    #expect((1_860...2_060).contains(playedMs))
    world.kill()
  }

  @Test func whatHadBeenHeardIsToldWhereAPromptIsCutBeforeItGoesOn() async throws {
    let world = try await world()
    world.order(say(1, 1...20))
    try await world.pass { lastHeard(world) == 10 }
    world.kill()
    world.order(.stop(nil))
    try world.start()
    let heard = await world.inbox.first { message -> String? in
      if case .playbackInterrupted(_, let heard, _, .command) = message { heard } else { nil }
    }
    #expect(heard.filter { $0 != "." }.hasPrefix("w1 w2 w3 w4 w5 w6 w7 w8 w9"))
    await world.settle(frames: 150)
    #expect(world.events == ["answered", "started p1", "interrupted p1 command"])
    #expect(world.heard.map(\.word).max() ?? 0 <= 11)
    world.kill()
  }

  @Test func aPromptThatIsCutWhileItsProcessDiesIsToldOnce() async throws {
    let world = try await world()
    world.order(say(1, 1...20))
    try await world.pass { lastHeard(world) == 6 }
    let custody = try #require(world.process?.custody)
    custody.hold()
    // The clear leaves with the state that knows of it; what the line answers is never handled.
    world.tell(.digit("5", durationMs: 90))
    await world.settle()
    custody.release(1)
    try succeed(world, after: 2)
    try await world.pass { world.hasTold("interrupted p1 digit") }
    #expect(world.events.count(where: { $0 == "digit 5 90" }) == 1)
    #expect(world.events.count(where: { $0.hasPrefix("interrupted") }) == 1)
    #expect(world.media.line.current.order.isEmpty)
    world.kill()
  }

  @Test func aHangupStillWaitsForWhatIsQueued() async throws {
    let world = try await world()
    world.order(say(1, 1...8))
    world.order(.hangup(.normal, afterPlayback: true))
    try await world.pass { lastHeard(world) == 2 }
    try succeed(world)
    let isHangup: @Sendable (SpeechToMedia) -> Bool = { if case .hangup(.normal) = $0 { true } else { false } }
    try await world.pass { world.media.orders.messages.contains(where: isHangup) }
    #expect(world.hasTold("finished p1"))
    #expect(world.heard.map(\.word).last == 8)
    world.tell(.ended(.normal))
    _ = await world.inbox.wait { $0.contains { KeptWorld.event($0) == "ended normal" } }
    #expect(world.media.orders.messages.count(where: isHangup) == 1 && world.media.orders.isGapFree)
    world.kill()
  }

  @Test func aTurnThatIsSpokenAcrossTheDeathIsHeardOnce() async throws {
    for deadAfterMs in stride(from: 40, through: 1_400, by: 240) {
      let world = try await world()
      let speech = try MarkRecognizer.speech(2)
      let before = min(speech.count, deadAfterMs * 16)
      await world.hear(Array(speech[..<before]))
      world.kill()
      for start in stride(from: before, to: speech.count, by: 320) {
        let packet = Array(speech[start..<min(speech.count, start + 320)])
        world.tick(packet + [Int16](repeating: 0, count: 320 - packet.count))
      }
      try world.start()
      await world.hear(Sounds.silence(ms: 1_500))
      await world.settle(frames: 150)
      #expect(world.events == ["answered", "speech", "partial said 2", "final said 2"], "dead after \(deadAfterMs) ms")
      let result = await world.inbox.first { if case .speechFinal(let result) = $0 { result } else { nil } }
      // When it was is measured on a line that keeps the clock's pace (LatencyTests), which this one does not.
      #expect(result.durationMs > 700, "\(result)")
      world.kill()
    }
  }

  @Test func aTurnWhoseWordsWereAwaitedIsDecodedAgain() async throws {
    let world = KeptWorld()
    let mute = MuteRecognizer()
    try world.start(recognizer: mute)
    world.tell(.answered)
    world.order(.listen(ListenSpec(phrases: ["first"], language: "en")))
    await world.hear(Sounds.silence(ms: 1_000) + (try MarkRecognizer.speech(3)) + Sounds.silence(ms: 1_000))
    #expect(!mute.asked.current.isEmpty)
    // The next turn has begun, under another specification, while the first one's words are not known.
    world.order(.listen(ListenSpec(phrases: ["second"], language: "de")))
    await world.hear(Array(try MarkRecognizer.speech(1).prefix(8_000)))
    #expect(world.events == ["answered", "speech", "speech"])
    try succeed(world, after: 0)
    await world.hear(Array(try MarkRecognizer.speech(1).dropFirst(8_000)) + Sounds.silence(ms: 1_500))
    await world.settle(frames: 300)
    #expect(world.events == ["answered", "speech", "speech", "final said 3", "partial said 1", "final said 1"])
    let languages = world.told.compactMap { if case .speechFinal(let result) = $0 { result.language } else { nil } }
    #expect(languages == ["en", "de"])
    world.kill()
  }

  @Test func whoSpeaksWhileNobodyListensStopsThePromptAfterwards() async throws {
    let world = try await world()
    world.order(say(1, 1...40))
    try await world.pass { lastHeard(world) == 5 }
    world.kill()
    await world.hear(try MarkRecognizer.speech(2))
    try world.start()
    await world.hear(Sounds.silence(ms: 1_500))
    // What had been heard is known when the prompt has been made again that far.
    try await world.pass { world.hasTold("interrupted p1 speech") && world.hasTold("final said 2") }
    #expect(
      world.events.sorted() == [
        "answered", "final said 2", "interrupted p1 speech", "partial said 2", "speech", "started p1",
      ])
    #expect(lastHeard(world) < 25 && world.media.line.current.order.isEmpty)
    world.kill()
  }

  @Test func aProtectedPromptStaysProtected() async throws {
    let world = try await world()
    world.order(say(1, 1...36, bargeIn: false))
    try await world.pass { lastHeard(world) == 5 }
    try succeed(world, after: 5)
    await world.hear(try MarkRecognizer.speech(2))
    try await world.pass { world.hasTold("finished p1") }
    #expect(world.events == ["answered", "started p1", "finished p1"])
    world.kill()
  }

  @Test func aLoopGoesOn() async throws {
    let world = try await world()
    world.order(say(1, 1...6, loop: true))
    try await world.pass { world.heard.count >= 20 }
    try succeed(world)
    let before = world.heard.count
    try await world.pass { world.heard.count >= before + 20 }
    world.order(.hangup(.normal, afterPlayback: true))
    try succeed(world, after: 4)
    try await world.pass { world.hasTold("finished p1") }
    #expect(world.events == ["answered", "started p1", "finished p1"])
    for (a, b) in zip(world.heard, world.heard.dropFirst()) {
      #expect(b.word == a.word % 6 + 1 || b.word == (a.word > 4 ? 5 : 1))
    }
    world.kill()
  }

  @Test func timesGoOnFromTheAnswer() async throws {
    let world = try await world()
    world.tell(.digit("1", durationMs: 90))
    await world.settle()
    try succeed(world, after: 100)
    world.tell(.digit("2", durationMs: 90))
    await world.hear(Sounds.silence(ms: 500))
    // Three seconds are heard again first.
    await world.settle(frames: 150)
    await world.hear(Sounds.silence(ms: 40))
    world.tell(.digit("3", durationMs: 90))
    await world.settle()
    let times = world.told.compactMap { if case .digit(_, _, let atMs) = $0 { atMs } else { nil } }
    #expect(times.count == 3)
    #expect(abs(times[0] - 1_000) <= 40 && times[1] >= 1_000 && abs(times[2] - 3_540) <= 80, "\(times)")
    world.kill()
  }

  @Test func theEndIsKeptAndTheCallIsForgotten() async throws {
    let world = try await world()
    let process = try #require(world.process)
    world.order(say(1, 1...8))
    try await world.pass { lastHeard(world) == 2 }
    process.custody.hold()
    world.tell(.ended(.caller))
    _ = await process.custody.said.wait { $0.contains { KeptWorld.event($0) == "ended caller" } }
    while !process.custody.hasFinished.current { await Task.yield() }
    #expect(process.service.activeCalls == 0 && !world.hasTold("ended caller"))
    process.custody.release()
    #expect(world.hasTold("ended caller"))
    // Who begins there has nothing to do but to say so.
    world.kill()
    let last = try world.start()
    while !last.custody.hasFinished.current { await Task.yield() }
    #expect(last.service.activeCalls == 0 && last.custody.said.messages.isEmpty)
    #expect(world.events == ["answered", "started p1", "ended caller"])
    world.kill()
  }

  @Test func whoHasLostACallIsSilent() async throws {
    let metrics = FakeMetrics()
    let world = KeptWorld()
    let process = try world.start(metrics: metrics)
    world.tell(.answered)
    world.order(.listen(ListenSpec(phrases: ["password"])))
    world.order(say(1, 1...40))
    try await world.pass { lastHeard(world) == 3 }
    let (said, orders, keeps) = (
      process.custody.said.messages.count, world.media.orders.messages.count, process.custody.keeps.current
    )
    process.side.abandon()
    world.tell(.digit("1", durationMs: 90))
    for packet in 0..<60 { world.tick([Int16](repeating: packet % 2 == 0 ? 9_000 : -9_000, count: 320)) }
    world.tell(.ended(.caller))
    // Another call goes through the same workers meanwhile.
    let other = FakeMedia()
    let inbox = Inbox<SpeechToRuntime>()
    let side = try process.service.open(
      KeptWorld.call, media: other, runtime: inbox, state: CallState(custodian: FakeCustody(KeptWorld())))
    for number in 1...50 { side.send(Numbered(UInt64(number), .held)) }
    _ = await inbox.wait { $0.count == 50 }
    #expect(process.custody.said.messages.count == said && process.custody.keeps.current == keeps)
    #expect(world.media.orders.messages.count == orders && !process.custody.hasFinished.current)
    #expect(process.service.activeCalls == 1 && metrics.recognized.current.isEmpty)
    world.kill()
  }

  @Test func whatCannotBeReadIsRefusedInASentence() async throws {
    let world = try await world()
    world.order(say(1, 1...8))
    try await world.pass { lastHeard(world) == 2 }
    let bytes = try #require(world.safe.bytes)
    let process = try #require(world.process)
    func refusal(_ bytes: [UInt8]) -> String? {
      do {
        let custodian = FakeCustody(KeptWorld())
        let side = try process.service.open(
          KeptWorld.call, media: custodian, runtime: custodian.toRuntime,
          state: CallState(custodian: custodian, kept: bytes))
        side.abandon()
        return nil
      } catch { return error.description }
    }
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(refusal([])?.hasPrefix("the speech role's state is damaged") == true)
    #expect(refusal(Array(bytes.dropLast(3)))?.hasPrefix("the speech role's state is damaged") == true)
    #expect(
      refusal(Array(text.replacing("\"v\":1}", with: "\"v\":2}").utf8))
        == "the speech role's state has version 2, this process reads 1")
    #expect(refusal(Array(text.replacing("\"prompts\":[", with: "\"prompts\":[7,").utf8)) != nil)
    // Whatever a byte becomes, nothing worse comes of it.
    var random = SeededRandom(seed: 5)
    for _ in 0..<2_000 {
      var damaged = bytes
      for _ in 0...Int(random.next() % 3) {
        damaged[Int(random.next() % UInt64(damaged.count))] = UInt8(truncatingIfNeeded: random.next() % 96 + 32)
      }
      _ = refusal(damaged)
    }
    world.kill()
  }

  @Test func aStateIsSmallAndReportsOfProgressCostFewWrites() async throws {
    let world = try await world()
    let process = try #require(world.process)
    world.order(say(1, 1...40))
    try await world.pass { lastHeard(world) == 2 }
    let before = process.custody.keeps.current
    let left = world.safe.place.left
    // Two seconds of reports, without an echo that has to be answered.
    for _ in 0..<10 {
      for _ in 0..<10 { world.tick() }
      while world.media.line.with({ $0.waiting.values.reduce(0) { $0 + $1.count } }) < 9_000 { await Task.yield() }
    }
    #expect(process.custody.keeps.current - before <= 6)
    #expect(world.safe.place.left > left)
    #expect(process.custody.largest.current < 2_000)
    world.kill()
  }
}
