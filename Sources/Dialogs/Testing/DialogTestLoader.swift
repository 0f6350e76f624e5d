import Base

/// Reads a file of tests from parsed YAML, and checks it against its dialog.
///
/// Codes are those of dialogs with a `T`: `T002` is an unknown key of a test file as `D002` is one of a dialog.
public enum DialogTestLoader {
  public struct Outcome: Sendable {
    /// nil where there is any error.
    public var tests: DialogTestFile?
    public var diagnostics: [Diagnostic]
  }

  /// What a step can be, for editors and documentation.
  public static var stepNames: [String] { DialogTestDecoder.stepNames }

  /// - Parameter file: the path that diagnostics name; `helpdesk.test.yaml` tests `helpdesk` unless it says otherwise.
  public static func load(_ document: SourceNode, file: String) -> Outcome {
    var decoder = DialogTestDecoder(file: file)
    let tests = decoder.decode(document)
    return Outcome(tests: decoder.source.hasErrors ? nil : tests, diagnostics: decoder.source.diagnostics)
  }

  /// What the tests name and the dialog does not have.
  public static func check(_ tests: DialogTestFile, against dialog: Dialog) -> [Diagnostic] {
    var source = SourceDecoding(file: tests.file, letter: "T")
    let states = dialog.states.map(\.name)
    let variables = dialog.plan.names.dropFirst(DialogPlan.firstVariable)
    func unknown(_ name: String, _ known: [String], _ what: String) -> (String, String) {
      let hint = nearest(to: name, in: known).map { "did you mean `\($0)`?" } ?? ""
      return ("the dialog `\(dialog.name)` has no \(what) `\(name)`", hint)
    }
    for test in tests.cases {
      for name in test.variables.keys.sorted() where !variables.contains(name) {
        let (message, hint) = unknown(name, Array(variables), "variable")
        source.report(.unknownName, test.position, message, hint)
      }
      for step in test.steps {
        switch step.kind {
        // `pay/confirm` is a state of a dialog that this one runs.
        case .state(let name) where !name.contains("/") && !states.contains(name):
          let (message, hint) = unknown(name, states, "state")
          source.report(.unknownTarget, step.position, message, hint)
        case .variables(let values):
          for (name, _) in values where !variables.contains(name) {
            let (message, hint) = unknown(name, Array(variables), "variable")
            source.report(.unknownName, step.position, message, hint)
          }
        default: break
        }
      }
    }
    return source.diagnostics
  }
}

/// Turns a parsed test file into a ``DialogTestFile``.
struct DialogTestDecoder {
  var source: SourceDecoding

  static let caseLimit = 2_000
  static let stepLimit = 500
  static let answerLimit = 500

  init(file: String) { source = SourceDecoding(file: file, letter: "T") }

  /// What cases share; each may say it anew.
  private struct Setting {
    var hooks: [String: [CallScript.HookAnswer]] = [:]
    var model: [CallScript.ModelAnswer] = []
    var variables: [String: Value] = [:]
    var call = CallFacts(session: SessionID("test"), callerID: "anonymous")
    var limits = DialogLimits()
    var instantPrompts = false
    var startMs: Int64 = 1_767_348_000_000
  }

  private static let settingKeys = ["hooks", "model", "variables", "call", "settings", "prompts", "now"]

  mutating func decode(_ document: SourceNode) -> DialogTestFile? {
    guard case .mapping = document.content else {
      source.report(
        .notAMapping, document.position, "this is no test file: it must be a mapping with `cases`",
        "begin with `dialog:` and `cases:`")
      return nil
    }
    guard
      let members = source.members(of: document, "a test file", known: ["dialog", "cases"] + Self.settingKeys)
    else { return nil }
    let setting = decodeSetting(members, Setting())
    var tests = DialogTestFile(
      file: source.file, dialog: Self.baseName(source.file), dialogPosition: document.position, cases: [])
    if let node = members["dialog"], let name = source.text(node, "`dialog`") {
      tests.dialog = name
      tests.dialogPosition = node.position
    }
    guard let casesNode = members["cases"] else {
      source.report(.missingKey, document.position, "the file has no `cases`", "add at least one")
      return nil
    }
    var names: Set<String> = []
    for node in source.items(of: casesNode, "`cases`", limit: Self.caseLimit) ?? [] {
      guard let test = decodeCase(node, setting, number: tests.cases.count + 1) else { continue }
      if !names.insert(test.name).inserted {
        source.report(.duplicateDialog, test.position, "two cases are named `\(test.name)`", "give one another name")
      }
      tests.cases.append(test)
    }
    if tests.cases.isEmpty { source.report(.missingKey, casesNode.position, "the file has no cases", "add one") }
    return tests
  }

  private static func baseName(_ file: String) -> String {
    var name = String(file.split(separator: "/").last ?? "")
    for ending in [".test.yaml", ".test.yml", ".yaml", ".yml"] where name.hasSuffix(ending) {
      name.removeLast(ending.count)
      break
    }
    return name
  }

