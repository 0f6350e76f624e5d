import Base

extension AgentTalk {
  var snapshot: Value {
    var out = SnapshotWriter()
    out.put("prompt", prompt)
    out.put("messages", messages.map(\.snapshot))
    out.put("begun", hasBegun)
    out.put("words", words.map { .string($0) })
    out.put("owes", owesAnswer)
    if let request {
      out.put("request", .int(Int64(request.token.value)))
      out.put("request_due", request.deadline)
    }
    out.put("pieces", pieces.map(\.snapshot))
    out.put("answer_at", answerAt.map { .int(Int64($0)) })
    out.put("unrecorded", !isRecorded)
    out.put("calls", calls.map(\.snapshot))
    out.put("tools", tools.map(\.snapshot))
    out.put("offered", offered.map(\.snapshot))
    out.put("passages", passages.map { .string($0) })
    out.put("looking_up", isLookingUp)
    out.put("lists", listsPending)
    out.put("turns", turns)
    out.put("rounds", rounds)
    out.put("mistakes", mistakes)
    out.put("silence", askedAboutSilence)
    out.put("ends", endsAt)
    out.put("filler_due", fillerDue)
    out.put("fillers", nextFiller)
    switch wayOut {
    case nil: break
    case .exit(let number, let data):
      out.put("exit_by", .int(Int64(number)))
      out.put("exit_data", data)
    case .fallback(let code, let message):
      out.put("fallback", .string(code))
      out.put("fallback_message", message)
    }
    out.put("exit", exit.map { .int(Int64($0)) })
    return out.value
  }

  init(_ reader: SnapshotReader, _ settings: AgentSettings) throws(SnapshotError) {
    self.init()
    prompt = try reader.text("prompt")
    endsAt = try reader.instant("ends")
    for part in try reader.readers("messages") { messages.append(try ModelMessage(part)) }
    hasBegun = try reader.flag("begun")
    words = try reader.texts("words")
    owesAnswer = try reader.flag("owes")
    if reader.has("request"), let deadline = try reader.instant("request_due") {
      request = Request(token: ModelToken(try reader.number("request")), deadline: deadline)
    }
    for part in try reader.readers("pieces") { pieces.append(try Piece(part)) }
    answerAt = reader.has("answer_at") ? try reader.int("answer_at") : nil
    isRecorded = !(try reader.flag("unrecorded"))
    for part in try reader.readers("calls") { calls.append(try ModelToolCall(part)) }
    for part in try reader.readers("tools") { tools.append(try ToolCall(part)) }
    for part in try reader.readers("offered") {
      let offer = try Offered(part)
      guard settings.tools.indices.contains(offer.tool) else { throw part.problem("tool", "there is no such tool") }
      offered.append(offer)
    }
    passages = try reader.optionalText("passages")
    isLookingUp = try reader.flag("looking_up")
    listsPending = try reader.int("lists")
    turns = try reader.int("turns")
    rounds = try reader.int("rounds")
    mistakes = try reader.int("mistakes")
    askedAboutSilence = try reader.flag("silence")
    fillerDue = try reader.instant("filler_due")
    nextFiller = try reader.int("fillers")
    func exitNumber(_ key: String) throws(SnapshotError) -> Int {
      let number = try reader.int(key)
      guard settings.exits.indices.contains(number) else { throw reader.problem(key, "there is no such exit") }
      return number
    }
    if reader.has("exit_by") {
      wayOut = .exit(try exitNumber("exit_by"), data: reader.value("exit_data") ?? .null)
    } else if let code = try reader.optionalText("fallback") {
      wayOut = .fallback(code: code, message: try reader.text("fallback_message"))
    }
    exit = reader.has("exit") ? try exitNumber("exit") : nil
  }
}

extension AgentTalk.Piece {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("id", id.value)
    out.put("text", text)
    out.put("heard", heard.map { .string($0) })
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    self.init(
      id: PlaybackID(try reader.number("id")), text: try reader.text("text"), heard: try reader.optionalText("heard"))
  }
}

extension AgentTalk.ToolCall {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("call", call.snapshot)
    out.put("data", arguments)
    out.put("result", result.map { .string($0) })
    out.put("collects", collects)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    guard let call = try reader.reader("call") else { throw reader.problem("call", "it is missing") }
    self.init(
      call: try ModelToolCall(call), arguments: reader.value("data") ?? .null,
      result: try reader.optionalText("result"),
      collects: try reader.flag("collects"))
  }
}

extension AgentTalk.Offered {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("tool", tool)
    out.put("name", model.name)
    out.put("description", model.description)
    out.put("parameters", model.parameters)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    self.init(
      tool: try reader.int("tool"),
      model: ModelTool(
        name: try reader.text("name"), description: try reader.text("description"),
        parameters: reader.value("parameters") ?? ToolSchema.empty))
  }
}

extension ModelToolCall {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("id", id)
    out.put("name", name)
    out.put("arguments", arguments)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    self.init(
      id: try reader.text("id"), name: try reader.text("name"), arguments: try reader.text("arguments"))
  }
}

extension ModelMessage {
  var snapshot: Value {
    var out = SnapshotWriter()
    switch self {
    case .system(let text): out.put("system", .string(text))
    case .user(let text): out.put("user", .string(text))
    case .assistant(let text, let calls):
      out.put("assistant", .string(text))
      out.put("calls", calls.map(\.snapshot))
    case .tool(let id, let content):
      out.put("tool", .string(content))
      out.put("id", id)
    }
    return out.value
  }

  init(_ reader: SnapshotReader) throws(SnapshotError) {
    if let text = try reader.optionalText("user") {
      self = .user(text)
    } else if let text = try reader.optionalText("assistant") {
      var calls: [ModelToolCall] = []
      for part in try reader.readers("calls") { calls.append(try ModelToolCall(part)) }
      self = .assistant(text, calls: calls)
    } else if let content = try reader.optionalText("tool") {
      self = .tool(callID: try reader.text("id"), content: content)
    } else {
      self = .system(try reader.text("system"))
    }
  }
}
