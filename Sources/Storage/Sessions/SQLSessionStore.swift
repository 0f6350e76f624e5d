import Base
import Logging
import NIOConcurrencyHelpers

/// The record of sessions in a database.
///
/// Writes queue in order and are committed in batches by one task; `append` and `put` only take a lock. While the database
/// takes nothing (it is gone, or the disk is full) they wait, calls go on, and everything is written in order once it does
/// again. Any thread.
public final class SQLSessionStore: SessionStore {
  private struct State {
    var queue = WriteQueue()
    /// What the writer has taken and not written yet.
    var underWay = 0
    /// Everything that was ever queued, and how much of that is done with: what a flush waits for.
    var queued = 0
    var done = 0
    var flushes: [(at: Int, continuation: CheckedContinuation<Void, Never>)] = []
    var writer: Task<Void, Never>?
    var isClosed = false
    /// When a store that closes gives up.
    var closesAt: ContinuousClock.Instant?
    var lost = 0
    /// Said in the log when the writer next runs.
    var droppedSinceReport = 0
    /// Why the database takes nothing now.
    var trouble: String?

    var waiting: Int { queue.count + underWay }

    mutating func takeFlushes() -> [CheckedContinuation<Void, Never>] {
      let met = flushes.filter { $0.at <= done || trouble != nil }
      flushes.removeAll { $0.at <= done || trouble != nil }
      return met.map(\.continuation)
    }
  }

  /// How long the writer waits before it tries again: doubled from the first to the last.
  struct Patience: Sendable {
    var first: Duration = .milliseconds(100)
    var last: Duration = .seconds(2)
    /// What a store that closes still gives the database.
    var closing: Duration = .seconds(5)
  }

  private let database: any SQLDatabase
  private let instance: String
  private let queueLimit: Int
  private let patience: Patience
  private let state = NIOLockedValueBox(State())
  private let subscribers = Subscribers()
  private let tail = NIOLockedValueBox<(log: LogTail, bell: (any ChangeBell)?)?>(nil)
  private let logger: Logger

  /// - Parameters:
  ///   - database: has the schema already.
  ///   - instance: this process among those that share the database; see ``InstanceLease``.
  ///   - queueLimit: writes that may wait.
  public convenience init(
    _ database: any SQLDatabase, instance: String = "", queueLimit: Int = StorageLimits.pendingWrites, logger: Logger
  ) {
    self.init(database, instance: instance, queueLimit: queueLimit, patience: Patience(), logger: logger)
  }

  init(_ database: any SQLDatabase, instance: String, queueLimit: Int, patience: Patience, logger: Logger) {
    self.database = database
    self.instance = instance
    self.queueLimit = queueLimit
    self.patience = patience
    self.logger = logger
  }

  /// A store that lives in memory and forgets everything: for tests.
  public static func inMemory() throws(StorageError) -> SQLSessionStore {
    SQLSessionStore(
      try SQLiteDatabase.inMemory(), logger: Logger(label: "parley.storage") { _ in SwiftLogNoOpLogHandler() })
  }

  public var lostWrites: Int { state.withLockedValue { $0.lost } }

  /// Writes that wait for the database.
  public var waitingWrites: Int { state.withLockedValue { $0.waiting } }

  /// Why the database takes no writes now, in one sentence; nil: it does. For readiness.
  public var trouble: String? { state.withLockedValue { $0.trouble } }

  // MARK: Writing

  public func append(_ event: SessionEvent) { enqueue(.event(event)) }

  public func appendAgain(_ event: SessionEvent) { enqueue(.again(event)) }

  public var queuedWrites: Int { state.withLockedValue { $0.queued } }

  public var finishedWrites: Int { state.withLockedValue { $0.done } }

  public func put(_ summary: SessionSummary) { enqueue(.session(summary)) }

