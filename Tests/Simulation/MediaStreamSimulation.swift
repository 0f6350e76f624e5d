import Base
import RTP
import TestKit
import Testing

/// Two legs that talk to each other through an emulated network, in virtual time: each plays its own tone, so that what
/// the other hears can be told.
private struct Leg {
  static let tickMs = 20
  var sender: RTPSender
  var receiver: RTPReceiver
  var tone: ProbeTone
  var out: Netem<[UInt8]>
  let address: RTPPeer
  var heard: [Int16] = []
  var concealed = 0
  var silent = 0
  var digits = ""
  var buffer = [UInt8](repeating: 0, count: 400)

  init(_ name: UInt32, frequency: Double, peer: UInt32, path: Netem<[UInt8]>.Conditions, maxDelayMs: Int, seed: UInt64)
  {
    var random = SeededRandom(seed: seed &+ UInt64(name))
    sender = RTPSender(using: &random)
    address = RTPPeer(ipv4: name, port: 4000)
    receiver = RTPReceiver(
      RTPReceiver.Configuration(
        formats: .g711(telephoneEvent: PayloadType(101)), expectedPeer: RTPPeer(ipv4: peer, port: 4000),
        maxDelayMs: maxDelayMs))
    tone = ProbeTone(frequency: frequency)
    out = Netem(path, seed: random.next())
  }

  mutating func send(at now: Instant) {
    let size = buffer.withUnsafeMutableBytes { raw in
      if sender.isSendingKeys {
        _ = tone.next(160)
        return sender.writeKey(payloadType: PayloadType(101), into: raw)
      }
      let voice = tone.next(160).map(MuLaw.encode)
      return voice.withUnsafeBytes { sender.writeAudio($0, payloadType: .pcmu, samples: 160, into: raw) }
    }
    if size > 0 { out.send(Array(buffer[..<size]), at: now) }
  }

  mutating func receive(_ bytes: [UInt8], from peer: RTPPeer, at now: Instant) {
    let outcome = bytes.withUnsafeBytes { receiver.receive($0, from: peer, at: now) }
    if case .event(let changes) = outcome { note(changes) }
  }

  mutating func play(at now: Instant) {
    note(receiver.poll(at: now))
    var pcm: [Int16] = []
    var (lost, quiet) = (0, 0)
    receiver.pull(at: now) { segment in
      switch segment {
      case .audio(_, let octets): pcm += octets.map(MuLaw.decode)
      case .frame: break
      case .conceal(let samples): lost += samples
      case .silence(let samples): quiet += samples
      }
    }
    heard += pcm
    concealed += lost
    silent += quiet
  }

  private mutating func note(_ changes: TelephoneEventChanges) {
    changes.forEach { if case .ended(let key, _) = $0 { digits.append(key.character) } }
  }
}

/// G.711 mu-law (ITU-T G.711), plainly.
private enum MuLaw {
  static func encode(_ sample: Int16) -> UInt8 {
    let sign: UInt8 = sample < 0 ? 0x80 : 0
    let magnitude = min(abs(Int(sample)), 32_635) + 132
    let exponent = (Int.bitWidth - magnitude.leadingZeroBitCount) - 8
    return ~(sign | UInt8(exponent << 4) | UInt8(magnitude >> (exponent + 3) & 0x0F))
  }
  static func decode(_ octet: UInt8) -> Int16 {
    let bits = ~octet
    let magnitude = ((Int(bits & 0x0F) << 3) + 132) << Int(bits >> 4 & 7) - 132
    return Int16(bits & 0x80 != 0 ? -magnitude : magnitude)
  }
}

@Suite struct MediaStreamSimulation {
  /// Runs a call; `each` is called on every tick.
  private func talk(
    seconds: Int, _ path: Netem<[UInt8]>.Conditions, maxDelayMs: Int = 60, seed: UInt64,
    each: (Int, inout [Leg], VirtualClock) -> Void = { _, _, _ in }
  ) -> [Leg] {
    var clock = VirtualClock()
    var legs = [
      Leg(0x0A00_0001, frequency: 440, peer: 0x0A00_0002, path: path, maxDelayMs: maxDelayMs, seed: seed),
      Leg(0x0A00_0002, frequency: 1000, peer: 0x0A00_0001, path: path, maxDelayMs: maxDelayMs, seed: seed),
    ]
    for tick in 0..<(seconds * 50) {
      each(tick, &legs, clock)
      for i in 0..<2 { legs[i].send(at: clock.now) }
      clock.advance(.milliseconds(Int64(Leg.tickMs)))
      for i in 0..<2 {
        let from = legs[1 - i].address
        for (bytes, moment) in legs[1 - i].out.receive(at: clock.now) {
          legs[i].receive(bytes, from: from, at: moment)
        }
        legs[i].play(at: clock.now)
      }
    }
    return legs
  }

