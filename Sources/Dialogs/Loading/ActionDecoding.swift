import Base

extension DialogDecoder {
  /// Keys that say which action it is, and how its arguments are written.
  static let writing = ["action", "type", "params"]

  mutating func decodeActions(_ members: Members, _ key: String) -> [ActionStep] {
    members[key].map { decodeActions($0, members.label(key)) } ?? []
  }

  mutating func decodeActions(_ node: SourceNode, _ what: String) -> [ActionStep] {
    (source.items(of: node, what, limit: Self.actionLimit) ?? []).compactMap { decodeAction($0) }
  }

  mutating func decodeAction(_ node: SourceNode) -> ActionStep? {
    guard case .mapping(let pairs) = node.content else {
      source.report(
        .badType, node.position, "an action must be a mapping, not \(SourceDecoding.shape(node))",
        "write `- action: play_tts`, and its arguments beside it")
      return nil
    }
    let named = (node["action"], node["type"])
    if let action = named.0, named.1 != nil {
      source.report(
        .conflictingKeys, action.position, "`action` and `type` are two names of one key", "keep one of them")
    }
    guard let nameNode = named.0 ?? named.1 else {
      source.report(.missingKey, node.position, "an action has no `action`", "write `- action: play_tts`")
      return nil
    }
    guard let name = source.text(nameNode, "`action`") else { return nil }
    guard let declaration = Declarations.action(named: name) else {
      let close = nearest(to: name, in: Declarations.actionNames)
      source.report(
        .unknownAction, nameNode.position, "there is no action `\(name)`",
        close.map { "did you mean `\($0)`?" } ?? "known actions: \(Declarations.actionNames.joined(separator: ", "))")
      return nil
    }
    if !declaration.isCarriedOut {
      source.report(
        .notCarriedOut, nameNode.position, "`\(name)` is not carried out by the gateway of this version",
        "it answers with `unsupported`; simulations and tests carry it out")
    }
    var arguments = node
    let params = node["params"]
    if let params {
      for pair in pairs where !Self.writing.contains(pair.key.text ?? "") {
        source.report(
          .conflictingKeys, pair.key.position, "`\(pair.key.text ?? "")` stands beside `params`",
          "put all arguments into `params`, or none")
      }
      arguments = source.isNull(params) ? SourceNode(.mapping([]), at: node.position) : params
    }
    if declaration.isOpen {
      return setVariables(arguments, isParams: params != nil).map { ActionStep(action: $0, position: node.position) }
    }
    guard
      let members = source.members(
        of: arguments, declaration.shape, passing: params == nil ? Self.writing : [],
        renamed: params == nil ? [:] : declaration.aliasesInParams)
    else { return nil }
    return decode(name, members).map { ActionStep(action: $0, position: node.position) }
  }

  private mutating func decode(_ name: String, _ members: Members) -> DialogCommand? {
    switch name {
    case "play_tts": return playTTS(members)
    case "play_audio": return playAudio(members)
    case "silence": return source.duration(members, "duration").map { .silence($0) }
    case "collect_digits": return collectDigits(members).map { .collectDigits($0) }
    case "listen": return .listen(listening(members))
    case "call_hook": return callHook(members)
    case "emit":
      guard let event = source.name(members, "name") else { return nil }
      return .emit(name: event, data: members["data"].flatMap { valueSource($0) })
    case "log":
      guard let message = template(members, "message") else { return nil }
      return .log(message: message, level: source.word(members, "level") ?? "info")
    case "transfer": return transfer(members)
    case "hold": return .hold
    case "unhold": return .unhold
    case "send_dtmf": return sendDigits(members)
    case "record": return record(members)
    case "run_dialog": return runDialog(members)
    case "goto": return target(members, "target").map { .goto(target: $0) }
    default: return .hangup(reason: source.word(members, "reason") ?? "normal")
    }
  }

  // MARK: Texts

  /// A text that an action cannot do without.
  mutating func template(_ members: Members, _ key: String) -> Template? {
    guard let node = members[key], case .template(let limit)? = members.shape[key]?.kind else { return nil }
    return template(node, members.label(key), limit: limit)
  }

  /// The same, where an empty value means that there is none.
  mutating func optionalTemplate(_ members: Members, _ key: String) -> Template {
    guard let node = members[key], !source.isNull(node), node.text?.isEmpty != true else {
      return Template(literal: "")
    }
    return template(members, key) ?? Template(literal: "")
  }

