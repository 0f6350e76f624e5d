#if Cluster
  import NIOConcurrencyHelpers

  /// What waits to be written to one stream. Bounded: whoever reads too slowly loses the stream, and the hop repeats on the next.
  final class FrameQueue<Frame: Sendable>: Sendable {
    /// Twenty seconds of a call's voice both ways; a stream that lags so far is of no use.
    static var limit: Int { 1_024 }

    private struct State {
      var frames: [Frame] = []
      var reader: CheckedContinuation<Void, Never>?
      var isFinished = false
    }
    private let state = NIOLockedValueBox(State())

    /// - Returns: false where there is no room.
    func put(_ frame: Frame) -> Bool {
      let (hasRoom, reader) = state.withLockedValue { state -> (Bool, CheckedContinuation<Void, Never>?) in
        if state.isFinished { return (true, nil) }
        guard state.frames.count < Self.limit else { return (false, nil) }
        state.frames.append(frame)
        defer { state.reader = nil }
        return (true, state.reader)
      }
      reader?.resume()
      return hasRoom
    }

    /// What has been put is still handed out.
    func finish() {
      let reader = state.withLockedValue { state in
        state.isFinished = true
        defer { state.reader = nil }
        return state.reader
      }
      reader?.resume()
    }

    /// Everything that waits; nil at the end. For one reader.
    func next() async -> [Frame]? {
      while true {
        let (frames, isOver) = state.withLockedValue { state in
          defer { state.frames = [] }
          return (state.frames, state.isFinished)
        }
        if !frames.isEmpty { return frames }
        if isOver { return nil }
        await withTaskCancellationHandler {
          await withCheckedContinuation { continuation in
            let isDue = state.withLockedValue { state in
              if state.isFinished || !state.frames.isEmpty { return true }
              state.reader = continuation
              return false
            }
            if isDue { continuation.resume() }
          }
        } onCancel: {
          finish()
        }
      }
    }
  }
#endif
