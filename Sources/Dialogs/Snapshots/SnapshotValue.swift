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
struct SnapshotWriter {
  private(set) var members: [String: Value] = [:]
  var value: Value { .map(members) }

  mutating func put(_ key: String, _ value: Value?) { if let value { members[key] = value } }
  mutating func put(_ key: String, _ text: String) { if !text.isEmpty { members[key] = .string(text) } }
  mutating func put(_ key: String, _ flag: Bool) { if flag { members[key] = true } }
  mutating func put(_ key: String, _ number: Int) { if number != 0 { members[key] = .int(Int64(number)) } }
  mutating func put(_ key: String, _ number: UInt32) { put(key, Int(number)) }
  mutating func put(_ key: String, _ instant: Instant?) { put(key, instant.map { .int($0.nanoseconds) }) }
  mutating func put(_ key: String, _ duration: Duration?) { put(key, duration.map { .int($0.nanoseconds) }) }
  mutating func put(_ key: String, _ items: [Value]) { if !items.isEmpty { members[key] = .list(items) } }
}

/// Reads a map of a snapshot. What is absent is as usual; what is there has to be of the right kind.
struct SnapshotReader {
  let path: String
  private let members: [String: Value]
  /// Added to every instant: the clock of another process starts elsewhere.
  let shift: Int64

  init(_ value: Value?, at path: String, shift: Int64) throws(SnapshotError) {
    guard case .map(let members)? = value else {
      throw SnapshotError(path: path, message: "a map is expected")
    }
    self.path = path
    self.members = members
    self.shift = shift
  }

  func place(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  func problem(_ key: String, _ message: String) -> SnapshotError { SnapshotError(path: place(key), message: message) }

  func has(_ key: String) -> Bool { members[key] != nil }

  func value(_ key: String) -> Value? { members[key] }

  func text(_ key: String) throws(SnapshotError) -> String { try optionalText(key) ?? "" }

  func optionalText(_ key: String) throws(SnapshotError) -> String? {
    guard let value = members[key] else { return nil }
    guard case .string(let text) = value else { throw problem(key, "text is expected") }
    return text
  }

  func flag(_ key: String) throws(SnapshotError) -> Bool {
    guard let value = members[key] else { return false }
    guard case .bool(let flag) = value else { throw problem(key, "true or false is expected") }
    return flag
  }

  func optionalInt(_ key: String) throws(SnapshotError) -> Int64? {
    guard let value = members[key] else { return nil }
    guard case .int(let number) = value else { throw problem(key, "a whole number is expected") }
    return number
  }

  func int(_ key: String, in range: ClosedRange<Int> = 0...1_000_000) throws(SnapshotError) -> Int {
    let number = try optionalInt(key) ?? 0
    guard let int = Int(exactly: number), range.contains(int) else {
      throw problem(key, "\(number) is not within \(range.lowerBound) and \(range.upperBound)")
    }
    return int
  }

  func number(_ key: String) throws(SnapshotError) -> UInt32 {
    guard let number = UInt32(exactly: try optionalInt(key) ?? 0) else { throw problem(key, "it is too large") }
    return number
  }

  func instant(_ key: String) throws(SnapshotError) -> Instant? {
    try optionalInt(key).map { Instant(nanoseconds: $0 &+ shift) }
  }

  func duration(_ key: String) throws(SnapshotError) -> Duration? { try optionalInt(key).map { .nanoseconds($0) } }

  func list(_ key: String, limit: Int = 1_000) throws(SnapshotError) -> [Value] {
    guard let value = members[key] else { return [] }
    guard case .list(let items) = value, items.count <= limit else {
      throw problem(key, "a list of at most \(limit) is expected")
    }
    return items
  }

  func map(_ key: String) throws(SnapshotError) -> [String: Value] {
    guard let value = members[key] else { return [:] }
    guard case .map(let map) = value else { throw problem(key, "a map is expected") }
    return map
  }

  func texts(_ key: String) throws(SnapshotError) -> [String] {
    var texts: [String] = []
    for item in try list(key) {
      guard case .string(let text) = item else { throw problem(key, "a list of texts is expected") }
      texts.append(text)
    }
    return texts
  }

  func reader(_ key: String) throws(SnapshotError) -> SnapshotReader? {
    guard let value = members[key] else { return nil }
    return try SnapshotReader(value, at: place(key), shift: shift)
  }

  func readers(_ key: String, limit: Int = 1_000) throws(SnapshotError) -> [SnapshotReader] {
    var readers: [SnapshotReader] = []
    for (i, item) in try list(key, limit: limit).enumerated() {
      readers.append(try SnapshotReader(item, at: "\(place(key))[\(i)]", shift: shift))
    }
    return readers
  }
}
