import Base

/// What one webhook is owed and what to do about it next. Pure: its owner reads the record, sends requests, keeps
/// checkpoints and wakes it at ``deadline``.
///
/// Every session is a lane of its own: one request at a time, in the order of the record, so that a receiver sees a
/// session's events in order while another session's wait. What is settled is kept as one place in the record (all before
/// it is settled) and the exceptions to it, which are called parked: so the usual event costs no row of its own.
///
/// Three things hold a webhook back: a lane waits after a failed attempt, the whole webhook is held when its receiver asks
/// for time, and a circuit opens when attempts fail one after the other, so that an outage uses up the attempts of few events.
public struct DeliveryMachine: Sendable {
  /// One event that the webhook is owed.
  public struct Owed: Sendable, Hashable {
    /// Where it stands in the record.
    public var place: Int64
    public var session: SessionID
    /// Wall-clock milliseconds of the event.
    public var timestampMs: Int64

    public init(place: Int64, session: SessionID, timestampMs: Int64) {
      self.place = place
      self.session = session
      self.timestampMs = timestampMs
    }
  }

  /// An event that is owed although the place that is settled lies behind it.
  public struct Parked: Sendable, Hashable {
    public var owed: Owed
    /// Attempts that failed.
    public var attempts: Int
    /// The first attempt or deferral; nil before it.
    public var begunAt: Instant?
    /// Not before.
    public var dueAt: Instant?

    public init(owed: Owed, attempts: Int = 0, begunAt: Instant? = nil, dueAt: Instant? = nil) {
      self.owed = owed
      self.attempts = attempts
      self.begunAt = begunAt
      self.dueAt = dueAt
    }
  }

  /// An event that is given up.
  public struct Dead: Sendable, Hashable {
    public var place: Int64
    public var attempts: Int
    public var reason: String
  }

  /// How one attempt came out.
  public enum Outcome: Sendable, Hashable {
    case delivered
    case failed(reason: String)
    /// The receiver asks for time: the webhook as a whole waits, and the attempt does not count.
    case deferred(Duration?)
    /// The receiver wants nothing any more (410).
    case gone
    /// The record does not hold the event any more.
    case missing
  }

  public enum Action: Sendable, Hashable {
    /// Send the event at this place; `attempt` counts from 1. Tell the outcome with ``DeliveryMachine/answered(_:_:at:)``.
    case send(place: Int64, attempt: Int)
    /// The webhook is off from now on, and why. What is owed stays owed.
    case disable(reason: String)
  }

  /// What must be durable together.
  public struct Checkpoint: Sendable, Hashable {
    /// All up to this place is settled, or is parked.
    public var reached: Int64
    /// Rows to write, new or changed.
    public var parked: [Parked] = []
    /// Rows to delete.
    public var settled: [Int64] = []
    public var dead: [Dead] = []
    public var lastSuccess: Instant?
    public var failingSince: Instant?
  }

  private struct Entry: Sendable {
    var owed: Owed
    var attempts = 0
    var begunAt: Instant?
    var dueAt: Instant?
    var isParked = false
  }

  private struct Lane: Sendable {
    enum State: Sendable, Hashable { case ready, inFlight, waiting }
    var entries: Queue<Entry> = Queue()
    var state = State.ready
  }

  private enum Circuit: Sendable, Hashable {
    case closed
    case open(until: Instant)
    case halfOpen
  }

  /// One event that was read and not parked, in the order of the record.
  private struct Slot: Sendable {
    var place: Int64
    var session: SessionID
    var isSettled = false
  }

  private var policy: DeliveryPolicy
  private var random: SeededRandom
  private var lanes: [SessionID: Lane] = [:]
  private var ready = Queue<SessionID>()
  /// Lanes that wait, soonest first.
  private var waiting: [(due: Instant, session: SessionID)] = []
  private var inFlight: [Int64: SessionID] = [:]
  private var window = Queue<Slot>()
  private var circuit = Circuit.closed
  private var failures = 0
  private var openings = 0
  private var heldUntil: Instant?
  /// Requests that may be under way: halved when the receiver asks for time, and one more after a round of successes.
  private var allowed: Int
  private var successesInRow = 0
  private var tokens: Double
  private var tokensAt: Instant?
  private var lastSuccess: Instant?
  private var failingSince: Instant?

  private var pending: Checkpoint
  private var changedRows: [Int64: Parked] = [:]
  private var isDirty = false
  private var hasRead = false

