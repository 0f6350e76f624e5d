import Base
import NIOConcurrencyHelpers

/// Carries commands inside one process. Any thread.
public final class MemoryCommandBus: CommandBus {
  /// How long an API client waits for a session to act; a live session answers in milliseconds.
  public static let answerTimeout: Duration = .seconds(5)

  private struct Key: Hashable {
    var session: SessionID
    var tenant: String
  }
  private typealias Handler = @Sendable (CallCommand) async -> CommandOutcome
  private let handlers = NIOLockedValueBox<(next: UInt64, of: [Key: (id: UInt64, handler: Handler)])>((0, [:]))
  private let timeout: Duration

  public init(answerTimeout: Duration = MemoryCommandBus.answerTimeout) { timeout = answerTimeout }

  public func send(_ command: CallCommand, to session: SessionID, tenant: String) async -> CommandOutcome {
    let key = Key(session: session, tenant: tenant)
    guard let handler = handlers.withLockedValue({ $0.of[key]?.handler }) else { return .noSuchSession }
    return await firstAnswer(within: timeout, otherwise: .refused("the session did not answer in time")) { answer in
      Task { answer(await handler(command)) }
    }
  }

  public func register(
    _ session: SessionID, tenant: String, handler: @escaping @Sendable (CallCommand) async -> CommandOutcome
  ) -> @Sendable () -> Void {
    let key = Key(session: session, tenant: tenant)
    let id = handlers.withLockedValue { state in
      state.next += 1
      state.of[key] = (state.next, handler)
      return state.next
    }
    return { [handlers] in
      handlers.withLockedValue { state in
        // A later holder of the session stays.
        if state.of[key]?.id == id { state.of[key] = nil }
      }
    }
  }
}

/// What `ask` answers first, or `otherwise` when the time is over: who never answers holds nobody.
func firstAnswer<Answer: Sendable>(
  within timeout: Duration, otherwise: Answer, _ ask: (_ answer: @escaping @Sendable (Answer) -> Void) -> Void
) async -> Answer {
  await withCheckedContinuation { continuation in
    let waiting = NIOLockedValueBox<(CheckedContinuation<Answer, Never>, timer: Task<Void, Never>?)?>(
      (continuation, nil))
    @Sendable func answer(_ answer: Answer) {
      let first = waiting.withLockedValue { waiting in
        defer { waiting = nil }
        return waiting
      }
      first?.timer?.cancel()
      first?.0.resume(returning: answer)
    }
    let timer = Task {
      do { try await Task.sleep(for: timeout) } catch { return }
      answer(otherwise)
    }
    waiting.withLockedValue { $0?.timer = timer }
    ask(answer)
  }
}
