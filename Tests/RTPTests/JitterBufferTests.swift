import Base
import RTP
import Testing

/// A format that may be cut anywhere and is never taken for a quiet passage, so that what is heard can be compared.
private let plain = PayloadType(97)

@Suite struct JitterBufferTests {
  /// Octets that say which sample of the stream they are.
  private func samples(_ from: Int, _ count: Int) -> [UInt8] { (from..<(from + count)).map { UInt8($0 / 80 % 251) } }

  private func frame(_ index: Int, size: Int = 160, first: UInt16 = 100, stamp: UInt32 = 5000) -> [UInt8] {
    packet(
      first &+ UInt16(truncatingIfNeeded: index), stamp &+ UInt32(truncatingIfNeeded: index * size), type: plain,
      payload: samples(index * size, size))
  }

  /// Sends `count` frames at their time, some changed by `path` (nil: lost; else the delay in ms), and plays them out.
  private func play(
    count: Int, size: Int = 160, first: UInt16 = 100, stamp: UInt32 = 5000, maxDelayMs: Int = 60,
    path: (Int) -> Double? = { _ in 0 }
  ) -> (heard: Heard, statistics: RTPReceiver.Statistics) {
    var target = receiver(maxDelayMs: maxDelayMs)
    let frameMs = Double(size) / 8
    var arrivals: [(at: Double, index: Int)] = []
    for index in 0..<count { if let delay = path(index) { arrivals.append((Double(index) * frameMs + delay, index)) } }
    arrivals.sort { ($0.at, $0.index) < ($1.at, $1.index) }
    var heard = Heard()
    var next = 0
    var now = 3.0
    let end = Double(count) * frameMs
    var atTheEnd = JitterBuffer.Statistics()
    // A while longer, so that what is buffered is heard too.
    while now < end + 400 {
      if now < end { atTheEnd = target.statistics.buffer }
      while next < arrivals.count, arrivals[next].at <= now {
        _ = target.receive(
          frame(arrivals[next].index, size: size, first: first, stamp: stamp), at: at(arrivals[next].at))
        next += 1
      }
      let before = heard.total
      _ = target.pull(at: at(now), into: &heard)
      #expect(heard.total - before == 160)
      now += 20
    }
    var statistics = target.statistics
    statistics.buffer.delayMs = atTheEnd.delayMs
    return (heard, statistics)
  }

  @Test(arguments: [80, 160, 240, 320, 400, 480]) func everyPacketTimeIsPlayedSampleForSample(size: Int) {
    let (heard, statistics) = play(count: 200, size: size)
    #expect(same(heard.audio, samples(0, 200 * size)))
    #expect(statistics.lost == 0)
    #expect(statistics.buffer.late == 0)
    #expect(statistics.buffer.droppedSamples + statistics.buffer.stretchedSamples == 0)
  }

  @Test func sequenceAndTimestampWrapUnheard() {
    let (heard, statistics) = play(count: 400, first: 65_400, stamp: .max - 20_000)
    #expect(same(heard.audio, samples(0, 400 * 160)))
    #expect(statistics.lost == 0)
  }

  @Test func swappedPacketsAreHeardInOrder() {
    // The first swap may cost a packet; by then the buffer knows the line.
    let (heard, statistics) = play(count: 300) { $0 % 10 == 3 ? 25 : 0 }
    #expect(heard.audio.count >= 299 * 160)
    #expect(same(heard.audio.suffix(280 * 160), samples(20 * 160, 280 * 160)))
    #expect(statistics.lost == 0)
    #expect(statistics.buffer.late <= 1)
  }