  private mutating func headers(_ members: Members, of protocolName: String, reserved: Set<String>) -> [(
    name: String, value: Template
  )] {
    var seen: Set<String> = []
    return source.pairs(members, "headers").compactMap { pair in
      let name = pair.key.text ?? ""
      guard !reserved.contains(name.lowercased()) else {
        source.report(
          .reservedName, pair.key.position, "the header field `\(name)` belongs to \(protocolName) and cannot be set")
        return nil
      }
      if !seen.insert(name.lowercased()).inserted {
        source.report(.conflictingKeys, pair.key.position, "the header field `\(name)` stands twice")
      }
      return template(pair.value, "the header `\(name)`", limit: 1_024).map { (name, $0) }
    }
  }

  // MARK: Speaking

  private mutating func playTTS(_ members: Members) -> DialogCommand? {
    guard let text = template(members, "text") else { return nil }
    return .playTTS(
      SpeakStep(
        text: text, voice: optionalTemplate(members, "voice"), speed: source.number(members, "speed") ?? 1,
        language: optionalTemplate(members, "language"), bargeIn: source.bool(members, "barge_in"),
        cache: source.bool(members, "cache") ?? true, wait: source.bool(members, "wait") ?? true,
        isSSML: source.bool(members, "ssml") ?? false))
  }

  private mutating func playAudio(_ members: Members) -> DialogCommand? {
    guard let url = template(members, "url") else { return nil }
    let loop = source.bool(members, "loop") ?? false
    let wait = source.bool(members, "wait") ?? !loop
    if loop, wait, let node = members["wait"] {
      source.report(.conflictingKeys, node.position, "a sound that loops never ends, so nothing can wait for it")
    }
    return .playAudio(url: url, bargeIn: source.bool(members, "barge_in"), loop: loop, wait: wait)
  }

  // MARK: Variables

  private mutating func setVariables(_ node: SourceNode, isParams: Bool) -> DialogCommand? {
    guard case .mapping(let pairs) = node.content else {
      source.report(.badType, node.position, "`set_variable` needs names and values")
      return nil
    }
    var values: [(name: String, value: ValueSource)] = []
    for pair in pairs {
      let name = pair.key.text ?? ""
      if !isParams, Self.writing.contains(name) { continue }
      guard let name = variableName(pair.key, "a variable") else { continue }
      guard let (value, type) = assignment(pair.value, isParams: isParams) else { continue }
      let wanted = scope[name] ?? .any
      if type != .null, !type.fits(wanted) {
        source.report(
          .typeMismatch, pair.value.position,
          "`\(name)` holds \(wanted.description), but is set to \(type.description)",
          "its type follows from its first value under `variables`")
      }
      values.append((name, value))
    }
    if values.isEmpty, pairs.count <= (isParams ? 0 : 1) {
      source.report(.missingKey, node.position, "`set_variable` sets nothing", "write `name: expression`")
    }
    return .setVariables(values)
  }

  /// The name of a variable that an action fills.
  mutating func variableName(_ node: SourceNode, _ what: String) -> String? {
    guard let name = source.name(node, .variable, what) else { return nil }
    guard !Vocabulary.builtinNames.contains(name), !Vocabulary.expressionWords.contains(name) else {
      source.report(.reservedName, node.position, "`\(name)` belongs to the language and cannot be set")
      return nil
    }
    return name
  }

  /// The same for a key; what it is filled with must fit what it was declared to hold.
  private mutating func variableName(_ members: Members, _ key: String, holds type: StaticType, _ hint: String)
    -> String?
  {
    guard let node = members[key], let name = variableName(node, members.label(key)) else { return nil }
    if let wanted = scope[name], !type.fits(wanted) {
      source.report(
        .typeMismatch, node.position, "`\(name)` holds \(wanted.description), but gets \(type.description)", hint)
    }
    return name
  }

  mutating func collectDigits(_ members: Members) -> CollectStep? {
    let max = source.int(members, "max") ?? DigitPattern.lengthLimit
    let min = source.int(members, "min") ?? 1
    if min > max, let node = members["min"] {
      source.report(.conflictingKeys, node.position, "`min` (\(min)) is more than `max` (\(max))")
    }
    return CollectStep(
      max: max, min: min, terminator: terminator(members) ?? "#",
      interDigitTimeout: source.duration(members, "inter_digit_timeout") ?? DialogSession.interDigitTimeout,
      timeout: source.duration(members, "timeout"),
      into: variableName(members, "into", holds: .string, "digits are text: declare it with the first value \"\""),
      isMasked: source.bool(members, "mask") ?? false)
  }

  // MARK: Hooks

  private mutating func callHook(_ members: Members) -> DialogCommand? {
    callsHooks = true
    var hook = decodeHook(members)
    hook.isAsync = source.bool(members, "async") ?? false
    hook.payload = members["payload"].flatMap { valueSource($0) }
    hook.fillerText = template(members, "filler_text")
    hook.resultInto = variableName(members, "result_into", holds: .any, "")
    return .callHook(hook)
  }

