import Base
import Logging
import NIOConcurrencyHelpers

/// The seats that this process holds: claims them, keeps them, and gives them back. Whoever takes or leaves a seat never waits
/// for the directory; while it does not answer, claims wait and are made once it does.
public final class CallKeeper: Sendable {
  /// A process that says nothing for so long is taken for gone.
  public static let length: Duration = .seconds(30)
  static let interval: Duration = .seconds(5)
  /// Claims that are made at once.
  private static let claims = 64
  /// Leases to give back that may wait; those beyond run out by themselves.
  private static let leaving = 10_000

  private struct State {
    /// nil: not claimed yet.
    var seats: [CallSeat: CallLease?] = [:]
    var leaving: [CallLease] = []
    var isDue = false
    var task: Task<Void, Never>?
    var trouble: String?
  }

  public let holder: CallHolder
  private let directory: any CallDirectory
  private let onLost: @Sendable (CallSeat) -> Void
  private let logger: Logger
  private let state = NIOLockedValueBox(State())
  private let changes = ChangeSignal()

  /// - Parameter onLost: another process holds the seat now; this one must write nothing for it any more.
  public init(
    _ directory: any CallDirectory, holder: CallHolder, logger: Logger,
    onLost: @escaping @Sendable (CallSeat) -> Void = { _ in }
  ) {
    self.directory = directory
    self.holder = holder
    self.onLost = onLost
    self.logger = logger
  }

  public func hold(_ seat: CallSeat) {
    state.withLockedValue { if $0.seats[seat] == nil { $0.seats[seat] = .some(nil) } }
    changes.send()
  }

  public func leave(_ seat: CallSeat) {
    state.withLockedValue { state in
      if case .some(let lease?) = state.seats.removeValue(forKey: seat), state.leaving.count < Self.leaving {
        state.leaving.append(lease)
      }
    }
    changes.send()
  }

  /// What writes for the seat show; nil while it is not claimed.
  public func lease(of seat: CallSeat) -> CallLease? { state.withLockedValue { $0.seats[seat] ?? nil } }

  /// Why the directory is not told of calls; nil: it is.
  public var trouble: String? { state.withLockedValue { $0.trouble } }

  /// Goes on by itself until ``stop()``.
  public func start() {
    let changes = changes.listen(), signal = self.changes
    let task = Task {
      let ticks = Task {
        while !Task.isCancelled {
          do { try await Task.sleep(for: Self.interval) } catch { return }
          state.withLockedValue { $0.isDue = true }
          signal.send()
        }
      }
      defer { ticks.cancel() }
      for await _ in changes {
        let isDue = state.withLockedValue { state in
          defer { state.isDue = false }
          return state.isDue
        }
        await settle(renewing: isDue)
      }
    }
    state.withLockedValue { $0.task = task }
    signal.send()
  }

  /// Gives everything back, as far as the directory takes it.
  public func stop() async {
    changes.close()
    let task = state.withLockedValue { state in
      for case let lease? in state.seats.values { state.leaving.append(lease) }
      state.seats = [:]
      return state.task
    }
    await task?.value
    await settle(renewing: false)
  }

  /// Tells the directory what it does not know yet.
  /// - Parameter renewing: prolongs everything that is held.
  public func settle(renewing: Bool) async {
    do {
      try await release()
      if renewing { try await renew() }
      try await claim()
      state.withLockedValue { $0.trouble = nil }
    } catch {
      let isNew = state.withLockedValue { state in
        defer { state.trouble = "\(error)" }
        return state.trouble == nil
      }
      if isNew {
        logger.error("other processes cannot be told of calls; it is tried again", metadata: ["reason": "\(error)"])
      }
    }
  }

  private func claim() async throws {
    let open = state.withLockedValue { state in state.seats.filter { $0.value == nil }.map(\.key) }
    for piece in open.pieces(of: Self.claims) {
      try await withThrowingTaskGroup(of: CallLease.self) { group in
        for seat in piece {
          group.addTask { [directory, holder] in try await directory.claim(seat, by: holder, for: Self.length) }
        }
        for try await lease in group { claimed(lease) }
      }
    }
  }

  private func claimed(_ lease: CallLease) {
    guard lease.holder.instance == holder.instance else {
      state.withLockedValue { _ = $0.seats.removeValue(forKey: lease.seat) }
      logger.error(
        "another process holds the call",
        metadata: ["session_id": "\(lease.seat.session)", "role": "\(lease.seat.role)"])
      return onLost(lease.seat)
    }
    state.withLockedValue { state in
      // Whoever left meanwhile gives back.
      if state.seats[lease.seat] == nil {
        state.leaving.append(lease)
      } else {
        state.seats[lease.seat] = lease
      }
    }
  }

  /// What is lost is claimed again: the directory may have forgotten it, or somebody may have it.
  private func renew() async throws {
    let held = state.withLockedValue { $0.seats.values.compactMap { $0 } }
    if held.isEmpty { return }
    let lost = try await directory.renew(held, for: Self.length)
    state.withLockedValue { state in
      for lease in lost where state.seats[lease.seat] == lease { state.seats[lease.seat] = .some(nil) }
    }
  }

  private func release() async throws {
    let leaving = state.withLockedValue { state in
      defer { state.leaving = [] }
      return state.leaving
    }
    for (number, lease) in leaving.enumerated() {
      do {
        try await directory.release(lease)
      } catch {
        state.withLockedValue { $0.leaving = leaving[number...] + $0.leaving }
        throw error
      }
    }
  }
}
