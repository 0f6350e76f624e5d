import Base

/// Turns URIs into peers (RFC 3263), and remembers for a while which peers have failed.
public struct SIPLocator: Sendable {
  public enum Family: String, Hashable, Sendable, CaseIterable {
    case ipv4, ipv6

    func query(_ name: String) -> SIPDNSQuery { self == .ipv4 ? .ipv4(name) : .ipv6(name) }

    func has(_ text: String) -> Bool {
      switch SIPIPAddress(text) {
      case .v4: self == .ipv4
      case .v6: self == .ipv6
      case nil: false
      }
    }
  }

  public struct Options: Hashable, Sendable {
    /// What is spoken here, by preference: it decides where a domain leaves the choice.
    public var transports: [SIPTransport]
    /// What is routed here, by preference.
    public var families: [Family] = [.ipv4]
    /// How long a peer that has failed stands behind the others.
    public var failureMemory: Duration = .seconds(60)
    /// Peers that are remembered for it.
    public var failureLimit = 1_024

    public init(transports: [SIPTransport]) { self.transports = transports }
  }

  public let options: Options
  private var failures: SIPBoundedTable<SIPPeer, Instant>
  private var random: SeededRandom

  /// - Parameter random: draws among servers of the same priority.
  public init(options: Options, random: SeededRandom) {
    self.options = options
    self.random = random
    failures = SIPBoundedTable(limit: options.failureLimit)
  }

  /// Begins to find out where a URI is reached; ``SIPLocation/step`` says what to do.
  public mutating func locate(_ uri: SIPURI) -> SIPLocation {
    SIPLocation(uri, options: options, random: SeededRandom(seed: random.next()))
  }

  /// The peers in the order in which they are tried: those that have failed lately come last, but they come (RFC 3263 4.3).
  public func ordered(_ peers: [SIPPeer], at now: Instant) -> [SIPPeer] {
    let isDown = peers.map { (failures[Self.key($0)] ?? now) > now }
    return zip(peers, isDown).filter { !$0.1 }.map(\.0) + zip(peers, isDown).filter(\.1).map(\.0)
  }

  /// A peer did not answer, could not be reached, or said 503.
  /// - Parameter wait: what it asked for (Retry-After); nil: the usual time.
  public mutating func fail(_ peer: SIPPeer, for wait: Duration? = nil, at now: Instant) {
    // Nobody can take itself out for longer than an hour.
    failures[Self.key(peer)] = now + min(wait ?? options.failureMemory, .seconds(3_600))
  }

  /// A peer has answered.
  public mutating func succeed(_ peer: SIPPeer) { failures[Self.key(peer)] = nil }

  private static func key(_ peer: SIPPeer) -> SIPPeer {
    var peer = peer
    peer.connection = nil
    return peer
  }
}
