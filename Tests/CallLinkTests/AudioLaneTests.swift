import Base
import CallLink
import Testing

@Suite struct AudioLaneTests {
  private func write(_ lane: inout AudioLane, _ range: Range<Int>, at position: Int64? = nil) -> Int {
    range.map { Int16(truncatingIfNeeded: $0) }.withUnsafeBufferPointer { lane.write($0, position: position) }
  }

  private func read(_ lane: inout AudioLane, limit: Int = 1_000) -> (positions: [Int64], samples: [Int16]) {
    var positions: [Int64] = []
    var samples: [Int16] = []
    while lane.next(
      limit: limit,
      { position, pcm in
        positions.append(position)
        samples += pcm
      })
    {}
    return (positions, samples)
  }

  @Test func audioIsRepeatedFromWhereTheListenerWants() {
    var lane = AudioLane(capacity: 100, whenFull: .skipOldest)
    lane.resume(from: 0, mayReach: 1_000)
    #expect(write(&lane, 0..<60) == 60)
    #expect(read(&lane).samples == (0..<60).map { Int16($0) })
    lane.heard(through: 20, mayReach: 1_000)
    lane.pause()
    #expect(write(&lane, 60..<80, at: 60) == 20)
    #expect(read(&lane).samples == [])
    lane.resume(from: 30, mayReach: 1_000)
    #expect(read(&lane).samples == (30..<80).map { Int16($0) })
    #expect(lane.skipped == 0)
    // A successor that remembers nothing gets all there is.
    lane.resume(from: nil, mayReach: 1_000)
    #expect(read(&lane).samples == (20..<80).map { Int16($0) })
  }

  @Test func aLiveVoiceGoesOnAndTheOldestIsSkipped() {
    var lane = AudioLane(capacity: 100, whenFull: .skipOldest)
    for begin in stride(from: 0, to: 300, by: 20) {
      #expect(write(&lane, begin..<(begin + 20), at: Int64(begin)) == 20)
    }
    #expect(lane.skipped == 200)
    lane.resume(from: 0, mayReach: 1_000)
    let read = read(&lane)
    #expect(read.samples == (200..<300).map { Int16($0) })
    #expect(read.positions.first == 200)
    #expect(write(&lane, 300..<700) == 400)
    #expect(self.read(&lane).samples == (600..<700).map { Int16($0) })
  }

  @Test func aPromptWaitsForItsListener() {
    var lane = AudioLane(capacity: 100, whenFull: .refuse)
    lane.resume(from: 0, mayReach: 30)
    #expect(write(&lane, 0..<80) == 80)
    #expect(write(&lane, 80..<160) == 20)
    #expect(read(&lane, limit: 16).samples.count == 30)
    lane.heard(through: 25, mayReach: 60)
    #expect(write(&lane, 100..<160) == 25)
    #expect(read(&lane).samples == (30..<60).map { Int16($0) })
    #expect(lane.skipped == 0)
  }

  @Test func theListenerDropsWhatCameTwiceAndKnowsWhatNeverCame() {
    var hearing = AudioHearing()
    let heard = [(0, 320), (160, 320), (0, 100), (640, 320)].map { hearing.receive(position: Int64($0), count: $1) }
    #expect(heard.map { $0?.repeated } == [0, 160, 100, 0])
    #expect(heard.map { $0?.missing } == [0, 0, 0, 160])
    #expect(hearing.next == 960)
    for (position, count) in [(Int64(-1), 320), (.max, 320), (0, Int.max)] {
      let wrong = hearing.receive(position: position, count: count)
      #expect(wrong == nil)
    }
    #expect(hearing.next == 960)
  }

  @Test func noListenersWordBringsALaneDown() {
    var random = SeededRandom(seed: 3)
    var lane = AudioLane(capacity: 64, whenFull: .skipOldest)
    for _ in 0..<5_000 {
      let wild: [Int64] = [.min, -1, 0, 1, 63, 64, 1_000, .max]
      let (a, b) = (wild[Int(random.next() % 8)], wild[Int(random.next() % 8)])
      switch random.next() % 4 {
      case 0: lane.heard(through: a, mayReach: b)
      case 1: lane.resume(from: a, mayReach: b)
      case 2: lane.pause()
      default: _ = write(&lane, 0..<Int(random.next() % 150))
      }
      #expect(read(&lane, limit: 10).samples.count <= 64)
    }
  }
}
