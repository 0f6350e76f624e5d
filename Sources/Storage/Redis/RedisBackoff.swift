import Base

/// How long to wait before the next attempt to reach a server: doubled after each failure, and spread, so that processes that
/// lost one server together do not all come back in the same moment. Pure.
public struct RedisBackoff: Sendable {
  public var first: Duration
  public var last: Duration
  private var step: Duration
  private var random: SeededRandom

  public init(first: Duration = .milliseconds(50), last: Duration = .seconds(2), seed: UInt64) {
    self.first = first
    self.last = last
    step = first
    random = SeededRandom(seed: seed)
  }

  /// Between a half and the whole of the present step.
  public mutating func next() -> Duration {
    let half = step.nanoseconds / 2
    step = min(step * 2, last)
    return .nanoseconds(half + Int64.random(in: 0...half, using: &random))
  }

  public mutating func reset() { step = first }
}
