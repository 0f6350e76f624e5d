import Base

/// A Pratt parser. Precedence, weakest first: `|`, `or`, `and`, `not`, comparisons, `+ -`, `* / %`, unary `-`, `. [] ()`.
struct ExpressionParser {
  private var lexer: ExpressionLexer
  private var token: ExpressionToken
  private var depth = 0
  private(set) var names: Set<String> = []

  init(_ source: String) throws(Expression.Problem) {
    guard source.utf8.count <= Expression.lengthLimit else {
      throw Expression.Problem(
        offset: 0, code: .badExpression, message: "an expression is longer than \(Expression.lengthLimit) bytes")
    }
    try self.init(scalars: Array(source.unicodeScalars), at: 0)
  }

  /// Starts in the middle of a template.
  init(scalars: [Unicode.Scalar], at: Int) throws(Expression.Problem) {
    lexer = ExpressionLexer(scalars, at: at)
    token = try lexer.next()
  }

  mutating func parseAll() throws(Expression.Problem) -> ExpressionNode {
    if token.kind == .end { throw problem("the expression is empty") }
    let node = try pipeline()
    guard token.kind == .end else { throw unexpected() }
    return node
  }

  /// Parses up to `}}`; returns the offset after it.
  mutating func parseInTemplate() throws(Expression.Problem) -> (node: ExpressionNode, end: Int) {
    if token.kind == .sign("}}") { throw problem("the expression is empty") }
    let node = try pipeline()
    guard token.kind == .sign("}}") else {
      if token.kind == .end { throw problem("`{{` is not closed with `}}`") }
      throw unexpected()
    }
    return (node, token.end)
  }

  // MARK: Levels

  private mutating func pipeline() throws(Expression.Problem) -> ExpressionNode {
    var left = try level(0)
    while token.kind == .sign("|") {
      try advance()
      guard case .name(let name) = token.kind else { throw problem("after `|` comes the name of a function") }
      let at = token.at
      try advance()
      var arguments = [left]
      if token.kind == .sign("(") { arguments += try list(closing: ")") }
      left = try Self.bounded(Self.call(name, arguments, at: at), at: at)
    }
    return left
  }

