import Base
import Dialogs
import Testing

/// What stands in a file arrives in the model.
@Suite struct DecodingTests {
  private func actions(_ list: String) throws -> [DialogCommand] {
    let yaml = """
      states:
        start:
          on_enter:
      \(list.split(separator: "\n").map { "      " + $0 }.joined(separator: "\n"))
          terminal: true
      """
    return try dialog(yaml).states[0].onEnter.map(\.action)
  }

  @Test func theCallIsTransferred() throws {
    let list = try actions(
      """
      - action: transfer
        target: "sip:{{ caller_id }}@example.com"
      - type: transfer
        params:
          target: "+4930123"
          mode: warm
          timeout: 1m
          headers: { X-Reason: "about {{ reason }}" }
          hold_audio: "https://example.com/music.wav"
          brief: "A caller."
      """)
    guard case .transfer(let plain) = list[0], case .transfer(let full) = list[1] else {
      throw Missing()
    }
    #expect(plain.target.source == "sip:{{ caller_id }}@example.com")
    #expect(plain.mode == .blind && plain.timeout == .seconds(30) && plain.headers.isEmpty)
    #expect(plain.holdAudio.source == "" && plain.brief.source == "")
    #expect(full.mode == .warm && full.timeout == .seconds(60))
    #expect(full.headers.map(\.name) == ["X-Reason"] && full.headers[0].value.source == "about {{ reason }}")
    #expect(full.holdAudio.source == "https://example.com/music.wav" && full.brief.source == "A caller.")
  }

