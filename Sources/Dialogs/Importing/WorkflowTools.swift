import Base

/// Tools of a workflow: requests become hooks, and what ends or hands over the call becomes an exit.
extension WorkflowConversion {
  private mutating func described(_ tool: WorkflowTool) -> String {
    tool.description.isEmpty ? tool.name : plain(tool.description, tool.place, "description")
  }

  /// Configuration that nothing reads.
  private mutating func noteRest(of tool: WorkflowTool, known: Set<String>) {
    for key in tool.config.keys.sorted() where !known.contains(key) {
      guard let value = tool.config[key], !WorkflowGraph.isNothing(value), value != .bool(false), value != "none" else {
        continue
      }
      note(.lost, tool.place, key, "nothing here reads it")
    }
  }

  mutating func httpTool(_ tool: WorkflowTool, _ names: inout WorkflowNames) -> YAMLNode? {
    guard
      var hook = hook(url: tool.config["url"]?.stringValue ?? "", method: tool.config["method"], tool.place, "url")
    else { return nil }
    if case .map(let fields)? = tool.config["headers"], let headers = headers(fields, tool.place, "headers") {
      hook.append(headers)
    }
    if let timeout = tool.config["timeout_ms"]?.doubleValue,
      let duration = Self.seconds(.double(timeout / 1_000), in: 0.1...3_600)
    {
      hook.append((key: "timeout", value: .text(duration)))
    }
    credential(tool.config["credential_uuid"], tool.place)
    note(
      .changed, tool.place, "url",
      "the body is a hook request (docs/dialogs/language.md); the model's arguments are its `payload`")
    for key in ["preset_parameters", "body_template"] {
      guard let value = tool.config[key], !WorkflowGraph.isNothing(value) else { continue }
      note(.lost, tool.place, key, "the backend finds the dialog's variables in `variables` of the request")
    }
    for key in ["customMessage", "customMessageRecordingId"] {
      guard let value = tool.config[key], !WorkflowGraph.isNothing(value) else { continue }
      note(.lost, tool.place, key, "what is said meanwhile is `filler` of the agent")
    }
    noteRest(
      of: tool,
      known: [
        "url", "method", "headers", "timeout_ms", "credential_uuid", "parameters", "preset_parameters", "body_template",
        "customMessage", "customMessageType", "customMessageRecordingId",
      ])
    var out: Pairs = [
      (key: "name", value: .text(names.take(tool.name, fallback: "tool"))),
      (key: "description", value: .text(described(tool))),
    ]
    if let parameters = parameters(of: tool) { out.append((key: "parameters", value: parameters)) }
    return .map(out + [(key: "hook", value: .map(hook))])
  }

  /// JSON Schema of the arguments; nil for none.
  private mutating func parameters(of tool: WorkflowTool) -> YAMLNode? {
    guard case .list(let list)? = tool.config["parameters"] else { return nil }
    var properties: Pairs = []
    var required: [YAMLNode] = []
    let known: Set<String> = ["string", "number", "boolean", "object", "array"]
    for item in list {
      guard let name = item["name"]?.stringValue, !name.isEmpty, name.utf8.count <= 64,
        DialogDecoder.isIdentifier(name), !properties.contains(where: { $0.key == name }), properties.count < 50
      else {
        note(.lost, tool.place, "parameters", "an entry has no usable `name`")
        continue
      }
      let type = item["type"]?.stringValue ?? "string"
      if !known.contains(type) {
        note(.changed, tool.place, "parameters", "`\(name)` has no known type; it is text here")
      }
      var schema: Pairs = [(key: "type", value: .text(known.contains(type) ? type : "string"))]
      if let description = item["description"]?.stringValue, !description.isEmpty {
        schema.append((key: "description", value: .text(plain(description, tool.place, "parameters"))))
      }
      properties.append((key: name, value: .map(schema)))
      if item["required"]?.boolValue != false { required.append(.text(name)) }
    }
    guard !properties.isEmpty else { return nil }
    var schema: Pairs = [(key: "type", value: "object"), (key: "properties", value: .map(properties))]
    if !required.isEmpty { schema.append((key: "required", value: .inline(.list(required)))) }
    return .map(schema)
  }

  mutating func mcpTool(_ tool: WorkflowTool, filters: Value?) -> YAMLNode {
    let service = WorkflowNames.slug(tool.name, limit: 60) ?? "mcp"
    note(
      .changed, tool.place, "url",
      "name the server `\(service)` in integration.services: \(tool.config["url"]?.stringValue ?? "its address")")
    credential(tool.config["credential_uuid"], tool.place)
    var out: Pairs = [(key: "mcp", value: .text(service))]
    var allowed: [YAMLNode] = []
    if case .list(let names)? = filters?[tool.id] ?? tool.config["tools_filter"] {
      for name in names {
        guard let name = name.stringValue, Self.isToolName(name), allowed.count < 100 else {
          note(.lost, tool.place, "tools_filter", "an entry is no name of a tool")
          continue
        }
        allowed.append(.text(name))
      }
    }
    if !allowed.isEmpty { out.append((key: "allow", value: .inline(.list(allowed)))) }
    noteRest(of: tool, known: ["url", "credential_uuid", "tools_filter", "transport", "discovered_tools"])
    return .map(out)
  }

