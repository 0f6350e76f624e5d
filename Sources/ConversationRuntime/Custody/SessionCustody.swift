import Base
import CallLink
import NIOConcurrencyHelpers
import Storage

/// The outside of a kept session: what it has written and answered is held back until the state that has seen it is safe, so
/// that a successor, who may come to other decisions, contradicts nothing that somebody knows already.
///
/// Confined to the session's task, but for what runs when a state is safe.
final class SessionCustody {
  /// Somebody waits for the outcome of a command; gets one whatever happens.
  final class Reply: Sendable {
    private let body: NIOLockedValueBox<(@Sendable (CommandOutcome) -> Void)?>
    init(_ body: @escaping @Sendable (CommandOutcome) -> Void) { self.body = NIOLockedValueBox(body) }

    func callAsFunction(_ outcome: CommandOutcome) {
      let body = body.withLockedValue { body in
        defer { body = nil }
        return body
      }
      body?(outcome)
    }
  }

  static let moved = CommandOutcome.unreachable("the call has just moved to another process")
  /// Between two looks whether the database has taken the last lines, and how often it is looked.
  private static let pause: Duration = .seconds(1)
  private static let looks = 120

  private enum Write: Sendable {
    case event(SessionEvent)
    case again(SessionEvent)
    case summary(SessionSummary)
    case reply(Reply, CommandOutcome)
  }
  /// Everything through the event was queued when the store had so many writes.
  private struct Mark {
    var sequence: Int64
    var writes: Int
  }

  let custodian: any CallCustodian
  private let store: any SessionStore
  private let mailbox: Mailbox
  private var waiting: [Write] = []
  /// Those that are not known to be durable, up to the newest.
  private(set) var events: [SessionEvent] = []
  private let marks = NIOLockedValueBox<[Mark]>([])
  /// Those that wait for a safe state.
  private let replies = NIOLockedValueBox<[Reply]>([])

  init(_ custodian: any CallCustodian, store: any SessionStore, mailbox: Mailbox) {
    self.custodian = custodian
    self.store = store
    self.mailbox = mailbox
    let replies = replies
    // Whoever gave a command is not left waiting.
    mailbox.onAbandon { for reply in replies.withLockedValue({ $0 }) { reply(Self.moved) } }
  }

  func append(_ event: SessionEvent) {
    waiting.append(.event(event))
    events.append(event)
  }

  /// Events of the predecessor that may not have been written.
  func appendAgain(_ events: [SessionEvent]) {
    waiting += events.map { .again($0) }
    self.events += events
  }

  func put(_ summary: SessionSummary) { waiting.append(.summary(summary)) }

  func reply(_ outcome: CommandOutcome, to body: @escaping @Sendable (CommandOutcome) -> Void) {
    let reply = Reply(body)
    replies.withLockedValue { $0.append(reply) }
    waiting.append(.reply(reply, outcome))
    if mailbox.isAbandoned { reply(Self.moved) }
  }

  /// Keeps a state, and lets out what it has seen when it is safe.
  /// - Parameter state: is given the events that belong into it.
  func keep(handled: UInt64, _ state: ([SessionEvent]) -> [UInt8]) {
    prune()
    custodian.keep(state(events), handled: CallPlace(left: handled))
    guard !waiting.isEmpty else { return }
    let batch = waiting
    waiting = []
    let last = events.last?.sequence ?? 0
    let store = store
    let mailbox = mailbox
    let marks = marks
    let replies = replies
    custodian.afterKept {
      guard !mailbox.isAbandoned else { return }
      for write in batch {
        switch write {
        case .event(let event): store.append(event)
        case .again(let event): store.appendAgain(event)
        case .summary(let summary): store.put(summary)
        case .reply(let reply, let outcome):
          replies.withLockedValue { $0.removeAll { $0 === reply } }
          reply(outcome)
        }
      }
      marks.withLockedValue { $0.append(Mark(sequence: last, writes: store.queuedWrites)) }
    }
  }

  /// Returns once the state that was kept last is safe and what it has let out is in the database. A database that takes
  /// nothing is waited for as long as a call's memory can be asked to stay.
  func settle(_ clock: any RuntimeClock) async {
    await wait { custodian.afterKept($0) }
    for _ in 0..<Self.looks where !mailbox.isAbandoned {
      await store.flush()
      prune()
      if events.isEmpty { return }
      await wait { _ = clock.schedule(at: clock.now() + Self.pause, $0) }
    }
  }

  /// Until `begin`'s closure is called, or the session is abandoned.
  private func wait(_ begin: (@escaping @Sendable () -> Void) -> Void) async {
    let (steps, step) = AsyncStream.makeStream(of: Void.self)
    mailbox.onAbandon { step.finish() }
    begin { step.finish() }
    for await _ in steps {}
  }

  /// Forgets the events that are durable by now, and the oldest of too many.
  private func prune() {
    let finished = store.finishedWrites
    let durable = marks.withLockedValue { marks in
      let count = marks.prefix { $0.writes <= finished }.count
      defer { marks.removeFirst(count) }
      return count > 0 ? marks[count - 1].sequence : nil
    }
    if let durable { events.removeAll { $0.sequence <= durable } }
    if events.count > SessionState.eventLimit { events.removeFirst(events.count - SessionState.eventLimit) }
  }
}
