import Base

/// One key of the configuration, or a section of keys: where it lives in `Root`, how it is read, shown and explained.
struct Field<Root>: Sendable {
  enum Content: Sendable {
    case leaf(Leaf)
    case section([Field<Root>])
    /// A key of a later version: accepted only with values that mean "not there".
    case later(accepted: [Value])
  }

  struct Leaf: Sendable {
    /// For the reference: `port`, `duration`, `list of CIDRs`.
    var kind: String
    /// Whether a text of the environment is split or parsed as YAML.
    var shape: Shape
    var read: @Sendable (SourceNode, inout Root, inout Decoding) -> Void
    /// The effective value, secrets masked.
    var show: @Sendable (Root) -> Value
  }

  var name: String
  var explanation: String
  var content: Content

  /// The same key, seen from the type that `Root` is a part of.
  func on<Parent>(_ part: any WritableKeyPath<Parent, Root> & Sendable) -> Field<Parent> {
    let content: Field<Parent>.Content
    switch self.content {
    case .leaf(let leaf):
      content = .leaf(
        Field<Parent>.Leaf(
          kind: leaf.kind, shape: leaf.shape,
          read: { node, parent, decoding in leaf.read(node, &parent[keyPath: part], &decoding) },
          show: { leaf.show($0[keyPath: part]) }))
    case .section(let fields): content = .section(fields.map { $0.on(part) })
    case .later(let accepted): content = .later(accepted: accepted)
    }
    return Field<Parent>(name: name, explanation: explanation, content: content)
  }

  static func key<T>(
    _ name: String, _ property: any WritableKeyPath<Root, T> & Sendable, _ codec: Codec<T>, _ explanation: String
  ) -> Field {
    Field(
      name: name, explanation: explanation,
      content: .leaf(
        Leaf(
          kind: codec.kind, shape: codec.shape,
          read: { node, root, decoding in
            if let value = codec.read(node, &decoding) { root[keyPath: property] = value }
          },
          show: { codec.show($0[keyPath: property]) })))
  }

  static func section<Part>(
    _ name: String, _ part: any WritableKeyPath<Root, Part> & Sendable, _ explanation: String, _ fields: [Field<Part>]
  ) -> Field {
    Field(name: name, explanation: explanation, content: .section(fields.map { $0.on(part) }))
  }

  /// A section without a type of its own.
  static func section(_ name: String, _ explanation: String, _ fields: [Field]) -> Field {
    Field(name: name, explanation: explanation, content: .section(fields))
  }

  static func later(_ name: String, _ accepted: Value...) -> Field {
    Field(name: name, explanation: "later version", content: .later(accepted: accepted))
  }
}

/// How a value is written.
enum Shape: Sendable { case scalar, list, mapping }

/// How values of one type are read from a document and shown.
struct Codec<T: Sendable>: Sendable {
  var kind: String
  var shape = Shape.scalar
  /// nil after a problem, which it has reported.
  var read: @Sendable (SourceNode, inout Decoding) -> T?
  var show: @Sendable (T) -> Value
}

extension Codec where T == String {
  /// Any text of at most `limit` characters.
  static func text(_ kind: String = "text", limit: Int = 4096, allowEmpty: Bool = true) -> Codec {
    Codec(
      kind: kind,
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a \(kind)") else { return nil }
        if text.isEmpty, !allowEmpty { return decoding.fail(node, "must not be empty") }
        if text.count > limit { return decoding.fail(node, "is longer than \(limit) characters") }
        return text
      }, show: { .string($0) })
  }

  /// A text that `isValid` accepts.
  static func checked(_ kind: String, _ isValid: @escaping @Sendable (String) -> Bool) -> Codec {
    Codec(
      kind: kind,
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: kind) else { return nil }
        return isValid(text) ? text : decoding.fail(node, "`\(text)` is not \(kind)")
      }, show: { .string($0) })
  }
}

