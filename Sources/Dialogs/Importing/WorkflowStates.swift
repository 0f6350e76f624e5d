import Base

/// The states of the nodes that the conversation goes through.
extension WorkflowConversion {
  /// Exits and tools of one state; a model that may choose among more chooses badly.
  private static let choiceLimit = 30

  private static let promptedKeys: Set<String> = [
    "prompt", "is_static", "static_text", "allow_interrupt", "add_global_prompt", "extraction_enabled",
    "extraction_prompt", "extraction_variables", "tool_uuids", "document_uuids", "mcp_tool_filters",
  ]
  private static let startKeys: Set<String> = [
    "greeting", "greeting_type", "greeting_recording_id", "delayed_start", "delayed_start_duration",
    "wait_for_user_response", "wait_for_user_response_timeout", "wait_for_user_greeting", "detect_voicemail",
    "pre_call_fetch_enabled", "pre_call_fetch_url", "pre_call_fetch_credential_uuid",
  ]

  mutating func addStates(of node: WorkflowNode) {
    let name = stateNames[node.id] ?? ""
    var onEnter = opening(of: node)
    let prompt: String
    if node.flag("is_static") == true || !node.text("static_text").isEmpty {
      let key = node.text("static_text").isEmpty ? "prompt" : "static_text"
      let said = text(node.text(key), node.place, key)
      onEnter.append(Self.say(said))
      if node.kind == .end, extraction(of: node) == nil {
        noteRest(of: node, known: Self.promptedKeys)
        return add(name, [(key: "on_enter", value: .list(onEnter)), (key: "terminal", value: true)])
      }
      prompt = [
        globalPrompt(for: node), "You have just said: \(said)", "Choose the way out that fits the caller's answer.",
      ]
      .filter { !$0.isEmpty }.joined(separator: "\n\n")
    } else {
      prompt = instructions(of: node)
    }
    let exits = exits(of: node, state: name)
    let tools = tools(of: node, state: name, taken: exits.names)
    var agent: Pairs = [(key: "prompt", value: .text(prompt))]
    if !tools.tools.isEmpty { agent.append((key: "tools", value: .list(tools.tools))) }
    agent.append((key: "exits", value: .list(exits.exits + tools.exits)))
    // The workflow knew no such limits; the language's defaults would end its longer conversations.
    agent.append((key: "max_turns", value: 100))
    agent.append((key: "max_duration", value: .text(maxDuration)))
    agent.append((key: "fallback", value: .text(fallback())))
    var state: Pairs = []
    if !onEnter.isEmpty { state.append((key: "on_enter", value: .list(onEnter))) }
    if node.flag("allow_interrupt") == false { state.append((key: "listen", value: .inline(["barge_in": false]))) }
    state.append((key: "agent", value: .map(agent)))
    if node.flag("detect_voicemail") == true {
      let transition: YAMLNode = ["event": "amd_result", "when": "status == 'machine'", "target": .text(end())]
      state.append((key: "transitions", value: [transition]))
    }
    add(name, state)
    if let documents = node.data["document_uuids"], !WorkflowGraph.isNothing(documents) {
      note(.lost, node.place, "document_uuids", "load the documents into the gateway and name them in `knowledge`")
    }
    noteRest(of: node, known: node.kind == .start ? Self.promptedKeys.union(Self.startKeys) : Self.promptedKeys)
  }

  // MARK: Words

  /// What is said before the model has the word.
  private mutating func opening(of node: WorkflowNode) -> [YAMLNode] {
    guard node.kind == .start else { return [] }
    var actions: [YAMLNode] = []
    if node.flag("delayed_start") == true {
      if let duration = Self.seconds(node.data["delayed_start_duration"] ?? 2, in: 0.001...60) {
        actions.append(["action": "silence", "duration": .text(duration)])
      } else {
        note(.lost, node.place, "delayed_start_duration", "a silence lasts at most 60 seconds")
      }
    }
    if node.text("greeting_type") == "audio" || !node.text("greeting_recording_id").isEmpty,
      node.text("greeting").isEmpty
    {
      note(.lost, node.place, "greeting_recording_id", "put the recording into the object store and add `play_audio`")
    }
    let greeting = node.text("greeting")
    if !greeting.isEmpty { actions.append(Self.say(text(greeting, node.place, "greeting"))) }
    return actions
  }

  private mutating func globalPrompt(for node: WorkflowNode) -> String {
    guard node.flag("add_global_prompt") != false, !globalPrompt.isEmpty else { return "" }
    return text(globalPrompt, "workflow", "globalNode")
  }

  private mutating func instructions(of node: WorkflowNode) -> String {
    var parts = [globalPrompt(for: node), text(node.text("prompt"), node.place, "prompt", limit: 24_000)]
    if node.flag("extraction_enabled") == true {
      parts.append(text(node.text("extraction_prompt"), node.place, "extraction_prompt", limit: 4_000))
    }
    let prompt = parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
    guard prompt.isEmpty else { return shortened(prompt, node) }
    note(.added, node.place, "prompt", "the node has no prompt, but a model needs one")
    return "Lead a friendly, short conversation."
  }

  private mutating func shortened(_ prompt: String, _ node: WorkflowNode) -> String {
    let limit = 32_768
    guard prompt.utf8.count > limit else { return prompt }
    note(
      .lost, node.place, "prompt", "with the global prompt it is longer than \(limit) bytes; the global one is left out"
    )
    return text(node.text("prompt"), node.place, "prompt", limit: 24_000)
  }

  // MARK: Ways out

