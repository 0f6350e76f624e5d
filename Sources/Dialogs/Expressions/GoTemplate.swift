import Base

/// What a Go template may look at where it stands.
struct GoContext {
  /// The event of the transition whose condition it is: says what `.Event` is.
  var event: String?
  /// What each variable holds.
  var scope: [String: StaticType] = [:]
}

/// Go's template language (`text/template`), in which voicetyped writes conditions and texts, translated into the tree of
/// ``Expression`` when the dialog is loaded. `{{ if }}` and `{{ else }}` become ``ExpressionNode/conditional``; what makes
/// loops, scopes or templates of its own is refused.
struct GoTemplate {
  private let scalars: [Unicode.Scalar]
  private let context: GoContext
  private var at = 0
  private var depth = 0

  /// Nesting of `if` and of parentheses; bounds the stack.
  private static let depthLimit = 32

  private init(_ scalars: [Unicode.Scalar], _ context: GoContext) {
    self.scalars = scalars
    self.context = context
  }

  /// The parts of a text that is written in Go's language.
  static func parts(of scalars: [Unicode.Scalar], _ context: GoContext) throws(Expression.Problem) -> [Template.Part] {
    var template = GoTemplate(scalars, context)
    let (parts, stop) = try template.body()
    if let stop {
      throw Expression.Problem(
        offset: stop.at, code: .badExpression, message: "`{{ \(stop.word) }}` stands without an `{{ if }}`")
    }
    return parts
  }

  // MARK: Text and actions

  /// What ends a body: `else`, with the offset after the word, or `end`.
  private struct Stop {
    var word: String
    var at: Int
    /// Where the rest of an `else` begins.
    var rest: Int
  }

  private mutating func body() throws(Expression.Problem) -> ([Template.Part], Stop?) {
    var parts: [Template.Part] = []
    var text: [Unicode.Scalar] = []
    func flush(into parts: inout [Template.Part], _ text: inout [Unicode.Scalar]) {
      if !text.isEmpty { parts.append(.text(String(text))) }
      text = []
    }
    while at < scalars.count {
      guard scalars[at] == "{", at + 1 < scalars.count, scalars[at + 1] == "{" else {
        text.append(scalars[at])
        at += 1
        continue
      }
      let start = at
      at += 2
      if at + 1 < scalars.count, scalars[at] == "-", scalars[at + 1].isGoSpace {
        at += 1
        while text.last?.isGoSpace == true { text.removeLast() }
      }
      skipSpace()
      if at + 1 < scalars.count, scalars[at] == "/", scalars[at + 1] == "*" {
        try comment(from: start)
        continue
      }
      let wordStart = at
      switch word() {
      case "if":
        flush(into: &parts, &text)
        parts.append(.expression(try conditional(from: start)))
      case "else":
        flush(into: &parts, &text)
        return (parts, Stop(word: "else", at: wordStart, rest: at))
      case "end":
        flush(into: &parts, &text)
        let rest = at
        try close()
        return (parts, Stop(word: "end", at: wordStart, rest: rest))
      case "range", "with", "define", "block", "template", "break", "continue":
        at = wordStart
        throw Expression.Problem(
          offset: wordStart, code: .notSupported, message: "`\(word())` of Go templates is not supported",
          hint: "lists and templates of your own belong into a hook; `if`, `else` and `end` are understood")
      default:
        at = wordStart
        flush(into: &parts, &text)
        var parser = GoParser(scalars, at: at, context)
        let node = try parser.parse()
        parts.append(.expression(try expression(node, parser, from: wordStart, to: parser.end)))
        at = parser.end
        try close()
      }
    }
    flush(into: &parts, &text)
    return (parts, nil)
  }

