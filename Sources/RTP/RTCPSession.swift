import Base

/// One leg's control channel: says when a report is due, builds it, and reads the peer's for loss, jitter and round trip.
public struct RTCPSession: Sendable {
  /// What the peer last said about our stream.
  public struct RemoteView: Sendable, Hashable {
    /// 0 to 1, in its last interval.
    public var fractionLost: Double
    public var cumulativeLost: Int
    public var jitterMs: Double
  }

  /// What came of a control datagram.
  public enum Outcome: Sendable, Hashable {
    case received
    /// The peer's stream has ended. Signalling decides whether the call has.
    case bye
    case rejected(RTCPPacket.ParseError)
  }

  /// RFC 3550's minimum interval; randomised to half of it up to one and a half times it (section 6.2), the first one halved.
  public static let interval = Duration.seconds(5)
  /// Enough for SR with one block, CNAME and BYE.
  public static let maxReportSize = 256

  public private(set) var remoteView: RemoteView?
  /// From the last report of the peer that quoted one of ours; nil until then.
  public private(set) var roundTripMs: Double?

  /// - Parameter cname: RFC 7022: random, not an address or user name. Cut to 64 octets.
  public init(ssrc: SSRC, cname: String, clockRate: Int = 8000, seed: UInt64, at now: Instant) {
    deadline = now
  }

  /// When ``report(sender:receiver:ntp:at:into:)`` is due.
  public private(set) var deadline: Instant?

  /// Writes a compound report when one is due (else 0) into `buffer` of ``maxReportSize`` octets, and sets the next deadline.
  /// - Parameter ntp: the wall clock of `now`, 32.32 seconds since 1900.
  public mutating func report(
    sender: RTPSender, receiver: inout RTPReceiver, ntp: UInt64, at now: Instant,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int { 0 }

  /// Writes the last compound: a report and BYE. No deadline follows.
  public mutating func bye(
    sender: RTPSender, receiver: inout RTPReceiver, ntp: UInt64, at now: Instant,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int { 0 }

  /// Takes a control datagram. The owner has checked its source with ``SourceLock/admitsControl(from:)``.
  /// - Parameter ntp: the wall clock of `now`, by the same clock as for reports.
  public mutating func receive(_ bytes: UnsafeRawBufferPointer, ntp: UInt64, at now: Instant) -> Outcome { .received }
}