  private static func isToolName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 64 && name.utf8.first != UInt8(ascii: "-")
      && name.unicodeScalars.allSatisfy { $0.isASCII && ($0.isWord || $0 == "-") }
  }

  /// The spoken words of a tool; recordings are noted.
  private mutating func message(of tool: WorkflowTool) -> String? {
    if let recording = tool.config["audioRecordingId"], !WorkflowGraph.isNothing(recording) {
      note(.lost, tool.place, "audioRecordingId", "put the recording into the object store and add `play_audio`")
    }
    guard let words = tool.config["customMessage"]?.stringValue, !words.isEmpty,
      tool.config["messageType"]?.stringValue != "none"
    else { return nil }
    return text(words, tool.place, "customMessage")
  }

  mutating func endTool(_ tool: WorkflowTool, _ names: inout WorkflowNames) -> YAMLNode {
    var exit: Pairs = [
      (key: "name", value: .text(names.take(tool.name, fallback: "end_call"))),
      (key: "description", value: .text(described(tool))),
    ]
    if tool.config["endCallReason"]?.boolValue == true {
      let name = variable("end_call_reason", asMap: false, tool.place, "endCallReason")
      _ = variables.declare("end_call_reason", initial: "")
      disposition = "{{ \(name) }}"
      var schema: Pairs = [(key: "type", value: "string")]
      if let description = tool.config["endCallReasonDescription"]?.stringValue, !description.isEmpty {
        schema.append((key: "description", value: .text(plain(description, tool.place, "endCallReasonDescription"))))
      }
      exit.append((key: "extract", value: .map([(key: name, value: .map(schema))])))
    }
    let target = message(of: tool).map { end(saying: $0, after: WorkflowNames.slug(tool.name, limit: 60) ?? "end") }
    noteRest(
      of: tool,
      known: ["messageType", "customMessage", "audioRecordingId", "endCallReason", "endCallReasonDescription"])
    return .map(exit + [(key: "target", value: .text(target ?? end()))])
  }

  mutating func transferTool(_ tool: WorkflowTool, _ names: inout WorkflowNames, from state: String) -> YAMLNode? {
    var destination = tool.config["destination"]?.stringValue ?? ""
    switch tool.config["destination_source"]?.stringValue ?? "static" {
    case "static": break
    case "context_mapping":
      destination = tool.config["context_mapping"]?["fallback_destination"]?.stringValue ?? ""
      note(
        .lost, tool.place, "context_mapping",
        destination.isEmpty
          ? "write a state with a transfer for each destination"
          : "every transfer goes to the fallback; write a state with a transfer for each destination")
    default: note(.lost, tool.place, "resolver", "ask for the destination with call_hook in front of `transfer`")
    }
    guard !destination.isEmpty else {
      note(.lost, tool.place, "destination", "there is none, so the tool is left out")
      return nil
    }
    for prefix in ["PJSIP/", "SIP/"] where destination.hasPrefix(prefix) {
      destination = String(destination.dropFirst(prefix.count))
      note(.changed, tool.place, "destination", "write a full address: sip:\(destination)@your-pbx")
    }
    guard destination.contains("{{") || DialogDecoder.isAddress(destination) else {
      note(.lost, tool.place, "destination", "it is neither an address nor a number, so the tool is left out")
      return nil
    }
    var actions: [YAMLNode] = []
    if let message = message(of: tool) { actions.append(Self.say(message)) }
    var transfer: Pairs = [
      (key: "action", value: "transfer"),
      (key: "target", value: .text(text(destination, tool.place, "destination", limit: 1_024))),
      (key: "mode", value: "attended"),
    ]
    if let timeout = Self.seconds(tool.config["timeout"], in: 1...600) {
      transfer.append((key: "timeout", value: .text(timeout)))
    }
    actions.append(.map(transfer))
    let body: Pairs = [
      (key: "on_enter", value: .list(actions)),
      (
        key: "transitions",
        value: [
          ["event": "transfer_result", "when": "status == 'connected'", "target": .text(end())],
          ["event": "transfer_result", "target": .text(state)],
        ]
      ),
    ]
    let target = addState("\(state)_transfer", body)
    note(.changed, tool.place, "", "a transfer that fails comes back to `\(state)`")
    noteRest(
      of: tool,
      known: [
        "destination", "destination_source", "messageType", "customMessage", "audioRecordingId", "timeout", "resolver",
        "context_mapping", "parameters",
      ])
    return [
      "name": .text(names.take(tool.name, fallback: "transfer_call")), "description": .text(described(tool)),
      "target": .text(target),
    ]
  }
}
