import Base

/// Reads YAML 1.2 text written by people into ``SourceNode``s that know their places. Safe to use from any thread.
///
/// Time and memory are bounded by the size of the text: what anchors and aliases would make of it is counted as it is read,
/// and nothing is built that would be refused afterwards.
public enum YAML {
  /// The largest text that is read, in bytes of UTF-8: a thousand times a normal dialog, small enough to parse at once.
  public static let sizeLimit = 1 << 20
  /// The deepest nesting: no configuration or dialog comes near it, and recursion over it is safe on any thread.
  public static let depthLimit = 64
  /// The most nodes after aliases have been expanded, so that nested aliases cannot fill the memory.
  public static let nodeLimit = 100_000
  /// More mistakes than this are not listed: whoever mends that many reads the list again anyway.
  static let problemLimit = 100

  /// Parses one document. Anchors, aliases and merge keys (`<<`) are expanded; an empty document is an empty scalar.
  /// - Parameter file: the name that diagnostics carry.
  /// - Throws: what is wrong, with line and column.
  public static func read(_ text: String, file: String) throws(Diagnostics) -> SourceNode {
    var text = text
    if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
    func failure(_ code: String, _ message: String, _ position: SourcePosition?, _ hint: String = "") -> Diagnostics {
      Diagnostics([
        Diagnostic(code: code, severity: .error, file: file, position: position, message: message, hint: hint)
      ])
    }
    guard text.utf8.count <= sizeLimit else {
      throw failure(ConfigurationCode.limit, "the file is larger than \(sizeLimit) bytes", nil)
    }
    if let position = tagDirective(text) {
      throw failure(ConfigurationCode.syntax, "`%TAG` is not supported", position, "write tags in full, or none")
    }
    var composer = YAMLComposer(file: file)
    let outcome = text.withUTF8 { bytes -> Result<SourceNode?, YAMLParser.Failure> in
      var parser = YAMLParser(bytes)
      do throws(YAMLParser.Failure) {
        return .success(try composer.compose(&parser))
      } catch {
        return .failure(error)
      }
    }
    if !composer.problems.isEmpty { throw Diagnostics(composer.problems) }
    switch outcome {
    case .success(let node):
      return node ?? SourceNode(.scalar("", isQuoted: false), at: SourcePosition(line: 1, column: 1))
    case .failure(let problem):
      let position: SourcePosition
      switch problem.place {
      case .position(let at): position = at
      case .byte(let offset): position = place(ofByte: offset, in: text)
      }
      let lines = text.split(separator: "\n", maxSplits: position.line, omittingEmptySubsequences: false)
      let line = lines.indices.contains(position.line - 1) ? lines[position.line - 1] : ""
      if line.unicodeScalars.dropFirst(position.column - 1).first == "\t" {
        throw failure(
          ConfigurationCode.syntax, "a tab stands where only spaces can", position, "YAML is indented with spaces")
      }
      throw failure(
        ConfigurationCode.syntax, problem.message, position,
        line.contains("${") ? "inside { } and [ ], write \"${NAME}\" in quotes" : "")
    }
  }

  /// Reads and parses a file; see ``read(_:file:)``.
  public static func load(path: String) throws(Diagnostics) -> SourceNode {
    try read(try TextFile.read(path, limit: sizeLimit), file: path)
  }

  private static func place(ofByte offset: Int, in text: String) -> SourcePosition {
    var position = SourcePosition(line: 1, column: 1)
    for scalar in String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars {
      if scalar == "\n" { position = SourcePosition(line: position.line + 1, column: 1) } else { position.column += 1 }
    }
    return position
  }

  /// The parser compares each `%TAG` with all before it, which a text full of them could make endless; nobody needs one here.
  private static func tagDirective(_ text: String) -> SourcePosition? {
    var rest = text.utf8[...]
    var line = 1
    // Directives stand before the document, among comments and empty lines.
    while let first = rest.first, "%# \r\n".utf8.contains(first) {
      if rest.starts(with: "%TAG".utf8) { return SourcePosition(line: line, column: 1) }
      guard let end = rest.firstIndex(of: 0x0A) else { return nil }
      rest = rest[rest.index(after: end)...]
      line += 1
    }
    return nil
  }
}

/// Puts what the parser reads together, within the limits of ``YAML``.
struct YAMLComposer {
  private let file: String
  private(set) var problems: [Diagnostic] = []
  private var open: [Collection] = []
  private var nodes = 0
  private var anchors: [String: Anchored] = [:]

  /// A list or a mapping that is being read.
  private struct Collection {
    var position: SourcePosition
    var anchor: String?
    var isMapping: Bool
    /// Nodes that were counted before it.
    var nodesBefore: Int
    /// Levels below it.
    var depth = 0
    var items: [SourceNode] = []
    var pairs: [(key: SourceNode, value: SourceNode)] = []
    var merged: [(key: SourceNode, value: SourceNode)] = []
    var seen: [String: SourcePosition] = [:]
    /// The key whose value comes next; `.some(nil)`: its value is passed over.
    var key: SourceNode??
  }

  private struct Anchored {
    var node: SourceNode
    var count: Int
    var depth: Int
  }

