import Settings

/// Why an address is none of the open Internet: a row of the IANA special-purpose address registries (RFC 6890), or an address
/// under which clouds give their machines credentials.
public enum SpecialPurpose: String, Sendable, CaseIterable {
  case unspecified = "an unspecified address"
  case loopback = "a loopback address"
  case linkLocal = "a link-local address"
  case metadata = "the metadata service of a cloud"
  case privateUse = "a private address"
  case carrierNAT = "an address behind a carrier's NAT"
  case protocolUse = "an address of a protocol, not of a server"
  case documentation = "an address for documentation"
  case benchmarking = "an address for benchmarks"
  case multicast = "a multicast address"
  case broadcast = "the broadcast address"
  case reserved = "a reserved address"
}

extension SpecialPurpose {
  /// What `address` is, looked at as it stands; nil: an ordinary address of the Internet.
  static func of(_ address: IPAddress) -> SpecialPurpose? {
    if let found = registry.first(where: { $0.block.contains(bytes: address.bytes) }) { return found.purpose }
    // Of IPv6, only 2000::/3 has been given to anybody (RFC 4291 section 2.4); NAT64 is looked into by the policy.
    guard address.isV6, address.bytes[0] & 0xE0 != 0x20 else { return nil }
    return Embedding.of(address) == nil ? .reserved : nil
  }

  /// The first row that fits counts, so narrower blocks stand before wider ones.
  private static let registry: [(block: AddressBlock, purpose: SpecialPurpose)] = rows.compactMap { text, purpose in
    AddressBlock(text).map { ($0, purpose) }
  }

  private static let rows: [(String, SpecialPurpose)] = [
    // AWS (also its containers and pods), Azure, Alibaba, Oracle, Scaleway; most others use the first.
    ("169.254.169.254", .metadata), ("169.254.170.2", .metadata), ("169.254.170.23", .metadata),
    ("168.63.129.16", .metadata), ("100.100.100.200", .metadata), ("192.0.0.192", .metadata),
    ("169.254.42.42", .metadata), ("fd00:ec2::254", .metadata), ("fd00:ec2::23", .metadata),
    ("fd20:ce::254", .metadata), ("fd00:42::42", .metadata),
    // https://www.iana.org/assignments/iana-ipv4-special-registry
    ("0.0.0.0/8", .unspecified), ("10.0.0.0/8", .privateUse), ("100.64.0.0/10", .carrierNAT),
    ("127.0.0.0/8", .loopback), ("169.254.0.0/16", .linkLocal), ("172.16.0.0/12", .privateUse),
    ("192.0.0.0/24", .protocolUse), ("192.0.2.0/24", .documentation), ("192.31.196.0/24", .protocolUse),
    ("192.52.193.0/24", .protocolUse), ("192.88.99.0/24", .protocolUse), ("192.168.0.0/16", .privateUse),
    ("192.175.48.0/24", .protocolUse), ("198.18.0.0/15", .benchmarking), ("198.51.100.0/24", .documentation),
    ("203.0.113.0/24", .documentation), ("224.0.0.0/4", .multicast), ("255.255.255.255", .broadcast),
    ("240.0.0.0/4", .reserved),
    // https://www.iana.org/assignments/iana-ipv6-special-registry
    ("::", .unspecified), ("::1", .loopback), ("64:ff9b:1::/48", .privateUse), ("100::/64", .reserved),
    ("100:0:0:1::/64", .reserved), ("2001:2::/48", .benchmarking), ("2001:db8::/32", .documentation),
    ("2620:4f:8000::/48", .protocolUse), ("3fff::/20", .documentation), ("5f00::/16", .protocolUse),
    ("fc00::/7", .privateUse), ("fe80::/10", .linkLocal), ("fec0::/10", .privateUse), ("ff00::/8", .multicast),
  ]
}

/// How an IPv6 address carries IPv4 addresses that packets end up at.
enum Embedding: Sendable {
  /// 64:ff9b::/96 (RFC 6052): how an IPv6-only network reaches the IPv4 Internet.
  case nat64
  /// 64:ff9b:1::/48 (RFC 8215); where in it the IPv4 address stands is the network's own affair.
  case localNAT64
  /// 2002::/16 (RFC 3056).
  case sixToFour
  /// 2001::/32 (RFC 4380): a server, and a client with its bits turned over.
  case teredo
  /// ::/96 without ::0 and ::1 (RFC 4291 section 2.5.5.1), deprecated.
  case compatible

  static func of(_ address: IPAddress) -> (kind: Embedding, addresses: [IPAddress])? {
    guard address.isV6 else { return nil }
    let bytes = address.bytes
    func carried(_ kind: Embedding, _ offsets: Int...) -> (Embedding, [IPAddress]) {
      (kind, offsets.compactMap { address.embedded(at: $0) })
    }
    if bytes[..<4] == [0x00, 0x64, 0xFF, 0x9B] {
      if bytes[4..<12].allSatisfy({ $0 == 0 }) { return carried(.nat64, 12) }
      if bytes[4] == 0, bytes[5] == 1 { return carried(.localNAT64, 12) }
    }
    if bytes[0] == 0x20, bytes[1] == 0x02 { return carried(.sixToFour, 2) }
    if bytes[..<4] == [0x20, 0x01, 0, 0] {
      let client = IPAddress(bytes: bytes[12...].map { ~$0 })
      return (.teredo, [address.embedded(at: 4), client].compactMap { $0 })
    }
    if bytes[..<12].allSatisfy({ $0 == 0 }), bytes[12...] != [0, 0, 0, 0], bytes[12...] != [0, 0, 0, 1] {
      return carried(.compatible, 12)
    }
    return nil
  }
}
