import Base

/// Questions to the customer's backend, and what their answers may do.
extension DialogSession {
  /// A question that has been asked and not been answered.
  struct PendingHook: Sendable {
    /// Who wants to know.
    enum Purpose: Sendable, Hashable {
      case dialog
      /// The model's tool call of this identifier.
      case tool(String)
      /// The tools of an MCP server, for the tool of this number.
      case toolList(Int)
      /// Passages for what the caller said.
      case passages
    }
    var token: HookToken
    var purpose: Purpose
    /// Which of the dialogs on top of each other asks; 0 is the call's own.
    var level: Int
    var isAsync: Bool
    var resultInto: String?
    /// nil: its time has come, and the dialog that asks does not have the call now.
    var deadline: Instant?
    /// Said while the answer is waited for, again and again; nil: nothing, or nothing more.
    var filler: Template?
    /// nil: it is being said, or something else is.
    var fillerDue: Instant?
    /// Whether it has been said.
    var hasSpoken = false
  }

  mutating func callHook(_ step: HookStep) {
    var payload = Value.null
    var hiddenPayload = Value.null
    if let source = step.payload {
      guard let value = evaluate(source), let hidden = evaluateHidden(source) else { return }
      (payload, hiddenPayload) = (value, hidden)
    }
    guard let token = send(step, payload: payload, hiddenPayload: hiddenPayload, purpose: .dialog) else { return }
    let isAsync = step.isAsync || phase != .running
    if !isAsync, let last = frame.runs.indices.last { frame.runs[last].wait = .hook(token) }
  }

  /// Asks the customer's backend. nil: the question could not be put, which was recorded.
  mutating func send(
    _ step: HookStep, payload: Value, hiddenPayload: Value, purpose: PendingHook.Purpose
  ) -> HookToken? {
    guard let url = render(step.url), let path = render(step.path) else { return nil }
    var headers: [String: String] = [:]
    for header in step.headers {
      guard let value = render(header.value) else { return nil }
      headers[header.name] = value
    }
    lastHook += 1
    let token = HookToken(lastHook)
    out.append(
      .callHook(
        DialogHook(
          token: token, service: step.service, url: url, path: path, method: step.method, headers: headers,
          timeout: step.timeout, body: body(frame.values, payload),
          recordedBody: body(frame.hiddenValues, hiddenPayload))))
    executed(
      "call_hook",
      [
        "token": .string(token.description), "service": .string(step.service),
        "url": .string(renderHidden(step.url, as: url)), "path": .string(renderHidden(step.path, as: path)),
      ])
    let isAsync = step.isAsync && purpose == .dialog || phase != .running
    hooks.append(
      PendingHook(
        token: token, purpose: purpose, level: level, isAsync: isAsync, resultInto: step.resultInto,
        deadline: now + (step.timeout.map { $0 + .seconds(1) } ?? Self.hookLimit),
        filler: phase == .running ? step.fillerText : nil,
        fillerDue: phase == .running && step.fillerText != nil ? now + Self.fillerDelay : nil))
    return token
  }

  private func body(_ values: [Value], _ payload: Value) -> Value {
    let plan = frame.dialog.plan
    var variables: [String: Value] = [:]
    for i in DialogPlan.firstVariable..<values.count { variables[plan.names[i]] = values[i] }
    var body: [String: Value] = ["variables": .map(variables), "payload": payload]
    for slot in [
      DialogPlan.Slot.sessionID, .callerID, .calledNumber, .dialogName, .currentState, .transcript, .confidence,
      .language, .sipHeaders,
    ] {
      body[slot.name] = values[slot.rawValue]
    }
    return .map(body)
  }

  private mutating func finished(_ token: HookToken) -> PendingHook? {
    guard let index = hooks.firstIndex(where: { $0.token == token }) else { return nil }
    for i in frame.runs.indices {
      guard case .hook(token) = frame.runs[i].wait else { continue }
      frame.runs[i].wait = .none
      // Whatever the caller cut was before the question; the answer is news.
      if speakingSince == nil { frame.runs[i].isCut = false }
    }
    return hooks.remove(at: index)
  }

  mutating func hookFailed(_ token: HookToken, error: String, status: Int, message: String) {
    guard let hook = finished(token) else { return }
    guard hook.purpose == .dialog else { return toolFailed(hook.purpose, error: error, message: message) }
    set(.result, .null)
    frame.masked.remove(DialogPlan.Slot.result.rawValue)
    events.append(Event(.hookError, .hookError(error: error, status: status, message: message)))
  }