extension Codec where T == String {
  /// The address of a server, without credentials, query and fragment.
  static func url(allowEmpty: Bool = false, credentials: String = "use `api_key`") -> Codec {
    Codec(
      kind: "`http://` or `https://` URL" + (allowEmpty ? " or empty" : ""),
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a URL") else { return nil }
        if text.isEmpty, allowEmpty { return text }
        let rest = ["http://", "https://"].first { text.hasPrefix($0) }.map { text.dropFirst($0.count) }
        guard let rest, let host = rest.split(separator: "/", omittingEmptySubsequences: false).first, !host.isEmpty,
          text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return decoding.fail(node, "is not an http or https URL") }
        if host.contains("@") {
          return decoding.fail(node, "must not carry a user or password", hint: credentials)
        }
        if rest.contains("?") || rest.contains("#") { return decoding.fail(node, "must not carry a query or fragment") }
        return text
      }, show: { .string($0) })
  }
}

extension Codec where T == Secret {
  /// A bearer token of somebody else's server, or empty for none.
  static var optionalSecret: Codec {
    Codec(
      kind: "secret or empty",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a text") else { return nil }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), text.utf8.count <= 8192 else {
          return decoding.fail(node, "holds characters that no token has")
        }
        return Secret(text)
      }, show: { .string($0.description) })
  }

  static var secret: Codec {
    Codec(
      kind: "secret",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a text") else { return nil }
        return text.isEmpty ? decoding.fail(node, "must not be empty") : Secret(text)
      }, show: { .string($0.description) })
  }
}

extension Codec where T == Int {
  static func int(_ range: ClosedRange<Int>, _ kind: String = "number") -> Codec {
    Codec(
      kind: "\(kind), \(range.lowerBound) to \(range.upperBound)",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a whole number") else { return nil }
        guard let value = Int(text) else {
          return decoding.fail(node, "`\(text)` is not a whole number", code: ConfigurationCode.wrongType)
        }
        return range.contains(value)
          ? value : decoding.fail(node, "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
      }, show: { .int(Int64($0)) })
  }

  static var port: Codec { int(0...65535, "port") }
}

extension Codec where T == Double {
  static func double(_ range: ClosedRange<Double>) -> Codec {
    Codec(
      kind: "number, \(range.lowerBound) to \(range.upperBound)",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a number") else { return nil }
        guard let value = Double(text), value.isFinite else {
          return decoding.fail(node, "`\(text)` is not a number", code: ConfigurationCode.wrongType)
        }
        return range.contains(value)
          ? value : decoding.fail(node, "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
      }, show: { .double($0) })
  }
}

extension Codec where T == Bool {
  static var bool: Codec {
    Codec(
      kind: "true or false",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "true or false") else { return nil }
        switch text {
        case "true", "True", "TRUE": return true
        case "false", "False", "FALSE": return false
        default:
          return decoding.fail(node, "`\(text)` is neither true nor false", code: ConfigurationCode.wrongType)
        }
      }, show: { .bool($0) })
  }
}

extension Codec where T == Duration {
  /// `250ms`, `10s`, `5m`, `2h`, `30d`, between `shortest` and `longest`.
  static func duration(_ shortest: Duration, _ longest: Duration) -> Codec {
    Codec(
      kind: "duration, \(DurationText.write(shortest)) to \(DurationText.write(longest))",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a duration") else { return nil }
        guard let value = DurationText.read(text) else {
          return decoding.fail(
            node, "`\(text)` is not a duration", code: ConfigurationCode.wrongType, hint: "write 250ms, 10s or 5m")
        }
        return value >= shortest && value <= longest
          ? value
          : decoding.fail(
            node, "\(text) is not between \(DurationText.write(shortest)) and \(DurationText.write(longest))")
      }, show: { .string(DurationText.write($0)) })
  }
}

