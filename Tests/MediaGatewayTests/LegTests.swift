import Audio
import Base
import CallLink
import MediaGateway
import RTP
import Testing

/// A leg in virtual time, with a peer that sends and looks at what comes back.
private final class Bench {
  let peer = RTPPeer(ipv4: 0xC000_0207, port: 4000)
  let stranger = RTPPeer(ipv4: 0xC633_6401, port: 4000)
  var now = Instant(nanoseconds: 1_000_000_000)
  var leg: Leg
  var heard: [Int16] = []
  var positions: [Int64] = []
  var sent: [(header: RTPHeader, payload: [UInt8])] = []
  var controls = 0
  var events: [Leg.Event] = []
  var sequence: UInt16 = 100
  var timestamp: UInt32 = 5000
  let registry = PlaybackRegistry()
  private final class Ear {
    var heard: [Int16] = []
    var positions: [Int64] = []
  }
  private let ear = Ear()

  init(telephoneEvent: Bool = true, _ change: (inout Leg.Configuration) -> Void = { _ in }) throws {
    var configuration = Leg.Configuration(
      format: LegFormat(law: .ulaw, telephoneEvent: telephoneEvent ? PayloadType(101) : nil, remote: peer))
    change(&configuration)
    var random = SeededRandom(seed: 11)
    leg = try Leg(configuration, random: &random, at: now) { [ear] pcm, position in
      ear.heard += pcm
      ear.positions.append(position)
    }
  }

  func packet(_ type: UInt8, _ payload: [UInt8], marker: Bool = false, advance: UInt32 = 160) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: RTPHeader.size)
    bytes.withUnsafeMutableBytes {
      _ = RTPHeader(
        marker: marker, payloadType: PayloadType(type), sequence: sequence, timestamp: timestamp, ssrc: SSRC(77)
      ).write(into: $0)
    }
    sequence &+= 1
    timestamp &+= advance
    return bytes + payload
  }

  func receive(_ bytes: [UInt8], from source: RTPPeer? = nil) {
    bytes.withUnsafeBytes { leg.receive($0, from: source ?? peer, at: now, ntp: { 0 }) }
  }

  func tick() {
    let output = leg.tick(at: now, ntp: { 1 << 32 })
    if let audio = output.audio, let view = try? RTPPacketView(audio) {
      sent.append(
        (
          RTPHeader(
            marker: view.marker, payloadType: view.payloadType, sequence: view.sequence, timestamp: view.timestamp,
            ssrc: view.ssrc), Array(view.payload)
        ))
    }
    if output.control != nil { controls += 1 }
    events += leg.events
    leg.events.removeAll()
    heard = ear.heard
    positions = ear.positions
    now += .milliseconds(20)
  }

  /// Speaks a tone for `frames` ticks.
  func speak(_ frames: Int, hertz: Double = 440, tickToo: Bool = true) {
    var phase = 0.0
    for _ in 0..<frames {
      var samples = [Int16](repeating: 0, count: 160)
      for i in samples.indices {
        // A triangle is tone enough, and needs no mathematics library.
        phase += hertz / 8000
        let x = phase - phase.rounded(.down)
        samples[i] = Int16((abs(x - 0.5) * 4 - 1) * 8000)
      }
      receive(packet(0, samples.map { G711.encode($0, law: .ulaw) }))
      if tickToo { tick() }
    }
  }

  func play(_ id: UInt32, _ samples: [Int16], end: Bool = true) {
    guard let buffer = registry.open(PlaybackID(id)) else { return }
    leg.playout.open(buffer)
    samples.withUnsafeBufferPointer { _ = registry.write($0, to: PlaybackID(id)) }
    if end { leg.playout.end(PlaybackID(id)) }
  }

  func decoded(_ index: Int) -> [Int16] { sent[index].payload.map { G711.decode($0, law: .ulaw) } }
}

private func level(_ samples: some Collection<Int16>) -> Double {
  samples.isEmpty ? 0 : Double(samples.reduce(0) { $0 + Int($1.magnitude) }) / Double(samples.count)
}

