import Base

/// One pipeline of Go's template language: `eq (index .Result "intent") "sales"`.
struct GoParser {
  private let scalars: [Unicode.Scalar]
  private let context: GoContext
  /// Where the pipeline ends: before `}}`, or before the sign that trims.
  private(set) var end: Int
  /// Every variable it reads.
  private(set) var names: Set<String> = []
  private var depth = 0

  init(_ scalars: [Unicode.Scalar], at: Int, _ context: GoContext) {
    self.scalars = scalars
    self.context = context
    end = at
  }

  private struct Operand {
    var node: ExpressionNode
    var at: Int
    /// `.Event`, which is a key where it is printed as a character.
    var isEvent = false
  }

  mutating func parse() throws(Expression.Problem) -> ExpressionNode {
    let node = try pipeline().node
    guard isAtEnd else { throw unexpected() }
    return node
  }

  // MARK: Grammar

  private mutating func pipeline() throws(Expression.Problem) -> Operand {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 32 else { throw ExpressionParser.tooDeep(end) }
    var operand = try command(piped: nil)
    skipSpace()
    while peek == "|" {
      end += 1
      operand = try command(piped: operand)
      skipSpace()
    }
    if peek == ":" || peek == "=" {
      throw problem(
        end, "variables of Go templates are not supported", "set a variable of the dialog instead", .notSupported)
    }
    return operand
  }

  private mutating func command(piped: Operand?) throws(Expression.Problem) -> Operand {
    skipSpace()
    let start = end
    guard let c = peek, !isAtEnd else { throw problem(end, "the expression is empty or ends too early") }
    guard c.isWord, c.digitValue == nil else {
      let operand = try self.operand()
      if piped != nil { throw problem(start, "after `|` comes a function") }
      skipSpace()
      guard isAtEnd || peek == "|" || peek == ")" || peek == ":" || peek == "=" else {
        throw problem(end, "a value takes no arguments", "functions stand first: `eq .Variables.x \"y\"`")
      }
      return operand
    }
    let name = word()
    if let literal = Self.literals[name] {
      guard piped == nil else { throw problem(start, "after `|` comes a function") }
      return Operand(node: .literal(literal), at: start)
    }
    var arguments: [Operand] = []
    skipSpace()
    while !isAtEnd, let next = peek, next != "|", next != ")" {
      arguments.append(try operand())
      skipSpace()
      guard arguments.count <= 32 else { throw problem(start, "`\(name)` has too many arguments") }
    }
    return Operand(node: try call(name, arguments, piped: piped, at: start), at: start)
  }

  private static let literals: [String: Value] = ["true": true, "false": false, "nil": .null]

  private mutating func operand() throws(Expression.Problem) -> Operand {
    skipSpace()
    let start = end
    guard let c = peek else { throw problem(end, "the expression ends too early") }
    switch c {
    case ".":
      return try field(chain(), at: start)
    case "(":
      end += 1
      var inner = try pipeline()
      guard peek == ")" else { throw problem(end, "a `(` is not closed") }
      end += 1
      if peek == "." {
        for name in try chain() { inner.node = .member(inner.node, name, at: start) }
        inner.isEvent = false
      }
      inner.at = start
      return inner
    case "\"", "`", "'": return Operand(node: .literal(.string(try string(c))), at: start)
    case "$":
      throw problem(start, "variables of Go templates are not supported", "write `.Variables.name`", .notSupported)
    default: break
    }
    if c.digitValue != nil || c == "-" || c == "+" { return Operand(node: .literal(try number()), at: start) }
    guard c.isWord else { throw unexpected() }
    let name = word()
    if let literal = Self.literals[name] { return Operand(node: .literal(literal), at: start) }
    throw problem(
      start, "`\(name)` is no value of Go templates",
      "a variable is `.Variables.\(name)`; a function with arguments needs parentheses around it")
  }

  /// `.A.B.C`
  private mutating func chain() throws(Expression.Problem) -> [String] {
    var names: [String] = []
    while peek == ".", names.count < 32 {
      end += 1
      let name = word()
      guard !name.isEmpty else {
        throw problem(
          end - 1, "`.` alone is the whole context of a Go template, which is not supported",
          "name a part of it: `.Variables.x`",
          .notSupported)
      }
      names.append(name)
    }
    return names
  }

  // MARK: The context