  @Test(arguments: [UInt64(1), 2, 3]) func tenMinutesOverAnOrdinaryLine(seed: UInt64) {
    let legs = talk(
      seconds: 600,
      Netem<[UInt8]>.Conditions(
        delay: .milliseconds(40), jitter: .milliseconds(30), loss: 0.01, lossBurst: 0.3, duplication: 0.002,
        reordering: 0.005, reorderDelay: .milliseconds(30)),
      seed: seed
    ) { tick, legs, _ in
      if tick % 3000 == 1500 { legs[0].sender.sendKeys("4711#") }
    }
    let probe = ToneProbe()
    for (leg, other) in [(legs[0], 1000.0), (legs[1], 440.0)] {
      let statistics = leg.receiver.statistics
      let sent = 30_000.0
      #expect(Double(statistics.buffer.late) / sent < 0.005, "late \(statistics.buffer.late)")
      #expect(abs(Double(statistics.lost) / sent - 0.0141) < 0.006, "lost \(statistics.lost)")
      // What was not lost or late is heard; the rest is concealed.
      #expect(Double(leg.heard.count) / (sent * 160) > 0.96)
      #expect(statistics.buffer.delayMs <= 65)
      #expect(statistics.buffer.resets == 0)
      #expect(statistics.buffer.duplicates > 20)
      // Each hears the other and not itself, from the first second to the last.
      for begin in stride(from: 8000, to: leg.heard.count - 8000, by: 800_000) {
        let second = leg.heard[begin..<(begin + 8000)]
        #expect(probe.heard([440, 1000], in: second) == [other])
      }
    }
    #expect(legs[1].digits == String(repeating: "4711#", count: 10))
    #expect(legs[0].digits == "")
  }

  @Test func jitterOfThirtyMillisecondsMakesHardlyAnythingLate() {
    let legs = talk(
      seconds: 300,
      Netem<[UInt8]>.Conditions(delay: .milliseconds(20), jitter: .milliseconds(30), jitterReorders: true), seed: 11)
    for leg in legs {
      let statistics = leg.receiver.statistics
      #expect(Double(statistics.buffer.late) / 15_000 < 0.005, "late \(statistics.buffer.late)")
      #expect(statistics.lost <= 3)
      #expect((30...60).contains(statistics.buffer.delayMs))
    }
  }

  @Test func theDelayFollowsTheLineDownAgain() {
    var worst = 0
    let legs = talk(seconds: 240, Netem<[UInt8]>.Conditions(), maxDelayMs: 200, seed: 5) { tick, legs, _ in
      let rough = tick < 3000
      for i in 0..<2 { legs[i].out.conditions.jitter = .milliseconds(rough ? 100 : 0) }
      if tick == 2999 { worst = legs[0].receiver.statistics.buffer.delayMs }
    }
    #expect(worst >= 80)
    #expect(legs.allSatisfy { $0.receiver.statistics.buffer.delayMs <= 60 })
  }

  @Test func aStrangerIsNotHeardAndIsCounted() {
    var voice = ProbeTone(frequency: 1700)
    var forged = RTPSender(ssrc: SSRC(666), sequence: 0, timestamp: 0)
    var buffer = [UInt8](repeating: 0, count: 200)
    let legs = talk(seconds: 20, Netem<[UInt8]>.Conditions(), seed: 6) { _, legs, clock in
      let octets = voice.next(160).map(MuLaw.encode)
      let size = buffer.withUnsafeMutableBytes { raw in
        octets.withUnsafeBytes { forged.writeAudio($0, payloadType: .pcmu, samples: 160, into: raw) }
      }
      guard legs[0].receiver.ssrc != nil else { return }
      legs[0].receive(Array(buffer[..<size]), from: RTPPeer(ipv4: 0x0606_0606, port: 4000), at: clock.now)
    }
    let probe = ToneProbe()
    #expect(probe.heard([440, 1000, 1700], in: legs[0].heard.suffix(80_000)) == [1000])
    #expect(legs[0].receiver.lock.foreignPackets > 900)
    #expect(legs[0].receiver.statistics.rejected == Int64(legs[0].receiver.lock.foreignPackets))
  }

  @Test func aCallSurvivesATenSecondOutage() {
    let legs = talk(seconds: 60, Netem<[UInt8]>.Conditions(), seed: 8) { tick, legs, _ in
      for i in 0..<2 { legs[i].out.conditions.loss = (1000..<1500).contains(tick) ? 1 : 0 }
    }
    for leg in legs {
      #expect(leg.receiver.statistics.lost == 500)
      #expect(leg.heard.count >= 2480 * 160)
      #expect(leg.concealed <= 1600)
      #expect(leg.receiver.statistics.buffer.late <= 2)
    }
  }
}
