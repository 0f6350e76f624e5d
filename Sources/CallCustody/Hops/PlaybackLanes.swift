import Base
import CallLink
import NIOConcurrencyHelpers

/// The voice's audio on its way to the media role: a bounded lane for each open playback. The service writes from its own threads,
/// the hop's event loop takes out.
final class PlaybackLanes: Sendable {
  /// Two seconds at 16 kHz: twice what the speech role feeds ahead.
  static let capacity = 32_768
  /// Samples in one frame: 100 ms, so that nothing else waits long behind it.
  static let piece = 1_600

  private struct Opening {
    var playback: PlaybackID
    var lane = AudioLane(capacity: PlaybackLanes.capacity, whenFull: .refuse)
    /// The number of the message that opened it; nil: not numbered yet.
    var number: UInt64?
    /// Until the listener says from where it wants to hear: it does when it has seen the message, and on a new transport.
    var isPaused = true
  }
  private let openings = NIOLockedValueBox<[Opening]>([])

  /// The playback is about to be opened: what is written for it from now on belongs to that.
  func open(_ playback: PlaybackID) { openings.withLockedValue { $0.append(Opening(playback: playback)) } }

  /// Samples taken; all of them where the playback is not open: nobody wants them any more.
  func write(_ pcm: UnsafeBufferPointer<Int16>, to playback: PlaybackID) -> Int {
    openings.withLockedValue { openings in
      guard let i = openings.lastIndex(where: { $0.playback == playback }) else { return pcm.count }
      return openings[i].lane.write(pcm)
    }
  }

  /// The oldest opening of the playback without a number has this one.
  func number(_ playback: PlaybackID, _ number: UInt64) {
    openings.withLockedValue { openings in
      guard let i = openings.firstIndex(where: { $0.playback == playback && $0.number == nil }) else { return }
      openings[i].number = number
    }
  }

  func heard(_ number: UInt64, through: Int64, mayReach: Int64) {
    openings.withLockedValue { openings in
      guard let i = openings.firstIndex(where: { $0.number == number }) else { return }
      if openings[i].isPaused {
        openings[i].isPaused = false
        openings[i].lane.resume(from: through, mayReach: mayReach)
      } else {
        openings[i].lane.heard(through: through, mayReach: mayReach)
      }
    }
  }

  /// The transport is gone.
  func pause() {
    openings.withLockedValue { openings in
      for i in openings.indices {
        openings[i].lane.pause()
        openings[i].isPaused = true
      }
    }
  }

  func close(_ playback: PlaybackID) {
    openings.withLockedValue { openings in
      if let i = openings.firstIndex(where: { $0.playback == playback }) { openings.remove(at: i) }
    }
  }

  /// What can be sent now, one frame at a time.
  func next() -> HopSound? {
    openings.withLockedValue { openings in
      for i in openings.indices {
        guard let number = openings[i].number else { continue }
        var sound: HopSound?
        _ = openings[i].lane.next(limit: Self.piece) { position, pcm in
          sound = .samples(lane: number, position: position, Array(pcm))
        }
        if let sound { return sound }
      }
      return nil
    }
  }
}
