import Base
import RTP
import TestKit
import Testing

@Suite struct RTCPTests {
  private let block = RTCPReportBlock(
    ssrc: SSRC(7), fractionLost: 25, cumulativeLost: -3, highestSequence: 0x1_2345, jitter: 80,
    lastSenderReport: 0xAABB,
    delaySinceLastSenderReport: 0x1_0000)

  private func parse(_ bytes: [UInt8]) throws(RTCPPacket.ParseError) -> [RTCPPacket] {
    let result = bytes.withUnsafeBytes { (raw) -> Result<[RTCPPacket], RTCPPacket.ParseError> in
      do throws(RTCPPacket.ParseError) { return .success(try RTCPPacket.parse(raw)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  @Test func compoundsSurviveTheRoundTrip() throws {
    let packets: [RTCPPacket] = [
      .senderReport(
        SSRC(1), RTCPSenderInfo(ntp: 0x0102_0304_0506_0708, rtpTimestamp: 9, packets: 10, octets: 11), [block, block]),
      .receiverReport(SSRC(1), []),
      .sourceDescription([SSRC(1): "abc", SSRC(2): "name-of-five"]),
      .bye([SSRC(1), SSRC(2)], reason: "gone"),
      .bye([SSRC(1)], reason: ""),
    ]
    var bytes: [UInt8] = []
    for packet in packets { packet.append(to: &bytes) }
    #expect(bytes.count % 4 == 0)
    #expect(try parse(bytes) == packets)
  }

  @Test func malformedCompoundsAreRefused() {
    var good: [UInt8] = []
    RTCPPacket.receiverReport(SSRC(1), [block]).append(to: &good)
    func refused(_ bytes: [UInt8]) -> RTCPPacket.ParseError? {
      do throws(RTCPPacket.ParseError) {
        _ = try parse(bytes)
        return nil
      } catch { return error }
    }
    #expect(refused(good) == nil)
    #expect(refused([]) == .tooShort)
    #expect(refused([0x81] + good.dropFirst()) == nil)
    #expect(refused([0x01] + good.dropFirst()) == .badVersion)
    #expect(refused([0x9F] + good.dropFirst()) == .badLength)
    #expect(refused(good + [0x80]) == .badLength)
    #expect(refused(Array(good.dropLast(4))) == .badLength)
    #expect(refused([good[0], 203] + good.dropFirst(2)) == .badOrder)
    #expect(refused([0x80, 201, 0, 0, 0x80, 200, 0, 0]) == .badLength)
  }

  @Test func controlIsToldFromMedia() {
    var control: [UInt8] = []
    RTCPPacket.receiverReport(SSRC(1), []).append(to: &control)
    #expect(control.withUnsafeBytes { RTCPPacket.looksLikeControl($0) })
    #expect(!packet(1, 1, marker: true).withUnsafeBytes { RTCPPacket.looksLikeControl($0) })
  }

  /// Two ends, 40 ms apart.
  @Test func bothEndsLearnLossAndRoundTrip() throws {
    struct End {
      var sender: RTPSender
      var receiver: RTPReceiver
      var control: RTCPSession
      var reports = 0
      var out: Netem<[UInt8]>

      mutating func report(_ clock: VirtualClock, bye: Bool = false) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: RTCPSession.maxReportSize)
        let size = buffer.withUnsafeMutableBytes { raw in
          bye
            ? control.bye(sender: sender, receiver: &receiver, ntp: clock.ntp, at: clock.now, into: raw)
            : control.report(sender: sender, receiver: &receiver, ntp: clock.ntp, at: clock.now, into: raw)
        }
        return Array(buffer[..<size])
      }
    }
    var clock = VirtualClock()
    let conditions = Netem<[UInt8]>.Conditions(delay: .milliseconds(40))
    func end(_ ssrc: UInt32, loss: Double) -> End {
      var path = Netem<[UInt8]>(conditions, seed: UInt64(ssrc))
      path.conditions.loss = loss
      return End(
        sender: RTPSender(ssrc: SSRC(ssrc), sequence: 1, timestamp: 1), receiver: receiver(),
        control: RTCPSession(ssrc: SSRC(ssrc), cname: "end\(ssrc)", seed: UInt64(ssrc), at: clock.now), out: path)
    }
    var ends = [end(1, loss: 0.1), end(2, loss: 0)]
    var buffer = [UInt8](repeating: 0, count: 400)
    let voice = [UInt8](repeating: 0x80, count: 160)
    for _ in 0..<(50 * 60) {
      for i in 0..<2 {
        let size = buffer.withUnsafeMutableBytes { raw in
          voice.withUnsafeBytes { ends[i].sender.writeAudio($0, payloadType: .pcmu, samples: 160, into: raw) }
        }
        ends[i].out.send(Array(buffer[..<size]), at: clock.now)
        let report = ends[i].report(clock)
        if !report.isEmpty {
          ends[i].reports += 1
          ends[i].out.send(report, at: clock.now)
        }
      }
      clock.advance(.milliseconds(20))
      for i in 0..<2 {
        for (bytes, moment) in ends[1 - i].out.receive(at: clock.now) {
          if bytes.withUnsafeBytes({ RTCPPacket.looksLikeControl($0) }) {
            let outcome = bytes.withUnsafeBytes { ends[i].control.receive($0, ntp: clock.ntp, at: moment) }
            #expect(outcome == .received)
          } else {
            _ = ends[i].receiver.receive(bytes, at: moment)
          }
        }
        _ = ends[i].receiver.pull(at: clock.now) { _ in }
      }
    }
    for end in ends { #expect((8...20).contains(end.reports)) }
    let first = try #require(ends[0].control.remoteView)
    let second = try #require(ends[1].control.remoteView)
    #expect((0.02...0.2).contains(first.fractionLost))
    #expect(abs(first.cumulativeLost - 300) < 60)
    #expect(second.cumulativeLost == 0)
    #expect(abs(try #require(ends[0].control.roundTripMs) - 80) < 21)
    #expect(abs(try #require(ends[1].control.roundTripMs) - 80) < 21)
    // A last word.
    let last = ends[0].report(clock, bye: true)
    let outcome = last.withUnsafeBytes { ends[1].control.receive($0, ntp: clock.ntp, at: clock.now) }
    #expect(outcome == .bye)
    #expect(ends[0].control.deadline == nil)
  }

  @Test func aTalkspurtBeginsWithTheMarker() throws {
    var random = SeededRandom(seed: 1)
    var sender = RTPSender(using: &random)
    var buffer = [UInt8](repeating: 0, count: 200)
    func send() throws -> (marker: Bool, timestamp: UInt32) {
      let voice = [UInt8](repeating: 1, count: 160)
      return try buffer.withUnsafeMutableBytes { raw in
        let size = voice.withUnsafeBytes { sender.writeAudio($0, payloadType: .pcma, samples: 160, into: raw) }
        #expect(size == 172)
        let view = try RTPPacketView(UnsafeRawBufferPointer(rebasing: raw[..<size]))
        #expect(view.ssrc == sender.ssrc)
        return (view.marker, view.timestamp)
      }
    }
    let first = try send()
    let second = try send()
    sender.skip(samples: 1600)
    let third = try send()
    #expect(first.marker && !second.marker && third.marker)
    #expect(second.timestamp == first.timestamp &+ 160)
    #expect(third.timestamp == second.timestamp &+ 1760)
    #expect(sender.packets == 3)
    #expect(sender.octets == 480)
    let tooSmall = buffer.withUnsafeMutableBytes { raw in
      [UInt8](repeating: 1, count: 300).withUnsafeBytes {
        sender.writeAudio($0, payloadType: .pcma, samples: 300, into: raw)
      }
    }
    #expect(tooSmall == 0)
    #expect(sender.packets == 3)
  }
}
