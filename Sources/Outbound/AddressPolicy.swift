import Settings

/// Which addresses the gateway may connect to. Pure: a name and an address in, a verdict out.
///
/// Ordinary addresses of the Internet may be reached; those of ``SpecialPurpose`` only where `integration.outbound.allow_private`
/// names them or the name that led there. What `integration.outbound.deny` names is refused whatever else is said.
public struct AddressPolicy: Sendable, Hashable {
  /// The keys of the configuration that decide.
  public static let allowKey = "integration.outbound.allow_private"
  public static let denyKey = "integration.outbound.deny"

  public enum Verdict: Sendable, Hashable {
    case allowed
    /// The rest of a sentence that begins with the server's name: `is a private address; ...`.
    case refused(String)
  }

  private let allow: [OutboundRule]
  private let deny: [OutboundRule]

  public init(_ settings: OutboundSettings = OutboundSettings()) {
    allow = settings.allowPrivate
    deny = settings.deny
  }

  /// Whether the server called `host` may be asked at all, before its addresses are known.
  /// - Parameter host: lower case, without a dot at its end.
  public func verdict(host: String) -> Verdict {
    deny.contains { $0.matches(host: host) } ? .refused("is refused by \(Self.denyKey)") : .allowed
  }

  /// Whether `address` may be connected to for the server called `host`.
  public func verdict(host: String, address: IPAddress) -> Verdict {
    if case .refused(let why) = verdict(host: host) { return .refused(why) }
    let carried = Embedding.of(address)?.addresses ?? []
    let isDenied = ([address] + carried).contains { address in deny.contains { $0.contains(address) } }
    let isLiteral = IPAddress(host) != nil
    let verb = isLiteral ? "is" : "leads to"
    if isDenied {
      return .refused(isLiteral ? "is refused by \(Self.denyKey)" : "leads to an address that \(Self.denyKey) refuses")
    }
    guard let purpose = purpose(of: address) else { return .allowed }
    // A block that was written for IPv4 holds what IPv6 carries of it.
    if allow.contains(where: { $0.contains(address) }) { return .allowed }
    if !isLiteral, purpose.mayBeNamed, allow.contains(where: { $0.matches(host: host) }) { return .allowed }
    let hint =
      purpose.mayBeNamed
      ? "name it in \(Self.allowKey) to allow it" : "name the address itself in \(Self.allowKey) to allow it"
    return .refused("\(verb) \(purpose.rawValue); \(hint)")
  }

  /// What is special about an address, or about one that it carries; nil for addresses of the open Internet.
  private func purpose(of address: IPAddress) -> SpecialPurpose? {
    if let (kind, carried) = Embedding.of(address) {
      switch kind {
      // Nobody is there; only something that reads addresses wrongly would be reached.
      case .compatible: return .reserved
      case .localNAT64: return carried.compactMap { SpecialPurpose.of($0) }.first { $0 == .metadata } ?? .privateUse
      case .nat64, .sixToFour, .teredo:
        return carried.compactMap { inner in
          allow.contains { $0.contains(inner) } ? nil : SpecialPurpose.of(inner)
        }.first
      }
    }
    // IETF protocol assignments (RFC 2928), after Teredo, which is a part of them.
    if address.isV6, address.bytes[0] == 0x20, address.bytes[1] == 0x01, address.bytes[2] < 2 {
      return SpecialPurpose.of(address) ?? .protocolUse
    }
    return SpecialPurpose.of(address)
  }
}

extension SpecialPurpose {
  /// Whether a name in `allow_private` is enough. Whoever may change what a trusted name leads to must not come to a machine's
  /// credentials by it, nor to a whole network at once.
  fileprivate var mayBeNamed: Bool {
    switch self {
    case .metadata, .multicast, .broadcast, .unspecified: false
    case .loopback, .linkLocal, .privateUse, .carrierNAT, .protocolUse, .documentation, .benchmarking, .reserved: true
    }
  }
}

extension OutboundRule {
  fileprivate func contains(_ address: IPAddress) -> Bool {
    if case .block(let block) = self { block.contains(bytes: address.bytes) } else { false }
  }

  fileprivate func matches(host: String) -> Bool {
    switch self {
    case .block: false
    case .host(let name): name == host
    case .subdomains(let suffix): host.hasSuffix("." + suffix)
    }
  }
}
