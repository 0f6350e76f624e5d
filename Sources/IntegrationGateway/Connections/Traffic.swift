import NIOConcurrencyHelpers

/// Counts what is under way and may not be more than a few.
final class Places: Sendable {
  private let taken = NIOLockedValueBox(0)

  func enter(limit: Int) -> Bool {
    taken.withLockedValue { taken in
      if taken >= limit { return false }
      taken += 1
      return true
    }
  }

  func leave() { taken.withLockedValue { $0 -= 1 } }
}

/// Counts the requests that are being answered, and the streams that are open.
final class Traffic: Sendable {
  private struct State {
    var count = 0
    var isClosed = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = NIOLockedValueBox(State())

  func enter() -> Bool {
    state.withLockedValue { state in
      if !state.isClosed { state.count += 1 }
      return !state.isClosed
    }
  }

  func leave() {
    let waiting = state.withLockedValue { state in
      state.count -= 1
      guard state.count == 0 else { return [CheckedContinuation<Void, Never>]() }
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func close() { state.withLockedValue { $0.isClosed = true } }

  /// Waits until nothing is under way, at most `limit`.
  func empty(limit: Duration) async {
    let timer = Task {
      do { try await Task.sleep(for: limit) } catch { return }
      release()
    }
    await withCheckedContinuation { continuation in
      let isEmpty = state.withLockedValue { state in
        if state.count > 0 { state.waiting.append(continuation) }
        return state.count == 0
      }
      if isEmpty { continuation.resume() }
    }
    timer.cancel()
  }

  private func release() {
    let waiting = state.withLockedValue { state in
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}
