/// Plain data: what dialog variables, hook payloads and event fields are made of. The same shapes as JSON, with integers
/// apart from doubles.
public enum Value: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case list([Value])
  case map([String: Value])
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: Value...) { self = .list(elements) }
  public init(dictionaryLiteral elements: (String, Value)...) {
    self = .map(Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }
  public init(nilLiteral: ()) { self = .null }
}

extension Value {
  /// The value under `key`; nil for anything but a map that has it.
  public subscript(key: String) -> Value? {
    if case .map(let map) = self { map[key] } else { nil }
  }

  /// The text of a `string`; nil for every other case.
  public var stringValue: String? { if case .string(let s) = self { s } else { nil } }

  /// The number of an `int`, or of a `double` that is whole.
  public var intValue: Int64? {
    switch self {
    case .int(let i): i
    case .double(let d): Int64(exactly: d)
    default: nil
    }
  }

  /// The number of an `int` or a `double`.
  public var doubleValue: Double? {
    switch self {
    case .int(let i): Double(i)
    case .double(let d): d
    default: nil
    }
  }

  public var boolValue: Bool? { if case .bool(let b) = self { b } else { nil } }
}
