import Base
import Dialogs
import Settings
import Testing

@Suite struct WorkflowImportTests {
  private func convert(_ json: String, name: String = "", tools: String = "null") throws -> WorkflowImport.Outcome {
    try WorkflowImport.convert(try JSON.decode(json), name: name, tools: try JSON.decode(tools))
  }

  /// The dialog of an import, which must have no errors.
  private func loaded(_ outcome: WorkflowImport.Outcome, sourceLocation: SourceLocation = #_sourceLocation) throws
    -> Dialog
  {
    let loaded = DialogLoader.load(try YAML.read(outcome.yaml, file: "imported.yaml"), file: "imported.yaml")
    let errors = loaded.diagnostics.filter { $0.severity == .error }.map(\.description)
    return try #require(
      loaded.dialog, "\(errors.joined(separator: "\n"))\n\(outcome.yaml)", sourceLocation: sourceLocation)
  }

  private func lines(_ outcome: WorkflowImport.Outcome) -> [String] { outcome.notes.map(\.description) }

  @Test(arguments: [Workflows.clinic, Workflows.circle, Workflows.smallest])
  func theDialogHasNoErrors(_ json: String) throws {
    let outcome = try convert(json, tools: Workflows.clinicTools)
    let dialog = try loaded(outcome)
    #expect(dialog.states.count == outcome.stateCount)
    #expect(dialog.name == outcome.name)
  }

  @Test func theConversationKeepsItsShape() throws {
    let dialog = try loaded(try convert(Workflows.clinic, tools: Workflows.clinicTools))
    #expect(dialog.name == "clinic_intake")
    #expect(dialog.initialState == "before_call")
    let greeting = try #require(dialog.state(named: "greeting"))
    let agent = try #require(greeting.agent)
    #expect(greeting.listen.bargeIn == false)
    #expect(agent.prompt.source.hasPrefix("You are Kim, calm and brief."))
    #expect(agent.prompt.source.hasSuffix("Find out why {{ first_name }} calls. We are open {{ opening_hours }}."))
    #expect(agent.exits.map(\.name) == ["wants_a_visit", "wants_a_visit_2"])
    #expect(agent.exits.map(\.description) == ["The caller wants to come by.", "The caller wants nothing."])
    #expect(agent.exits.map(\.target) == ["greeting_to_book_the_visit", "goodbye"])
    #expect(greeting.onEnter.count == 2)
    guard case .silence(.milliseconds(1_500)) = greeting.onEnter[0].action,
      case .playTTS(let hello) = greeting.onEnter[1].action
    else {
      Issue.record("no silence and greeting")
      return
    }
    #expect(hello.text.source == "Hello {{ first_name | default('there') }}, this is {{ clinic_name }}.")
    let goodbye = try #require(dialog.state(named: "goodbye")?.agent)
    #expect(goodbye.prompt.source == "Thank them and say goodbye.")
    #expect(goodbye.exits.map(\.target) == ["call_ended"])
    #expect(dialog.state(named: "call_ended")?.isTerminal == true)
    #expect(dialog.settings.timeout == .seconds(8))
    #expect(agent.maxDuration == .seconds(420))
  }

  @Test func wordsOfAnEdgeAreSaidOnTheWay() throws {
    let dialog = try loaded(try convert(Workflows.clinic, tools: Workflows.clinicTools))
    let between = try #require(dialog.state(named: "greeting_to_book_the_visit"))
    guard case .playTTS(let speech) = between.onEnter.first?.action,
      case .goto("book_the_visit") = between.onEnter.last?.action
    else {
      Issue.record("no words and way")
      return
    }
    #expect(speech.text.source == "Let me look at the calendar, {{ first_name }}.")
  }

