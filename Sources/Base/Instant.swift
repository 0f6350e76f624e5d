/// A point on a process's monotonic clock, in nanoseconds since an arbitrary start.
///
/// Protocol machines receive an `Instant` with every input and hand out the next one they want to be woken at; they never
/// read a clock. Owners (services) take it from ``monotonic()``; tests count it up by hand.
public struct Instant: Hashable, Comparable, Sendable {
  /// Nanoseconds since the start of the clock. Only differences mean something.
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The clock's start.
  public static let zero = Instant(nanoseconds: 0)

  private static let start = ContinuousClock.now

  /// Reads the process's monotonic clock. For owners only: a pure room that calls this fails `Tests/House`.
  public static func monotonic() -> Instant {
    Instant(nanoseconds: start.duration(to: .now).nanoseconds)
  }

  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  public static func + (a: Instant, b: Duration) -> Instant { Instant(nanoseconds: a.nanoseconds &+ b.nanoseconds) }
  public static func - (a: Instant, b: Duration) -> Instant { Instant(nanoseconds: a.nanoseconds &- b.nanoseconds) }
  public static func - (a: Instant, b: Instant) -> Duration { .nanoseconds(a.nanoseconds &- b.nanoseconds) }
  public static func += (a: inout Instant, b: Duration) { a = a + b }
}

extension Duration {
  /// The whole duration in nanoseconds; saturates beyond ±292 years.
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    return product &+ attoseconds / 1_000_000_000
  }

  /// The whole duration in milliseconds, rounded towards zero.
  public var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