  private mutating func decodeCase(_ node: SourceNode, _ setting: Setting, number: Int) -> DialogTestCase? {
    guard let members = source.members(of: node, "a case", known: ["name", "steps"] + Self.settingKeys) else {
      return nil
    }
    let own = decodeSetting(members, setting)
    let name = members["name"].flatMap { source.text($0, "`name`", limit: 200) } ?? "case \(number)"
    guard let stepsNode = members["steps"] else {
      source.report(.missingKey, node.position, "the case `\(name)` has no `steps`")
      return nil
    }
    let steps = (source.items(of: stepsNode, "`steps`", limit: Self.stepLimit) ?? []).compactMap { node in
      decodeStep(node).map { DialogTestStep(kind: $0, position: node.position) }
    }
    if own.instantPrompts {
      for step in steps {
        switch step.kind {
        case .say(_, .some), .mumble(.some), .press(_, .some), .event(_, _, .some):
          source.report(
            .conflictingKeys, step.position, "`at` needs prompts that take time", "remove `prompts: instant`")
        default: break
        }
      }
    }
    return DialogTestCase(
      name: name, position: node.position, steps: steps, variables: own.variables, call: own.call,
      script: CallScript(hooks: own.hooks, model: own.model), limits: own.limits, instantPrompts: own.instantPrompts,
      startMs: own.startMs)
  }

  // MARK: What cases share

  private mutating func decodeSetting(_ members: [String: SourceNode], _ base: Setting) -> Setting {
    var setting = base
    if let node = members["hooks"] {
      setting.hooks.merge(decodeHooks(node)) { $1 }
    }
    if let node = members["model"] {
      setting.model = (source.items(of: node, "`model`", limit: Self.answerLimit) ?? []).compactMap {
        decodeModelAnswer($0)
      }
    }
    if let node = members["variables"], let variables = mapping(node, "`variables`") {
      setting.variables.merge(variables.mapValues(\.value)) { $1 }
    }
    if let node = members["call"] { setting.call = decodeCall(node, base.call) }
    if let node = members["settings"] { setting.limits = decodeLimits(node, base.limits) }
    if let node = members["prompts"], let word = source.word(node, "`prompts`", of: ["instant", "spoken"]) {
      setting.instantPrompts = word == "instant"
    }
    if let node = members["now"] {
      if let ms = node.text.flatMap({ UTCTime.milliseconds($0) }) {
        setting.startMs = ms
      } else {
        source.report(.badValue, node.position, "`now` must be a time (UTC)", "write \"2026-03-01 09:30\"")
      }
    }
    return setting
  }

  /// Any keys.
  mutating func mapping(_ node: SourceNode, _ what: String) -> [String: SourceNode]? {
    guard case .mapping(let pairs) = node.content else {
      source.report(
        .badType, node.position, "\(what) must be a mapping of keys to values, not \(SourceDecoding.shape(node))")
      return nil
    }
    var members: [String: SourceNode] = [:]
    for pair in pairs { members[pair.key.text ?? ""] = pair.value }
    return members
  }

  private mutating func decodeHooks(_ node: SourceNode) -> [String: [CallScript.HookAnswer]] {
    var hooks: [String: [CallScript.HookAnswer]] = [:]
    for (name, node) in mapping(node, "`hooks`") ?? [:] {
      if case .sequence(let items) = node.content {
        if items.isEmpty || items.count > Self.answerLimit {
          source.report(.tooMany, node.position, "a hook needs 1 to \(Self.answerLimit) answers")
        }
        hooks[name] = items.compactMap { decodeHookAnswer($0) }
      } else {
        hooks[name] = decodeHookAnswer(node).map { [$0] } ?? []
      }
    }
    return hooks
  }

  private mutating func decodeHookAnswer(_ node: SourceNode) -> CallScript.HookAnswer? {
    guard var members = mapping(node, "a hook's answer") else { return nil }
    let delay = members.removeValue(forKey: "delay").flatMap { source.duration($0, "`delay`") } ?? .zero
    guard let error = members.removeValue(forKey: "error") else {
      return CallScript.HookAnswer(.answer(.map(members.mapValues(\.value))), delay: delay)
    }
    let status = members.removeValue(forKey: "status").flatMap { source.int($0, "`status`", in: 0...999) } ?? 0
    let message = members.removeValue(forKey: "message").flatMap { source.text($0, "`message`") } ?? ""
    if let stray = members.keys.sorted().first {
      source.report(
        .unknownKey, members[stray]?.position, "a hook's error has no key `\(stray)`",
        "known keys: delay, error, message, status")
    }
    guard let code = source.word(error, "`error`", of: Self.hookErrors) else { return nil }
    return CallScript.HookAnswer(.error(code, status: status, message: message), delay: delay)
  }