  @Test func variablesAreDeclaredWithTheirTypes() throws {
    let dialog = try loaded(try convert(Workflows.clinic, tools: Workflows.clinicTools))
    let initial = Dictionary(uniqueKeysWithValues: dialog.variables.map { ($0.name, $0.initial) })
    #expect(
      initial == [
        "clinic_name": "North Clinic", "opening_hours": "8 to 16", "first_name": "", "doctor": [:], "visit_day": "",
        "the_status": false, "party": 0, "end_call_reason": "",
      ])
    #expect(dialog.outcome?.variables == ["visit_day", "the_status", "party"])
    #expect(dialog.outcome?.disposition.source == "{{ end_call_reason }}")
    #expect(dialog.outcome?.review?.prompt == "Was the caller treated well? {transcript}")
    let exits = try #require(dialog.state(named: "book_the_visit")?.agent?.exits)
    let schema = exits[0].extract
    #expect(schema["properties"]?["visit_day"]?["description"] == "The agreed weekday")
    #expect(schema["properties"]?["the_status"]?["type"] == "boolean")
    #expect(schema["properties"]?["party"]?["type"] == "number")
  }

  @Test func toolsBecomeHooksServersAndExits() throws {
    let dialog = try loaded(try convert(Workflows.clinic, tools: Workflows.clinicTools))
    let agent = try #require(dialog.state(named: "book_the_visit")?.agent)
    #expect(agent.tools.count == 2)
    #expect(agent.tools[0].name == "find_slots")
    #expect(agent.tools[0].description == "Free times of a day")
    #expect(agent.tools[0].parameters["required"] == ["day"])
    #expect(agent.tools[0].parameters["properties"]?["late"]?["type"] == "boolean")
    guard case .hook(let hook) = agent.tools[0].work, case .mcp("calendar", let allow) = agent.tools[1].work else {
      Issue.record("\(agent.tools)")
      return
    }
    #expect(hook.url.source == "https://slots.example/{{ clinic_name }}/free")
    #expect(hook.method == "GET")
    #expect(hook.timeout == .milliseconds(2_500))
    #expect(hook.headers.map(\.name) == ["X-Key"])
    #expect(allow == ["list_slots", "book_slot"])
    #expect(agent.exits.map(\.name) == ["done", "hang_up", "front_desk"])
    #expect(agent.exits.map(\.target) == ["goodbye", "hang_up_goodbye", "book_the_visit_transfer"])
    #expect(agent.exits[1].extract["properties"]?["end_call_reason"]?["type"] == "string")
    let transfer = try #require(dialog.state(named: "book_the_visit_transfer"))
    guard case .transfer(let step) = transfer.onEnter.last?.action else {
      Issue.record("no transfer")
      return
    }
    #expect(step.target.source == "desk")
    #expect(step.timeout == .seconds(25))
    #expect(transfer.transitions.map(\.target) == ["call_ended", "book_the_visit"])
  }

  @Test func webhooksAreSentWhenTheCallIsOver() throws {
    let dialog = try loaded(try convert(Workflows.clinic, tools: Workflows.clinicTools))
    let hangup = try #require(dialog.transitions.first { $0.event == "hangup" })
    #expect(hangup.actions.count == 1)
    guard case .callHook(let hook) = hangup.actions[0].action, case .map(let payload)? = hook.payload else {
      Issue.record("no hook")
      return
    }
    #expect(hook.url.source == "https://crm.example/calls")
    #expect(hook.method == "PUT")
    #expect(hook.isAsync)
    #expect(hook.headers.map(\.value.source) == ["voice {{ clinic_name }}"])
    #expect(payload.map(\.key) == ["call", "day", "nested", "tape"])
    guard case .template(let call) = payload[0].value, case .template(let tape) = payload[3].value else {
      Issue.record("\(payload)")
      return
    }
    #expect(call.source == "{{ session_id }}")
    #expect(tape.source == "{{ '' }}")
  }

  @Test func everythingThatIsLostIsSaid() throws {
    let notes = try convert(Workflows.clinic, tools: Workflows.clinicTools).notes
    func has(_ kind: WorkflowImport.Note.Kind, _ place: String, _ key: String) -> Bool {
      notes.contains { $0.kind == kind && $0.place.hasPrefix(place) && $0.key == key }
    }
    #expect(has(.lost, "workflow", "smart_turn_stop_secs"))
    #expect(has(.lost, "workflow", "call_disposition_codes"))
    #expect(has(.changed, "workflow", "max_call_duration"))
    #expect(has(.lost, "node 1 (Greeting)", "credential_uuid"))
    #expect(has(.changed, "node 1", "pre_call_fetch_url"))
    #expect(has(.lost, "node 2", "document_uuids"))
    #expect(has(.lost, "node 2", "tool_uuids"))
    #expect(has(.changed, "node 2", "extraction_variables"))
    #expect(has(.lost, "node 5 (CRM)", "credential_uuid"))
    #expect(has(.lost, "node 5", "payload_template"))
    #expect(has(.changed, "node 5", "payload_template"))
    #expect(has(.lost, "node 5", "retry_config"))
    #expect(has(.lost, "node 6", "enabled"))
    #expect(has(.lost, "node 7", ""))
    #expect(has(.lost, "node 8", "qa_min_call_duration"))
    #expect(has(.changed, "node 8", "qa_system_prompt"))
    #expect(has(.lost, "node 9", "type"))
    #expect(has(.lost, "edge 2-9", ""))
    #expect(has(.changed, "workflow", "globalNode"))
    #expect(has(.lost, "tool t-http (Find Slots!)", "credential_uuid"))
    #expect(has(.lost, "tool t-http", "parameters"))
    #expect(has(.lost, "tool t-http", "preset_parameters"))
    #expect(has(.lost, "tool t-http", "customMessage"))
    #expect(has(.lost, "tool t-http", "headers"))
    #expect(has(.changed, "tool t-mcp", "url"))
    #expect(has(.changed, "tool t-transfer", "destination"))
    #expect(has(.lost, "tool t-calc", "type"))
    // Nothing is said twice, and nothing about what is only drawing.
    #expect(Set(notes).count == notes.count)
    #expect(!notes.contains { ["viewport", "position", "invalid", "selected_through_edge"].contains($0.key) })
  }

  @Test func aCircleWithoutAnEndIsNoProblem() throws {
    let outcome = try convert(Workflows.circle, name: "circle")
    let dialog = try loaded(outcome)
    #expect(dialog.initialState == "wait_for_caller")
    #expect(dialog.state(named: "wait_for_caller")?.transitions.map(\.target) == ["node_1", "node_1", "node_1"])
    #expect(dialog.states.map(\.name) == ["wait_for_caller", "node_1", "ask", "ask_2", "end", "model_failed"])
    let ask = try #require(dialog.state(named: "ask")?.agent)
    #expect(ask.prompt.source == "Ask \"why\"; use 'quotes', #hashes & *stars*: all.")
    #expect(ask.exits.map(\.description) == ["two", "done"])
    let second = try #require(dialog.state(named: "ask_2")?.agent)
    #expect(second.prompt.source == "Line one\n  - item {{ a['b[0]'] }}\n\tTab {{ '{{' }}x")
    #expect(second.exits.map(\.name) == ["exit_1"])
    #expect(second.exits.map(\.target) == ["node_1"])
    #expect(dialog.state(named: "end")?.isTerminal == true)
    #expect(dialog.variables.first { $0.name == "name" }?.initial == .null)
    let said = lines(outcome)
    #expect(said.contains("edge 4: lost: the node 77 does not exist or was left out"))
    #expect(said.contains("edge 5: lost: a conversation cannot go from endCall to startCall"))
    #expect(said.contains { $0.hasPrefix("edge 2: added: `condition`") })
  }

  @Test func anAgentWithoutAWayOutMayEndTheCall() throws {
    let outcome = try convert(Workflows.smallest)
    let dialog = try loaded(outcome)
    #expect(dialog.state(named: "start")?.agent?.exits.map(\.target) == ["call_ended"])
    #expect(lines(outcome).contains { $0.hasPrefix("node 1 (Start): added:") })
  }

  @Test(
    arguments: [
      ("[]", "must be an object"), ("{}", "no list `nodes`"), (#"{"nodes": {}}"#, "no list `nodes`"),
      (#"{"nodes": []}"#, "no nodes"), (#"{"nodes": [1, null, "x"]}"#, "no startCall"),
      (#"{"nodes": [{"id": "1", "type": "webhook"}]}"#, "no startCall"),
      (#"{"workflow_definition": {"nodes": "many"}}"#, "no list `nodes`"),
    ]) func whatIsNoWorkflowIsRefused(_ json: String, _ words: String) throws
  {
    let document = try JSON.decode(json)
    #expect { try WorkflowImport.convert(document) } throws: { "\($0)".contains(words) }
  }

  @Test func tooManyNodesAreRefused() throws {
    let node = #"{"id": "N", "type": "agentNode", "data": {"name": "Node", "prompt": "p"}}"#
    func json(_ count: Int) -> String {
      let nodes = (0..<count).map { node.replacing("\"N\"", with: "\"\($0)\"") }.joined(separator: ",")
      let edges = (1..<count).map {
        #"{"source": "\#($0 - 1)", "target": "\#($0)", "data": {"label": "l", "condition": "c"}}"#
      }
      return #"{"nodes": [\#(nodes)], "edges": [\#(edges.joined(separator: ","))]}"#
    }
    #expect(try loaded(try convert(json(500))).states.count == 502)
    let document = try JSON.decode(json(501))
    #expect { try WorkflowImport.convert(document) } throws: { "\($0)".contains("501 nodes") }
  }

  @Test func hugeTextsAreCutAndSaid() throws {
    let long = String(repeating: "{{name}} speaks. ", count: 6_000)
    let json = Value.map([
      "nodes": [
        [
          "id": "1", "type": "startCall",
          "data": ["name": .string(long), "prompt": .string(long), "greeting": .string(long)],
        ]
      ]
    ])
    let outcome = try WorkflowImport.convert(json)
    _ = try loaded(outcome)
    #expect(outcome.notes.contains { $0.key == "prompt" && $0.kind == .lost && $0.reason.contains("cut") })
    #expect(outcome.notes.contains { $0.key == "greeting" && $0.kind == .lost && $0.reason.contains("cut") })
  }

  @Test func dataThatNoYAMLHoldsIsLeftOutAndSaid() throws {
    let long = String(repeating: "k", count: 2_000)
    var deep: Value = 1
    for _ in 0..<50 { deep = ["inner": deep] }
    let outcome = try WorkflowImport.convert([
      "nodes": [["id": "1", "type": "startCall", "data": ["name": "Start", "prompt": "Hi"]]],
      "template_context_variables": ["plain": .map([long: 1, "a\u{FEFF}": 2, "a": 3]), "deep": deep],
    ])
    let dialog = try loaded(outcome)
    #expect(dialog.variables.first { $0.name == "plain" }?.initial == ["a": 3])
    #expect(outcome.notes.contains { $0.reason.contains("256 bytes") })
    #expect(outcome.notes.contains { $0.reason.contains("nested deeper") })
  }

  /// Workflows damaged at random give a dialog without errors, or one sentence; never a crash.
  @Test func damagedWorkflowsNeverGiveBrokenDialogs() throws {
    var random = SeededRandom(seed: 11)
    let base = [
      try JSON.decode(Workflows.clinic), try JSON.decode(Workflows.circle), try JSON.decode(Workflows.smallest),
    ]
    let tools = try JSON.decode(Workflows.clinicTools)
    var imported = 0
    for round in 0..<3_000 {
      var json = base[Int.random(in: 0..<base.count, using: &random)]
      for _ in 0..<Int.random(in: 1...12, using: &random) { json = random.damaged(json) }
      let usedTools = round % 2 == 0 ? tools : random.damaged(tools)
      do {
        let outcome = try WorkflowImport.convert(json, tools: usedTools)
        imported += 1
        let loaded = DialogLoader.load(try YAML.read(outcome.yaml, file: "x.yaml"), file: "x.yaml")
        #expect(loaded.dialog != nil, "round \(round): \(loaded.diagnostics.map(\.description))\n\(JSON.encode(json))")
      } catch let failure as WorkflowImport.Failure {
        #expect(!failure.description.isEmpty)
      }
    }
    #expect(imported > 500)
  }

  @Test func theSameWorkflowGivesTheSameDialog() throws {
    let first = try convert(Workflows.clinic, tools: Workflows.clinicTools)
    for _ in 0..<5 {
      let again = try convert(Workflows.clinic, tools: Workflows.clinicTools)
      #expect(again.yaml == first.yaml)
      #expect(again.notes == first.notes)
    }
  }
}

extension SeededRandom {
  /// The same data with one thing in it that does not belong there.
  fileprivate mutating func damaged(_ value: Value) -> Value {
    if Int.random(in: 0..<12, using: &self) == 0 { return strange() }
    switch value {
    case .list(var items) where !items.isEmpty:
      let index = Int.random(in: 0..<items.count, using: &self)
      switch Int.random(in: 0..<8, using: &self) {
      case 0: items.remove(at: index)
      case 1: items.append(items[index])
      default: items[index] = damaged(items[index])
      }
      return .list(items)
    case .map(var map) where !map.isEmpty:
      let keys = map.keys.sorted()
      let key = keys[Int.random(in: 0..<keys.count, using: &self)]
      switch Int.random(in: 0..<12, using: &self) {
      case 0: map[key] = nil
      case 1: map[strange().stringValue ?? "new"] = map[key]
      default: map[key] = damaged(map[key] ?? .null)
      }
      return .map(map)
    default: return strange()
    }
  }

  private mutating func strange() -> Value {
    let texts = [
      "", " ", "{{", "}}", "{{ }}", "{{a b}}", "{{.x}}", "{{ .Variables.x }}", "{{x|}}", "{{x | fallback:it's}}",
      "{{1}}",
      "{{initial_context.}}", "{{a..b}}", "{{é.ü}}", "{{status}}", "{{ if }}", "\0", "a\u{FEFF}b", "- x: y\n  z", "#",
      "true",
      "0", "~", "{{x['y']}}", "https://a.example/{{q}}", "*x: &y", "\u{1F600}", "{% if x %}", "{{ '{{' }}", "a\\b'c\"d",
      String(repeating: "long ", count: 300), "{{and}}", "{{a-b}}", "{{current_time_Europe/Berlin}}", "PJSIP/x",
    ]
    switch Int.random(in: 0..<10, using: &self) {
    case 0: return .null
    case 1: return .bool(.random(using: &self))
    case 2: return .int(.random(in: -5...100_000, using: &self))
    case 3: return .double(.random(in: -1e9...1e9, using: &self))
    case 4: return .list([.string(texts[Int.random(in: 0..<texts.count, using: &self)])])
    case 5: return .map([texts[Int.random(in: 0..<texts.count, using: &self)]: "x"])
    default: return .string(texts[Int.random(in: 0..<texts.count, using: &self)])
    }
  }
}
