import Base

/// Writes the dialog of a workflow: a state for every node of the conversation, and states for what happens on the way.
struct WorkflowConversion: Sendable {
  typealias Pairs = [(key: String, value: YAMLNode)]

  let graph: WorkflowGraph
  let name: String
  var notes: [WorkflowImport.Note]
  var variables = WorkflowVariables()
  var renamed: Set<String> = []
  /// The state of each node.
  private(set) var stateNames: [String: String] = [:]
  private var names = WorkflowNames(limit: 100)
  private var states: Pairs = []
  /// States that a node needs beside its own; they come behind it.
  private var beside: Pairs = []
  private(set) var globalPrompt = ""
  private(set) var maxDuration = "10m"
  /// What the conversation hands over, for the outcome.
  var extracted: [String] = []
  var disposition: String?
  /// The state that only ends the call, once something leads there.
  private var ending: String?
  /// The state for a model that fails.
  private var apology: String?

  init(graph: WorkflowGraph, name: String) {
    self.graph = graph
    notes = graph.notes
    let wanted = name.isEmpty ? graph.name : name
    self.name =
      DialogDecoder.isName(wanted) ? wanted : WorkflowNames.slug(wanted, limit: 100) ?? "imported"
  }

  mutating func note(_ kind: WorkflowImport.Note.Kind, _ place: String, _ key: String, _ reason: String) {
    notes.append(WorkflowImport.Note(kind: kind, place: place, key: key, reason: reason))
  }

  // MARK: The whole

  mutating func run() throws(WorkflowImport.Failure) -> WorkflowImport.Outcome {
    for key in graph.variables.keys.sorted() {
      _ = variable(key, asMap: false, "workflow", "template_context_variables")
      let initial = constant(graph.variables[key] ?? .null, "workflow", "template_context_variables")
      _ = variables.declare(key, initial: initial)
    }
    let settings = readConfigurations()
    readGlobalNodes()
    nameStates()
    var entry = statesBeforeTheCall()
    for node in graph.nodes where node.kind.isConversation { addStates(of: node) }
    let hangup = webhooks()
    let outcome = outcome()
    if let apology {
      let words = Self.say("I am sorry, something went wrong. Please call again later.")
      states.append((key: apology, value: ["on_enter": [words], "terminal": true]))
    }
    if let ending { states.append((key: ending, value: ["terminal": true])) }
    guard entry.count + states.count <= DialogDecoder.stateLimit else {
      throw WorkflowImport.Failure(
        "the workflow needs \(entry.count + states.count) states; a dialog can have \(DialogDecoder.stateLimit)")
    }
    guard variables.count <= DialogDecoder.variableLimit else {
      throw WorkflowImport.Failure(
        "the workflow has \(variables.count) variables; a dialog can have \(DialogDecoder.variableLimit)")
    }
    var top: Pairs = [(key: "name", value: .text(name)), (key: "version", value: "1.0")]
    if !graph.name.isEmpty, graph.name != name {
      top.append((key: "description", value: .text(plain(graph.name, "workflow", "name", limit: 4_096))))
    }
    if variables.count > 0 { top.append((key: "variables", value: .map(variables.declarations))) }
    top.append((key: "initial_state", value: .text(entry.first?.key ?? stateNames[graph.start] ?? "")))
    if !settings.isEmpty { top.append((key: "settings", value: .map(settings))) }
    if !hangup.isEmpty {
      top.append((key: "on", value: [["event": "hangup", "do": .list(hangup)]]))
    }
    if !outcome.isEmpty { top.append((key: "outcome", value: .map(outcome))) }
    entry += states
    top.append((key: "states", value: .map(entry)))
    let yaml = "# Imported from a Dograh workflow.\n" + YAMLText.write(.map(top))
    guard yaml.utf8.count <= 1 << 20 else {
      throw WorkflowImport.Failure("the dialog would be larger than 1 MiB; divide the workflow")
    }
    // What holds for the global prompt is found again in every node that has it.
    var seen: Set<WorkflowImport.Note> = []
    return WorkflowImport.Outcome(
      yaml: yaml, name: name, stateCount: entry.count, notes: notes.filter { seen.insert($0).inserted })
  }

  private mutating func nameStates() {
    for node in graph.nodes where node.kind.isConversation {
      stateNames[node.id] = names.take(node.name, fallback: "node_\(node.id)")
    }
  }

  /// Adds a state that no node stands for.
  mutating func addState(_ wanted: String, _ body: Pairs) -> String {
    let name = names.take(wanted, fallback: "state")
    beside.append((key: name, value: .map(body)))
    return name
  }

  /// Adds the state of a node.
  mutating func add(_ name: String, _ body: Pairs) {
    states.append((key: name, value: .map(body)))
    states += beside
    beside = []
  }

  /// The state that only ends the call.
  mutating func end() -> String {
    if let ending { return ending }
    let name = names.take("call_ended", fallback: "call_ended")
    ending = name
    return name
  }

  /// The state for a model that fails.
  mutating func fallback() -> String {
    if let apology { return apology }
    note(.added, "workflow", "", "a state says sorry where the model fails; better lead to a person there")
    let name = names.take("model_failed", fallback: "model_failed")
    apology = name
    return name
  }

