import NIOConcurrencyHelpers

/// Tells any number of listeners that something changed; changes that come before a listener looks are one.
final class ChangeSignal: Sendable {
  private struct State {
    var next = 0
    var listeners: [Int: AsyncStream<Void>.Continuation] = [:]
    var isClosed = false
  }
  private let state = NIOLockedValueBox(State())

  func listen() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let id = state.withLockedValue { state -> Int? in
      if state.isClosed { return nil }
      state.next += 1
      state.listeners[state.next] = continuation
      return state.next
    }
    guard let id else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLockedValue { _ = $0.listeners.removeValue(forKey: id) }
    }
    return stream
  }

  func send() {
    for listener in state.withLockedValue({ $0.listeners.values }) { listener.yield() }
  }

  func close() {
    let listeners = state.withLockedValue { state in
      state.isClosed = true
      defer { state.listeners = [:] }
      return state.listeners.values
    }
    for listener in listeners { listener.finish() }
  }
}
