import Base

/// Why a tree has no value.
struct Undefined: Error {}

/// What docs/dialogs/language.md says an expression is worth, written down as plainly as it can be said, and apart from the
/// product.
struct ReferenceEvaluator {
  var variables: [String: Value]
  var wallMs: Int64
  /// Regular expressions by their source: the tests' own matcher needs no parser.
  var patterns: [String: ReferencePattern]

  func value(_ tree: Tree) throws -> Value {
    switch tree {
    case .literal(let value): return value
    case .name(let name):
      guard let value = variables[name] else { throw Undefined() }
      return value
    case .member(let base, let name):
      switch try value(base) {
      case .null: return .null
      case .map(let map): return map[name] ?? .null
      default: throw Undefined()
      }
    case .index(let base, let key): return try element(value(base), value(key))
    case .list(let items): return .list(try items.map { try value($0) })
    case .map(let pairs):
      var map: [String: Value] = [:]
      for pair in pairs { map[pair.key] = try value(pair.value) }
      return .map(map)
    case .negate(let operand):
      switch try value(operand) {
      case .int(let i): return try int(-Int128(i))
      case .double(let d): return .double(-d)
      default: throw Undefined()
      }
    case .not(let operand): return .bool(!(try truth(value(operand))))
    case .binary("and", let a, let b): return .bool(try truth(value(a)) && truth(value(b)))
    case .binary("or", let a, let b): return .bool(try truth(value(a)) || truth(value(b)))
    case .binary(let op, let a, let b):
      // The transcript is lower case, so the author's capital letters in a comparison with it do not count.
      if ["==", "!=", "in", "not in"].contains(op), case .name("transcript") = a {
        return try binary(op, value(a), value(lowered(b)))
      }
      if ["==", "!="].contains(op), case .name("transcript") = b { return try binary(op, value(lowered(a)), value(b)) }
      return try binary(op, value(a), value(b))
    case .call("choose", let arguments, _): return try value(truth(value(arguments[0])) ? arguments[1] : arguments[2])
    case .call(let function, let arguments, _):
      return try call(function, arguments.map { try value($0) })
    }
  }

  private func lowered(_ tree: Tree) -> Tree {
    switch tree {
    case .literal(.string(let text)): .literal(.string(Self.lower(text)))
    case .list(let items): .list(items.map(lowered))
    default: tree
    }
  }

  /// Nothing counts as false.
  func truth(_ value: Value) throws -> Bool {
    switch value {
    case .bool(let b): return b
    case .null: return false
    default: throw Undefined()
    }
  }

  /// Nothing counts as the empty text.
  func text(_ value: Value) throws -> String {
    switch value {
    case .string(let s): return s
    case .null: return ""
    default: throw Undefined()
    }
  }

  func wholeNumber(_ value: Value) throws -> Int64 {
    switch value {
    case .int(let i): return i
    case .double(let d):
      guard let i = Int64(exactly: d) else { throw Undefined() }
      return i
    default: throw Undefined()
    }
  }

  func int(_ exact: Int128) throws -> Value {
    guard let i = Int64(exactly: exact) else { throw Undefined() }
    return .int(i)
  }

  func finite(_ d: Double) throws -> Value {
    guard d.isFinite else { throw Undefined() }
    return .double(d)
  }

  static func lower(_ text: String) -> String {
    text.unicodeScalars.map { $0.properties.lowercaseMapping }.joined()
  }

  static func scalars(_ text: String) -> [Unicode.Scalar] { Array(text.unicodeScalars) }

  private func element(_ base: Value, _ key: Value) throws -> Value {
    func pick<T>(_ items: [T], _ make: (T) -> Value) throws -> Value {
      let index = try wholeNumber(key)
      // From the end where negative; nothing outside.
      if index >= 0 { return index < items.count ? make(items[Int(index)]) : .null }
      return index >= -items.count ? make(items[items.count + Int(index)]) : .null
    }
    switch base {
    case .null: return .null
    case .list(let items): return try pick(items) { $0 }
    case .string(let text): return try pick(Array(text)) { .string(String($0)) }
    case .map(let map):
      guard case .string(let name) = key else { throw Undefined() }
      return map[name] ?? .null
    default: throw Undefined()
    }
  }

  // MARK: Comparing

