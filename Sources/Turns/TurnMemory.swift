/// All that an ``Endpointer`` knows, so that another one can go on from there: plain data, which its owner may write down.
public struct TurnMemory: Sendable, Hashable {
  public enum Phase: Sendable, Hashable {
    case idle
    /// Speech has been heard, too little so far to be a turn.
    case suspected(Voice)
    case turn(Voice)
  }

  /// A stretch of speech with its pauses.
  public struct Voice: Sendable, Hashable {
    public var onset: Int64
    /// One past the last frame that counts as speech.
    public var end: Int64
    /// The caller pauses: the last frame was silence, and none since has reached the threshold.
    public var isPausing = false
    /// A prompt was stopped for it.
    public var interrupted = false
    /// Recognition asked for more words in this pause.
    var wantsMore = false
    var hasCandidate = false

    public init(onset: Int64, end: Int64, isPausing: Bool = false, interrupted: Bool = false) {
      self.onset = onset
      self.end = end
      self.isPausing = isPausing
      self.interrupted = interrupted
    }
  }

  public var phase: Phase
  public var listening: Listening
  /// What counts for the turn that is open.
  public var minSilenceMs: Int
  public var playback: PlaybackState
  /// What plays has been interrupted already.
  public var isInterrupted: Bool
  /// Numbers given out so far.
  public var turn: Int
  public var revision: Int
  /// One past the last sample that has been judged.
  public var position: Int64
  /// Audio before this belongs to an earlier turn's segment.
  public var segmentFloor: Int64
  /// The first sample that a later segment may want; at most ``position``.
  public var audioFrom: Int64

  public init(
    phase: Phase, listening: Listening, minSilenceMs: Int, playback: PlaybackState, isInterrupted: Bool, turn: Int,
    revision: Int, position: Int64, segmentFloor: Int64, audioFrom: Int64
  ) {
    self.phase = phase
    self.listening = listening
    self.minSilenceMs = minSilenceMs
    self.playback = playback
    self.isInterrupted = isInterrupted
    self.turn = turn
    self.revision = revision
    self.position = position
    self.segmentFloor = segmentFloor
    self.audioFrom = audioFrom
  }
}
