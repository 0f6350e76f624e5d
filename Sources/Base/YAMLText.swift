/// A document to be written as YAML. Unlike ``Value`` it keeps the order of keys.
public indirect enum YAMLNode: Sendable {
  /// Scalars and plain data; the keys of its maps come in sorted order.
  case value(Value)
  case list([YAMLNode])
  /// Keys must differ from each other, and stay under 500 bytes: a YAML reader gives up on longer ones.
  case map([(key: String, value: YAMLNode)])
  /// The same in `{ }` and `[ ]`, on one line.
  case inline(YAMLNode)
}

extension YAMLNode: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .text(value) }
  public init(integerLiteral value: Int64) { self = .value(.int(value)) }
  public init(booleanLiteral value: Bool) { self = .value(.bool(value)) }
  public init(arrayLiteral elements: YAMLNode...) { self = .list(elements) }
  public init(dictionaryLiteral elements: (String, YAMLNode)...) {
    self = .map(elements.map { (key: $0.0, value: $0.1) })
  }

  public static func text(_ text: String) -> YAMLNode { .value(.string(text)) }
}

/// Writes YAML for people: block style, two spaces, text in quotes only where it must be, long text folded. What it writes
/// reads back as the same data, but for U+0000 and U+FEFF inside of text, which are left out: readers of YAML lose them.
public enum YAMLText {
  /// Where a line of folded text ends, in characters.
  private static let width = 118

  /// One document, with a line feed at its end.
  public static func write(_ node: YAMLNode) -> String {
    var out = ""
    switch expanded(node) {
    case .map(let pairs) where !pairs.isEmpty: writeMap(pairs, indent: 0, to: &out)
    case .list(let items) where !items.isEmpty: writeList(items, indent: 0, to: &out)
    case let other: out += flow(other) + "\n"
    }
    return out
  }

  /// Plain data as nodes, so that one writer serves both.
  private static func expanded(_ node: YAMLNode) -> YAMLNode {
    switch node {
    case .value(.list(let items)): .list(items.map { .value($0) })
    case .value(.map(let map)): .map(map.keys.sorted().map { (key: $0, value: .value(map[$0] ?? .null)) })
    default: node
    }
  }

  // MARK: Blocks

  private static func writeMap(_ pairs: [(key: String, value: YAMLNode)], indent: Int, to out: inout String) {
    for (index, pair) in pairs.enumerated() {
      // The first key of a map inside a list stands behind the dash.
      if index > 0 || out.isEmpty || out.last == "\n" { out += spaces(indent) }
      // `on` is a word of the dialog language, and no key is true or false.
      out += (pair.key == "on" ? pair.key : scalar(pair.key, isInFlow: false)) + ":"
      switch expanded(pair.value) {
      case .map(let members) where !members.isEmpty:
        out += "\n"
        writeMap(members, indent: indent + 2, to: &out)
      case .list(let items) where !items.isEmpty:
        out += "\n"
        writeList(items, indent: indent + 2, to: &out)
      case let other: writeScalar(other, indent: indent + 2, to: &out)
      }
    }
  }

  private static func writeList(_ items: [YAMLNode], indent: Int, to out: inout String) {
    for item in items {
      out += spaces(indent) + "-"
      switch expanded(item) {
      case .map(let members) where !members.isEmpty:
        out += " "
        writeMap(members, indent: indent + 2, to: &out)
      case .list(let items) where !items.isEmpty:
        out += "\n"
        writeList(items, indent: indent + 2, to: &out)
      case let other: writeScalar(other, indent: indent + 2, to: &out)
      }
    }
  }

  /// Behind a key or a dash, up to and with the line feed. `indent` is that of the lines of a text block.
  private static func writeScalar(_ node: YAMLNode, indent: Int, to out: inout String) {
    guard case .value(.string(let text)) = node else {
      out += " " + flow(node) + "\n"
      return
    }
    if canBeLiteral(text) {
      out += text.hasSuffix("\n") ? " |\n" : " |-\n"
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      for line in text.hasSuffix("\n") ? lines.dropLast() : lines[...] {
        out += line.isEmpty ? "\n" : spaces(indent) + line + "\n"
      }
    } else if canBeFolded(text, indent: indent) {
      out += " >-\n"
      var line = ""
      for word in text.split(separator: " ") {
        if !line.isEmpty, indent + line.count + 1 + word.count > width {
          out += spaces(indent) + line + "\n"
          line = ""
        }
        line += (line.isEmpty ? "" : " ") + word
      }
      out += spaces(indent) + line + "\n"
    } else {
      out += " " + scalar(text, isInFlow: false) + "\n"
    }
  }

