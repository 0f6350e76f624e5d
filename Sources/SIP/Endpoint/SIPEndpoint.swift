import Base

/// The user agent core of RFC 3261: owns every transaction, dialog and call of one SIP address, without touching a socket
/// or a clock.
///
/// Every function takes the present instant and returns what is to be done, in order; afterwards ``deadline`` says when
/// ``timeout(at:)`` must be called. Commands for a call that is not in a state for them do nothing and are counted, because
/// a command can cross with the other side's hang-up.
public struct SIPEndpoint: Sendable {
  public let configuration: SIPConfiguration
  /// New INVITEs and OPTIONS get 503; what is running goes on.
  public var isDraining = false
  public internal(set) var counters = SIPCounters()
  var random: SeededRandom

  public init(configuration: SIPConfiguration, random: SeededRandom) {
    self.configuration = configuration
    self.random = random
  }

  /// When ``timeout(at:)`` wants to be called; nil: not at all.
  public var deadline: Instant? { nil }

  /// Nothing is left to send or to wait for: a process may exit.
  public var isIdle: Bool { true }

  /// Calls alive: offered, placed or established.
  public var callCount: Int { 0 }

  // MARK: Input

  /// One UDP datagram.
  public mutating func receive(datagram bytes: [UInt8], from peer: SIPPeer, at now: Instant) -> [SIPAction] { [] }
  /// Bytes of a stream, in any portions. `peer.connection` must be set.
  public mutating func receive(stream bytes: [UInt8], from peer: SIPPeer, at now: Instant) -> [SIPAction] { [] }
  /// A stream connection has been closed by either side or has failed. Never used again.
  public mutating func connectionClosed(_ connection: UInt64, at now: Instant) -> [SIPAction] { [] }
  /// What a `send` action asked for could not be done (no route, connection refused, ICMP error).
  public mutating func sendFailed(to peer: SIPPeer, at now: Instant) -> [SIPAction] { [] }
  /// The deadline has come.
  public mutating func timeout(at now: Instant) -> [SIPAction] { [] }

  // MARK: Calls of others

  /// Sends a provisional response, 180 or 183 with early media. May be repeated.
  public mutating func ring(
    _ call: SIPCallHandle, status: Int = 180, body: SIPBody? = nil, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] { [] }
  /// Accepts the call with 200. `body` is the answer, or our offer where the INVITE had none.
  public mutating func answer(
    _ call: SIPCallHandle, body: SIPBody?, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] { [] }
  /// Refuses the call with 300 to 699.
  public mutating func reject(
    _ call: SIPCallHandle, status: Int, reason: String? = nil, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] { [] }

  // MARK: Our calls

  /// Places a call.
  public mutating func invite(_ invite: SIPInvite, at now: Instant) -> (SIPCallHandle, [SIPAction]) {
    (SIPCallHandle(value: 0), [])
  }
  /// Withdraws our call. Where the other side's 200 is faster, the call is acknowledged and hung up at once.
  public mutating func cancel(_ call: SIPCallHandle, at now: Instant) -> [SIPAction] { [] }
  /// Sends the ACK with our answer to an offer that came in a 2xx (`needsAnswer`).
  public mutating func acknowledge(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] { [] }

  // MARK: Both

  /// Ends the call in whatever state it is: BYE, CANCEL, or a refusal (480). `ended` follows when the other side knows.
  public mutating func hangup(
    _ call: SIPCallHandle, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] { [] }
  /// Changes the session: `body` is the offer, nil asks for one. Waits its turn behind other changes and glare.
  public mutating func reinvite(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] { [] }
  /// Accepts the other side's re-INVITE.
  public mutating func answerReinvite(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] { [] }
  /// Refuses the other side's re-INVITE (488): the session stays as it was.
  public mutating func rejectReinvite(
    _ call: SIPCallHandle, status: Int = 488, reason: String? = nil, at now: Instant
  ) -> [SIPAction] { [] }

  // MARK: Outside of calls

  /// Sends a request outside a dialog; `response` follows, exactly once.
  public mutating func request(_ request: SIPRequest, at now: Instant) -> (SIPRequestHandle, [SIPAction]) {
    (SIPRequestHandle(value: 0), [])
  }
}
