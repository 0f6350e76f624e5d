import Base
import CallLink
import MediaGateway
import Testing

/// Frames and the events that came with them.
private struct Player {
  var playout = Playout()
  let registry = PlaybackRegistry()
  var events: [Playout.Event] = []

  mutating func play(_ id: UInt32) {
    if let buffer = registry.open(PlaybackID(id)) { playout.open(buffer) }
  }

  func write(_ id: UInt32, _ samples: [Int16]) -> Int {
    samples.withUnsafeBufferPointer { registry.write($0, to: PlaybackID(id)) }
  }

  mutating func frame() -> [Int16] {
    var frame = [Int16](repeating: -1, count: Playout.frameSamples)
    frame.withUnsafeMutableBufferPointer { _ = playout.fill($0) }
    for event in playout.events {
      events.append(event)
      switch event {
      case .finished(let id), .cleared(let id, _): registry.close(id)
      case .started, .progress: break
      }
    }
    playout.events.removeAll()
    return frame
  }
}

@Suite struct PlayoutTests {
  @Test func playbacksFollowEachOtherWithoutAGap() {
    var player = Player()
    player.play(1)
    player.play(2)
    // The second one's audio is there first: it must wait its turn all the same.
    #expect(player.write(2, [Int16](repeating: 2, count: 400)) == 400)
    #expect(player.write(1, [Int16](repeating: 1, count: 500)) == 500)
    player.playout.end(PlaybackID(1))
    player.playout.end(PlaybackID(2))
    let heard = player.frame() + player.frame() + player.frame()
    #expect(
      heard == [Int16](repeating: 1, count: 500) + [Int16](repeating: 2, count: 400) + [Int16](repeating: 0, count: 60))
    #expect(
      player.events == [
        .started(PlaybackID(1)), .finished(PlaybackID(1)), .started(PlaybackID(2)), .finished(PlaybackID(2)),
      ])
  }

  @Test func aClearFadesWithinFiveMillisecondsAndTellsWhatWasPlayed() {
    var player = Player()
    player.play(1)
    #expect(player.write(1, [Int16](repeating: 10_000, count: 5000)) == 5000)
    _ = player.frame()
    player.playout.clear(PlaybackID(1))
    let frame = player.frame()
    #expect(frame[0] > 9000)
    #expect(zip(frame, frame.dropFirst()).allSatisfy { $0 >= $1 })
    #expect(frame[Playout.fadeSamples...].allSatisfy { $0 == 0 })
    #expect(player.events.last == .cleared(PlaybackID(1), playedSamples: 320 + Playout.fadeSamples))
    #expect(player.playout.isIdle)
    // Whoever is still writing is not held up by a playback that is over.
    #expect(player.write(1, [Int16](repeating: 1, count: 320)) == 320)
  }

  @Test func aPlaybackThatRunsDryIsCountedAndGoesOn() {
    var player = Player()
    player.play(1)
    #expect(player.frame().allSatisfy { $0 == 0 })
    #expect(player.playout.underruns == 0, "nothing had begun")
    #expect(player.write(1, [Int16](repeating: 5, count: 330)) == 330)
    #expect(player.frame().allSatisfy { $0 == 5 })
    #expect(player.frame().allSatisfy { $0 == 0 }, "ten samples are kept for a whole frame")
    #expect(player.playout.underruns == 1)
    #expect(player.write(1, [Int16](repeating: 5, count: 310)) == 310)
    #expect(player.frame().allSatisfy { $0 == 5 })
  }

  @Test func aFullPlaybackTurnsTheWriterAwayAndCallsItBack() {
    var player = Player()
    player.play(1)
    let offered = PlaybackBuffer.capacitySamples + 1000
    #expect(player.write(1, [Int16](repeating: 1, count: offered)) == PlaybackBuffer.capacitySamples)
    var frames = 0
    while !player.events.contains(where: { if case .progress = $0 { true } else { false } }) {
      _ = player.frame()
      frames += 1
      if frames > 10 { break }
    }
    #expect(frames == Playout.progressFrames, "progress every 100 ms")
    let before = player.events.count
    while player.playout.isIdle == false, frames < 60 {
      _ = player.frame()
      frames += 1
    }
    #expect(player.events.count > before)
    #expect(player.write(1, [Int16](repeating: 1, count: 1000)) == 1000)
  }

  @Test func aPlaybackWithoutASampleIsToldAsFinished() {
    var player = Player()
    player.play(7)
    player.playout.end(PlaybackID(7))
    _ = player.frame()
    #expect(player.events == [.finished(PlaybackID(7))])
  }

  @Test func moreThanTheLimitOfPlaybacksIsRefused() {
    let registry = PlaybackRegistry()
    for id in 0..<UInt32(PlaybackRegistry.limit) { #expect(registry.open(PlaybackID(id)) != nil) }
    #expect(registry.open(PlaybackID(1000)) == nil)
    registry.close(PlaybackID(3))
    #expect(registry.open(PlaybackID(1000)) != nil)
  }

  /// Random plays, writes, ends, clears and frames: whatever the order, a clear drops what was open when it came and nothing
  /// that was opened after it, and every sample heard comes from the playback whose turn it is.
  @Test(arguments: [1, 7, 42, 4711, 90210] as [UInt64])
  func aClearNeverTouchesALaterPlayback(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var player = Player()
    var next: UInt32 = 1
    var written: [UInt32: Int] = [:]
    var open: [UInt32] = []
    var cleared: Set<UInt32> = []
    var heard: [UInt32: Int] = [:]
    var lastHeard: UInt32 = 0
    var eventsSeen = 0
    func hear(_ frame: [Int16]) {
      // A fade changes the level by which a playback is told from others, so it is left out of the comparison.
      var faded = 0
      for case .cleared(let id, let played) in player.events[eventsSeen...] {
        faded += played - heard[id.value, default: 0]
      }
      eventsSeen = player.events.count
      for sample in frame[faded...] where sample != 0 {
        let id = UInt32(sample / 100)
        #expect(id >= lastHeard, "seed \(seed): playback \(id) heard after \(lastHeard)")
        lastHeard = max(lastHeard, id)
        heard[id, default: 0] += 1
      }
    }
    for _ in 0..<2000 {
      switch UInt32.random(in: 0..<10, using: &random) {
      case 0 where next < 300:
        player.play(next)
        open.append(next)
        next += 1
      case 1...4:
        guard let id = open.randomElement(using: &random) else { continue }
        let count = Int.random(in: 1...700, using: &random)
        written[id, default: 0] += player.write(id, [Int16](repeating: Int16(id) * 100, count: count))
      case 5:
        guard let id = open.randomElement(using: &random) else { continue }
        player.playout.end(PlaybackID(id))
        open.removeAll { $0 == id }
      case 6 where UInt32.random(in: 0..<4, using: &random) == 0:
        player.playout.clear(nil)
        // Everything opened so far, unless it is through already.
        cleared.formUnion(1..<max(1, next))
        open = []
      default: hear(player.frame())
      }
    }
    for id in open { player.playout.end(PlaybackID(id)) }
    var frames = 0
    while !player.playout.isIdle, frames < 100_000 {
      hear(player.frame())
      frames += 1
    }
    #expect(player.playout.isIdle)
    for id in 1..<next where !cleared.contains(id) {
      #expect(heard[id, default: 0] == written[id, default: 0], "seed \(seed): playback \(id) lost audio")
    }
    let endings = player.events.compactMap { event -> PlaybackID? in
      switch event {
      case .finished(let id), .cleared(let id, _): id
      case .started, .progress: nil
      }
    }
    #expect(
      endings.count == Int(next) - 1 && Set(endings).count == endings.count, "seed \(seed): each ends exactly once")
  }
}
