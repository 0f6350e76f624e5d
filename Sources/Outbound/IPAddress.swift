#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An IPv4 or IPv6 address. An IPv4-mapped one (`::ffff:192.0.2.1`) is the IPv4 address that it stands for.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
  /// Four or sixteen, in network order.
  public let bytes: [UInt8]

  /// nil unless there are four or sixteen.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    let isMapped = bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    self.bytes = isMapped ? Array(bytes[12...]) : bytes
  }

  /// `192.0.2.1` or `2001:db8::1`; nil for everything else, the octal, hexadecimal and short forms of IPv4 among it.
  public init?(_ text: String) {
    var v4 = in_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(bytes: withUnsafeBytes(of: &v4) { Array($0) })
      return
    }
    var v6 = in6_addr()
    guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
    self.init(bytes: withUnsafeBytes(of: &v6) { Array($0) })
  }

  public var isV6: Bool { bytes.count == 16 }

  public var description: String {
    guard isV6 else { return bytes.map(String.init).joined(separator: ".") }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The four bytes from `offset`; only for IPv6.
  func embedded(at offset: Int) -> IPAddress? { IPAddress(bytes: Array(bytes[offset..<offset + 4])) }
}