  private static let fields: [String: String] = [
    "Transcript": "transcript", "Confidence": "confidence", "Language": "language", "Slots": "slots",
    "Digit": "digit", "Digits": "digits", "Result": "result", "CallerID": "caller_id", "CalledNumber": "called_number",
    "SessionID": "session_id", "DialogName": "dialog_name", "State": "current_state", "CurrentState": "current_state",
    "Trunk": "trunk", "Data": "data", "Error": "error", "Status": "status", "LastEvent": "last_event",
  ]

  private mutating func field(_ chain: [String], at start: Int) throws(Expression.Problem) -> Operand {
    var rest = chain[...]
    var head = rest.removeFirst()
    if head == "Session" {
      guard let next = rest.popFirst() else {
        throw problem(start, "`.Session` is a whole session, not a value", "name a part of it: `.Session.ID`")
      }
      head = next == "ID" ? "SessionID" : next
    }
    var node: ExpressionNode
    switch head {
    case "Variables":
      guard let name = rest.popFirst() else {
        throw problem(start, "`.Variables` is all of them, not a value", "name one: `.Variables.x`")
      }
      node = self.name(name, at: start)
    case "Event":
      guard rest.isEmpty else { throw problem(start, "`.Event` has no parts", "it is what was said, or the key") }
      return Operand(node: event(at: start), at: start, isEvent: true)
    default:
      guard let name = Self.fields[head] else {
        let close = nearest(to: head, in: Self.fields.keys.sorted() + ["Variables", "Event", "Session"])
        throw problem(
          start, "there is no `.\(head)`",
          close.map { "did you mean `.\($0)`?" } ?? "a variable is `.Variables.\(head)`", .unknownName)
      }
      node = self.name(name, at: start)
    }
    for name in rest { node = .member(node, name, at: start) }
    return Operand(node: node, at: start)
  }

  private mutating func name(_ name: String, at start: Int) -> ExpressionNode {
    names.insert(name)
    return .name(name, at: start)
  }

  /// What was said, or the key: whichever the event has.
  private mutating func event(at start: Int) -> ExpressionNode {
    switch context.event {
    case "speech", "speech_partial": return name("transcript", at: start)
    case "dtmf": return name("digit", at: start)
    default:
      let isKey = ExpressionNode.binary(.equal, name("last_event", at: start), .literal("dtmf"), at: start)
      return .conditional(isKey, name("digit", at: start), name("transcript", at: start), at: start)
    }
  }

  // MARK: Functions

  private static let comparisons: [String: BinaryOperator] = [
    "eq": .equal, "ne": .notEqual, "lt": .less, "le": .lessOrEqual, "gt": .greater, "ge": .greaterOrEqual,
  ]
  /// Names that helpers of Go programs have, and ours.
  private static let helpers: [String: String] = [
    "hasPrefix": "startswith", "hasSuffix": "endswith", "toLower": "lower", "toUpper": "upper", "trimSpace": "trim",
    "toString": "string", "toJson": "json", "atoi": "int", "float64": "number",
  ]

  private mutating func call(
    _ name: String, _ given: [Operand], piped: Operand?, at start: Int
  ) throws(Expression.Problem) -> ExpressionNode {
    let all = given + (piped.map { [$0] } ?? [])
    let nodes = all.map(\.node)
    switch name {
    case "eq", "ne", "lt", "le", "gt", "ge":
      guard nodes.count >= 2, nodes.count == 2 || name == "eq" else {
        throw problem(start, "`\(name)` compares \(name == "eq" ? "at least " : "")2 values, not \(nodes.count)")
      }
      let op = Self.comparisons[name] ?? .equal
      if nodes.count == 2 { return try compare(op, nodes[0], nodes[1], at: start) }
      let choices = nodes.dropFirst().map { fitting($0, to: nodes[0]).lowercased(if: nodes[0].isTranscript) }
      return .binary(.isIn, nodes[0], .list(choices), at: start)
    case "and", "or":
      guard let last = nodes.last else { throw problem(start, "`\(name)` needs values") }
      var result = last
      for node in nodes.dropLast().reversed() {
        if type(of: node) == .bool, type(of: result) == .bool {
          result = .binary(name == "and" ? .and : .or, node, result, at: start)
        } else if name == "and" {
          // In Go they give one of their values; here nothing stands for one that is false, zero or empty.
          result = .conditional(truth(node), result, .literal(""), at: start)
        } else if node.isPlace {
          result = .conditional(truth(node), node, result, at: start)
        } else {
          result = .call(.coalesce, [node, result], at: start)
        }
      }
      return result
    case "not":
      guard nodes.count == 1 else { throw problem(start, "`not` takes 1 value, not \(nodes.count)") }
      return .not(truth(nodes[0]), at: start)
    case "index":
      guard nodes.count >= 2 else { throw problem(start, "`index` needs a value and what to look for in it") }
      return nodes.dropFirst().reduce(nodes[0]) { .index($0, $1, at: start) }
    case "printf": return try format(all, at: start)
    case "print", "html", "js", "urlquery":
      if name != "print" {
        throw problem(start, "`\(name)` of Go templates is not supported", "texts are spoken, not shown", .notSupported)
      }
      return text(nodes, at: start)
    case "default":
      guard nodes.count == 2 else { throw problem(start, "`default` takes 2 values, not \(nodes.count)") }
      return .call(.default, [nodes[1], nodes[0]], at: start)
    case "println", "slice", "call":
      throw problem(start, "`\(name)` of Go templates is not supported", "", .notSupported)
    default:
      // What goes through a pipe is what the function looks at.
      let ours = (piped.map { [$0.node] } ?? []) + given.map(\.node)
      if ours.isEmpty, ExpressionFunction(rawValue: name) == nil {
        throw problem(
          start, "`\(name)` is no function of Go templates", "a variable is `.Variables.\(name)`", .unknownFunction)
      }
      return try ExpressionParser.call(Self.helpers[name] ?? name, ours, at: start)
    }
  }