  /// `variables` are set, `actions` run, `next_state` is entered; `data` (or the whole answer) becomes `result`.
  mutating func hookAnswered(_ token: HookToken, _ answer: Value) {
    guard let hook = finished(token) else { return }
    let result = answer["data"] ?? answer
    if let into = hook.resultInto { assign(into, result) }
    assignVariables(of: answer)
    guard hook.purpose == .dialog else { return toolAnswered(hook.purpose, answer) }
    let isSecret = hook.resultInto.map { isMasked($0) } ?? false
    let slot = DialogPlan.Slot.result.rawValue
    if isSecret { frame.masked.insert(slot) } else { frame.masked.remove(slot) }
    var actions: BackendActions?
    if case .list(let given)? = answer["actions"], !given.isEmpty { actions = decode(given) }
    if case .string(let name)? = answer["next_state"], !name.isEmpty {
      if let target = frame.dialog.index(ofState: name) {
        set(.result, result)
        return take(target: target, place: actions.map { .answer($0) } ?? .none, trigger: "hook")
      }
      fail("hook_answer", "a hook names the state `\(name.prefix(64))`, which does not exist")
    }
    if let actions, !actions.steps.isEmpty, frame.runs.count < Self.runLimit {
      frame.runs.append(Run(.answer(actions), then: .stay))
    }
    set(.result, result)
    // In the actions of a transition the way is already decided.
    if !isLeaving { events.append(Event(.hookResult, .result(result))) }
  }

  mutating func assignVariables(of answer: Value) {
    guard case .map(let variables)? = answer["variables"] else { return }
    for name in variables.keys.sorted() {
      if let slot = frame.dialog.plan.slots[name], frame.dialog.plan.type(at: slot) != nil {
        assign(name, variables[name] ?? .null)
      } else {
        fail("hook_answer", "a hook sets `\(name.prefix(64))`, which the dialog does not declare")
      }
    }
  }

  /// Actions from outside pass the same checks as those of a file, but their texts are texts: a backend may repeat what the
  /// caller said, and no caller can be allowed to write expressions.
  mutating func decode(_ actions: [Value]) -> BackendActions? {
    do {
      return BackendActions(source: actions, steps: try Self.decode(actions, for: frame.dialog))
    } catch {
      fail("hook_answer", error.message)
      return nil
    }
  }

  static func decode(_ actions: [Value], for dialog: Dialog) throws(EvaluationError) -> [ActionStep] {
    guard actions.count <= answerActionLimit else {
      throw EvaluationError("a hook answers with \(actions.count) actions; at most \(answerActionLimit) are possible")
    }
    var decoder = DialogDecoder(file: "hook answer")
    decoder.scope = dialog.scope
    decoder.isFromOutside = true
    let node = SourceNode(Value.list(actions), at: SourcePosition(line: 1, column: 1))
    let steps = decoder.decodeActions(node, "`actions`")
    for target in decoder.targets where dialog.index(ofState: target.name) == nil {
      throw EvaluationError("a hook's action names the state `\(target.name.prefix(64))`, which does not exist")
    }
    if let problem = decoder.source.diagnostics.first(where: { $0.severity == .error }) {
      throw EvaluationError("a hook's action is not valid: \(problem.message)")
    }
    return steps
  }
}

extension SourceNode {
  /// Data from outside in the shape that the decoder reads.
  init(_ value: Value, at position: SourcePosition) {
    switch value {
    case .null: self.init(.scalar("null", isQuoted: false), at: position)
    case .bool(let b): self.init(.scalar(b ? "true" : "false", isQuoted: false), at: position)
    case .int(let i): self.init(.scalar(String(i), isQuoted: false), at: position)
    case .double(let d): self.init(.scalar("\(d)", isQuoted: false), at: position)
    case .string(let s): self.init(.scalar(s, isQuoted: true), at: position)
    case .list(let items): self.init(.sequence(items.map { SourceNode($0, at: position) }), at: position)
    case .map(let map):
      self.init(
        .mapping(
          map.keys.sorted().map {
            (SourceNode(.scalar($0, isQuoted: true), at: position), SourceNode(map[$0] ?? .null, at: position))
          }), at: position)
    }
  }
}
