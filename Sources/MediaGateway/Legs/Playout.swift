import Base
import CallLink

/// What a leg says: the queue of playbacks, cut into frames. Pure: it is asked for one frame per tick.
package struct Playout {
  /// Samples of one frame: 20 ms at 16 kHz.
  package static let frameSamples = 320
  /// A clear fades over 5 ms: short enough to be in the next packet, long enough not to click.
  package static let fadeSamples = 80
  /// Progress is told every 100 ms.
  package static let progressFrames = 5

  package enum Event: Equatable {
    case started(PlaybackID)
    case progress(PlaybackID, playedSamples: Int)
    case finished(PlaybackID)
    case cleared(PlaybackID, playedSamples: Int)
  }

  private struct Item {
    let buffer: PlaybackBuffer
    var isEnded = false
    var isCleared = false
    var isStarted = false
    var played = 0
  }

  private var queue: [Item] = []
  private var framesSinceProgress = 0
  /// Frames in which a playback that had begun had nothing to say.
  package private(set) var underruns = 0
  /// What happened with the last frames; the owner takes and empties it.
  package var events: [Event] = []

  package init() {
    queue.reserveCapacity(8)
    events.reserveCapacity(16)
  }

  /// Whether anything waits or plays.
  package var isIdle: Bool { queue.isEmpty }

  package mutating func open(_ buffer: PlaybackBuffer) { queue.append(Item(buffer: buffer)) }

  package mutating func end(_ id: PlaybackID) {
    for index in queue.indices where queue[index].buffer.id == id { queue[index].isEnded = true }
  }

  /// Marks what is open now, or the one named; the next frame carries it out. What is opened later is not touched.
  package mutating func clear(_ id: PlaybackID?) {
    for index in queue.indices where id == nil || queue[index].buffer.id == id { queue[index].isCleared = true }
  }

  /// Writes the next frame.
  /// - Parameter frame: ``frameSamples`` samples.
  /// - Returns: how many of them are a playback's; the rest is silence.
  package mutating func fill(_ frame: UnsafeMutableBufferPointer<Int16>) -> Int {
    if queue.isEmpty {
      frame.update(repeating: 0)
      return 0
    }
    var filled = dropCleared(frame)
    while filled < frame.count, !queue.isEmpty {
      let wanted = frame.count - filled
      let available = queue[0].buffer.count
      if !queue[0].isEnded, available < wanted {
        if queue[0].isStarted { underruns += 1 }
        break
      }
      if available > 0 {
        if !queue[0].isStarted {
          queue[0].isStarted = true
          framesSinceProgress = 0
          events.append(.started(queue[0].buffer.id))
        }
        let taken = queue[0].buffer.read(into: UnsafeMutableBufferPointer(rebasing: frame[filled...]))
        queue[0].played += taken
        filled += taken
      }
      if queue[0].isEnded, queue[0].buffer.count == 0 {
        // A playback without a single sample was never heard, but whoever waits for it must hear that it is over.
        events.append(.finished(queue[0].buffer.id))
        queue[0].buffer.close()
        queue.removeFirst()
      }
    }
    if filled < frame.count { UnsafeMutableBufferPointer(rebasing: frame[filled...]).update(repeating: 0) }
    reportProgress()
    return filled
  }

  /// Drops everything; told as cleared.
  package mutating func finishAll() {
    for item in queue {
      events.append(.cleared(item.buffer.id, playedSamples: item.played))
      item.buffer.close()
    }
    queue.removeAll(keepingCapacity: true)
  }

  private mutating func dropCleared(_ frame: UnsafeMutableBufferPointer<Int16>) -> Int {
    var filled = 0
    var index = 0
    while index < queue.count {
      guard queue[index].isCleared else {
        index += 1
        continue
      }
      if index == 0, queue[0].isStarted {
        let tail = UnsafeMutableBufferPointer(rebasing: frame[..<min(Self.fadeSamples, frame.count)])
        filled = queue[0].buffer.read(into: tail)
        for i in 0..<filled { tail[i] = Int16(Int(tail[i]) * (filled - i) / (filled + 1)) }
        queue[0].played += filled
      }
      events.append(.cleared(queue[index].buffer.id, playedSamples: queue[index].played))
      queue[index].buffer.close()
      queue.remove(at: index)
    }
    return filled
  }

  private mutating func reportProgress() {
    framesSinceProgress += 1
    guard let first = queue.first, first.isStarted || first.buffer.count > 0 else { return }
    var isDue = first.isStarted && framesSinceProgress >= Self.progressFrames
    // A writer that was turned away waits for this message, whichever playback it writes to.
    for item in queue where item.buffer.takeRoomForWaiting() {
      isDue = true
      if item.buffer.id != first.buffer.id { events.append(.progress(item.buffer.id, playedSamples: item.played)) }
    }
    guard isDue else { return }
    framesSinceProgress = 0
    events.append(.progress(first.buffer.id, playedSamples: first.played))
  }
}