  @Test func duplicatesAreDroppedAndCounted() {
    var target = receiver()
    var heard = Heard()
    for i in 0..<50 {
      let now = at(Double(i) * 20)
      #expect(target.receive(frame(i), at: now) == .audio)
      #expect(target.receive(frame(i), at: now) == .rejected(.duplicate))
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    #expect(target.statistics.buffer.duplicates == 50)
    #expect(same(heard.audio, samples(0, heard.audio.count)))
  }

  @Test func aLostPacketIsConcealedForItsLengthAndAddsNoDelay() {
    let (heard, statistics) = play(count: 300) { $0 % 20 == 10 ? nil : 0 }
    #expect(statistics.lost == 15)
    #expect(heard.audio.count == 285 * 160)
    // The last 100 ms of concealment follow the stream's end.
    #expect((15 * 160...(15 * 160 + 800)).contains(heard.concealed))
    #expect(statistics.buffer.delayMs <= 60)
    #expect(statistics.buffer.late == 0)
  }

  @Test func packetsBehindTheirTimeAreLateAndCounted() {
    var target = receiver()
    var heard = Heard()
    for i in 0..<20 where i != 5 {
      _ = target.receive(frame(i), at: at(Double(i) * 20))
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    #expect(target.receive(frame(5), at: at(400)) == .rejected(.late))
    #expect(target.statistics.buffer.late == 1)
  }

  @Test func underJitterTheDelayGrowsUntilHardlyAnythingIsLate() {
    var random = SeededRandom(seed: 7)
    let delays = (0..<3000).map { _ in Double.random(in: 0...30, using: &random) }
    let (heard, statistics) = play(count: 3000) { delays[$0] }
    #expect(statistics.buffer.late < 15)
    #expect(heard.audio.count > 2985 * 160)
    #expect(statistics.buffer.delayMs <= 60)
    #expect(statistics.jitterMs > 5)
  }

  @Test func withoutJitterTheDelayIsSmall() {
    let (_, statistics) = play(count: 1000)
    #expect(statistics.buffer.delayMs <= 40)
    #expect(statistics.buffer.targetDelayMs <= 20)
  }

  @Test func theDelayNeverExceedsItsLimit() {
    var random = SeededRandom(seed: 9)
    let delays = (0..<2000).map { _ in Double.random(in: 0...150, using: &random) }
    let (heard, statistics) = play(count: 2000, maxDelayMs: 60) { delays[$0] }
    #expect(statistics.buffer.delayMs <= 65)
    #expect(statistics.buffer.late > 100)
    #expect(heard.audio.count > 500 * 160)
  }

  @Test func afterAStallTheCallGoesOnAtItsOldDelay() {
    // 500 ms of packets come at once.
    let (heard, statistics) = play(count: 300) { (100..<125).contains($0) ? Double(125 - $0) * 20 : 0 }
    #expect(same(heard.audio.suffix(160 * 170), samples(130 * 160, 170 * 160)))
    #expect(statistics.buffer.delayMs <= 65)
  }

  @Test func whereTheLineGrowsSlowerNothingIsLost() {
    // Each step is more than the delay in hand: the playout waits for the packets instead of skipping them.
    let (heard, statistics) = play(count: 300, maxDelayMs: 80) { $0 < 100 ? 0 : $0 < 200 ? 30 : 50 }
    #expect(same(heard.audio, samples(0, 300 * 160)))
    #expect(statistics.buffer.late == 0)
    #expect(statistics.buffer.underruns > 0)
  }

  @Test func whereTheLineGrowsQuickerTheDelayComesDownAtOnce() {
    let (heard, statistics) = play(count: 160) { $0 < 100 ? 150 : 0 }
    #expect(statistics.buffer.delayMs <= 65)
    #expect(statistics.buffer.droppedSamples >= 700)
    #expect(same(heard.audio.suffix(50 * 160), samples(110 * 160, 50 * 160)))
  }

  @Test func aPauseOfTheSenderIsSilenceNotLoss() {
    var target = receiver()
    var heard = Heard()
    var sequence: UInt16 = 0
    for i in 0..<300 {
      let now = Double(i) * 20
      // Speaks a second, then says so and pauses for a second.
      if i % 100 < 50 {
        _ = target.receive(
          packet(sequence, UInt32(i * 160), type: plain, marker: i % 100 == 0, payload: samples(0, 160)), at: at(now))
        sequence += 1
      } else if i % 100 == 50 {
        _ = target.receive(packet(sequence, UInt32(i * 160), type: .comfortNoise, payload: [60]), at: at(now))
        sequence += 1
      }
      _ = target.pull(at: at(now + 3), into: &heard)
    }
    #expect(heard.concealed == 0)
    #expect(heard.audio.count == 150 * 160)
    #expect(target.statistics.buffer.underruns == 0)
    #expect(target.statistics.lost == 0)
  }

  @Test func aKeyPressInTheStreamLeavesNoGap() throws {
    var target = receiver()
    var heard = Heard()
    var digits: [TelephoneEvent] = []
    for i in 0..<60 {
      let now = at(Double(i) * 20)
      let bytes =
        (20..<30).contains(i)
        ? packet(
          UInt16(i), 20 * 160, type: PayloadType(101), marker: i == 20,
          payload: [5, i >= 27 ? 0x8A : 0x0A] + bigEndian(min(i - 19, 8) * 160))
        : packet(UInt16(i), UInt32(i * 160), type: plain, payload: samples(i * 160, 160))
      if case .event(let changes) = target.receive(bytes, at: now) { changes.forEach { digits.append($0) } }
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    let five = try #require(TelephoneKey("5"))
    #expect(digits == [.began(five), .ended(five, durationMs: 160)])
    #expect(heard.concealed == 0)
    #expect(target.statistics.lost == 0)
    #expect(target.statistics.buffer.underruns == 0)
  }

  @Test func aNewSourceAtTheSamePeerIsBelievedWithItsSecondPacket() {
    var target = receiver()
    var heard = Heard()
    for i in 0..<20 {
      _ = target.receive(frame(i), at: at(Double(i) * 20))
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    heard = Heard()
    for i in 20..<60 {
      let outcome = target.receive(
        packet(
          UInt16(i) &+ 40_000, UInt32(i * 160) &+ 900_000_000, type: plain, ssrc: 99, payload: samples(i * 160, 160)),
        at: at(Double(i) * 20))
      #expect(outcome == (i == 20 ? .rejected(.unprovenSource) : .audio))
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    #expect(target.ssrc == SSRC(99))
    #expect(heard.audio.count >= 36 * 160)
    #expect(target.statistics.received == 59)
  }

  private static let leaps: [Int64] = [1 << 30, -1 << 30, 24_000, -24_000, -4000]

  @Test(arguments: leaps) func aLeapOfTheTimestampsIsSurvived(leap: Int64) {
    var target = receiver()
    var heard = Heard()
    for i in 0..<200 {
      let stamp = UInt32(truncatingIfNeeded: Int64(i * 160) + (i >= 100 ? leap : 0))
      _ = target.receive(packet(UInt16(i), stamp, type: plain, payload: samples(i * 160, 160)), at: at(Double(i) * 20))
      if i == 120 { heard = Heard() }
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    #expect(heard.audio.count > 78 * 160)
    #expect(target.statistics.buffer.delayMs <= 60)
  }

  @Test func quietPassagesGiveBackDelayThatIsNoLongerNeeded() {
    var target = receiver(maxDelayMs: 200)
    var heard = Heard()
    var random = SeededRandom(seed: 3)
    var queue: [(Double, Int)] = []
    var highest = 0
    for i in 0..<6000 {
      // A rough first 10 seconds, then a clean line; mu-law silence throughout.
      queue.append((Double(i) * 20 + (i < 500 ? Double.random(in: 0...100, using: &random) : 0), i))
      queue.sort { $0.0 < $1.0 }
      while let first = queue.first, first.0 <= Double(i) * 20 {
        _ = target.receive(
          packet(UInt16(first.1), UInt32(first.1 * 160), payload: [UInt8](repeating: 0xFF, count: 160)), at: at(first.0)
        )
        queue.removeFirst()
      }
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
      if i < 700 { highest = max(highest, target.statistics.buffer.delayMs) }
    }
    #expect(highest >= 80)
    #expect(target.statistics.buffer.delayMs <= 40)
    #expect(target.statistics.buffer.droppedSamples > 0)
  }

  @Test func aSenderWhoseClockIsSlowOrFastIsFollowed() {
    for drift in [-0.0005, 0.0005] {
      let (heard, statistics) = play(count: 9000) { Double($0) * 20 * drift }
      #expect(statistics.buffer.late <= 10)
      #expect(heard.audio.count > 8980 * 160)
      #expect(statistics.buffer.delayMs <= 65)
    }
  }

  @Test func beforeTheFirstPacketThereIsSilence() {
    var target = receiver()
    var heard = Heard()
    for i in 0..<10 { _ = target.pull(at: at(Double(i) * 20), into: &heard) }
    #expect(heard == Heard(audio: [], concealed: 0, silent: 1600))
    #expect(target.statistics.buffer.underruns == 0)
  }

  @Test func whenTheStreamEndsConcealmentGivesWayToSilence() {
    var target = receiver()
    var heard = Heard()
    for i in 0..<100 {
      if i < 20 { _ = target.receive(frame(i), at: at(Double(i) * 20)) }
      _ = target.pull(at: at(Double(i) * 20 + 3), into: &heard)
    }
    #expect(heard.concealed == 800)
    #expect(heard.silent > 70 * 160)
    #expect(target.statistics.buffer.underruns == 5)
  }

  @Test func hugeAndEmptyPayloadsAreHarmless() {
    var target = receiver()
    #expect(target.receive(packet(1, 0, payload: []), at: at(0)) == .audio)
    #expect(
      target.receive(packet(2, 0, payload: [UInt8](repeating: 0, count: 1400)), at: at(1)) == .rejected(.badPayload))
    #expect(target.receive(packet(3, 0, type: PayloadType(55)), at: at(2)) == .rejected(.unknownPayloadType))
    var heard = Heard()
    _ = target.pull(at: at(3), into: &heard)
    #expect(heard.silent == 160)
  }
}

func bigEndian(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

/// Keeps a failure's message readable.
private func same(_ a: some Sequence<UInt8>, _ b: some Sequence<UInt8>) -> Bool { a.elementsEqual(b) }
