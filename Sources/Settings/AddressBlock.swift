#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A block of IP addresses (CIDR, RFC 4632 and RFC 4291 section 2.3): `10.0.0.0/8`, `2001:db8::/32`, or one address.
public struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
  /// As it was written.
  public let text: String
  private let bytes: [UInt8]
  private let prefixLength: Int

  /// nil for anything but an address or a block.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let bytes = Self.parse(String(first)) else { return nil }
    var prefixLength = bytes.count * 8
    if parts.count == 2 {
      guard let length = Int(parts[1]), (0...prefixLength).contains(length), !parts[1].hasPrefix("+") else {
        return nil
      }
      prefixLength = length
    }
    self.text = text
    self.bytes = bytes
    self.prefixLength = prefixLength
  }

  /// Whether the address (without port or zone) lies in the block; false for what is no address.
  public func contains(_ address: String) -> Bool {
    Self.parse(address).map(contains(bytes:)) ?? false
  }

  /// The same for an address in network order: four bytes or sixteen.
  public func contains(bytes other: [UInt8]) -> Bool {
    guard other.count == bytes.count else { return false }
    let whole = prefixLength / 8
    guard other[..<whole] == bytes[..<whole] else { return false }
    let rest = prefixLength % 8
    return rest == 0 || (other[whole] ^ bytes[whole]) >> (8 - rest) == 0
  }

  public var description: String { text }

  /// Four or sixteen bytes; an IPv4-mapped IPv6 address counts as IPv4.
  static func parse(_ text: String) -> [UInt8]? {
    var v4 = in_addr()
    if inet_pton(AF_INET, text, &v4) == 1 { return withUnsafeBytes(of: &v4) { Array($0) } }
    var v6 = in6_addr()
    guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
    let bytes = withUnsafeBytes(of: &v6) { Array($0) }
    if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF { return Array(bytes[12...]) }
    return bytes
  }
}
