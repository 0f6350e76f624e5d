/// Reads the members of a map that another process has written, strictly: what is missing, of another kind, too long or
/// out of range is an error that names it. Members that it does not know are left alone: a later version may add some.
public struct ValueFields: Sendable {
  /// What does not fit, in one sentence.
  public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
  }

  private let map: [String: Value]
  private let name: String

  /// - Parameter name: what errors call the map.
  public init(_ value: Value?, _ name: String) throws(Fault) {
    guard case .map(let map) = value else { throw Fault("\(name) is no map") }
    self.map = map
    self.name = name
  }

  /// Whether there is a member of that name that is not null.
  public func has(_ key: String) -> Bool { map[key, default: .null] != .null }

  /// - Parameter limit: bytes of UTF-8.
  public func text(_ key: String, limit: Int) throws(Fault) -> String {
    guard case .string(let text) = map[key] else { throw fault(key, "is no text") }
    guard text.utf8.count <= limit else { throw fault(key, "is longer than \(limit) bytes") }
    return text
  }

  /// nil where there is none.
  public func optionalText(_ key: String, limit: Int) throws(Fault) -> String? {
    has(key) ? try text(key, limit: limit) : nil
  }

  /// A text that names a case.
  public func choice<Choice: RawRepresentable<String>>(_ key: String, _: Choice.Type) throws(Fault) -> Choice {
    guard let choice = Choice(rawValue: try text(key, limit: 64)) else {
      throw fault(key, "is none of the known words")
    }
    return choice
  }

  public func number<Number: FixedWidthInteger>(
    _ key: String, in range: ClosedRange<Number>
  ) throws(Fault) -> Number {
    guard case .int(let number) = map[key] else { throw fault(key, "is no whole number") }
    guard let fitting = Number(exactly: number), range.contains(fitting) else {
      throw fault(key, "is not within \(range.lowerBound) to \(range.upperBound)")
    }
    return fitting
  }

  public func flag(_ key: String) throws(Fault) -> Bool {
    guard case .bool(let flag) = map[key] else { throw fault(key, "is neither true nor false") }
    return flag
  }

  /// - Parameter limit: of elements.
  public func list<Element>(
    _ key: String, limit: Int, _ read: (Value) throws(Fault) -> Element
  ) throws(Fault) -> [Element] {
    guard case .list(let items) = map[key] else { throw fault(key, "is no list") }
    guard items.count <= limit else { throw fault(key, "has more than \(limit) elements") }
    var out: [Element] = []
    out.reserveCapacity(items.count)
    for item in items { out.append(try read(item)) }
    return out
  }

  /// A list of texts of at most `bytes` each.
  public func texts(_ key: String, limit: Int, bytes: Int) throws(Fault) -> [String] {
    try list(key, limit: limit) { (item) throws(Fault) in
      guard case .string(let text) = item, text.utf8.count <= bytes else {
        throw fault(key, "has an element that is no text of at most \(bytes) bytes")
      }
      return text
    }
  }

  /// A map within.
  public func fields(_ key: String) throws(Fault) -> ValueFields { try ValueFields(map[key], "\(name).\(key)") }

  /// That the member `v` is the version that the reader knows.
  public func expect(version: Int64) throws(Fault) {
    let found: Int64 = try number("v", in: 0...Int64.max)
    guard found == version else { throw fault("v", "is \(found); this program reads version \(version)") }
  }

  private func fault(_ key: String, _ what: String) -> Fault { Fault("\(name).\(key) \(what)") }
}
