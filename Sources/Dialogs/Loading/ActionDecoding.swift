import Base

extension DialogDecoder {
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
    var members: [String: SourceNode] = [:]
    for pair in pairs { members[pair.key.text ?? ""] = pair.value }
    guard let nameNode = source.either(members, "action", "type") else {
      source.report(.missingKey, node.position, "an action has no `action`", "write `- action: play_tts`")
      return nil
    }
    guard let name = source.text(nameNode, "`action`") else { return nil }
    guard Vocabulary.actions.contains(name) else {
      if Vocabulary.laterActions.contains(name) {
        source.report(
          .notSupported, nameNode.position, "the action `\(name)` is not supported by this version", "remove it")
      } else {
        let close = nearest(to: name, in: Vocabulary.actions)
        source.report(
          .unknownAction, nameNode.position, "there is no action `\(name)`",
          close.map { "did you mean `\($0)`?" } ?? "known actions: \(Vocabulary.actions.joined(separator: ", "))")
      }
      return nil
    }
    var arguments = node
    let params = members["params"]
    if let params {
      for pair in pairs where !["action", "type", "params"].contains(pair.key.text) {
        source.report(
          .conflictingKeys, pair.key.position, "`\(pair.key.text ?? "")` stands beside `params`",
          "put all arguments into `params`, or none")
      }
      arguments = source.isNull(params) ? SourceNode(.mapping([]), at: params.position) : params
    }
    return decode(name, arguments, isParams: params != nil).map { ActionStep(action: $0, position: node.position) }
  }

  private mutating func arguments(
    _ node: SourceNode, _ name: String, _ known: [String], later: [String] = []
  ) -> [String: SourceNode]? {
    source.members(of: node, "`\(name)`", known: known + ["action", "type", "params"], later: later)
  }

  private mutating func required(_ members: [String: SourceNode], _ key: String, _ name: String, _ node: SourceNode)
    -> SourceNode?
  {
    if let value = members[key] { return value }
    source.report(.missingKey, node.position, "`\(name)` needs `\(key)`")
    return nil
  }

  private mutating func decode(_ name: String, _ node: SourceNode, isParams: Bool) -> DialogCommand? {
    switch name {
    case "play_tts":
      guard
        let members = arguments(
          node, name, ["text", "voice", "speed", "language", "barge_in", "cache", "wait"], later: ["ssml"]),
        let textNode = required(members, "text", name, node), let text = template(textNode, "`text`")
      else { return nil }
      return .playTTS(
        SpeakStep(
          text: text, voice: optionalTemplate(members["voice"], "`voice`"),
          speed: members["speed"].flatMap { source.number($0, "`speed`", in: 0.5...2) } ?? 1,
          language: optionalTemplate(members["language"], "`language`"),
          bargeIn: members["barge_in"].flatMap { source.bool($0, "`barge_in`") },
          cache: members["cache"].flatMap { source.bool($0, "`cache`") } ?? true,
          wait: members["wait"].flatMap { source.bool($0, "`wait`") } ?? true, isSSML: false))
    case "play_audio":
      guard let members = arguments(node, name, ["url", "object", "barge_in", "loop", "wait"]) else { return nil }
      guard let urlNode = source.either(members, "url", "object") else {
        source.report(.missingKey, node.position, "`play_audio` needs `url` or `object`")
        return nil
      }
      guard let url = template(urlNode, "`url`", limit: 2_048) else { return nil }
      let loop = members["loop"].flatMap { source.bool($0, "`loop`") } ?? false
      let wait = members["wait"].flatMap { source.bool($0, "`wait`") } ?? !loop
      if loop, wait, let node = members["wait"] {
        source.report(.conflictingKeys, node.position, "a sound that loops never ends, so nothing can wait for it")
      }
      return .playAudio(
        url: url, bargeIn: members["barge_in"].flatMap { source.bool($0, "`barge_in`") }, loop: loop, wait: wait)
    case "silence":
      guard let members = arguments(node, name, ["duration"]), let node = required(members, "duration", name, node),
        let duration = source.duration(node, "`duration`")
      else { return nil }
      guard duration <= .seconds(60), duration > .zero else {
        source.report(.badDuration, node.position, "`duration` must be over 0 and at most 60s")
        return nil
      }
      return .silence(duration)
    case "set_variable": return setVariables(node, isParams: isParams)
    case "call_hook": return callHook(node)
    case "collect_digits": return collectDigits(node)
    case "listen": return .listen(decodeListen(node, "`listen`", isAction: true))
    case "log":
      guard let members = arguments(node, name, ["message", "level"]),
        let message = required(members, "message", name, node).flatMap({ template($0, "`message`", limit: 4_096) })
      else { return nil }
      let levels = ["debug", "info", "warning", "error"]
      return .log(
        message: message, level: members["level"].flatMap { source.word($0, "`level`", of: levels) } ?? "info")
    case "emit":
      guard let members = arguments(node, name, ["name", "data"]), let nameNode = required(members, "name", name, node),
        let event = source.text(nameNode, "`name`", limit: 64)
      else { return nil }
      guard Self.isName(event) else {
        source.report(.badValue, nameNode.position, "`\(event)` cannot be the name of an event")
        return nil
      }
      return .emit(name: event, data: members["data"].flatMap { valueSource($0) })
    case "goto":
      guard let members = arguments(node, name, ["target", "state"]) else { return nil }
      guard let node = source.either(members, "target", "state") else {
        source.report(.missingKey, node.position, "`goto` needs `target`")
        return nil
      }
      return target(node, "`goto`").map { .goto(target: $0) }
    default:
      guard let members = arguments(node, name, ["reason"]) else { return nil }
      let reason = members["reason"].flatMap { source.word($0, "`reason`", of: DialogSession.hangupReasons) }
      return .hangup(reason: reason ?? "normal")
    }
  }

  private mutating func optionalTemplate(_ node: SourceNode?, _ what: String) -> Template {
    guard let node, node.text?.isEmpty == false else { return Template(literal: "") }
    return template(node, what, limit: 256) ?? Template(literal: "")
  }

  private mutating func setVariables(_ node: SourceNode, isParams: Bool) -> DialogCommand? {
    guard case .mapping(let pairs) = node.content else {
      source.report(.badType, node.position, "`set_variable` needs names and values")
      return nil
    }
    var values: [(name: String, value: ValueSource)] = []
    for pair in pairs {
      let name = pair.key.text ?? ""
      if !isParams, ["action", "type", "params"].contains(name) { continue }
      guard Self.isIdentifier(name) else {
        source.report(.badValue, pair.key.position, "`\(name)` cannot be the name of a variable")
        continue
      }
      guard scope[name] != nil, !Vocabulary.builtinNames.contains(name) else {
        source.report(.reservedName, pair.key.position, "`\(name)` belongs to the language and cannot be set")
        continue
      }
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

  private mutating func callHook(_ node: SourceNode) -> DialogCommand? {
    callsHooks = true
    guard
      let members = arguments(
        node, "call_hook",
        ["service", "url", "path", "payload", "timeout", "async", "filler_text", "result_into"],
        later: ["auth_type", "auth_secret", "method", "headers"])
    else { return nil }
    if let url = members["url"], members["service"] != nil {
      source.report(.conflictingKeys, url.position, "`call_hook` has both `service` and `url`", "keep one of them")
    }
    if members["service"] == nil, members["url"] == nil {
      source.report(
        .missingKey, node.position, "`call_hook` needs `service` or `url`", "a service of integration.services")
    }
    let isAsync = members["async"].flatMap { source.bool($0, "`async`") } ?? false
    if isAsync, let filler = members["filler_text"] {
      source.report(
        .conflictingKeys, filler.position,
        "`filler_text` is spoken while the dialog waits, but an async hook is not waited for")
    }
    return .callHook(
      HookStep(
        service: members["service"].flatMap { source.text($0, "`service`", limit: 128) } ?? "",
        url: optionalURL(members["url"]),
        path: members["path"].flatMap { template($0, "`path`", limit: 2_048) } ?? Template(literal: "/on-intent"),
        method: "", headers: [],
        payload: members["payload"].flatMap { valueSource($0) },
        timeout: members["timeout"].flatMap { positiveDuration($0, "`timeout`") }, isAsync: isAsync,
        fillerText: members["filler_text"].flatMap { template($0, "`filler_text`") },
        resultInto: members["result_into"].flatMap { variableName($0, "`result_into`") }))
  }

  private mutating func optionalURL(_ node: SourceNode?) -> Template {
    guard let node, let url = template(node, "`url`", limit: 2_048) else { return Template(literal: "") }
    if case .text(let text)? = url.parts.first, !text.hasPrefix("http://"), !text.hasPrefix("https://") {
      source.report(.badValue, node.position, "`url` must begin with http:// or https://")
    }
    return url
  }

  /// The name of a variable that an action fills.
  private mutating func variableName(_ node: SourceNode, _ what: String) -> String? {
    guard let name = source.text(node, what, limit: 64) else { return nil }
    guard Self.isIdentifier(name) else {
      source.report(.badValue, node.position, "`\(name)` cannot be the name of a variable")
      return nil
    }
    guard !Vocabulary.builtinNames.contains(name) else {
      source.report(.reservedName, node.position, "`\(name)` belongs to the language and cannot be set")
      return nil
    }
    return name
  }

  private mutating func collectDigits(_ node: SourceNode) -> DialogCommand? {
    guard
      let members = arguments(
        node, "collect_digits", ["max", "min", "terminator", "inter_digit_timeout", "timeout", "into", "mask"])
    else { return nil }
    let limit = DigitPattern.lengthLimit
    let max = members["max"].flatMap { source.int($0, "`max`", in: 1...limit) } ?? limit
    let min = members["min"].flatMap { source.int($0, "`min`", in: 1...limit) } ?? 1
    if min > max, let node = members["min"] {
      source.report(.conflictingKeys, node.position, "`min` (\(min)) is more than `max` (\(max))")
    }
    let into = members["into"].flatMap { variableName($0, "`into`") }
    if let into, let node = members["into"], let type = scope[into], !type.fits(.string) {
      source.report(
        .typeMismatch, node.position, "`\(into)` holds \(type.description), but digits are text",
        "declare it as `\(into): \"\"`")
    }
    return .collectDigits(
      CollectStep(
        max: max, min: min, terminator: members["terminator"].flatMap { terminator($0) } ?? "#",
        interDigitTimeout: members["inter_digit_timeout"].flatMap { positiveDuration($0, "`inter_digit_timeout`") }
          ?? DialogSession.interDigitTimeout,
        timeout: members["timeout"].flatMap { positiveDuration($0, "`timeout`") }, into: into,
        isMasked: members["mask"].flatMap { source.bool($0, "`mask`") } ?? false))
  }
}
