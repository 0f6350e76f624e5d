import Base
import Dispatch
import FoundationEssentials
import GRDB
import Logging
import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The record of sessions in one SQLite file, owned by one process.
///
/// Writes queue in order and are committed in batches on one queue; `append` and `put` only take a lock. Reads run beside
/// the writer (WAL). `synchronous` is NORMAL: nothing is lost when the process dies, and at most the last moments when the
/// machine does, which spares every batch a wait for the disk. Any thread.
public final class SQLiteStore: SessionStore {
  /// What to do with sessions that a crash left open.
  public enum OpenSessions: Sendable {
    /// The calls died with the process: their sessions are ended, in the directory and in their records.
    case end
    /// They stay open for whoever resumes them; see ``SessionStore/openSessions()``.
    case keep
  }

  private enum Write: Sendable {
    case event(SessionEvent)
    case session(SessionSummary)
    case snapshot(SessionSnapshot)
    case flush(CheckedContinuation<Void, Never>)
    /// A newer write took its place.
    case superseded
  }

  /// What the newest of several waiting writes replaces.
  private enum Slot: Hashable {
    case session(SessionID)
    case snapshot(SessionID)
  }

  private struct Pending {
    var writes: [Write] = []
    /// Where in `writes` the newest of each stands. Emptied by a flush: what stands before it must be written.
    var slots: [Slot: Int] = [:]
    var isScheduled = false
    var isClosed = false
    /// Said in the log when the queue next runs.
    var droppedSinceReport = 0

    mutating func add(_ write: Write) {
      switch write {
      case .session(let summary): take(.session(summary.session))
      case .snapshot(let snapshot):
        if let older = slots[.snapshot(snapshot.session)], case .snapshot(let waiting) = writes[older],
          waiting.sequence > snapshot.sequence
        {
          return
        }
        take(.snapshot(snapshot.session))
      case .flush: slots = [:]
      case .event, .superseded: break
      }
      writes.append(write)
    }

    /// Of several states of one thing only the newest is written. It stands behind the events that it has seen.
    private mutating func take(_ slot: Slot) {
      if let older = slots.updateValue(writes.count, forKey: slot) { writes[older] = .superseded }
    }
  }

  private let pool: DatabasePool
  private let queue = DispatchQueue(label: "parley.storage.writer")
  private let pending = NIOLockedValueBox(Pending())
  private let lost = NIOLockedValueBox(0)
  private let subscribers = Subscribers()
  private let logger: Logger
  private let lock: FileLock
  private let queueLimit: Int

  /// The versions of dialogs, in the same file.
  public let dialogs: SQLiteDialogStore
  /// The tables of everything else, in the same file.
  public let database: SQLiteDatabase
  /// The documents to answer from, in the same file.
  public let documents: SQLiteDocumentStore

  /// Opens the file, makes it where there is none, and brings it to the current schema.
  /// - Parameters:
  ///   - path: its folder is made where there is none, for the owner only.
  ///   - nowMs: wall-clock milliseconds, for the end of sessions that a crash left open.
  ///   - queueLimit: writes that may wait for the disk.
  /// - Throws: one sentence that names the file.
  public init(
    path: String, nowMs: Int64, openSessions: OpenSessions = .end, queueLimit: Int = StorageLimits.pendingWrites,
    logger: Logger
  ) throws(StorageError) {
    self.logger = logger
    self.queueLimit = queueLimit
    do {
      let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      if !folder.isEmpty, !FileManager.default.fileExists(atPath: folder) {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
      }
    } catch {
      throw StorageError(.cannotOpen, "the folder of the database \(path) cannot be made: \(Self.reason(error))")
    }
    lock = try FileLock(path: path + ".lock", what: path)
    var configuration = GRDB.Configuration()
    configuration.maximumReaderCount = 4
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { database in
      try database.execute(sql: "PRAGMA synchronous = NORMAL")
    }
    do {
      pool = try DatabasePool(path: path, configuration: configuration)
      try Schema.migrator.migrate(pool)
      if openSessions == .end {
        let repaired = try pool.write { try Schema.endOpenSessions($0, nowMs: nowMs) }
        if repaired > 0 {
          logger.notice("ended the sessions that a crash left open", metadata: ["sessions": "\(repaired)"])
        }
      }
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be opened: \(Self.reason(error))")
    }
    database = SQLiteDatabase(pool)
    dialogs = SQLiteDialogStore(pool)
    documents = SQLiteDocumentStore(pool)
  }

  public var lostWrites: Int { lost.withLockedValue { $0 } }

  // MARK: Writing

  public func append(_ event: SessionEvent) { enqueue(.event(event)) }

  public func put(_ summary: SessionSummary) { enqueue(.session(summary)) }

  public func putSnapshot(_ session: SessionID, sequence: Int64, data: [UInt8]) {
    guard data.count <= StorageLimits.snapshotBytes else {
      lost.withLockedValue { $0 += 1 }
      logger.error(
        "a snapshot is too large to be kept", metadata: ["session_id": "\(session)", "bytes": "\(data.count)"])
      return
    }
    enqueue(.snapshot(SessionSnapshot(session: session, sequence: sequence, data: data)))
  }