  private func compare(
    _ op: BinaryOperator, _ a: ExpressionNode, _ b: ExpressionNode, at start: Int
  ) throws(Expression.Problem) -> ExpressionNode {
    try ExpressionParser.combine(op, fitting(a, to: b), fitting(b, to: a), at: start)
  }

  /// In voicetyped every variable is text, so numbers and truth are compared with texts: `eq .Variables.tries "3"`.
  private func fitting(_ node: ExpressionNode, to other: ExpressionNode) -> ExpressionNode {
    let wanted = type(of: other)
    if case .literal(.string(let text)) = node {
      if wanted == .number, let int = Int64(text) { return .literal(.int(int)) }
      if wanted == .number, let double = Double(text), double.isFinite { return .literal(.double(double)) }
      if wanted == .bool, text == "true" || text == "false" { return .literal(.bool(text == "true")) }
      return node
    }
    guard case .literal(.string(let text)) = other else { return node }
    switch type(of: node) {
    case .number where Double(text) == nil, .bool where text != "true" && text != "false":
      return .call(.string, [node], at: 0)
    default: return node
    }
  }

  private mutating func format(_ arguments: [Operand], at start: Int) throws(Expression.Problem) -> ExpressionNode {
    guard case .literal(.string(let pattern))? = arguments.first?.node else {
      throw problem(start, "`printf` begins with a text in quotes")
    }
    var pieces: [ExpressionNode] = []
    var literal = ""
    var values = arguments.dropFirst()
    var scalars = Array(pattern.unicodeScalars)[...]
    while let c = scalars.popFirst() {
      guard c == "%" else {
        literal.unicodeScalars.append(c)
        continue
      }
      guard let verb = scalars.popFirst() else { throw problem(start, "`%` at the end of `printf` says nothing") }
      if verb == "%" {
        literal += "%"
        continue
      }
      guard "sdvcqt".unicodeScalars.contains(verb) else {
        throw problem(
          start, "`%\(Character(verb))` of `printf` is not supported",
          "%s, %d, %v, %q, %c and %t are; numbers are rounded with `round`",
          .notSupported)
      }
      guard let value = values.popFirst() else { throw problem(start, "`printf` has too few values for `\(pattern)`") }
      if !literal.isEmpty { pieces.append(.literal(.string(literal))) }
      literal = ""
      if verb == "c", !value.isEvent, type(of: value.node) == .number {
        throw problem(value.at, "`%c` of a number is not supported", "`%c` is for `.Event`", .notSupported)
      }
      if verb == "c", value.isEvent {
        pieces.append(name("digit", at: value.at))
      } else if verb == "q" {
        pieces.append(.call(.json, [.call(.string, [value.node], at: value.at)], at: value.at))
      } else {
        pieces.append(value.node)
      }
    }
    guard values.isEmpty else { throw problem(start, "`printf` has more values than `\(pattern)` takes") }
    if !literal.isEmpty { pieces.append(.literal(.string(literal))) }
    return text(pieces, at: start)
  }

