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
    let timeout = timeout
    return await withCheckedContinuation { continuation in
      let first = NIOLockedValueBox(true)
      // Whoever comes first answers; a handler that never returns holds nobody.
      @Sendable func answer(_ outcome: CommandOutcome) {
        let isFirst = first.withLockedValue { first in
          defer { first = false }
          return first
        }
        if isFirst { continuation.resume(returning: outcome) }
      }
      let timer = Task {
        do { try await Task.sleep(for: timeout) } catch { return }
        answer(.refused("the session did not answer in time"))
      }
      Task {
        answer(await handler(command))
        timer.cancel()
      }
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