  /// Less, equal or more; nil for what has no order.
  func order(_ a: Value, _ b: Value) -> Int? {
    switch (a, b) {
    case (.int(let x), .int(let y)): return x < y ? -1 : x == y ? 0 : 1
    case (.double(let x), .double(let y)): return x < y ? -1 : x == y ? 0 : 1
    case (.int(let x), .double(let y)): return Self.order(x, y)
    case (.double(let x), .int(let y)): return -Self.order(y, x)
    case (.string(let x), .string(let y)):
      let (x, y) = (Self.scalars(x), Self.scalars(y))
      return x == y ? 0 : x.lexicographicallyPrecedes(y) ? -1 : 1
    default: return nil
    }
  }

  /// Exactly, without rounding the integer.
  private static func order(_ i: Int64, _ d: Double) -> Int {
    if d >= 9_223_372_036_854_775_808 { return -1 }
    if d < -9_223_372_036_854_775_808 { return 1 }
    let below = Int64(d.rounded(.down))
    if i != below { return i < below ? -1 : 1 }
    return d == d.rounded(.down) ? 0 : -1
  }

  func equal(_ a: Value, _ b: Value) -> Bool {
    switch (a, b) {
    case (.null, .null): return true
    case (.bool(let x), .bool(let y)): return x == y
    case (.list(let x), .list(let y)): return x.count == y.count && zip(x, y).allSatisfy { equal($0, $1) }
    case (.map(let x), .map(let y)):
      return x.count == y.count && x.allSatisfy { key, value in y[key].map { equal(value, $0) } ?? false }
    default: return order(a, b) == 0
    }
  }

  /// In texts without regard to case; elements of lists and keys of maps as they are.
  private func holds(_ container: Value, _ item: Value) throws -> Bool {
    switch container {
    case .null: return false
    case .list(let items): return items.contains { equal($0, item) }
    case .map(let map):
      if item == .null { return false }
      return map[try text(item)] != nil
    case .string(let whole):
      if item == .null { return false }
      let part = Self.scalars(Self.lower(try text(item))), whole = Self.scalars(Self.lower(whole))
      return (0...whole.count).contains { whole[$0...].starts(with: part) }
    default: throw Undefined()
    }
  }

  func binary(_ op: String, _ a: Value, _ b: Value) throws -> Value {
    switch op {
    case "==": return .bool(equal(a, b))
    case "!=": return .bool(!equal(a, b))
    case "<", "<=", ">", ">=":
      // Nothing is neither more nor less than anything.
      if a == .null || b == .null { return false }
      guard let order = order(a, b) else { throw Undefined() }
      return .bool(op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0)
    case "in": return .bool(try holds(b, a))
    case "not in": return .bool(!(try holds(b, a)))
    case "contains": return .bool(try holds(a, b))
    case "startswith", "endswith":
      let whole = Self.scalars(Self.lower(try text(a))), part = Self.scalars(Self.lower(try text(b)))
      if a == .null || b == .null { return false }
      return .bool(op == "startswith" ? whole.starts(with: part) : whole.reversed().starts(with: part.reversed()))
    case "matches": return .bool(try matches(a, b))
    case "+":
      switch (a, b) {
      case (.string(let x), .string(let y)): return .string(x + y)
      case (.list(let x), .list(let y)): return .list(x + y)
      default: break
      }
    default: break
    }
    switch (a, b) {
    case (.int(let x), .int(let y)):
      let (x, y) = (Int128(x), Int128(y))
      switch op {
      case "+": return try int(x + y)
      case "-": return try int(x - y)
      case "*": return try int(x * y)
      default:
        if y == 0 { throw Undefined() }
        if op == "%" { return try int(x % y) }
        return x % y == 0 ? try int(x / y) : .double(Double(x) / Double(y))
      }
    case (.int, .double), (.double, .int), (.double, .double):
      let x = a.doubleValue ?? 0, y = b.doubleValue ?? 0
      switch op {
      case "+": return try finite(x + y)
      case "-": return try finite(x - y)
      case "*": return try finite(x * y)
      default:
        if y == 0 { throw Undefined() }
        return try finite(op == "/" ? x / y : x.truncatingRemainder(dividingBy: y))
      }
    default: throw Undefined()
    }
  }

  func matches(_ a: Value, _ b: Value) throws -> Bool {
    let whole = try text(a), source = try text(b)
    if a == .null || b == .null { return false }
    return try pattern(source).firstMatch(in: whole) != nil
  }

  func pattern(_ source: String) throws -> ReferencePattern {
    guard let pattern = patterns[source] else { throw Undefined() }
    return pattern
  }
}
