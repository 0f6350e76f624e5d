import Base
import RTP
import TestKit
import Testing

@Suite struct TelephoneEventTests {
  private func key(_ digit: Character) throws -> TelephoneKey { try #require(TelephoneKey(digit)) }

  private func feed(
    _ target: inout TelephoneEventReceiver, _ digit: UInt8, _ timestamp: UInt32, _ duration: Int, end: Bool = false,
    marker: Bool = false, at ms: Double
  ) -> [TelephoneEvent]? {
    let payload = [digit, (end ? 0x80 : 0) | 10] + bigEndian(duration)
    let changes = payload.withUnsafeBytes {
      target.receive(payload: $0, timestamp: timestamp, marker: marker, at: at(ms))
    }
    return changes.map(list)
  }
  private func list(_ changes: TelephoneEventChanges) -> [TelephoneEvent] {
    var out: [TelephoneEvent] = []
    changes.forEach { out.append($0) }
    return out
  }

  @Test func aPressIsReportedOnceHoweverOftenItsEndIsRepeated() throws {
    var target = TelephoneEventReceiver()
    let seven = try key("7")
    #expect(feed(&target, 7, 1000, 160, marker: true, at: 0) == [.began(seven)])
    #expect(feed(&target, 7, 1000, 320, at: 20) == [])
    for i in 0..<3 {
      let expected: [TelephoneEvent] = i == 0 ? [.ended(seven, durationMs: 100)] : []
      #expect(feed(&target, 7, 1000, 800, end: true, at: 40 + Double(i) * 20) == expected)
    }
    #expect(target.deadline == nil)
  }

  @Test func anEndThatNeverComesIsSupplied() throws {
    var target = TelephoneEventReceiver()
    _ = feed(&target, 1, 1000, 160, marker: true, at: 0)
    _ = feed(&target, 1, 1000, 640, at: 60)
    #expect(target.deadline == at(60) + TelephoneEventReceiver.endTimeout)
    #expect(target.poll(at: at(200)).isEmpty)
    #expect(list(target.poll(at: at(210))) == [.ended(try key("1"), durationMs: 80)])
    // The straggling end is of the press that is over.
    #expect(feed(&target, 1, 1000, 800, end: true, at: 230) == [])
  }

  @Test func theNextPressEndsTheOneWhoseEndWasLost() throws {
    var target = TelephoneEventReceiver()
    _ = feed(&target, 1, 1000, 480, at: 0)
    #expect(
      feed(&target, 1, 3000, 160, marker: true, at: 100) == [
        .ended(try key("1"), durationMs: 60), .began(try key("1")),
      ])
    #expect(feed(&target, 1, 1000, 800, end: true, at: 105) == [])
    #expect(feed(&target, 1, 3000, 800, end: true, at: 180) == [.ended(try key("1"), durationMs: 100)])
  }

