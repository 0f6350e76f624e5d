import Base

/// Why an expression has no value at run time: a sentence for the author.
public struct EvaluationError: Error, Hashable, Sendable {
  public var message: String
  init(_ message: String) { self.message = message }
}

/// Computes expressions and templates within bounds: so many steps, so much output. Reads no clock: `now()` is handed in.
struct Evaluation {
  /// By the places that the plan gives to names; a name that is missing is an error, because the checker lets none through.
  let values: [Value]
  let slots: [String: Int]
  let wallMs: Int64

  /// About ten milliseconds of work, counted instead of measured so that a replay gives the same.
  static let stepLimit = 1_000_000
  /// Of any text that comes into being.
  static let outputLimit = 64 * 1_024
  /// Of any list or map that comes into being: bytes and members together, and levels. Without it `x: "[x, x]"` in a loop
  /// would double until the memory is full.
  static let dataLimit = 256 * 1_024
  static let dataDepth = 32
  private var steps = Self.stepLimit

  init(values: [Value], plan: DialogPlan, wallMs: Int64) {
    self.values = values
    slots = plan.slots
    self.wallMs = wallMs
  }

  init(variables: [String: Value], wallMs: Int64) {
    values = Array(variables.values)
    slots = Dictionary(variables.keys.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    self.wallMs = wallMs
  }

  mutating func value(of expression: Expression) throws(EvaluationError) -> Value { try evaluate(expression.root) }

  /// A condition: null counts as false.
  mutating func isTrue(_ expression: Expression) throws(EvaluationError) -> Bool {
    try truth(evaluate(expression.root), of: "a condition")
  }

  /// - Parameter isMarkup: the text around is XML, in which no value may become a tag.
  mutating func text(of template: Template, isMarkup: Bool = false) throws(EvaluationError) -> String {
    var out = ""
    for part in template.parts {
      switch part {
      case .text(let text): out += text
      case .expression(let expression):
        let text = Self.text(try evaluate(expression.root))
        out += isMarkup ? Self.escaped(text) : text
      }
      guard out.utf8.count <= Self.outputLimit else { throw EvaluationError("a text grew over 64 KiB") }
    }
    return out
  }

  mutating func value(of source: ValueSource) throws(EvaluationError) -> Value {
    switch source {
    case .constant(let value): return value
    case .expression(let expression): return try evaluate(expression.root)
    case .template(let template):
      if let sole = template.soleExpression { return try evaluate(sole.root) }
      return .string(try text(of: template))
    case .list(let items):
      var values: [Value] = []
      for item in items { values.append(try value(of: item)) }
      return try bounded(.list(values))
    case .map(let pairs):
      var map: [String: Value] = [:]
      for pair in pairs { map[pair.key] = try value(of: pair.value) }
      return try bounded(.map(map))
    }
  }

  /// A value as a voice or a person reads it: whole numbers without a fraction, nothing for null.
  static func text(_ value: Value) -> String {
    switch value {
    case .null: ""
    case .bool(let b): b ? "true" : "false"
    case .int(let i): String(i)
    case .double(let d): Int64(exactly: d).map(String.init) ?? "\(d)"
    case .string(let s): s
    case .list, .map: JSON.encode(value)
    }
  }

  /// Text for the inside of XML elements and attributes.
  static func escaped(_ text: String) -> String {
    var out = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&apos;"
      default: out.unicodeScalars.append(character)
      }
    }
    return out
  }

  // MARK: Trees

  private mutating func evaluate(_ node: ExpressionNode) throws(EvaluationError) -> Value {
    try spend(1)
    switch node {
    case .literal(let value): return value
    case .name(let name, _):
      guard let slot = slots[name], slot < values.count else {
        throw EvaluationError("there is no variable `\(name)`")
      }
      return values[slot]
    case .member(let base, let name, _):
      switch try evaluate(base) {
      case .map(let map): return map[name] ?? .null
      case .null: return .null
      case let other: throw EvaluationError("`.\(name)` asks \(StaticType(of: other).description) for a member")
      }
    case .index(let base, let key, _): return try element(of: evaluate(base), at: evaluate(key))
    case .list(let items):
      var values: [Value] = []
      for item in items { values.append(try evaluate(item)) }
      return try bounded(.list(values))
    case .map(let pairs):
      var map: [String: Value] = [:]
      for pair in pairs { map[pair.key] = try evaluate(pair.value) }
      return try bounded(.map(map))
    case .negate(let operand, _):
      switch try evaluate(operand) {
      case .int(let i):
        let (result, overflow) = Int64(0).subtractingReportingOverflow(i)
        guard !overflow else { throw EvaluationError("a number is too large") }
        return .int(result)
      case .double(let d): return .double(-d)
      case let other: throw EvaluationError("`-` needs a number, but gets \(StaticType(of: other).description)")
      }
    case .not(let operand, _): return .bool(!(try truth(evaluate(operand), of: "`not`")))
    case .matches(let operand, let pattern, _):
      let text = try evaluate(operand)
      guard text != .null else { return false }
      return .bool(try occurs(pattern, in: string(text, of: "`matches`")))
    case .binary(.and, let left, let right, _):
      guard try truth(evaluate(left), of: "`and`") else { return false }
      return .bool(try truth(evaluate(right), of: "`and`"))
    case .binary(.or, let left, let right, _):
      if try truth(evaluate(left), of: "`or`") { return true }
      return .bool(try truth(evaluate(right), of: "`or`"))
    case .binary(let op, let left, let right, _): return try binary(op, evaluate(left), evaluate(right))
    case .conditional(let condition, let a, let b, _):
      return try evaluate(try truth(evaluate(condition), of: "`choose`") ? a : b)
    case .call(let function, let arguments, _):
      var values: [Value] = []
      for argument in arguments { values.append(try evaluate(argument)) }
      return try call(function, values)
    }
  }

  private mutating func spend(_ count: Int) throws(EvaluationError) {
    steps -= count
    guard steps > 0 else { throw EvaluationError("an expression takes too long") }
  }

  private func truth(_ value: Value, of place: String) throws(EvaluationError) -> Bool {
    switch value {
    case .bool(let b): return b
    case .null: return false
    default:
      throw EvaluationError("\(place) needs true or false, but gets \(StaticType(of: value).description)")
    }
  }

  func string(_ value: Value, of place: String) throws(EvaluationError) -> String {
    switch value {
    case .string(let s): return s
    // A hook that answers without a field must not break the condition that asks for it.
    case .null: return ""
    default: throw EvaluationError("\(place) needs text, but gets \(StaticType(of: value).description)")
    }
  }

  private func element(of base: Value, at key: Value) throws(EvaluationError) -> Value {
    switch (base, key) {
    case (.null, _): return .null
    case (.map(let map), .string(let name)): return map[name] ?? .null
    case (.list(let items), _):
      guard let index = key.intValue else { throw EvaluationError("a list is asked by number") }
      let at = index < 0 ? Int64(items.count) + index : index
      return at >= 0 && at < Int64(items.count) ? items[Int(at)] : .null
    case (.string(let text), _):
      guard let index = key.intValue else { throw EvaluationError("a text is asked by number") }
      let characters = Array(text)
      let at = index < 0 ? Int64(characters.count) + index : index
      return at >= 0 && at < Int64(characters.count) ? .string(String(characters[Int(at)])) : .null
    default: throw EvaluationError("`[]` asks \(StaticType(of: base).description) for an element")
    }
  }

  mutating func occurs(_ pattern: RegexPattern, in text: String) throws(EvaluationError) -> Bool {
    guard let result = pattern.occurs(in: text, steps: &steps) else {
      throw EvaluationError("a regular expression takes too long")
    }
    return result
  }

  mutating func firstMatch(_ pattern: RegexPattern, in text: String) throws(EvaluationError) -> [String?]? {
    let scalars = Array(text.unicodeScalars)
    switch pattern.firstMatch(in: scalars, steps: &steps) {
    case .exhausted: throw EvaluationError("a regular expression takes too long")
    case .none: return nil
    case .found(let groups):
      return groups.map { range in
        range.map {
          var text = ""
          text.unicodeScalars.append(contentsOf: scalars[$0])
          return text
        }
      }
    }
  }

  func regex(_ source: String) throws(EvaluationError) -> RegexPattern {
    do {
      return try RegexPattern(source, isForOnce: true)
    } catch {
      throw EvaluationError("the regular expression `\(source)` is not valid: \(error.message)")
    }
  }

  func bounded(_ text: String) throws(EvaluationError) -> Value {
    guard text.utf8.count <= Self.outputLimit else { throw EvaluationError("a text grew over 64 KiB") }
    return .string(text)
  }

  func bounded(_ data: Value) throws(EvaluationError) -> Value {
    guard data.fits(size: Self.dataLimit, depth: Self.dataDepth) else {
      throw EvaluationError("a list or map grew over 256 KiB or 32 levels")
    }
    return data
  }

  // MARK: Operators

  private mutating func binary(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(EvaluationError) -> Value {
    switch op {
    case .equal: return .bool(Self.areEqual(a, b))
    case .notEqual: return .bool(!Self.areEqual(a, b))
    case .less, .lessOrEqual, .greater, .greaterOrEqual: return .bool(try order(op, a, b))
    case .isIn: return .bool(try holds(b, a, "`in`"))
    case .isNotIn: return .bool(!(try holds(b, a, "`not in`")))
    case .contains: return .bool(try holds(a, b, "`contains`"))
    case .startswith, .endswith, .matches:
      let text = try string(a, of: "`\(op.rawValue)`"), part = try string(b, of: "`\(op.rawValue)`")
      // What is not there begins and ends with nothing, and nothing is found in it: a hook that answers without a field
      // must not make a condition true.
      guard a != .null, b != .null else { return false }
      switch op {
      case .matches: return .bool(try occurs(regex(part), in: text))
      case .startswith: return .bool(Self.text(text, holds: part, .start))
      default: return .bool(Self.text(text, holds: part, .end))
      }
    case .add:
      switch (a, b) {
      case (.string(let x), .string(let y)): return try bounded(x + y)
      case (.list(let x), .list(let y)):
        guard x.count + y.count <= 10_000 else { throw EvaluationError("a list grew over 10000 elements") }
        return try bounded(.list(x + y))
      default: return try arithmetic(op, a, b)
      }
    case .subtract, .multiply, .divide, .remainder: return try arithmetic(op, a, b)
    case .and, .or: return .null  // Evaluated before their operands are.
    }
  }

  /// Numbers by their value, also inside lists and maps; integers without the way through a double.
  static func areEqual(_ a: Value, _ b: Value) -> Bool {
    switch (a, b) {
    case (.int(let i), .double(let d)), (.double(let d), .int(let i)): Int64(exactly: d) == i
    case (.list(let x), .list(let y)): x.count == y.count && zip(x, y).allSatisfy { areEqual($0, $1) }
    case (.map(let x), .map(let y)):
      x.count == y.count && x.allSatisfy { key, value in y[key].map { areEqual(value, $0) } ?? false }
    default: a == b
    }
  }

  /// Whether number `a` is less than number `b`; nil where one is none.
  static func isLess(_ a: Value, _ b: Value) -> Bool? {
    if case .int(let x) = a, case .int(let y) = b { return x < y }
    guard let x = a.doubleValue, let y = b.doubleValue else { return nil }
    if x != y { return x < y }
    // Equal only after an integer was rounded: the integers tell, and what is no Int64 is 2^63.
    return switch (a, b) {
    case (.int(let i), .double(let d)): Int64(exactly: d).map { i < $0 } ?? true
    case (.double(let d), .int(let i)): Int64(exactly: d).map { $0 < i } ?? false
    default: false
    }
  }

  private func order(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(EvaluationError) -> Bool {
    // Nothing is neither more nor less than anything.
    if a == .null || b == .null { return false }
    let isLess: Bool
    let isEqual: Bool
    if let less = Self.isLess(a, b) {
      (isLess, isEqual) = (less, Self.areEqual(a, b))
    } else if case .string(let x) = a, case .string(let y) = b {
      (isLess, isEqual) = (x < y, x == y)
    } else {
      throw EvaluationError(
        "`\(op.rawValue)` compares \(StaticType(of: a).description) with \(StaticType(of: b).description)")
    }
    switch op {
    case .less: return isLess
    case .lessOrEqual: return isLess || isEqual
    case .greater: return !isLess && !isEqual
    default: return !isLess
    }
  }

  private mutating func holds(_ container: Value, _ item: Value, _ place: String) throws(EvaluationError) -> Bool {
    switch container {
    case .null: return false
    case .list(let items):
      try spend(items.count)
      return items.contains { Self.areEqual($0, item) }
    case .map(let map):
      let key = try string(item, of: place)
      return item != .null && map[key] != nil
    case .string(let text):
      let wanted = try string(item, of: place)
      guard item != .null else { return false }
      try spend(text.utf8.count / 8)
      return Self.text(text, holds: wanted, .anywhere)
    default: throw EvaluationError("\(place) looks into \(StaticType(of: container).description)")
    }
  }

  private enum Where { case start, end, anywhere }

  /// Compares without case.
  private static func text(_ text: String, holds wanted: String, _ place: Where) -> Bool {
    if let quick = textOfASCII(text, holds: wanted, place) { return quick }
    let text = text.lowercased(), wanted = wanted.lowercased()
    return switch place {
    case .start: text.hasPrefix(wanted)
    case .end: text.hasSuffix(wanted)
    case .anywhere: find(Array(wanted.utf8), in: Array(text.utf8))
    }
  }

  /// The same for ASCII, without making new texts; nil for others.
  private static func textOfASCII(_ text: String, holds wanted: String, _ place: Where) -> Bool? {
    text.utf8.withContiguousStorageIfAvailable { text in
      wanted.utf8.withContiguousStorageIfAvailable { wanted -> Bool? in
        guard text.allSatisfy({ $0 < 0x80 }), wanted.allSatisfy({ $0 < 0x80 }) else { return nil }
        guard wanted.count <= text.count else { return false }
        func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
        func fits(at start: Int) -> Bool {
          for i in 0..<wanted.count where folded(text[start + i]) != folded(wanted[i]) { return false }
          return true
        }
        let last = text.count - wanted.count
        switch place {
        case .start: return fits(at: 0)
        case .end: return fits(at: last)
        case .anywhere: return (0...last).contains { fits(at: $0) }
        }
      }
    }.flatMap(\.self)?.flatMap(\.self)
  }

  private static func find(_ needle: [UInt8], in text: [UInt8]) -> Bool {
    guard let first = needle.first else { return true }
    guard needle.count <= text.count else { return false }
    return (0...(text.count - needle.count)).contains { start in
      text[start] == first && text[start..<(start + needle.count)].elementsEqual(needle)
    }
  }

  private func arithmetic(_ op: BinaryOperator, _ a: Value, _ b: Value) throws(EvaluationError) -> Value {
    if case .int(let x) = a, case .int(let y) = b {
      let (result, overflow): (Int64, Bool)
      switch op {
      case .add: (result, overflow) = x.addingReportingOverflow(y)
      case .subtract: (result, overflow) = x.subtractingReportingOverflow(y)
      case .multiply: (result, overflow) = x.multipliedReportingOverflow(by: y)
      default:
        guard y != 0 else { throw EvaluationError("division by zero") }
        let (remainder, remainderOverflow) = x.remainderReportingOverflow(dividingBy: y)
        if op == .divide, remainder != 0 { return .double(Double(x) / Double(y)) }
        if op == .remainder {
          (result, overflow) = (remainder, remainderOverflow)
        } else {
          (result, overflow) = x.dividedReportingOverflow(by: y)
        }
      }
      guard !overflow else { throw EvaluationError("a number is too large") }
      return .int(result)
    }
    guard let x = a.doubleValue, let y = b.doubleValue else {
      let odd = a.doubleValue == nil ? a : b
      throw EvaluationError("`\(op.rawValue)` needs numbers, but gets \(StaticType(of: odd).description)")
    }
    let result: Double
    switch op {
    case .add: result = x + y
    case .subtract: result = x - y
    case .multiply: result = x * y
    case .divide:
      guard y != 0 else { throw EvaluationError("division by zero") }
      result = x / y
    default:
      guard y != 0 else { throw EvaluationError("division by zero") }
      result = x.truncatingRemainder(dividingBy: y)
    }
    guard result.isFinite else { throw EvaluationError("a number is too large") }
    return .double(result)
  }
}

extension Template {
  /// Its text where there is nothing to evaluate.
  var constant: String? {
    guard let first = parts.first else { return "" }
    if parts.count == 1, case .text(let text) = first { return text }
    return nil
  }
}
