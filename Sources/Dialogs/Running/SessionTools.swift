import Base

/// What a model may ask for: tools and exits. Nothing happens before a call fits its schema.
extension DialogSession {
  private enum Checked {
    case exit(Int, Value)
    case tool(AgentTool.Work, Value)
    case offered(service: String, Value)
    case wrong(String, isUnknown: Bool, Value)
  }

  func modelTools(_ settings: AgentSettings) -> [ModelTool] {
    var tools: [ModelTool] = []
    for tool in settings.tools where !tool.isOffered {
      tools.append(ModelTool(name: tool.name, description: tool.description, parameters: tool.parameters))
    }
    tools += frame.agent?.offered.map(\.model) ?? []
    tools += settings.exits.map { ModelTool(name: $0.name, description: $0.description, parameters: $0.extract) }
    return tools
  }

  /// Carries out what an answer asks for. The first valid exit ends the state, after the tools before it.
  mutating func work(on calls: [ModelToolCall]) {
    recordAnswer(calls: calls)
    frame.agent?.calls = []
    frame.agent?.tools = []
    var isRight = false
    for call in calls {
      guard frame.agent?.wayOut == nil else {
        frame.agent?.tools.append(AgentTalk.ToolCall(call: call, arguments: .null, result: Self.error("Not now.")))
        continue
      }
      switch check(call) {
      case .exit(let number, let data):
        report(call, data, "exit")
        isRight = true
        leaveBy(number, data, call)
      case .tool(let work, let arguments):
        report(call, arguments, "called")
        isRight = true
        frame.agent?.tools.append(AgentTalk.ToolCall(call: call, arguments: arguments))
        start(work, call, arguments)
      case .offered(let service, let arguments):
        report(call, arguments, "called")
        isRight = true
        frame.agent?.tools.append(AgentTalk.ToolCall(call: call, arguments: arguments))
        ask(
          .callTool(name: call.name, arguments: arguments), service: service, purpose: .tool(call.id),
          limit: Self.hookLimit)
      case .wrong(let message, let isUnknown, let arguments):
        report(call, arguments, isUnknown ? "unknown" : "invalid")
        frame.agent?.tools.append(AgentTalk.ToolCall(call: call, arguments: arguments))
        finishTool(call.id, Self.error(message))
      }
    }
    if isRight {
      frame.agent?.mistakes = 0
    } else {
      frame.agent?.mistakes += 1
      if (frame.agent?.mistakes ?? 0) > AgentTalk.mistakeLimit {
        leaveAgent("model", "the model called tools wrongly \(AgentTalk.mistakeLimit + 1) times in a row")
      }
    }
    let isWorking = frame.agent?.tools.contains { $0.result == nil && !$0.collects } == true
    let fillerDue = isWorking && agent?.fillers.isEmpty == false ? now + Self.fillerDelay : nil
    frame.agent?.fillerDue = fillerDue
  }

  private mutating func report(_ call: ModelToolCall, _ arguments: Value, _ outcome: String) {
    trace(
      .toolCalled(
        state: currentState, tool: String(call.name.prefix(64)), arguments: hidingSecrets(arguments), outcome: outcome))
  }

  private func check(_ call: ModelToolCall) -> Checked {
    guard let settings = agent, let talk = frame.agent else { return .wrong("", isUnknown: true, .null) }
    let text = call.arguments.isEmpty ? "{}" : call.arguments
    guard text.utf8.count <= ToolArguments.lengthLimit, let arguments = try? JSON.decode(text),
      case .map = arguments
    else {
      return .wrong("The arguments must be one JSON object.", isUnknown: false, .string(AgentTalk.cut(call.arguments)))
    }
    func problem(_ schema: Value) -> String? {
      ToolArguments.problem(arguments, schema, trusted: isReplay ? .some(Self.hidden) : .none)
    }
    if let number = settings.exits.firstIndex(where: { $0.name == call.name }) {
      if let problem = problem(settings.exits[number].extract) { return .wrong(problem, isUnknown: false, arguments) }
      return .exit(number, arguments)
    }
    if let tool = settings.tools.first(where: { !$0.isOffered && $0.name == call.name }) {
      if let problem = problem(tool.parameters) { return .wrong(problem, isUnknown: false, arguments) }
      return .tool(tool.work, arguments)
    }
    if let offered = talk.offered.first(where: { $0.model.name == call.name }),
      case .mcp(let service, _) = settings.tools[offered.tool].work
    {
      if let problem = problem(offered.model.parameters) { return .wrong(problem, isUnknown: false, arguments) }
      return .offered(service: service, arguments)
    }
    return .wrong("There is no tool of that name.", isUnknown: true, arguments)
  }

