import Base

/// Writes the parts of a kept state one behind the other: numbers in seven-bit groups, bytes behind their count.
struct StateWriter {
  private(set) var bytes: [UInt8] = []

  init(version: UInt8) { bytes.append(version) }

  mutating func write(_ number: UInt64) {
    var left = number
    while left >= 0x80 {
      bytes.append(UInt8(left & 0x7f) | 0x80)
      left >>= 7
    }
    bytes.append(UInt8(left))
  }

  mutating func write(_ part: some Collection<UInt8>) {
    write(UInt64(part.count))
    bytes.append(contentsOf: part)
  }

  mutating func write(_ text: String) { write(text.utf8) }
}

/// Why kept bytes are of no use.
struct StateDamage: Error, CustomStringConvertible {
  var description: String
}

/// Reads what ``StateWriter`` wrote; every count is checked against what is there.
struct StateReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8], version: UInt8) throws(StateDamage) {
    guard let first = bytes.first else { throw StateDamage(description: "the state is empty") }
    guard first == version else {
      throw StateDamage(description: "the state is of version \(first), and this process reads version \(version)")
    }
    rest = bytes.dropFirst()
  }

  mutating func number() throws(StateDamage) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 63, by: 7) {
      guard let byte = rest.popFirst() else { break }
      value |= UInt64(byte & 0x7f) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    throw StateDamage(description: "the state is damaged: a number does not end")
  }

  mutating func part() throws(StateDamage) -> [UInt8] {
    let count = try number()
    guard count <= UInt64(rest.count) else {
      throw StateDamage(description: "the state is damaged: it is shorter than it says")
    }
    defer { rest = rest.dropFirst(Int(count)) }
    return Array(rest.prefix(Int(count)))
  }

  mutating func text() throws(StateDamage) -> String { String(decoding: try part(), as: UTF8.self) }

  /// A count of things that follow, each of at least a byte.
  mutating func count() throws(StateDamage) -> Int {
    let count = try number()
    guard count <= UInt64(rest.count) else {
      throw StateDamage(description: "the state is damaged: it is shorter than it says")
    }
    return Int(count)
  }
}
