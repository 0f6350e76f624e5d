/// Reads server-sent events (HTML, section 9.2): bytes in, the `data` of each whole event out. Names, ids, comments and retry
/// times carry nothing that we use.
public struct EventStreamReader: Sendable {
  /// A line, or an event of several lines, is larger than the limit.
  public struct TooLarge: Error, Equatable, Sendable {}

  private let limit: Int
  private var line: [UInt8] = []
  private var lastWasReturn = false
  private var data: [UInt8] = []
  private var hasData = false

  /// - Parameter limit: bytes of one event.
  public init(limit: Int) { self.limit = limit }

  /// Takes the next bytes; the events that end in them.
  public mutating func add(_ bytes: some Sequence<UInt8>) throws(TooLarge) -> [[UInt8]] {
    var events: [[UInt8]] = []
    for byte in bytes {
      if byte == 0x0A, lastWasReturn {
        lastWasReturn = false
        continue
      }
      lastWasReturn = byte == 0x0D
      if byte == 0x0A || byte == 0x0D {
        try endLine(&events)
      } else {
        line.append(byte)
        if line.count > limit { throw TooLarge() }
      }
    }
    return events
  }

  /// The stream has ended: the last event, where its blank line is missing.
  public mutating func end() throws(TooLarge) -> [[UInt8]] {
    var events: [[UInt8]] = []
    if !line.isEmpty { try endLine(&events) }
    endEvent(&events)
    return events
  }

  private mutating func endLine(_ events: inout [[UInt8]]) throws(TooLarge) {
    defer { line.removeAll(keepingCapacity: true) }
    if line.isEmpty { return endEvent(&events) }
    guard line.starts(with: "data".utf8), line.count == 4 || line[4] == UInt8(ascii: ":") else { return }
    var value = line.dropFirst(5)
    if value.first == 0x20 { value = value.dropFirst() }
    if hasData { data.append(0x0A) }
    data += value
    hasData = true
    if data.count > limit { throw TooLarge() }
  }

  private mutating func endEvent(_ events: inout [[UInt8]]) {
    guard hasData else { return }
    events.append(data)
    data.removeAll(keepingCapacity: true)
    hasData = false
  }
}
