import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// A runtime process dies in the middle of a call, and another goes on.
@Suite(.timeLimit(.minutes(1))) struct HandoverTests {
  private func count(_ events: [SessionEvent], _ type: String) -> Int { events.count { $0.type == type } }

  private func isGapless(_ events: [SessionEvent]) -> Bool {
    events.map(\.sequence) == Array(1...Int64(max(1, events.count)))
  }

  @Test func aPromptThatPlaysIsNotSaidAgain() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    let welcome = try #require(stage.prompts.first)
    stage.send(.playbackStarted(welcome.id, atMs: 0))
    await stage.rest()
    stage.kill()
    try await stage.resume()
    await stage.rest()
    #expect(stage.said == ["Welcome to IT support. Say what is wrong."])
    stage.send(.playbackFinished(welcome.id))
    await stage.rest()
    stage.send(.digit("1", durationMs: 90, atMs: 2_000))
    await stage.rest()
    #expect(stage.said == ["Welcome to IT support. Say what is wrong.", "Type your PIN."])
    await stage.end()
    let events = try await stage.events()
    #expect(isGapless(events))
    #expect(count(events, "call_started") == 1 && count(events, "call_answered") == 1)
    #expect(count(events, "tts_started") == 1 && count(events, "tts_completed") == 1)
    #expect(stage.process.counted.with { $0 } == ["active 1", "resumed", "ended completed", "active 0"])
  }

  /// What was sent but not safe is made again under the same numbers, from the repeated input.
  @Test func whatWasNotSafeHappensOnce() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    stage.send(.digit("1", durationMs: 90, atMs: 2_000))
    await stage.settle()
    #expect(stage.said.count == 1, "nothing leaves before it is safe")
    #expect(try await !stage.events().contains { $0.type == "dtmf_received" }, "nor is it written down")
    stage.kill(safe: 0)
    try await stage.resume()
    await stage.rest()
    #expect(stage.said == ["Welcome to IT support. Say what is wrong.", "Type your PIN."])
    #expect(try await stage.summary()?.variables.keys.sorted() == ["issue", "pin", "ticket"])
    let numbers = stage.heard.with { $0.map(\.sequence) }
    #expect(numbers == Array(1...UInt64(numbers.count)))
    await stage.end()
    let events = try await stage.events()
    #expect(isGapless(events))
    #expect(count(events, "dtmf_received") == 1)
    #expect(events.count { $0.type == "state_transition" && $0.text("to_state") == "reset" } == 1)
  }

  /// The queue to the database dies with its process.
  @Test func linesThatWereNotWrittenAreWrittenByTheSuccessor() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    stage.process.store.slowDown()
    try await stage.open()
    await stage.settle()
    stage.process.custodian.makeSafe()
    stage.send(.answered)
    await stage.settle()
    #expect(stage.process.custodian.unsafeCount == 1)
    #expect(stage.process.store.waiting > 0)
    stage.kill(written: 1)
    #expect(try await stage.events().map(\.type) == ["call_started"])
    try await stage.resume()
    await stage.rest()
    let events = try await stage.events()
    #expect(isGapless(events))
    #expect(events.prefix(2).map(\.type) == ["call_started", "call_answered"])
    #expect(stage.store.lostWrites == 0)
    // Once they are durable, the state is rid of them.
    stage.send(.digit("7", durationMs: 90, atMs: 2_000))
    await stage.rest()
    stage.send(.digit("8", durationMs: 90, atMs: 2_500))
    await stage.rest()
    guard case .list(let carried)? = stage.state["events"] else {
      Issue.record("no events")
      return
    }
    #expect(carried.count <= 4)
    await stage.end()
  }

  @Test func aHookIsAskedAgain() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.say("the printer")
    let first = try #require(stage.process.backend.open.with { $0.first?.request })
    stage.kill()
    stage.clock.advance(by: .seconds(1))
    try await stage.resume()
    let again = await stage.process.backend.answer(
      service: "ticketing", .result(["data": ["ticket_id": "4711"]], status: 200, durationMs: 5, attempts: 1))
    #expect(again?.body == first.body, "it is the same question, of the same time")
    await stage.process.custodian.untilUnsafe(2)
    await stage.rest()
    #expect(stage.said.last == "Your ticket is 4711.")
    await stage.end()
    let events = try await stage.events()
    #expect(count(events, "hook_result") == 1 && isGapless(events))
  }

  @Test func aModelGoesOnWithTheRestOfItsAnswer() async throws {
    let adviser = try dialog(
      """
      name: adviser
      states:
        start:
          agent:
            prompt: "Help."
            exits: [{ name: done, description: Over, target: bye }]
            fallback: bye
        bye: { on_enter: [{ action: play_tts, text: "Bye." }], terminal: true }
      """)
    let stage = try KeptStage([adviser])
    try await stage.open()
    await stage.answer()
    let token = try #require(stage.process.model.asked.with { $0.first?.token })
    stage.process.model.tell(token, .sentence("The small plan costs nine."))
    await stage.process.custodian.untilUnsafe(1)
    await stage.rest()
    stage.kill()
    try await stage.resume()
    await stage.rest()
    #expect(stage.said == ["The small plan costs nine."])
    let again = try #require(stage.process.model.asked.with { $0.last })
    #expect(again.token == token)
    #expect(again.messages.dropLast().last == .assistant("The small plan costs nine.", calls: []))
    guard case .user(let note)? = again.messages.last else {
      Issue.record("the model is not told to go on")
      return
    }
    #expect(note.contains("cut off"))
    stage.process.model.tell(token, .sentence("The large one costs twenty."))
    stage.process.model.tell(token, .finished(reason: "stop", tokens: 9))
    await stage.process.custodian.untilUnsafe(2)
    await stage.rest()
    #expect(stage.said == ["The small plan costs nine.", "The large one costs twenty."])
    await stage.end()
    #expect(try await count(stage.events(), "model_sentence") == 2)
  }

  /// A tool that was asked for is not asked for twice: the answer ends there.
  @Test func aModelThatHasAskedForAToolIsNotAskedAgain() async throws {
    let adviser = try dialog(
      """
      name: adviser
      states:
        start:
          agent:
            prompt: "Help."
            tools: [{ name: look, description: Look, parameters: { name: string }, hook: { service: plans } }]
            exits: [{ name: done, description: Over, target: bye }]
            fallback: bye
        bye: { on_enter: [{ action: play_tts, text: "Bye." }], terminal: true }
      """)
    let stage = try KeptStage([adviser])
    try await stage.open()
    await stage.answer()
    stage.process.model.tell(
      ModelToken(1), .toolCall(ModelToolCall(id: "c1", name: "look", arguments: "{\"name\": \"x\"}")))
    await stage.process.custodian.untilUnsafe(1)
    stage.kill()
    try await stage.resume()
    await stage.rest()
    #expect(stage.process.model.asked.with { $0.isEmpty })
    await stage.process.backend.answer(
      service: "plans", .result(["text": "Nine."], status: 200, durationMs: 1, attempts: 1))
    await stage.process.model.asked.until { !$0.isEmpty }
    await stage.end()
    let events = try await stage.events()
    #expect(count(events, "model_tool_call") == 1 && count(events, "tool_called") == 1)
  }

  @Test func silenceIsTimedAcrossProcesses() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.hearOut(try #require(stage.prompts.first))
    await stage.pass(.seconds(5))
    stage.kill()
    // Nobody has the call for a second.
    stage.clock.advance(by: .seconds(1))
    try await stage.resume()
    await stage.pass(.milliseconds(1_900))
    #expect(stage.said.count == 1)
    await stage.pass(.milliseconds(100))
    #expect(stage.said.last == "Goodbye.")
    await stage.end()
    let events = try await stage.events()
    #expect(events.first { $0.text("to_state") == "bye" }?.number("at_ms") == 9_000)
  }

  /// A timer that came due while nobody had the call fires at its own time, before what came later.
  @Test func aTimerThatWasMissedComesFirst() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.hearOut(try #require(stage.prompts.first))
    await stage.pass(.seconds(7))
    stage.kill()
    stage.clock.advance(by: .seconds(2))
    stage.send(.digit("1", durationMs: 90, atMs: 9_500))
    try await stage.resume()
    await stage.rest()
    #expect(stage.said.last == "Goodbye.")
    await stage.end()
    let events = try await stage.events()
    #expect(events.first { $0.text("to_state") == "bye" }?.number("at_ms") == 9_000)
    #expect(events.first { $0.type == "dtmf_received" }?.number("at_ms") == 10_000)
  }

  @Test(arguments: [3_600_000, -3_600_000] as [Int64])
  func aWrongWallClockNeitherHurriesNorTurnsBackTime(wallMs: Int64) async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.hearOut(try #require(stage.prompts.first))
    await stage.pass(.seconds(5))
    stage.kill()
    stage.clock.advance(by: .seconds(1))
    try await stage.resume(wallMs: wallMs)
    await stage.rest()
    #expect(stage.said.count == 1, "no timer fires because of it")
    // What had passed since the last state cannot be known: the caller has all the time once more.
    await stage.pass(.milliseconds(7_900))
    #expect(stage.said.count == 1)
    await stage.pass(.milliseconds(100))
    #expect(stage.said.last == "Goodbye.")
    await stage.end()
    let events = try await stage.events()
    let times = events.compactMap { $0.number("at_ms") }
    #expect(times == times.sorted() && times.count == events.count)
    #expect(events.map(\.timestampMs) == events.map(\.timestampMs).sorted())
  }

  @Test func keysOfASecretGoOn() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    stage.send(.digit("1", durationMs: 90, atMs: 900))
    await stage.rest()
    await stage.hearOut(try #require(stage.prompts.last))
    for digit in "98" { stage.send(.digit(digit, durationMs: 90, atMs: 2_000)) }
    await stage.rest()
    stage.kill()
    try await stage.resume()
    for digit in "76" { stage.send(.digit(digit, durationMs: 90, atMs: 3_000)) }
    await stage.rest()
    #expect(stage.said.last == "Goodbye.")
    await stage.end()
    let events = try await stage.events()
    #expect(count(events, "dtmf_received") == 5 && isGapless(events))
    for event in events { #expect(!JSON.encode(.map(event.fields)).contains("9876")) }
  }

  @Test func aHangUpThatWasOrderedIsNotOrderedAgain() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.hearOut(try #require(stage.prompts.first))
    await stage.pass(.seconds(8))
    await stage.hearOut(try #require(stage.prompts.last))
    func orders() -> Int { stage.messages.count { if case .hangup = $0 { true } else { false } } }
    #expect(orders() == 1)
    stage.kill()
    try await stage.resume()
    await stage.rest()
    #expect(orders() == 1)
    stage.kill()
    try await stage.resume()
    await stage.end(.normal)
    let last = try #require(try await stage.events().last)
    #expect(last.type == "call_terminated" && last.text("reason") == "normal")
    #expect(try await stage.summary()?.state == .ended)
  }

  /// The speech role may die, too: then the call ends by itself.
  @Test func patienceGoesOn() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    let bus = stage.bus, session = stage.session
    async let outcome = bus.send(.hangup(reason: "normal"), to: session, tenant: Tenant.standard)
    await stage.process.custodian.untilUnsafe(1)
    await stage.rest()
    _ = await outcome
    stage.kill()
    stage.clock.advance(by: .seconds(4))
    try await stage.resume()
    await stage.pass(.seconds(6))
    await stage.finish()
    #expect(try await stage.events().last?.text("reason") == "error")
    #expect(try await stage.events().contains { $0.text("code") == "hangup_not_confirmed" })
  }

  @Test func commandsReachTheSuccessor() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    let bus = stage.bus, session = stage.session
    stage.kill()
    try await stage.resume()
    await stage.rest()
    let command = CallCommand.say(text: "From the API.", voice: "", speed: 1, bargeIn: true)
    let answered = Locked(false)
    let sent = Task {
      let outcome = await bus.send(command, to: session, tenant: Tenant.standard)
      answered.with { $0 = true }
      return outcome
    }
    await stage.process.custodian.untilUnsafe(1)
    await stage.settle()
    #expect(!answered.with { $0 }, "nobody is told of what may not have happened")
    await stage.rest()
    guard case .done(let fields) = await sent.value else {
      Issue.record("the command was not carried out")
      return
    }
    #expect(fields["playback_id"] == .string("p\(0x8000_0000)"))
    #expect(stage.said.last == "From the API.")
    // What the API plays has names of its own, also later.
    stage.kill()
    try await stage.resume()
    await stage.rest()
    async let more = bus.send(command, to: session, tenant: Tenant.standard)
    await stage.process.custodian.untilUnsafe(1)
    await stage.rest()
    guard case .done(let next) = await more else {
      Issue.record("the command was not carried out")
      return
    }
    #expect(next["playback_id"] == .string("p\(0x8000_0001)"))
    await stage.end()
  }

  @Test func aCommandThatDiesWithItsProcessIsSaidToBeUnknown() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    let bus = stage.bus, session = stage.session
    async let outcome = bus.send(.digits("1", durationMs: 100), to: session, tenant: Tenant.standard)
    await stage.process.custodian.untilUnsafe(1)
    stage.kill(safe: 0)
    guard case .unreachable = await outcome else {
      Issue.record("\(await outcome)")
      return
    }
  }

  @Test func whoeverIsAbandonedIsSilentAtOnce() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.say("the printer")
    let process = stage.process
    let events = try await stage.events(), said = stage.messages.count, states = process.custodian.sizes.count
    process.side?.abandon()
    stage.send(.digit("1", durationMs: 90, atMs: 900))
    stage.send(.ended(.caller))
    process.backend.drop()
    #expect(await process.service.waitUntilIdle(limit: .seconds(10)))
    stage.clock.advance(by: .seconds(600))
    process.custodian.makeSafe()
    #expect(try await stage.events() == events)
    #expect(stage.messages.count == said && process.custodian.sizes.count == states)
    #expect(try await stage.summary()?.state == .active)
    #expect(!process.custodian.isFinished.with { $0 })
    #expect(
      await stage.bus.send(.hangup(reason: "normal"), to: stage.session, tenant: Tenant.standard) == .noSuchSession)
    #expect(process.counted.with { $0 } == ["active 1", "active 0"])
    #expect(process.service.activeCalls == 0)
  }

  /// A call can come back to a process that has not noticed that it was gone.
  @Test func aSessionThatComesBackTakesThePlaceOfItsOlderLife() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    let process = stage.process
    let kept = try #require(process.custodian.safe)
    let heard = Locked<[Numbered<RuntimeToSpeech>]>([])
    let custodian = FakeCustodian { message in heard.with { $0.append(message) } }
    let side = try process.service.open(
      stage.info, speech: custodian, state: CallState(custodian: custodian, kept: kept.state))
    await custodian.handled.until { $0 == kept.handled }
    custodian.goDirect()
    process.side?.send(Numbered(kept.handled + 1, .digit("9", durationMs: 90, atMs: 1)))
    side.send(Numbered(kept.handled + 1, .digit("1", durationMs: 90, atMs: 1)))
    await custodian.handled.until { $0 == kept.handled + 1 }
    side.send(Numbered(kept.handled + 2, .ended(.caller)))
    await custodian.isFinished.until { $0 }
    #expect(await process.service.waitUntilIdle(limit: .seconds(10)))
    #expect(process.counted.with { $0.last { $0.hasPrefix("active") } } == "active 0")
    #expect(try await stage.events().filter { $0.type == "dtmf_received" }.map { $0.text("digit") } == ["1"])
  }

  @Test func partialsNeedNoStateOfTheirOwn() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    stage.send(.speechStarted(atMs: 100))
    await stage.rest()
    let before = stage.process.custodian.sizes.count
    let side = stage.process.side
    // These are not the stage's inputs: it would wait for a state.
    for number in 0..<5 as Range<UInt64> {
      side?.send(Numbered(UInt64(stage.inputs.count) + 1 + number, .speechPartial(transcript: "my", atMs: 120)))
    }
    await stage.process.service.settle(stage.session)
    #expect(stage.process.custodian.sizes.count == before)
    stage.clock.advance(by: .milliseconds(600))
    side?.send(Numbered(UInt64(stage.inputs.count) + 6, .speechPartial(transcript: "my password", atMs: 700)))
    await stage.process.service.settle(stage.session)
    stage.process.custodian.makeSafe()
    #expect(stage.process.custodian.sizes.count == before + 1)
    #expect(stage.process.custodian.safe?.handled == UInt64(stage.inputs.count) + 6)
    #expect(try await count(stage.events(), "speech_partial") == 6)
  }
}
