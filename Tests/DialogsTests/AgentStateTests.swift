import Base
import Dialogs
import Testing

@Suite struct AgentStateTests {
  static let advisor = """
    name: plans
    variables: { caller_name: Ada, plan: "", months: 0 }
    settings: { timeout: 5s, no_input_retries: 2 }
    states:
      start:
        agent:
          prompt: "You help {{ caller_name }} choose a plan."
          model: small
          tools:
            - name: look_up_plan
              description: Finds a plan by name
              parameters: { name: string }
              hook: { service: plans, path: /lookup, timeout: 3s }
            - name: ask_keys
              builtin: collect_digits
              max: 4
              min: 2
          exits:
            - { name: wants_human, description: The caller asks for a person, target: handover }
            - name: done
              description: The caller has chosen
              extract: { plan: string, months: { type: integer, minimum: 1, optional: true } }
              target: confirm
          max_turns: 4
          max_duration: 2m
          timeout: 4s
          fallback: handover
          filler: ["One moment."]
        transitions:
          - { event: dtmf, digits: "0", target: handover }
          - { event: speech, when: "transcript == 'goodbye'", target: bye }
      handover: { on_enter: [{ action: play_tts, text: "I connect you." }], transitions: [{ event: speech, target: bye }] }
      confirm: { on_enter: [{ action: play_tts, text: "Plan {{ plan }}." }], transitions: [{ event: speech, target: bye }] }
      bye: { on_enter: [{ action: play_tts, text: "Bye." }], terminal: true }
    """

  @Test func theModelSpeaksFirstAndIsToldWhoItIs() throws {
    var call = try Call(Self.advisor)
    let request = try #require(call.requests.first)
    guard case .system(let text)? = request.messages.first else {
      Issue.record("no instructions")
      return
    }
    #expect(text.hasPrefix("You help Ada choose a plan.") && text.hasSuffix(DialogSession.spokenStyle))
    #expect(request.model == "small" && request.timeout == .seconds(4))
    #expect(request.tools.map(\.name) == ["look_up_plan", "ask_keys", "wants_human", "done"])
    #expect(call.listens.last?.isOpen == true)
    call.modelSays("Hello Ada.", "Which plan?", finishes: false)
    #expect(call.said == ["Hello Ada.", "Which plan?"], "sentences are spoken as they come")
    call.modelSays()
    call.promptsEnd()
    call.say("the large one")
    #expect(context(call.requests.last).suffix(2) == ["assistant: Hello Ada. Which plan?", "user: the large one"])
    #expect(call.messages.filter { $0.contains("Hello Ada") }.count == 1, "each message is recorded once")
  }

  @Test func aStateThatSpeaksForItselfWaitsForTheCaller() throws {
    let yaml = """
      states:
        start:
          on_enter: [{ action: play_tts, text: "Hello." }]
          agent: { prompt: "Help.", exits: [{ name: done, description: Over, target: end }] }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.promptsEnd()
    #expect(call.requests.isEmpty)
    call.say("my phone is broken")
    #expect(context(call.requests.last) == ["user: my phone is broken"])
  }

  @Test func wordsThatLedToTheStateAreAnswered() throws {
    let yaml = """
      states:
        start: { transitions: [{ event: speech, target: talk }] }
        talk:
          on_enter: [{ action: play_tts, text: "Let me see." }]
          agent: { prompt: "Help.", exits: [{ name: done, description: Over, target: end }] }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.say("where is my order")
    call.promptsEnd()
    #expect(context(call.requests.last) == ["user: where is my order"])
  }

