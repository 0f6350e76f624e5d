/// Whom a limit counts as one sender: an IPv4 address, or the /64 of an IPv6 one, because whoever has one address there has
/// all of them (RFC 6177).
struct SIPSource: Hashable, Sendable {
  /// The IPv4 address, or the upper half of the IPv6 one.
  private let number: UInt64
  private let isIPv6: Bool

  /// A host that is no address (which no datagram comes from) shares one place with all others of its kind.
  init(_ host: String) {
    if let address = SIPSource.ipv4(Array(host.utf8)[...]) {
      number = UInt64(address)
      isIPv6 = false
    } else if let groups = SIPSource.ipv6(host) {
      // IPv4 in IPv6 (`::ffff:192.0.2.1`) is that IPv4 address.
      let isMapped = groups[..<5].allSatisfy { $0 == 0 } && groups[5] == 0xFFFF
      isIPv6 = !isMapped
      let half = isMapped ? groups[6...] : groups[..<4]
      number = half.reduce(0) { $0 << 16 | UInt64($1) }
    } else {
      number = .max
      isIPv6 = false
    }
  }

  private static func ipv4(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), maxSplits: 4, omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      var scanner = SIPScanner(part)
      guard part.count <= 3, let octet = scanner.number(upTo: 255), scanner.isAtEnd else { return nil }
      address = address << 8 | UInt32(octet)
    }
    return address
  }

  /// The eight groups of an IPv6 address (RFC 4291 2.2), a zone left out.
  private static func ipv6(_ host: String) -> [UInt16]? {
    let text = Array(host.utf8.prefix { $0 != UInt8(ascii: "%") }.prefix(64))
    var groups: [UInt16] = []
    var gap: Int?
    var i = 0
    while i < text.count {
      if text[i] == UInt8(ascii: ":") {
        guard i + 1 < text.count, text[i + 1] == UInt8(ascii: ":"), gap == nil else { return nil }
        gap = groups.count
        i += 2
        continue
      }
      let end = text[i...].firstIndex(of: UInt8(ascii: ":")) ?? text.count
      if let address = ipv4(text[i..<end]), end == text.count {
        groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
        break
      }
      guard end - i <= 4, let group = UInt16(String(decoding: text[i..<end], as: UTF8.self), radix: 16) else {
        return nil
      }
      groups.append(group)
      // One colon parts two groups; of two the second is the gap's.
      i = end + 1 < text.count && text[end + 1] == UInt8(ascii: ":") ? end : end + 1
      if i == end, end + 1 >= text.count { return nil }
      if i < text.count, i == end { continue }
    }
    guard groups.count <= 8 else { return nil }
    if let gap { groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap) }
    return groups.count == 8 ? groups : nil
  }
}