  init(file: String) { self.file = file }

  /// The document; nil for an empty one. Stops early where ``problems`` says why.
  mutating func compose(_ parser: inout YAMLParser) throws(YAMLParser.Failure) -> SourceNode? {
    var root: SourceNode?
    var documents = 0
    while true {
      var finished: Anchored?
      let event = try parser.next()
      switch event.kind {
      case .end: return root
      case .document:
        documents += 1
        if documents > 1 {
          fail(
            ConfigurationCode.syntax, "a file holds one document, but another begins here", event.position,
            "remove the `---`")
          return nil
        }
        continue
      case .scalar(let text, let isQuoted):
        guard count(1, event.position) else { return nil }
        let node = SourceNode(.scalar(text, isQuoted: isQuoted), at: event.position)
        finished = Anchored(node: node, count: 1, depth: 0)
        if let anchor = event.anchor { anchors[anchor] = finished }
      case .alias:
        let name = event.anchor ?? ""
        if let last = open.last, last.isMapping, last.key == nil {
          fail(ConfigurationCode.limit, "an alias cannot be a key", event.position)
          return nil
        }
        guard let anchored = anchors[name] else {
          fail(ConfigurationCode.syntax, "the alias `*\(name)` names no anchor before it", event.position)
          return nil
        }
        guard count(anchored.count, event.position), isWithinDepth(open.count + anchored.depth, event.position) else {
          return nil
        }
        finished = anchored
      case .sequence, .mapping:
        guard count(1, event.position), isWithinDepth(open.count + 1, event.position) else { return nil }
        open.append(
          Collection(
            position: event.position, anchor: event.anchor, isMapping: event.kind == .mapping,
            nodesBefore: nodes - 1))
        continue
      case .close:
        guard let collection = open.popLast() else { continue }
        let anchored = Anchored(
          node: node(of: collection), count: nodes - collection.nodesBefore, depth: collection.depth + 1)
        if let anchor = collection.anchor { anchors[anchor] = anchored }
        finished = anchored
      }
      guard let finished else { continue }
      if open.isEmpty { root = finished.node } else { add(finished) }
      guard problems.count < YAML.problemLimit else { return nil }
    }
  }

  // MARK: Members

  private mutating func add(_ value: Anchored) {
    let last = open.count - 1
    open[last].depth = max(open[last].depth, value.depth)
    guard open[last].isMapping else { return open[last].items.append(value.node) }
    guard let key = open[last].key else { return openKey(value.node, last) }
    open[last].key = nil
    guard let key else { return }
    if case .scalar("<<", isQuoted: false) = key.content { return merge(value.node, last) }
    open[last].pairs.append((key, value.node))
  }

  private mutating func openKey(_ key: SourceNode, _ last: Int) {
    guard case .scalar(let name, let isQuoted) = key.content else {
      fail(ConfigurationCode.wrongType, "a key must be a text", key.position)
      open[last].key = .some(nil)
      return
    }
    if name != "<<" || isQuoted {
      if let first = open[last].seen[name] {
        fail(
          ConfigurationCode.duplicateKey, "the key `\(name.prefix(80))` stands twice", key.position,
          "it stands first at \(first)")
        open[last].key = .some(nil)
        return
      }
      open[last].seen[name] = key.position
    }
    open[last].key = .some(key)
  }

  private mutating func merge(_ value: SourceNode, _ last: Int) {
    let sources: [SourceNode]
    if case .sequence(let items) = value.content { sources = items } else { sources = [value] }
    for source in sources {
      guard case .mapping(let pairs) = source.content else {
        fail(ConfigurationCode.wrongType, "`<<` takes a mapping or a list of mappings", source.position)
        continue
      }
      open[last].merged += pairs
    }
  }

  /// What is merged comes last, and only where the mapping itself says nothing.
  private func node(of collection: Collection) -> SourceNode {
    guard collection.isMapping else { return SourceNode(.sequence(collection.items), at: collection.position) }
    var pairs = collection.pairs
    if !collection.merged.isEmpty {
      var seen = collection.seen
      for pair in collection.merged {
        guard let name = pair.key.text, seen.updateValue(pair.key.position, forKey: name) == nil else { continue }
        pairs.append(pair)
      }
    }
    return SourceNode(.mapping(pairs), at: collection.position)
  }

  // MARK: Limits

  private mutating func count(_ more: Int, _ position: SourcePosition) -> Bool {
    nodes += more
    guard nodes > YAML.nodeLimit else { return true }
    fail(ConfigurationCode.limit, "the document expands to more than \(YAML.nodeLimit) values", position)
    return false
  }

  private mutating func isWithinDepth(_ depth: Int, _ position: SourcePosition) -> Bool {
    guard depth > YAML.depthLimit else { return true }
    fail(ConfigurationCode.limit, "the document is nested deeper than \(YAML.depthLimit)", position)
    return false
  }

  private mutating func fail(_ code: String, _ message: String, _ position: SourcePosition, _ hint: String = "") {
    problems.append(
      Diagnostic(code: code, severity: .error, file: file, position: position, message: message, hint: hint))
  }
}
