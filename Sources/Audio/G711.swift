/// ITU-T G.711 companding, bit exact with the reference of ITU-T G.191, by table.
public enum G711 {
  /// The two laws, named as in SDP (`PCMU`, `PCMA`).
  public enum Law: String, Sendable, CaseIterable {
    case ulaw = "PCMU"
    case alaw = "PCMA"

    /// The octet that stands for silence.
    public var silence: UInt8 { self == .ulaw ? 0xFF : 0xD5 }
  }

  /// Decodes as many octets as fit; returns the number of samples written.
  @discardableResult
  public static func decode(
    _ payload: UnsafeRawBufferPointer, into samples: UnsafeMutableBufferPointer<Int16>, law: Law
  ) -> Int {
    let count = min(payload.count, samples.count)
    (law == .ulaw ? ulawDecoding : alawDecoding).withUnsafeBufferPointer { table in
      for i in 0..<count { samples[i] = table[Int(payload[i])] }
    }
    return count
  }

  /// Encodes as many samples as fit; returns the number of octets written.
  @discardableResult
  public static func encode(
    _ samples: UnsafeBufferPointer<Int16>, into payload: UnsafeMutableRawBufferPointer, law: Law
  ) -> Int {
    let count = min(payload.count, samples.count)
    switch law {
    case .ulaw:
      ulawEncoding.withUnsafeBufferPointer { table in
        for i in 0..<count { payload[i] = table[Int(UInt16(bitPattern: samples[i]) >> 2)] }
      }
    case .alaw:
      alawEncoding.withUnsafeBufferPointer { table in
        for i in 0..<count { payload[i] = table[Int(UInt16(bitPattern: samples[i]) >> 4)] }
      }
    }
    return count
  }

  /// Decodes one octet.
  public static func decode(_ octet: UInt8, law: Law) -> Int16 {
    (law == .ulaw ? ulawDecoding : alawDecoding)[Int(octet)]
  }

  /// Encodes one sample.
  public static func encode(_ sample: Int16, law: Law) -> UInt8 {
    switch law {
    case .ulaw: ulawEncoding[Int(UInt16(bitPattern: sample) >> 2)]
    case .alaw: alawEncoding[Int(UInt16(bitPattern: sample) >> 4)]
    }
  }

  // The laws look at the upper 14 (mu) and 12 (A, magnitude) bits only, so the tables need no entry per 16-bit sample.

  private static let ulawEncoding: [UInt8] = (0..<16384).map { compressUlaw(Int16(bitPattern: UInt16($0) << 2)) }
  private static let alawEncoding: [UInt8] = (0..<4096).map { compressAlaw(Int16(bitPattern: UInt16($0) << 4)) }
  private static let ulawDecoding: [Int16] = (0..<256).map { expandUlaw(UInt8($0)) }
  private static let alawDecoding: [Int16] = (0..<256).map { expandAlaw(UInt8($0)) }

  /// G.191 `ulaw_compress`: one's complement for the magnitude of negative samples, bias 33 on 14 bits.
  private static func compressUlaw(_ sample: Int16) -> UInt8 {
    let magnitude = min(Int(sample < 0 ? ~sample : sample) >> 2 + 33, 0x1FFF)
    var segment = 1
    var rest = magnitude >> 6
    while rest != 0 {
      segment += 1
      rest >>= 1
    }
    let high = 8 - segment
    let low = 0xF - (magnitude >> segment) & 0xF
    let code = high << 4 | low
    return UInt8(sample >= 0 ? code | 0x80 : code)
  }

  /// G.191 `alaw_compress`: 12 bits of magnitude, even bits inverted.
  private static func compressAlaw(_ sample: Int16) -> UInt8 {
    var code = Int(sample < 0 ? ~sample : sample) >> 4
    if code > 15 {
      var exponent = 1
      while code > 16 + 15 {
        code >>= 1
        exponent += 1
      }
      code = (code - 16) + exponent << 4
    }
    return UInt8(sample >= 0 ? code | 0x80 : code) ^ 0x55
  }

  private static func expandUlaw(_ octet: UInt8) -> Int16 {
    let inverted = Int(~octet)
    let exponent = (inverted >> 4) & 7
    let magnitude = (((inverted & 0xF) << 3 + 0x84) << exponent) - 0x84
    return Int16(octet & 0x80 == 0 ? -magnitude : magnitude)
  }

  private static func expandAlaw(_ octet: UInt8) -> Int16 {
    let code = Int(octet ^ 0x55)
    let exponent = (code >> 4) & 7
    var magnitude = (code & 0xF) << 4 + 8
    if exponent > 0 { magnitude = (magnitude + 0x100) << (exponent - 1) }
    return Int16(code & 0x80 == 0 ? -magnitude : magnitude)
  }
}