  private static let hookErrors = [
    "timeout", "unreachable", "refused", "status", "invalid_answer", "unknown_service", "too_large",
    "unauthorized", "circuit_open", "rate_limited",
  ]

  private mutating func decodeModelAnswer(_ node: SourceNode) -> CallScript.ModelAnswer? {
    if case .scalar = node.content {
      return source.text(node, "an answer of the model", limit: 16_384).map { CallScript.ModelAnswer(text: $0) }
    }
    guard
      let members = source.members(
        of: node, "an answer of the model", known: ["say", "call", "calls", "exit", "fail", "delay"])
    else { return nil }
    var answer = CallScript.ModelAnswer()
    if let say = members["say"] { answer.text = source.text(say, "`say`", limit: 16_384) ?? "" }
    if let calls = members["call"] { answer.calls += decodeModelCalls(calls, "`call`") }
    if let calls = members["calls"] {
      for call in source.items(of: calls, "`calls`", limit: 100) ?? [] {
        answer.calls += decodeModelCalls(call, "an entry of `calls`")
      }
    }
    if let exit = members["exit"] { answer.calls += decodeModelCalls(exit, "`exit`") }
    if let fail = members["fail"] {
      answer.failure = source.word(
        fail, "`fail`", of: ["timeout", "unreachable", "status", "invalid_answer", "empty"])
    }
    if let delay = members["delay"] { answer.delay = source.duration(delay, "`delay`") ?? .zero }
    return answer
  }

  /// `name`, or `{name: {arguments}}` for one or several.
  private mutating func decodeModelCalls(_ node: SourceNode, _ what: String) -> [CallScript.ModelCall] {
    if case .scalar = node.content {
      return source.text(node, what).map { [CallScript.ModelCall(name: $0, arguments: .map([:]))] } ?? []
    }
    guard case .mapping(let pairs) = node.content else {
      source.report(.badType, node.position, "\(what) must name what the model asks for", "write {NAME: {arguments}}")
      return []
    }
    return pairs.map { pair in
      CallScript.ModelCall(
        name: pair.key.text ?? "", arguments: source.isNull(pair.value) ? .map([:]) : pair.value.value)
    }
  }

  private mutating func decodeCall(_ node: SourceNode, _ base: CallFacts) -> CallFacts {
    let keys = ["session_id", "caller_id", "called_number", "from_uri", "to_uri", "trunk", "sip_headers"]
    guard let members = source.members(of: node, "`call`", known: keys) else { return base }
    var call = base
    if let node = members["session_id"], let text = source.text(node, "`session_id`") { call.session = SessionID(text) }
    if let node = members["caller_id"] { call.callerID = source.text(node, "`caller_id`") ?? "" }
    if let node = members["called_number"] { call.calledNumber = source.text(node, "`called_number`") ?? "" }
    if let node = members["from_uri"] { call.fromURI = source.text(node, "`from_uri`") ?? "" }
    if let node = members["to_uri"] { call.toURI = source.text(node, "`to_uri`") ?? "" }
    if let node = members["trunk"] { call.trunk = source.text(node, "`trunk`") }
    if let node = members["sip_headers"], let headers = mapping(node, "`sip_headers`") {
      call.headers = headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value.text ?? "") }
    }
    return call
  }

  private mutating func decodeLimits(_ node: SourceNode, _ base: DialogLimits) -> DialogLimits {
    guard let members = source.members(of: node, "`settings`", known: ["timeout", "max_depth", "barge_in"]) else {
      return base
    }
    var limits = base
    if let node = members["timeout"] { limits.timeout = source.duration(node, "`timeout`") ?? limits.timeout }
    if let node = members["max_depth"] {
      limits.maxDepth = source.int(node, "`max_depth`", in: 1...10_000) ?? limits.maxDepth
    }
    if let node = members["barge_in"] { limits.bargeIn = source.bool(node, "`barge_in`") ?? limits.bargeIn }
    return limits
  }
}

extension SourceDecoding {
  /// The members of a mapping with these keys; nil where it is no mapping.
  mutating func members(of node: SourceNode, _ what: String, known: [String]) -> [String: SourceNode]? {
    guard case .mapping(let pairs) = node.content else {
      report(.badType, node.position, "\(what) must be a mapping of keys to values, not \(Self.shape(node))")
      return nil
    }
    var members: [String: SourceNode] = [:]
    for pair in pairs {
      if let key = pair.key.text, known.contains(key) {
        members[key] = pair.value
      } else {
        let key = pair.key.text ?? "?"
        report(
          .unknownKey, pair.key.position, "\(what) has no key `\(key.prefix(80))`",
          nearest(to: key, in: known).map { "did you mean `\($0)`?" }
            ?? "known keys: \(known.sorted().joined(separator: ", "))")
      }
    }
    return members
  }

  /// At most a day.
  mutating func duration(_ node: SourceNode, _ what: String) -> Duration? {
    duration(node, what, in: .zero ... .seconds(86_400))
  }
}
