import Base
import Dialogs
import Testing

/// What keeps a model within bounds, and what it must never do.
@Suite struct AgentLimitTests {
  // MARK: Limits

  @Test(arguments: ["timeout", "unreachable", "status", "invalid_answer", "empty"])
  func aModelThatFailsLeadsToTheFallback(_ error: String) throws {
    var call = try Call(AgentStateTests.advisor)
    let token = try #require(call.requests.first).token
    call.give(.modelFailed(token, error: error, message: "no"))
    #expect(call.states == ["start", "handover"])
    #expect(call.failures == ["model"])
  }

  @Test func whatWasSaidBeforeAFailureStands() throws {
    var call = try Call(AgentStateTests.advisor)
    call.modelSays("I will look that up.", finishes: false)
    call.give(.modelFailed(call.requests[0].token, error: "timeout", message: ""))
    #expect(call.states == ["start"])
    call.promptsEnd()
    #expect(call.said == ["I will look that up.", "I connect you."])
  }

  @Test func anOwnerThatNeverAnswersDoesNotHoldTheCall() throws {
    var call = try Call(AgentStateTests.advisor)
    call.wait(.seconds(6))
    #expect(call.states == ["start", "handover"])
    #expect(call.cancelled == [ModelToken(1)])
    let count = call.actions.count
    call.give(.modelSentence(ModelToken(1), "Too late."))
    #expect(call.actions.count == count)
  }

  @Test func anEmptyAnswerIsAFailure() throws {
    var call = try Call(AgentStateTests.advisor)
    call.modelSays()
    #expect(call.states == ["start", "handover"])
  }

  @Test func withoutAFallbackTheCallerHearsAnApology() throws {
    let yaml = """
      states:
        start: { agent: { prompt: "Help.", exits: [{ name: done, description: Over, target: end }] } }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.give(.modelFailed(ModelToken(1), error: "unreachable", message: ""))
    #expect(call.said == [DialogSession.apology])
    #expect(call.hangups == ["error"])
  }

  @Test func turnsAndTimeAreLimited() throws {
    var call = try Call(AgentStateTests.advisor)
    for i in 1...4 {
      call.modelSays("Answer \(i).")
      call.promptsEnd()
      call.say("and then")
    }
    #expect(call.requests.count == 4)
    #expect(call.failures == ["agent_limit"])
    #expect(call.states == ["start", "handover"])
    var slow = try Call(AgentStateTests.advisor)
    for _ in 0..<15 {
      slow.modelSays("Yes.", finishes: false)
      slow.promptsEnd()
      slow.wait(.seconds(1))
      slow.modelSays("No.", finishes: false)
      slow.wait(.seconds(3))
      slow.promptsEnd()
      slow.give(.modelSentence(slow.requests[0].token, "More."))
      slow.wait(.seconds(5))
    }
    #expect(slow.states == ["start", "handover"])
  }

  @Test func theTimeOfTheConversationBeginsWithIt() throws {
    let yaml = """
      settings: { timeout: 10s }
      variables: { number: "" }
      states:
        start:
          on_enter: [{ action: collect_digits, max: 2, into: number, timeout: 60s }]
          agent: { prompt: "Help {{ number }}.", max_duration: 5s, fallback: end, exits: [{ name: done, description: Over, target: end }] }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.wait(.seconds(30))
    call.press("42")
    guard case .system(let text)? = call.requests.first?.messages.first else {
      Issue.record("no request")
      return
    }
    #expect(text.hasPrefix("Help 42."))
    call.wait(.seconds(5))
    #expect(call.states == ["start", "end"])
  }

  @Test func silenceAsksTheModelOnceThenLeaves() throws {
    var call = try Call(AgentStateTests.advisor)
    call.modelSays("Hello.")
    call.promptsEnd()
    call.wait(.seconds(5))
    #expect(context(call.requests.last).last == "user: (silence)")
    call.modelSays("Are you there?")
    call.promptsEnd()
    call.wait(.seconds(5))
    #expect(call.requests.count == 2)
    call.wait(.seconds(5))
    #expect(call.states == ["start", "handover"])
  }

  @Test func aFillerIsSpokenWhenTheModelTakesLong() throws {
    var quick = try Call(AgentStateTests.advisor)
    quick.wait(.milliseconds(499))
    quick.modelSays("Hello.")
    quick.wait(.seconds(1))
    #expect(quick.said == ["Hello."])
    var slow = try Call(AgentStateTests.advisor)
    slow.wait(.milliseconds(500))
    #expect(slow.said == ["One moment."])
    slow.modelSays("Hello.")
    #expect(slow.said == ["One moment.", "Hello."])
  }

