import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// `security.pii`: what leaves the runtime says nothing of the caller, and the dialog goes on as if nothing were.
@Suite(.timeLimit(.minutes(1))) struct RedactionTests {
  private static let card = "my printer is four one one one one one one one one one one one one one one one"

  private func bench(_ kinds: PersonalData...) throws -> Bench {
    var configuration = RuntimeConfiguration()
    configuration.redactor = Redactor(kinds)
    return Bench([try dialog(helpdesk)], configuration: configuration)
  }

  /// A caller who says a card's number where the dialog keeps the words in a variable and gives them to a hook.
  private func call(_ bench: Bench) async throws -> (hook: HookRequest, prompt: Prompt) {
    let call = bench.dial(headers: [(name: "X-Mail", value: "ann@example.com")])
    try await call.answer()
    let welcome = try await call.speech.nextSay()
    await call.hearOut(welcome)
    call.say(Self.card)
    let hook = try await bench.backend.answer(
      .result(
        ["data": ["ticket_id": "4111111111111111", "n": 4_111_111_111_111_111]], status: 200, durationMs: 12,
        attempts: 1))
    let ticket = try await call.speech.nextSay()
    await call.hearOut(ticket)
    await call.end(.caller)
    return (hook, ticket)
  }

  @Test func theDialogAndItsHooksSeeTheRealWords() async throws {
    let (hook, prompt) = try await call(try bench(.card, .email, .phone))
    #expect(hook.body["transcript"]?.stringValue == Self.card)
    #expect(prompt.text == "Your ticket is 4111111111111111.")
  }

  @Test func nothingOfItIsKept() async throws {
    let bench = try bench(.card, .email, .phone)
    _ = try await call(bench)
    let events = try await bench.events()
    let summary = try #require(try await bench.store.session(SessionID("S1"), tenant: nil))
    let kept = events.map { JSON.encode(.map($0.fields)) } + ["\(summary)"]
    for text in kept {
      for secret in ["four one one", "4111111111111111", "ann@example.com", "4930123"] {
        #expect(!text.contains(secret), "\(secret) in \(text)")
      }
    }
    let heard = try #require(events.first { $0.type == "speech_final" })
    #expect(heard.text("transcript") == "my printer is [card]")
    #expect(heard.fields["segments"] == [])
    #expect(heard.fields["redacted"] == true)
    #expect(
      events.first { $0.type == "tts_started" && $0.text("text").contains("ticket") }?.text("text")
        == "Your ticket is [card].")
    #expect(summary.variables["issue"] == "my printer is [card]")
    #expect(summary.callerID == "[phone]")
    #expect(summary.calledNumber == "helpdesk")
    // The machinery of the record is what it was.
    #expect(events.map(\.sequence) == Array(1...Int64(events.count)))
    #expect(events.contains { $0.type == "state_transition" && $0.text("to_state") == "ticket" })
  }

  @Test func keysAreHiddenWhereTheyMaySpellANumber() async throws {
    for (kinds, digit) in [([PersonalData.card], ""), ([.email], "1"), ([], "1")] {
      var configuration = RuntimeConfiguration()
      configuration.redactor = Redactor(kinds)
      let bench = Bench([try dialog(helpdesk)], configuration: configuration)
      let call = bench.dial()
      try await call.answer()
      let welcome = try await call.speech.nextSay()
      await call.hearOut(welcome)
      call.send(.digit("1", durationMs: 100, atMs: 2_000))
      await call.pass(.milliseconds(50))
      await call.end(.caller)
      let events = try await bench.events()
      #expect(events.first { $0.type == "dtmf_received" }?.text("digit") == digit)
      #expect(events.contains { $0.type == "state_transition" && $0.text("to_state") == "reset" })
    }
  }

  @Test func aRecordSaysThatItWasRedacted() async throws {
    for (kinds, redacted) in [([PersonalData.card], true), ([.ssn], false), ([], false)] {
      var configuration = RuntimeConfiguration()
      configuration.redactor = Redactor(kinds)
      let bench = Bench([try dialog(helpdesk)], configuration: configuration)
      _ = try await call(bench)
      let export = SessionExport(session: SessionID("S1"), lines: try await bench.events().map(RecordedLine.init))
      #expect(export.wasRedacted == redacted)
    }
  }
}
