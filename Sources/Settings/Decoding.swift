import Base

/// The state of one load: what was wrong so far, and where the reader is.
struct Decoding {
  let file: String
  let environment: [String: String]
  var problems: [Diagnostic] = []
  /// Dotted keys that the file or the environment set.
  var keysSet: Set<String> = []
  private var path: [String] = []
  /// The variable that the value at hand comes from; nil: the file.
  private var variable: String?

  init(file: String, environment: [String: String]) {
    self.file = file
    self.environment = environment
  }

  // MARK: Problems

  /// Reports a problem with the value at `node` and gives nil, for `return`.
  mutating func fail<T>(
    _ node: SourceNode, _ message: String, code: String = ConfigurationCode.badValue, hint: String = ""
  ) -> T? {
    let key = path.joined(separator: ".")
    problems.append(
      Diagnostic(
        code: code, severity: .error, file: variable.map { "environment variable \($0)" } ?? file,
        position: variable == nil ? node.position : nil, message: key.isEmpty ? message : "\(key): \(message)",
        hint: hint))
    return nil
  }

  mutating func inside<T>(_ name: String, _ body: (inout Decoding) -> T) -> T {
    path.append(name)
    defer { path.removeLast() }
    return body(&self)
  }

  // MARK: Values

  /// The scalar's text with its variables expanded.
  mutating func scalar(_ node: SourceNode, expected: String) -> String? {
    guard case .scalar(let text, let isQuoted) = node.content else {
      return fail(node, "must be \(expected), not a list or mapping", code: ConfigurationCode.wrongType)
    }
    if !isQuoted, text == "~" || text == "null" { return "" }
    return variable == nil ? expand(text, node) : text
  }

  /// The pairs of a mapping; an absent value counts as an empty one.
  mutating func pairs(_ node: SourceNode) -> [(key: SourceNode, value: SourceNode)]? {
    switch node.content {
    case .mapping(let pairs): return pairs
    case .scalar(let text, isQuoted: false) where ["", "~", "null"].contains(text): return []
    default: return fail(node, "must be a mapping of keys to values", code: ConfigurationCode.wrongType)
    }
  }

  private mutating func expand(_ text: String, _ node: SourceNode) -> String? {
    guard text.contains("${") else { return text }
    var out = ""
    var rest = Substring(text)
    while let start = rest.firstRange(of: "${") {
      // `$${` is a plain `${`.
      if rest[..<start.lowerBound].hasSuffix("$") {
        out += rest[..<start.lowerBound].dropLast() + "${"
        rest = rest[start.upperBound...]
        continue
      }
      out += rest[..<start.lowerBound]
      rest = rest[start.upperBound...]
      guard let end = rest.firstIndex(of: "}") else {
        return fail(node, "`${` is not closed", code: ConfigurationCode.expansion)
      }
      guard let value = lookUp(rest[..<end], node) else { return nil }
      out += value
      rest = rest[rest.index(after: end)...]
    }
    return out + rest
  }

  // MARK: Fields

  /// Reads the keys of one mapping into `root`; a key that is no field is an error.
  mutating func apply<Root>(_ fields: [Field<Root>], _ node: SourceNode, to root: inout Root) {
    guard let pairs = pairs(node) else { return }
    for (key, value) in pairs {
      let name = key.text ?? ""
      guard let field = fields.first(where: { $0.name == name }) else {
        let near = nearest(to: name, in: fields.map(\.name))
        _ =
          fail(
            key, "unknown key `\(name)`", code: ConfigurationCode.unknownKey,
            hint: near.map { "did you mean `\($0)`?" } ?? "known here: " + fields.map(\.name).joined(separator: ", "))
          as Never?
        continue
      }
      path.append(name)
      apply(field, value, to: &root)
      path.removeLast()
    }
  }

  private mutating func apply<Root>(_ field: Field<Root>, _ value: SourceNode, to root: inout Root) {
    switch field.content {
    case .section(let fields): apply(fields, value, to: &root)
    case .leaf(let leaf):
      keysSet.insert(path.joined(separator: "."))
      leaf.read(value, &root, &self)
    case .later(let accepted):
      guard !accepted.contains(value.value) else { return }
      let shown =
        accepted.isEmpty ? "" : "only `" + accepted.map(JSON.encode).joined(separator: "` or `") + "` can stand here"
      _ = fail(value, "not supported by this version", code: ConfigurationCode.notSupported, hint: shown) as Never?
    }
  }

  // MARK: The environment

  /// The variable that overrides a key: `media.sip_port` is `VG_MEDIA_SIP_PORT`.
  static func variable(for path: [String]) -> String {
    "VG_" + path.joined(separator: "_").uppercased()
  }

  mutating func applyEnvironment<Root>(_ fields: [Field<Root>], to root: inout Root) {
    var known: Set<String> = []
    applyEnvironment(fields, to: &root, known: &known)
    for name in environment.keys.sorted() where name.hasPrefix("VG_") && !known.contains(name) {
      // A warning only: Kubernetes puts variables of its own beside ours when a Service's name begins with `vg-`.
      problems.append(
        Diagnostic(
          code: ConfigurationCode.unknownKey, severity: .warning, file: "environment variable \(name)", position: nil,
          message: "no key has this name",
          hint: nearest(to: name, in: known.sorted()).map { "did you mean \($0)?" } ?? ""))
    }
  }

  private mutating func applyEnvironment<Root>(_ fields: [Field<Root>], to root: inout Root, known: inout Set<String>) {
    for field in fields {
      path.append(field.name)
      defer { path.removeLast() }
      if case .section(let inner) = field.content {
        applyEnvironment(inner, to: &root, known: &known)
        continue
      }
      let name = Self.variable(for: path)
      known.insert(name)
      guard let text = environment[name] else { continue }
      variable = name
      defer { variable = nil }
      var shape = Shape.scalar
      if case .leaf(let leaf) = field.content { shape = leaf.shape }
      guard let node = node(of: text, shape: shape) else { continue }
      apply(field, node, to: &root)
    }
  }

  private mutating func node(of text: String, shape: Shape) -> SourceNode? {
    let place = SourcePosition(line: 1, column: 1)
    let scalar = SourceNode(.scalar(text, isQuoted: false), at: place)
    switch shape {
    case .scalar: return scalar
    case .list where !text.hasPrefix("["):
      let items = text.split(separator: ",").map { item in
        SourceNode(.scalar(item.trimming(), isQuoted: false), at: place)
      }
      return SourceNode(.sequence(items), at: place)
    case .list, .mapping:
      do {
        return try YAML.read(text, file: "")
      } catch {
        return fail(scalar, error.all.first?.message ?? "is no YAML", code: ConfigurationCode.syntax)
      }
    }
  }
}

extension Substring {
  /// Without spaces at either end.
  func trimming() -> String {
    var part = self
    while part.first == " " { part.removeFirst() }
    while part.last == " " { part.removeLast() }
    return String(part)
  }
}
