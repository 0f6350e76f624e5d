import Base
import RTP
import Testing

@Suite struct PacketTests {
  private func parse(_ bytes: [UInt8]) -> (type: UInt8, payload: [UInt8])? {
    bytes.withUnsafeBytes { raw in
      (try? RTPPacketView(raw)).map { ($0.payloadType.value, Array($0.payload)) }
    }
  }
  private func reason(_ bytes: [UInt8]) -> RTPRejectReason? {
    bytes.withUnsafeBytes { (raw) -> RTPRejectReason? in
      do throws(RTPRejectReason) {
        _ = try RTPPacketView(raw)
        return nil
      } catch { return error }
    }
  }

  @Test func headerSurvivesTheRoundTrip() throws {
    let bytes = packet(
      0xFFFE, 0xDEAD_BEEF, type: PayloadType(101), ssrc: 0x0102_0304, marker: true, payload: [1, 2, 3])
    try bytes.withUnsafeBytes { raw in
      let view = try RTPPacketView(raw)
      #expect(view.marker)
      #expect(view.payloadType.value == 101)
      #expect(view.sequence == 0xFFFE)
      #expect(view.timestamp == 0xDEAD_BEEF)
      #expect(view.ssrc == SSRC(0x0102_0304))
      #expect(Array(view.payload) == [1, 2, 3])
    }
  }

  @Test func contributorsExtensionAndPaddingAreCutOff() {
    var bytes = packet(1, 2, payload: [])
    bytes[0] = 0x80 | 0x20 | 0x10 | 2
    bytes += [UInt8](repeating: 9, count: 8)
    bytes += [0xBE, 0xDE, 0, 1, 1, 1, 1, 1]
    bytes += [42, 43]
    bytes += [0, 0, 3]
    #expect(parse(bytes)?.payload == [42, 43])
  }

  @Test func malformedPacketsAreRefusedWithTheirReason() {
    let good = packet(1, 2, payload: [1, 2, 3, 4])
    func changed(_ first: UInt8, _ tail: [UInt8] = []) -> [UInt8] {
      var bytes = good
      bytes[0] = first
      return bytes + tail
    }
    #expect(reason(good) == nil)
    #expect(reason([]) == .tooShort)
    #expect(reason(Array(good[..<11])) == .tooShort)
    #expect(reason(changed(0x40)) == .badVersion)
    #expect(reason(changed(0x8F)) == .badCSRC)
    #expect(reason(changed(0x90)) == .badExtension)
    #expect(reason(Array(changed(0x90)[..<14])) == .badExtension)
    #expect(reason(changed(0xA0, [0])) == .badPadding)
    #expect(reason(changed(0xA0, [200])) == .badPadding)
    var control = good
    control[1] = 200
    #expect(reason(control) == .controlPacket)
  }

  @Test(arguments: 1...8) func mutatedPacketsNeverEscape(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var target = receiver()
    var session = RTCPSession(ssrc: SSRC(1), cname: "x", seed: seed, at: at(0))
    var heard = Heard()
    var accepted = 0
    var control: [UInt8] = []
    RTCPPacket.senderReport(
      SSRC(5), RTCPSenderInfo(ntp: 1, rtpTimestamp: 2, packets: 3, octets: 4),
      [RTCPReportBlock(ssrc: SSRC(1), fractionLost: 1, cumulativeLost: -2, highestSequence: 3, jitter: 4)]
    ).append(to: &control)
    RTCPPacket.sourceDescription([SSRC(5): "name"]).append(to: &control)
    RTCPPacket.bye([SSRC(5)], reason: "done").append(to: &control)
    for i in 0..<4000 {
      let now = at(Double(i) * 5)
      var bytes = packet(UInt16(truncatingIfNeeded: i), UInt32(i) * 160, type: i % 9 == 0 ? PayloadType(101) : .pcmu)
      var report = control
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        bytes[Int.random(in: 0..<min(24, bytes.count), using: &random)] = UInt8.random(in: 0...255, using: &random)
        report[Int.random(in: 0..<report.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if i % 5 == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
      if i % 5 == 1 { report.removeLast(Int.random(in: 0..<report.count, using: &random)) }
      if target.receive(bytes, at: now) == .audio { accepted += 1 }
      report.withUnsafeBytes { _ = session.receive($0, ntp: 0, at: now) }
      if i % 4 == 0 {
        let before = heard.total
        _ = target.pull(at: now, into: &heard)
        #expect(heard.total - before == 160)
      }
    }
    let statistics = target.statistics
    #expect(accepted > 100)
    #expect(statistics.rejected > 100)
    #expect(statistics.received > 0)
  }
}

@Suite struct PeerTests {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1:7"), ("255.255.255.255", "255.255.255.255:7"), ("::1", "[::1]:7"),
    ("2001:db8::1", "[2001:db8::1]:7"), ("2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:7"), ("::", "[::]:7"),
    ("fe80::1:2:3:4", "[fe80::1:2:3:4]:7"), ("::ffff:10.0.0.1", "10.0.0.1:7"),
    ("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:7"),
  ]) func readsAddresses(text: String, expected: String) {
    #expect(RTPPeer(address: text, port: 7)?.description == expected)
  }

  @Test(arguments: [
    "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.x", "1..2.3", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "host.example", "+1.2.3.4", "::+1", "1:2:3:4:5:6:7::8",
  ]) func refusesWhatIsNoAddress(text: String) {
    #expect(RTPPeer(address: text, port: 7) == nil)
  }

  @Test func unspecifiedAddressesAreKnown() throws {
    #expect(try #require(RTPPeer(address: "0.0.0.0", port: 1)).isUnspecified)
    #expect(try #require(RTPPeer(address: "::", port: 1)).isUnspecified)
    #expect(!(try #require(RTPPeer(address: "::1", port: 1)).isUnspecified))
  }
}