  /// The last place that was read.
  public private(set) var readUpTo: Int64
  /// Events that are owed, as far as they were read.
  public private(set) var owedCount = 0
  public private(set) var parkedCount = 0
  /// Nothing is sent any more: the receiver is gone, or has failed for too long.
  public private(set) var isStopped = false

  /// - Parameters:
  ///   - reached: the place of the last checkpoint.
  ///   - parked: the rows of all checkpoints that are still there, in the order of the record.
  ///   - failingSince: since when nothing was delivered although it was tried.
  public init(
    policy: DeliveryPolicy, reached: Int64, parked: [Parked] = [], failingSince: Instant? = nil, seed: UInt64
  ) {
    self.policy = policy
    random = SeededRandom(seed: seed)
    readUpTo = reached
    pending = Checkpoint(reached: reached)
    allowed = policy.concurrency
    tokens = policy.burst
    self.failingSince = failingSince
    for row in parked {
      add(
        Entry(owed: row.owed, attempts: row.attempts, begunAt: row.begunAt, dueAt: row.dueAt, isParked: true))
      parkedCount += 1
    }
  }

  /// Whether more of the record should be read.
  public var wantsMore: Bool {
    !isStopped && window.count < DeliveryLimits.window && parkedCount < DeliveryLimits.parked
  }

  /// When the machine must be woken; nil: only an input moves it.
  public var deadline: Instant? {
    if isStopped { return nil }
    return [waiting.first?.due, ready.isEmpty ? nil : nextStart].compactMap { $0 }.min()
  }

  /// When a lane that is ready may be served; nil: after an answer.
  private var nextStart: Instant? {
    var times = [heldUntil].compactMap { $0 }
    switch circuit {
    case .closed: if inFlight.count >= allowed { return nil }
    case .open(let until):
      if !inFlight.isEmpty { return nil }
      times.append(until)
    case .halfOpen: return nil
    }
    if let rate = policy.ratePerSecond, let tokensAt, tokens < 1 {
      times.append(tokensAt + .nanoseconds(Int64((1 - tokens) / rate * 1e9) + 1))
    }
    return times.max()
  }

  /// The wall-clock time of the oldest event that was read and is still owed.
  public var oldestOwedMs: Int64? { lanes.values.compactMap { $0.entries.first?.owed.timestampMs }.min() }

  // MARK: Inputs

  /// Takes what was read of the record: the events that fit the webhook, and the last place that was looked at.
  public mutating func offer(_ events: [Owed], readUpTo place: Int64, at now: Instant) -> [Action] {
    guard place > readUpTo, !isStopped else { return [] }
    readUpTo = place
    hasRead = true
    for event in events {
      window.append(Slot(place: event.place, session: event.session))
      add(Entry(owed: event))
    }
    return pump(now)
  }

  /// The outcome of a request that ``Action/send(place:attempt:)`` asked for.
  public mutating func answered(_ place: Int64, _ outcome: Outcome, at now: Instant) -> [Action] {
    guard let session = inFlight.removeValue(forKey: place), !isStopped else { return [] }
    isDirty = true
    switch outcome {
    case .delivered:
      succeeded(now)
      settle(session)
    case .missing:
      die(session, "the record does not hold the event any more")
      if circuit == .halfOpen { circuit = .open(until: now) }
    case .failed(let reason):
      if let action = failed(session, reason, now) { return [action] }
    case .deferred(let wait):
      if let action = deferred(session, wait, now) { return [action] }
    case .gone:
      return stop("the receiver answered 410 Gone", session)
    }
    return pump(now)
  }

  /// Goes on where the time has come.
  public mutating func wake(at now: Instant) -> [Action] { isStopped ? [] : pump(now) }

  /// The owner of the webhook wants another pace.
  public mutating func limit(ratePerSecond: Double?, at now: Instant) -> [Action] {
    policy.ratePerSecond = ratePerSecond
    tokens = min(tokens, policy.burst)
    return wake(at: now)
  }

  // MARK: Outcomes

  private mutating func succeeded(_ now: Instant) {
    failures = 0
    openings = 0
    circuit = .closed
    lastSuccess = now
    failingSince = nil
    successesInRow += 1
    if allowed < policy.concurrency, successesInRow >= allowed {
      allowed += 1
      successesInRow = 0
    }
  }

