import Audio
import Testing

@Suite("G.711")
struct G711Tests {
  @Test(arguments: [
    (G711.Law.ulaw, UInt8(0x00), Int16(-32124)), (.ulaw, 0x80, 32124), (.ulaw, 0xFF, 0), (.ulaw, 0xFE, 8),
    (.ulaw, 0x7E, -8), (.ulaw, 0xC5, 1564), (.alaw, 0x55, -8), (.alaw, 0xD5, 8), (.alaw, 0x2A, -32256),
    (.alaw, 0xAA, 32256), (.alaw, 0xC5, 264),
  ])
  func `octets decode to the values of the standard`(law: G711.Law, octet: UInt8, sample: Int16) {
    #expect(G711.decode(octet, law: law) == sample)
  }

  @Test(arguments: G711.Law.allCases)
  func `every octet survives decoding and encoding`(law: G711.Law) {
    for octet in UInt8.min...UInt8.max {
      // Mu-law has two zeros; the negative one comes back as the positive one.
      let expected = law == .ulaw && octet == 0x7F ? 0xFF : octet
      #expect(G711.encode(G711.decode(octet, law: law), law: law) == expected)
    }
  }

  @Test func `mu-law decides as the reference code of G.191`() {
    let different = (Int16.min...Int16.max).filter { value in
      // One's complement, 14 bits, bias 33, clipped; written down here without tables or loops.
      let magnitude = min(Int(value < 0 ? ~value : value) / 4 + 33, 8191)
      let segment = Int.bitWidth - magnitude.leadingZeroBitCount - 5
      let code = (8 - segment) << 4 | (15 - (magnitude >> segment) & 15)
      return G711.encode(value, law: .ulaw) != UInt8(value < 0 ? code : code + 128)
    }
    #expect(different.isEmpty)
  }

  @Test func `A-law decides as the reference code of G.191`() {
    let different = (Int16.min...Int16.max).filter { value in
      let magnitude = Int(value < 0 ? ~value : value) / 16
      let shift = max(0, Int.bitWidth - magnitude.leadingZeroBitCount - 5)
      let code = shift == 0 ? magnitude : (magnitude >> shift) & 15 | (shift + 1) << 4
      return G711.encode(value, law: .alaw) != UInt8(value < 0 ? code : code + 128) ^ 0x55
    }
    #expect(different.isEmpty)
  }

  @Test(arguments: G711.Law.allCases)
  func `a tone keeps telephone quality`(law: G711.Law) {
    for level in [-5.0, -15, -25, -35] {
      let tone = Signals.throughG711(Signals.sine(1004, dBFS: level, seconds: 1, rate: 8000), law)
      // G.712 asks for 33 dB down to -30 dBm0.
      #expect(Signals.snr(tone, hertz: 1004, rate: 8000) > (level > -30 ? 34 : 30))
    }
  }

  @Test(arguments: G711.Law.allCases)
  func `buffers are converted as far as both reach`(law: G711.Law) {
    let samples = Signals.noise(dBFS: -20, count: 160)
    var payload = [UInt8](repeating: 7, count: 200)
    let encoded = samples.withUnsafeBufferPointer { s in
      payload.withUnsafeMutableBytes { G711.encode(s, into: $0, law: law) }
    }
    #expect(encoded == 160)
    #expect(payload[160...].allSatisfy { $0 == 7 })
    #expect(payload.prefix(160).elementsEqual(samples.map { G711.encode($0, law: law) }))
    var back = [Int16](repeating: 0, count: 100)
    let decoded = payload.withUnsafeBytes { p in
      back.withUnsafeMutableBufferPointer { G711.decode(p, into: $0, law: law) }
    }
    #expect(decoded == 100)
    #expect(back == payload.prefix(100).map { G711.decode($0, law: law) })
    #expect(abs(Int(G711.decode(law.silence, law: law))) <= 8)
  }
}