  public func flush() async {
    await withCheckedContinuation { continuation in
      if !enqueue(.flush(continuation)) { continuation.resume() }
    }
  }

  /// Writes what is queued, then ends the subscriptions and gives the file up. Nothing can be written afterwards.
  public func close() async {
    await flush()
    pending.withLockedValue { $0.isClosed = true }
    // A drain may still be under way with what came after the flush.
    await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    subscribers.close()
    dialogs.close()
    do { try pool.close() } catch { logger.warning("the database did not close", metadata: ["error": "\(error)"]) }
    lock.release()
  }

  @discardableResult
  private func enqueue(_ write: Write) -> Bool {
    enum Next { case schedule, wait, drop, closed }
    let next: Next = pending.withLockedValue { pending in
      if pending.isClosed { return .closed }
      if pending.writes.count >= queueLimit {
        if case .flush = write {
        } else {
          pending.droppedSinceReport += 1
          return .drop
        }
      }
      pending.add(write)
      if pending.isScheduled { return .wait }
      pending.isScheduled = true
      return .schedule
    }
    switch next {
    case .schedule:
      queue.async { self.drain() }
      return true
    case .wait: return true
    case .drop, .closed:
      if case .flush = write { return false }
      lost.withLockedValue { $0 += 1 }
      return false
    }
  }

  // MARK: The writer's queue

  private func drain() {
    while let (writes, dropped) = takePending() {
      if dropped > 0 {
        logger.error("writes were dropped because the disk is too slow", metadata: ["dropped": "\(dropped)"])
      }
      var rest = writes[...]
      while !rest.isEmpty {
        commit(rest.prefix(StorageLimits.batch))
        rest = rest.dropFirst(StorageLimits.batch)
      }
    }
  }

  private func takePending() -> ([Write], dropped: Int)? {
    pending.withLockedValue { pending in
      if pending.writes.isEmpty {
        pending.isScheduled = false
        return nil
      }
      defer {
        pending.writes = []
        pending.slots = [:]
        pending.droppedSinceReport = 0
      }
      return (pending.writes, pending.droppedSinceReport)
    }
  }

  private func commit(_ batch: ArraySlice<Write>) {
    var written = Array(batch)
    do {
      try pool.write { database in
        for write in batch { try Self.perform(write, database) }
      }
    } catch {
      // One bad write must not take its neighbours with it.
      written = batch.filter { write in
        do {
          try pool.write { try Self.perform(write, $0) }
          return true
        } catch {
          lost.withLockedValue { $0 += 1 }
          logger.error("a write to the record was lost", metadata: ["error": "\(Self.reason(error))"])
          return false
        }
      }
    }
    var events: [SessionEvent] = []
    for case .event(let event) in written { events.append(event) }
    subscribers.publish(events)
    for case .flush(let continuation) in batch { continuation.resume() }
  }

  private static func perform(_ write: Write, _ database: Database) throws {
    switch write {
    case .event(let event): try Schema.insert(event, database)
    case .session(let summary): try Schema.replace(summary, database)
    case .snapshot(let snapshot): try Schema.replace(snapshot, database)
    case .flush, .superseded: break
    }
  }

  // MARK: Reading

  public func events(of session: SessionID, after sequence: Int64, limit: Int) async throws -> [SessionEvent] {
    told(try await read { try Schema.events(of: session, after: sequence, limit: limit, $0) })
  }

  public func events(after eventID: String?, limit: Int) async throws -> [SessionEvent] {
    told(try await read { try Schema.events(after: eventID, limit: limit, $0) })
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

  public func session(_ id: SessionID) async throws -> SessionSummary? {
    try await read { try Schema.session(id, $0) }
  }

  public func sessions(ended: Bool, limit: Int, cursor: SessionID?) async throws -> [SessionSummary] {
    try await read { try Schema.sessions(ended: ended, limit: limit, cursor: cursor, $0) }
  }

  public func openSessions() async throws -> [SessionSummary] {
    try await read { try Schema.openSessions($0) }
  }

  public func snapshot(of session: SessionID) async throws -> SessionSnapshot? {
    switch try await read({ try Schema.snapshot(of: session, $0) }) {
    case .none: return nil
    case .some(let snapshot?): return snapshot
    case .some(nil):
      logger.error("a snapshot in the database is damaged", metadata: ["session_id": "\(session)"])
      return nil
    }
  }

  private func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
    try await StorageError.explained(.readFailed) { [pool] in try await pool.read(body) }
  }

  private static func reason(_ error: any Error) -> String { StorageError.reason(error) }
}

extension StorageError {
  /// Runs a question to the database; its errors become sentences.
  static func explained<T>(_ code: Code, _ body: () async throws -> T) async throws -> T {
    do {
      return try await body()
    } catch let error as StorageError {
      throw error
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw StorageError(code, "the database cannot be \(code == .readFailed ? "read" : "written"): \(reason(error))")
    }
  }

  static func reason(_ error: any Error) -> String {
    (error as? DatabaseError).map { $0.message ?? "\($0.resultCode)" } ?? "\(error)"
  }
}
