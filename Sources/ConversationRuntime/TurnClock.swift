import Base
import CallLink
import Dialogs

/// Measures one turn on the wire: from the end of the caller's speech there to the first audio of the answer there, by stage.
///
/// The speech role stands at the line, so both ends are taken from its clock; this role measures only how long it thought itself.
/// What the way between the roles costs is a part of `synthesize`: it lies between the words and the voice.
struct TurnClock {
  /// One turn's stages in milliseconds. They lie one behind the other, so they add up to the whole.
  struct Latency: Sendable, Hashable {
    var endpointMs: Int
    var recognizeMs: Int
    /// From the words to the first prompt being asked for: the dialog and its hooks.
    var thinkMs: Int
    /// From there to its first sample on the wire, and the ways between the roles.
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

  /// What is measured now. Times of one clock.
  enum State: Sendable {
    case idle
    case thinking(Hearing, since: Instant)
    case synthesizing(Hearing, thinkMs: Int, PlaybackID, since: Instant)
  }
  /// What the speech role has measured.
  struct Hearing: Sendable {
    var endpointMs: Int
    var recognizeMs: Int
    /// By the speech role's clock.
    var endMs: Int
  }
  private(set) var state = State.idle

  init(_ state: State = .idle) { self.state = state }

  /// The caller's turn is over.
  mutating func heard(_ result: SpeechResult, at now: Instant) {
    state = .thinking(
      Hearing(endpointMs: result.endpointMs, recognizeMs: result.recognizeMs, endMs: result.endMs), since: now)
  }

  /// A prompt was asked for; the first one after the turn is its answer.
  mutating func asked(_ playback: PlaybackID, at now: Instant) {
    if case .thinking(let heard, let since) = state {
      state = .synthesizing(heard, thinkMs: Int((now - since).milliseconds), playback, since: now)
    }
  }

  /// Audio of a prompt went out. Returns the turn's latency if it is the answer that was waited for.
  /// - Parameter atMs: when, by the speech role's clock, like ``SpeechResult/endMs``.
  mutating func started(_ playback: PlaybackID, atMs: Int, at now: Instant) -> Latency? {
    guard case .synthesizing(let heard, let thinkMs, playback, let since) = state else { return nil }
    state = .idle
    let before = heard.endpointMs + heard.recognizeMs + thinkMs
    // A speech role that took the call over has begun its clock anew: then this role's own has to do.
    let onWire = atMs - heard.endMs - before
    let synthesizeMs = onWire >= 0 ? onWire : Int((now - since).milliseconds)
    return Latency(
      endpointMs: heard.endpointMs, recognizeMs: heard.recognizeMs, thinkMs: thinkMs, synthesizeMs: synthesizeMs)
  }

  /// The caller spoke or pressed a key meanwhile, or the prompt failed: the turn has no answer to measure.
  mutating func abandon() { state = .idle }
}

extension TurnClock.State {
  /// The same on a clock that is behind by `offset`.
  func shifted(_ offset: Duration) -> TurnClock.State {
    switch self {
    case .idle: .idle
    case .thinking(let heard, let since): .thinking(heard, since: since - offset)
    case .synthesizing(let heard, let thinkMs, let playback, let since):
      .synthesizing(heard, thinkMs: thinkMs, playback, since: since - offset)
    }
  }

  /// As data for ``init(_:)``; nil where nothing is measured.
  var snapshot: Value? {
    var out = SnapshotWriter()
    switch self {
    case .idle: return nil
    case .thinking(let heard, let since):
      out.put("endpoint", heard.endpointMs)
      out.put("recognize", heard.recognizeMs)
      out.put("end", heard.endMs)
      out.put("since", since)
    case .synthesizing(let heard, let thinkMs, let playback, let since):
      out.put("endpoint", heard.endpointMs)
      out.put("recognize", heard.recognizeMs)
      out.put("end", heard.endMs)
      out.put("think", .int(Int64(thinkMs)))
      out.put("playback", playback.value)
      out.put("since", since)
    }
    return out.value
  }

  init(_ reader: SnapshotReader?) throws(SnapshotError) {
    guard let reader else {
      self = .idle
      return
    }
    let heard = TurnClock.Hearing(
      endpointMs: try reader.int("endpoint", in: -1_000_000...1_000_000),
      recognizeMs: try reader.int("recognize", in: -1_000_000...1_000_000),
      endMs: try reader.int("end", in: 0...1_000_000_000))
    let since = try reader.instant("since") ?? .zero
    self =
      reader.has("think")
      ? .synthesizing(
        heard, thinkMs: try reader.int("think", in: 0...Int.max), PlaybackID(try reader.number("playback")),
        since: since) : .thinking(heard, since: since)
  }
}
