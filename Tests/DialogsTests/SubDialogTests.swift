import Base
import Dialogs
import Testing

/// Dialogs that run each other.
@Suite struct SubDialogTests {
  static let main = """
    name: main
    variables: { issue: printer, ticket: {}, got: "" }
    settings: { timeout: 5s, max_depth: 30 }
    states:
      start:
        on_enter:
          - { action: play_tts, text: "Before." }
          - { action: run_dialog, name: ask, variables: { topic: issue }, into: ticket }
          - { action: set_variable, got: "ticket.answer + '/' + result.topic" }
          - { action: play_tts, text: "After {{ got }}." }
        transitions:
          - { event: dtmf, digits: "1", target: wrong }
          - { event: error, when: "error == 'run_dialog'", target: sorry }
          - { event: tts_complete, target: end }
      wrong: { terminal: true }
      sorry: { on_enter: [{ action: play_tts, text: "Sorry." }], terminal: true }
      end: { on_enter: [{ action: play_tts, text: "End." }], terminal: true }
    """
  static let ask = """
    name: ask
    variables: { topic: "", answer: "" }
    states:
      start:
        on_enter: [{ action: play_tts, text: "{{ dialog_name }} about {{ topic }}?" }]
        listen: { hints: [blue] }
        transitions:
          - { event: speech, do: [{ action: set_variable, answer: transcript }], target: over }
          - { event: dtmf, digits: "9", do: [{ action: hangup }] }
      over: { on_enter: [{ action: play_tts, text: "Thanks." }], terminal: true }
    """

  private func call(_ main: String, _ others: [String]) throws -> Call {
    let others = try others.map { try dialog($0) }
    var call = try Call(main, answered: false)
    call.session = DialogSession(
      dialog: try dialog(main), call: CallFacts(callerID: "alice"),
      library: Dictionary(uniqueKeysWithValues: others.map { ($0.name, $0) }))
    call.give(.callAnswered)
    return call
  }

  @Test func theOtherDialogRunsAndComesBack() throws {
    var call = try call(Self.main, [Self.ask])
    call.promptsEnd()
    #expect(call.said == ["Before.", "ask about printer?"])
    #expect(call.session.currentState == "ask/start" && call.session.currentDialog == "ask")
    #expect(call.listens.last?.phrases == ["blue"])
    call.say("blue please")
    call.promptEnds()
    #expect(call.said == ["Before.", "ask about printer?", "Thanks.", "After blue please/printer."])
    call.promptsEnd()
    #expect(call.states == ["start", "ask/start", "ask/over", "start", "end"])
    #expect(call.variable("ticket") == ["topic": "printer", "answer": "blue please"])
    #expect(call.hangups == ["normal"])
    #expect(call.failures == [])
  }

  @Test func onlyTheTransitionsOfTheOneThatHasTheCallCount() throws {
    var call = try call(Self.main, [Self.ask])
    call.promptsEnd()
    call.press("1")
    #expect(!call.states.contains("wrong"))
    call.press("9")
    #expect(call.hangups == ["normal"])
    call.give(.hangup(by: "dialog", reason: "normal"))
    #expect(call.session.isEnded)
  }

  @Test func anUnknownDialogIsAnErrorAndNoStuckCall() throws {
    let call = try call(Self.main, [])
    var other = call
    other.promptsEnd()
    #expect(other.failures.first == "run_dialog")
    #expect(other.said.last == "Sorry.")
  }

  @Test func aDialogThatRunsItselfIsStopped() throws {
    let endless = """
      name: endless
      states:
        start:
          on_enter: [{ action: run_dialog, name: endless }]
          transitions: [{ event: no_input, target: start }]
      """
    let call = try call(endless, [endless])
    #expect(call.failures == ["run_dialog"])
    #expect(call.states.count == DialogSession.frameLimit)
  }

  @Test func everyDialogHearsOfTheEndFromTheInsideOut() throws {
    let main = """
      name: main
      variables: { n: 0 }
      outcome: { disposition: "n{{ n }}" }
      on: [{ event: hangup, do: [{ action: set_variable, n: n + 1 }, { action: emit, name: outer }] }]
      states:
        start:
          on_enter: [{ action: run_dialog, name: inner }]
          transitions: [{ event: no_input, target: start }]
      """
    let inner = """
      name: inner
      on: [{ event: hangup, do: [{ action: emit, name: inner }] }]
      states:
        start: { transitions: [{ event: no_input, target: start }] }
      """
    var call = try call(main, [inner])
    call.give(.hangup(by: "caller", reason: "caller"))
    let events = call.actions.compactMap { if case .emit(let name, _) = $0 { name } else { nil } }
    #expect(events == ["inner", "outer"])
    #expect(call.actions.contains { if case .outcome(let outcome) = $0 { outcome.disposition == "n1" } else { false } })
  }

  @Test func secretsOfTheOtherDialogStaySecret() throws {
    let main = """
      name: main
      variables: { card: {} }
      states:
        start:
          on_enter: [{ action: run_dialog, name: pay, into: card }, { action: call_hook, service: bank, payload: { c: "{{ card.pin }}" } }]
          transitions: [{ event: no_input, target: start }, { event: hook_error, target: start }]
      """
    let pay = """
      name: pay
      variables: { pin: { value: "", mask: true } }
      states:
        start:
          on_enter: [{ action: collect_digits, max: 4, min: 4, into: pin }, { action: goto, target: over }]
          transitions: [{ event: no_input, target: over }]
        over: { terminal: true }
      """
    var call = try call(main, [pay])
    call.press("4711")
    #expect(call.hooks.first?.body["payload"] == ["c": "4711"])
    #expect(call.session.visibleVariables == ["card": "***"])
    let traces = call.actions.compactMap { if case .trace(let trace) = $0 { "\(trace)" } else { nil } }
    #expect(!traces.contains { $0.contains("4711") })
  }

  @Test func answersForADialogThatWaitsComeWhenItIsBack() throws {
    let main = """
      name: main
      variables: { score: 0 }
      states:
        start:
          on_enter:
            - { action: call_hook, service: crm, async: true, result_into: score }
            - { action: run_dialog, name: ask }
            - { action: play_tts, text: "Back." }
          transitions:
            - { event: hook_result, do: [{ action: play_tts, text: "Score {{ score }}.", wait: false }] }
            - { event: no_input, target: start }
      """
    var call = try call(main, [Self.ask])
    call.answerHook(["data": 7])
    #expect(call.variable("score") == 0)
    call.say("blue")
    call.promptsEnd()
    #expect(call.variable("score") == 7)
    #expect(call.said.contains("Score 7.") && call.said.contains("Back."))
  }
}
