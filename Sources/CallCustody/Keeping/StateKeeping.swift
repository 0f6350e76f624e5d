import Base
import CallLink
import Logging
import NIOCore
import Storage

/// Writes the state of one call's role to the store: one write at a time, the newest state waiting for it. Confined to one event
/// loop.
///
/// What depends on a state is done once it is written. A store that does not answer holds a call up for ``patience`` only: then
/// the call goes on, unprotected until the store is back, and what is newest is written as soon as it is.
final class StateKeeping {
  /// Longer than any write takes on a machine that is well, and shorter than a caller wonders.
  static let patience: Duration = .milliseconds(300)
  private static let retry: Duration = .milliseconds(100)
  private static let retryAtMost: Duration = .seconds(2)
  /// After the call's last word; a crash in between leaves no state behind for longer.
  static let lifetime: Duration = .seconds(3_600)

  private struct Write {
    var bytes: [UInt8]
    var done: () -> Void
  }

  private let store: any CheckpointStore
  private let session: SessionID
  private let token: Int64
  private let eventLoop: any EventLoop
  private let logger: Logger
  private let overtaken: () -> Void
  private var version: Int64
  private var waiting: Write?
  private var writing: Write?
  /// The store has failed or is late: nobody waits for it.
  private(set) var isTroubled = false
  private var pause = StateKeeping.retry
  private var idle: [() -> Void] = []
  private var isClosed = false

  /// - Parameters:
  ///   - session: as the store knows it.
  ///   - version: of the state that was taken over; 0 for none.
  ///   - overtaken: the store has seen a greater token.
  init(
    _ store: any CheckpointStore, _ session: SessionID, token: UInt64, version: Int64, on eventLoop: any EventLoop,
    logger: Logger, overtaken: @escaping () -> Void
  ) {
    self.store = store
    self.session = session
    self.token = Int64(clamping: token)
    self.version = version
    self.eventLoop = eventLoop
    self.logger = logger
    self.overtaken = overtaken
  }

  /// - Parameter done: what may happen once the bytes, or newer ones, are safe. Of states that are overtaken by newer ones before they
  ///   are written only the newest's is called.
  func put(_ bytes: [UInt8], done: @escaping () -> Void) {
    guard !isClosed else { return }
    if isTroubled {
      waiting = Write(bytes: bytes, done: {})
      done()
    } else {
      waiting = Write(bytes: bytes, done: done)
    }
    if writing == nil { write() }
  }

  /// Calls back when nothing waits, or when nobody waits for the store.
  func whenIdle(_ body: @escaping () -> Void) {
    if writing == nil || isTroubled { body() } else { idle.append(body) }
  }

  /// Nothing is written any more.
  func close() {
    isClosed = true
    waiting = nil
    idle = []
  }

  /// The call is over: nothing is kept of it.
  func remove() {
    close()
    Task { [store, session, token] in
      // What cannot be removed goes by itself after its lifetime.
      try? await store.remove(session, token: token)
    }
  }

  private func write() {
    guard !isClosed, let next = waiting else { return }
    waiting = nil
    writing = next
    version += 1
    let checkpoint = SessionCheckpoint(
      SessionSnapshot(session: session, sequence: version, data: next.bytes), token: token)
    let promise = eventLoop.makePromise(of: StorageError?.self)
    promise.completeWithTask { [store] in
      do {
        try await store.put(checkpoint, for: Self.lifetime)
        return nil
      } catch {
        return error as? StorageError ?? StorageError(.writeFailed, "\(error)")
      }
    }
    let number = version
    eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Self.patience.nanoseconds)) { [weak self] in
      guard let self, self.writing != nil, self.version == number else { return }
      self.letGo("the store is late")
    }
    promise.futureResult.assumeIsolated().whenSuccess { [weak self] error in self?.written(error) }
  }

  private func written(_ error: StorageError?) {
    guard !isClosed, let write = writing else { return }
    switch error {
    case nil:
      if isTroubled { logger.notice("the state of a call is written again") }
      isTroubled = false
      pause = Self.retry
      next(after: write)
    case let error? where error.isPassing:
      letGo(error.description)
      if waiting == nil { waiting = Write(bytes: write.bytes, done: {}) }
      eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(pause.nanoseconds)) { [weak self] in
        guard let self else { return }
        self.writing = nil
        self.write()
      }
      pause = min(pause * 2, Self.retryAtMost)
    case let error? where error.code == .conflict:
      close()
      writing = nil
      overtaken()
    case let error?:
      logger.error("the state of a call cannot be kept", metadata: ["reason": "\(error)"])
      next(after: write)
    }
  }

  private func next(after write: Write) {
    writing = nil
    write.done()
    self.write()
    guard writing == nil else { return }
    let bodies = idle
    idle = []
    for body in bodies { body() }
  }

  /// The call must not wait any longer.
  private func letGo(_ reason: String) {
    if !isTroubled {
      logger.warning("a call goes on without its state being kept", metadata: ["reason": "\(reason)"])
    }
    isTroubled = true
    let done = [writing?.done, waiting?.done].compactMap { $0 }
    writing?.done = {}
    waiting?.done = {}
    for body in done { body() }
    let bodies = idle
    idle = []
    for body in bodies { body() }
  }
}
