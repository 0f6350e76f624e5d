/// How SIP messages travel (RFC 3261 section 18, RFC 7118).
public enum SIPTransport: String, Hashable, Sendable, CaseIterable {
  case udp, tcp, tls
  /// WebSocket: every frame is one message.
  case ws, wss

  /// Whether the transport itself delivers or fails, so that transactions do not retransmit.
  public var isReliable: Bool { self != .udp }

  /// Whether nobody on the way can read along: what `sips` asks for (RFC 3261 26.2.2).
  public var isSecure: Bool { self == .tls || self == .wss }

  /// As Via writes it (`UDP`).
  public var viaName: String {
    switch self {
    case .udp: "UDP"
    case .tcp: "TCP"
    case .tls: "TLS"
    case .ws: "WS"
    case .wss: "WSS"
    }
  }

  /// The transport that Via calls so, in upper case; nil for others (SCTP ...).
  public init?(viaName: String) {
    guard let found = SIPTransport.allCases.first(where: { $0.viaName == viaName }) else { return nil }
    self = found
  }

  /// Where a peer listens that names no port (RFC 3261 18.1.1, RFC 7118 5.1).
  public var defaultPort: Int {
    switch self {
    case .udp, .tcp: 5060
    case .tls: 5061
    case .ws: 80
    case .wss: 443
    }
  }

  /// What a URI's `transport` parameter calls it; nil for UDP, which needs none. RFC 7118 knows one name for both kinds of
  /// WebSocket.
  var parameter: String? {
    switch self {
    case .udp: nil
    case .tcp, .tls, .ws: rawValue
    case .wss: "ws"
    }
  }
}

extension SIPURI {
  /// Whether messages for this URI may travel so (RFC 3261 19.1.1, 26.2.2). One without `transport` leaves the choice open,
  /// but `sips` must not be read on the way.
  public func allows(_ transport: SIPTransport) -> Bool {
    if scheme == .sips, !transport.isSecure { return false }
    guard let name = transportName else { return true }
    switch transport {
    case .udp, .tcp: return name == transport.rawValue
    // RFC 3261 wants `sips` with `tcp` for it and calls `tls` deprecated; in the field it is the other way round.
    case .tls: return name == "tls" || name == "tcp" && scheme == .sips
    case .ws: return name == "ws"
    case .wss: return name == "ws" || name == "wss"
    }
  }
}
