import Base

/// One Contact of an address of record (RFC 3261 10.3): where a phone is reached, and for how long.
public struct SIPRegistrarBinding: Hashable, Sendable {
  public internal(set) var contact: SIPURI
  /// Preference in thousandths, 0 to 1000.
  public internal(set) var preference: Int
  public internal(set) var until: Instant
  public internal(set) var callID: String
  public internal(set) var sequence: UInt32
  /// `urn:uuid:...` of the device (RFC 5626 4.1); nil for one that does not say.
  public internal(set) var instance: String?
  /// `reg-id`: which of the device's flows this is (RFC 5626 4.2); nil without outbound.
  public internal(set) var flow: Int?
  /// The proxies between it and us (RFC 3327), as Route values.
  public internal(set) var path: [String]
  /// The peer and connection that the REGISTER came over: how a phone behind a NAT is reached.
  public internal(set) var peer: SIPPeer
  public internal(set) var userAgent: String
  /// Rises with every REGISTER: of two that are alike the newer is tried first.
  public internal(set) var serial: UInt64

  /// Whether a REGISTER for `other` means this one: the same flow of the same device (RFC 5626 6), else the same URI.
  func isReplaced(by other: SIPRegistrarBinding) -> Bool {
    if let flow = other.flow { return flow == self.flow && instance == other.instance }
    return contact.isEquivalent(to: other.contact)
  }
}

/// Where a call for an address of record is sent.
public struct SIPRegistrarTarget: Hashable, Sendable {
  /// The Request-URI.
  public let uri: SIPURI
  /// Route values (Path).
  public let routes: [String]
  public let peer: SIPPeer
  /// In thousandths.
  public let preference: Int
  /// Of targets with the same device only one is called; the next only where the former could not be reached (RFC 5626 5.3).
  public let instance: String?
}

extension SIPURI {
  /// RFC 3261 19.1.4, as far as Contacts need it: scheme, user, host, port and transport.
  func isEquivalent(to other: SIPURI) -> Bool {
    scheme == other.scheme && decodedUser == other.decodedUser && equalsIgnoringCase(host, other.host)
      && port == other.port && transportName ?? "udp" == other.transportName ?? "udp"
  }

  /// What bindings are kept under: `user@host`, the host in lower case, escapes undone. nil for what is no address of record.
  var addressOfRecord: String? {
    guard scheme == .sip || scheme == .sips, !host.isEmpty else { return nil }
    return "\(decodedUser)@\(host.asciiLowercased)"
  }
}