  private static func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }

  /// Lines as they are, behind `|`.
  private static func canBeLiteral(_ text: String) -> Bool {
    guard text.unicodeScalars.contains("\n"), !text.hasSuffix("\n\n"), let first = text.unicodeScalars.first,
      first != "\n", first != " ", !hasAlias(text)
    else { return false }
    return text.unicodeScalars.allSatisfy { $0 == "\n" || isPrintable($0) }
  }

  /// One long line as several, behind `>-`: every line feed reads as one space.
  private static func canBeFolded(_ text: String, indent: Int) -> Bool {
    guard text.count + indent > 100, text.unicodeScalars.allSatisfy(isPrintable), !hasAlias(text) else { return false }
    // A space under an accent is no place to break a line.
    guard text.unicodeScalars.count(where: { $0 == " " }) == text.count(where: { $0 == " " }) else { return false }
    return text.first != " " && text.last != " " && !text.contains("  ")
  }

  // MARK: One line

  private static func flow(_ node: YAMLNode) -> String {
    switch expanded(node) {
    case .inline(let node): flow(node)
    case .list(let items): "[" + items.map(flow).joined(separator: ", ") + "]"
    case .map(let pairs):
      pairs.isEmpty
        ? "{}"
        : "{ " + pairs.map { scalar($0.key, isInFlow: true) + ": " + flow($0.value) }.joined(separator: ", ") + " }"
    case .value(.string(let text)): scalar(text, isInFlow: true)
    case .value(let value): JSON.encode(value)
    }
  }

  private static func scalar(_ text: String, isInFlow: Bool) -> String {
    isPlain(text, isInFlow: isInFlow) ? text : quoted(text)
  }

  /// Words that some reader of YAML takes for something else than text.
  private static let reserved: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]

  /// Whether text needs no quotes. Careful rather than complete: what it leaves out is quoted, which is never wrong.
  private static func isPlain(_ text: String, isInFlow: Bool) -> Bool {
    if isDuration(text) { return true }
    let scalars = Array(text.unicodeScalars)
    guard let first = scalars.first, let last = scalars.last, first == "_" || isLetter(first), last != " ",
      !reserved.contains(text.lowercased()), !hasAlias(text)
    else { return false }
    for (index, scalar) in scalars.enumerated() {
      switch scalar {
      case " ", "_", "-", ".", "/", "(", ")", "'", "!", "?", ";", "@", "+", "=", "%", "$", "*": continue
      case "0"..."9": continue
      case ",": if isInFlow { return false }
      // A colon ends a key only in front of a space.
      case ":": if isInFlow || index + 1 == scalars.count || scalars[index + 1] == " " { return false }
      default: if !isLetter(scalar) { return false }
      }
    }
    return true
  }

  /// `8s`, `250ms`: no reader takes them for numbers.
  private static func isDuration(_ text: String) -> Bool {
    let digits = text.utf8.prefix { (0x30...0x39).contains($0) }.count
    return digits > 0 && ["ms", "s", "m", "h"].contains(String(text.dropFirst(digits)))
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII ? "a"..."z" ~= scalar || "A"..."Z" ~= scalar : isPrintable(scalar) && scalar.properties.isAlphabetic
  }

  /// What may stand in a text block as it is: no control characters, no line separators but the line feed.
  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x20...0x7E, 0xA0...0x2027, 0x202A...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x1_0000...0x10_FFFF: true
    default: false
    }
  }

  /// Whether something in it looks like `*alias`: readers that guard against aliases may look for them without regard to
  /// quotes.
  private static func hasAlias(_ text: String) -> Bool {
    let scalars = Array(text.unicodeScalars)
    return scalars.indices.contains { isAlias(scalars, at: $0) }
  }

  private static func isAlias(_ scalars: [Unicode.Scalar], at index: Int) -> Bool {
    guard scalars[index] == "*" else { return false }
    if index > 0, !" \t\n[{,".unicodeScalars.contains(scalars[index - 1]) { return false }
    let name = scalars[(index + 1)...].prefix {
      $0 == "_" || $0 == "-" || "0"..."9" ~= $0 || $0.isASCII && isLetter($0)
    }
    guard !name.isEmpty else { return false }
    return name.endIndex == scalars.count || " \t\n\r,]}:".unicodeScalars.contains(scalars[name.endIndex])
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    let scalars = Array(text.unicodeScalars)
    for (index, scalar) in scalars.enumerated() {
      switch scalar {
      case "\0", "\u{FEFF}": continue
      case "*" where isAlias(scalars, at: index): out += "\\x2A"
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      default:
        if isPrintable(scalar) {
          out.unicodeScalars.append(scalar)
        } else {
          let hex = String(scalar.value, radix: 16, uppercase: true)
          out += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
        }
      }
    }
    return out + "\""
  }
}
