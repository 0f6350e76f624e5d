import Base

/// The members of one mapping, by the names of its declaration.
struct Members {
  let shape: ShapeDeclaration
  let node: SourceNode
  /// Beside ``ShapeDeclaration/keys``.
  private var values: [SourceNode?]
  /// The spelling that was used, for sentences.
  private var spellings: [String?]

  fileprivate init(_ shape: ShapeDeclaration, _ node: SourceNode) {
    self.shape = shape
    self.node = node
    values = Array(repeating: nil, count: shape.keys.count)
    spellings = Array(repeating: nil, count: shape.keys.count)
  }

  subscript(key: String) -> SourceNode? { shape.place(of: key).flatMap { values[$0] } }

  /// The key in backquotes, as it was written.
  func label(_ key: String) -> String { "`\(shape.place(of: key).flatMap { spellings[$0] } ?? key)`" }

  /// The spelling that already stands at that place, after which the new one is a second name of the same.
  fileprivate mutating func put(_ value: SourceNode, at place: Int, as spelling: String) -> String? {
    if let earlier = spellings[place] { return earlier }
    values[place] = value
    spellings[place] = spelling
    return nil
  }
}

extension SourceDecoding {
  /// The members of a mapping. Unknown keys, missing ones and two spellings of one are reported. nil where it is no mapping.
  /// - Parameters:
  ///   - what: names the mapping in sentences.
  ///   - passing: keys that belong to the writing of the mapping and not to its content.
  ///   - renamed: spellings that hold only here.
  mutating func members(
    of node: SourceNode, _ shape: ShapeDeclaration, _ what: String? = nil, passing: [String] = [],
    renamed: [String: String] = [:]
  ) -> Members? {
    let what = what ?? shape.title
    guard case .mapping(let pairs) = node.content else {
      report(.badType, node.position, "\(what) must be a mapping of keys to values, not \(Self.shape(node))")
      return nil
    }
    var members = Members(shape, node)
    for pair in pairs {
      guard let key = pair.key.text else {
        report(.badType, pair.key.position, "a key of \(what) must be a word")
        continue
      }
      if let place = shape.place(of: renamed[key] ?? key) {
        if let other = members.put(pair.value, at: place, as: key) {
          report(
            .conflictingKeys, pair.value.position, "`\(other)` and `\(key)` are two names of one key",
            "keep one of them")
        }
      } else if !passing.contains(key) {
        reportUnknown(key, pair.key.position, what, shape)
      }
    }
    for key in shape.keys where key.isRequired && members[key.name] == nil { reportMissing(key, in: node, what, shape) }
    return members
  }

  private mutating func reportUnknown(
    _ key: String, _ position: SourcePosition, _ what: String, _ shape: ShapeDeclaration
  ) {
    if shape.place(of: "service") != nil, key == "auth_type" || key == "auth_secret" {
      report(
        .notSupported, position, "`\(key)` in \(what) is not supported: secrets do not belong into a dialog",
        "name a `service`, and set its integration.services.NAME.auth in the configuration")
      return
    }
    let close = nearest(to: key, in: shape.spellings)
    report(
      .unknownKey, position, "\(what) has no key `\(key)`",
      close.map { "did you mean `\($0)`?" }
        ?? (shape.keys.isEmpty ? "it has none" : "known keys: \(shape.spellings.sorted().joined(separator: ", "))"))
  }

  private mutating func reportMissing(
    _ key: KeyDeclaration, in node: SourceNode, _ what: String, _ shape: ShapeDeclaration
  ) {
    let spellings = ([key.name] + key.aliases).map { "`\($0)`" }.joined(separator: " or ")
    switch shape.name {
    case "dialog":
      report(.missingKey, node.position, "the dialog has no `states`", "add at least a state `start`")
    case "transition":
      report(.missingKey, node.position, "a transition has no `event`", "`\"*\"` matches any event")
    default:
      let isNamed = what.hasPrefix("`") || what.hasPrefix("the ")
      report(.missingKey, node.position, "\(isNamed ? what : shape.title) needs \(spellings)", key.summary)
    }
  }

  // MARK: Values by declaration

  mutating func bool(_ members: Members, _ key: String) -> Bool? {
    members[key].flatMap { bool($0, members.label(key)) }
  }

  mutating func int(_ members: Members, _ key: String) -> Int? {
    guard let node = members[key], case .int(let range)? = members.shape[key]?.kind else { return nil }
    return int(node, members.label(key), in: range)
  }

  mutating func number(_ members: Members, _ key: String) -> Double? {
    guard let node = members[key], case .number(let range)? = members.shape[key]?.kind else { return nil }
    return number(node, members.label(key), in: range)
  }

