import Base
import Dialogs
import Testing

@Suite struct DigitTests {
  static let pin = """
    variables: { pin: "" }
    states:
      start:
        on_enter:
          - { action: play_tts, text: "Your number, please." }
          - { action: collect_digits, min: 3, max: 5, into: pin, inter_digit_timeout: 2s, timeout: 6s }
          - { action: play_tts, text: "Thank you for {{ pin }}." }
        transitions:
          - { event: no_input, when: no_input_count > 1, target: end }
      end: { terminal: true }
    """

  @Test(arguments: [("12345", "12345"), ("123#", "123"), ("1*3#", "1*3")])
  func collectsUpToMaxOrTerminator(_ keys: String, _ expected: String) throws {
    var call = try Call(Self.pin)
    call.promptsEnd()
    call.press(keys)
    #expect(call.variable("pin") == .string(expected))
    #expect(call.said.last == "Thank you for \(expected).")
  }

  @Test func aPauseEndsTheEntry() throws {
    var call = try Call(Self.pin)
    call.promptsEnd()
    call.press("123")
    call.wait(.milliseconds(1_999))
    #expect(call.variable("pin") == "")
    call.press("4")
    call.wait(.milliseconds(1_999))
    #expect(call.variable("pin") == "")
    call.wait(.milliseconds(1))
    #expect(call.variable("pin") == "1234")
  }

  @Test func keysPressedDuringThePromptCount() throws {
    var call = try Call(Self.pin)
    call.press("12345")
    #expect(call.variable("pin") == "12345")
    #expect(call.said == ["Your number, please.", "Thank you for 12345."])
  }

  @Test func tooFewKeysAreAskedForAgain() throws {
    var call = try Call(Self.pin)
    call.promptsEnd()
    call.press("1#")
    #expect(call.said == ["Your number, please.", "Your number, please."])
    call.promptsEnd()
    call.press("2345#")
    #expect(call.variable("pin") == "2345")
    #expect(call.said.last == "Thank you for 2345.")
  }

  @Test func silenceWhileCollecting() throws {
    var call = try Call(Self.pin)
    call.promptsEnd()
    call.wait(.seconds(6))
    #expect(call.said.count == 2)
    call.promptsEnd()
    call.wait(.seconds(6))
    #expect(call.states == ["start", "end"])
  }

  @Test func secretsStaySecret() throws {
    var call = try Call(
      """
      variables: { card: { value: "", mask: true }, last4: "", open: "" }
      states:
        start:
          on_enter:
            - { action: collect_digits, min: 4, max: 4, into: card }
            - { action: set_variable, last4: "card", open: "'x'" }
            - { action: play_tts, text: "I heard {{ spell(card) }}." }
            - { action: call_hook, service: pay, payload: { card: "{{ card }}" } }
            - { action: log, message: "{{ digits }} {{ last4 }}" }
          transitions: [{ event: no_input, target: start }, { event: hook_error, target: start }]
      """)
    #expect(call.session.isCollectingSecret)
    call.press("4711")
    #expect(!call.session.isCollectingSecret)
    #expect(call.said == ["I heard 4 7 1 1."], "the caller may hear it")
    #expect(call.playing.first?.recordedText == "I heard * * *.")
    #expect(call.playing.first?.cache == false)
    call.promptsEnd()
    #expect(call.hooks.first?.body["payload"] == ["card": "4711"], "the customer's backend may see it")
    #expect(call.hooks.first?.recordedBody["payload"] == ["card": "***"])
    call.answerHook([:])
    #expect(call.actions.contains(.log(level: "info", message: "*** ***")))
    #expect(call.session.visibleVariables == ["card": "***", "last4": "***", "open": "x"])
    let traces = call.actions.compactMap { if case .trace(let trace) = $0 { "\(trace)" } else { nil } }
    #expect(!traces.contains { $0.contains("4711") || $0.contains("4 7 1 1") })
  }

  @Test func failuresDoNotQuoteSecrets() throws {
    var call = try Call(
      """
      variables: { code: { value: "", mask: true }, n: 0 }
      states:
        start:
          on_enter:
            - { action: collect_digits, min: 2, max: 2, into: code }
            - { action: set_variable, n: "int(code)" }
            - { action: play_tts, text: "{{ int(code) }}" }
          transitions: [{ event: poke, when: "int(code) > 1", target: start }, { event: no_input, target: start }]
      """)
    call.press("1*")
    call.give(.custom(name: "poke", data: .null))
    #expect(call.failures == ["expression", "expression", "expression"])
    #expect(!call.actions.contains { "\($0)".contains("1*") })
  }

