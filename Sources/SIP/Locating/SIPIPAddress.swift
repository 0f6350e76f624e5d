/// An IP address in its text form (RFC 3261 25.1 `IPv4address`, RFC 4291 2.2), without brackets.
public enum SIPIPAddress: Hashable, Sendable {
  /// In network order.
  case v4(UInt32)
  case v6([UInt16])

  /// nil for a name, or an address that is not well formed.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count <= 45 else { return nil }
    if let address = Self.four(bytes[...]) {
      self = .v4(address)
    } else if let groups = Self.six(bytes) {
      self = .v6(groups)
    } else {
      return nil
    }
  }

  private static func four(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var out: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      let value = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 & 15) }
      guard value <= 255 else { return nil }
      out = out << 8 | value
    }
    return out
  }

  private static func six(_ bytes: [UInt8]) -> [UInt16]? {
    var groups: [UInt16] = []
    var gap: Int?
    var at = 0
    if bytes.starts(with: [0x3A, 0x3A]) {
      gap = 0
      at = 2
    }
    while at < bytes.count {
      let end = bytes[at...].firstIndex(of: 0x3A) ?? bytes.count
      let part = bytes[at..<end]
      if end == bytes.count, let tail = four(part) {
        groups += [UInt16(truncatingIfNeeded: tail >> 16), UInt16(truncatingIfNeeded: tail)]
        break
      }
      guard (1...4).contains(part.count), part.allSatisfy(isHexDigit),
        let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
      else { return nil }
      groups.append(group)
      guard groups.count <= 8 else { return nil }
      at = end + 1
      if end < bytes.count, at == bytes.count { return nil }
      if at < bytes.count, bytes[at] == 0x3A {
        guard gap == nil else { return nil }
        gap = groups.count
        at += 1
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return groups
  }

  /// What one subscriber has: the address, for IPv6 its network of 64 bits. Others that name nothing stand for themselves.
  package static func source(_ host: String) -> String {
    guard case .v6(let groups) = SIPIPAddress(host) else { return host.asciiLowercased }
    if groups.prefix(5).allSatisfy({ $0 == 0 }), groups[5] == 0xFFFF {
      return [groups[6] >> 8, groups[6] & 255, groups[7] >> 8, groups[7] & 255].map { String($0) }
        .joined(separator: ".")
    }
    return groups.prefix(4).map { String($0, radix: 16) }.joined(separator: ":") + "::/64"
  }
}
