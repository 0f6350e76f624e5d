import Base

/// Time that passes only when a test says so.
public struct VirtualClock: Sendable {
  public private(set) var now: Instant

  /// Starts well above zero, as a process that has been up for a while.
  public init(_ start: Instant = Instant(nanoseconds: 1_000_000_000_000)) { now = start }

  public mutating func advance(_ step: Duration) { now += step }

  /// Moves to `deadline` unless it has passed.
  public mutating func advance(to deadline: Instant) { now = max(now, deadline) }

  /// The wall clock that belongs to ``now``, as NTP counts (32.32 seconds since 1900): an arbitrary but steady date.
  public var ntp: UInt64 {
    let seconds = UInt64(now.nanoseconds / 1_000_000_000) + 3_976_214_400
    let fraction = UInt64(now.nanoseconds % 1_000_000_000) << 32 / 1_000_000_000
    return seconds << 32 | fraction
  }
}