  @Test func severalKeysMakeOneEvent() throws {
    let yaml = """
      states:
        start:
          transitions:
            - { event: dtmf, digits: "12", target: twelve }
            - { event: dtmf, digits: "1", target: one }
            - { event: dtmf, digits: "2X.", target: many }
        one: { terminal: true }
        twelve: { terminal: true }
        many: { terminal: true }
      """
    var both = try Call(yaml)
    both.press("12")
    #expect(both.states.last == "twelve")
    var one = try Call(yaml)
    one.press("1")
    #expect(one.states.last == "start")
    one.wait(DialogSession.interDigitTimeout)
    #expect(one.states.last == "one")
    var many = try Call(yaml)
    many.press("2345")
    #expect(many.states.last == "start")
    many.wait(DialogSession.interDigitTimeout)
    #expect(many.states.last == "many")
  }

  @Test func maxDigitsAndTerminatorOfTheState() throws {
    let yaml = """
      variables: { got: "" }
      states:
        start:
          listen: { dtmf: { max_digits: 4, terminator: "#", inter_digit_timeout: 1s } }
          transitions: [{ event: dtmf, do: [{ action: set_variable, got: digits }] }]
      """
    var call = try Call(yaml)
    call.press("1234")
    #expect(call.variable("got") == "1234")
    call.press("56#")
    #expect(call.variable("got") == "56")
    call.press("7")
    #expect(call.variable("got") == "56")
    call.wait(.seconds(1))
    #expect(call.variable("got") == "7")
  }

  @Test func keysThatAreNoneAreIgnored() throws {
    var call = try Call(Self.pin)
    call.promptsEnd()
    call.press("x ")
    call.press("123#")
    #expect(call.variable("pin") == "123")
  }
}

@Suite struct HookTests {
  static let ticket = """
    name: desk
    variables: { issue: printer, ticket: {}, n: 0 }
    states:
      start:
        on_enter:
          - action: call_hook
            service: ticketing
            payload: { issue: "{{ issue }}", urgent: true }
            timeout: 2s
            filler_text: "One moment."
            result_into: ticket
          - { action: play_tts, text: "After the hook." }
        transitions:
          - { event: hook_result, when: "result.ok", target: opened }
          - { event: hook_error, when: "error == 'timeout'", target: late }
          - { event: dtmf, digits: "0", target: late }
      opened: { on_enter: [{ action: play_tts, text: "Ticket {{ ticket.id }}." }], terminal: true }
      late: { on_enter: [{ action: play_tts, text: "Late." }], terminal: true }
    """

  @Test func theQuestionSaysWhoAsksAndWhy() throws {
    let call = try Call(Self.ticket, facts: CallFacts(session: SessionID("S"), callerID: "alice", calledNumber: "1"))
    let hook = try #require(call.hooks.first)
    #expect(hook.service == "ticketing" && hook.url == "" && hook.path == "/on-intent" && hook.timeout == .seconds(2))
    #expect(hook.body["payload"] == ["issue": "printer", "urgent": true])
    #expect(hook.body["variables"] == ["issue": "printer", "ticket": [:], "n": 0])
    #expect(hook.body["session_id"] == "S" && hook.body["caller_id"] == "alice" && hook.body["dialog_name"] == "desk")
    #expect(hook.body["current_state"] == "start" && hook.body["transcript"] == "" && hook.body["sip_headers"] == [:])
    #expect(call.said == [], "the dialog waits")
  }

  @Test func theAnswerDecides() throws {
    var call = try Call(Self.ticket)
    call.answerHook(["data": ["ok": true, "id": "4711"]])
    #expect(call.said == ["Ticket 4711."])
    #expect(call.states == ["start", "opened"])
  }

  @Test func anAnswerThatNoTransitionTakesContinuesTheList() throws {
    var call = try Call(Self.ticket)
    call.answerHook(["ok": false])
    #expect(call.said == ["After the hook."])
    #expect(call.variable("ticket") == ["ok": false])
  }

