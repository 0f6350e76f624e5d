import Base

/// Finds the mistakes of an expression that show without running it: unknown names, types that cannot fit.
struct ExpressionTypes {
  /// What each name holds.
  let scope: [String: StaticType]
  private(set) var problems: [Expression.Problem] = []

  init(scope: [String: StaticType]) { self.scope = scope }

  @discardableResult
  mutating func check(_ node: ExpressionNode) -> StaticType {
    switch node {
    case .literal(let value): return StaticType(of: value)
    case .name(let name, let at):
      if let type = scope[name] { return type }
      let close = nearest(to: name, in: scope.keys.sorted())
      report(
        at, .unknownName, "there is no variable `\(name)`",
        close.map { "did you mean `\($0)`? Put text in quotes" }
          ?? "declare it under `variables`, or put text in quotes")
      return .any
    case .member(let base, let name, let at):
      let type = check(base)
      if type != .any, type != .map, type != .null {
        report(at, .typeMismatch, "`.\(name)` asks \(type.description) for a member")
      }
      return .any
    case .index(let base, let key, let at):
      let type = check(base)
      check(key)
      if type == .bool || type == .number { report(at, .typeMismatch, "`[]` asks \(type.description) for an element") }
      return type == .string ? .string : .any
    case .list(let items):
      for item in items { check(item) }
      return .list
    case .map(let pairs):
      for pair in pairs { check(pair.value) }
      return .map
    case .negate(let operand, let at):
      require(operand, .number, at, "`-`")
      return .number
    case .not(let operand, let at):
      condition(operand, at, "`not`")
      return .bool
    case .matches(let text, _, let at):
      require(text, .string, at, "`matches`")
      return .bool
    case .binary(let op, let left, let right, let at): return binary(op, left, right, at)
    case .conditional(let test, let a, let b, let at):
      condition(test, at, "`choose`")
      let types = (check(a), check(b))
      return types.0 == types.1 ? types.0 : .any
    case .call(let function, let arguments, let at):
      let signature = function.signature
      for (i, argument) in arguments.enumerated() {
        let wanted = signature.parameters[Swift.min(i, signature.parameters.count - 1)]
        require(argument, wanted, at, "`\(function.rawValue)`")
      }
      return signature.result
    }
  }

  /// The expression as a condition: it must be true or false.
  mutating func checkCondition(_ expression: Expression) {
    let type = check(expression.root)
    if type != .any, type != .bool, type != .null {
      report(
        0, .typeMismatch, "a condition must be true or false, but this is \(type.description)",
        "compare it with something")
    }
  }

  private mutating func binary(
    _ op: BinaryOperator, _ left: ExpressionNode, _ right: ExpressionNode, _ at: Int
  ) -> StaticType {
    let sign = "`\(op.rawValue)`"
    switch op {
    case .or, .and:
      condition(left, at, sign)
      condition(right, at, sign)
      return .bool
    case .equal, .notEqual:
      let a = check(left), b = check(right)
      if a != .null, b != .null, !a.fits(b) {
        report(at, .typeMismatch, "\(sign) compares \(a.description) with \(b.description), which are never equal")
      }
      return .bool
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      let a = check(left), b = check(right)
      for type in [a, b] where type != .any && type != .number && type != .string {
        report(at, .typeMismatch, "\(sign) cannot order \(type.description)")
        return .bool
      }
      if !a.fits(b) {
        report(
          at, .typeMismatch, "\(sign) compares \(a.description) with \(b.description)", "convert with int() or string()"
        )
      }
      return .bool
    case .isIn, .isNotIn:
      check(left)
      let container = check(right)
      if container == .bool || container == .number {
        report(at, .typeMismatch, "\(sign) looks into \(container.description)")
      }
      return .bool
    case .contains:
      let container = check(left)
      let item = check(right)
      if container == .bool || container == .number {
        report(at, .typeMismatch, "\(sign) looks into \(container.description)")
      } else if container == .string, !item.fits(.string) {
        report(at, .typeMismatch, "\(sign) looks for \(item.description) in text", "convert with string()")
      }
      return .bool
    case .startswith, .endswith, .matches:
      require(left, .string, at, sign)
      require(right, .string, at, sign)
      return .bool
    case .add:
      let a = check(left), b = check(right)
      for type in [a, b] where type == .bool || type == .map || type == .null {
        report(at, .typeMismatch, "`+` cannot add \(type.description)")
        return .any
      }
      if !a.fits(b) {
        report(
          at, .typeMismatch, "`+` adds \(a.description) and \(b.description)",
          "convert with string(), or write it as a text with {{ }}")
      }
      return a == .any ? b : a
    case .subtract, .multiply, .divide, .remainder:
      require(left, .number, at, sign)
      require(right, .number, at, sign)
      return .number
    }
  }

  private mutating func condition(_ node: ExpressionNode, _ at: Int, _ place: String) {
    let type = check(node)
    if type != .any, type != .bool, type != .null {
      report(
        at, .typeMismatch, "\(place) needs true or false, but gets \(type.description)", "compare it with something")
    }
  }

  private mutating func require(_ node: ExpressionNode, _ wanted: StaticType, _ at: Int, _ place: String) {
    let type = check(node)
    if !type.fits(wanted) {
      report(at, .typeMismatch, "\(place) needs \(wanted.description), but gets \(type.description)")
    }
  }

  private mutating func report(_ at: Int, _ code: DialogCode, _ message: String, _ hint: String = "") {
    problems.append(Expression.Problem(offset: at, code: code, message: message, hint: hint))
  }
}
