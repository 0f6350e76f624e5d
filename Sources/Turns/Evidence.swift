import Base

/// What a decision of the ``Endpointer`` was based on, so that it can be logged, questioned and replayed.
public struct Evidence: Sendable, Hashable {
  /// One past the last sample heard when the decision fell (16 kHz, since the call's media started).
  public var position: Int64
  /// The probability of the last frame.
  public var probability: Float
  /// From the onset to the end of the last speech frame.
  public var speechMs: Int
  /// From the end of the last speech frame to `position`.
  public var silenceMs: Int
  /// The limit that was reached, in milliseconds; 0 where the decision rests on no duration.
  public var limitMs: Int
  /// Number of the turn, from 1; a false start uses one up.
  public var turn: Int
  public var revision: Int
  public var playback: PlaybackState

  public init(
    position: Int64, probability: Float, speechMs: Int, silenceMs: Int, limitMs: Int, turn: Int, revision: Int,
    playback: PlaybackState
  ) {
    self.position = position
    self.probability = probability
    self.speechMs = speechMs
    self.silenceMs = silenceMs
    self.limitMs = limitMs
    self.turn = turn
    self.revision = revision
    self.playback = playback
  }

  /// For the event log.
  public var value: Value {
    var playing = "silent"
    if case .playing(let bargeIn) = playback { playing = bargeIn ? "playing" : "playing_protected" }
    return .map([
      "at_ms": .int(position / 16), "probability": .double(Double((probability * 1000).rounded() / 1000)),
      "speech_ms": .int(Int64(speechMs)), "silence_ms": .int(Int64(silenceMs)), "limit_ms": .int(Int64(limitMs)),
      "turn": .int(Int64(turn)), "revision": .int(Int64(revision)), "playback": .string(playing),
    ])
  }
}
