/// What a receiver says about one source (RFC 3550 section 6.4.1).
public struct RTCPReportBlock: Hashable, Sendable {
  public var ssrc: SSRC
  /// Lost since the last report, in 256ths.
  public var fractionLost: UInt8
  /// 24 bits, signed: duplicates can make it negative.
  public var cumulativeLost: Int32
  public var highestSequence: UInt32
  /// In timestamp units.
  public var jitter: UInt32
  /// The middle 32 bits of the NTP time of the last sender report received; 0 for none.
  public var lastSenderReport: UInt32
  /// Delay since that report, in 1/65536 s.
  public var delaySinceLastSenderReport: UInt32

  public init(
    ssrc: SSRC, fractionLost: UInt8, cumulativeLost: Int32, highestSequence: UInt32, jitter: UInt32,
    lastSenderReport: UInt32 = 0, delaySinceLastSenderReport: UInt32 = 0
  ) {
    self.ssrc = ssrc
    self.fractionLost = fractionLost
    self.cumulativeLost = cumulativeLost
    self.highestSequence = highestSequence
    self.jitter = jitter
    self.lastSenderReport = lastSenderReport
    self.delaySinceLastSenderReport = delaySinceLastSenderReport
  }
}

/// What a sender says about its own stream (RFC 3550 section 6.4.1).
public struct RTCPSenderInfo: Hashable, Sendable {
  /// Wall clock, seconds since 1900 in 32.32 fixed point.
  public var ntp: UInt64
  public var rtpTimestamp: UInt32
  public var packets: UInt32
  public var octets: UInt32

  public init(ntp: UInt64, rtpTimestamp: UInt32, packets: UInt32, octets: UInt32) {
    self.ntp = ntp
    self.rtpTimestamp = rtpTimestamp
    self.packets = packets
    self.octets = octets
  }
}

/// One packet of a compound (RFC 3550 section 6). Control traffic is one packet in five seconds per leg, so these are plain
/// values.
public enum RTCPPacket: Hashable, Sendable {
  case senderReport(SSRC, RTCPSenderInfo, [RTCPReportBlock])
  case receiverReport(SSRC, [RTCPReportBlock])
  /// CNAMEs only; other items are skipped when parsed.
  case sourceDescription([SSRC: String])
  case bye([SSRC], reason: String)
  /// A type that we do not read (APP, feedback, extended reports).
  case other(type: UInt8)

  /// Why a compound was dropped.
  public enum ParseError: String, Error, Sendable, Hashable {
    case tooShort = "too_short"
    case badVersion = "bad_version"
    /// A length field runs past the end.
    case badLength = "bad_length"
    /// The first packet is not a report (RFC 3550 appendix A.2).
    case badOrder = "bad_order"
  }

  /// Whether a datagram on a shared port is control rather than media (RFC 5761 section 4).
  public static func looksLikeControl(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 2 && bytes[0] >> 6 == 2 && (192...223).contains(bytes[1])
  }
}
