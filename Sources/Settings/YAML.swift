import Base
import Yams

/// Reads YAML 1.2 text written by people into ``SourceNode``s that know their places. Safe to use from any thread.
public enum YAML {
  /// The largest text that is read, in bytes of UTF-8: a thousand times a normal dialog, small enough to parse at once.
  public static let sizeLimit = 1 << 20
  /// The deepest nesting: no configuration or dialog comes near it, and recursion over it is safe on any thread.
  public static let depthLimit = 64
  /// The most nodes after aliases have been expanded, so that nested aliases cannot fill the memory.
  public static let nodeLimit = 100_000

  /// Parses one document. Anchors, aliases and merge keys (`<<`) are expanded; an empty document is an empty scalar.
  /// - Parameter file: the name that diagnostics carry.
  /// - Throws: what is wrong, with line and column.
  public static func read(_ text: String, file: String) throws(Diagnostics) -> SourceNode {
    var text = text
    if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
    text.makeContiguousUTF8()
    func failure(_ code: String, _ message: String, _ position: SourcePosition?, hint: String = "") -> Diagnostics {
      Diagnostics([
        Diagnostic(code: code, severity: .error, file: file, position: position, message: message, hint: hint)
      ])
    }
    guard text.utf8.count <= sizeLimit else {
      throw failure(ConfigurationCode.limit, "the file is larger than \(sizeLimit) bytes", nil)
    }
    if let position = aliasInKey(text) {
      throw failure(ConfigurationCode.limit, "an alias cannot be part of a key", position)
    }
    let root: Node?
    do {
      root = try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
    } catch let error as YamlError {
      throw explain(error, text: text, failure)
    } catch {
      throw failure(ConfigurationCode.syntax, "the text cannot be read as YAML", nil)
    }
    guard let root else { return SourceNode(.scalar("", isQuoted: false), at: SourcePosition(line: 1, column: 1)) }
    var conversion = Conversion(file: file)
    let node = conversion.convert(root, depth: 1, fallback: SourcePosition(line: 1, column: 1))
    if !conversion.problems.isEmpty { throw Diagnostics(conversion.problems) }
    return node
  }

  /// Reads and parses a file; see ``read(_:file:)``.
  public static func load(path: String) throws(Diagnostics) -> SourceNode {
    try read(try TextFile.read(path, limit: sizeLimit), file: path)
  }

  // MARK: Errors of the parser

