/// Names a stream's sender within an RTP session (RFC 3550 section 8). Random, not an address.
public struct SSRC: Hashable, Sendable, CustomStringConvertible {
  public var value: UInt32
  public init(_ value: UInt32) { self.value = value }
  public var description: String { String(value, radix: 16) }
}

/// The seven-bit format number of a packet (RFC 3551 section 6).
public struct PayloadType: Hashable, Sendable, CustomStringConvertible {
  /// 0 to 127.
  public var value: UInt8
  /// Keeps the low seven bits of `value`.
  public init(_ value: UInt8) { self.value = value & 0x7F }
  public var description: String { "\(value)" }

  /// G.711 mu-law, 8000 Hz.
  public static let pcmu = PayloadType(0)
  /// G.711 A-law, 8000 Hz.
  public static let pcma = PayloadType(8)
  /// G.722; its RTP clock is 8000 Hz although it samples at 16000 (RFC 3551 section 4.5.2).
  public static let g722 = PayloadType(9)
  /// Comfort noise (RFC 3389).
  public static let comfortNoise = PayloadType(13)
}

/// Why a packet was dropped: the `reason` label of `vg_rtp_packets_rejected_total`.
public enum RTPRejectReason: String, Error, Sendable, Hashable, CaseIterable {
  /// Shorter than the fixed header.
  case tooShort = "too_short"
  /// Version is not 2.
  case badVersion = "bad_version"
  /// The CSRC list runs past the end.
  case badCSRC = "bad_csrc"
  /// The header extension runs past the end.
  case badExtension = "bad_extension"
  /// The padding count is zero or longer than what follows the header.
  case badPadding = "bad_padding"
  /// A control packet where audio was expected (RFC 5761 section 4).
  case controlPacket = "control_packet"
  /// From an address that is not the call's peer.
  case foreignSource = "foreign_source"
  /// From a source that has not yet sent enough sequential packets to be believed (RFC 3550 appendix A.1).
  case unprovenSource = "unproven_source"
  /// A sequence number far from the stream's (RFC 3550 appendix A.1).
  case sequenceJump = "sequence_jump"
  /// A payload type that was not negotiated.
  case unknownPayloadType = "unknown_payload_type"
  /// A payload that does not fit its format, or is longer than any frame we accept.
  case badPayload = "bad_payload"
  /// Arrived after its place in the playout had passed.
  case late
  /// Seen before.
  case duplicate
  /// The buffer had no place left: a burst, or a flood.
  case overflow
}

/// One RTP packet read in place (RFC 3550 section 5.1). Valid only as long as the bytes it was made from.
public struct RTPPacketView {
  /// The fixed header's size in octets.
  public static let fixedHeaderSize = 12

  private let base: UnsafeRawPointer
  private let payloadStart: Int
  private let payloadEnd: Int

  /// Checks version, CSRC list, extension and padding; reads nothing behind `bytes`.
  public init(_ bytes: UnsafeRawBufferPointer) throws(RTPRejectReason) {
    guard bytes.count >= Self.fixedHeaderSize, let base = bytes.baseAddress else { throw .tooShort }
    let first = bytes[0]
    guard first >> 6 == 2 else { throw .badVersion }
    if RTCPPacket.looksLikeControl(bytes) { throw .controlPacket }
    var offset = Self.fixedHeaderSize + 4 * Int(first & 0x0F)
    guard offset <= bytes.count else { throw .badCSRC }
    if first & 0x10 != 0 {
      guard offset + 4 <= bytes.count else { throw .badExtension }
      offset += 4 + 4 * Int(base.loadBigEndian16(offset + 2))
      guard offset <= bytes.count else { throw .badExtension }
    }
    var end = bytes.count
    if first & 0x20 != 0 {
      let padding = Int(bytes[end - 1])
      guard padding > 0, padding <= end - offset else { throw .badPadding }
      end -= padding
    }
    self.base = base
    payloadStart = offset
    payloadEnd = end
  }

  public var marker: Bool { base.load(fromByteOffset: 1, as: UInt8.self) & 0x80 != 0 }
  public var payloadType: PayloadType { PayloadType(base.load(fromByteOffset: 1, as: UInt8.self)) }
  public var sequence: UInt16 { base.loadBigEndian16(2) }
  /// In units of the format's clock rate.
  public var timestamp: UInt32 { base.loadBigEndian32(4) }
  public var ssrc: SSRC { SSRC(base.loadBigEndian32(8)) }
  /// What follows header and extension, without padding. May be empty.
  public var payload: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + payloadStart, count: payloadEnd - payloadStart)
  }
}

/// The fixed header of a packet to be sent.
public struct RTPHeader: Hashable, Sendable {
  /// Octets that ``write(into:)`` writes.
  public static let size = 12

  public var marker: Bool
  public var payloadType: PayloadType
  public var sequence: UInt16
  public var timestamp: UInt32
  public var ssrc: SSRC

  public init(
    marker: Bool = false, payloadType: PayloadType, sequence: UInt16, timestamp: UInt32, ssrc: SSRC
  ) {
    self.marker = marker
    self.payloadType = payloadType
    self.sequence = sequence
    self.timestamp = timestamp
    self.ssrc = ssrc
  }

  /// Writes the header; returns the octets written: ``size``, or 0 where `buffer` is too small.
  @discardableResult
  public func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard buffer.count >= Self.size, let base = buffer.baseAddress else { return 0 }
    base.storeBytes(of: 0x80, as: UInt8.self)
    base.storeBytes(of: payloadType.value | (marker ? 0x80 : 0), toByteOffset: 1, as: UInt8.self)
    base.storeBigEndian16(sequence, 2)
    base.storeBigEndian32(timestamp, 4)
    base.storeBigEndian32(ssrc.value, 8)
    return Self.size
  }
}

extension UnsafeRawPointer {
  func loadBigEndian16(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  func loadBigEndian32(_ offset: Int) -> UInt32 {
    UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}

extension UnsafeMutableRawPointer {
  func storeBigEndian16(_ value: UInt16, _ offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }
  func storeBigEndian32(_ value: UInt32, _ offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}
