import Base

/// Hands out pairs of an even RTP port and the odd RTCP port above it (RFC 3550 section 11) from a range.
///
/// Pairs rotate in a shuffled order, so the next call's port cannot be guessed, and a released pair rests for a while, so
/// that what a peer still sends to an ended call never reaches the next one. A value: its owner gives it the time.
public struct RTPPortPool: Sendable {
  /// Why there is no pair.
  public enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// Every pair is in use or resting.
    case exhausted(pairs: Int, resting: Int)
    public var description: String {
      switch self {
      case .exhausted(let pairs, let resting):
        "no RTP port is free: all \(pairs) pairs of rtp_port_range are in use, \(resting) of them resting after a call"
      }
    }
  }

  /// Pairs in the range.
  public let pairs: Int
  private let quarantine: Duration
  // Both are rings of fixed capacity: a pair is always in exactly one of free, resting and used.
  private var free: [UInt16]
  private var freeHead = 0
  private var freeCount: Int
  private var resting: [(port: UInt16, until: Instant)] = []
  private var restingHead = 0
  private var used: Set<UInt16> = []

  /// - Parameters:
  ///   - range: UDP ports; an odd first port and an unpaired last one are left out.
  ///   - quarantine: how long a released pair rests.
  ///   - random: shuffles the order once.
  public init(range: ClosedRange<Int>, quarantine: Duration, using random: inout some RandomNumberGenerator) {
    let first = max(1024, range.lowerBound + range.lowerBound % 2)
    let last = min(65534, range.upperBound - 1)
    free = first <= last ? stride(from: first, through: last, by: 2).map { UInt16($0) } : []
    free.shuffle(using: &random)
    pairs = free.count
    freeCount = free.count
    self.quarantine = quarantine
  }

  /// Pairs that a call holds now.
  public var inUse: Int { used.count }

  /// Pairs that a call could have now.
  public mutating func available(at now: Instant) -> Int {
    wake(at: now)
    return freeCount
  }

  /// Takes a pair; returns its even port.
  public mutating func allocate(at now: Instant) throws(Refusal) -> UInt16 {
    wake(at: now)
    guard freeCount > 0 else { throw .exhausted(pairs: pairs, resting: resting.count - restingHead) }
    let port = free[freeHead]
    freeHead = (freeHead + 1) % pairs
    freeCount -= 1
    used.insert(port)
    return port
  }

  /// Gives a pair back; it rests before it is used again. A port that is not in use is ignored.
  public mutating func release(_ port: UInt16, at now: Instant) {
    guard used.remove(port) != nil else { return }
    resting.append((port, now + quarantine))
  }

  private mutating func wake(at now: Instant) {
    while restingHead < resting.count, resting[restingHead].until <= now {
      free[(freeHead + freeCount) % pairs] = resting[restingHead].port
      freeCount += 1
      restingHead += 1
    }
    if restingHead > 64, restingHead * 2 > resting.count {
      resting.removeFirst(restingHead)
      restingHead = 0
    }
  }
}