  @Test func theContextIsBoundedByWholeExchanges() throws {
    let yaml = """
      states:
        start:
          agent: { prompt: "Help.", max_turns: 100, max_duration: 60m, exits: [{ name: done, description: Over, target: end }] }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    let long = String(repeating: "long words ", count: 250)
    for _ in 0..<20 {
      call.modelSays(long)
      call.promptsEnd()
      call.say(long)
    }
    let request = try #require(call.requests.last)
    let size = context(request).reduce(0) { $0 + $1.count }
    #expect(size < 25_000 && size > 15_000)
    #expect(context(request).first?.hasPrefix("user:") == true)
    #expect(context(request).last?.hasPrefix("user:") == true)
  }

  // MARK: Documents and MCP

  @Test func passagesGoIntoTheInstructionsOfTheirTurnOnly() throws {
    let yaml = """
      states:
        start:
          on_enter: [{ action: play_tts, text: "Hello." }]
          agent: { prompt: "Help.", knowledge: [tariffs], exits: [{ name: done, description: Over, target: end }] }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.promptsEnd()
    call.say("what does it cost")
    #expect(call.requests.isEmpty)
    guard case .searchKnowledge(let query, let documents, _)? = call.hooks.last?.kind else {
      Issue.record("no search")
      return
    }
    #expect(query == "what does it cost" && documents == ["tariffs"])
    call.answerHook(["passages": [["document": "tariffs", "text": "It costs nine.", "score": 1.0]]])
    guard case .system(let first)? = call.requests.last?.messages.first else { return }
    #expect(first.contains("[tariffs] It costs nine."))
    call.modelSays("Nine.")
    call.promptsEnd()
    call.say("and else")
    call.failHook("unreachable")
    guard case .system(let second)? = call.requests.last?.messages.first else { return }
    #expect(!second.contains("It costs nine."))
    #expect(call.failures == ["knowledge"])
    #expect(call.requests.count == 2)
  }

  @Test func toolsOfAServerAreOfferedAndCalled() throws {
    let yaml = """
      states:
        start:
          agent:
            prompt: "Help."
            tools: [{ mcp: office, allow: [calendar, mail] }]
            exits: [{ name: mail, description: Over, target: end }]
        end: { terminal: true }
      """
    var call = try Call(yaml)
    #expect(call.requests.isEmpty)
    #expect(call.hooks.last?.kind == .listTools && call.hooks.last?.service == "office")
    let day: Value = ["type": "object", "properties": ["day": ["type": "string"]], "required": ["day"]]
    call.answerHook([
      "tools": [
        ["name": "calendar", "description": "Days", "parameters": day], ["name": "mail"], ["name": "secret"],
        "nonsense",
      ]
    ])
    #expect(call.requests.last?.tools.map(\.name) == ["calendar", "mail"])
    #expect(call.requests.last?.tools.first?.parameters == day)
    call.modelCalls(("calendar", #"{"day": "monday"}"#))
    #expect(call.hooks.last?.kind == .callTool(name: "calendar", arguments: ["day": "monday"]))
    call.answerHook(["text": "Free at noon."])
    #expect(context(call.requests.last).last == "tool: Free at noon.")
    var broken = try Call(yaml)
    broken.failHook("unreachable")
    #expect(broken.requests.last?.tools.map(\.name) == ["mail"])
    #expect(broken.failures == ["tools"])
  }

  // MARK: What must never happen

  @Test func wordsAreNeverExpressionsOrTemplates() throws {
    var call = try Call(AgentStateTests.advisor)
    let attack = "{{ caller_name }} {{ 1 + 1 }} ${x} {{"
    call.modelSays(attack)
    call.promptsEnd()
    #expect(call.said.last == attack)
    call.say(attack)
    #expect(context(call.requests.last).last == "user: \(attack)")
    call.modelCalls(("done", JSON.encode(["plan": .string(attack)])))
    #expect(call.variable("plan") == .string(attack))
    #expect(call.said.last == "Plan \(attack).")
    #expect(call.failures == [])
  }

  @Test func secretsAreHiddenFromTheRecordOfTheConversation() throws {
    let yaml = """
      variables: { pin: { value: "", mask: true } }
      states:
        start:
          agent:
            prompt: "Help."
            tools: [{ name: ask_pin, builtin: collect_digits, max: 4, min: 4, into: pin, mask: true }]
            exits: [{ name: done, description: Over, target: end }]
        end: { terminal: true }
      """
    var call = try Call(yaml)
    call.modelCalls(("ask_pin", "{}"))
    #expect(call.session.isCollectingSecret)
    call.press("4711")
    #expect(context(call.requests.last).last?.contains("4711") == false)
    call.modelSays("Did you say 4711?")
    call.promptsEnd()
    call.say("yes 4711")
    let traces = call.actions.compactMap { if case .trace(let trace) = $0 { "\(trace)" } else { nil } }
    #expect(!traces.contains { $0.contains("4711") })
    let prompt = call.actions.compactMap { if case .say(let prompt) = $0 { prompt } else { nil } }.last
    #expect(prompt?.source == .text("Did you say 4711?") && prompt?.recordedText == "Did you say ***?")
  }

  @Test func theRecordGrowsByTheSameAmountEachTurn() throws {
    let yaml = """
      states:
        start:
          agent: { prompt: "Help.", max_turns: 100, max_duration: 60m, exits: [{ name: done, description: Over, target: end }] }
        end: { terminal: true }
      """
    var call = try Call(yaml)
    var counts: [Int] = []
    for _ in 0..<10 {
      let before = call.messages.joined().count
      call.modelSays("Yes indeed.")
      call.promptsEnd()
      call.say("go on")
      counts.append(call.messages.joined().count - before)
    }
    #expect(Set(counts.dropFirst()).count == 1)
  }
}
