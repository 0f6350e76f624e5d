import NIOConcurrencyHelpers

/// The live readers of an event log. Each has a bounded buffer; one that overflows ends, so a slow reader slows nobody.
final class Subscribers: Sendable {
  private struct State {
    var next = 0
    var streams: [Int: AsyncStream<SessionEvent>.Continuation] = [:]
    var isClosed = false
  }
  private let state = NIOLockedValueBox(State())

  func subscribe(bufferLimit: Int) -> AsyncStream<SessionEvent> {
    let (stream, continuation) = AsyncStream<SessionEvent>.makeStream(
      bufferingPolicy: .bufferingOldest(max(1, bufferLimit)))
    let id = state.withLockedValue { state -> Int? in
      if state.isClosed { return nil }
      state.next += 1
      state.streams[state.next] = continuation
      return state.next
    }
    guard let id else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLockedValue { _ = $0.streams.removeValue(forKey: id) }
    }
    return stream
  }

  /// Hands the events out in order. Called by one writer at a time.
  func publish(_ events: [SessionEvent]) {
    if events.isEmpty { return }
    let streams = state.withLockedValue { $0.streams }
    for (_, stream) in streams {
      for event in events {
        if case .enqueued = stream.yield(event) { continue }
        stream.finish()
        break
      }
    }
  }

  func close() {
    let streams = state.withLockedValue { state in
      state.isClosed = true
      defer { state.streams = [:] }
      return state.streams
    }
    for stream in streams.values { stream.finish() }
  }
}