  /// How to reach a backend: what `call_hook` and the tools of an agent have in common.
  mutating func decodeHook(_ members: Members) -> HookStep {
    if let url = members["url"], members["service"] != nil {
      source.report(
        .conflictingKeys, url.position, "\(members.shape.title) has both `service` and `url`", "keep one of them")
    }
    if members["service"] == nil, members["url"] == nil {
      source.report(
        .missingKey, members.node.position, "\(members.shape.title) needs `service` or `url`",
        "a service of integration.services")
    }
    let url = optionalTemplate(members, "url")
    if let node = members["url"], case .text(let text)? = url.parts.first, !text.hasPrefix("http://"),
      !text.hasPrefix("https://")
    {
      source.report(.badValue, node.position, "`url` must begin with http:// or https://")
    }
    return HookStep(
      service: source.name(members, "service") ?? "", url: url,
      path: template(members, "path") ?? Template(literal: "/on-intent"),
      method: source.word(members, "method") ?? "",
      headers: headers(members, of: "HTTP", reserved: Self.httpHeaders), payload: nil,
      timeout: source.duration(members, "timeout"), isAsync: false, fillerText: nil, resultInto: nil)
  }

  /// What the client sets itself: another value would break the message or hide who sends it.
  static let httpHeaders: Set<String> = [
    "content-length", "transfer-encoding", "connection", "host", "content-type", "te", "upgrade", "trailer",
  ]
  private static let sipHeaders: Set<String> = [
    "via", "from", "to", "call-id", "cseq", "contact", "content-length", "content-type", "max-forwards", "route",
    "record-route", "refer-to", "replaces", "authorization", "proxy-authorization", "allow", "supported", "require",
  ]

  // MARK: The call

  private mutating func transfer(_ members: Members) -> DialogCommand? {
    guard let target = template(members, "target") else { return nil }
    if let node = members["target"], target.isConstant, !Self.isAddress(target.source) {
      source.report(
        .badValue, node.position, "`target` is neither an address nor a number",
        "write sip:sales@example.com or +4930123")
    }
    let mode = source.word(members, "mode").flatMap(TransferStep.Mode.init) ?? .blind
    if mode != .warm, let brief = members["brief"] {
      source.report(.conflictingKeys, brief.position, "`brief` is only said in the mode `warm`", "add `mode: warm`")
    }
    return .transfer(
      TransferStep(
        target: target, mode: mode, timeout: source.duration(members, "timeout") ?? .seconds(30),
        headers: headers(members, of: "SIP", reserved: Self.sipHeaders),
        holdAudio: optionalTemplate(members, "hold_audio"), brief: optionalTemplate(members, "brief")))
  }

  static func isAddress(_ text: String) -> Bool {
    guard !text.isEmpty, text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else { return false }
    let lower = text.lowercased()
    for scheme in ["sip:", "sips:", "tel:"] where lower.hasPrefix(scheme) {
      return lower.utf8.count > scheme.utf8.count
    }
    // Without a scheme: a number, or the name of an extension.
    return text.unicodeScalars.allSatisfy { $0.isWord || "+-.()*#@".unicodeScalars.contains($0) }
  }

  private mutating func sendDigits(_ members: Members) -> DialogCommand? {
    guard let digits = template(members, "digits") else { return nil }
    if let node = members["digits"], digits.isConstant,
      digits.source.isEmpty || !digits.source.allSatisfy({ DigitPattern.keys.contains($0) })
    {
      source.report(.badValue, node.position, "`digits` holds what is no key", "keys are 0 to 9, *, # and A to D")
    }
    return .sendDigits(digits: digits, durationMs: source.int(members, "duration_ms") ?? 100)
  }

  private mutating func record(_ members: Members) -> DialogCommand? {
    guard let operation = source.word(members, "operation").flatMap(RecordStep.Operation.init) else { return nil }
    if operation != .start, let channels = members["channels"] {
      source.report(.conflictingKeys, channels.position, "`channels` belongs to `operation: start`", "remove it")
    }
    return .record(
      RecordStep(
        operation: operation,
        channels: source.word(members, "channels").flatMap(RecordedAudio.init) ?? recordedChannels))
  }

  private mutating func runDialog(_ members: Members) -> DialogCommand? {
    guard let name = source.name(members, "name") else { return nil }
    var variables: [(name: String, value: ValueSource)] = []
    for pair in source.pairs(members, "variables") {
      guard let value = assignment(pair.value, isParams: false) else { continue }
      variables.append((pair.key.text ?? "", value.source))
    }
    return .runDialog(
      RunDialogStep(
        name: name, variables: variables,
        into: variableName(members, "into", holds: .map, "declare it with the first value {}"),
        position: members["name"]?.position ?? members.node.position))
  }
}