  @Test func keysAndRecordings() throws {
    let list = try actions(
      """
      - { action: send_dtmf, digits: "12#" }
      - { action: send_dtmf, digits: 12, duration_ms: 250 }
      - { action: record, operation: start, channels: stereo }
      - { type: record, params: { action: pause } }
      - action: hold
      - type: unhold
      """)
    if case .sendDigits(let digits, let ms) = list[0] { #expect(digits.source == "12#" && ms == 100) }
    if case .sendDigits(let digits, let ms) = list[1] { #expect(digits.source == "12" && ms == 250) }
    if case .record(let step) = list[2] { #expect(step.operation == .start && step.channels == .stereo) }
    if case .record(let step) = list[3] { #expect(step.operation == .pause && step.channels == .mono) }
    #expect(list.count == 6)
    if case .hold = list[4], case .unhold = list[5] {} else { throw Missing() }
  }

  @Test func recordingFollowsTheSettings() throws {
    let dialog = try dialog(
      "settings: { record: caller }\nstates: { start: { on_enter: [{ action: record, operation: start }], terminal: true } }"
    )
    #expect(dialog.settings.record == .caller)
    guard case .record(let step) = dialog.states[0].onEnter[0].action else { throw Missing() }
    #expect(step.channels == .caller)
  }

  @Test func anotherDialogRuns() throws {
    let dialog = try dialog(
      """
      variables: { answer: {}, who_calls: "" }
      states:
        start:
          on_enter:
            - action: run_dialog
              name: identify
              variables: { name: who_calls, language_tag: "'en'", tries: 3 }
              into: answer
          terminal: true
      """)
    guard case .runDialog(let step) = dialog.states[0].onEnter[0].action else { throw Missing() }
    #expect(step.name == "identify" && step.into == "answer")
    #expect(step.variables.map(\.name) == ["name", "language_tag", "tries"])
    #expect(step.position.line == 6)
  }

  @Test func hooksAndPromptsTakeTheirNewKeys() throws {
    let list = try actions(
      """
      - { action: play_tts, text: "<speak>hi</speak>", ssml: true }
      - { action: call_hook, service: crm, method: PUT, headers: { X-Caller: "{{ caller_id }}" } }
      """)
    guard case .playTTS(let speak) = list[0], case .callHook(let hook) = list[1] else { throw Missing() }
    #expect(speak.isSSML)
    #expect(hook.method == "PUT" && hook.headers.map(\.name) == ["X-Caller"])
  }

  @Test func anAgentState() throws {
    let dialog = try dialog(
      """
      variables: { caller_name: "", plan: "", months: 0 }
      states:
        start:
          agent:
            prompt: "You help {{ caller_name }}."
            model: small
            temperature: 0.2
            max_tokens: 100
            max_turns: 5
            max_duration: 1m30s
            timeout: 4s
            fallback: end
            filler: "One moment."
            knowledge: [plans, prices]
            tools:
              - name: look_up
                description: Finds a plan
                parameters: { name: { type: string, description: its name }, limit: { type: integer, optional: true } }
                hook: { service: plans, path: /lookup, timeout: 3s }
              - builtin: collect_digits
                max: 4
                into: plan
              - { builtin: search_knowledge, description: Looks into the price list }
              - { mcp: calendar, allow: [free_slots] }
            exits:
              - name: done
                description: The caller has chosen
                extract: { plan: string, months: { type: integer, optional: true } }
                target: end
          transitions:
            - { event: dtmf, digits: "0", target: end }
            - event: agent_exit
              when: "exit == 'done' and data.plan == 'gold'"
              target: end
        end: { terminal: true }
      """)
    let agent = try #require(dialog.states[0].agent)
    #expect(agent.prompt.source == "You help {{ caller_name }}." && agent.model == "small")
    #expect(agent.temperature == 0.2 && agent.maxTokens == 100 && agent.maxTurns == 5)
    #expect(agent.maxDuration == .seconds(90) && agent.timeout == .seconds(4) && agent.fallback == "end")
    #expect(agent.fillers.map(\.source) == ["One moment."] && agent.knowledge == ["plans", "prices"])
    #expect(agent.tools.map(\.name) == ["look_up", "collect_digits", "search_knowledge", ""])
    guard case .hook(let hook) = agent.tools[0].work, case .collectDigits(let collect) = agent.tools[1].work,
      case .searchKnowledge = agent.tools[2].work, case .mcp("calendar", let allowed) = agent.tools[3].work
    else { throw Missing() }
    #expect(hook.service == "plans" && hook.path.source == "/lookup" && hook.timeout == .seconds(3))
    #expect(collect.max == 4 && collect.into == "plan" && allowed == ["free_slots"])
    #expect(
      agent.tools[0].parameters == [
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": [
          "name": ["type": "string", "description": "its name"], "limit": ["type": "integer"],
        ],
      ])
    #expect(agent.tools[2].description == "Looks into the price list")
    #expect(agent.exits.map(\.name) == ["done"] && agent.exits[0].target == "end")
    #expect(agent.exits[0].extract["required"] == ["plan"])
  }

  @Test func anAgentHasDefaults() throws {
    let agent = try #require(
      try dialog("states: { start: { agent: { prompt: hi, fallback: start } } }").states[0].agent)
    #expect(agent.maxTurns == 12 && agent.maxDuration == .seconds(180) && agent.maxTokens == 400)
    #expect(agent.temperature == nil && agent.timeout == nil && agent.model == "")
    #expect(agent.tools.isEmpty && agent.exits.isEmpty && agent.fillers.isEmpty && agent.knowledge.isEmpty)
  }

  @Test func aWholeSchemaIsTakenAsItIs() throws {
    let agent = try #require(
      try dialog(
        """
        states:
          start:
            agent:
              prompt: hi
              fallback: start
              tools:
                - name: book
                  description: Books
                  hook: { url: "https://example.com/x" }
                  parameters:
                    type: object
                    properties: { day: { type: string, enum: [monday, friday] }, seats: { type: integer, minimum: 1 } }
                    required: [day]
        """
      ).states[0].agent)
    #expect(
      agent.tools[0].parameters == [
        "type": "object", "required": ["day"],
        "properties": [
          "day": ["type": "string", "enum": ["monday", "friday"]], "seats": ["type": "integer", "minimum": 1],
        ],
      ])
  }

  @Test func anOutcome() throws {
    let dialog = try dialog(
      """
      variables: { ticket: "" }
      outcome:
        disposition: "{{ choose(ticket == '', 'open', 'resolved') }}"
        tags: [it, "{{ ticket }}"]
        variables: ticket
        summarize: true
        review: { prompt: "Was the caller helped?", model: judge, criteria: [politeness, accuracy] }
      states: { start: { terminal: true } }
      """)
    let outcome = try #require(dialog.outcome)
    #expect(outcome.disposition.source.hasPrefix("{{ choose") && outcome.summary.source == "")
    #expect(outcome.tags.map(\.source) == ["it", "{{ ticket }}"] && outcome.variables == ["ticket"])
    #expect(outcome.summarize)
    let review = try #require(outcome.review)
    #expect(review.prompt == "Was the caller helped?" && review.model == "judge")
    #expect(review.criteria == ["politeness", "accuracy"])
  }

  @Test func noOutcomeUnlessAsked() throws {
    #expect(try dialog("states: { start: { terminal: true } }").outcome == nil)
  }

  @Test func exitsAndFallbackAreWays() throws {
    let outcome = try load(
      """
      states:
        start:
          agent:
            prompt: hi
            exits: [{ name: a, description: x, target: one }]
            fallback: two
        one: { terminal: true }
        two: { terminal: true }
      """)
    #expect(outcome.diagnostics.map(\.description) == [])
  }
}

