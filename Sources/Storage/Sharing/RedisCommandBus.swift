import Base
import Logging
import NIOConcurrencyHelpers

/// Carries commands between processes: looks up who holds the session, and asks it over its channel.
///
/// A command is sent once. Where its answer is lost nobody knows whether it was carried out, so it is not repeated.
public final class RedisCommandBus: CommandBus {
  /// What a process does for a call that takes commands.
  public static let role = "runtime"
  /// Commands of other processes that are carried out at once.
  private static let atOnce = 256

  private struct State {
    var subscription: RedisSubscription?
    var next: UInt64 = 0
    /// Who waits for which answer.
    var waiting: [String: @Sendable (CommandOutcome) -> Void] = [:]
    var serving = 0
  }

  private let client: RedisClient
  private let directory: any CallDirectory
  private let keeper: CallKeeper
  private let channels: String
  private let local: MemoryCommandBus
  private let timeout: Duration
  private let logger: Logger
  private let state = NIOLockedValueBox(State())

  /// - Parameters:
  ///   - database: the number of the database in Redis: channels are the same in all of them, so it is part of their names.
  ///   - keeper: tells the directory which sessions are here.
  public init(
    _ client: RedisClient, database: Int, directory: any CallDirectory, keeper: CallKeeper,
    answerTimeout: Duration = MemoryCommandBus.answerTimeout, logger: Logger
  ) {
    self.client = client
    self.directory = directory
    self.keeper = keeper
    self.logger = logger
    channels = "\(RedisStore.prefix)\(database):commands:"
    timeout = answerTimeout
    local = MemoryCommandBus(answerTimeout: answerTimeout)
  }

  /// Listens for commands of other processes; returns once it does, or after a while: it goes on by itself.
  public func start() async {
    _ = await firstAnswer(within: timeout, otherwise: false) { answer in
      let subscription = client.subscribe([channels + keeper.holder.instance]) { [weak self] heard in
        switch heard {
        case .ready: answer(true)
        case .lost: break
        case .message(_, let payload): self?.receive(payload)
        }
      }
      state.withLockedValue { $0.subscription = subscription }
    }
  }

  public func stop() async {
    let subscription = state.withLockedValue { state in
      defer { state.subscription = nil }
      return state.subscription
    }
    await subscription?.close()
  }

  // MARK: Sending

  public func send(_ command: CallCommand, to session: SessionID, tenant: String) async -> CommandOutcome {
    let here = await local.send(command, to: session, tenant: tenant)
    if here != .noSuchSession { return here }
    let lease: CallLease?
    do {
      lease = try await directory.lease(of: CallSeat(session, role: Self.role))
    } catch {
      return .unreachable("it cannot be found out who holds the call: \(error)")
    }
    guard let instance = lease?.holder.instance, instance != keeper.holder.instance else { return .noSuchSession }
    let id = state.withLockedValue { state in
      state.next += 1
      return String(state.next)
    }
    let payload = CommandWire.ask(
      id: id, from: keeper.holder.instance, session: session, tenant: tenant, command: command)
    let outcome = await firstAnswer(
      within: timeout, otherwise: .unreachable("the process that holds the call did not answer in time")
    ) { answer in
      state.withLockedValue { $0.waiting[id] = answer }
      Task {
        if let failure = await publish(payload, to: instance) { answer(.unreachable(failure)) }
      }
    }
    state.withLockedValue { _ = $0.waiting.removeValue(forKey: id) }
    return outcome
  }

  /// Why nobody can have heard it; nil: somebody may.
  private func publish(_ payload: [UInt8], to instance: String) async -> String? {
    do throws(RedisError) {
      let listeners = try await client.send(RedisCommand("PUBLISH", .init(channels + instance), .init(payload)))
      return listeners == .int(0) ? "the process that holds the call does not listen" : nil
    } catch {
      return error.code == .unanswered ? nil : error.description
    }
  }

  // MARK: Answering

  public func register(
    _ session: SessionID, tenant: String, handler: @escaping @Sendable (CallCommand) async -> CommandOutcome
  ) -> @Sendable () -> Void {
    let unregister = local.register(session, tenant: tenant, handler: handler)
    let seat = CallSeat(session, role: Self.role)
    keeper.hold(seat)
    return { [keeper] in
      unregister()
      keeper.leave(seat)
    }
  }

  /// On an event loop.
  private func receive(_ payload: [UInt8]) {
    switch CommandWire.read(payload) {
    case .ask(let id, let asker, let session, let tenant, let command):
      let isFree = state.withLockedValue { state in
        if state.serving >= Self.atOnce { return false }
        state.serving += 1
        return true
      }
      Task {
        var outcome = CommandOutcome.unreachable("the process that holds the call has too much to do")
        if isFree {
          outcome = await local.send(command, to: session, tenant: tenant)
          state.withLockedValue { $0.serving -= 1 }
        }
        if let failure = await publish(CommandWire.answer(id: id, outcome), to: asker) {
          logger.warning(
            "an answer to a command is lost", metadata: ["session_id": "\(session)", "reason": "\(failure)"])
        }
      }
    case .answer(let id, let outcome): state.withLockedValue { $0.waiting[id] }?(outcome)
    case nil: logger.warning("a message of another process cannot be read", metadata: ["bytes": "\(payload.count)"])
    }
  }
}