  mutating func duration(_ members: Members, _ key: String) -> Duration? {
    guard let node = members[key], case .duration(let range)? = members.shape[key]?.kind else { return nil }
    return duration(node, members.label(key), in: range)
  }

  mutating func text(_ members: Members, _ key: String) -> String? {
    guard let node = members[key], case .text(let limit)? = members.shape[key]?.kind else { return nil }
    return text(node, members.label(key), limit: limit)
  }

  /// The same, where an empty value means that there is none.
  mutating func optionalText(_ members: Members, _ key: String) -> String {
    guard let node = members[key], !isNull(node), node.text != "" else { return "" }
    return text(members, key) ?? ""
  }

  mutating func word(_ members: Members, _ key: String) -> String? {
    guard let node = members[key], case .word(let words)? = members.shape[key]?.kind else { return nil }
    return word(node, members.label(key), of: words)
  }

  /// The entries of a list, or of a mapping's value that stands for a list of one.
  mutating func items(_ members: Members, _ key: String) -> [SourceNode] {
    guard let node = members[key] else { return [] }
    switch members.shape[key]?.kind {
    case .list(_, let limit): return items(of: node, members.label(key), limit: limit) ?? []
    case .oneOrList(_, let limit):
      if case .scalar = node.content { return isNull(node) || node.text == "" ? [] : [node] }
      return items(of: node, members.label(key), limit: limit) ?? []
    default: return []
    }
  }

  /// Names and values of a mapping of free names.
  mutating func pairs(_ members: Members, _ key: String) -> [(key: SourceNode, value: SourceNode)] {
    guard let node = members[key], !isNull(node), case .map(let kind, _, let limit)? = members.shape[key]?.kind else {
      return []
    }
    return pairs(of: node, members.label(key), kind, limit: limit)
  }

  mutating func pairs(
    of node: SourceNode, _ what: String, _ kind: KeyKind.NameKind, limit: Int
  ) -> [(key: SourceNode, value: SourceNode)] {
    guard case .mapping(let pairs) = node.content else {
      report(
        .badType, node.position, "\(what) must be a mapping of names to values, not \(Self.shape(node))")
      return []
    }
    if pairs.count > limit {
      report(.tooMany, node.position, "\(what) has \(pairs.count) entries; at most \(limit) are possible")
      return []
    }
    return pairs.filter { name($0.key, kind, what) != nil }
  }

  // MARK: Names

  /// A name of this kind; nil after a complaint.
  mutating func name(_ node: SourceNode, _ kind: KeyKind.NameKind, _ what: String) -> String? {
    guard let name = text(node, what, limit: 1_024) else { return nil }
    guard kind.allows(name) else {
      report(.badValue, node.position, "`\(name.prefix(80))` cannot be the name of \(kind.title)", kind.rule)
      return nil
    }
    return name
  }

  mutating func name(_ members: Members, _ key: String) -> String? {
    guard let node = members[key], case .name(let kind)? = members.shape[key]?.kind else { return nil }
    return name(node, kind, members.label(key))
  }
}

extension KeyKind.NameKind {
  /// In sentences.
  var title: String {
    switch self {
    case .dialog: "a dialog"
    case .state: "a state"
    case .event: "an event"
    case .variable: "a variable"
    case .header: "a header field"
    case .tool: "a tool or an exit"
    case .parameter: "a parameter"
    case .criterion: "a criterion"
    case .document: "a document"
    case .service: "a service"
    }
  }

  /// The most bytes of such a name.
  var limit: Int {
    switch self {
    case .dialog, .state, .service, .document: 128
    case .header, .criterion: 100
    case .event, .variable, .tool, .parameter: 64
    }
  }

  /// What to write instead.
  var rule: String {
    switch self {
    case .variable, .parameter: "use letters, digits and `_`, not beginning with a digit"
    case .tool: "use letters, digits, `_` and `-`, at most 64"
    case .header: "use letters, digits and `-`"
    case .criterion, .document, .service: "at most \(limit) bytes on one line"
    case .dialog, .state, .event: "use letters, digits, `-`, `_` and `.`"
    }
  }

  func allows(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= limit else { return false }
    switch self {
    case .dialog, .state, .event: return DialogDecoder.isName(name)
    case .variable, .parameter: return DialogDecoder.isIdentifier(name)
    case .tool:
      return name.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
          || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
      }
    // A token of RFC 3261 and RFC 9110.
    case .header:
      return name.unicodeScalars.allSatisfy {
        $0.isASCII
          && ($0.properties.isAlphabetic || $0.digitValue != nil || "!%*_+`'~-.#$&^|".unicodeScalars.contains($0))
      }
    case .criterion, .document, .service: return name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    }
  }
}