  private mutating func leaveBy(_ number: Int, _ data: Value, _ call: ModelToolCall) {
    let slot = DialogPlan.Slot.data.rawValue
    frame.masked.remove(slot)
    if case .map(let members) = data {
      for name in members.keys.sorted() {
        guard let place = frame.dialog.plan.slots[name], place >= DialogPlan.firstVariable else { continue }
        if frame.masked.contains(place) { frame.masked.insert(slot) }
        assign(name, members[name] ?? .null)
      }
    }
    // Where a transition without target takes the exit, the state goes on, and the model is told.
    frame.agent?.tools.append(
      AgentTalk.ToolCall(
        call: call, arguments: data, result: "Not now: the conversation stays here. Go on talking with the caller."))
    frame.agent?.owesAnswer = false
    frame.agent?.fillerDue = nil
    frame.agent?.wayOut = .exit(number, data: data)
  }

  private mutating func start(_ work: AgentTool.Work, _ call: ModelToolCall, _ arguments: Value) {
    switch work {
    case .hook(let step):
      let hidden = hidingSecrets(arguments)
      if send(step, payload: arguments, hiddenPayload: hidden, purpose: .tool(call.id)) == nil {
        finishTool(call.id, Self.error("The tool cannot be used now."))
      }
    case .collectDigits(let step):
      if let last = frame.agent?.tools.indices.last { frame.agent?.tools[last].collects = true }
      var run = Run(.none, then: .stay)
      run.toolCall = call.id
      frame.runs.append(run)
      executed("collect_digits", ["max": .int(Int64(step.max)), "min": .int(Int64(step.min))])
      beginCollecting(step)
    case .searchKnowledge:
      let query = AgentTalk.cut(arguments["query"]?.stringValue ?? "")
      ask(
        .searchKnowledge(query: query, documents: agent?.knowledge ?? [], limit: Self.passageLimit), service: "",
        purpose: .tool(call.id), limit: Self.toolListLimit)
    case .mcp: finishTool(call.id, Self.error("There is no tool of that name."))
    }
  }

  /// A question of the machine's own: not the author's words, so nothing is evaluated for it.
  mutating func ask(_ kind: DialogHook.Kind, service: String, purpose: PendingHook.Purpose, limit: Duration) {
    lastHook += 1
    let token = HookToken(lastHook)
    out.append(
      .callHook(
        DialogHook(
          token: token, kind: kind, service: service, url: "", path: "", timeout: limit, body: .null,
          recordedBody: .null)))
    let what =
      switch kind {
      case .http: "http"
      case .listTools: "list_tools"
      case .callTool: "call_tool"
      case .searchKnowledge: "search_knowledge"
      }
    executed(
      "call_hook", ["token": .string(token.description), "service": .string(service), "kind": .string(what)])
    hooks.append(
      PendingHook(
        token: token, purpose: purpose, level: level, isAsync: false, resultInto: nil,
        deadline: now + limit + .seconds(1), filler: nil, fillerDue: nil))
  }

  // MARK: Results

  static func error(_ message: String) -> String { JSON.encode(["error": .string(message)]) }

  /// A call has its result; the model is told when all of them have.
  mutating func finishTool(_ id: String, _ result: String) {
    guard let i = frame.agent?.tools.firstIndex(where: { $0.call.id == id && $0.result == nil }) else { return }
    let text = AgentTalk.cut(result)
    frame.agent?.tools[i].result = text
    let name = frame.agent?.tools[i].call.name ?? ""
    trace(
      .agentMessage(
        state: currentState, role: "tool", text: hidingSecrets(text),
        detail: ["id": .string(String(id.prefix(64))), "tool": .string(String(name.prefix(64)))]))
  }

  mutating func tellToolResults() {
    guard let talk = frame.agent else { return }
    for tool in talk.tools { frame.agent?.addTool(tool.call, tool.result ?? "") }
    frame.agent?.tools = []
    frame.agent?.owesAnswer = true
    // What the caller said meanwhile comes after what the tools said.
    frame.agent?.rounds = talk.words.isEmpty ? max(1, talk.rounds) : 0
  }

  mutating func toolAnswered(_ purpose: PendingHook.Purpose, _ answer: Value) {
    switch purpose {
    case .dialog: break
    case .tool(let id):
      for name in ["actions", "next_state"] where answer[name] != nil && answer[name] != .null {
        let message = "a tool's answer has `\(name)`, which only the actions of a dialog may bring"
        trace(.failure(state: currentState, code: "hook_answer", message: message))
      }
      finishTool(id, Self.content(of: answer))
    case .toolList(let number):
      frame.agent?.listsPending -= 1
      offer(answer, for: number)
    case .passages:
      guard frame.agent?.isLookingUp == true else { return }
      frame.agent?.isLookingUp = false
      let passages = Self.passages(answer)
      frame.agent?.passages = passages
      guard !passages.isEmpty else { return }
      trace(
        .agentMessage(
          state: currentState, role: "system", text: hidingSecrets(passages), detail: ["from": "knowledge"]))
    }
  }