extension Codec where T: RawRepresentable & CaseIterable, T.RawValue == String {
  /// One of the type's cases; `later` are values that a later version will know.
  static func choice(later: [String] = []) -> Codec {
    let known = T.allCases.map(\.rawValue)
    return Codec(
      kind: known.count == 1 ? "`\(known[0])`" : "one of " + known.map { "`\($0)`" }.joined(separator: ", "),
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "one of \(known.joined(separator: ", "))") else { return nil }
        if let value = T(rawValue: text) { return value }
        if later.contains(text) {
          return decoding.fail(
            node, "`\(text)` is not supported by this version", code: ConfigurationCode.notSupported,
            hint: "it knows \(known.joined(separator: ", "))")
        }
        let hint = nearest(to: text, in: known + later).map { "did you mean `\($0)`?" }
        return decoding.fail(
          node, "`\(text)` is unknown", hint: hint ?? "it is one of \(known.joined(separator: ", "))")
      }, show: { .string($0.rawValue) })
  }
}

extension Codec {
  /// A list of what `element` reads, or one of it without brackets.
  static func list<E>(of element: Codec<E>, _ kind: String, count: ClosedRange<Int>, distinct: Bool = false) -> Codec
  where T == [E], E: Hashable {
    Codec(
      kind: kind, shape: .list,
      read: { node, decoding in
        let items: [SourceNode]
        switch node.content {
        case .sequence(let nodes): items = nodes
        case .scalar: items = [node]
        case .mapping:
          return decoding.fail(node, "must be a list", code: ConfigurationCode.wrongType)
        }
        guard count.contains(items.count) else {
          return decoding.fail(
            node, items.isEmpty ? "must not be empty" : "has more than \(count.upperBound) entries")
        }
        var values: [E] = []
        var isWhole = true
        for item in items {
          guard let value = element.read(item, &decoding) else {
            isWhole = false
            continue
          }
          if distinct, values.contains(value) {
            isWhole = false
            _ = decoding.fail(item, "stands twice in the list") as Never?
            continue
          }
          values.append(value)
        }
        return isWhole ? values : nil
      }, show: { .list($0.map(element.show)) })
  }

  /// Names to values.
  static func map<E>(of element: Codec<E>, _ kind: String, limit: Int, isName: @escaping @Sendable (String) -> Bool)
    -> Codec
  where T == [String: E] {
    Codec(
      kind: kind, shape: .mapping,
      read: { node, decoding in
        guard let pairs = decoding.pairs(node) else { return nil }
        guard pairs.count <= limit else { return decoding.fail(node, "has more than \(limit) entries") }
        var values: [String: E] = [:]
        for (key, value) in pairs {
          let name = key.text ?? ""
          guard isName(name) else {
            _ = decoding.fail(key, "`\(name)` cannot be a name here") as Never?
            continue
          }
          values[name] = decoding.inside(name) { element.read(value, &$0) }
        }
        return values
      }, show: { .map($0.mapValues(element.show)) })
  }

  /// The same, where absence means something.
  func optional() -> Codec<T?> {
    Codec<T?>(
      kind: kind, shape: shape, read: { node, decoding in read(node, &decoding).map { .some($0) } },
      show: { $0.map(show) ?? .null })
  }

  /// A mapping with fixed keys, beginning from `start`.
  static func object(_ start: T, _ fields: [Field<T>]) -> Codec {
    Codec(
      kind: "mapping", shape: .mapping,
      read: { node, decoding in
        guard decoding.pairs(node) != nil else { return nil }
        var value = start
        let before = decoding.problems.count
        decoding.apply(fields, node, to: &value)
        return decoding.problems.count == before ? value : nil
      },
      show: { value in .map(Dictionary(uniqueKeysWithValues: fields.compactMap { $0.shown(value) })) })
  }
}

extension Field {
  /// The key and its effective value; nil for keys of later versions.
  func shown(_ root: Root) -> (String, Value)? {
    switch content {
    case .leaf(let leaf): (name, leaf.show(root))
    case .section(let fields): (name, .map(Dictionary(uniqueKeysWithValues: fields.compactMap { $0.shown(root) })))
    case .later: nil
    }
  }
}
