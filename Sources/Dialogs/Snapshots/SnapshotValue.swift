import Base

/// Why a snapshot cannot be taken up again.
public struct SnapshotError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which part of it does not fit, such as `frames[0].runs[1].next`; empty for the whole.
  public var path: String
  /// A sentence.
  public var message: String
  public var description: String { path.isEmpty ? message : "`\(path)`: \(message)" }
}

/// Writes what differs from the usual: snapshots are taken after every input, so they are small.
package struct SnapshotWriter {
  package private(set) var members: [String: Value] = [:]
  package var value: Value { .map(members) }

  package init() {}

  package mutating func put(_ key: String, _ value: Value?) { if let value { members[key] = value } }
  package mutating func put(_ key: String, _ text: String) { if !text.isEmpty { members[key] = .string(text) } }
  package mutating func put(_ key: String, _ flag: Bool) { if flag { members[key] = true } }
  package mutating func put(_ key: String, _ number: Int) { if number != 0 { members[key] = .int(Int64(number)) } }
  package mutating func put(_ key: String, _ number: UInt32) { put(key, Int(number)) }
  package mutating func put(_ key: String, _ instant: Instant?) { put(key, instant.map { .int($0.nanoseconds) }) }
  package mutating func put(_ key: String, _ duration: Duration?) { put(key, duration.map { .int($0.nanoseconds) }) }
  package mutating func put(_ key: String, _ items: [Value]) { if !items.isEmpty { members[key] = .list(items) } }
}

/// Reads a map of a snapshot. What is absent is as usual; what is there has to be of the right kind.
package struct SnapshotReader {
  let path: String
  private let members: [String: Value]
  /// Added to every instant: the clock of another process starts elsewhere.
  let shift: Int64
  /// Seventy years: no sum of such instants and a few durations overflows.
  private static let farthest: UInt64 = 1 << 61

  package init(_ value: Value?, at path: String, shift: Int64) throws(SnapshotError) {
    guard case .map(let members)? = value else {
      throw SnapshotError(path: path, message: "a map is expected")
    }
    self.path = path
    self.members = members
    self.shift = shift
  }

  package func place(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  package func problem(_ key: String, _ message: String) -> SnapshotError {
    SnapshotError(path: place(key), message: message)
  }

  package func has(_ key: String) -> Bool { members[key] != nil }

  package func value(_ key: String) -> Value? { members[key] }

  package func text(_ key: String) throws(SnapshotError) -> String { try optionalText(key) ?? "" }

  package func optionalText(_ key: String) throws(SnapshotError) -> String? {
    guard let value = members[key] else { return nil }
    guard case .string(let text) = value else { throw problem(key, "text is expected") }
    return text
  }

  package func flag(_ key: String) throws(SnapshotError) -> Bool {
    guard let value = members[key] else { return false }
    guard case .bool(let flag) = value else { throw problem(key, "true or false is expected") }
    return flag
  }

  package func optionalInt(_ key: String) throws(SnapshotError) -> Int64? {
    guard let value = members[key] else { return nil }
    guard case .int(let number) = value else { throw problem(key, "a whole number is expected") }
    return number
  }

  package func int(_ key: String, in range: ClosedRange<Int> = 0...1_000_000) throws(SnapshotError) -> Int {
    let number = try optionalInt(key) ?? 0
    guard let int = Int(exactly: number), range.contains(int) else {
      throw problem(key, "\(number) is not within \(range.lowerBound) and \(range.upperBound)")
    }
    return int
  }

  package func number(_ key: String) throws(SnapshotError) -> UInt32 {
    guard let number = UInt32(exactly: try optionalInt(key) ?? 0) else { throw problem(key, "it is too large") }
    return number
  }

  package func instant(_ key: String) throws(SnapshotError) -> Instant? {
    guard let number = try optionalInt(key) else { return nil }
    guard number.magnitude <= Self.farthest else { throw problem(key, "\(number) is out of reach") }
    return Instant(nanoseconds: number &+ shift)
  }

  /// A time or a count, of any unit, from nothing to what sums of a few of them still hold.
  package func amount(_ key: String) throws(SnapshotError) -> Int64? {
    guard let number = try optionalInt(key) else { return nil }
    guard number >= 0, number.magnitude <= Self.farthest else { throw problem(key, "\(number) is out of reach") }
    return number
  }

  package func duration(_ key: String) throws(SnapshotError) -> Duration? {
    try optionalInt(key).map { .nanoseconds($0) }
  }

  package func list(_ key: String, limit: Int = 1_000) throws(SnapshotError) -> [Value] {
    guard let value = members[key] else { return [] }
    guard case .list(let items) = value, items.count <= limit else {
      throw problem(key, "a list of at most \(limit) is expected")
    }
    return items
  }

  package func map(_ key: String) throws(SnapshotError) -> [String: Value] {
    guard let value = members[key] else { return [:] }
    guard case .map(let map) = value else { throw problem(key, "a map is expected") }
    return map
  }

  package func texts(_ key: String) throws(SnapshotError) -> [String] {
    var texts: [String] = []
    for item in try list(key) {
      guard case .string(let text) = item else { throw problem(key, "a list of texts is expected") }
      texts.append(text)
    }
    return texts
  }

  package func reader(_ key: String) throws(SnapshotError) -> SnapshotReader? {
    guard let value = members[key] else { return nil }
    return try SnapshotReader(value, at: place(key), shift: shift)
  }

  package func readers(_ key: String, limit: Int = 1_000) throws(SnapshotError) -> [SnapshotReader] {
    var readers: [SnapshotReader] = []
    for (i, item) in try list(key, limit: limit).enumerated() {
      readers.append(try SnapshotReader(item, at: "\(place(key))[\(i)]", shift: shift))
    }
    return readers
  }
}
