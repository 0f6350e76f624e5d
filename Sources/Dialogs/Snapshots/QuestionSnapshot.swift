import Base

// What a session has asked of others, written down beside it: whoever takes the session up asks again.

extension DialogHook {
  /// As data for ``init(restoring:)``. It holds the values of masked variables.
  package var snapshot: Value {
    var out = SnapshotWriter()
    out.put("token", token.value)
    switch kind {
    case .http: break
    case .listTools: out.put("lists", true)
    case .callTool(let name, let arguments):
      out.put("tool", .string(name))
      out.put("arguments", arguments)
    case .searchKnowledge(let query, let documents, let limit):
      out.put("query", .string(query))
      out.put("documents", documents.map { .string($0) })
      out.put("limit", limit)
    }
    out.put("service", service)
    out.put("url", url)
    out.put("path", path)
    out.put("method", method)
    if !headers.isEmpty { out.put("headers", .map(headers.mapValues { .string($0) })) }
    out.put("timeout", timeout)
    out.put("body", body)
    if recordedBody != body { out.put("recorded", recordedBody) }
    return out.value
  }

  package init(restoring reader: SnapshotReader) throws(SnapshotError) {
    var kind = Kind.http
    if try reader.flag("lists") { kind = .listTools }
    if let name = try reader.optionalText("tool") {
      kind = .callTool(name: name, arguments: reader.value("arguments") ?? .null)
    }
    if let query = try reader.optionalText("query") {
      kind = .searchKnowledge(
        query: query, documents: try reader.texts("documents"), limit: try reader.int("limit"))
    }
    let body = reader.value("body") ?? .null
    self.init(
      token: HookToken(try reader.number("token")), kind: kind, service: try reader.text("service"),
      url: try reader.text("url"), path: try reader.text("path"), method: try reader.text("method"),
      headers: try reader.map("headers").compactMapValues(\.stringValue), timeout: try reader.duration("timeout"),
      body: body, recordedBody: reader.value("recorded") ?? body)
  }
}

extension ModelRequest {
  /// As data for ``init(restoring:)``. It holds the values of masked variables.
  package var snapshot: Value {
    var out = SnapshotWriter()
    out.put("token", token.value)
    out.put("model", model)
    out.put("messages", messages.map(\.snapshot))
    out.put(
      "tools",
      tools.map { ["name": .string($0.name), "description": .string($0.description), "parameters": $0.parameters] })
    out.put("temperature", temperature.map { .double($0) })
    out.put("max_tokens", maxTokens)
    out.put("timeout", timeout)
    return out.value
  }

  package init(restoring reader: SnapshotReader) throws(SnapshotError) {
    var messages: [ModelMessage] = []
    for part in try reader.readers("messages") { messages.append(try ModelMessage(part)) }
    var tools: [ModelTool] = []
    for part in try reader.readers("tools") {
      tools.append(
        ModelTool(
          name: try part.text("name"), description: try part.text("description"),
          parameters: part.value("parameters") ?? ToolSchema.empty))
    }
    self.init(
      token: ModelToken(try reader.number("token")), model: try reader.text("model"), messages: messages, tools: tools,
      temperature: reader.value("temperature")?.doubleValue, maxTokens: try reader.int("max_tokens"),
      timeout: try reader.duration("timeout"))
  }
}

extension DialogOutcome {
  /// As data for ``init(restoring:)``.
  package var snapshot: Value {
    var out = SnapshotWriter()
    out.put("disposition", disposition)
    out.put("summary", summary)
    out.put("tags", tags.map { .string($0) })
    if !variables.isEmpty { out.put("variables", .map(variables)) }
    out.put("summarize", summarize)
    if let review {
      out.put("prompt", .string(review.prompt))
      out.put("model", review.model)
      out.put("criteria", review.criteria.map { .string($0) })
    }
    return out.value
  }

  package init(restoring reader: SnapshotReader) throws(SnapshotError) {
    var review: ReviewSettings?
    if let prompt = try reader.optionalText("prompt") {
      review = ReviewSettings(prompt: prompt, model: try reader.text("model"), criteria: try reader.texts("criteria"))
    }
    self.init(
      disposition: try reader.text("disposition"), summary: try reader.text("summary"), tags: try reader.texts("tags"),
      variables: try reader.map("variables"), summarize: try reader.flag("summarize"), review: review)
  }
}

extension Dialog {
  /// Stands for a dialog whose text cannot be had any more: it has no states, so it must not be run.
  package static func missing(_ name: String) -> Dialog {
    Dialog(
      name: name, version: "", description: "", language: "", variables: [], routing: [], initialState: "",
      settings: DialogSettings(), transitions: [], states: [], file: "", undeclaredVariables: [], scope: [:])
  }
}