  private mutating func failed(_ session: SessionID, _ reason: String, _ now: Instant) -> Action? {
    if let action = notDelivered(session, now) { return action }
    failures += 1
    if circuit == .halfOpen || (circuit == .closed && failures >= DeliveryLimits.circuitThreshold) {
      circuit = .open(until: now + jittered(openings + 1, least: 0.5))
      openings += 1
    }
    guard var entry = lanes[session]?.entries.first else { return nil }
    entry.attempts += 1
    if entry.attempts >= policy.maxAttempts {
      die(session, reason, attempts: entry.attempts)
    } else {
      entry.dueAt = now + jittered(entry.attempts, least: 0)
      replace(entry, session)
      wait(session, until: entry.dueAt ?? now)
    }
    return nil
  }

  private mutating func deferred(_ session: SessionID, _ wait: Duration?, _ now: Instant) -> Action? {
    if let action = notDelivered(session, now) { return action }
    openings += wait == nil ? 1 : 0
    let hold = min(max(wait ?? jittered(openings, least: 0.5), .zero), DeliveryLimits.retryAfter)
    heldUntil = max(heldUntil ?? now, now + hold)
    allowed = max(1, allowed / 2)
    successesInRow = 0
    if circuit == .halfOpen { circuit = .closed }
    guard let entry = lanes[session]?.entries.first else { return nil }
    if let begun = entry.begunAt, now - begun > DeliveryLimits.deferral {
      die(session, "the receiver has asked for time for \(DeliveryLimits.deferral.milliseconds / 3_600_000) hours")
    } else {
      lanes[session]?.state = .ready
      ready.prepend(session)
    }
    return nil
  }

  /// What every attempt without success has in common.
  private mutating func notDelivered(_ session: SessionID, _ now: Instant) -> Action? {
    successesInRow = 0
    failingSince = failingSince ?? now
    if let failingSince, now - failingSince > DeliveryLimits.giveUp {
      return stop("nothing could be delivered for \(DeliveryLimits.giveUp.milliseconds / 86_400_000) days", session)
        .first
    }
    if var entry = lanes[session]?.entries.first, entry.begunAt == nil {
      entry.begunAt = now
      replace(entry, session)
    }
    return nil
  }

  private mutating func stop(_ reason: String, _ session: SessionID) -> [Action] {
    isStopped = true
    lanes[session]?.state = .ready
    return [.disable(reason: reason)]
  }

  /// Exponential with full jitter; `least` is the part of it that is not left to chance.
  private mutating func jittered(_ attempt: Int, least: Double) -> Duration {
    var longest = policy.backoffInitial
    for _ in 1..<max(1, min(attempt, 40)) where longest < policy.backoffMax { longest *= 2 }
    longest = min(longest, policy.backoffMax)
    return longest * (least + (1 - least) * Double.random(in: 0..<1, using: &random))
  }

  // MARK: Lanes

  private mutating func add(_ entry: Entry) {
    owedCount += 1
    let session = entry.owed.session
    lanes[session, default: Lane()].entries.append(entry)
    if lanes[session]?.entries.count == 1 { open(session) }
  }

  /// A lane's next event comes to its turn.
  private mutating func open(_ session: SessionID) {
    guard let entry = lanes[session]?.entries.first else {
      lanes[session] = nil
      return
    }
    if let due = entry.dueAt {
      wait(session, until: due)
    } else {
      lanes[session]?.state = .ready
      ready.append(session)
    }
  }

  private mutating func wait(_ session: SessionID, until due: Instant) {
    lanes[session]?.state = .waiting
    waiting.insert((due, session), at: partition(waiting.count) { waiting[$0].due <= due })
  }

  private mutating func replace(_ entry: Entry, _ session: SessionID) {
    lanes[session]?.entries.replaceFirst(entry)
    if entry.isParked { changedRows[entry.owed.place] = row(entry) }
  }

  private func row(_ entry: Entry) -> Parked {
    Parked(owed: entry.owed, attempts: entry.attempts, begunAt: entry.begunAt, dueAt: entry.dueAt)
  }

  private mutating func settle(_ session: SessionID) {
    guard let entry = lanes[session]?.entries.popFirst() else { return }
    owedCount -= 1
    if entry.isParked {
      parkedCount -= 1
      changedRows[entry.owed.place] = nil
      pending.settled.append(entry.owed.place)
    } else if let at = slot(entry.owed.place) {
      window[at].isSettled = true
    }
    open(session)
  }

