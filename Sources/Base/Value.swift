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

  /// Whether it is at most `depth` levels deep and its texts, keys and members come to at most `size` bytes and members
  /// together. Never looks further than that: a few short assignments can build what would take years to walk through.
  public func fits(size: Int, depth: Int) -> Bool {
    var left = size
    return fits(&left, depth)
  }

  private func fits(_ left: inout Int, _ depth: Int) -> Bool {
    left -= 1
    guard left >= 0, depth >= 0 else { return false }
    switch self {
    case .null, .bool, .int, .double: return true
    case .string(let text):
      left -= text.utf8.count
      return left >= 0
    case .list(let items):
      guard depth > 0 else { return items.isEmpty }
      for item in items { guard item.fits(&left, depth - 1) else { return false } }
      return true
    case .map(let map):
      guard depth > 0 else { return map.isEmpty }
      for (key, value) in map {
        left -= key.utf8.count
        guard value.fits(&left, depth - 1) else { return false }
      }
      return true
    }
  }
}
