import Base
import NIOCore

/// One timer that moves: set again only where the new deadline is earlier than what is set; one that fires early finds out and is
/// set anew. Confined to its event loop.
final class LoopTimer {
  private let eventLoop: any EventLoop
  private let fire: () -> Void
  private var armed: (deadline: Instant, scheduled: Scheduled<Void>)?

  init(_ eventLoop: any EventLoop, fire: @escaping () -> Void) {
    self.eventLoop = eventLoop
    self.fire = fire
  }

  func set(_ deadline: Instant?, now: Instant) {
    guard let deadline else { return }
    if let armed {
      if armed.deadline <= deadline { return }
      armed.scheduled.cancel()
    }
    let delay = TimeAmount.nanoseconds(max(0, (deadline - now).nanoseconds))
    let scheduled = eventLoop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
      guard let self else { return }
      self.armed = nil
      self.fire()
    }
    armed = (deadline, scheduled)
  }

  func cancel() {
    armed?.scheduled.cancel()
    armed = nil
  }
}
