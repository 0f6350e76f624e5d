import Base
import CallLink
import Logging
import NIOConcurrencyHelpers
import Storage

/// Owns the claims to this process's media calls: asks the directory what ``MediaClaims`` wants to know, and tells each call what
/// becomes of its own. Any thread.
final class MediaLeases: Sendable {
  enum News: Sendable {
    case held(CallLease)
    /// A new call that is not to be had; a sentence.
    case refused(String)
    /// The call's state is to be written, whether it has changed or not: ``MediaClaims/Action/prove(_:)``.
    case disputed
    /// Another process has the call.
    case lost
  }
  typealias Listener = @Sendable (News) -> Void

  private struct State {
    var claims = MediaClaims()
    var listeners: [CallSeat: Listener] = [:]
  }

  private let directory: any CallDirectory
  private let holder: CallHolder
  private let logger: Logger
  private let state = NIOLockedValueBox(State())
  private let room: @Sendable () -> Int
  private let adoptions: AsyncStream<CallLease>
  private let adopting: AsyncStream<CallLease>.Continuation

  /// - Parameter room: calls of other processes that this one can take now.
  init(
    _ directory: any CallDirectory, holder: CallHolder, logger: Logger, room: @escaping @Sendable () -> Int
  ) {
    self.directory = directory
    self.holder = holder
    self.logger = logger
    self.room = room
    (adoptions, adopting) = AsyncStream.makeStream(of: CallLease.self)
  }

  /// A new call.
  func claim(_ seat: CallSeat, tell: @escaping Listener) {
    perform { state, now in
      state.listeners[seat] = tell
      return state.claims.claim(seat, at: now)
    }
  }

  /// An adopted call is served from now on.
  func hold(_ lease: CallLease, tell: @escaping Listener) {
    perform { state, now in
      state.listeners[lease.seat] = tell
      state.claims.hold(lease, at: now)
      return []
    }
  }

  /// The call is over.
  func leave(_ seat: CallSeat) {
    perform { state, _ in
      state.listeners[seat] = nil
      return state.claims.leave(seat)
    }
  }

  /// This process cannot act for the call: whoever can is to have it.
  func yield(_ seat: CallSeat) {
    perform { state, _ in
      state.listeners[seat] = nil
      return state.claims.yield(seat)
    }
  }

  /// Another process is to take the call; until one does, it goes on here.
  func offer(_ seat: CallSeat) { perform { state, _ in state.claims.offer(seat) } }

  /// Whether nobody else can have the call yet, as far as this process can tell.
  func isProven(_ seat: CallSeat) -> Bool {
    state.withLockedValue { $0.claims.isProven(seat, at: .monotonic()) }
  }

  /// Prolongs what is held, and looks for orphans, until the task is cancelled.
  /// - Parameter adopt: a call of another process is this one's now. Several at a time.
  func run(adopt: @escaping @Sendable (CallLease) async -> Void) async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        while !Task.isCancelled {
          self.perform { state, now in state.claims.timeout(at: now) }
          let pause = self.state.withLockedValue { $0.claims.deadline } - .monotonic()
          do { try await Task.sleep(for: max(.zero, pause)) } catch { break }
        }
      }
      for await lease in adoptions { group.addTask { await adopt(lease) } }
    }
  }

  private func perform(_ body: (inout State, Instant) -> [MediaClaims.Action]) {
    let told = state.withLockedValue { state -> [(MediaClaims.Action, Listener?)] in
      body(&state, .monotonic()).map { action in
        switch action {
        case .granted(let lease): (action, state.listeners[lease.seat])
        case .prove(let seat): (action, state.listeners[seat])
        case .refused(let seat, _), .lost(let seat): (action, state.listeners.removeValue(forKey: seat))
        case .claim, .renew, .look, .release, .expire, .adopt: (action, nil)
        }
      }
    }
    for (action, listener) in told { perform(action, listener) }
  }

  private func perform(_ action: MediaClaims.Action, _ listener: Listener?) {
    switch action {
    case .granted(let lease): listener?(.held(lease))
    case .prove: listener?(.disputed)
    case .refused(_, .heldElsewhere): listener?(.refused("another process has a call of this name"))
    case .refused(_, .unreachable): listener?(.refused("the call directory does not answer"))
    case .lost: listener?(.lost)
    case .adopt(let lease): adopting.yield(lease)
    case .claim(let seat):
      Task {
        let lease = await ask { [holder] in try await $0.claim(seat, by: holder, for: MediaClaims.length) }
        let answer = lease.map {
          $0.holder.instance == holder.instance ? MediaClaims.Answer.granted($0) : .heldElsewhere
        }
        perform { state, now in state.claims.claimed(seat, answer, at: now) }
      }
    case .renew(let leases, let forOthers, let number):
      Task {
        let length = forOthers ? MediaClaims.moment : MediaClaims.length
        let lost = await ask { try await $0.renew(leases, for: length) }
        perform { state, now in state.claims.renewed(number, lost: lost, at: now) }
      }
    case .look(let limit, let number):
      Task {
        var found = await ask { try await $0.orphans(role: MediaCustody.role, limit: limit) }
        found?.leases.shuffle()
        let room = found?.leases.isEmpty == false ? room() : 0
        perform { [found] state, now in state.claims.looked(number, found, room: room, at: now) }
      }
    // What cannot be given back runs out by itself.
    case .release(let lease): Task { await ask { try await $0.release(lease) } }
    case .expire(let lease): Task { await ask { try await $0.renew([lease], for: MediaClaims.moment) } }
    }
  }

  @discardableResult
  private func ask<Answer: Sendable>(
    _ question: @Sendable (any CallDirectory) async throws -> Answer
  ) async -> Answer? {
    do {
      return try await question(directory)
    } catch {
      logger.debug("the call directory does not answer", metadata: ["reason": "\(error)"])
      return nil
    }
  }
}
