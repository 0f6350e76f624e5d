import Base

/// The steps of a case.
extension DialogTestDecoder {
  static let stepNames = [
    "say", "mumble", "press", "wait", "silence", "event", "transfer_result", "held", "resumed", "recording_complete",
    "answered_by", "hangup", "heard", "not_heard", "state", "variable", "hook", "emitted", "transfer", "error", "ended",
    "outcome",
  ]

  mutating func decodeStep(_ node: SourceNode) -> DialogTestStep.Kind? {
    // `- silence` alone is a step, too.
    if case .scalar = node.content, let word = node.text {
      switch word {
      case "silence": return .silence
      case "mumble": return .mumble(at: nil)
      case "hangup": return .hangup("caller")
      case "held": return .held
      case "resumed": return .resumed
      case "recording_complete": return .recordingComplete
      case "ended": return .ended(nil)
      default: break
      }
    }
    guard let members = source.members(of: node, "a step", known: Self.stepNames) else { return nil }
    guard let (name, value) = members.first, members.count == 1 else {
      source.report(
        .conflictingKeys, node.position, "a step is one of \(Self.stepNames.joined(separator: ", "))",
        "give each its own `- `")
      return nil
    }
    switch name {
    case "say": return decodeSay(value)
    case "mumble":
      guard !source.isNull(value) else { return .mumble(at: nil) }
      guard let members = source.members(of: value, "`mumble`", known: ["at"]) else { return nil }
      return .mumble(at: time(members["at"]))
    case "press": return decodePress(value)
    case "wait": return source.duration(value, "`wait`").map { .wait($0) }
    case "silence": return .silence
    case "event": return decodeEvent(value)
    case "transfer_result":
      let known = ["connected", "busy", "no_answer", "refused", "failed", "unsupported"]
      return source.word(value, "`transfer_result`", of: known).map { .transferResult($0) }
    case "held": return .held
    case "resumed": return .resumed
    case "recording_complete": return .recordingComplete
    case "answered_by":
      return source.word(value, "`answered_by`", of: ["human", "machine", "unknown"]).map { .answeredBy($0) }
    case "hangup":
      guard !source.isNull(value) else { return .hangup("caller") }
      return source.word(value, "`hangup`", of: ["caller", "api", "media_timeout", "shutdown", "error"]).map {
        .hangup($0)
      }
    case "heard": return patterns(value, "`heard`").map { .heard($0) }
    case "not_heard": return patterns(value, "`not_heard`").map { .notHeard($0) }
    case "state": return source.text(value, "`state`").map { .state($0) }
    case "variable":
      guard case .mapping(let pairs) = value.content, !pairs.isEmpty else {
        source.report(.badType, value.position, "`variable` must say {name: value}")
        return nil
      }
      return .variables(pairs.map { ($0.key.text ?? "", $0.value.value) })
    case "hook":
      return decodeNamed(value, "`hook`", name: "service", data: "payload").map { .hook(name: $0, payload: $1) }
    case "emitted":
      return decodeNamed(value, "`emitted`", name: "name", data: "data").map { .emitted(name: $0, data: $1) }
    case "transfer": return pattern(value, "`transfer`").map { .transfer($0) }
    case "error": return source.text(value, "`error`").map { .error($0) }
    case "ended": return .ended(source.isNull(value) ? nil : source.text(value, "`ended`"))
    case "outcome":
      guard
        let members = source.members(of: value, "`outcome`", known: ["disposition", "summary", "tags", "variables"])
      else { return nil }
      return .outcome(members.sorted { $0.key < $1.key }.map { ($0.key, $0.value.value) })
    default: return nil
    }
  }

  private mutating func time(_ node: SourceNode?) -> Duration? { node.flatMap { source.duration($0, "`at`") } }

  private mutating func decodeSay(_ node: SourceNode) -> DialogTestStep.Kind? {
    var heard = HeardSpeech(transcript: "", confidence: 0.9)
    guard case .mapping = node.content else {
      guard let text = source.text(node, "`say`") else { return nil }
      heard.transcript = text.lowercased()
      return .say(heard, at: nil)
    }
    guard
      let members = source.members(
        of: node, "`say`", known: ["text", "confidence", "language", "slots", "at"])
    else { return nil }
    guard let text = members["text"] else {
      source.report(.missingKey, node.position, "`say` has no `text`")
      return nil
    }
    // Recognisers give lower-case words.
    heard.transcript = source.text(text, "`text`")?.lowercased() ?? ""
    if let node = members["confidence"] { heard.confidence = source.number(node, "`confidence`", in: 0...1) ?? 0 }
    if let node = members["language"] { heard.language = source.text(node, "`language`", limit: 35) ?? "" }
    if let node = members["slots"] { heard.slots = mapping(node, "`slots`")?.mapValues(\.value) ?? [:] }
    return .say(heard, at: time(members["at"]))
  }

  private mutating func decodePress(_ node: SourceNode) -> DialogTestStep.Kind? {
    var keysNode = node
    var at: Duration?
    if case .mapping = node.content {
      guard let members = source.members(of: node, "`press`", known: ["keys", "at"]) else { return nil }
      guard let keys = members["keys"] else {
        source.report(.missingKey, node.position, "`press` has no `keys`")
        return nil
      }
      keysNode = keys
      at = time(members["at"])
    }
    guard let keys = source.text(keysNode, "`press`", limit: 64) else { return nil }
    guard !keys.isEmpty, keys.allSatisfy({ DigitPattern.keys.contains($0) }) else {
      source.report(.badValue, keysNode.position, "`\(keys)` are no keys of a telephone", "use 0-9, *, # and A-D")
      return nil
    }
    return .press(keys, at: at)
  }

  private mutating func decodeEvent(_ node: SourceNode) -> DialogTestStep.Kind? {
    guard case .mapping = node.content else {
      return source.text(node, "`event`").map { .event(name: $0, data: .null, at: nil) }
    }
    guard let members = source.members(of: node, "`event`", known: ["name", "data", "at"]) else { return nil }
    guard let nameNode = members["name"], let name = source.text(nameNode, "`name`") else {
      source.report(.missingKey, node.position, "`event` has no `name`")
      return nil
    }
    return .event(name: name, data: members["data"]?.value ?? .null, at: time(members["at"]))
  }

  /// `word`, or a mapping that names it and says what comes with it.
  private mutating func decodeNamed(
    _ node: SourceNode, _ what: String, name: String, data: String
  ) -> (String, Value?)? {
    guard case .mapping = node.content else { return source.text(node, what).map { ($0, nil) } }
    guard let members = source.members(of: node, what, known: [name, data]) else { return nil }
    guard let nameNode = members[name], let word = source.text(nameNode, "`\(name)`") else {
      source.report(.missingKey, node.position, "\(what) has no `\(name)`")
      return nil
    }
    return (word, members[data]?.value)
  }

  private mutating func patterns(_ node: SourceNode, _ what: String) -> [TextPattern]? {
    guard case .sequence = node.content else { return pattern(node, what).map { [$0] } }
    let items = source.items(of: node, what, limit: 100) ?? []
    return items.compactMap { pattern($0, what) }
  }

  private mutating func pattern(_ node: SourceNode, _ what: String) -> TextPattern? {
    guard let text = source.text(node, what, limit: RegexPattern.lengthLimit) else { return nil }
    do {
      return try TextPattern(text)
    } catch {
      source.report(.badPattern, node.position, "\(what): \(error.message)")
      return nil
    }
  }
}
