import Base

/// One word of an expression.
struct ExpressionToken: Sendable {
  enum Kind: Hashable, Sendable {
    case int(Int64)
    case double(Double)
    case string(String)
    case name(String)
    case sign(String)
    case end
  }
  var kind: Kind
  /// Offset of its first character.
  var at: Int
  /// Offset after its last character.
  var end: Int
}

/// Cuts an expression into words. Inside a template it stops at the closing braces.
struct ExpressionLexer {
  private let scalars: [Unicode.Scalar]
  private(set) var at: Int

  init(_ scalars: [Unicode.Scalar], at: Int = 0) {
    self.scalars = scalars
    self.at = at
  }

  private static func doubleSign(_ a: Unicode.Scalar, _ b: Unicode.Scalar) -> String? {
    switch (a, b) {
    case ("=", "="): "=="
    case ("!", "="): "!="
    case ("<", "="): "<="
    case (">", "="): ">="
    case ("&", "&"): "&&"
    case ("|", "|"): "||"
    case ("}", "}"): "}}"
    default: nil
    }
  }

  /// Reads again from `at`.
  mutating func goBack(to at: Int) { self.at = at }

  mutating func next() throws(Expression.Problem) -> ExpressionToken {
    while at < scalars.count, scalars[at] == " " || scalars[at] == "\n" || scalars[at] == "\t" || scalars[at] == "\r" {
      at += 1
    }
    let start = at
    guard at < scalars.count else { return ExpressionToken(kind: .end, at: start, end: start) }
    let c = scalars[at]
    if c == "_" || c.properties.isAlphabetic {
      while at < scalars.count, scalars[at].isWord { at += 1 }
      return token(.name(text(start..<at)), start)
    }
    if c.digitValue != nil { return try number(from: start) }
    if c == "'" || c == "\"" { return try string(quote: c, from: start) }
    if at + 1 < scalars.count {
      let next = scalars[at + 1]
      if let two = Self.doubleSign(c, next) {
        at += 2
        if two == "&&" || two == "||" {
          throw Expression.Problem(
            offset: start, code: .badExpression, message: "`\(two)` is not an operator",
            hint: "write `\(two == "&&" ? "and" : "or")`")
        }
        return token(.sign(two), start)
      }
    }
    at += 1
    switch c {
    case "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", ":", "|":
      return token(.sign(text(start..<at)), start)
    case "=":
      throw Expression.Problem(
        offset: start, code: .badExpression, message: "`=` is not an operator",
        hint: "compare with `==`; assign with set_variable")
    case "!":
      throw Expression.Problem(
        offset: start, code: .badExpression, message: "`!` is not an operator", hint: "write `not`")
    default:
      throw Expression.Problem(
        offset: start, code: .badExpression, message: "`\(Character(c))` has no meaning in an expression")
    }
  }

  private func token(_ kind: ExpressionToken.Kind, _ start: Int) -> ExpressionToken {
    ExpressionToken(kind: kind, at: start, end: at)
  }

  private func text(_ range: Range<Int>) -> String {
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars[range])
    return text
  }

  private mutating func number(from start: Int) throws(Expression.Problem) -> ExpressionToken {
    while at < scalars.count, scalars[at].digitValue != nil { at += 1 }
    var isInt = true
    if at + 1 < scalars.count, scalars[at] == ".", scalars[at + 1].digitValue != nil {
      isInt = false
      at += 1
      while at < scalars.count, scalars[at].digitValue != nil { at += 1 }
    }
    if at < scalars.count, scalars[at].isWord {
      throw Expression.Problem(
        offset: at, code: .badExpression, message: "a number is followed by `\(Character(scalars[at]))`",
        hint: "put text in quotes")
    }
    let digits = text(start..<at)
    if isInt, let value = Int64(digits) { return token(.int(value), start) }
    guard !isInt, let value = Double(digits), value.isFinite else {
      throw Expression.Problem(offset: start, code: .badExpression, message: "the number \(digits) is too large")
    }
    return token(.double(value), start)
  }

  private mutating func string(quote: Unicode.Scalar, from start: Int) throws(Expression.Problem) -> ExpressionToken {
    at += 1
    var value = ""
    while at < scalars.count {
      let c = scalars[at]
      at += 1
      if c == quote { return token(.string(value), start) }
      guard c == "\\", at < scalars.count else {
        value.unicodeScalars.append(c)
        continue
      }
      let escaped = scalars[at]
      at += 1
      switch escaped {
      case "n": value += "\n"
      case "t": value += "\t"
      case "\\", "'", "\"": value.unicodeScalars.append(escaped)
      default:
        // `\d` and its like keep their backslash, because most backslashes here belong to regular expressions.
        value += "\\"
        value.unicodeScalars.append(escaped)
      }
    }
    throw Expression.Problem(offset: start, code: .badExpression, message: "a text in quotes is not closed")
  }
}
