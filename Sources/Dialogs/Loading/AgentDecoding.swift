import Base

extension DialogDecoder {
  mutating func decodeAgent(_ node: SourceNode) -> AgentSettings? {
    guard let members = source.members(of: node, Declarations.agent) else { return nil }
    let tools = source.items(members, "tools").compactMap { decodeTool($0) }
    let exits = source.items(members, "exits").compactMap { decodeExit($0) }
    // To the model, tools and exits are the same thing.
    var seen: [String: SourcePosition] = [:]
    for (name, position) in tools.map({ ($0.name, $0.position) }) + exits.map({ ($0.name, $0.position) })
    where !name.isEmpty {
      if let first = seen[name] {
        source.report(
          .duplicateName, position, "the model cannot tell two tools or exits `\(name)` apart",
          "the first stands at \(first); give one of them another name")
      } else {
        seen[name] = position
      }
    }
    var servers: Set<String> = []
    for tool in tools {
      guard case .mcp(let service, _) = tool.work, !servers.insert(service).inserted else { continue }
      source.report(
        .duplicateName, tool.position, "the MCP server `\(service)` stands twice among the tools",
        "name all its tools in one `allow`")
    }
    let knowledge = source.items(members, "knowledge").compactMap { source.name($0, .document, "`knowledge`") }
    if knowledge.isEmpty, let tool = tools.first(where: { if case .searchKnowledge = $0.work { true } else { false } })
    {
      source.report(
        .missingKey, tool.position, "`search_knowledge` has nothing to search", "name documents under `knowledge`")
    }
    return AgentSettings(
      prompt: template(members, "prompt") ?? Template(literal: ""), model: source.optionalText(members, "model"),
      temperature: source.number(members, "temperature"),
      maxTokens: source.int(members, "max_tokens") ?? AgentSettings.defaultMaxTokens, tools: tools, exits: exits,
      maxTurns: source.int(members, "max_turns") ?? AgentSettings.defaultMaxTurns,
      maxDuration: source.duration(members, "max_duration") ?? AgentSettings.defaultMaxDuration,
      timeout: source.duration(members, "timeout"), fallback: target(members, "fallback"),
      fillers: source.items(members, "filler").compactMap { template($0, "`filler`", limit: 1_024) },
      knowledge: knowledge, position: node.position)
  }

  private mutating func decodeTool(_ node: SourceNode) -> AgentTool? {
    guard let members = source.members(of: node, Declarations.tool) else { return nil }
    let kinds = ["hook", "builtin", "mcp"].filter { members[$0] != nil }
    guard let kind = kinds.first else {
      source.report(
        .missingKey, node.position, "a tool needs `hook`, `builtin` or `mcp`", "say who answers the model")
      return nil
    }
    if kinds.count > 1, let other = members[kinds[1]] {
      source.report(
        .conflictingKeys, other.position, "a tool has both `\(kind)` and `\(kinds[1])`", "make two tools of it")
    }
    let isCollecting = members["builtin"]?.text == "collect_digits"
    for key in Declarations.collectKeys where !isCollecting {
      if let value = members[key.name] {
        source.report(
          .conflictingKeys, value.position, "`\(key.name)` belongs to `builtin: collect_digits`",
          kind == "hook" && key.name == "timeout" ? "put it into `hook`" : "remove it")
      }
    }
    if kind != "mcp", let allow = members["allow"] {
      source.report(.conflictingKeys, allow.position, "`allow` belongs to `mcp`", "remove it")
    }
    for key in kind == "hook" ? [] : kind == "mcp" ? ["name", "description", "parameters"] : ["parameters"] {
      if let value = members[key] {
        source.report(
          .conflictingKeys, value.position,
          kind == "mcp"
            ? "the MCP server says the `\(key)` of its tools" : "the parameters of a built-in tool are fixed",
          "remove it")
      }
    }
    let description = source.optionalText(members, "description")
    var tool = AgentTool(
      name: source.name(members, "name") ?? "", description: description, parameters: ToolSchema.empty,
      work: .searchKnowledge, position: node.position)
    switch kind {
    case "hook":
      guard let hook = members["hook"], let inner = source.members(of: hook, Declarations.toolHook) else { return nil }
      callsHooks = true
      tool.work = .hook(decodeHook(inner))
      if let parameters = members["parameters"] { tool.parameters = schema(parameters, "`parameters`").value }
      if members["name"] == nil {
        source.report(.missingKey, node.position, "a tool needs `name`", "the model calls it by that")
      } else if description.isEmpty {
        source.report(
          .undescribed, node.position, "the tool `\(tool.name)` has no description",
          "a model knows from it when to use the tool")
      }
    case "mcp":
      tool.work = .mcp(
        service: source.name(members, "mcp") ?? "",
        allow: source.items(members, "allow").compactMap { source.name($0, .tool, "`allow`") })
      tool.name = ""
    default:
      guard let word = source.word(members, "builtin") else { return nil }
      if tool.name.isEmpty { tool.name = word }
      if word == "collect_digits" {
        guard let step = collectDigits(members) else { return nil }
        tool.work = .collectDigits(step)
        if description.isEmpty { tool.description = "Asks the caller to key in digits and returns them" }
      } else {
        tool.parameters = [
          "type": "object", "properties": ["query": ["type": "string", "description": "What to look for"]],
          "required": ["query"], "additionalProperties": false,
        ]
        if description.isEmpty { tool.description = "Searches the documents for passages about a question" }
      }
    }
    return tool
  }

  private mutating func decodeExit(_ node: SourceNode) -> AgentExit? {
    guard let members = source.members(of: node, Declarations.exit) else { return nil }
    let name = source.name(members, "name")
    let description = source.optionalText(members, "description")
    var extract = ToolSchema.empty
    if let node = members["extract"] {
      let schema = schema(node, "`extract`")
      extract = schema.value
      for (key, type) in schema.properties {
        guard let name = variableName(key, "`extract`"), let wanted = scope[name], !type.fits(wanted) else { continue }
        source.report(
          .typeMismatch, key.position, "`\(name)` holds \(wanted.description), but gets \(type.description)",
          "its type follows from its first value under `variables`")
      }
    }
    if let name, description.isEmpty {
      source.report(
        .undescribed, node.position, "the exit `\(name)` has no description",
        "a model knows from it when to take the exit")
    }
    guard let name, let target = target(members, "target") else { return nil }
    return AgentExit(
      name: name, description: description, extract: extract, target: target, position: node.position)
  }

  /// A JSON Schema of an object, and what its members hold.
  private mutating func schema(
    _ node: SourceNode, _ what: String
  ) -> (value: Value, properties: [(key: SourceNode, type: StaticType)]) {
    var reader = ToolSchema()
    let value = reader.read(node)
    for problem in reader.problems {
      source.report(.badSchema, problem.position, "\(what): \(problem.message)", problem.hint)
    }
    return (value, ToolSchema.names(in: node).map { ($0.key, ToolSchema.type(of: $0.value)) })
  }
}
