import Base
import NIOCore
import NIOPosix
import Telemetry

/// Time as the runtime sees it: the one place where sessions meet a clock, so that tests count it up by hand.
public protocol RuntimeClock: Sendable {
  /// The monotonic clock that session instants are taken from.
  func now() -> Instant
  /// Wall-clock milliseconds since 1970.
  func unixMilliseconds() -> Int64
  /// Calls `fire` once, at or soon after `deadline`, on any thread; `fire` must return at once.
  /// - Returns: takes the timer away; calling it after the timer fired does nothing.
  func schedule(at deadline: Instant, _ fire: @escaping @Sendable () -> Void) -> @Sendable () -> Void
}

/// The machine's clocks, with timers on an event loop. The loop only passes wake-ups on; sessions run elsewhere.
public struct SystemRuntimeClock: RuntimeClock {
  private let eventLoop: any EventLoop

  /// - Parameter eventLoop: carries the timers; nil for one of NIO's shared loops.
  public init(eventLoop: (any EventLoop)? = nil) {
    self.eventLoop = eventLoop ?? MultiThreadedEventLoopGroup.singleton.next()
  }

  public func now() -> Instant { .monotonic() }

  public func unixMilliseconds() -> Int64 { WallClock.nowMilliseconds() }

  public func schedule(at deadline: Instant, _ fire: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    let delay = max(0, (deadline - now()).nanoseconds)
    let scheduled = eventLoop.scheduleTask(in: .nanoseconds(delay), fire)
    return { scheduled.cancel() }
  }
}
