import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// Services that are told of a call's start and end.
@Suite(.timeLimit(.minutes(1))) struct MomentTests {
  private static let crm = CallMomentService(name: "crm", timeout: .seconds(3))
  private static let erp = CallMomentService(name: "erp", timeout: .seconds(3))

  private static let helpdesk = """
    name: helpdesk
    variables: { customer: "", tier: basic, pin: { value: "", mask: true } }
    states:
      start:
        on_enter: [{ action: play_tts, text: "Hello {{ customer | default('stranger') }}." }]
        transitions: [{ event: dtmf, target: vip }]
      vip:
        on_enter: [{ action: play_tts, text: "Welcome back {{ customer }}, {{ tier }}." }]
        transitions: [{ event: dtmf, target: start }]
    """

  private func replayed(_ events: [SessionEvent]) throws -> SessionReplay.Outcome {
    let lines = events.map { event in
      RecordedLine(
        sequence: event.sequence,
        entry: JournalEntry(type: event.type, atMs: event.number("at_ms") ?? 0, fields: event.fields))
    }
    return try SessionReplay.run(lines, session: SessionID("S1"), dialog: try dialog(Self.helpdesk))
  }

  @Test func theStartIsToldBeforeTheAnswerAndMayChangeTheCall() async throws {
    let bench = Bench([try dialog(Self.helpdesk)], told: [.start: [Self.crm]])
    let call = bench.dial()
    let asked = try await bench.backend.answer(
      .result(
        [
          "variables": ["customer": "Ann", "tier": "gold", "pin": "4711"], "next_state": "vip",
          "actions": [["action": "play_tts", "text": "One moment, {{ customer }}."]],
        ], status: 200, durationMs: 40, attempts: 1))
    #expect(asked.service == "crm" && asked.path == "/on-call-start" && asked.timeout == .seconds(3))
    #expect(asked.body["session_id"] == "S1" && asked.body["caller_id"] == "4930123")
    #expect(asked.body["dialog_name"] == "helpdesk" && asked.body["current_state"] == "")
    #expect(asked.body["variables"]?["pin"] == "***")
    try await call.answer()
    let first = try await call.speech.nextSay()
    #expect(first.text == "One moment, {{ customer }}.", "texts from outside are no templates")
    await call.hearOut(first)
    let second = try await call.speech.nextSay()
    #expect(second.text == "Welcome back Ann, gold.")
    await call.hearOut(second)
    await call.end()
    let events = try await bench.events()
    #expect(events.prefix(3).map(\.type) == ["call_started", "hook_result", "action_executed"])
    let result = try #require(events.first { $0.type == "hook_result" })
    #expect(result.text("moment") == "call_start" && result.text("service") == "crm")
    #expect(result.text("path") == "/on-call-start" && result.number("status") == 200)
    #expect(!events.contains { String(describing: $0.fields).contains("4711") }, "masked values stay out of the record")
    #expect(events.first { $0.type == "state_transition" }?.text("to_state") == "vip")
    let outcome = try replayed(events)
    #expect(outcome.difference == nil, "\(outcome.difference?.lines ?? [])")
    #expect(outcome.isComplete)
  }

  @Test func aServiceThatFailsDoesNotKeepTheCallWaiting() async throws {
    let bench = Bench([try dialog(Self.helpdesk)], told: [.start: [Self.crm]])
    let call = bench.dial()
    _ = try await bench.backend.answer(
      .failure(error: "timeout", status: 0, message: "crm gave no answer in time", durationMs: 3000, attempts: 1))
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Hello stranger.")
    await call.end()
    let events = try await bench.events()
    let error = try #require(events.first { $0.type == "hook_error" })
    #expect(error.text("moment") == "call_start" && error.text("error") == "timeout")
    #expect(try replayed(events).difference == nil)
  }

  @Test func aServiceThatIsNeverHeardOfIsGivenUp() async throws {
    let bench = Bench([try dialog(Self.helpdesk)], told: [.start: [Self.crm, Self.erp]])
    let call = bench.dial()
    // One of the two answers.
    let first = try await bench.backend.answer(
      .result(["variables": ["customer": "Ann"]], status: 200, durationMs: 1, attempts: 1))
    // The answer is on its way through a task of its own: it has to be in the record before time passes.
    for _ in 0..<100_000 {
      if try await bench.events().contains(where: { $0.type == "hook_result" }) { break }
      await Task.yield()
    }
    await call.pass(.seconds(11))
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Hello Ann.")
    await call.end()
    let events = try await bench.events()
    #expect(events.first { $0.type == "hook_error" }?.text("service") == (first.service == "crm" ? "erp" : "crm"))
    #expect(try replayed(events).difference == nil)
  }

  @Test func nonsenseIsRecordedAndTheCallGoesOn() async throws {
    let bench = Bench([try dialog(Self.helpdesk)], told: [.start: [Self.crm]])
    let call = bench.dial()
    _ = try await bench.backend.answer(
      .result(
        ["variables": ["nonsense": 1], "next_state": "nowhere", "actions": [["action": "explode"]]], status: 200,
        durationMs: 1, attempts: 1))
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Hello stranger.")
    await call.end()
    let events = try await bench.events()
    #expect(events.filter { $0.type == "error" && $0.text("code") == "hook_answer" }.count == 3)
    #expect(try replayed(events).difference == nil)
  }

  @Test func aCallerWhoGivesUpEndsTheCall() async throws {
    let bench = Bench([try dialog(Self.helpdesk)], told: [.start: [Self.crm]])
    let call = bench.dial()
    await call.end(.cancelled)
    let events = try await bench.events()
    #expect(events.last?.type == "call_terminated")
    #expect(!events.contains { $0.type == "call_answered" })
  }

  @Test func theEndIsToldWhenTheRecordIsComplete() async throws {
    let bench = Bench([try dialog(Self.helpdesk)], told: [.end: [Self.crm]])
    let call = bench.dial()
    try await call.answer()
    let hello = try await call.speech.nextSay()
    await call.hearOut(hello, for: .seconds(2))
    await call.end()
    #expect(bench.service.activeCalls == 0, "the call is over for everybody else")
    let asked = try await bench.backend.answer(.result([:], status: 204, durationMs: 5, attempts: 2))
    #expect(asked.path == "/on-call-end" && asked.timeout == nil)
    #expect(asked.body["payload"]?["reason"] == "caller" && asked.body["payload"]?["was_answered"] == true)
    #expect(asked.body["payload"]?["duration_ms"] == 2000)
    #expect(asked.body["current_state"] == "start")
    _ = await bench.service.waitUntilIdle(limit: .seconds(60))
    let events = try await bench.events()
    #expect(events.last?.type == "hook_result")
    #expect(events.last?.text("moment") == "call_end" && events.last?.number("attempts") == 2)
    let outcome = try replayed(events)
    #expect(outcome.difference == nil && outcome.isComplete)
  }
}