  mutating func toolFailed(_ purpose: PendingHook.Purpose, error: String, message: String) {
    let problem = hidingSecrets("\(error.prefix(40)): \(message.prefix(400))")
    switch purpose {
    case .dialog: break
    case .tool(let id):
      trace(.failure(state: currentState, code: "tool", message: problem))
      finishTool(id, Self.error("The tool failed: \(error.prefix(40))"))
    case .toolList:
      trace(.failure(state: currentState, code: "tools", message: problem))
      frame.agent?.listsPending -= 1
    case .passages:
      trace(.failure(state: currentState, code: "knowledge", message: problem))
      frame.agent?.isLookingUp = false
      frame.agent?.passages = ""
    }
  }

  /// What a model reads of an answer: its `data`, the text of an MCP tool, or all of it.
  private static func content(of answer: Value) -> String {
    if case .list? = answer["passages"] { return passages(answer) }
    if case .string(let text)? = answer["text"] { return text }
    let data = answer["data"] ?? answer
    if case .string(let text) = data { return text }
    return JSON.encode(data)
  }

  private static func passages(_ answer: Value) -> String {
    guard case .list(let passages)? = answer["passages"] else { return "" }
    let texts = passages.prefix(passageLimit).compactMap { passage -> String? in
      guard let text = passage["text"]?.stringValue, !text.isEmpty else { return nil }
      let document = passage["document"]?.stringValue ?? ""
      return document.isEmpty ? text : "[\(document)] \(text)"
    }
    return AgentTalk.cut(texts.joined(separator: "\n"))
  }

  /// The tools that an MCP server says it has, as far as the dialog allows them and their names are free.
  private mutating func offer(_ answer: Value, for number: Int) {
    guard let settings = agent, settings.tools.indices.contains(number),
      case .mcp(let service, let allow) = settings.tools[number].work
    else { return }
    guard case .list(let tools)? = answer["tools"] else {
      return trace(
        .failure(state: currentState, code: "tools", message: "`\(service)` does not say which tools it has"))
    }
    var taken = Set(modelTools(settings).map(\.name))
    for tool in tools {
      guard let name = tool["name"]?.stringValue, allow.isEmpty || allow.contains(name) else { continue }
      guard (frame.agent?.offered.count ?? 0) < AgentTalk.offerLimit else { break }
      guard KeyKind.NameKind.tool.allows(name), taken.insert(name).inserted else {
        let message = "the tool `\(name.prefix(64))` of `\(service)` is left out: its name is taken or not possible"
        trace(.failure(state: currentState, code: "tools", message: message))
        continue
      }
      var parameters = tool["parameters"] ?? ToolSchema.empty
      if case .map = parameters {} else { parameters = ToolSchema.empty }
      let description = String((tool["description"]?.stringValue ?? "").prefix(1_024))
      frame.agent?.offered.append(
        AgentTalk.Offered(
          tool: number, model: ModelTool(name: name, description: description, parameters: parameters)))
    }
  }

  // MARK: Keys for the model

  /// The keys that the builtin `collect_digits` asked for.
  mutating func modelGets(_ digits: String, of step: CollectStep, isSecret: Bool, for call: String) {
    endCollecting(call)
    guard digits.count >= step.min else {
      return finishTool(
        call, Self.error("The caller pressed \(digits.count) keys; at least \(step.min) are needed."))
    }
    show(.digits(digits))
    set(.digit, .string(digits.last.map(String.init) ?? ""))
    if let into = step.into { assignKeys(digits, into, isMasked: step.isMasked) }
    finishTool(
      call,
      isSecret
        ? "The caller has entered \(digits.count) keys. They are kept secret."
        : JSON.encode(["digits": .string(digits)]))
  }

  mutating func stopCollecting(_ why: String) {
    for tool in frame.agent?.tools ?? [] where tool.collects && tool.result == nil {
      endCollecting(tool.call.id)
      finishTool(tool.call.id, Self.error(why))
    }
  }

  private mutating func endCollecting(_ call: String) {
    frame.runs.removeAll { $0.toolCall == call }
    keyed = ""
    typedAhead = ""
    interDigitDeadline = nil
    setTimers()
  }
}

extension AgentTool {
  /// Its name and parameters come from a server.
  fileprivate var isOffered: Bool { if case .mcp = work { true } else { false } }
}