  public func flush() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLockedValue { state in
        if state.waiting == 0 || state.trouble != nil { return true }
        state.queue.seal()
        state.flushes.append((state.queued, continuation))
        return false
      }
      if isDone { continuation.resume() }
    }
  }

  /// Writes what is queued, where the database takes it within seconds, then ends the subscriptions. Nothing can be written
  /// afterwards.
  public func close() async {
    let writer = state.withLockedValue { state in
      state.isClosed = true
      state.closesAt = ContinuousClock.now + patience.closing
      return state.writer
    }
    await writer?.value
    await tail.withLockedValue { $0 }?.log.stop()
    subscribers.close()
  }

  /// From now on subscribers get the events of all processes that write to the database.
  func follow(_ bell: (any ChangeBell)?) async throws {
    let log = LogTail(database) { [subscribers] in subscribers.publish($0) }
    try await log.start()
    tail.withLockedValue { $0 = (log, bell) }
    bell?.listen { Task { await log.catchUp() } }
  }

  private func enqueue(_ write: SessionWrite) {
    state.withLockedValue { state in
      guard !state.isClosed, state.waiting < queueLimit else {
        state.lost += 1
        if !state.isClosed { state.droppedSinceReport += 1 }
        return
      }
      let before = state.queue.count
      state.queue.add(write)
      // What replaces an older state of the same thing takes its turn over.
      state.queued += max(0, state.queue.count - before)
      if state.writer == nil { state.writer = Task { await self.drain() } }
    }
  }

  // MARK: The writer

  private func drain() async {
    while let (batch, dropped) = takeBatch() {
      if dropped > 0 {
        logger.error(
          "writes were dropped because too many wait for the database", metadata: ["dropped": "\(dropped)"])
      }
      await commit(batch)
      finish(batch.count)
    }
  }

  /// nil: nothing waits, and the writer is over.
  private func takeBatch() -> ([SessionWrite], dropped: Int)? {
    state.withLockedValue { state in
      let batch = state.queue.take(StorageLimits.batch)
      guard !batch.isEmpty else {
        state.writer = nil
        return nil
      }
      state.underWay = batch.count
      defer { state.droppedSinceReport = 0 }
      return (batch, state.droppedSinceReport)
    }
  }

  private func finish(_ count: Int) {
    let met = state.withLockedValue { state in
      state.underWay = 0
      state.done += count
      return state.takeFlushes()
    }
    for continuation in met { continuation.resume() }
  }

  private func commit(_ batch: [SessionWrite]) async {
    switch await attempt(batch) {
    case .success(let fresh): await publish(fresh)
    case .failure(let error) where error.isPassing: lose(batch.count, error)
    case .failure where batch.count > 1:
      // One that cannot be written takes no other with it.
      for write in batch {
        switch await attempt([write]) {
        case .success(let fresh): await publish(fresh)
        case .failure(let error): lose(1, error)
        }
      }
    case .failure(let error): lose(batch.count, error)
    }
  }

  /// Tries until the database has taken the batch or refused it for good, or until a store that closes has no more time.
  /// - Returns: the events that were not there before.
  private func attempt(_ batch: [SessionWrite]) async -> Result<[SessionEvent], StorageError> {
    var pause = patience.first
    var mayBeThere = false
    while true {
      do {
        let isRepeated = mayBeThere, instance = instance
        let fresh = try await database.write { database in
          try SessionRows.beginWriting(database)
          return try batch.compactMap { write in
            try Self.perform(write, isRepeated: isRepeated, instance: instance, database)
          }
        }
        recover()
        return .success(fresh)
      } catch {
        let error = error as? StorageError ?? StorageError(.writeFailed, "\(error)")
        guard error.isPassing else { return .failure(error) }
        stall(error)
        // A commit whose answer was lost may have happened.
        mayBeThere = true
        if let end = state.withLockedValue({ $0.closesAt }), ContinuousClock.now >= end { return .failure(error) }
        await sleep(pause)
        pause = min(pause * 2, patience.last)
      }
    }
  }

  /// - Returns: the event that is to be told of.
  private static func perform(
    _ write: SessionWrite, isRepeated: Bool, instance: String, _ database: any SQLConnection
  ) throws -> SessionEvent? {
    switch write {
    case .event(let event):
      if try !SessionRows.insert(event, instance: instance, database), !isRepeated {
        throw StorageError(
          .conflict, "there is an event \(event.eventID) already, or another process has ended the session")
      }
      return event
    case .again(let event):
      return try SessionRows.insert(event, instance: instance, database) || isRepeated ? event : nil
    case .session(let summary): try SessionRows.replace(summary, instance: instance, database)
    }
    return nil
  }

  /// In short pieces, so that a store that closes is not held up.
  private func sleep(_ duration: Duration) async {
    var left = duration
    while left > .zero {
      let piece = min(left, .milliseconds(100))
      // The writer's task is nobody's child; only the end of the process could cancel it.
      do { try await Task.sleep(for: piece) } catch { return }
      left -= piece
      if state.withLockedValue({ $0.isClosed }) { return }
    }
  }

  private func stall(_ error: StorageError) {
    let (isNew, met) = state.withLockedValue { state in
      let isNew = state.trouble == nil
      state.trouble = error.description
      return (isNew, state.takeFlushes())
    }
    if isNew {
      logger.error(
        "the database takes no writes; they wait in memory", metadata: ["reason": "\(error)", "limit": "\(queueLimit)"])
    }
    for continuation in met { continuation.resume() }
  }

  private func recover() {
    let trouble = state.withLockedValue { state in
      defer { state.trouble = nil }
      return state.trouble
    }
    if trouble != nil { logger.notice("the database takes writes again") }
  }

  private func lose(_ count: Int, _ error: StorageError) {
    state.withLockedValue { $0.lost += count }
    logger.error("writes to the record were lost", metadata: ["writes": "\(count)", "error": "\(error)"])
  }

  private func publish(_ events: [SessionEvent]) async {
    guard let tail = tail.withLockedValue({ $0 }) else { return subscribers.publish(events) }
    if events.isEmpty { return }
    await tail.log.catchUp()
    tail.bell?.ring()
  }

  // MARK: Reading

  public func events(
    of session: SessionID, tenant: String?, after sequence: Int64, limit: Int
  ) async throws -> [SessionEvent] {
    told(
      try await database.read {
        try SessionRows.events(of: session, tenant: tenant, after: sequence, limit: limit, $0)
      })
  }

  public func events(tenant: String?, after eventID: String?, limit: Int) async throws -> [SessionEvent] {
    told(try await database.read { try SessionRows.events(tenant: tenant, after: eventID, limit: limit, $0) })
  }

  /// Says in the log which rows are damaged.
  private func told(_ events: [SessionEvent]) -> [SessionEvent] {
    for event in events where event.fields[SessionEvent.damaged] != nil {
      logger.error(
        "an event in the database is damaged",
        metadata: ["session_id": "\(event.session)", "sequence": "\(event.sequence)"])
    }
    return events
  }

  public func subscribe(bufferLimit: Int) -> AsyncStream<SessionEvent> {
    subscribers.subscribe(bufferLimit: bufferLimit)
  }

  public func session(_ id: SessionID, tenant: String?) async throws -> SessionSummary? {
    try await database.read { try SessionRows.session(id, tenant: tenant, $0) }
  }

  public func sessions(_ query: SessionQuery) async throws -> [SessionSummary] {
    try await database.read { try SessionRows.sessions(query, $0) }
  }

  /// How the database goes about a list, step by step in its own words: its cost must be the page's and not the table's.
  public func explain(_ query: SessionQuery) async throws -> [String] {
    try await database.read { database in
      let (sql, arguments) = try SessionRows.statement(query, database)
      let prefix = database.dialect == .sqlite ? "EXPLAIN QUERY PLAN " : "EXPLAIN "
      return try database.rows(prefix + sql, arguments).map { row in
        try row.text(database.dialect == .sqlite ? "detail" : "QUERY PLAN")
      }
    }
  }

  public func openSessions() async throws -> [SessionSummary] {
    try await database.read { try SessionRows.openSessions($0) }
  }
}
