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

extension RTCPPacket {
  /// Blocks that one report may hold: the count field has five bits.
  public static let maxBlocks = 31
  /// Packets read of one compound; what follows is ignored. Real ones hold two to four.
  public static let maxPackets = 32

  /// Reads a compound (RFC 3550 appendix A.2). It must begin with a report, as section 6.1 demands.
  public static func parse(_ bytes: UnsafeRawBufferPointer) throws(ParseError) -> [RTCPPacket] {
    guard bytes.count >= 8 else { throw .tooShort }
    var out: [RTCPPacket] = []
    var rest = bytes
    while !rest.isEmpty, out.count < maxPackets {
      guard rest.count >= 4, let base = rest.baseAddress.map(UnsafeRawPointer.init) else { throw .badLength }
      guard rest[0] >> 6 == 2 else { throw .badVersion }
      let size = 4 * (Int(base.loadBigEndian16(2)) + 1)
      guard size <= rest.count else { throw .badLength }
      if out.isEmpty { guard rest[1] == 200 || rest[1] == 201, rest[0] & 0x20 == 0 else { throw .badOrder } }
      var body = UnsafeRawBufferPointer(rebasing: rest[4..<size])
      if rest[0] & 0x20 != 0 {
        let padding = Int(rest[size - 1])
        guard padding > 0, padding <= body.count else { throw .badLength }
        body = UnsafeRawBufferPointer(rebasing: body.dropLast(padding))
      }
      out.append(try parse(type: rest[1], count: Int(rest[0] & 0x1F), body))
      rest = UnsafeRawBufferPointer(rebasing: rest[size...])
    }
    return out
  }

  private static func parse(
    type: UInt8, count: Int, _ body: UnsafeRawBufferPointer
  ) throws(ParseError) -> RTCPPacket {
    guard let base = body.baseAddress.map(UnsafeRawPointer.init) else {
      if type == 200 || type == 201 { throw .badLength }
      return type == 203 && count == 0 ? .bye([], reason: "") : .other(type: type)
    }
    switch type {
    case 200:
      guard body.count >= 24 + 24 * count else { throw .badLength }
      let ntp = UInt64(base.loadBigEndian32(4)) << 32 | UInt64(base.loadBigEndian32(8))
      let info = RTCPSenderInfo(
        ntp: ntp, rtpTimestamp: base.loadBigEndian32(12), packets: base.loadBigEndian32(16),
        octets: base.loadBigEndian32(20))
      return .senderReport(SSRC(base.loadBigEndian32(0)), info, (0..<count).map { block(base + 24 + 24 * $0) })
    case 201:
      guard body.count >= 4 + 24 * count else { throw .badLength }
      return .receiverReport(SSRC(base.loadBigEndian32(0)), (0..<count).map { block(base + 4 + 24 * $0) })
    case 202: return .sourceDescription(try names(body, chunks: count))
    case 203:
      guard body.count >= 4 * count else { throw .badLength }
      var reason = ""
      if body.count > 4 * count {
        let length = Int(body[4 * count])
        guard body.count > 4 * count + length else { throw .badLength }
        reason = String(decoding: body[(4 * count + 1)..<(4 * count + 1 + length)], as: UTF8.self)
      }
      return .bye((0..<count).map { SSRC(base.loadBigEndian32(4 * $0)) }, reason: reason)
    default: return .other(type: type)
    }
  }

  private static func block(_ base: UnsafeRawPointer) -> RTCPReportBlock {
    let loss = base.loadBigEndian32(4)
    return RTCPReportBlock(
      ssrc: SSRC(base.loadBigEndian32(0)), fractionLost: UInt8(loss >> 24),
      cumulativeLost: Int32(bitPattern: loss << 8) >> 8, highestSequence: base.loadBigEndian32(8),
      jitter: base.loadBigEndian32(12), lastSenderReport: base.loadBigEndian32(16),
      delaySinceLastSenderReport: base.loadBigEndian32(20))
  }

  private static func names(_ body: UnsafeRawBufferPointer, chunks: Int) throws(ParseError) -> [SSRC: String] {
    var out: [SSRC: String] = [:]
    var offset = 0
    for _ in 0..<chunks {
      guard offset + 4 <= body.count, let base = body.baseAddress.map(UnsafeRawPointer.init) else { throw .badLength }
      let ssrc = SSRC(base.loadBigEndian32(offset))
      offset += 4
      while true {
        guard offset < body.count else { throw .badLength }
        let item = body[offset]
        if item == 0 { break }
        guard offset + 1 < body.count else { throw .badLength }
        let end = offset + 2 + Int(body[offset + 1])
        guard end <= body.count else { throw .badLength }
        if item == 1 { out[ssrc] = String(decoding: body[(offset + 2)..<end], as: UTF8.self) }
        offset = end
      }
      // A chunk ends with one to four zeros, at a multiple of four.
      offset = (offset + 4) & ~3
    }
    return out
  }

  /// The packet's bytes; a compound is its packets one after the other.
  public func append(to out: inout [UInt8]) {
    let start = out.count
    func word(_ value: UInt32) {
      for shift in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
    }
    func blocks(_ list: [RTCPReportBlock]) {
      for block in list.prefix(Self.maxBlocks) {
        word(block.ssrc.value)
        word(UInt32(block.fractionLost) << 24 | UInt32(bitPattern: block.cumulativeLost) & 0xFF_FFFF)
        word(block.highestSequence)
        word(block.jitter)
        word(block.lastSenderReport)
        word(block.delaySinceLastSenderReport)
      }
    }
    func header(_ type: UInt8, _ count: Int) { out += [0x80 | UInt8(min(count, Self.maxBlocks)), type, 0, 0] }
    switch self {
    case .senderReport(let ssrc, let info, let list):
      header(200, list.count)
      word(ssrc.value)
      word(UInt32(info.ntp >> 32))
      word(UInt32(truncatingIfNeeded: info.ntp))
      word(info.rtpTimestamp)
      word(info.packets)
      word(info.octets)
      blocks(list)
    case .receiverReport(let ssrc, let list):
      header(201, list.count)
      word(ssrc.value)
      blocks(list)
    case .sourceDescription(let names):
      header(202, names.count)
      for (ssrc, name) in names.sorted(by: { $0.key.value < $1.key.value }).prefix(Self.maxBlocks) {
        word(ssrc.value)
        let text = name.utf8.prefix(255)
        out += [1, UInt8(text.count)] + text
        repeat { out.append(0) } while (out.count - start) % 4 != 0
      }
    case .bye(let sources, let reason):
      header(203, sources.count)
      for ssrc in sources.prefix(Self.maxBlocks) { word(ssrc.value) }
      if !reason.isEmpty {
        let text = reason.utf8.prefix(255)
        out += [UInt8(text.count)] + text
        while (out.count - start) % 4 != 0 { out.append(0) }
      }
    case .other: return
    }
    let words = UInt16(clamping: (out.count - start) / 4 - 1)
    out[start + 2] = UInt8(words >> 8)
    out[start + 3] = UInt8(words & 0xFF)
  }
}
