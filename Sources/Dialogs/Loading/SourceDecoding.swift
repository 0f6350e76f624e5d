import Base

/// Collects what is wrong with one file, and reads plain values out of its nodes.
struct SourceDecoding {
  let file: String
  /// What codes begin with: `D` for dialogs, `T` for files of tests, with the same numbers.
  let letter: String
  private(set) var diagnostics: [Diagnostic] = []

  /// A file with more mistakes than this is not a dialog; the rest of the list would help nobody.
  static let diagnosticLimit = 100

  init(file: String, letter: String = "D") {
    self.file = file
    self.letter = letter
  }

  /// Counted apart, so that an error behind too many warnings still keeps the dialog out.
  private(set) var hasErrors = false

  mutating func report(_ code: DialogCode, _ position: SourcePosition?, _ message: String, _ hint: String = "") {
    if code.severity == .error { hasErrors = true }
    guard
      diagnostics.count < Self.diagnosticLimit
        || code.severity == .error && diagnostics.count < 2 * Self.diagnosticLimit
    else { return }
    let diagnostic = Diagnostic(
      code: letter + code.rawValue.dropFirst(), severity: code.severity, file: file, position: position,
      message: message, hint: hint)
    if !diagnostics.contains(diagnostic) { diagnostics.append(diagnostic) }
  }

  /// Reports a problem inside a scalar. The column is exact for text on one line.
  mutating func report(_ problem: Expression.Problem, in node: SourceNode) {
    var position = node.position
    if case .scalar(let text, let isQuoted) = node.content, !text.contains("\n") {
      position.column += problem.offset + (isQuoted ? 1 : 0)
    }
    report(problem.code, position, problem.message, problem.hint)
  }

  // MARK: Shapes

  mutating func items(of node: SourceNode, _ what: String, limit: Int) -> [SourceNode]? {
    if isNull(node) { return [] }
    guard case .sequence(let items) = node.content else {
      report(.badType, node.position, "\(what) must be a list, not \(Self.shape(node))", "begin each entry with `- `")
      return nil
    }
    if items.count > limit {
      report(.tooMany, node.position, "\(what) has \(items.count) entries; at most \(limit) are possible")
      return nil
    }
    return items
  }

  func isNull(_ node: SourceNode) -> Bool {
    guard case .scalar(let text, let isQuoted) = node.content, !isQuoted, text.utf8.count <= 4 else { return false }
    return text.isEmpty || node.value == .null
  }

  static func shape(_ node: SourceNode) -> String {
    switch node.content {
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .scalar: StaticType(of: node.value).description
    }
  }

  // MARK: Scalars

  mutating func text(_ node: SourceNode, _ what: String, limit: Int = 1_024) -> String? {
    guard let text = node.text, !isNull(node) else {
      report(.badType, node.position, "\(what) must be text, not \(Self.shape(node))")
      return nil
    }
    guard text.utf8.count <= limit else {
      report(.badValue, node.position, "\(what) is longer than \(limit) bytes")
      return nil
    }
    return text
  }

  /// `false` and the like may be written by people who think of YAML 1.1; only true and false count.
  mutating func bool(_ node: SourceNode, _ what: String) -> Bool? {
    if case .bool(let value) = node.value { return value }
    report(.badType, node.position, "\(what) must be true or false, not \(Self.shape(node))")
    return nil
  }

  mutating func int(_ node: SourceNode, _ what: String, in range: ClosedRange<Int>) -> Int? {
    guard case .int(let value) = node.value else {
      report(.badType, node.position, "\(what) must be a whole number, not \(Self.shape(node))")
      return nil
    }
    guard let int = Int(exactly: value), range.contains(int) else {
      report(
        .badValue, node.position, "\(what) must be between \(range.lowerBound) and \(range.upperBound), not \(value)")
      return nil
    }
    return int
  }

  mutating func number(_ node: SourceNode, _ what: String, in range: ClosedRange<Double>) -> Double? {
    guard let value = node.value.doubleValue else {
      report(.badType, node.position, "\(what) must be a number, not \(Self.shape(node))")
      return nil
    }
    guard range.contains(value) else {
      report(
        .badValue, node.position, "\(what) must be between \(range.lowerBound) and \(range.upperBound), not \(value)")
      return nil
    }
    return value
  }

  /// A tag of BCP 47: `en`, `en-US`, `zh-Hans`. Empty: as configured.
  mutating func language(_ members: Members) -> String {
    guard let node = members["language"], !isNull(node), let text = text(node, "`language`", limit: 35) else {
      return ""
    }
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    let isTag =
      text.isEmpty
      || (2...3).contains(parts[0].utf8.count) && parts[0].allSatisfy { $0.isASCII && $0.isLetter }
        && parts.dropFirst().allSatisfy {
          (1...8).contains($0.utf8.count) && $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        }
    guard isTag else {
      report(.badValue, node.position, "`\(text)` is no language", "write a tag such as en or en-US")
      return ""
    }
    return text
  }

  mutating func word(_ node: SourceNode, _ what: String, of known: [String]) -> String? {
    guard let word = text(node, what) else { return nil }
    if known.contains(word) { return word }
    let close = nearest(to: word, in: known)
    report(
      .badValue, node.position, "\(what) cannot be `\(word)`",
      close.map { "did you mean `\($0)`?" } ?? "known: \(known.joined(separator: ", "))")
    return nil
  }

  /// `250ms`, `8s`, `1.5s`, `5m`, `1h`, `1m30s`.
  mutating func duration(_ node: SourceNode, _ what: String, in range: ClosedRange<Duration>) -> Duration? {
    guard let text = node.text, let ms = Self.milliseconds(text) else {
      report(
        .badDuration, node.position, "\(what) must be a duration, not `\((node.text ?? Self.shape(node)).prefix(80))`",
        "write 250ms, 8s or 5m")
      return nil
    }
    let duration = Duration.milliseconds(ms)
    if duration > range.upperBound {
      let isDay = range.upperBound == .seconds(86_400)
      report(
        .badDuration, node.position,
        isDay ? "\(what) is longer than a day" : "\(what) must be at most \(Self.written(range.upperBound))")
      return nil
    }
    if duration < range.lowerBound {
      report(.badDuration, node.position, "\(what) must be at least \(Self.written(range.lowerBound))")
      return nil
    }
    return duration
  }

  /// A duration as a person would write it.
  static func written(_ duration: Duration) -> String {
    let ms = duration.milliseconds
    if ms % 1_000 != 0 { return "\(ms)ms" }
    return ms >= 300_000 && ms % 60_000 == 0 ? "\(ms / 60_000)m" : "\(ms / 1_000)s"
  }

  static func milliseconds(_ text: String) -> Int? {
    var total = 0.0
    var rest = text[...]
    guard !rest.isEmpty, rest.utf8.count <= 32 else { return nil }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      guard let value = Double(number), value.isFinite else { return nil }
      rest = rest[number.endIndex...]
      let unit = rest.prefix { $0.isLetter }
      rest = rest[unit.endIndex...]
      switch unit {
      case "ms": total += value
      case "s": total += value * 1_000
      case "m": total += value * 60_000
      case "h": total += value * 3_600_000
      default: return nil
      }
    }
    return total <= 1e15 ? Int(total.rounded()) : nil
  }
}
