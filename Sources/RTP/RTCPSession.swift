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
  /// A CNAME of RFC 7022 has 16 to 28 characters.
  private static let maxName = 64
  /// A round trip above this is a wrong clock or a replay, not a path.
  private static let maxRoundTripMs = 60_000.0

  public private(set) var remoteView: RemoteView?
  /// From the last report of the peer that quoted one of ours; nil until then.
  public private(set) var roundTripMs: Double?
  /// When ``report(sender:receiver:ntp:at:into:)`` is due; nil after ``bye(sender:receiver:ntp:at:into:)``.
  public private(set) var deadline: Instant?

  private let ssrc: SSRC
  private let name: String
  private let clockRate: Int
  private var random: SeededRandom
  private var packetsBefore: UInt32 = 0
  private var lastReport: (from: SSRC, middle: UInt32, at: Instant)?

  /// - Parameter cname: RFC 7022: random, not an address or user name. Cut to 64 octets.
  public init(ssrc: SSRC, cname: String, clockRate: Int = 8000, seed: UInt64, at now: Instant) {
    self.ssrc = ssrc
    name = String(decoding: cname.utf8.prefix(Self.maxName), as: UTF8.self)
    self.clockRate = clockRate
    random = SeededRandom(seed: seed)
    deadline = now + .nanoseconds(randomised() / 2)
  }

  /// Writes a compound report when one is due (else 0) into `buffer` of ``maxReportSize`` octets, and sets the next deadline.
  /// - Parameter ntp: the wall clock of `now`, 32.32 seconds since 1900.
  public mutating func report(
    sender: RTPSender, receiver: inout RTPReceiver, ntp: UInt64, at now: Instant,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    guard let deadline, now >= deadline else { return 0 }
    self.deadline = now + .nanoseconds(randomised())
    return write(compound(sender, &receiver, ntp, now), buffer)
  }

  /// Writes the last compound: a report and BYE. No deadline follows.
  public mutating func bye(
    sender: RTPSender, receiver: inout RTPReceiver, ntp: UInt64, at now: Instant,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    deadline = nil
    return write(compound(sender, &receiver, ntp, now) + [.bye([ssrc], reason: "")], buffer)
  }

  /// Takes a control datagram. The owner has checked its source with ``SourceLock/admitsControl(from:)``.
  /// - Parameter ntp: the wall clock of `now`, by the same clock as for reports.
  public mutating func receive(_ bytes: UnsafeRawBufferPointer, ntp: UInt64, at now: Instant) -> Outcome {
    let packets: [RTCPPacket]
    do { packets = try RTCPPacket.parse(bytes) } catch { return .rejected(error) }
    var outcome = Outcome.received
    for packet in packets {
      switch packet {
      case .senderReport(let from, let info, let blocks):
        lastReport = (from, UInt32(truncatingIfNeeded: info.ntp >> 16), now)
        read(blocks, ntp)
      case .receiverReport(_, let blocks): read(blocks, ntp)
      case .bye: outcome = .bye
      case .sourceDescription, .other: break
      }
    }
    return outcome
  }

  private mutating func read(_ blocks: [RTCPReportBlock], _ ntp: UInt64) {
    for block in blocks where block.ssrc == ssrc {
      remoteView = RemoteView(
        fractionLost: Double(block.fractionLost) / 256, cumulativeLost: Int(block.cumulativeLost),
        jitterMs: Double(block.jitter) * 1000 / Double(clockRate))
      guard block.lastSenderReport != 0 else { continue }
      let middle = UInt32(truncatingIfNeeded: ntp >> 16)
      let units = Int32(bitPattern: middle &- block.lastSenderReport &- block.delaySinceLastSenderReport)
      // Slightly below zero is rounding; far off is nonsense.
      let milliseconds = Double(units) * 1000 / 65536
      if milliseconds > -5, milliseconds < Self.maxRoundTripMs { roundTripMs = max(0, milliseconds) }
    }
  }

  private mutating func compound(
    _ sender: RTPSender, _ receiver: inout RTPReceiver, _ ntp: UInt64, _ now: Instant
  ) -> [RTCPPacket] {
    var blocks: [RTCPReportBlock] = []
    if var block = receiver.reportBlock() {
      if let lastReport, lastReport.from == block.ssrc {
        block.lastSenderReport = lastReport.middle
        let micros = max(0, (now - lastReport.at).nanoseconds / 1000)
        block.delaySinceLastSenderReport = UInt32(clamping: micros &* 65536 / 1_000_000)
      }
      blocks = [block]
    }
    // SR only from those who have sent since their last reports (RFC 3550 section 6.4).
    let report: RTCPPacket
    if sender.packets != packetsBefore {
      packetsBefore = sender.packets
      let info = RTCPSenderInfo(
        ntp: ntp, rtpTimestamp: sender.timestamp, packets: sender.packets, octets: sender.octets)
      report = .senderReport(ssrc, info, blocks)
    } else {
      report = .receiverReport(ssrc, blocks)
    }
    return [report, .sourceDescription([ssrc: name])]
  }

  private func write(_ packets: [RTCPPacket], _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.maxReportSize)
    for packet in packets { packet.append(to: &bytes) }
    guard bytes.count <= buffer.count else { return 0 }
    buffer.copyBytes(from: bytes)
    return bytes.count
  }

  /// Half to one and a half intervals, so that the reports of many calls do not fall together.
  private mutating func randomised() -> Int64 {
    let whole = Self.interval.nanoseconds
    return whole / 2 + Int64(random.next() % UInt64(whole))
  }
}
