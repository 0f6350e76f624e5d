import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// Answers what a test gives it; remembers what it was asked.
final class FakeModel: ModelService {
  private let completions: Locked<[ModelCompletion]>
  private let answers: Locked<[[ModelEvent]]>
  let asked = Locked<[ModelRequest]>([])

  init(answers: [[ModelEvent]] = [], completions: [ModelCompletion] = []) {
    self.answers = Locked(answers)
    self.completions = Locked(completions)
  }

  func answer(_ request: ModelRequest, session: SessionID) -> AsyncStream<ModelEvent> {
    asked.with { $0.append(request) }
    let events = answers.with { $0.isEmpty ? [.failed(error: "empty", message: "no script")] : $0.removeFirst() }
    return AsyncStream { continuation in
      for event in events { continuation.yield(event) }
      continuation.finish()
    }
  }

  func complete(_ request: ModelRequest, session: SessionID) async -> ModelCompletion {
    asked.with { $0.append(request) }
    return completions.with { $0.isEmpty ? .failed(error: "empty", message: "no script") : $0.removeFirst() }
  }
}

/// What is kept of a call when it is over.
@Suite(.timeLimit(.minutes(1))) struct OutcomeTests {
  private func survey(_ outcome: String) -> String {
    """
    name: survey
    variables: { score: "", pin: { value: "", mask: true } }
    states:
      start:
        on_enter:
          - action: play_tts
            text: "How was it? Press 1 to 5."
        transitions:
          - event: dtmf
            do:
              - action: set_variable
                score: digits
            target: thanks
      thanks:
        on_enter:
          - action: play_tts
            text: "Thank you."
          - action: hangup
        terminal: true
    \(outcome)
    """
  }

  /// A caller presses 4 and hears the end; the record, once it has a line of that type.
  private func record(_ dialogText: String, model: FakeModel, until type: String) async throws -> [SessionEvent] {
    let bench = Bench([try dialog(dialogText)], models: model)
    let log = bench.store.subscribe(bufferLimit: 1_000)
    let call = bench.dial("survey")
    try await call.answer()
    await call.hearOut(try await call.speech.nextSay())
    call.send(.digit("4", durationMs: 100, atMs: 1_500))
    await call.hearOut(try await call.speech.nextSay())
    call.send(.ended(.normal))
    for await event in log where event.type == type { break }
    return try await bench.events()
  }

  @Test func theDialogsWordsAreKept() async throws {
    let events = try await record(
      survey("outcome: { disposition: \"score_{{ score }}\", tags: [survey, \"{{ score }}\"], variables: [score] }"),
      model: FakeModel(), until: "call_terminated")
    let outcome = try #require(events.first { $0.type == "call_outcome" })
    #expect(outcome.text("disposition") == "score_4")
    #expect(outcome.fields["tags"] == ["survey", "4"])
    #expect(outcome.fields["variables"] == ["score": "4"])
    #expect(events.last?.type == "call_terminated")
    #expect(events.last?.text("disposition") == "score_4")
  }

  @Test func aModelSummarisesAndReviewsTheTranscript() async throws {
    let model = FakeModel(completions: [
      .text("The caller gave four points.", tokens: 6),
      .text("Sure: ```{\"scores\": {\"politeness\": 9, \"speed\": 40}, \"notes\": \"fine\"}```", tokens: 20),
    ])
    let events = try await record(
      survey(
        "outcome: { summarize: true, review: { prompt: \"Was the gateway polite?\", criteria: [politeness, speed] } }"),
      model: model, until: "call_review")
    let review = try #require(events.last)
    #expect(review.type == "call_review")
    #expect(review.sequence == Int64(events.count))
    #expect(review.text("summary") == "The caller gave four points.")
    #expect(review.fields["scores"] == ["politeness": 9])
    #expect(review.text("notes") == "fine")
    #expect(review.text("message").contains("speed"), "a score of 40 is none")
    let transcript = try #require(model.asked.with { $0 }.first?.messages.last)
    #expect(
      transcript == .user("Gateway: How was it? Press 1 to 5.\nCaller presses: 4\nGateway: Thank you."))
  }

  @Test func aModelThatFailsLeavesAnError() async throws {
    let model = FakeModel(completions: [.failed(error: "timeout", message: "too late")])
    let events = try await record(survey("outcome: { summarize: true }"), model: model, until: "call_review")
    #expect(events.last?.text("error") == "timeout")
    #expect(events.contains { $0.type == "call_terminated" }, "the call's end waits for no model")
  }

  @Test func nobodyAsksAboutACallInWhichNobodySpoke() async throws {
    let model = FakeModel()
    let bench = Bench([try dialog(survey("outcome: { summarize: true }"))], models: model)
    let call = bench.dial("survey")
    try await call.answer()
    await call.end()
    #expect(await bench.service.waitUntilIdle(limit: .seconds(5)))
    #expect(model.asked.with { $0.isEmpty })
  }
}

/// What the media role of this version cannot do is answered, never left hanging.
@Suite(.timeLimit(.minutes(1))) struct UnsupportedTests {
  @Test func aTransferComesBackAsUnsupported() async throws {
    let bench = Bench([
      try dialog(
        """
        name: desk
        states:
          start:
            on_enter:
              - action: transfer
                target: "sip:person@example.org"
            transitions:
              - event: transfer_result
                when: "status == 'unsupported'"
                target: sorry
          sorry:
            on_enter:
              - action: play_tts
                text: "Nobody is there."
            terminal: true
        """)
    ])
    let call = bench.dial("desk")
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Nobody is there.")
    await call.end()
    let events = try await bench.events()
    #expect(events.contains { $0.type == "error" && $0.text("code") == "unsupported" })
    #expect(events.contains { $0.type == "transfer_failed" && $0.text("status") == "unsupported" })
  }
}