@Suite struct LegTests {
  @Test func everyTickSendsExactlyOnePacketWithAContinuousClock() throws {
    let bench = try Bench()
    for _ in 0..<500 { bench.tick() }
    #expect(bench.sent.count == 500)
    #expect(bench.sent[0].header.marker)
    #expect(bench.sent.dropFirst().allSatisfy { !$0.header.marker })
    for (a, b) in zip(bench.sent, bench.sent.dropFirst()) {
      #expect(b.header.sequence == a.header.sequence &+ 1)
      #expect(b.header.timestamp == a.header.timestamp &+ 160)
      #expect(b.payload.count == 160)
    }
    #expect(bench.controls >= 2, "a report about every five seconds")
    #expect(bench.events.filter { if case .quality = $0 { true } else { false } }.count == 1)
  }

  @Test func theCallersVoiceArrivesWideAndWithoutGaps() throws {
    let bench = try Bench()
    bench.speak(100)
    #expect(bench.positions == (0..<100).map { Int64($0) * 320 })
    #expect(level(bench.heard.suffix(320 * 50)) > 2000)
    #expect(bench.leg.quality.packetsReceived == 100)
    #expect(bench.leg.quality.packetsLost == 0)
  }

  @Test func lostPacketsAreConcealedAndCounted() throws {
    let bench = try Bench()
    bench.speak(50)
    _ = bench.packet(0, [UInt8](repeating: 0xFF, count: 160))
    bench.tick()
    bench.speak(50)
    #expect(bench.positions.count == 101)
    #expect(bench.leg.quality.packetsLost == 1)
    // The hole is filled with what the voice was like.
    let frames = stride(from: 320 * 40, to: bench.heard.count - 320, by: 320).map { level(bench.heard[$0..<$0 + 320]) }
    #expect(frames.allSatisfy { $0 > 500 }, "\(frames)")
  }

  @Test func foreignPacketsAreDroppedAndCounted() throws {
    let bench = try Bench()
    bench.speak(20)
    for _ in 0..<10 { bench.receive(bench.packet(0, [UInt8](repeating: 0, count: 160)), from: bench.stranger) }
    #expect(bench.leg.rejected[.foreignSource] == 10)
    #expect(bench.leg.remote == bench.peer)
    for bytes in [[], [0x80], [UInt8](repeating: 0xFF, count: 300), [0x40] + [UInt8](repeating: 0, count: 40)] {
      bench.receive(bytes)
    }
    #expect(bench.leg.rejected.values.reduce(0, +) == 14)
  }

  @Test func keysComeOnceWithTheirLength() throws {
    let bench = try Bench()
    bench.speak(10)
    let begin = bench.timestamp
    for n in 1...5 {
      bench.timestamp = begin
      bench.receive(bench.packet(101, [5, 10, UInt8(n * 160 >> 8), UInt8(n * 160 & 255)], marker: n == 1, advance: 0))
      bench.tick()
    }
    for _ in 0..<3 {
      bench.receive(bench.packet(101, [5, 0x8A, UInt8(800 >> 8), UInt8(800 & 255)], advance: 0))
      bench.tick()
    }
    #expect(bench.events.filter { if case .digit = $0 { true } else { false } } == [.digit("5", durationMs: 100)])
  }

  @Test func keysGoOutAsEventsInPlaceOfAudio() throws {
    let bench = try Bench()
    bench.tick()
    bench.leg.sendDigits("42", durationMs: 100)
    for _ in 0..<40 { bench.tick() }
    let keys = bench.sent.filter { $0.header.payloadType == PayloadType(101) }
    #expect(Set(keys.map { $0.payload[0] }) == [4, 2])
    #expect(keys.filter { $0.payload[1] & 0x80 != 0 }.count == 6, "each end is sent three times")
    #expect(bench.sent.last?.header.payloadType == .pcmu)
  }

