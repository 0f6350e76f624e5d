import Base
import Logging
import NIOConcurrencyHelpers

/// Writes checkpoints of many calls without any of them waiting: the newest of each session is written as soon as the store
/// takes it. What waits is bounded; what did not fit and what was refused is counted.
public final class CheckpointWriter: Sendable {
  private enum Write: Sendable {
    case put(SessionCheckpoint)
    case remove(token: Int64)

    var bytes: Int { if case .put(let checkpoint) = self { checkpoint.snapshot.data.count + 1024 } else { 64 } }
  }

  private struct State {
    /// The newest of each session, in the order in which the sessions first came.
    var order: [SessionID] = []
    var writes: [SessionID: Write] = [:]
    /// Of what waits and of what is being written.
    var bytes = 0
    var writer: Task<Void, Never>?
    var flushes: [CheckedContinuation<Void, Never>] = []
    var lost = 0
    var isClosed = false
    var trouble: String?
  }

  /// Checkpoints that are written at once.
  private static let batch = 64
  /// Between two attempts; doubled up to two seconds.
  private static let firstPause: Duration = .milliseconds(100)

  private let store: any CheckpointStore
  private let lifetime: Duration
  private let byteLimit: Int
  private let onOvertaken: @Sendable (SessionID) -> Void
  private let logger: Logger
  private let state = NIOLockedValueBox(State())

  /// - Parameters:
  ///   - lifetime: how long a checkpoint stays after its last write.
  ///   - byteLimit: what may wait. A waiting call's state takes some kilobytes.
  ///   - onOvertaken: another process has the session now; this one must let go of it.
  public init(
    _ store: any CheckpointStore, lifetime: Duration = .seconds(3_600), byteLimit: Int = 64 << 20, logger: Logger,
    onOvertaken: @escaping @Sendable (SessionID) -> Void = { _ in }
  ) {
    self.store = store
    self.lifetime = lifetime
    self.byteLimit = byteLimit
    self.onOvertaken = onOvertaken
    self.logger = logger
  }

  /// Checkpoints that were never written since the start, for want of room or because the store refused them.
  public var lost: Int { state.withLockedValue { $0.lost } }
  /// Sessions whose newest state waits.
  public var waiting: Int { state.withLockedValue { $0.writes.count } }
  /// Why nothing is written now; nil: it is.
  public var trouble: String? { state.withLockedValue { $0.trouble } }

  public func put(_ checkpoint: SessionCheckpoint) { enqueue(.put(checkpoint), checkpoint.snapshot.session) }

  public func remove(_ session: SessionID, token: Int64) { enqueue(.remove(token: token), session) }

  /// Waits until everything that came so far is written; while the store takes nothing, returns at once.
  public func flush() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLockedValue { state in
        if state.writer == nil || state.trouble != nil { return true }
        state.flushes.append(continuation)
        return false
      }
      if isDone { continuation.resume() }
    }
  }

  /// Writes what waits, unless the store takes nothing. Nothing can be written afterwards.
  public func close() async {
    let writer = state.withLockedValue { state in
      state.isClosed = true
      return state.writer
    }
    await writer?.value
  }

  private func enqueue(_ write: Write, _ session: SessionID) {
    state.withLockedValue { state in
      let older = state.writes[session]?.bytes ?? 0
      guard !state.isClosed, state.bytes - older + write.bytes <= byteLimit else {
        state.lost += 1
        return
      }
      if state.writes.updateValue(write, forKey: session) == nil { state.order.append(session) }
      state.bytes += write.bytes - older
      if state.writer == nil { state.writer = Task { await self.drain() } }
    }
  }

  private func drain() async {
    var pause = Self.firstPause
    while let batch = take() {
      let failure = await withTaskGroup(of: (SessionID, Write, StorageError?).self) { group in
        for (session, write) in batch { group.addTask { await (session, write, self.perform(write, session)) } }
        var passing: StorageError?
        for await (session, write, error) in group {
          if let error, error.isPassing {
            passing = error
            giveBack(write, session)
            continue
          }
          state.withLockedValue { $0.bytes -= write.bytes }
          if let error { refused(error, session) }
        }
        return passing
      }
      guard let failure else {
        pause = Self.firstPause
        recover()
        continue
      }
      stall(failure)
      if state.withLockedValue({ $0.isClosed }) { return giveUp() }
      // The writer's task is nobody's child; only the end of the process could cancel it.
      do { try await Task.sleep(for: pause) } catch { return }
      pause = min(pause * 2, .seconds(2))
    }
  }

  private func perform(_ write: Write, _ session: SessionID) async -> StorageError? {
    do {
      switch write {
      case .put(let checkpoint): try await store.put(checkpoint, for: lifetime)
      case .remove(let token): try await store.remove(session, token: token)
      }
      return nil
    } catch {
      return error as? StorageError ?? StorageError(.writeFailed, "\(error)")
    }
  }

  /// nil: nothing waits, and the writer is over.
  private func take() -> [(SessionID, Write)]? {
    let (batch, flushes) = state.withLockedValue { state in
      let sessions = state.order.prefix(Self.batch)
      state.order.removeFirst(sessions.count)
      let batch = sessions.compactMap { session in state.writes.removeValue(forKey: session).map { (session, $0) } }
      guard batch.isEmpty else { return (batch, [CheckedContinuation<Void, Never>]()) }
      state.writer = nil
      defer { state.flushes = [] }
      return (batch, state.flushes)
    }
    for flush in flushes { flush.resume() }
    return batch.isEmpty ? nil : batch
  }

  /// What the store did not take waits on, unless something newer does.
  private func giveBack(_ write: Write, _ session: SessionID) {
    state.withLockedValue { state in
      guard state.writes[session] == nil else {
        state.bytes -= write.bytes
        return
      }
      state.writes[session] = write
      state.order.append(session)
    }
  }

  private func refused(_ error: StorageError, _ session: SessionID) {
    state.withLockedValue { $0.lost += 1 }
    logger.error("a session's state was refused", metadata: ["session_id": "\(session)", "reason": "\(error)"])
    if error.code == .conflict { onOvertaken(session) }
  }

  private func stall(_ error: StorageError) {
    let (isNew, flushes) = state.withLockedValue { state in
      defer {
        state.trouble = error.description
        state.flushes = []
      }
      return (state.trouble == nil, state.flushes)
    }
    if isNew { logger.error("the state of sessions cannot be written; it waits", metadata: ["reason": "\(error)"]) }
    for flush in flushes { flush.resume() }
  }

  private func recover() {
    let wasTroubled = state.withLockedValue { state in
      defer { state.trouble = nil }
      return state.trouble != nil
    }
    if wasTroubled { logger.notice("the state of sessions is written again") }
  }

  private func giveUp() {
    state.withLockedValue { state in
      state.lost += state.writes.count
      state.writes = [:]
      state.order = []
      state.bytes = 0
      state.writer = nil
    }
  }
}