  @Test func aFillerIsOnlySpokenWhenItTakesLong() throws {
    var quick = try Call(Self.ticket)
    quick.wait(.milliseconds(400))
    quick.answerHook(["ok": true])
    quick.wait(.seconds(2))
    #expect(!quick.said.contains("One moment."))
    var slow = try Call(Self.ticket)
    slow.wait(.milliseconds(500))
    #expect(slow.said == ["One moment."])
    slow.answerHook(["ok": true, "id": 1])
    // The filler is finished; the answer queues behind it.
    #expect(!slow.actions.contains { if case .stop = $0 { true } else { false } })
    #expect(slow.said == ["One moment.", "Ticket 1."])
  }

  @Test func failuresHaveAWay() throws {
    var call = try Call(Self.ticket)
    call.failHook("timeout")
    #expect(call.said == ["Late."])
    var other = try Call(Self.ticket)
    other.failHook("status", status: 503)
    #expect(other.said == ["After the hook."], "no transition took it")
  }

  @Test func anOutcomeThatNeverComesIsGivenUp() throws {
    var call = try Call(Self.ticket)
    call.wait(.seconds(3))
    #expect(call.states == ["start", "late"])
    #expect(call.actions.contains(.cancelHook(HookToken(1))))
  }

  @Test func leavingTheStateCancelsItsHook() throws {
    var call = try Call(Self.ticket)
    call.press("0")
    #expect(call.actions.contains(.cancelHook(HookToken(1))))
    let count = call.actions.count
    call.give(.hookResult(HookToken(1), ["ok": true]))
    #expect(call.actions.count == count, "a late answer changes nothing")
  }

  @Test func answersSetVariablesRunActionsAndNameTheNextState() throws {
    var call = try Call(Self.ticket)
    call.answerHook([
      "variables": ["n": 7, "nonsense": 1, "issue": 5],
      "actions": [["action": "play_tts", "text": "From the backend: {{ n }}."]],
      "next_state": "late",
    ])
    #expect(call.variable("n") == 7)
    #expect(call.variable("issue") == "printer", "a value of the wrong type is refused")
    #expect(call.failures == ["hook_answer", "type"] || call.failures == ["type", "hook_answer"])
    #expect(call.said == ["From the backend: {{ n }}."], "texts from outside are never templates")
    call.promptsEnd()
    #expect(call.states == ["start", "late"])
  }

  @Test(
    arguments: [
      ["actions": [["action": "nonsense"]]], ["actions": [["action": "goto", "target": "nowhere"]]],
      ["next_state": "nowhere"],
      ["actions": ["hangup"]], ["actions": .list(Array(repeating: ["action": "hangup"], count: 21))],
    ] as [Value])
  func badAnswersAreRefusedAndRecorded(_ answer: Value) throws {
    var call = try Call(Self.ticket)
    call.answerHook(answer)
    #expect(call.failures == ["hook_answer"])
    #expect(call.said == ["After the hook."])
  }

  @Test func asyncHooksDoNotWaitAndSurviveTheirState() throws {
    var call = try Call(
      """
      variables: { score: 0 }
      states:
        start:
          on_enter:
            - { action: call_hook, url: "https://example.com/x", async: true, result_into: score }
            - { action: goto, target: talk }
        talk:
          on_enter: [{ action: play_tts, text: "Talk." }]
          transitions: [{ event: hook_result, do: [{ action: play_tts, text: "Score {{ score }}." }] }]
      """)
    #expect(call.said == ["Talk."])
    call.answerHook(["data": 9])
    #expect(call.states == ["start", "talk"])
    #expect(call.variable("score") == 9)
    call.promptsEnd()
    #expect(call.said == ["Talk.", "Score 9."])
    #expect(call.hooks.first?.url == "https://example.com/x")
  }

  @Test func patiencePausesWhileAHookIsWaitedFor() throws {
    var call = try Call(
      """
      settings: { timeout: 1s }
      states:
        start:
          on_enter: [{ action: call_hook, service: slow }]
          transitions: [{ event: no_input, target: end }, { event: hook_error, target: end }]
        end: { terminal: true }
      """)
    call.wait(.seconds(30))
    #expect(call.states == ["start"])
    call.answerHook([:])
    call.wait(.seconds(1))
    #expect(call.states == ["start", "end"])
  }
}
