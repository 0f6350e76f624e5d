/// Cuts a TCP stream into messages by Content-Length (RFC 3261 18.3) and finds keep-alives (RFC 5626 4.4.1). Bounded: it
/// never holds more than one message's limit plus what the last portion brought.
public struct SIPStreamFramer: Sendable {
  public enum Frame: Hashable, Sendable {
    case message([UInt8])
    /// CRLFCRLF between messages: answer with CRLF.
    case ping
    /// The stream cannot be followed any further. `head` is the message's header, where it could be found, for a 400;
    /// close the connection after it.
    case broken(SIPParseError.Reason, head: [UInt8])
  }

  private let limit: Int
  private var buffer: [UInt8] = []
  /// Where the message being read begins, and how far its header has been searched.
  private var start = 0
  private var searched = 0
  /// Set once the header has been found: the whole message's length.
  private var length: Int?
  private var isBroken = false
  /// A ping of ours has no pong yet.
  private var awaitsPong = false

  /// - Parameter messageBytes: the longest message; a longer one breaks the stream.
  public init(messageBytes: Int) { limit = messageBytes }

  /// A ping has been sent: the next single CRLF is its pong, and not half a ping of the other side.
  public mutating func expectPong() { awaitsPong = true }

  /// Adds what arrived. Call ``next()`` until it returns nil.
  public mutating func append(_ bytes: [UInt8]) {
    guard !isBroken else { return }
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.capacity <= 16_384)
      start = 0
      searched = 0
    } else if start > 4_096 {
      buffer.removeFirst(start)
      searched -= start
      start = 0
    }
    buffer += bytes
  }

  /// The next whole frame; nil until more bytes come. After `broken` nothing follows.
  public mutating func next() -> Frame? {
    guard !isBroken else { return nil }
    if length == nil {
      if let ping = skipEmptyLines() { return ping }
      guard start < buffer.count else { return nil }
      if buffer[start] == 0x0D {
        // Half an empty line may become a whole one. Nothing else begins so.
        guard start + 1 < buffer.count, buffer[start + 1] != 0x0A else { return nil }
        return broken(.lineEnding, head: start..<start)
      }
      guard let end = headerEnd() else {
        return buffer.count - start > limit ? broken(.tooLarge, head: start..<start) : nil
      }
      guard let body = contentLength(start..<end) else { return broken(.contentLength, head: start..<end) }
      guard end - start + body <= limit else { return broken(.tooLarge, head: start..<end) }
      length = end - start + body
    }
    guard let length, buffer.count - start >= length else { return nil }
    let message = Array(buffer[start..<(start + length)])
    start += length
    searched = start
    self.length = nil
    return .message(message)
  }

  private mutating func broken(_ reason: SIPParseError.Reason, head: Range<Int>) -> Frame {
    isBroken = true
    let bytes = Array(buffer[head])
    buffer = []
    return .broken(reason, head: bytes)
  }

  /// Skips single CRLFs; returns a ping for each pair that no awaited pong is part of.
  private mutating func skipEmptyLines() -> Frame? {
    while start + 1 < buffer.count, buffer[start] == 0x0D, buffer[start + 1] == 0x0A {
      if awaitsPong {
        awaitsPong = false
        start += 2
        searched = start
        continue
      }
      // The second half of a ping may still be on its way.
      if start + 2 == buffer.count || start + 3 == buffer.count && buffer[start + 2] == 0x0D { return nil }
      if buffer[start + 2] == 0x0D, buffer[start + 3] == 0x0A {
        start += 4
        searched = start
        return .ping
      }
      start += 2
      searched = start
    }
    return nil
  }

  /// Where the body begins: behind the first empty line.
  private mutating func headerEnd() -> Int? {
    var i = max(searched, start)
    while i < buffer.count {
      if buffer[i] == 0x0A {
        if i + 1 < buffer.count, buffer[i + 1] == 0x0A { return i + 2 }
        if i + 2 < buffer.count, buffer[i + 1] == 0x0D, buffer[i + 2] == 0x0A { return i + 3 }
        if i + 2 >= buffer.count { break }
      }
      i += 1
    }
    searched = i
    return nil
  }

  /// The one Content-Length of a header; nil where it is missing, unreadable or contradicts itself.
  private func contentLength(_ head: Range<Int>) -> Int? {
    var found: Int?
    for line in buffer[head].split(separator: 0x0A) {
      guard let first = line.first, let colon = line.firstIndex(of: UInt8(ascii: ":")),
        asciiLowercase(first) == UInt8(ascii: "c") || asciiLowercase(first) == UInt8(ascii: "l"),
        SIPHeaderName(SIPScanner.trimmed(line[..<colon])) == .contentLength
      else { continue }
      var scanner = SIPScanner(SIPScanner.trimmed(line[(colon + 1)...]))
      guard let value = scanner.number(upTo: 0x7FFF_FFFF), scanner.isAtEnd, found == nil || found == Int(value) else {
        return nil
      }
      found = Int(value)
    }
    return found
  }
}