  @Test func withoutEventsKeysAreTonesBothWays() throws {
    let out = try Bench(telephoneEvent: false)
    let into = try Bench(telephoneEvent: false)
    out.leg.sendDigits("7", durationMs: 120)
    for _ in 0..<40 {
      out.tick()
      if let last = out.sent.last { into.receive(into.packet(0, last.payload)) }
      into.tick()
    }
    let digits = into.events.compactMap { if case .digit(let digit, _) = $0 { digit } else { nil } }
    #expect(digits == ["7"])
  }

  @Test func aClearIsHeardInTheNextPacket() throws {
    let bench = try Bench()
    bench.play(1, (0..<16_000).map { Int16($0 % 40 * 500 - 10_000) })
    for _ in 0..<10 { bench.tick() }
    #expect(level(bench.decoded(9)) > 2000)
    bench.leg.playout.clear(nil)
    bench.tick()
    // 5 ms of fade and 3 ms of the resampler's memory; the rest of the next packet is silence.
    #expect(level(bench.decoded(10)[80...]) < 20, "\(level(bench.decoded(10)[80...]))")
    bench.tick()
    #expect(bench.decoded(11).allSatisfy { abs(Int($0)) < 20 })
    #expect(bench.events.contains(.playout(.cleared(PlaybackID(1), playedSamples: 10 * 320 + Playout.fadeSamples))))
  }

  @Test func aPromptIsHeardInFull() throws {
    let bench = try Bench()
    bench.play(1, [Int16](repeating: 0, count: 320) + (0..<3200).map { Int16($0 % 40 * 500 - 10_000) })
    for _ in 0..<15 { bench.tick() }
    #expect(bench.events.contains(.playout(.started(PlaybackID(1)))))
    #expect(bench.events.contains(.playout(.finished(PlaybackID(1)))))
    let loud = (0..<15).filter { level(bench.decoded($0)) > 1000 }
    #expect(loud.count >= 10 && loud.count <= 11)
  }

  @Test func onHoldNothingIsSentAndNothingIsLost() throws {
    let bench = try Bench()
    bench.play(1, [Int16](repeating: 4000, count: 6400))
    for _ in 0..<5 { bench.tick() }
    var held = bench.leg.format
    held.sends = false
    bench.leg.renegotiate(held, at: bench.now)
    let before = bench.sent.count
    for _ in 0..<3000 { bench.tick() }
    #expect(bench.sent.count == before, "a minute on hold")
    #expect(!bench.events.contains(.mediaTimeout))
    held.sends = true
    bench.leg.renegotiate(held, at: bench.now)
    for _ in 0..<20 { bench.tick() }
    #expect(bench.sent[before].header.marker, "a new talkspurt")
    #expect(bench.sent[before].header.timestamp == bench.sent[before - 1].header.timestamp &+ 160 * 3001)
    #expect(bench.events.contains(.playout(.finished(PlaybackID(1)))))
  }

  @Test func silenceOfThePeerEndsTheCallOnce() throws {
    let bench = try Bench { $0.mediaTimeout = .seconds(2) }
    bench.speak(50)
    for _ in 0..<99 { bench.tick() }
    #expect(!bench.events.contains(.mediaTimeout))
    for _ in 0..<200 { bench.tick() }
    #expect(bench.events.filter { $0 == .mediaTimeout }.count == 1)
  }

  /// Half an hour of a call with a bad network in an instant: no packet out of step, no crash, every position in order.
  @Test(arguments: [3, 99] as [UInt64])
  func staysInStepThroughAnything(seed: UInt64) throws {
    let bench = try Bench()
    var random = SeededRandom(seed: seed)
    for _ in 0..<5000 {
      for _ in 0..<Int.random(in: 0...2, using: &random) {
        var bytes = bench.packet(
          UInt8.random(in: 0...127, using: &random) % 3 == 0 ? 101 : 0,
          (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
        if Int.random(in: 0..<10, using: &random) == 0 {
          for _ in 0..<3 {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
          }
        }
        bench.receive(bytes, from: Int.random(in: 0..<20, using: &random) == 0 ? bench.stranger : bench.peer)
      }
      bench.tick()
    }
    #expect(bench.positions == (0..<5000).map { Int64($0) * 320 })
    #expect(bench.sent.count == 5000)
  }
}