  @Test func onlyEndPacketsAreEnough() throws {
    var target = TelephoneEventReceiver()
    #expect(
      feed(&target, 11, 9000, 800, end: true, at: 0) == [.began(try key("#")), .ended(try key("#"), durationMs: 100)])
    #expect(feed(&target, 11, 9000, 800, end: true, at: 20) == [])
  }

  @Test func aPressLongerThanTheFieldIsOnePress() throws {
    var target = TelephoneEventReceiver()
    let two = try key("2")
    #expect(feed(&target, 2, 0, 160, marker: true, at: 0) == [.began(two)])
    #expect(feed(&target, 2, 0, 0xFFFF, at: 8191) == [])
    #expect(feed(&target, 2, 0xFFFF, 160, at: 8211) == [])
    #expect(feed(&target, 2, 0, 0xFFFF, at: 8215) == [])
    #expect(feed(&target, 2, 0xFFFF, 8000, end: true, at: 9200) == [.ended(two, durationMs: (0xFFFF + 8000) / 8)])
  }

  @Test func strangeEventsAndShortPayloadsAreHarmless() {
    var target = TelephoneEventReceiver()
    #expect(feed(&target, 16, 0, 160, at: 0) == [])
    #expect(feed(&target, 255, 0, 160, end: true, at: 0) == [])
    let short: [UInt8] = [1, 2, 3]
    #expect(short.withUnsafeBytes { target.receive(payload: $0, timestamp: 0, marker: false, at: at(0)) } == nil)
  }

  @Test func everyKeyHasItsCharacter() throws {
    for (code, digit) in "0123456789*#ABCD".enumerated() {
      #expect(try key(digit).code == UInt8(code))
      #expect(TelephoneKey(code: UInt8(code))?.character == digit)
    }
    #expect(try key("a") == key("A"))
    #expect(TelephoneKey("x") == nil)
    #expect(TelephoneKey(code: 16) == nil)
  }

  @Test func sentKeysFollowTheRFC() throws {
    var sender = RTPSender(ssrc: SSRC(1), sequence: 65_534, timestamp: 1000)
    sender.sendKeys("5x#", durationMs: 100)
    var packets: [(tick: Int, sequence: UInt16, timestamp: UInt32, marker: Bool, payload: [UInt8])] = []
    var buffer = [UInt8](repeating: 0, count: 200)
    var tick = 0
    while sender.isSendingKeys {
      try buffer.withUnsafeMutableBytes { raw in
        let size = sender.writeKey(payloadType: PayloadType(101), into: raw)
        if size > 0 {
          let view = try RTPPacketView(UnsafeRawBufferPointer(rebasing: raw[..<size]))
          packets.append((tick, view.sequence, view.timestamp, view.marker, Array(view.payload)))
        }
      }
      tick += 1
    }
    #expect(packets.count == 16)
    #expect(packets.prefix(8).allSatisfy { $0.timestamp == 1000 })
    #expect(packets.map(\.marker).enumerated().allSatisfy { $1 == ($0 % 8 == 0) })
    #expect(
      packets.prefix(8).map { $0.payload[1] & 0x80 != 0 } == [false, false, false, false, false, true, true, true])
    #expect(packets[7].payload == [5, 0x8A] + bigEndian(800))
    #expect(packets.enumerated().allSatisfy { $1.sequence == 65_534 &+ UInt16($0) })
    // The second key: another timestamp, on the clock that went on, after a pause.
    let second = packets[8]
    #expect(second.payload[0] == 11)
    #expect(second.timestamp == 1000 + UInt32(second.tick) * 160)
    #expect(second.tick - packets[7].tick > 4)
  }

  @Test func cancellingEndsTheKeyProperly() {
    var keys = TelephoneEventSender()
    keys.send("123", durationMs: 1000)
    var sent: [TelephoneEventSender.Packet] = []
    for i in 0..<200 {
      if i == 5 { keys.cancel() }
      if let packet = keys.pull() { sent.append(packet) }
    }
    #expect(!keys.isActive)
    #expect(Set(sent.map(\.key.character)) == ["1"])
    #expect(sent.filter(\.isEnd).count == 3)
    #expect(sent.last?.duration == 800)
  }

  @Test(arguments: 1...6) func digitsSurviveABadLine(seed: UInt64) {
    let digits = "159*0#24680ABCD"
    var sender = RTPSender(ssrc: SSRC(1), sequence: 0, timestamp: 0)
    var target = receiver()
    var path = Netem<[UInt8]>(
      Netem<[UInt8]>.Conditions(jitter: .milliseconds(30), loss: 0.1, duplication: 0.05, reordering: 0.05), seed: seed)
    var heard = ""
    var clock = VirtualClock()
    var buffer = [UInt8](repeating: 0, count: 200)
    let note = { (changes: TelephoneEventChanges) in
      changes.forEach { if case .ended(let key, _) = $0 { heard.append(key.character) } }
    }
    for tick in 0..<400 {
      if tick == 20 { sender.sendKeys(digits, durationMs: 120) }
      let size = buffer.withUnsafeMutableBytes { raw in
        sender.isSendingKeys
          ? sender.writeKey(payloadType: PayloadType(101), into: raw)
          : [UInt8](repeating: 0xFF, count: 160).withUnsafeBytes {
            sender.writeAudio($0, payloadType: .pcmu, samples: 160, into: raw)
          }
      }
      if size > 0 { path.send(Array(buffer[..<size]), at: clock.now) }
      clock.advance(.milliseconds(20))
      for (bytes, moment) in path.receive(at: clock.now) {
        if case .event(let changes) = target.receive(bytes, at: moment) { note(changes) }
      }
      note(target.poll(at: clock.now))
    }
    #expect(heard == digits)
  }
}
