/// A transport address without text, sockets or allocation: what the source lock compares and the owner sends to.
/// IPv4 addresses are kept IPv4-mapped (RFC 4291 section 2.5.5.2), so one family compares equal however it was received.
public struct RTPPeer: Hashable, Sendable, CustomStringConvertible {
  /// The address's first and last eight octets, in host order.
  public var high: UInt64
  public var low: UInt64
  public var port: UInt16

  public init(high: UInt64, low: UInt64, port: UInt16) {
    self.high = high
    self.low = low
    self.port = port
  }

  /// - Parameter ipv4: the address in host order, `0x7F000001` for 127.0.0.1.
  public init(ipv4: UInt32, port: UInt16) {
    self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4), port: port)
  }

  /// Reads `192.0.2.1` or `2001:db8::1` (no brackets, no scope); nil for anything else.
  public init?(address: String, port: UInt16) {
    if let ipv4 = Self.parseIPv4(address.utf8) {
      self.init(ipv4: ipv4, port: port)
    } else if let (high, low) = Self.parseIPv6(address) {
      self.init(high: high, low: low, port: port)
    } else {
      return nil
    }
  }

  /// The address in host order where it is IPv4.
  public var ipv4: UInt32? {
    high == 0 && low >> 32 == 0xFFFF ? UInt32(truncatingIfNeeded: low) : nil
  }

  /// Whether both have the same address, whatever the port.
  public func sameHost(as other: RTPPeer) -> Bool { high == other.high && low == other.low }

  /// 0.0.0.0 or ::, which never is a place to send to.
  public var isUnspecified: Bool { high == 0 && (low == 0 || low == 0xFFFF_0000_0000) }

  /// The address without the port, as SDP writes it.
  public var host: String {
    if let ipv4 { return (0..<4).map { "\(ipv4 >> (24 - 8 * $0) & 0xFF)" }.joined(separator: ".") }
    let groups = (0..<8).map { i in UInt16(truncatingIfNeeded: (i < 4 ? high : low) >> (48 - 16 * UInt64(i % 4))) }
    return Self.compress(groups)
  }

  public var description: String { ipv4 == nil ? "[\(host)]:\(port)" : "\(host):\(port)" }

  private static func compress(_ groups: [UInt16]) -> String {
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(best.count, 1) { best = start..<end }
      start = max(end, start + 1)
    }
    let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
    return best.isEmpty ? text(groups[...]) : text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
  }

  private static func parseIPv4(_ text: some Sequence<UInt8>) -> UInt32? {
    var result: UInt32 = 0
    var part: UInt32 = 0
    var digits = 0
    var dots = 0
    for byte in text {
      if byte == UInt8(ascii: ".") {
        guard digits > 0, dots < 3 else { return nil }
        result = result << 8 | part
        (part, digits, dots) = (0, 0, dots + 1)
      } else {
        guard (48...57).contains(byte), digits < 3 else { return nil }
        part = part * 10 + UInt32(byte - 48)
        digits += 1
        guard part <= 255 else { return nil }
      }
    }
    guard dots == 3, digits > 0 else { return nil }
    return result << 8 | part
  }

  private static func parseIPv6(_ text: String) -> (UInt64, UInt64)? {
    guard text.utf8.count <= 45 else { return nil }
    func groups(_ part: Substring) -> [UInt16]? {
      if part.isEmpty { return [] }
      var out: [UInt16] = []
      let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
      for (index, piece) in pieces.enumerated() {
        if index == pieces.count - 1, piece.utf8.contains(UInt8(ascii: ".")) {
          guard let v4 = parseIPv4(piece.utf8) else { return nil }
          out += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
        } else {
          guard (1...4).contains(piece.utf8.count), piece.utf8.allSatisfy({ $0 != 43 && $0 != 45 }),
            let value = UInt16(piece, radix: 16)
          else { return nil }
          out.append(value)
        }
      }
      return out
    }
    var all: [UInt16]
    let bytes = Array(text.utf8)
    if let gap = bytes.indices.dropLast().first(where: { bytes[$0] == 58 && bytes[$0 + 1] == 58 }) {
      let left = groups(text.prefix(gap))
      let right = groups(text.dropFirst(gap + 2))
      guard let left, let right, left.count + right.count < 8 else { return nil }
      all = left + [UInt16](repeating: 0, count: 8 - left.count - right.count) + right
    } else {
      guard let whole = groups(text[...]) else { return nil }
      all = whole
    }
    guard all.count == 8 else { return nil }
    return (all[..<4].reduce(0) { $0 << 16 | UInt64($1) }, all[4...].reduce(0) { $0 << 16 | UInt64($1) })
  }
}