  private mutating func die(_ session: SessionID, _ reason: String, attempts: Int? = nil) {
    guard let entry = lanes[session]?.entries.first else { return }
    pending.dead.append(Dead(place: entry.owed.place, attempts: attempts ?? entry.attempts, reason: reason))
    settle(session)
  }

  private func slot(_ place: Int64) -> Int? {
    let at = partition(window.count) { window[$0].place < place }
    return at < window.count && window[at].place == place ? at : nil
  }

  // MARK: Sending

  private mutating func pump(_ now: Instant) -> [Action] {
    var due = 0
    while due < waiting.count, waiting[due].due <= now {
      let session = waiting[due].session
      lanes[session]?.state = .ready
      ready.append(session)
      due += 1
    }
    waiting.removeFirst(due)
    if let heldUntil, heldUntil <= now { self.heldUntil = nil }
    var actions: [Action] = []
    while !ready.isEmpty, mayStart(now), takeToken(now) {
      guard let session = ready.popFirst(), let entry = lanes[session]?.entries.first else { continue }
      if case .open = circuit { circuit = .halfOpen }
      lanes[session]?.state = .inFlight
      inFlight[entry.owed.place] = session
      actions.append(.send(place: entry.owed.place, attempt: entry.attempts + 1))
    }
    return actions
  }

  private func mayStart(_ now: Instant) -> Bool {
    if heldUntil != nil { return false }
    switch circuit {
    case .closed: return inFlight.count < allowed
    case .open(let until): return until <= now && inFlight.isEmpty
    case .halfOpen: return false
    }
  }

  private mutating func takeToken(_ now: Instant) -> Bool {
    guard let rate = policy.ratePerSecond else { return true }
    let passed = tokensAt.map { Double((now - $0).nanoseconds) / 1e9 } ?? 0
    tokens = min(policy.burst, tokens + max(0, passed) * rate)
    tokensAt = now
    // A hair of tolerance: the deadline was computed with the same roundings.
    guard tokens >= 1 - 1e-6 else { return false }
    tokens -= 1
    return true
  }

  // MARK: Checkpoints

  /// What has changed since the last checkpoint; nil: nothing. Where it could not be kept, give it back: ``restore(_:)``.
  /// - Parameter evenIfRead: also where nothing was settled but more was read, so that it need not be read again. Losing
  ///   that costs nothing but time, so it need not be kept often.
  public mutating func checkpoint(evenIfRead: Bool) -> Checkpoint? {
    guard isDirty || (evenIfRead && hasRead) else { return nil }
    isDirty = false
    hasRead = false
    advance()
    var checkpoint = pending
    checkpoint.parked = changedRows.values.sorted { $0.owed.place < $1.owed.place }
    checkpoint.lastSuccess = lastSuccess
    checkpoint.failingSince = failingSince
    pending = Checkpoint(reached: pending.reached)
    changedRows = [:]
    return checkpoint
  }

  /// Gives a checkpoint back that could not be kept.
  public mutating func restore(_ checkpoint: Checkpoint) {
    isDirty = true
    pending.settled = checkpoint.settled + pending.settled
    pending.dead = checkpoint.dead + pending.dead
    let gone = Set(pending.settled)
    for row in checkpoint.parked where changedRows[row.owed.place] == nil && !gone.contains(row.owed.place) {
      changedRows[row.owed.place] = row
    }
  }

  /// Moves the settled place over what is settled and over what can be parked.
  private mutating func advance() {
    while let slot = window.first {
      if !slot.isSettled {
        guard mayPark(slot) else { break }
        park(slot)
      }
      pending.reached = slot.place
      _ = window.popFirst()
    }
    if window.isEmpty { pending.reached = readUpTo }
  }

  /// An event whose lane waits holds nobody up. One that is under way does only when the window is full behind it.
  private func mayPark(_ slot: Slot) -> Bool {
    guard parkedCount < DeliveryLimits.parked, let lane = lanes[slot.session] else { return false }
    switch lane.state {
    case .waiting: return true
    case .inFlight: return window.count >= DeliveryLimits.window && circuit == .closed
    case .ready: return false
    }
  }

  private mutating func park(_ slot: Slot) {
    guard let entries = lanes[slot.session]?.entries else { return }
    let at = partition(entries.count) { entries[$0].owed.place < slot.place }
    guard at < entries.count else { return }
    changedRows[slot.place] = row(entries[at])
    parkedCount += 1
    lanes[slot.session]?.entries[at].isParked = true
  }
}
