import Base
import NIOCore

/// Something that does its work once per 20 ms: a leg.
public protocol PacedMember: AnyObject {
  /// - Parameter now: when the tick runs; late ticks are made up for one by one, so the count of ticks keeps time.
  func tick(now: Instant)
  /// The loop stood still for longer than ``Pacer/catchUpLimit``: these ticks will not come, but their time has passed.
  func skip(ticks: Int)
}

/// How late ticks ran, in buckets that double: under 0.5 ms, 1, 2, 4, 8, 16, 32, 64 ms and above.
public struct LatenessHistogram: Sendable, Equatable {
  public static let bucketCount = 9
  /// Ticks per bucket.
  public private(set) var counts = [Int](repeating: 0, count: LatenessHistogram.bucketCount)
  /// The latest tick of all.
  public private(set) var maximum: Duration = .zero
  /// Ticks that had to be left out because the loop stood still for longer than ``Pacer/catchUpLimit``.
  public internal(set) var skipped = 0

  public init() {}

  mutating func record(_ late: Duration) {
    var limit: Int64 = 500_000
    var bucket = 0
    let nanoseconds = late.nanoseconds
    while bucket < Self.bucketCount - 1, nanoseconds >= limit {
      limit *= 2
      bucket += 1
    }
    counts[bucket] += 1
    if late > maximum { maximum = late }
  }
}

/// The one timer of an event loop: a wheel of 20 ms whose members are spread over four slots of 5 ms.
///
/// Every member is ticked exactly 50 times per second in the long run: deadlines are counted from the start, so they do not
/// drift, and a loop that was held up makes up for missed ticks at once. Runs only while it has members. Confined to its
/// event loop.
public final class Pacer {
  /// A member's period.
  public static let period: Duration = .milliseconds(20)
  /// Four slots: fine enough to spread calls, coarse enough for at most 200 wake-ups per second.
  public static let slotCount = 4
  /// After a longer stand-still, what was missed is left out: a burst of more than five packets would only be dropped by the
  /// peer's jitter buffer.
  public static let catchUpLimit: Duration = .milliseconds(100)

  private static let slotNanoseconds = Pacer.period.nanoseconds / Int64(Pacer.slotCount)

  private let eventLoop: any EventLoop
  private let lag: @Sendable (Double) -> Void
  private var slots: [[any PacedMember]] = Array(repeating: [], count: Pacer.slotCount)
  /// The slot being worked on and the next free slot in the count of slots since `epoch`.
  private var next: Int64 = 0
  private var epoch = Instant.zero
  private var isRunning = false
  private var timer: NIOScheduledCallback?
  private var memberCount = 0
  public private(set) var lateness = LatenessHistogram()

  /// - Parameter lag: told for every slot that had members how late it ran, in seconds.
  public init(eventLoop: any EventLoop, lag: @escaping @Sendable (_ seconds: Double) -> Void = { _ in }) {
    self.eventLoop = eventLoop
    self.lag = lag
  }

  /// Members that are ticked now.
  public var count: Int { memberCount }

  /// Adds a member to the slot with the fewest; its first tick comes within 20 ms.
  public func add(_ member: any PacedMember) {
    eventLoop.preconditionInEventLoop()
    var best = 0
    for slot in 1..<Self.slotCount where slots[slot].count < slots[best].count { best = slot }
    slots[best].append(member)
    memberCount += 1
    start()
  }

  /// Removes a member. May be called from its own tick.
  public func remove(_ member: any PacedMember) {
    eventLoop.preconditionInEventLoop()
    for slot in slots.indices {
      guard let at = slots[slot].firstIndex(where: { $0 === member }) else { continue }
      slots[slot].swapAt(at, slots[slot].count - 1)
      slots[slot].removeLast()
      memberCount -= 1
      return
    }
  }

  /// Stops ticking; members are forgotten.
  public func stop() {
    for slot in slots.indices { slots[slot].removeAll() }
    memberCount = 0
    timer?.cancel()
    timer = nil
    isRunning = false
  }

  private func start() {
    guard !isRunning else { return }
    isRunning = true
    epoch = .monotonic()
    next = 1
    schedule(now: epoch)
  }

  private func due(_ slot: Int64) -> Instant { epoch + .nanoseconds(slot * Self.slotNanoseconds) }

  private func schedule(now: Instant) {
    guard memberCount > 0 else {
      isRunning = false
      timer = nil
      return
    }
    while slots[Int(next % Int64(Self.slotCount))].isEmpty { next += 1 }
    let wait = max(0, (due(next) - now).nanoseconds)
    do {
      timer = try eventLoop.assumeIsolated().scheduleCallback(in: .nanoseconds(wait), handler: Wake(pacer: self))
    } catch {
      // Only a loop that is shutting down refuses; then there is nobody left to tick.
      isRunning = false
      timer = nil
    }
  }

  fileprivate func wake() {
    guard isRunning else { return }
    var now = Instant.monotonic()
    if now - due(next) > Self.catchUpLimit {
      let missed = (now - due(next)).nanoseconds / Self.slotNanoseconds
      lateness.skipped += Int(missed)
      lag(Double((now - due(next)).nanoseconds) / 1e9)
      lateness.record(now - due(next))
      let rounds = missed / Int64(Self.slotCount)
      next += rounds * Int64(Self.slotCount)
      for slot in slots { for member in slot { member.skip(ticks: Int(rounds)) } }
    }
    while due(next) <= now, memberCount > 0 {
      let slot = Int(next % Int64(Self.slotCount))
      if !slots[slot].isEmpty {
        let late = now - due(next)
        lateness.record(late)
        lag(Double(late.nanoseconds) / 1e9)
        // Backwards, because a member may remove itself, which moves the last one into its place.
        var index = slots[slot].count - 1
        while index >= 0 {
          if index < slots[slot].count {
            let member = slots[slot][index]
            member.tick(now: now)
          }
          index -= 1
        }
        now = .monotonic()
      }
      next += 1
    }
    schedule(now: now)
  }

  private struct Wake: NIOScheduledCallbackHandler {
    let pacer: Pacer
    func handleScheduledCallback(eventLoop: some EventLoop) { pacer.wake() }
  }
}