  /// A state that says a text and ends the call.
  mutating func end(saying message: String, after name: String) -> String {
    addState("\(name)_goodbye", [(key: "on_enter", value: [Self.say(message)]), (key: "terminal", value: true)])
  }

  static func say(_ text: String) -> YAMLNode { ["action": "play_tts", "text": .text(text)] }

  /// A number of seconds as a duration of the language; nil where it is none.
  static func seconds(_ value: Value?, in range: ClosedRange<Double>) -> String? {
    guard let seconds = value?.doubleValue, range.contains(seconds) else { return nil }
    let ms = Int((seconds * 1_000).rounded())
    if ms >= 60_000, ms % 60_000 == 0 { return "\(ms / 60_000)m" }
    return ms % 1_000 == 0 ? "\(ms / 1_000)s" : "\(ms)ms"
  }

  // MARK: What holds for the whole call

  private mutating func readConfigurations() -> Pairs {
    var settings: Pairs = []
    for key in graph.configurations.keys.sorted() {
      guard let value = graph.configurations[key], !WorkflowGraph.isNothing(value) else { continue }
      switch key {
      case "max_user_idle_timeout":
        if let duration = Self.seconds(value, in: 0.1...86_400) {
          settings.append((key: "timeout", value: .text(duration)))
        } else {
          note(.lost, "workflow", key, "it is no number of seconds")
        }
      case "max_call_duration":
        if let duration = Self.seconds(value, in: 1...86_400) {
          maxDuration = duration
          note(.changed, "workflow", key, "it limits each agent state, not the call")
        } else {
          note(.lost, "workflow", key, "it is no number of seconds")
        }
      default: note(.lost, "workflow", key, "this is set in the gateway's configuration, or not at all")
      }
    }
    return settings
  }

  private mutating func readGlobalNodes() {
    for node in graph.nodes {
      switch node.kind {
      case .global:
        if !globalPrompt.isEmpty {
          note(.changed, node.place, "", "there is another global node; both prompts are used")
          globalPrompt += "\n\n"
        }
        globalPrompt += node.text("prompt")
        noteRest(of: node, known: ["prompt"])
      case .trigger:
        note(.lost, node.place, "", "place calls with POST /v1/calls, and name this dialog there")
      default: continue
      }
    }
  }

  /// Data that nothing reads.
  mutating func noteRest(of node: WorkflowNode, known: Set<String>) {
    let always: Set<String> = [
      "name", "is_start", "is_end", "invalid", "validationMessage", "selected_through_edge", "hovered_through_edge",
      "label", "icon",
    ]
    for key in node.data.keys.sorted() where !known.contains(key) && !always.contains(key) {
      guard let value = node.data[key], !WorkflowGraph.isNothing(value), value != .bool(false) else { continue }
      note(.lost, node.place, key, "nothing here reads it")
    }
  }

  private mutating func outcome() -> Pairs {
    var outcome: Pairs = []
    if let disposition { outcome.append((key: "disposition", value: .text(disposition))) }
    if !extracted.isEmpty { outcome.append((key: "variables", value: .inline(.list(extracted.map { .text($0) })))) }
    for node in graph.nodes where node.kind == .review {
      guard node.flag("qa_enabled") != false else {
        note(.lost, node.place, "qa_enabled", "the review is switched off")
        continue
      }
      guard !outcome.contains(where: { $0.key == "review" }) else {
        note(.lost, node.place, "", "a dialog has one review; the first one is kept")
        continue
      }
      let prompt = plain(node.text("qa_system_prompt"), node.place, "qa_system_prompt", limit: 16_384)
      guard !prompt.isEmpty else {
        note(.lost, node.place, "qa_system_prompt", "a review needs instructions")
        continue
      }
      var review: Pairs = [(key: "prompt", value: .text(prompt))]
      let model = node.text("qa_model")
      if !model.isEmpty, model != "default" {
        review.append((key: "model", value: .text(plain(model, node.place, "qa_model", limit: 128))))
      }
      if prompt.contains("{transcript}") || prompt.contains("{node_summary}") || prompt.contains("{metrics}") {
        note(
          .changed, node.place, "qa_system_prompt",
          "the transcript follows the instructions by itself; `{transcript}` and the like are not replaced")
      }
      outcome.append((key: "review", value: .map(review)))
      noteRest(of: node, known: ["qa_enabled", "qa_system_prompt", "qa_model", "qa_use_workflow_llm"])
    }
    return outcome
  }

  // MARK: Other systems

