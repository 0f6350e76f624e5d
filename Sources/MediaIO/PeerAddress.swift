import Glibc

/// An IP address and port as a compact value: what the media path compares and hashes instead of text.
///
/// IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2), so that a peer seen over a dual-stack socket and
/// the same peer from an SDP body are equal.
public struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
  /// The upper and lower eight bytes of the address in network order, read as big-endian numbers.
  public var high: UInt64
  public var low: UInt64
  public var port: UInt16

  private static let mappedPrefix: UInt64 = 0x0000_FFFF_0000_0000

  public init(high: UInt64, low: UInt64, port: UInt16) {
    self.high = high
    self.low = low
    self.port = port
  }

  /// - Parameter ipv4: the address as a number, `10.0.0.1` being 0x0A000001.
  public init(ipv4: UInt32, port: UInt16) {
    self.init(high: 0, low: Self.mappedPrefix | UInt64(ipv4), port: port)
  }

  /// Reads a numeric address (`192.0.2.1`, `2001:db8::1`, with or without brackets); nil for anything else, names included.
  public init?(_ host: some StringProtocol, port: Int) {
    guard let port = UInt16(exactly: port) else { return nil }
    var text = String(host)
    if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
    // The longest numeric address has 45 characters; anything longer is no address and need not be looked at.
    guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
    var v4 = in_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(ipv4: UInt32(bigEndian: v4.s_addr), port: port)
      return
    }
    var v6 = in6_addr()
    guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
    self.init(v6, port: port)
  }

  init(_ address: in6_addr, port: UInt16) {
    var address = address
    let (high, low) = withUnsafeBytes(of: &address) {
      (
        UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
    self.init(high: high, low: low, port: port)
  }

  /// Reads what the kernel wrote; nil for a family that is neither IPv4 nor IPv6.
  public init?(_ storage: UnsafePointer<sockaddr_storage>) {
    switch Int32(storage.pointee.ss_family) {
    case AF_INET:
      let v4 = UnsafeRawPointer(storage).loadUnaligned(as: sockaddr_in.self)
      self.init(ipv4: UInt32(bigEndian: v4.sin_addr.s_addr), port: UInt16(bigEndian: v4.sin_port))
    case AF_INET6:
      let v6 = UnsafeRawPointer(storage).loadUnaligned(as: sockaddr_in6.self)
      self.init(v6.sin6_addr, port: UInt16(bigEndian: v6.sin6_port))
    default: return nil
    }
  }

  public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// The IPv4 address as a number; nil for IPv6.
  public var ipv4: UInt32? { isIPv4 ? UInt32(truncatingIfNeeded: low) : nil }

  /// `0.0.0.0` or `::`.
  public var isUnspecified: Bool { ipv4 == 0 || (high == 0 && low == 0) }

  /// Writes the address in the form the kernel wants; returns its length.
  /// - Parameter mapped: whether an IPv4 address is written as IPv4-mapped IPv6, for a socket of that family.
  func write(to storage: UnsafeMutablePointer<sockaddr_storage>, mapped: Bool) -> socklen_t {
    if isIPv4, !mapped {
      var v4 = sockaddr_in()
      v4.sin_family = sa_family_t(AF_INET)
      v4.sin_port = port.bigEndian
      v4.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
      UnsafeMutableRawPointer(storage).storeBytes(of: v4, as: sockaddr_in.self)
      return socklen_t(MemoryLayout<sockaddr_in>.size)
    }
    var v6 = sockaddr_in6()
    v6.sin6_family = sa_family_t(AF_INET6)
    v6.sin6_port = port.bigEndian
    withUnsafeMutableBytes(of: &v6.sin6_addr) {
      $0.storeBytes(of: high.bigEndian, as: UInt64.self)
      $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    UnsafeMutableRawPointer(storage).storeBytes(of: v6, as: sockaddr_in6.self)
    return socklen_t(MemoryLayout<sockaddr_in6>.size)
  }

  /// The numeric address without port or brackets.
  public var host: String {
    if let ipv4 { return "\(ipv4 >> 24).\(ipv4 >> 16 & 255).\(ipv4 >> 8 & 255).\(ipv4 & 255)" }
    var bytes = (high.bigEndian, low.bigEndian)
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count)) != nil else { return "::" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// `host:port`, or `[host]:port` for IPv6.
  public var description: String { isIPv4 ? "\(host):\(port)" : "[\(host)]:\(port)" }
}

/// A block of addresses (RFC 4632): `10.0.0.0/8`, `2001:db8::/32`, or one bare address.
public struct AddressBlock: Hashable, Sendable {
  private let high: UInt64
  private let low: UInt64
  private let maskHigh: UInt64
  private let maskLow: UInt64

  /// nil where the text is no address or the prefix is longer than the address.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = PeerAddress(parts[0], port: 0) else { return nil }
    let width = address.isIPv4 ? 32 : 128
    var prefix = width
    if parts.count == 2 {
      guard let n = Int(parts[1]), (0...width).contains(n) else { return nil }
      prefix = n
    }
    if address.isIPv4 { prefix += 96 }
    maskHigh = prefix >= 64 ? .max : prefix == 0 ? 0 : .max << UInt64(64 - prefix)
    maskLow = prefix <= 64 ? 0 : .max << UInt64(128 - prefix)
    high = address.high & maskHigh
    low = address.low & maskLow
  }

  /// Whether the peer's address lies in the block; its port does not matter.
  public func contains(_ peer: PeerAddress) -> Bool {
    peer.high & maskHigh == high && peer.low & maskLow == low
  }
}
