import NIOConcurrencyHelpers

/// Waits for a task that others wait for as well: until it is done, until `limit` has passed, or until the waiting task is
/// cancelled. The task itself goes on in each case.
/// - Parameters:
///   - late: what is thrown after `limit`.
///   - left: what is thrown where the waiting task is cancelled.
public func firstOf<Value: Sendable>(
  _ task: Task<Value, any Error>, limit: Duration, late: any Error, left: any Error
) async throws -> Value {
  let state = NIOLockedValueBox(WaitingState<Value>())
  @Sendable func settle(_ result: Result<Value, any Error>) {
    let first = state.withLockedValue { state in
      defer { state.waiting = nil }
      return state.waiting
    }
    first?.resume(with: result)
  }
  return try await withTaskCancellationHandler {
    let timer = Task {
      try await Task.sleep(for: limit)
      settle(.failure(late))
    }
    defer { timer.cancel() }
    return try await withCheckedThrowingContinuation { continuation in
      let isCancelled = state.withLockedValue { state in
        state.waiting = continuation
        return state.isCancelled
      }
      if isCancelled { return settle(.failure(left)) }
      Task { settle(await task.result) }
    }
  } onCancel: {
    state.withLockedValue { $0.isCancelled = true }
    settle(.failure(left))
  }
}

private struct WaitingState<Value: Sendable>: Sendable {
  var waiting: CheckedContinuation<Value, any Error>?
  var isCancelled = false
}
