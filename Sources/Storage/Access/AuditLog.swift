import Base
import FoundationEssentials
import Logging
import NIOConcurrencyHelpers

/// Who did what: takes records from anywhere without waiting, keeps them in order, and chains them (``AuditChain``).
///
/// A record is in the database within moments of ``record(_:)``; a crash in between loses it. While the database is gone, records
/// wait, at most ``AuditLimits/pending`` of them. The number and hash of the last one stand in a file beside the database too, so
/// that lines which are cut off at the end of the log are missed. Any thread.
public final class AuditLog: Sendable {
  private struct State {
    var pending: [AuditRecord] = []
    /// Dropped since the last record that was kept.
    var dropped = 0
    var isDraining = false
    var isClosed = false
    var head = AuditHead.none
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let store: AuditStore
  private let headFile: String?
  private let retryInterval: Duration
  private let now: @Sendable () -> Int64
  private let logger: Logger
  private let state: NIOLockedValueBox<State>

  /// - Parameters:
  ///   - headFile: where the head is kept; nil: nowhere.
  ///   - now: wall-clock milliseconds since 1970.
  ///   - retryInterval: how long to wait for a database that is gone.
  public init(
    _ database: any SQLDatabase, headFile: String?, retryInterval: Duration = .seconds(1),
    now: @escaping @Sendable () -> Int64, logger: Logger
  ) {
    store = AuditStore(database)
    self.headFile = headFile
    self.retryInterval = retryInterval
    self.now = now
    self.logger = logger
    var state = State()
    if let headFile, let kept = Self.readHead(headFile) { state.head = kept }
    self.state = NIOLockedValueBox(state)
  }

  /// The head that a file holds; nil where there is none, or none that can be read.
  public static func readHead(_ file: String) -> AuditHead? {
    FileManager.default.contents(atPath: file).flatMap { AuditHead(String(decoding: $0, as: UTF8.self)) }
  }

  /// Says in the log where the chain stands, and whether the database has lost lines since the head was written.
  public func start() async {
    do {
      let found = try await store.head()
      let known = state.withLockedValue { $0.head }
      if found.sequence < known.sequence {
        logger.error(
          "the audit log has lost its last lines; run 'parley audit verify'",
          metadata: ["expected": "\(known.sequence)", "found": "\(found.sequence)"])
      } else if let headFile {
        // The last process may have died between its commit and its file.
        keep(found, in: headFile)
      }
      logger.info("the audit log is open", metadata: ["head": "\(max(found, known).text)"])
    } catch {
      logger.warning("the audit log cannot be read", metadata: ["error": "\(error)"])
    }
  }

  /// Queues a record. ``AuditRecord/atMs`` is kept as it is given.
  public func record(_ record: AuditRecord) {
    let mustDrain = state.withLockedValue { state -> Bool in
      guard !state.isClosed else { return false }
      guard state.pending.count < AuditLimits.pending else {
        state.dropped += 1
        return false
      }
      state.pending.append(record)
      defer { state.isDraining = true }
      return !state.isDraining
    }
    if mustDrain { Task { await drain() } }
  }

  /// The same, at this moment.
  public func record(
    tenant: String = Tenant.standard, actor: String, action: String, object: String = "",
    outcome: AuditRecord.Outcome = .ok, status: Int = 0, peer: String = "", requestID: String = "",
    details: [String: Value] = [:]
  ) {
    record(
      AuditRecord(
        atMs: now(), tenant: tenant, actor: actor, action: action, object: object, outcome: outcome, status: status,
        peer: peer, requestID: requestID, details: details))
  }

  /// Records that wait for the database.
  public var waiting: Int { state.withLockedValue { $0.pending.count } }

  /// Waits until everything recorded so far is kept, or the log is closed.
  public func flush() async {
    await withCheckedContinuation { continuation in
      let isIdle = state.withLockedValue { state in
        if state.isDraining { state.waiting.append(continuation) }
        return !state.isDraining
      }
      if isIdle { continuation.resume() }
    }
  }

  /// Keeps what is queued if the database lets it, and takes no more. What cannot be kept is said in the log.
  public func close() async {
    let isDraining = state.withLockedValue { state in
      state.isClosed = true
      return state.isDraining
    }
    if isDraining { await flush() }
    let head = state.withLockedValue { $0.head }
    logger.info("the audit log is closed", metadata: ["head": "\(head.text)"])
  }

  private func drain() async {
    while let (batch, head) = next() {
      do {
        let newHead = try await store.append(batch, after: head)
        if let headFile { keep(newHead, in: headFile) }
        state.withLockedValue { $0.head = newHead }
      } catch {
        let gaveUp = state.withLockedValue { state -> Int? in
          guard state.isClosed else {
            state.pending.insert(contentsOf: batch, at: 0)
            return nil
          }
          defer { state.pending = [] }
          return batch.count + state.pending.count
        }
        if let gaveUp {
          logger.error("records of the audit log are lost", metadata: ["lost": "\(gaveUp)", "error": "\(error)"])
        } else {
          logger.error("the audit log cannot be written; it waits", metadata: ["error": "\(error)"])
          // Cancellation cannot happen: nobody holds this task.
          try? await Task.sleep(for: retryInterval)
        }
      }
    }
  }

  private func next() -> (batch: [AuditRecord], head: AuditHead)? {
    let (batch, head, flushed) = state.withLockedValue { state in
      if state.pending.isEmpty {
        defer { state.waiting = [] }
        state.isDraining = false
        return ([AuditRecord](), state.head, state.waiting)
      }
      var batch = Array(state.pending.prefix(AuditLimits.batch))
      state.pending.removeFirst(batch.count)
      if state.dropped > 0 {
        batch.append(
          AuditRecord(
            atMs: now(), actor: "gateway", action: "audit.dropped", outcome: .failed,
            details: ["records": .int(Int64(state.dropped))]))
        state.dropped = 0
      }
      return (batch, state.head, [])
    }
    for continuation in flushed { continuation.resume() }
    return batch.isEmpty ? nil : (batch, head)
  }

  /// Whoever reads the file sees one head or the next.
  private func keep(_ head: AuditHead, in file: String) {
    do {
      try Data("\(head.text)\n".utf8).write(to: URL(filePath: file), options: .atomic)
    } catch {
      logger.warning(
        "the head of the audit log cannot be written", metadata: ["file": "\(file)", "error": "\(error)"])
    }
  }
}

private func max(_ a: AuditHead, _ b: AuditHead) -> AuditHead { a.sequence >= b.sequence ? a : b }
