import Base

/// Both directions of a call on one clock, 8 kHz: left what the caller sent, right what came back.
///
/// Received audio is put where it *arrived*: the first packet of a stream anchors its RTP timestamps to the clock, and later
/// ones follow the timestamps while they agree with the clock. So the pauses in the recording are the pauses a person
/// at this end of the line would have heard, and response times are measured on them.
struct CallRecording {
  static let rate = 8000
  /// Timestamps and the clock may part this far (in samples) before the stream is anchored again.
  private static let tolerance = 800
  /// An hour: what a caller may record.
  private static let limit = 3600 * rate

  private(set) var left: [Int16] = []
  private(set) var right: [Int16] = []
  private var anchor: (ssrc: UInt32, timestamp: UInt32, position: Int)?

  /// Appends a frame that was sent; sending is paced by the clock, so frames need no place of their own.
  mutating func sent(_ samples: some Collection<Int16>) {
    guard left.count < Self.limit else { return }
    left.append(contentsOf: samples)
  }

  /// - Parameter arrival: samples of clock time since the recording began.
  mutating func received(_ samples: [Int16], ssrc: UInt32, timestamp: UInt32, arrival: Int) {
    var position: Int
    if let anchor, anchor.ssrc == ssrc {
      position = anchor.position + Int(Int32(bitPattern: timestamp &- anchor.timestamp))
      if abs(position - arrival) > Self.tolerance {
        self.anchor = (ssrc, timestamp, arrival)
        position = arrival
      }
    } else {
      anchor = (ssrc, timestamp, arrival)
      position = arrival
    }
    guard position >= 0, position + samples.count < Self.limit else { return }
    if right.count < position + samples.count {
      right.append(contentsOf: repeatElement(0, count: position + samples.count - right.count))
    }
    right.replaceSubrange(position..<position + samples.count, with: samples)
  }
}

/// How evenly a stream's packets came in, from arrival times and RTP timestamps alone.
struct StreamTiming {
  private var firstTimestamp: UInt32?
  private var ssrc: UInt32 = 0
  private var offsets: [Int64] = []
  private(set) var packets = 0
  private(set) var lost = 0
  private var highestSequence: UInt16?

  mutating func received(ssrc: UInt32, sequence: UInt16, timestamp: UInt32, at now: Instant) {
    packets += 1
    if firstTimestamp == nil || ssrc != self.ssrc {
      firstTimestamp = timestamp
      self.ssrc = ssrc
      highestSequence = nil
      offsets.removeAll(keepingCapacity: true)
    }
    if let highest = highestSequence {
      let step = Int16(bitPattern: sequence &- highest)
      if step > 1 { lost += Int(step) - 1 }
      if step > 0 { highestSequence = sequence }
    } else {
      highestSequence = sequence
    }
    let media = Int64(Int32(bitPattern: timestamp &- (firstTimestamp ?? 0))) * 125_000
    offsets.append(now.nanoseconds - media)
  }

  /// Milliseconds each packet came after the moment its timestamp asked for, where the earliest packet counts as on time.
  var latenessMs: [Double] {
    guard let earliest = offsets.min() else { return [] }
    return offsets.map { Double($0 - earliest) / 1e6 }.sorted()
  }
}