  private func text(_ pieces: [ExpressionNode], at start: Int) -> ExpressionNode {
    switch pieces.count {
    case 0: .literal("")
    case 1: type(of: pieces[0]) == .string ? pieces[0] : .call(.string, pieces, at: start)
    default: .call(.join, [.list(pieces), .literal("")], at: start)
    }
  }

  // MARK: Truth

  private func type(of node: ExpressionNode) -> StaticType {
    var types = ExpressionTypes(scope: context.scope.isEmpty ? Self.builtins : context.scope)
    return types.check(node)
  }

  private static let builtins = Dictionary(
    Vocabulary.builtins.map { ($0.name, $0.type) }, uniquingKeysWith: { first, _ in first })

  /// True as Go sees it: not false, zero, empty or absent.
  func truth(_ node: ExpressionNode) -> ExpressionNode {
    if case .conditional(let condition, let a, let b, let at) = node {
      return .conditional(condition, truth(a), truth(b), at: at)
    }
    switch type(of: node) {
    case .bool: return node
    case .string: return .binary(.notEqual, node, .literal(""), at: end)
    case .number: return .binary(.notEqual, node, .literal(0), at: end)
    default:
      return .binary(.isNotIn, node, .literal(.list([.null, false, 0, "", [], [:]])), at: end)
    }
  }

  // MARK: Words

  private var peek: Unicode.Scalar? { end < scalars.count ? scalars[end] : nil }

  /// At `}}`, or at the sign that trims before it.
  private var isAtEnd: Bool {
    func isClosed(_ at: Int) -> Bool { at + 1 < scalars.count && scalars[at] == "}" && scalars[at + 1] == "}" }
    return end >= scalars.count || isClosed(end) || scalars[end] == "-" && isClosed(end + 1)
  }

  private mutating func skipSpace() { while let c = peek, c.isGoSpace { end += 1 } }

  private mutating func word() -> String {
    var word = String.UnicodeScalarView()
    while let c = peek, c.isWord {
      word.append(c)
      end += 1
    }
    return String(word)
  }

  private mutating func number() throws(Expression.Problem) -> Value {
    let start = end
    var text = ""
    while let c = peek, c.isWord || c == "." || c == "-" || c == "+" {
      text.unicodeScalars.append(c)
      end += 1
    }
    if let int = Int64(text) { return .int(int) }
    if let double = Double(text), double.isFinite { return .double(double) }
    throw problem(start, "`\(text)` is not a number")
  }

  /// `"..."` with escapes, `` `...` `` as it stands, `'c'` for one character.
  private mutating func string(_ quote: Unicode.Scalar) throws(Expression.Problem) -> String {
    let start = end
    end += 1
    var text = String.UnicodeScalarView()
    while let c = peek {
      end += 1
      if c == quote {
        if quote == "'", text.count != 1 {
          throw problem(start, "single quotes hold one character in Go templates", "write \"...\"")
        }
        return String(text)
      }
      guard c == "\\", quote != "`", let escaped = peek else {
        text.append(c)
        continue
      }
      end += 1
      switch escaped {
      case "n": text.append("\n")
      case "t": text.append("\t")
      case "r": text.append("\r")
      case "\\", "\"", "'": text.append(escaped)
      default: throw problem(end - 2, "`\\\(Character(escaped))` is no escape of Go")
      }
    }
    throw problem(start, "a text in quotes is not closed")
  }

  private func unexpected() -> Expression.Problem {
    guard let c = peek else { return problem(end, "`{{` is not closed with `}}`") }
    return problem(end, "`\(Character(c))` is not expected here", "functions stand first: `eq .Variables.x \"y\"`")
  }

  private func problem(
    _ offset: Int, _ message: String, _ hint: String = "", _ code: DialogCode = .badExpression
  ) -> Expression.Problem {
    Expression.Problem(offset: offset, code: code, message: message, hint: hint)
  }
}

extension ExpressionNode {
  /// Whether it only names a value, so that it may stand twice without growing.
  fileprivate var isPlace: Bool {
    switch self {
    case .literal, .name: true
    case .member(let base, _, _): base.isPlace
    case .index(let base, .literal, _): base.isPlace
    default: false
    }
  }

  fileprivate var isTranscript: Bool { if case .name("transcript", _) = self { true } else { false } }

  /// Recognisers write lower case.
  fileprivate func lowercased(if isNeeded: Bool) -> ExpressionNode {
    if isNeeded, case .literal(.string(let text)) = self { .literal(.string(text.lowercased())) } else { self }
  }
}
