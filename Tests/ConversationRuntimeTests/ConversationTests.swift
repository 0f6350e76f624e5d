import Base
import CallLink
import ConversationRuntime
import Storage
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConversationTests {
  @Test func aSpokenRequestRunsThroughAHookToTheEnd() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()

    let welcome = try await call.speech.nextSay()
    #expect(welcome.text == "Welcome to IT support. Say what is wrong.")
    await call.hearOut(welcome)
    call.say("my printer is broken")

    let request = try await bench.backend.answer(
      .result(["data": ["ticket_id": "4711"]], status: 200, durationMs: 12, attempts: 1))
    #expect(request.service == "ticketing")
    #expect(request.body["transcript"]?.stringValue == "my printer is broken")
    #expect(request.body["caller_id"]?.stringValue == "4930123")
    #expect(request.body["session_id"]?.stringValue == "S1")
    #expect(request.body["timestamp"]?.stringValue?.hasSuffix("Z") == true)

    let ticket = try await call.speech.nextSay()
    #expect(ticket.text == "Your ticket is 4711.")
    await call.hearOut(ticket)
    let bye = try await call.speech.nextSay()
    #expect(bye.text == "Goodbye.")
    await call.hearOut(bye)
    let after = try await call.speech.until { if case .hangup = $0 { true } else { false } }
    guard case .hangup(.normal, _) = after.last else {
      Issue.record("the dialog should have hung up: \(after)")
      return
    }
    await call.end(.normal)

    let summary = try #require(try await bench.summary(call.session))
    #expect(summary.state == .ended)
    #expect(summary.endReason == "normal")
    #expect(summary.variables["ticket"] == "4711")
    #expect(bench.counted.with { $0 }.contains("ended helpdesk completed"))
  }

  @Test func aDigitTakesItsOwnPath() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    call.send(.digit("1", durationMs: 120, atMs: 900))
    #expect(try await call.speech.nextSay().text == "Type your PIN.")
    await call.end()
  }

  @Test func anInterruptedPromptIsNotWaitedFor() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    let welcome = try await call.speech.nextSay()
    #expect(welcome.bargeIn)
    call.send(.playbackStarted(welcome.id, atMs: 10))
    call.send(.speechStarted(atMs: 800))
    call.send(.playbackInterrupted(welcome.id, heard: "Welcome to IT", playedMs: 800, by: .speech))
    call.say("my password is locked")
    #expect(try await call.speech.nextSay().text == "Type your PIN.")
    await call.end()

    let interrupted = try #require(try await bench.events().first { $0.type == "tts_interrupted" })
    #expect(interrupted.text("heard_text") == "Welcome to IT")
    #expect(interrupted.text("interrupted_by") == "speech")
  }

  @Test func aFailingHookTakesTheErrorPath() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    call.say("the printer")
    _ = try await bench.backend.answer(
      .failure(error: "timeout", status: 0, message: "no answer in 3 s", durationMs: 3_000, attempts: 2))
    #expect(try await call.speech.nextSay().text == "No ticket could be made.")
    await call.end()
    let failed = try #require(try await bench.events().first { $0.type == "hook_error" })
    #expect(failed.text("error") == "timeout")
    #expect(failed.number("attempts") == 2)
  }

  @Test func silenceEndsInTheTimeoutState() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    let welcome = try await call.speech.nextSay()
    await call.hearOut(welcome)
    await call.pass(.milliseconds(7_900))
    #expect(call.speech.countAsked { if case .say = $0 { true } else { false } } == 1)
    await call.pass(.milliseconds(100))
    let bye = try await call.speech.nextSay()
    #expect(bye.text == "Goodbye.")
    await call.hearOut(bye)
    _ = try await call.speech.until { if case .hangup(.normal, _) = $0 { true } else { false } }
    await call.end(.normal)
  }

  @Test func aHangUpOfTheCallerStopsEverything() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    await call.pass(.milliseconds(2_500))
    await call.end(.caller)

    let last = try #require(try await bench.events().last)
    #expect(last.type == "call_terminated")
    #expect(last.text("reason") == "caller")
    #expect(last.text("disposition") == "completed")
    #expect(last.number("duration_ms") == 2_500)
    #expect(await bench.service.waitUntilIdle(limit: .seconds(10)))
    #expect(bench.counted.with { $0 }.contains("active helpdesk 0"))
  }

  @Test func aCallerWhoGivesUpBeforeTheAnswerIsCancelled() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    _ = await call.speech.next()
    await call.end(.cancelled)
    let last = try #require(try await bench.events().last)
    #expect(last.text("disposition") == "cancelled")
    #expect(try await !bench.events().contains { $0.type == "call_answered" })
  }

  @Test func whatIsSentIsNumberedWithoutGaps() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    let welcome = try await call.speech.nextSay()
    await call.hearOut(welcome)
    call.say("password")
    _ = try await call.speech.nextSay()
    await call.end()
    let sequences = call.speech.sentSequences
    #expect(sequences == Array(1...UInt64(sequences.count)))
  }
}