  /// What the model has to hand over on the way out: JSON Schema by name; nil for nothing.
  private mutating func extraction(of node: WorkflowNode) -> YAMLNode? {
    guard node.flag("extraction_enabled") == true, case .list(let list)? = node.data["extraction_variables"] else {
      return nil
    }
    var pairs: Pairs = []
    for item in list {
      guard let key = item["name"]?.stringValue, !key.isEmpty, key.utf8.count <= 200 else {
        note(.lost, node.place, "extraction_variables", "an entry has no `name`")
        continue
      }
      let type = item["type"]?.stringValue ?? "string"
      let initial: Value
      switch type {
      case "string": initial = ""
      case "number": initial = 0
      case "boolean": initial = false
      default:
        note(.changed, node.place, "extraction_variables", "`\(key)` has the unknown type `\(type)`; it is text here")
        initial = ""
      }
      let name = variable(key, asMap: false, node.place, "extraction_variables")
      guard !pairs.contains(where: { $0.key == name }) else { continue }
      if !variables.declare(key, initial: initial) {
        note(
          .changed, node.place, "extraction_variables", "`\(key)` has another type elsewhere; here it takes any value")
      }
      if !extracted.contains(name) { extracted.append(name) }
      var schema: Pairs = [(key: "type", value: .text(initial == "" ? "string" : type))]
      if let hint = item["prompt"]?.stringValue, !hint.isEmpty {
        schema.append((key: "description", value: .text(plain(hint, node.place, "extraction_variables"))))
      }
      pairs.append((key: name, value: schema.count == 1 ? .inline(.map(schema)) : .map(schema)))
    }
    return pairs.isEmpty ? nil : .map(pairs)
  }

  private mutating func exits(of node: WorkflowNode, state: String) -> (exits: [YAMLNode], names: WorkflowNames) {
    var names = WorkflowNames(limit: 64, reserved: ["collect_digits", "search_knowledge"])
    var exits: [YAMLNode] = []
    let extraction = extraction(of: node)
    func exit(_ name: String, _ description: String, _ target: String) -> YAMLNode {
      var exit: Pairs = [(key: "name", value: .text(name)), (key: "description", value: .text(description))]
      if let extraction { exit.append((key: "extract", value: extraction)) }
      return .map(exit + [(key: "target", value: .text(target))])
    }
    for edge in graph.edges where edge.source == node.id {
      guard exits.count < Self.choiceLimit else {
        note(.lost, edge.place, "", "the node has more than \(Self.choiceLimit) ways out")
        continue
      }
      var description = plain(edge.condition, edge.place, "condition")
      if description.isEmpty {
        note(.added, edge.place, "condition", "there is no condition; its label says when to take it")
        description = plain(edge.label, edge.place, "label")
      }
      let name = names.take(edge.label, fallback: "exit_\(exits.count + 1)")
      exits.append(exit(name, description.isEmpty ? "The step is done." : description, target(of: edge, from: state)))
    }
    if exits.isEmpty {
      if node.kind != .end { note(.added, node.place, "", "no edge leads out of it; the model may end the call there") }
      let description = node.kind == .end ? "You have said goodbye." : "The conversation is over."
      exits.append(exit(names.take("end_call", fallback: "end_call"), description, end()))
    }
    return (exits, names)
  }

  /// The state that an edge leads to: its node's, or one that says the words of the edge first.
  private mutating func target(of edge: WorkflowEdge, from state: String) -> String {
    let target = stateNames[edge.target] ?? ""
    let known: Set<String> = [
      "label", "condition", "transition_speech", "transition_speech_type", "transition_speech_recording_id", "invalid",
      "validationMessage",
    ]
    for key in edge.data.keys.sorted() where !known.contains(key) {
      if let value = edge.data[key], !WorkflowGraph.isNothing(value) {
        note(.lost, edge.place, key, "nothing here reads it")
      }
    }
    if let recording = edge.data["transition_speech_recording_id"], !WorkflowGraph.isNothing(recording) {
      note(
        .lost, edge.place, "transition_speech_recording_id",
        "put the recording into the object store and add `play_audio` to the target's on_enter")
    }
    guard let speech = edge.data["transition_speech"]?.stringValue, !speech.isEmpty else { return target }
    return addState(
      "\(state)_to_\(target)",
      [
        (
          key: "on_enter",
          value: [
            Self.say(text(speech, edge.place, "transition_speech")), ["action": "goto", "target": .text(target)],
          ]
        )
      ])
  }

  // MARK: Tools

  private mutating func tools(
    of node: WorkflowNode, state: String, taken: WorkflowNames
  ) -> (tools: [YAMLNode], exits: [YAMLNode]) {
    guard case .list(let list)? = node.data["tool_uuids"] else { return ([], []) }
    var names = taken
    var tools: [YAMLNode] = [], exits: [YAMLNode] = []
    for item in list {
      guard let id = item.stringValue else {
        note(.lost, node.place, "tool_uuids", "an entry is no text")
        continue
      }
      guard let tool = graph.tools[id] else {
        note(
          .lost, node.place, "tool_uuids", "the tool \(id) is not defined in the file; add its definition with --tools")
        continue
      }
      guard tools.count + exits.count < Self.choiceLimit else {
        note(.lost, node.place, "tool_uuids", "the node has more than \(Self.choiceLimit) tools")
        break
      }
      switch tool.kind {
      case "http_api": if let tool = httpTool(tool, &names) { tools.append(tool) }
      case "mcp": tools.append(mcpTool(tool, filters: node.data["mcp_tool_filters"]))
      case "end_call": exits.append(endTool(tool, &names))
      case "transfer_call": if let exit = transferTool(tool, &names, from: state) { exits.append(exit) }
      default: note(.lost, tool.place, "type", "nothing here does what `\(tool.kind)` does; write a hook for it")
      }
    }
    return (tools, exits)
  }
}
