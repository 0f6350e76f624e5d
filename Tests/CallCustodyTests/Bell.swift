import NIOConcurrencyHelpers

/// Rings when something has changed, so that a test can wait for what it means.
final class Bell: Sendable {
  private struct State {
    var rung = 0
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = NIOLockedValueBox(State())

  func ring() {
    let waiting = state.withLockedValue { state in
      state.rung += 1
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns when it holds, or when the test's time is over.
  func until(_ holds: @Sendable () -> Bool) async {
    await withTaskCancellationHandler {
      while !Task.isCancelled {
        let seen = state.withLockedValue { $0.rung }
        if holds() { return }
        await withCheckedContinuation { continuation in
          let isLate = state.withLockedValue { state in
            if state.rung == seen { state.waiting.append(continuation) }
            return state.rung != seen
          }
          if isLate { continuation.resume() }
        }
      }
    } onCancel: {
      ring()
    }
  }
}
