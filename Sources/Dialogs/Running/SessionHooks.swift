import Base

/// Questions to the customer's backend, and what their answers may do.
extension DialogSession {
  mutating func callHook(_ step: HookStep) {
    guard let url = render(step.url), let path = render(step.path) else { return }
    var payload = Value.null
    var hiddenPayload = Value.null
    if let source = step.payload {
      guard let value = evaluate(source), let hidden = evaluateHidden(source) else { return }
      (payload, hiddenPayload) = (value, hidden)
    }
    lastHook += 1
    let token = HookToken(lastHook)
    out.append(
      .callHook(
        DialogHook(
          token: token, service: step.service, url: url, path: path, timeout: step.timeout,
          body: body(values, payload), recordedBody: body(hiddenValues, hiddenPayload))))
    trace(
      executedTrace(
        "call_hook",
        [
          "token": .string(token.description), "service": .string(step.service), "url": .string(url),
          "path": .string(path),
        ]))
    let isAsync = step.isAsync || phase != .running
    hooks.append(
      PendingHook(
        token: token, isAsync: isAsync, resultInto: step.resultInto,
        deadline: now + (step.timeout.map { $0 + .seconds(1) } ?? Self.hookLimit), filler: step.fillerText,
        fillerDue: step.fillerText == nil || isAsync ? nil : now + Self.fillerDelay))
    if !isAsync, let last = runs.indices.last { runs[last].wait = .hook(token) }
  }

  private func body(_ values: [String: Value], _ payload: Value) -> Value {
    var variables: [String: Value] = [:]
    for (name, value) in values where !Vocabulary.builtinNames.contains(name) { variables[name] = value }
    func builtin(_ name: String) -> Value { values[name] ?? .null }
    return .map([
      "session_id": builtin("session_id"), "caller_id": builtin("caller_id"),
      "called_number": builtin("called_number"), "dialog_name": builtin("dialog_name"),
      "current_state": builtin("current_state"), "transcript": builtin("transcript"),
      "confidence": builtin("confidence"), "language": builtin("language"), "variables": .map(variables),
      "payload": payload, "sip_headers": builtin("sip_headers"),
    ])
  }

  private mutating func finished(_ token: HookToken) -> PendingHook? {
    guard let index = hooks.firstIndex(where: { $0.token == token }) else { return nil }
    for i in runs.indices where runs[i].wait == .hook(token) {
      runs[i].wait = .none
      // Whatever the caller cut was before the question; the answer is news.
      if speakingSince == nil { runs[i].isCut = false }
    }
    return hooks.remove(at: index)
  }

  mutating func hookFailed(_ token: HookToken, error: String, status: Int, message: String) {
    guard finished(token) != nil else { return }
    values["result"] = .null
    events.append(
      Event(
        "hook_error",
        [("error", .string(error)), ("status", .int(Int64(status))), ("error_message", .string(message))]))
  }

  /// `variables` are set, `actions` run, `next_state` is entered; `data` (or the whole answer) becomes `result`.
  mutating func hookAnswered(_ token: HookToken, _ answer: Value) {
    guard let hook = finished(token) else { return }
    let result = answer["data"] ?? answer
    if let into = hook.resultInto { assign(into, result) }
    if case .map(let variables)? = answer["variables"] {
      for name in variables.keys.sorted() {
        if dialog.variables.contains(where: { $0.name == name }) {
          assign(name, variables[name] ?? .null)
        } else {
          fail("hook_answer", "a hook sets `\(name.prefix(64))`, which the dialog does not declare")
        }
      }
    }
    var actions: [ActionStep] = []
    if case .list(let given)? = answer["actions"], !given.isEmpty { actions = decode(given) }
    if case .string(let name)? = answer["next_state"], !name.isEmpty {
      if let target = dialog.index(ofState: name) {
        values["result"] = result
        return take(target: target, actions: actions, trigger: "hook")
      }
      fail("hook_answer", "a hook names the state `\(name.prefix(64))`, which does not exist")
    }
    if !actions.isEmpty, runs.count < 8 { runs.append(Run(actions: actions, then: .stay)) }
    values["result"] = result
    // In the actions of a transition the way is already decided.
    if !isLeaving { events.append(Event("hook_result", [("result", result)])) }
  }

  /// Actions from outside pass the same checks as those of a file.
  private mutating func decode(_ actions: [Value]) -> [ActionStep] {
    guard actions.count <= 20 else {
      fail("hook_answer", "a hook answers with \(actions.count) actions; at most 20 are possible")
      return []
    }
    var decoder = DialogDecoder(file: "hook answer")
    decoder.scope = dialog.scope
    let node = SourceNode(Value.list(actions), at: SourcePosition(line: 1, column: 1))
    let steps = decoder.decodeActions(node, "`actions`")
    for target in decoder.targets where dialog.index(ofState: target.name) == nil {
      fail("hook_answer", "a hook's action names the state `\(target.name.prefix(64))`, which does not exist")
      return []
    }
    if let problem = decoder.source.diagnostics.first(where: { $0.severity == .error }) {
      fail("hook_answer", "a hook's action is not valid: \(problem.message)")
      return []
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