  private static func explain(
    _ error: YamlError, text: String,
    _ failure: (String, String, SourcePosition?, String) -> Diagnostics
  ) -> Diagnostics {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let isDepth = problem.contains("nesting") || problem.contains("depth")
      let code = isDepth ? ConfigurationCode.limit : ConfigurationCode.syntax
      let around = context.map { " \($0.text)" } ?? ""
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      let hasVariable = lines.indices.contains(mark.line - 1) && lines[mark.line - 1].contains("${")
      return failure(
        code, problem + around, SourcePosition(line: mark.line, column: mark.column),
        hasVariable ? "inside { } and [ ], write \"${NAME}\" in quotes" : "")
    case .reader(let problem, let offset, _, _):
      return failure(ConfigurationCode.syntax, problem, offset.map { place(ofByte: $0, in: text) }, "")
    case .duplicatedKeysInMapping(let duplicates, let context):
      let key = duplicates.first ?? ""
      let first = SourcePosition(line: context.mark.line, column: context.mark.column)
      return failure(
        ConfigurationCode.duplicateKey, "the key `\(key)` stands twice", secondPlace(of: key, in: text) ?? first,
        "it stands first at \(first)")
    default:
      return failure(ConfigurationCode.syntax, "the text cannot be read as YAML", nil, "")
    }
  }

  private static func place(ofByte offset: Int, in text: String) -> SourcePosition {
    var position = SourcePosition(line: 1, column: 1)
    for scalar in String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars {
      if scalar == "\n" { position = SourcePosition(line: position.line + 1, column: 1) } else { position.column += 1 }
    }
    return position
  }

  /// The parser names the first of two equal keys only. The second stands in the first line with which the text, cut after
  /// it, already has the fault.
  private static func secondPlace(of key: String, in text: String) -> SourcePosition? {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    func isFaulty(_ count: Int) -> Bool {
      let part = lines[..<count].joined(separator: "\n") + "\n"
      do {
        _ = try Parser(yaml: part, resolver: .basic, encoding: .utf8).singleRoot()
        return false
      } catch YamlError.duplicatedKeysInMapping {
        return true
      } catch {
        return false
      }
    }
    var low = 0, high = lines.count
    while low + 1 < high {
      let middle = (low + high) / 2
      if isFaulty(middle) { high = middle } else { low = middle }
    }
    guard high >= 1, high <= lines.count else { return nil }
    let line = Array(lines[high - 1].unicodeScalars), wanted = Array(key.unicodeScalars)
    guard !wanted.isEmpty, line.count >= wanted.count else { return nil }
    for start in stride(from: line.count - wanted.count, through: 0, by: -1)
    where Array(line[start..<start + wanted.count]) == wanted {
      let isQuoted = start > 0 && (line[start - 1] == "\"" || line[start - 1] == "'")
      return SourcePosition(line: high, column: start + 1 - (isQuoted ? 1 : 0))
    }
    return nil
  }

  /// The parser compares keys with each other in full, which a key made of nested aliases could make endless; such a key is
  /// refused before it sees the text. Only looks where anchors are.
  private static func aliasInKey(_ text: String) -> SourcePosition? {
    guard text.utf8.contains(UInt8(ascii: "&")) else { return nil }
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let bytes = Array(line.utf8)
      let content = bytes.drop { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: "-") }
      if content.first == UInt8(ascii: "?"), content.count == 1 || content.dropFirst().first == 0x20 {
        return SourcePosition(line: index + 1, column: content.startIndex + 1)
      }
      var at = 0
      while let star = bytes[at...].firstIndex(of: UInt8(ascii: "*")) {
        at = star + 1
        let before = star == 0 ? 0x20 : bytes[star - 1]
        guard
          before == 0x20 || before == 0x09
            || [UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ",")].contains(before)
        else { continue }
        var end = at
        while end < bytes.count, isAnchorByte(bytes[end]) { end += 1 }
        guard end > at, end == bytes.count || [0x20, 0x09, 0x2C, 0x5D, 0x7D, 0x3A, 0x0D].contains(bytes[end]) else {
          continue
        }
        for colon in end..<max(end, bytes.count) where bytes[colon] == UInt8(ascii: ":") {
          let isInFlow = bytes[end..<colon].contains { $0 == UInt8(ascii: ",") }
          let closes = bytes[end..<colon].contains { $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: "}") }
          if closes || !isInFlow { return SourcePosition(line: index + 1, column: star + 1) }
          break
        }
      }
    }
    return nil
  }

  private static func isAnchorByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
  }

  // MARK: Nodes

  private struct Conversion {
    let file: String
    var problems: [Diagnostic] = []
    private var nodes = 0
    private var isFull = false

    init(file: String) { self.file = file }

    mutating func fail(_ code: String, _ message: String, _ position: SourcePosition, hint: String = "") {
      problems.append(
        Diagnostic(code: code, severity: .error, file: file, position: position, message: message, hint: hint))
    }

    mutating func convert(_ node: Node, depth: Int, fallback: SourcePosition) -> SourceNode {
      let position = node.mark.map { SourcePosition(line: $0.line, column: $0.column) } ?? fallback
      let nothing = SourceNode(.scalar("", isQuoted: false), at: position)
      nodes += 1
      if isFull { return nothing }
      if nodes > YAML.nodeLimit {
        isFull = true
        fail(ConfigurationCode.limit, "the document expands to more than \(YAML.nodeLimit) values", position)
        return nothing
      }
      if depth > YAML.depthLimit {
        isFull = true
        fail(ConfigurationCode.limit, "the document is nested deeper than \(YAML.depthLimit)", position)
        return nothing
      }
      switch node {
      case .scalar(let scalar):
        let isPlain = scalar.style == .plain || scalar.style == .any
        return SourceNode(.scalar(scalar.string, isQuoted: !isPlain), at: position)
      case .sequence(let sequence):
        return SourceNode(
          .sequence(sequence.map { convert($0, depth: depth + 1, fallback: position) }), at: position)
      case .mapping(let mapping):
        return SourceNode(.mapping(pairs(of: mapping, depth: depth, position)), at: position)
      case .alias:
        fail(ConfigurationCode.syntax, "an alias names no anchor", position)
        return nothing
      }
    }

    private mutating func pairs(
      of mapping: Node.Mapping, depth: Int, _ position: SourcePosition
    ) -> [(key: SourceNode, value: SourceNode)] {
      var own: [(key: SourceNode, value: SourceNode)] = []
      var merged: [(key: SourceNode, value: SourceNode)] = []
      var seen: [String: SourcePosition] = [:]
      for (keyNode, valueNode) in mapping {
        let key = convert(keyNode, depth: depth + 1, fallback: position)
        let value = convert(valueNode, depth: depth + 1, fallback: key.position)
        guard case .scalar(let name, let isQuoted) = key.content else {
          fail(ConfigurationCode.wrongType, "a key must be a text", key.position)
          continue
        }
        if name == "<<", !isQuoted {
          switch value.content {
          case .mapping(let more): merged += more
          case .sequence(let items):
            for item in items {
              guard case .mapping(let more) = item.content else {
                fail(ConfigurationCode.wrongType, "`<<` takes a mapping or a list of mappings", item.position)
                continue
              }
              merged += more
            }
          case .scalar: fail(ConfigurationCode.wrongType, "`<<` takes a mapping or a list of mappings", value.position)
          }
          continue
        }
        if let first = seen.updateValue(key.position, forKey: name) {
          fail(
            ConfigurationCode.duplicateKey, "the key `\(name)` stands twice", key.position,
            hint: "it stands first at \(first)")
          continue
        }
        own.append((key, value))
      }
      for pair in merged {
        guard let name = pair.key.text, seen.updateValue(pair.key.position, forKey: name) == nil else { continue }
        own.append(pair)
      }
      return own
    }
  }
}