  /// `if` has been read. Stops after the `{{ end }}`.
  private mutating func conditional(from start: Int) throws(Expression.Problem) -> Expression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.depthLimit else { throw ExpressionParser.tooDeep(start) }
    var branches: [(condition: ExpressionNode, body: ExpressionNode)] = []
    var otherwise = ExpressionNode.literal("")
    var names: Set<String> = []
    while true {
      var parser = GoParser(scalars, at: at, context)
      let condition = parser.truth(try parser.parse())
      names.formUnion(parser.names)
      at = parser.end
      try close()
      let (parts, stop) = try body()
      names.formUnion(parts.names)
      guard let stop else {
        throw Expression.Problem(
          offset: start, code: .badExpression, message: "`{{ if }}` is not closed with `{{ end }}`")
      }
      branches.append((condition, parts.node))
      guard stop.word == "else" else { break }
      skipSpace()
      let wordStart = at
      let next = word()
      if next == "if" { continue }
      guard next.isEmpty else {
        throw Expression.Problem(
          offset: wordStart, code: .badExpression, message: "after `else` comes nothing or `if`, not `\(next)`")
      }
      try close()
      let (rest, last) = try body()
      guard let last, last.word == "end" else {
        throw Expression.Problem(
          offset: last?.at ?? start, code: .badExpression, message: "`{{ else }}` is not closed with `{{ end }}`")
      }
      names.formUnion(rest.names)
      otherwise = rest.node
      break
    }
    for branch in branches.reversed() {
      otherwise = .conditional(branch.condition, branch.body, otherwise, at: start)
    }
    let node = try ExpressionParser.bounded(otherwise, at: start)
    return Expression(source: String(Array(scalars[start..<at])), root: node, names: names)
  }

  private func expression(
    _ node: ExpressionNode, _ parser: GoParser, from start: Int, to end: Int
  ) throws(Expression.Problem) -> Expression {
    Expression(
      source: String(Array(scalars[start..<end])), root: try ExpressionParser.bounded(node, at: start),
      names: parser.names)
  }

  // MARK: Reading

  /// `}}`, and before it the sign that takes away the space behind it.
  private mutating func close() throws(Expression.Problem) {
    skipSpace()
    let isTrimming =
      at + 2 < scalars.count && scalars[at] == "-" && scalars[at + 1] == "}" && scalars[at + 2] == "}"
      && scalars[at - 1].isGoSpace
    if isTrimming { at += 1 }
    guard at + 1 < scalars.count, scalars[at] == "}", scalars[at + 1] == "}" else {
      throw Expression.Problem(
        offset: at, code: .badExpression,
        message: at < scalars.count
          ? "`\(Character(scalars[at]))` is not expected here" : "`{{` is not closed with `}}`")
    }
    at += 2
    if isTrimming { skipSpace() }
  }

  private mutating func comment(from start: Int) throws(Expression.Problem) {
    while at + 1 < scalars.count, scalars[at] != "*" || scalars[at + 1] != "/" { at += 1 }
    guard at + 1 < scalars.count else {
      throw Expression.Problem(offset: start, code: .badExpression, message: "a comment is not closed with `*/`")
    }
    at += 2
    try close()
  }

  private mutating func skipSpace() { while at < scalars.count, scalars[at].isGoSpace { at += 1 } }

  private mutating func word() -> String {
    var word = String.UnicodeScalarView()
    while at < scalars.count, scalars[at].isWord {
      word.append(scalars[at])
      at += 1
    }
    return String(word)
  }
}

extension String {
  fileprivate init(_ scalars: [Unicode.Scalar]) {
    self.init()
    unicodeScalars.append(contentsOf: scalars)
  }
}

extension Unicode.Scalar {
  var isGoSpace: Bool { self == " " || self == "\n" || self == "\t" || self == "\r" }
}

extension [Template.Part] {
  /// One value in place of several parts.
  fileprivate var node: ExpressionNode {
    let nodes = map { part -> ExpressionNode in
      switch part {
      case .text(let text): .literal(.string(text))
      case .expression(let expression): expression.root
      }
    }
    switch nodes.count {
    case 0: return .literal("")
    case 1: return nodes[0]
    default: return .call(.join, [.list(nodes), .literal("")], at: 0)
    }
  }