  @Test func transitionsComeBeforeTheModel() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.press("0")
    #expect(call.states == ["start", "handover"])
    var other = try Call(Self.advisor)
    other.modelSays("Hello.")
    other.promptsEnd()
    other.say("goodbye")
    #expect(other.states == ["start", "bye"])
    #expect(other.requests.count == 1)
  }

  @Test func keysThatNoTransitionTakesAreForTheModelTogether() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.press("42")
    #expect(call.requests.count == 1)
    call.wait(DialogSession.interDigitTimeout)
    #expect(context(call.requests.last).last == "user: (pressed 42)")
  }

  // MARK: Interruptions

  @Test func onlyWhatWasHeardStaysInTheContext() throws {
    var call = try Call(Self.advisor)
    call.modelSays("First sentence.", "Second sentence.", finishes: false)
    let ids = call.playing.map(\.id)
    call.promptEnds()
    call.give(.speechStarted)
    call.give(.playbackInterrupted(ids[1], heard: "Second", byCaller: true))
    #expect(call.cancelled.count == 1, "the rest of the answer is not wanted")
    call.give(.modelSentence(call.requests[0].token, "Third sentence."))
    #expect(call.said == ["First sentence.", "Second sentence."])
    call.give(.speech(HeardSpeech(transcript: "wait")))
    #expect(context(call.requests.last).suffix(2) == ["assistant: First sentence. Second", "user: wait"])
  }

  @Test func sentencesThatWereNeverBegunAreForgotten() throws {
    var call = try Call(Self.advisor)
    call.modelSays("One.", "Two.", "Three.")
    let first = try #require(call.playing.first).id
    call.give(.speechStarted)
    call.give(.playbackInterrupted(first, heard: "On", byCaller: true))
    call.give(.speech(HeardSpeech(transcript: "stop")))
    #expect(context(call.requests.last).suffix(2) == ["assistant: On", "user: stop"])
    #expect(call.actions.contains(.stop(PlaybackID(2))) && call.actions.contains(.stop(PlaybackID(3))))
  }

  @Test func wordsWhileTheModelThinksAreAnsweredTogether() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.say("the large plan")
    call.give(.speechStarted)
    #expect(call.cancelled.count == 1)
    call.give(.speech(HeardSpeech(transcript: "no the small one")))
    #expect(context(call.requests.last).last == "user: the large plan\nno the small one")
  }

  @Test func aCoughWhileTheModelThinksAsksItAgain() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.say("the large plan")
    call.give(.speechStarted)
    call.give(.noMatch)
    #expect(call.requests.count == 3)
    #expect(context(call.requests.last).last == "user: the large plan")
  }

  @Test func unintelligibleWordsGetAnAnswer() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.bargeIn()
    call.give(.noMatch)
    #expect(context(call.requests.last).last == "user: (unintelligible)")
  }

  // MARK: Tools

  @Test func toolsAreAskedWithWhatFitsTheirSchema() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.say("what is plan xl")
    call.modelCalls(("look_up_plan", #"{"name": "XL"}"#), ("look_up_plan", #"{"name": "L"}"#))
    #expect(call.hooks.map { $0.body["payload"] } == [["name": "XL"], ["name": "L"]])
    #expect(call.hooks.first?.path == "/lookup")
    call.answerHook(["data": ["price": 9]])
    #expect(call.requests.count == 2, "all calls of an answer are answered together")
    call.answerHook(["price": 5])
    #expect(
      context(call.requests.last).suffix(3) == [
        "assistant:  +[\"look_up_plan\", \"look_up_plan\"]", "tool: {\"price\":9}", "tool: {\"price\":5}",
      ])
    #expect(call.toolOutcomes == ["look_up_plan called", "look_up_plan called"])
    call.modelSays("It costs nine.")
    #expect(call.said.last == "It costs nine.")
  }

  @Test(arguments: [
    ("look_up_plan", #"{"name": 5}"#, "invalid"), ("look_up_plan", "{}", "invalid"),
    ("look_up_plan", #"{"name": "a", "b": 1}"#, "invalid"), ("look_up_plan", "not json", "invalid"),
    ("look_up_plan", "[]", "invalid"), ("rm", #"{"name": "x"}"#, "unknown"),
    ("done", #"{"plan": "x", "months": 0}"#, "invalid"), ("done", "{}", "invalid"),
  ])
  func wrongCallsDoNothingAndTheModelIsTold(_ name: String, _ arguments: String, _ outcome: String) throws {
    var call = try Call(Self.advisor)
    call.modelCalls((name, arguments))
    #expect(call.hooks.isEmpty && call.states == ["start"])
    #expect(call.toolOutcomes == ["\(name) \(outcome)"])
    #expect(context(call.requests.last).last?.hasPrefix("tool: {\"error\":") == true)
    for _ in 0..<3 { call.modelCalls((name, arguments)) }
    #expect(call.states.last == "handover", "it is not asked for ever")
    #expect(call.said.last == "I connect you.")
  }

  @Test(arguments: [
    (#"{"size": "m", "count": 2, "dates": ["2026-01-02"], "who": {"age": 30}}"#, ""),
    (#"{"size": "xs", "count": 2}"#, "`size` must be one of [\"s\",\"m\"]."),
    (#"{"size": "s", "count": 0}"#, "`count` must be at least 1."),
    (#"{"size": "s", "count": 10}"#, "`count` must be less than 10."),
    (#"{"size": "s", "count": 1.5}"#, "`count` must be integer."),
    (#"{"size": "s", "count": "2"}"#, "`count` must be integer."),
    (#"{"count": 2}"#, "`size` is missing."),
    (#"{"size": "s", "count": 2, "dates": ["tomorrow"]}"#, "`dates[0]` must fit the pattern ^[0-9-]+$."),
    (#"{"size": "s", "count": 2, "dates": ["1", "2", "3"]}"#, "`dates` has more than 2 items."),
    (#"{"size": "s", "count": 2, "who": {"age": null}}"#, "`who.age` must be number."),
    (#"{"size": "s", "count": 2, "who": {"name": "x"}}"#, "`who.name` is not known."),
    (#"{"size": "s", "count": 2, "note": "a very long note"}"#, "`note` has more than 10 characters."),
    (#"{"size": "s", "count": 2, "code": 7}"#, "`code` must be string or null."),
    (#"{"size": "s", "count": 2, "extra": 7}"#, "`extra` is not known."),
  ])
  func argumentsAreHeldAgainstTheWholeSchema(_ arguments: String, _ problem: String) throws {
    let yaml = """
      states:
        start:
          agent:
            prompt: "Help."
            tools:
              - name: order
                description: Orders
                hook: { service: shop }
                parameters:
                  type: object
                  required: [size, count]
                  additionalProperties: false
                  properties:
                    size: { type: string, enum: [s, m] }
                    count: { type: integer, minimum: 1, exclusiveMaximum: 10 }
                    dates: { type: array, maxItems: 2, items: { type: string, pattern: "^[0-9-]+$" } }
                    who: { type: object, properties: { age: { type: number } }, additionalProperties: false }
                    note: { type: string, maxLength: 10 }
                    code: { type: [string, "null"] }
            exits: [{ name: done, description: Over, target: end }]
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.modelCalls(("order", arguments))
    if problem.isEmpty {
      #expect(call.hooks.count == 1)
    } else {
      #expect(call.hooks.isEmpty)
      #expect(context(call.requests.last).last == "tool: \(JSON.encode(["error": .string(problem)]))")
    }
  }

  @Test func aFailedToolIsToldToTheModel() throws {
    var call = try Call(Self.advisor)
    call.modelCalls(("look_up_plan", #"{"name": "XL"}"#))
    call.failHook("status", status: 500)
    #expect(context(call.requests.last).last == "tool: {\"error\":\"The tool failed: status\"}")
    #expect(call.states == ["start"])
  }

  @Test func aToolThatNeverAnswersIsGivenUp() throws {
    var call = try Call(Self.advisor)
    call.modelCalls(("look_up_plan", #"{"name": "XL"}"#))
    call.wait(.seconds(4))
    #expect(context(call.requests.last).last == "tool: {\"error\":\"The tool failed: timeout\"}")
  }

  @Test func theModelAsksForKeys() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Your number please.", finishes: false)
    call.modelCalls(("ask_keys", "{}"))
    call.press("4711")
    #expect(context(call.requests.last).last == "tool: {\"digits\":\"4711\"}")
    call.modelCalls(("ask_keys", ""))
    call.press("1#")
    #expect(context(call.requests.last).last?.contains("at least 2") == true)
    call.modelCalls(("ask_keys", "{}"))
    call.wait(.seconds(6))
    #expect(context(call.requests.last).last?.contains("No keys") == true)
    call.modelCalls(("ask_keys", "{}"))
    call.say("i do not know it")
    #expect(context(call.requests.last).last == "user: i do not know it")
  }

  // MARK: Exits

  @Test func anExitTakesEffectWithoutAnotherRequest() throws {
    var call = try Call(Self.advisor)
    call.modelSays("Fine.", finishes: false)
    call.modelCalls(("done", #"{"plan": "XL", "months": 12}"#))
    #expect(call.states == ["start"], "what is said is finished first")
    #expect(call.variable("plan") == "XL" && call.variable("months") == 12)
    call.promptsEnd()
    #expect(call.states == ["start", "confirm"])
    #expect(call.said == ["Fine.", "Plan XL."])
    #expect(call.requests.count == 1)
    #expect(call.toolOutcomes == ["done exit"])
  }

  @Test func toolsOfTheSameAnswerAreDoneBeforeTheExit() throws {
    var call = try Call(Self.advisor)
    call.modelCalls(("look_up_plan", #"{"name": "XL"}"#), ("wants_human", "{}"))
    #expect(call.states == ["start"])
    call.answerHook([:])
    #expect(call.states == ["start", "handover"])
    #expect(call.requests.count == 1)
  }

  @Test func aTransitionMayTakeTheExitElsewhereOrRefuseIt() throws {
    let yaml = """
      variables: { plan: "" }
      states:
        start:
          agent:
            prompt: "Help."
            exits: [{ name: done, description: Over, extract: { plan: string }, target: one }]
          transitions:
            - { event: agent_exit, when: "exit == 'done' and data.plan == 'gold'", target: two }
            - { event: agent_exit, when: "plan == 'none'", do: [{ action: log, message: no }] }
        one: { on_enter: [{ action: play_tts, text: "One." }], terminal: true }
        two: { on_enter: [{ action: play_tts, text: "Two." }], terminal: true }
      """
    var gold = try Call(yaml)
    gold.modelCalls(("done", #"{"plan": "gold"}"#))
    #expect(gold.states == ["start", "two"])
    var silver = try Call(yaml)
    silver.modelCalls(("done", #"{"plan": "silver"}"#))
    #expect(silver.states == ["start", "one"])
    var none = try Call(yaml)
    none.modelCalls(("done", #"{"plan": "none"}"#))
    #expect(none.states == ["start"])
    #expect(none.requests.count == 2)
    #expect(context(none.requests.last).last?.contains("Not now") == true)
  }
}
