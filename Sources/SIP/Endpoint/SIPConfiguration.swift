/// The timers of RFC 3261 (table 4) and ours, as durations. Constant for the life of an endpoint.
public struct SIPTimers: Hashable, Sendable {
  /// Estimate of the round trip; the first retransmission interval.
  public var t1: Duration = .milliseconds(500)
  /// The longest interval between retransmissions of non-INVITE requests and INVITE responses.
  public var t2: Duration = .seconds(4)
  /// How long a message can stay in the network.
  public var t4: Duration = .seconds(5)
  /// Timer D: how long a refused INVITE's transaction waits for retransmitted responses (UDP; at least 32 s).
  public var d: Duration = .seconds(32)
  /// How long our own call may ring before the endpoint withdraws it (the TU's counterpart of a proxy's Timer C, > 3 min).
  public var ringLimit: Duration = .seconds(190)
  /// How often an unanswered incoming call repeats its provisional response (RFC 3261 13.3.1.1: every minute).
  public var provisionalRefresh: Duration = .seconds(60)
  /// How long an incoming call may stay unanswered by the owner before it is refused with 480.
  public var answerLimit: Duration = .seconds(300)
  /// How long the progress of a REFER is told or waited for: longer than a call may ring.
  public var referLimit: Duration = .seconds(200)

  /// RFC 3261's defaults.
  public init() {}

  /// 64*T1: Timers B, F, H, J, L and M, the wait for an ACK, and for the end of a cancelled call.
  public var transaction: Duration { t1 * 64 }
}

/// Sizes and counts beyond which the endpoint refuses. Each is generous for real traffic and small for an attacker.
public struct SIPLimits: Hashable, Sendable {
  /// Bytes of one message: the largest UDP datagram. Streams have no bound of their own, so the same one holds there.
  public var messageBytes = 65_535
  /// Header lines of one message; real ones have 10 to 40.
  public var headerCount = 128
  /// Bytes of one header line with its continuations. Identity and long Route headers reach 4 KiB.
  public var headerLineBytes = 8_192
  /// Via values of one message: Max-Forwards starts at 70, so nothing honest has more.
  public var viaCount = 70
  /// Calls alive at once; above it new ones get 503.
  public var calls = 4_096
  /// Transactions alive at once; above it new requests get 503 without state.
  public var transactions = 32_768
  /// Stream connections that the endpoint keeps a framer for.
  public var connections = 4_096
  /// Bytes of a request that may go out in one datagram; a larger one goes over TCP where the owner listens on it (RFC 3261
  /// 18.1.1: 1300 where the path's MTU is not known).
  public var datagramRequestBytes = 1_300
  /// Forks of one call of ours whose progress is followed.
  public var forks = 16
  /// INFO requests of one call that wait for their turn.
  public var informations = 64
  /// REFERs of one call at once, both ways together. A person transfers a call once.
  public var referrals = 4

  public init() {}
}

/// What an endpoint is told about its place in the world.
public struct SIPConfiguration: Sendable {
  /// What Via and Contact carry, per transport that the owner listens on.
  public var localAddresses: [SIPTransport: SIPHostPort] = [:]
  /// The host that one peer is told in place of that of ``localAddresses``, where the machine has several: the address from
  /// which the peer is reached. nil, or a nil result: the same host for everyone.
  public var localHost: (@Sendable (SIPPeer) -> String?)?
  /// The user part of our Contact.
  public var contactUser = "parley"
  /// User-Agent and Server; empty for none.
  public var product = "Parley"
  /// Option tags that the owner supports besides the endpoint's own (`timer`, `100rel`, `replaces`, `norefersub`): Supported,
  /// and what Require may ask for (RFC 3261 8.2.2.3).
  public var supported: [String] = []
  /// Body types that Accept carries.
  public var acceptedBodies = ["application/sdp"]
  /// What a 503 of ours tells the other side to wait, in seconds.
  public var retryAfterSeconds = 5
  /// The SDP that an OPTIONS answer carries (RFC 3261 11.2), where the owner wants it to.
  public var optionsBody: SIPBody?
  /// Whether `dialogChanged` is wanted: the owner keeps its calls for a successor.
  public var tellsDialogs = false
  /// Who is not even read; nil: everybody is.
  public var screen: SIPScreenSettings?
  /// The session interval that is asked for, in seconds (RFC 4028); 0: no session timers.
  public var sessionExpires = 1_800
  /// The shortest interval that is taken, in seconds; RFC 4028 wants at least 90.
  public var minSE = SIPSessionTimer.leastSeconds
  public var reliability = SIPReliability.withBody
  /// The hashes of digest authentication. nil: challenges are not answered, and none are made.
  public var digest: SIPDigestHash?
  /// What a request outside of a dialog may do. nil: everything. ACK, CANCEL and requests within a dialog are never
  /// challenged (RFC 3261 22.1).
  public var access: (@Sendable (SIPMessage, SIPPeer) -> SIPAccess)?
  /// Checks the passwords that ``access`` asks for; without one nobody who is asked gets in.
  public var authenticator: SIPAuthenticator?
  /// Methods outside of a dialog that the owner answers (`REGISTER`): see ``SIPEvent/request(_:_:)``.
  public var servedMethods: Set<SIPMethod> = []
  public var timers = SIPTimers()
  public var limits = SIPLimits()

  public init() {}
}

/// Which provisional responses are sent reliably (RFC 3262). Never to a caller that does not know how.
public enum SIPReliability: Hashable, Sendable {
  /// None, and the extension is not offered: a caller that requires it gets 420.
  case never
  /// Those that carry a session description, and all where the caller requires it.
  case withBody
  /// All.
  case always
}