  fileprivate var names: Set<String> {
    reduce(into: []) { if case .expression(let expression) = $1 { $0.formUnion(expression.names) } }
  }
}

// MARK: Telling the languages apart

extension GoTemplate {
  /// Words that begin a Go action and never one of ours.
  private static let controls: Set<String> = ["if", "range", "with", "define", "block", "template"]
  private static let functions: Set<String> = [
    "eq", "ne", "lt", "le", "gt", "ge", "index", "printf", "print", "println", "and", "or", "html", "js", "urlquery",
    "slice", "call",
  ]
  private static let operators: Set<String> = [
    "in", "contains", "startswith", "endswith", "matches", "and", "or", "not",
  ]

  /// Whether a text with `{{` in it is written in Go's language: it names a field of the context (`.Variables`), a variable
  /// (`$x`), or puts a function of Go before its arguments (`eq a b`).
  static func isMeant(_ scalars: [Unicode.Scalar]) -> Bool {
    var at = 0
    while at + 1 < scalars.count {
      if scalars[at] == "{", scalars[at + 1] == "{" {
        at += 2
        if isGoAction(scalars, &at) { return true }
      } else {
        at += 1
      }
    }
    return false
  }

  /// Looks at one action; stops behind it.
  private static func isGoAction(_ scalars: [Unicode.Scalar], _ at: inout Int) -> Bool {
    func scalar(_ i: Int) -> Unicode.Scalar? { i < scalars.count ? scalars[i] : nil }
    var isStart = true
    if scalar(at) == "-", scalar(at + 1)?.isGoSpace == true { at += 1 }
    var isFirst = true
    while let c = scalar(at) {
      switch c {
      case " ", "\n", "\t", "\r": at += 1
      case "}" where scalar(at + 1) == "}":
        at += 2
        return false
      case "'", "\"", "`":
        at += 1
        while let next = scalar(at), next != c { at += next == "\\" && c != "`" ? 2 : 1 }
        at += 1
        (isStart, isFirst) = (false, false)
      case "/" where scalar(at + 1) == "*": return true
      case "$": return true
      case ".":
        let before = scalars[at - 1]
        let isLoose = before.isGoSpace || before == "(" || before == "|" || before == "{" || before == "-"
        if isLoose, let next = scalar(at + 1), next.isWord, next.digitValue == nil { return true }
        at += 1
        (isStart, isFirst) = (false, false)
      case "(", "|":
        at += 1
        (isStart, isFirst) = (true, false)
      default:
        guard c.isWord else {
          at += 1
          (isStart, isFirst) = (false, false)
          continue
        }
        var word = String.UnicodeScalarView()
        while let next = scalar(at), next.isWord {
          word.append(next)
          at += 1
        }
        if isStart, isGoWord(String(word), isFirst: isFirst, scalars, at) { return true }
        // `not` stands before an operand in both languages.
        if String(word) != "not" { isStart = false }
        isFirst = false
      }
    }
    return false
  }

  /// Whether the word is one of Go's, and its operand follows after a space.
  private static func isGoWord(_ word: String, isFirst: Bool, _ scalars: [Unicode.Scalar], _ end: Int) -> Bool {
    let isControl = isFirst && controls.contains(word)
    guard isControl || functions.contains(word) else { return false }
    var at = end
    while at < scalars.count, scalars[at].isGoSpace { at += 1 }
    guard at > end, at < scalars.count else { return false }
    let next = scalars[at]
    if next == "(" || next == "\"" || next == "`" || next == "'" || next == "." || next == "$" { return true }
    guard next.isWord else { return false }
    if word == "if" || word == "and" || word == "or" { return true }
    var following = String.UnicodeScalarView()
    while at < scalars.count, scalars[at].isWord {
      following.append(scalars[at])
      at += 1
    }
    return !operators.contains(String(following))
  }
}
