import Base
import CallLink

/// Measures one turn: from the end of the caller's speech to the first audio of the answer, by stage.
struct TurnClock {
  /// One turn's stages in milliseconds; what was not measured is absent.
  struct Latency: Sendable, Hashable {
    var endpointMs: Int
    var recognizeMs: Int
    /// From the words to the first prompt being asked for: the dialog and its hooks.
    var thinkMs: Int
    /// From there to its first sample on the wire.
    var synthesizeMs: Int
    var totalMs: Int { endpointMs + recognizeMs + thinkMs + synthesizeMs }

    /// By the `stage` label of `vg_turn_latency_seconds`.
    var stages: [(stage: String, milliseconds: Int)] {
      [
        ("endpoint", endpointMs), ("recognize", recognizeMs), ("think", thinkMs), ("synthesize", synthesizeMs),
        ("total", totalMs),
      ]
    }

    var fields: [String: Value] {
      [
        "endpoint_ms": .int(Int64(endpointMs)), "recognize_ms": .int(Int64(recognizeMs)),
        "think_ms": .int(Int64(thinkMs)), "synthesize_ms": .int(Int64(synthesizeMs)), "total_ms": .int(Int64(totalMs)),
      ]
    }
  }

  private enum State {
    case idle
    case thinking(SpeechResult, since: Instant)
    case synthesizing(SpeechResult, thinkMs: Int, PlaybackID, since: Instant)
  }
  private var state = State.idle

  /// The caller's turn is over.
  mutating func heard(_ result: SpeechResult, at now: Instant) { state = .thinking(result, since: now) }

  /// A prompt was asked for; the first one after the turn is its answer.
  mutating func asked(_ playback: PlaybackID, at now: Instant) {
    if case .thinking(let result, let since) = state {
      state = .synthesizing(result, thinkMs: Int((now - since).milliseconds), playback, since: now)
    }
  }

  /// Audio of a prompt went out. Returns the turn's latency if it is the answer that was waited for.
  mutating func started(_ playback: PlaybackID, at now: Instant) -> Latency? {
    guard case .synthesizing(let result, let thinkMs, playback, let since) = state else { return nil }
    state = .idle
    return Latency(
      endpointMs: result.endpointMs, recognizeMs: result.recognizeMs, thinkMs: thinkMs,
      synthesizeMs: Int((now - since).milliseconds))
  }

  /// The caller spoke or pressed a key meanwhile, or the prompt failed: the turn has no answer to measure.
  mutating func abandon() { state = .idle }
}