private struct Missing: Error {}

/// What is wrong among dialogs that are loaded together.
@Suite struct LinkTests {
  private func linked(_ files: [String: String]) throws -> [Diagnostic] {
    let dialogs = try files.keys.sorted().map { try #require(try load(files[$0] ?? "", file: "\($0).yaml").dialog) }
    return DialogLoader.link(dialogs)
  }

  private func running(_ name: String, _ more: String = "") -> String {
    "states: { start: { on_enter: [{ action: run_dialog, name: \(name)\(more) }], terminal: true } }"
  }

  private let leaf = "variables: { city: \"\", tries: 0 }\nstates: { start: { terminal: true } }"

  @Test func subDialogsMustExist() throws {
    let found = try linked(["a": running("laef"), "leaf": leaf])
    #expect(found.map(\.code) == ["D048"])
    #expect(found.first?.file == "a.yaml" && found.first?.position?.line == 1)
    #expect(found.first?.hint == "did you mean `leaf`?" && found.first?.severity == .warning)
    #expect(try linked(["a": running("leaf"), "leaf": leaf]) == [])
  }

  @Test func subDialogsMustHaveTheVariablesTheyAreGiven() throws {
    let unknown = try linked(["a": running("leaf", ", variables: { town: \"'x'\" }"), "leaf": leaf])
    #expect(unknown.map(\.code) == ["D050"])
    let wrong = try linked(["a": running("leaf", ", variables: { tries: \"'x'\" }"), "leaf": leaf])
    #expect(wrong.map(\.code) == ["D050"] && wrong.first?.message.contains("holds a number") == true)
    #expect(try linked(["a": running("leaf", ", variables: { city: \"'x'\", tries: 2 }"), "leaf": leaf]) == [])
  }

  @Test func dialogsMustNotRunThemselves() throws {
    #expect(try linked(["a": running("a")]).map(\.code) == ["D049"])
    let circle = try linked(["a": running("b"), "b": running("c"), "c": running("b")])
    #expect(circle.map(\.code) == ["D049"])
    #expect(circle.first?.message.contains("b -> c -> b") == true)
    #expect(try linked(["a": running("c"), "b": running("c"), "c": leaf]) == [])
  }

  @Test func oneRuleIsForOneDialog() throws {
    let rule = "routing: { match: [{ sip_to: \"sip:SALES@*\" }, { trunk: main }] }\n"
    let other = "routing: { match: [{ sip_to: \"sip:sales@*\" }] }\n"
    let found = try linked(["a": rule + leaf, "b": other + leaf])
    #expect(found.map(\.code) == ["D051"])
    #expect(found.first?.file == "b.yaml" && found.first?.message.contains("a.yaml") == true)
    #expect(try linked(["a": rule + leaf, "b": "routing: { match: [{ sip_to: \"sip:x@*\" }] }\n" + leaf]) == [])
  }
}