  /// Every webhook becomes a hook when the call is over.
  private mutating func webhooks() -> [YAMLNode] {
    var actions: [YAMLNode] = []
    for node in graph.nodes where node.kind == .webhook {
      guard node.flag("enabled") != false else {
        note(.lost, node.place, "enabled", "the webhook is switched off")
        continue
      }
      guard actions.count < 50 else {
        note(.lost, node.place, "", "there are more than 50 webhooks")
        continue
      }
      guard
        var hook = hook(url: node.text("endpoint_url"), method: node.data["http_method"], node.place, "endpoint_url")
      else { continue }
      if case .list(let list)? = node.data["custom_headers"] {
        var headers: [String: Value] = [:]
        for item in list { if let key = item["key"]?.stringValue { headers[key] = item["value"] } }
        if let headers = self.headers(headers, node.place, "custom_headers") { hook.append(headers) }
      }
      hook.insert((key: "action", value: "call_hook"), at: 0)
      hook.append((key: "async", value: true))
      if let payload = node.data["payload_template"], !WorkflowGraph.isNothing(payload),
        let data = data(payload, node.place, "payload_template")
      {
        hook.append((key: "payload", value: data))
      }
      note(
        .changed, node.place, "payload_template",
        "the body is a hook request (docs/dialogs/language.md); the template's data is its `payload`")
      credential(node.data["credential_uuid"], node.place)
      if let retry = node.data["retry_config"], !WorkflowGraph.isNothing(retry) {
        note(
          .lost, node.place, "retry_config", "set `retry` of a service in integration.services, and call that service")
      }
      noteRest(
        of: node,
        known: [
          "enabled", "http_method", "endpoint_url", "credential_uuid", "custom_headers", "payload_template",
          "retry_config",
        ])
      actions.append(.map(hook))
    }
    return actions
  }

  /// `url` and `method` of a hook; nil where there is no address.
  mutating func hook(url: String, method: Value?, _ place: String, _ key: String) -> Pairs? {
    guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
      note(.lost, place, key, "it must begin with http:// or https://")
      return nil
    }
    var hook: Pairs = [(key: "url", value: .text(text(url, place, key, limit: 2_048)))]
    guard let method, method != .null else { return hook }
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    guard let word = method.stringValue?.uppercased(), known.contains(word) else {
      note(.changed, place, "method", "there is no such method; POST is used")
      return hook
    }
    if word != "POST" { hook.append((key: "method", value: .text(word))) }
    return hook
  }

  mutating func headers(_ headers: [String: Value], _ place: String, _ key: String) -> (key: String, value: YAMLNode)? {
    var fields: Pairs = []
    for name in headers.keys.sorted() {
      // The gateway sends JSON without being told.
      if name.lowercased() == "content-type", headers[name]?.stringValue?.hasPrefix("application/json") == true {
        continue
      }
      let isToken =
        !name.isEmpty && name.utf8.count <= 128
        && name.utf8.allSatisfy {
          (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
            || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
      guard isToken, let value = headers[name]?.stringValue, fields.count < 50,
        !DialogDecoder.httpHeaders.contains(name.lowercased()), !value.contains(where: \.isNewline),
        !fields.contains(where: { $0.key.lowercased() == name.lowercased() })
      else {
        note(.lost, place, key, "`\(name.prefix(60))` is no header field that can be set here")
        continue
      }
      fields.append((key: name, value: .text(text(value, place, key, limit: 1_024))))
    }
    return fields.isEmpty ? nil : (key: "headers", value: .map(fields))
  }

  mutating func credential(_ value: Value?, _ place: String) {
    guard let value, !WorkflowGraph.isNothing(value) else { return }
    note(
      .lost, place, "credential_uuid",
      "put the address and `auth` into integration.services, and name that `service` instead of `url`")
  }

  /// What comes before the conversation: a request, and the caller's first words.
  private mutating func statesBeforeTheCall() -> Pairs {
    guard let node = graph.node(graph.start), var next = stateNames[node.id] else { return [] }
    var entry: Pairs = []
    if node.flag("wait_for_user_response") == true || node.flag("wait_for_user_greeting") == true {
      let name = names.take("wait_for_caller", fallback: "wait_for_caller")
      var listen: Pairs = [(key: "hints", value: ["hello", "hello who is there"])]
      if let timeout = Self.seconds(node.data["wait_for_user_response_timeout"], in: 0.1...3_600) {
        listen.append((key: "timeout", value: .text(timeout)))
      }
      entry.append(
        (
          key: name,
          value: ["listen": .inline(.map(listen)), "transitions": Self.ways(["speech", "no_match", "no_input"], next)]
        )
      )
      next = name
    }
    guard node.flag("pre_call_fetch_enabled") == true,
      var hook = hook(url: node.text("pre_call_fetch_url"), method: nil, node.place, "pre_call_fetch_url")
    else { return entry }
    credential(node.data["pre_call_fetch_credential_uuid"], node.place)
    note(
      .changed, node.place, "pre_call_fetch_url",
      "the request is a hook (docs/dialogs/language.md); its answer sets variables with `{\"variables\": {...}}`")
    hook.insert((key: "action", value: "call_hook"), at: 0)
    hook.append((key: "timeout", value: "5s"))
    let name = names.take("before_call", fallback: "before_call")
    entry.insert(
      (key: name, value: ["on_enter": [.map(hook)], "transitions": Self.ways(["hook_result", "hook_error"], next)]),
      at: 0)
    return entry
  }

  private static func ways(_ events: [String], _ target: String) -> YAMLNode {
    .list(events.map { ["event": .text($0), "target": .text(target)] })
  }
}
