import Base
import Logging
import NIOConcurrencyHelpers
import Outbound
import Storage
import Telemetry

/// Delivers the record's events to the webhooks: owns one ``DeliveryMachine`` per webhook that this process delivers for.
///
/// It wakes when events are written, webhooks change or a machine's time has come, and looks by itself every few seconds.
/// Each pass reads what the webhooks are owed, a page for all of them, and sends; what came back is kept in one
/// transaction for all webhooks, as often as the database keeps up. A checkpoint that cannot be kept is kept later;
/// meanwhile no more is read than the machines may hold.
///
/// On a database that other processes use too, a webhook belongs to the process whose name its row holds, as long as that
/// process shows that it lives (``DeliveryTiming``). Who was not seen for longer than it may still be sending, on somebody
/// else's own clock, is taken for dead.
public actor WebhookDeliverer {
  /// Events of one look into the record.
  private static let page = 256
  /// Attempts that wait to be kept while the database is away; older ones are forgotten, events never.
  private static let historyLimit = 2_000

  /// A class, so that a machine is changed where it lies and never copied. Only this actor knows it.
  private final class Endpoint {
    var webhook: Webhook
    var machine: DeliveryMachine
    let fence: Int64
    /// Events at hand; the others are read again when they are sent.
    var events: [Int64: EventBody] = [:]
    var history: [WebhookDelivery] = []
    var keptAt: Instant

    init(webhook: Webhook, machine: DeliveryMachine, fence: Int64, keptAt: Instant) {
      self.webhook = webhook
      self.machine = machine
      self.fence = fence
      self.keptAt = keptAt
    }
  }

  private struct Sighting {
    var standing: WebhookLedger.Standing
    var since: Instant
  }

  private let ledger: WebhookLedger
  private let store: WebhookStore
  private let newEvents: @Sendable () -> AsyncStream<SessionEvent>
  private let sender: WebhookSender
  private let policy: DeliveryPolicy
  private let timeout: Duration
  private let timing: DeliveryTiming
  private let owner: String
  private let metrics: WorkerMetrics
  private let logger: Logger

  private var endpoints: [String: Endpoint] = [:]
  private var sightings: [String: Sighting] = [:]
  private var aliveUntil: Instant?
  private var lookedAt: Instant?
  private var renewedAt: Instant?
  private var mustLook = true
  private var isKeeping = false
  private var keepNotBefore: Instant?
  private var isDatabaseAway = false
  private var underWay = 0
  /// Counts the news of the record.
  private var growth = 0
  /// The record's end, as far as it was seen; nil: it may have grown.
  private var recordEnd: Int64?
  private var grownWhenRead = 0
  private var isStopping = false
  private var timer: Task<Void, Never>?
  private var wakesAt = Instant.zero
  private var random = SeededRandom.fromSystem()
  private let wake: AsyncStream<Void>
  private let waker: AsyncStream<Void>.Continuation

  /// - Parameters:
  ///   - newEvents: a stream of what is written to the record from now on; only that something comes matters.
  ///   - policy: of every webhook; the rate is the webhook's own.
  ///   - timeout: for one request.
  ///   - owner: names this process, differently after every start.
  public init(
    database: any SQLDatabase, store: WebhookStore,
    newEvents: @escaping @Sendable () -> AsyncStream<SessionEvent>, sender: WebhookSender, policy: DeliveryPolicy,
    timeout: Duration, timing: DeliveryTiming = DeliveryTiming(), owner: String, metrics: WorkerMetrics, logger: Logger
  ) {
    ledger = WebhookLedger(database)
    self.store = store
    self.newEvents = newEvents
    self.sender = sender
    self.policy = policy
    self.timeout = timeout
    self.timing = timing
    self.owner = owner
    self.metrics = metrics
    self.logger = logger
    (wake, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Delivers until the task is cancelled, then lets the requests that are under way come to their end, keeps the last
  /// checkpoint, and leaves the webhooks to whoever comes next.
  public func run() async {
    let events = Task { [newEvents] in
      while !Task.isCancelled {
        for await _ in newEvents() { self.recordGrew() }
        // The stream ended because we were too slow, which is no loss: the record is read, not the stream.
        self.recordGrew()
        do { try await Task.sleep(for: .milliseconds(100)) } catch { return }
      }
    }
    let changes = Task { [store] in for await _ in store.changes { self.lookSoon() } }
    waker.yield()
    for await _ in wake {
      if Task.isCancelled { break }
      await pass()
    }
    events.cancel()
    changes.cancel()
    timer?.cancel()
    // The way out must not be cut short by the cancellation that led here.
    await Task { await finish() }.value
  }

  private func recordGrew() {
    growth += 1
    waker.yield()
  }

  private func lookSoon() {
    mustLook = true
    waker.yield()
  }

  // MARK: One pass

  private func pass() async {
    let now = Instant.monotonic()
    do {
      if !ledger.isExclusive { try await showLife(now) }
      if mustLook || lookedAt.map({ now - $0 >= timing.look }) ?? true { try await look(now) }
      try await read()
      if isDatabaseAway {
        isDatabaseAway = false
        logger.notice("webhooks are delivered again")
      }
    } catch {
      if !Task.isCancelled, !isDatabaseAway {
        isDatabaseAway = true
        logger.error("webhooks wait for the database", metadata: ["error": "\(error)"])
      }
    }
    let woken = Instant.monotonic()
    for id in endpoints.keys.sorted() {
      guard let due = endpoints[id]?.machine.deadline, due <= woken else { continue }
      perform(endpoints[id]?.machine.wake(at: woken) ?? [], id)
    }
    keep()
    measure()
    schedule()
  }

  /// Sets the one timer to what comes next.
  private func schedule() {
    timer?.cancel()
    let now = Instant.monotonic()
    var next = now + (ledger.isExclusive ? timing.look : timing.renewal)
    for endpoint in endpoints.values { if let due = endpoint.machine.deadline { next = min(next, due) } }
    if isDatabaseAway { next = max(next, now + timing.databaseRetry) }
    if let keepNotBefore, keepNotBefore > now { next = min(next, keepNotBefore) }
    let pause = max(.milliseconds(1), next - now)
    wakesAt = now + pause
    timer = Task { [waker] in
      do { try await Task.sleep(for: pause) } catch { return }
      waker.yield()
    }
  }

  private func measure() {
    metrics.queueDepth.with("webhooks").set(endpoints.values.reduce(0) { $0 + $1.machine.owedCount })
    let oldest = endpoints.values.compactMap(\.machine.oldestOwedMs).min()
    metrics.oldestOwed.set(oldest.map { max(0, Double(WallClock.nowMilliseconds() - $0) / 1000) } ?? 0)
  }

  // MARK: Whose webhook it is

  private func showLife(_ now: Instant) async throws {
    if !endpoints.isEmpty, !isAlive { leave() }
    if let renewedAt, now - renewedAt < timing.renewal { return }
    let mine = endpoints.isEmpty ? [:] : try await ledger.renew(owner: owner)
    renewedAt = now
    aliveUntil = now + timing.validity
    for (id, endpoint) in endpoints where mine[id] != endpoint.fence { endpoints[id] = nil }
  }

  /// Whether the others know that this process lives, so that it may send.
  private var isAlive: Bool { ledger.isExclusive || aliveUntil.map { Instant.monotonic() < $0 } ?? false }

  /// Somebody else may deliver from now on. What is under way ends before they begin.
  private func leave() {
    logger.warning("webhooks are left to other processes: this one could not show that it lives")
    endpoints = [:]
    lookSoon()
  }

  /// Looks at the webhooks: takes what is free, and heeds what was changed.
  private func look(_ now: Instant) async throws {
    mustLook = false
    lookedAt = now
    recordEnd = nil
    let all: [(webhook: Webhook, standing: WebhookLedger.Standing)]
    do {
      all = try await ledger.webhooks()
    } catch {
      mustLook = true
      throw error
    }
    let known = Set(all.map(\.webhook.id))
    for id in endpoints.keys where !known.contains(id) { endpoints[id] = nil }
    for id in sightings.keys where !known.contains(id) { sightings[id] = nil }
    for (webhook, standing) in all {
      if let endpoint = endpoints[webhook.id] {
        if endpoint.fence != standing.fence {
          endpoints[webhook.id] = nil
        } else {
          if endpoint.webhook.revision != webhook.revision { change(webhook) }
          continue
        }
      }
      if try await mayTake(standing, now) { try await take(standing) }
    }
  }

  private func mayTake(_ standing: WebhookLedger.Standing, _ now: Instant) async throws -> Bool {
    if standing.owner.isEmpty || standing.owner == owner || ledger.isExclusive { return true }
    guard let seen = sightings[standing.webhook], seen.standing == standing else {
      sightings[standing.webhook] = Sighting(standing: standing, since: now)
      return false
    }
    // Whoever cannot renew stops sending after `validity`, and its last request ends within the timeout.
    return now - seen.since > timing.validity + timeout + timing.look
  }

  private func take(_ standing: WebhookLedger.Standing) async throws {
    guard let claim = try await ledger.take(standing, owner: owner) else { return }
    let now = Instant.monotonic(), nowMs = WallClock.nowMilliseconds()
    func instant(_ wallMs: Int64?) -> Instant? { wallMs.map { now + .milliseconds($0 - nowMs) } }
    var policy = policy
    policy.ratePerSecond = claim.webhook.ratePerSecond
    let machine = DeliveryMachine(
      policy: policy, reached: claim.reached,
      parked: claim.parked.map { row in
        DeliveryMachine.Parked(
          owed: DeliveryMachine.Owed(
            place: row.place, session: SessionID(row.session), timestampMs: row.timestampMs),
          attempts: row.attempts, begunAt: instant(row.begunMs), dueAt: instant(row.dueMs))
      }, failingSince: instant(claim.failingSinceMs), seed: random.next())
    let id = claim.webhook.id
    endpoints[id] = Endpoint(
      webhook: claim.webhook, machine: machine, fence: claim.fence, keptAt: now)
    sightings[id] = nil
    perform(endpoints[id]?.machine.wake(at: now) ?? [], id)
  }

  private func change(_ webhook: Webhook) {
    let old = endpoints[webhook.id]?.webhook.ratePerSecond
    endpoints[webhook.id]?.webhook = webhook
    if webhook.ratePerSecond != old {
      let now = Instant.monotonic()
      perform(endpoints[webhook.id]?.machine.limit(ratePerSecond: webhook.ratePerSecond, at: now) ?? [], webhook.id)
    }
  }

  // MARK: Reading the record

  /// Gives every machine that wants more what follows in the record. Machines that have got equally far share a page.
  private func read() async throws {
    if growth != grownWhenRead { recordEnd = nil }
    let growth = growth
    var end = recordEnd
    defer {
      recordEnd = end
      grownWhenRead = growth
    }
    while true {
      let hungry = endpoints.filter { $0.value.machine.wantsMore && $0.value.machine.readUpTo < end ?? .max }
        .mapValues(\.machine.readUpTo)
      guard let from = hungry.values.min() else { return }
      let page = try await ledger.events(after: from, limit: Self.page)
      if page.count < Self.page { end = page.last?.place ?? from }
      guard let last = page.last?.place else { continue }
      let bodies = page.map { EventBody(place: $0.place, event: $0.event) }
      let now = Instant.monotonic()
      for (id, readUpTo) in hungry {
        // It may have been dropped and taken anew while the page was read.
        guard readUpTo < last, let endpoint = endpoints[id], endpoint.machine.readUpTo == readUpTo else { continue }
        let new = bodies.filter { $0.place > readUpTo && $0.isFor(endpoint.webhook) }
        for body in new { endpoint.events[body.place] = body }
        let owed = new.map { body in
          DeliveryMachine.Owed(
            place: body.place, session: body.event.session, timestampMs: body.event.timestampMs)
        }
        perform(endpoints[id]?.machine.offer(owed, readUpTo: last, at: now) ?? [], id)
      }
    }
  }

  // MARK: Sending

  private func perform(_ actions: [DeliveryMachine.Action], _ id: String) {
    for action in actions {
      guard let endpoint = endpoints[id] else { return }
      switch action {
      case .send(let place, let attempt):
        guard isAlive else { return leave() }
        send(endpoint, place, attempt)
      case .disable(let reason): disable(endpoint, reason)
      }
    }
  }

  private func send(_ endpoint: Endpoint, _ place: Int64, _ attempt: Int) {
    underWay += 1
    let atHand = endpoint.events[place]
    let webhook = endpoint.webhook, fence = endpoint.fence
    Task { [sender, timeout] in
      if let body = await self.body(at: place, atHand, webhook.id, fence) {
        let answer = await sender.send(body.message(to: webhook), timeout: timeout)
        self.answered(body, attempt, answer, webhook.id, fence)
      }
      self.underWay -= 1
    }
  }

  /// The event to send; nil: there is nothing to send any more.
  private func body(at place: Int64, _ atHand: EventBody?, _ id: String, _ fence: Int64) async -> EventBody? {
    if let atHand { return atHand }
    while endpoints[id]?.fence == fence, !isStopping {
      do {
        if let event = try await ledger.event(at: place) { return EventBody(place: place, event: event) }
        let now = Instant.monotonic()
        perform(endpoints[id]?.machine.answered(place, .missing, at: now) ?? [], id)
        logger.warning("an event that a webhook is owed is not kept any more", metadata: ["webhook": "\(id)"])
        return nil
      } catch {
        do { try await Task.sleep(for: timing.databaseRetry) } catch { return nil }
      }
    }
    return nil
  }

  private func answered(
    _ body: EventBody, _ attempt: Int, _ answer: WebhookSender.Answer, _ id: String, _ fence: Int64
  ) {
    let outcome = answer.outcome
    metrics.deliveries.with(outcome.name).add()
    metrics.deliverySeconds.observe(Double(answer.durationMs) / 1000)
    guard endpoints[id]?.fence == fence else { return }
    let event = body.event
    endpoints[id]?.events[body.place] = nil
    endpoints[id]?.history.append(
      WebhookDelivery(
        webhook: id, eventID: event.eventID, type: event.type, session: event.session.value, sequence: event.sequence,
        attempt: attempt, outcome: outcome.name, status: answer.status, error: answer.error, response: answer.excerpt,
        durationMs: answer.durationMs, atMs: WallClock.nowMilliseconds()))
    if case .failed(let reason) = outcome {
      logger.debug(
        "a webhook was not delivered",
        metadata: [
          "webhook": "\(id)", "session_id": "\(event.session)", "reason": "\(reason)", "attempt": "\(attempt)",
        ])
    }
    let now = Instant.monotonic()
    perform(endpoints[id]?.machine.answered(body.place, outcome, at: now) ?? [], id)
    keep(only: id)
    // A whole pass only where there is more to read, or something to wait for.
    guard let machine = endpoints[id]?.machine else { return }
    if machine.wantsMore && machine.readUpTo < recordEnd ?? .max || machine.deadline ?? wakesAt < wakesAt {
      waker.yield()
    }
  }

  private func disable(_ endpoint: Endpoint, _ reason: String) {
    let id = endpoint.webhook.id
    logger.warning("a webhook was disabled", metadata: ["webhook": "\(id)", "reason": "\(reason)"])
    let last = checkpoint(of: id, Instant.monotonic())
    endpoints[id] = nil
    underWay += 1
    Task { [ledger, logger] in
      let nowMs = WallClock.nowMilliseconds()
      do {
        if let last { _ = try await ledger.keep([last.row], nowMs: nowMs) }
        try await ledger.disable(id, fence: endpoint.fence, reason: reason, nowMs: nowMs)
      } catch {
        // It is still on: whoever takes it next comes to the same end.
        logger.error("a webhook could not be disabled", metadata: ["webhook": "\(id)", "error": "\(error)"])
      }
      self.underWay -= 1
      self.lookSoon()
    }
  }

  // MARK: Checkpoints

  private struct Kept {
    var checkpoint: DeliveryMachine.Checkpoint?
    var row: WebhookLedger.Checkpoint
  }

  /// What has changed of a webhook; nil: nothing.
  private func checkpoint(of id: String, _ now: Instant) -> Kept? {
    guard let endpoint = endpoints[id] else { return nil }
    let isIdleDue = isStopping || now - endpoint.keptAt >= timing.idleCheckpoint
    guard let checkpoint = endpoint.machine.checkpoint(evenIfRead: isIdleDue) else { return nil }
    let nowMs = WallClock.nowMilliseconds()
    func wallMs(_ instant: Instant?) -> Int64? { instant.map { nowMs + ($0 - now).milliseconds } }
    let history = endpoint.history
    endpoint.history = []
    endpoint.keptAt = now
    // Events that wait are read again when their time comes: memory is for those that are about to be sent.
    for row in checkpoint.parked { endpoint.events[row.owed.place] = nil }
    metrics.deadLetters.add(checkpoint.dead.count)
    return Kept(
      checkpoint: checkpoint,
      row: WebhookLedger.Checkpoint(
        webhook: id, fence: endpoint.fence, reached: checkpoint.reached, lastSuccessMs: wallMs(checkpoint.lastSuccess),
        failingSinceMs: wallMs(checkpoint.failingSince),
        parked: checkpoint.parked.map { row in
          WebhookLedger.Parked(
            place: row.owed.place, session: row.owed.session.value, timestampMs: row.owed.timestampMs,
            attempts: row.attempts, begunMs: wallMs(row.begunAt), dueMs: wallMs(row.dueAt))
        }, settled: checkpoint.settled, dead: checkpoint.dead.map { ($0.place, $0.attempts, $0.reason) },
        deliveries: history))
  }

  /// Keeps what has changed, one transaction at a time: what comes while one is under way is in the next.
  /// - Parameter only: of this webhook; nil: of all.
  private func keep(only: String? = nil) {
    let now = Instant.monotonic()
    if isKeeping { return }
    if let keepNotBefore, keepNotBefore > now { return }
    let batch = (only.map { [$0] } ?? Array(endpoints.keys)).compactMap { checkpoint(of: $0, now) }
    if batch.isEmpty { return }
    isKeeping = true
    Task { await self.write(batch) }
  }

  private func write(_ batch: [Kept]) async {
    do {
      let lost = try await ledger.keep(batch.map(\.row), nowMs: WallClock.nowMilliseconds())
      for id in lost { endpoints[id] = nil }
      keepNotBefore = nil
    } catch {
      if keepNotBefore == nil {
        logger.error("the progress of webhooks waits for the database", metadata: ["error": "\(error)"])
      }
      keepNotBefore = Instant.monotonic() + timing.databaseRetry
      for kept in batch {
        guard let endpoint = endpoints[kept.row.webhook], endpoint.fence == kept.row.fence else { continue }
        if let checkpoint = kept.checkpoint { endpoints[kept.row.webhook]?.machine.restore(checkpoint) }
        let history = (kept.row.deliveries + endpoint.history).suffix(Self.historyLimit)
        endpoints[kept.row.webhook]?.history = Array(history)
      }
    }
    isKeeping = false
    waker.yield()
  }

  // MARK: Stopping

  private func finish() async {
    isStopping = true
    let end = Instant.monotonic() + min(timeout, .seconds(5))
    while underWay > 0 || isKeeping, Instant.monotonic() < end {
      do { try await Task.sleep(for: .milliseconds(10)) } catch { break }
    }
    let now = Instant.monotonic()
    let last = endpoints.keys.compactMap { checkpoint(of: $0, now)?.row }
    do {
      if !last.isEmpty { _ = try await ledger.keep(last, nowMs: WallClock.nowMilliseconds()) }
      if !endpoints.isEmpty { try await ledger.release(owner: owner) }
    } catch {
      // Nothing is lost: what was not kept is delivered again.
      logger.warning("the progress of webhooks could not be kept at the stop", metadata: ["error": "\(error)"])
    }
    endpoints = [:]
  }
}