  /// 0 or, 1 and, 2 not, 3 comparisons, 4 sums, 5 products.
  private mutating func level(_ level: Int) throws(Expression.Problem) -> ExpressionNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Expression.depthLimit * 6 else { throw Self.tooDeep(token.at) }
    switch level {
    case 2:
      if token.kind == .name("not") {
        let at = token.at
        try advance()
        return try Self.bounded(.not(self.level(2), at: at), at: at)
      }
      return try self.level(3)
    case 6: return try unary()
    default:
      var left = try self.level(level + 1)
      while let (op, at) = try takeOperator(level) {
        let right = try self.level(level + 1)
        left = try Self.bounded(Self.combine(op, left, right, at: at), at: at)
        if level == 3, let (_, at) = try takeOperator(3) {
          throw Expression.Problem(
            offset: at, code: .badExpression, message: "comparisons cannot be chained", hint: "join them with `and`")
        }
      }
      return left
    }
  }

  private mutating func takeOperator(_ level: Int) throws(Expression.Problem) -> (BinaryOperator, Int)? {
    let at = token.at
    let op: BinaryOperator
    switch (level, token.kind) {
    case (0, .name("or")): op = .or
    case (1, .name("and")): op = .and
    case (3, .sign(let sign)):
      guard let comparison = BinaryOperator(rawValue: sign), comparison.isComparison else { return nil }
      op = comparison
    case (3, .name("not")):
      try advance()
      guard token.kind == .name("in") else { throw problem("after `not` in this place comes `in`") }
      op = .isNotIn
    case (3, .name(let name)):
      guard let comparison = BinaryOperator(rawValue: name), comparison.isComparison else { return nil }
      op = comparison
    case (4, .sign("+")): op = .add
    case (4, .sign("-")): op = .subtract
    case (5, .sign("*")): op = .multiply
    case (5, .sign("/")): op = .divide
    case (5, .sign("%")): op = .remainder
    default: return nil
    }
    try advance()
    return (op, at)
  }

  private mutating func unary() throws(Expression.Problem) -> ExpressionNode {
    guard token.kind == .sign("-") else { return try postfix() }
    depth += 1
    defer { depth -= 1 }
    guard depth <= Expression.depthLimit * 6 else { throw Self.tooDeep(token.at) }
    let at = token.at
    try advance()
    let operand = try unary()
    switch operand {
    case .literal(.int(let value)): return .literal(.int(-value))
    case .literal(.double(let value)): return .literal(.double(-value))
    default: return try Self.bounded(.negate(operand, at: at), at: at)
    }
  }

  private mutating func postfix() throws(Expression.Problem) -> ExpressionNode {
    var node = try primary()
    while true {
      let at = token.at
      switch token.kind {
      case .sign("."):
        try advance()
        switch token.kind {
        case .name(let name): node = try Self.bounded(.member(node, name, at: token.at), at: at)
        case .int(let index): node = try Self.bounded(.index(node, .literal(.int(index)), at: token.at), at: at)
        default: throw problem("after `.` comes a name")
        }
        try advance()
      case .sign("["):
        try advance()
        let index = try pipeline()
        guard token.kind == .sign("]") else { throw problem("a `[` is not closed") }
        try advance()
        node = try Self.bounded(.index(node, index, at: at), at: at)
      default: return node
      }
    }
  }

  private mutating func primary() throws(Expression.Problem) -> ExpressionNode {
    let start = token
    switch start.kind {
    case .int(let value):
      try advance()
      return .literal(.int(value))
    case .double(let value):
      try advance()
      return .literal(.double(value))
    case .string(let value):
      try advance()
      return .literal(.string(value))
    case .name(let name):
      try advance()
      switch name {
      case "true": return .literal(.bool(true))
      case "false": return .literal(.bool(false))
      case "null": return .literal(.null)
      case "and", "or", "in", "not", "contains", "startswith", "endswith", "matches":
        if token.kind == .sign("("),
          name == "matches" || name == "contains" || name == "startswith" || name == "endswith"
        {
          return try Self.bounded(Self.call(name, list(closing: ")"), at: start.at), at: start.at)
        }
        throw Expression.Problem(offset: start.at, code: .badExpression, message: "`\(name)` has nothing on its left")
      default: break
      }
      if token.kind == .sign("(") {
        return try Self.bounded(Self.call(name, list(closing: ")"), at: start.at), at: start.at)
      }
      names.insert(name)
      return .name(name, at: start.at)
    case .sign("("):
      try advance()
      let node = try pipeline()
      guard token.kind == .sign(")") else { throw problem("a `(` is not closed") }
      try advance()
      return node
    case .sign("["):
      return try Self.bounded(.list(list(closing: "]")), at: start.at)
    case .sign("{"):
      return try Self.bounded(mapLiteral(), at: start.at)
    case .sign("."):
      throw Expression.Problem(
        offset: start.at, code: .badExpression, message: "a value does not begin with `.`",
        hint: "write the variable's name: `result.intent == 'sales'`; Go templates stand in `{{ }}`")
    default: throw unexpected()
    }
  }

  private mutating func mapLiteral() throws(Expression.Problem) -> ExpressionNode {
    try advance()
    var pairs: [(key: String, value: ExpressionNode)] = []
    while !isAtBrace {
      let key: String
      switch token.kind {
      case .name(let name): key = name
      case .string(let text): key = text
      default: throw problem("a map needs a key here")
      }
      try advance()
      guard token.kind == .sign(":") else { throw problem("after a key comes `:`") }
      try advance()
      pairs.append((key, try pipeline()))
      if token.kind == .sign(",") {
        try advance()
      } else if !isAtBrace {
        throw problem("a `{` is not closed")
      }
    }
    try advance()
    return .map(pairs)
  }

  /// The braces of two maps side by side are not the end of a template.
  private var isAtBrace: Bool {
    mutating get {
      if token.kind == .sign("}}") {
        lexer.goBack(to: token.at + 1)
        token = ExpressionToken(kind: .sign("}"), at: token.at, end: token.at + 1)
      }
      return token.kind == .sign("}")
    }
  }

  private mutating func list(closing: String) throws(Expression.Problem) -> [ExpressionNode] {
    try advance()
    var items: [ExpressionNode] = []
    while token.kind != .sign(closing) {
      items.append(try pipeline())
      if token.kind == .sign(",") {
        try advance()
      } else if token.kind != .sign(closing) {
        throw token.kind == .end ? problem("a `\(closing == ")" ? "(" : "[")` is not closed") : unexpected()
      }
    }
    try advance()
    return items
  }

  // MARK: Building

  static func call(
    _ name: String, _ arguments: [ExpressionNode], at: Int
  ) throws(Expression.Problem) -> ExpressionNode {
    guard let function = ExpressionFunction(rawValue: name) else {
      let known = nearest(to: name, in: ExpressionFunction.allCases.map(\.rawValue))
      throw Expression.Problem(
        offset: at, code: .unknownFunction, message: "there is no function `\(name)`",
        hint: known.map { "did you mean `\($0)`?" } ?? "")
    }
    let arity = function.signature.arity
    guard arity.contains(arguments.count) else {
      let wanted =
        arity.lowerBound == arity.upperBound
        ? "\(arity.lowerBound)"
        : arity.upperBound == .max ? "at least \(arity.lowerBound)" : "\(arity.lowerBound) to \(arity.upperBound)"
      throw Expression.Problem(
        offset: at, code: .badExpression,
        message: "`\(name)` takes \(wanted) argument\(wanted == "1" ? "" : "s"), not \(arguments.count)")
    }
    switch function {
    case .matches: return try combine(.matches, arguments[0], arguments[1], at: at)
    case .choose: return .conditional(arguments[0], arguments[1], arguments[2], at: at)
    case .contains: return .binary(.contains, arguments[0], arguments[1], at: at)
    case .startswith: return .binary(.startswith, arguments[0], arguments[1], at: at)
    case .endswith: return .binary(.endswith, arguments[0], arguments[1], at: at)
    case .regex_extract:
      if case .literal(.string(let source)) = arguments[1] { _ = try regex(source, at: at) }
      return .call(function, arguments, at: at)
    default: return .call(function, arguments, at: at)
    }
  }

  static func combine(
    _ op: BinaryOperator, _ left: ExpressionNode, _ right: ExpressionNode, at: Int
  ) throws(Expression.Problem) -> ExpressionNode {
    switch (op, left, right) {
    case (.matches, _, .literal(.string(let source))):
      return .matches(left, try regex(source, at: at), at: at)
    // Recognisers write lower case; an author's capital letter must not make a phrase unreachable.
    case (.equal, .name("transcript", _), _), (.notEqual, .name("transcript", _), _),
      (.isIn, .name("transcript", _), .list), (.isNotIn, .name("transcript", _), .list):
      return .binary(op, left, right.withLowercaseTexts, at: at)
    case (.equal, _, .name("transcript", _)), (.notEqual, _, .name("transcript", _)):
      return .binary(op, left.withLowercaseTexts, right, at: at)
    default: return .binary(op, left, right, at: at)
    }
  }

  private static func regex(_ source: String, at: Int) throws(Expression.Problem) -> RegexPattern {
    do {
      return try RegexPattern(source)
    } catch {
      throw Expression.Problem(
        offset: at, code: .badPattern, message: "the regular expression `\(source)` is not valid: \(error.message)")
    }
  }

  static func bounded(_ node: ExpressionNode, at: Int) throws(Expression.Problem) -> ExpressionNode {
    guard node.fits(depth: Expression.depthLimit) else { throw tooDeep(at) }
    return node
  }

  // MARK: Words

  private mutating func advance() throws(Expression.Problem) { token = try lexer.next() }

  private func problem(_ message: String) -> Expression.Problem {
    Expression.Problem(offset: token.at, code: .badExpression, message: message)
  }

  static func tooDeep(_ at: Int) -> Expression.Problem {
    Expression.Problem(
      offset: at, code: .badExpression, message: "an expression is nested deeper than \(Expression.depthLimit)",
      hint: "split it with set_variable")
  }

  private func unexpected() -> Expression.Problem {
    switch token.kind {
    case .end: problem("the expression ends too early")
    case .name(let name):
      Expression.Problem(
        offset: token.at, code: .badExpression, message: "`\(name)` is not expected here",
        hint: "put text in quotes; join conditions with `and` or `or`")
    case .sign(let sign): problem("`\(sign)` is not expected here")
    case .int, .double, .string: problem("a value is not expected here; an operator is missing")
    }
  }
}

extension ExpressionNode {
  /// The literal, or the list with its literals, in lower case.
  fileprivate var withLowercaseTexts: ExpressionNode {
    switch self {
    case .literal(.string(let text)): .literal(.string(text.lowercased()))
    case .list(let items): .list(items.map(\.withLowercaseTexts))
    default: self
    }
  }

  /// Whether the tree is at most `depth` deep. Never looks deeper than that.
  func fits(depth: Int) -> Bool {
    guard depth > 0 else { return false }
    let below = depth - 1
    switch self {
    case .literal, .name: return true
    case .member(let a, _, _), .negate(let a, _), .not(let a, _), .matches(let a, _, _): return a.fits(depth: below)
    case .index(let a, let b, _), .binary(_, let a, let b, _): return a.fits(depth: below) && b.fits(depth: below)
    case .conditional(let a, let b, let c, _):
      return a.fits(depth: below) && b.fits(depth: below) && c.fits(depth: below)
    case .list(let items), .call(_, let items, _): return items.allSatisfy { $0.fits(depth: below) }
    case .map(let pairs): return pairs.allSatisfy { $0.value.fits(depth: below) }
    }
  }
}
