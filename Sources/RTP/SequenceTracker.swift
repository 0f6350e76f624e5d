/// Follows one source's sequence numbers as RFC 3550 appendix A.1 does: extends them to 64 bits, proves a new source by
/// packets in sequence, survives wraps, tells a jump from a restart, and counts what was expected (A.3).
public struct SequenceTracker: Sendable {
  public enum Outcome: Sendable, Hashable {
    /// The packet belongs to the stream; its extended number.
    case accepted(Int64)
    /// The stream (re)started with this packet: forget what was known of timestamps and order.
    case restarted(Int64)
    /// The source is not proven yet. Drop the packet.
    case probation
    /// A number far from the stream's. Drop the packet; the next in sequence to it restarts the stream.
    case jump
  }

  /// The largest gap forward that is still loss: one minute at 20 ms (RFC 3550's MAX_DROPOUT).
  public static let maxDropout: UInt16 = 3000
  /// The farthest back that is still reordering (RFC 3550's MAX_MISORDER).
  public static let maxMisorder: UInt16 = 100

  /// Packets in sequence that a new source must send. 1 believes the first.
  public let minSequential: Int
  /// Packets accepted since the last restart.
  public private(set) var received: Int64 = 0

  private var base: Int64 = 0
  private var highest: Int64 = 0
  private var started = false
  private var probation: Int
  private var suspect: UInt16?
  private var expectedBefore: Int64 = 0
  private var receivedBefore: Int64 = 0

  public init(minSequential: Int = 2) {
    self.minSequential = max(1, minSequential)
    probation = self.minSequential
  }

  /// The highest extended number so far; its low 32 bits are RTCP's "extended highest sequence number received".
  public var highestSequence: Int64 { highest }
  /// Packets that should have come since the last restart (A.3).
  public var expected: Int64 { started ? highest - base + 1 : 0 }
  /// Packets lost since the last restart; duplicates can make it negative (A.3).
  public var lost: Int64 { expected - received }

  /// Takes one packet's sequence number.
  public mutating func receive(_ sequence: UInt16) -> Outcome {
    if !started {
      if probation < minSequential, sequence != UInt16(truncatingIfNeeded: highest) &+ 1 { probation = minSequential }
      highest = Int64(sequence)
      probation -= 1
      guard probation <= 0 else { return .probation }
      return restart(at: sequence)
    }
    let forward = sequence &- UInt16(truncatingIfNeeded: highest)
    if forward < Self.maxDropout {
      highest += Int64(forward)
      received += 1
      suspect = nil
      return .accepted(highest)
    }
    let back = UInt16(truncatingIfNeeded: highest) &- sequence
    if back <= Self.maxMisorder {
      received += 1
      return .accepted(highest - Int64(back))
    }
    if suspect == sequence { return restart(at: sequence) }
    suspect = sequence &+ 1
    return .jump
  }

  /// The share of packets lost since the last call, in 256ths (A.3), for a reception report.
  public mutating func fractionLost() -> UInt8 {
    let expectedNow = expected - expectedBefore
    let lostNow = expectedNow - (received - receivedBefore)
    expectedBefore = expected
    receivedBefore = received
    guard expectedNow > 0, lostNow > 0 else { return 0 }
    return UInt8(min(255, lostNow * 256 / expectedNow))
  }

  private mutating func restart(at sequence: UInt16) -> Outcome {
    // Start one cycle up, so that a packet from before the first still has a positive number.
    base = 0x1_0000 + Int64(sequence)
    highest = base
    started = true
    suspect = nil
    received = 1
    expectedBefore = 0
    receivedBefore = 0
    return .restarted(highest)
  }
}
