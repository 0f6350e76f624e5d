/// One end of the audio beside a hop's messages: what is to be sent of it, and again after the transport broke, from a
/// bounded ring. Positions are samples since the audio began. Pure, and only where a transport is: in one process audio
/// takes no lane.
///
/// A live voice goes on while the transport is away: then the oldest of what the ring cannot hold is skipped, and
/// counted. A prompt waits for the listener instead.
public struct AudioLane: Sendable {
  public enum WhenFull: Sendable { case skipOldest, refuse }

  private var ring: [Int16]
  private let whenFull: WhenFull
  /// The ring holds `begin..<end`.
  private var begin: Int64 = 0
  private var end: Int64 = 0
  /// What is before has been put on the transport.
  private var sent: Int64 = 0
  private var mayReach: Int64 = 0
  /// Samples that were never sent, or may not have arrived.
  public private(set) var skipped: Int64 = 0

  /// - Parameter capacity: samples that can wait; at least 1.
  public init(capacity: Int, whenFull: WhenFull) {
    ring = Array(repeating: 0, count: max(1, capacity))
    self.whenFull = whenFull
  }

  /// Samples that can be sent now.
  public var sendable: Int { Int(max(0, min(end, mayReach) - sent)) }

  /// Appends samples.
  /// - Parameter position: of the first; nil: behind the last.
  /// - Returns: how many were taken; the rest must be offered again.
  public mutating func write(_ pcm: UnsafeBufferPointer<Int16>, position: Int64? = nil) -> Int {
    if let position, position != end {
      // The source has begun anew: nothing of the old can be placed.
      skipped += end - sent
      (begin, end, sent) = (position, position, position)
    }
    let room = ring.count - Int(end - begin)
    let taken = whenFull == .refuse ? min(pcm.count, room) : pcm.count
    // Of more than the ring holds only the end is of use.
    let useless = max(0, taken - ring.count)
    end += Int64(useless)
    forget(before: end + Int64(taken - useless - ring.count))
    for sample in pcm[useless..<taken] {
      ring[Int(end % Int64(ring.count))] = sample
      end += 1
    }
    return taken
  }

  private mutating func forget(before position: Int64) {
    guard position > begin else { return }
    if position > sent {
      skipped += position - sent
      sent = position
    }
    begin = position
  }

  /// Hands out what comes next, without a gap in memory, at most `limit` samples; false where nothing may be sent.
  public mutating func next(limit: Int, _ body: (_ position: Int64, UnsafeBufferPointer<Int16>) -> Void) -> Bool {
    guard sendable > 0, limit > 0 else { return false }
    let start = Int(sent % Int64(ring.count))
    let count = min(sendable, limit, ring.count - start)
    ring.withUnsafeBufferPointer { body(sent, UnsafeBufferPointer(rebasing: $0[start..<(start + count)])) }
    sent += Int64(count)
    return true
  }

  /// The listener will never need again what is before `through`, and takes what is before `mayReach`.
  public mutating func heard(through: Int64, mayReach: Int64) {
    begin = min(max(begin, through), end)
    sent = max(sent, begin)
    self.mayReach = max(self.mayReach, mayReach)
  }

  /// A new transport: the listener has what is before `from`, or nothing that it remembers.
  public mutating func resume(from position: Int64?, mayReach: Int64) {
    let wanted = max(0, position ?? begin)
    if wanted < begin { skipped += begin - wanted }
    sent = min(max(wanted, begin), end)
    self.mayReach = max(0, mayReach)
  }

  /// The transport is gone: nothing is sent until ``resume(from:mayReach:)``.
  public mutating func pause() { mayReach = 0 }
}

/// The other end: drops what came twice, and says what never came. Pure.
public struct AudioHearing: Sendable {
  /// The position that comes next.
  public private(set) var next: Int64

  public init(from position: Int64 = 0) { next = position }

  /// - Parameters:
  ///   - position: of the first sample.
  ///   - count: of samples.
  /// - Returns: samples at the beginning that have been heard already, and samples before them that never came; nil
  ///   where no call can be that long.
  public mutating func receive(position: Int64, count: Int) -> (repeated: Int, missing: Int64)? {
    guard (0..<Self.limit).contains(position), (0...Int(Int32.max)).contains(count) else { return nil }
    let repeated = min(Int64(count), max(0, next - position))
    let missing = max(0, position - next)
    next = max(next, position + Int64(count))
    return (Int(repeated), missing)
  }

  /// Centuries of samples, and far from where counting would overflow.
  private static let limit: Int64 = 1 << 48
}
