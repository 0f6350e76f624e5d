// Turns decides when a caller's turn begins and ends and what is an interruption, from probabilities of speech, notices
// of recognition and the state of the playback; it is pure.

/// How turns are judged. The first four mirror `speech.vad`, the next two `speech.turn` of the configuration.
public struct TurnSettings: Sendable, Hashable {
  /// Probability from which a frame counts as speech, 0 to 1.
  public var threshold: Float
  /// Speech that lasts less is no turn (a cough, a click).
  public var minSpeechMs: Int
  /// Silence after which a turn is over.
  public var minSilenceMs: Int
  /// Audio before the onset that belongs to the segment.
  public var paddingMs: Int
  /// Silence after which a turn is over even where recognition says that more must follow.
  public var maxSilenceMs: Int
  /// Speech during a prompt that stops it.
  public var interruptionMinMs: Int

  /// How far below `threshold` the probability must fall to count as silence: a voice that hovers there must not
  /// flicker.
  public var hysteresis: Float = 0.15
  /// Silence after which decoding is tried: the turn may end early if what was said is complete.
  public var candidateSilenceMs = 160
  /// Audio after the last speech that belongs to the segment.
  public var tailMs = 100
  /// How much later than the voice a detector's probability rises; the onset is put that much earlier.
  public var detectorLagMs = 32
  /// How long ago what is heard now was spoken: a packet's length and the little that a jitter buffer holds at the least.
  /// An interruption is timed from the caller's mouth: for them the prompt goes on all that time.
  public var lineLagMs = 24
  /// How much later than the last sound at the line's end a turn's speech is taken to end: the last frame of speech is whole
  /// where the voice ends somewhere in it, the detector lets go late, and the line itself delays.
  public var endLagMs: Int { 16 + detectorLagMs + lineLagMs }
  /// A turn that lasts longer is cut: nobody answers a prompt for half a minute, and the recogniser's memory is
  /// bounded.
  public var maxTurnMs = 30_000
  /// Speech that began longer than this before a prompt without barge-in ended is no answer to it.
  public var maxCarryoverMs = 5_000

  public init(
    threshold: Float = 0.5, minSpeechMs: Int = 250, minSilenceMs: Int = 500, paddingMs: Int = 200,
    maxSilenceMs: Int = 3000, interruptionMinMs: Int = 120
  ) {
    self.threshold = threshold
    self.minSpeechMs = minSpeechMs
    self.minSilenceMs = minSilenceMs
    self.paddingMs = paddingMs
    self.maxSilenceMs = maxSilenceMs
    self.interruptionMinMs = interruptionMinMs
  }
}

/// How the caller is listened to at the moment. What it says of silence takes effect with the next turn.
public struct Listening: Sendable, Hashable {
  /// Overrides ``TurnSettings/minSilenceMs``; nil for the configured one.
  public var minSilenceMs: Int?
  /// Whether speech is of interest at all. Where it is not, no turn begins and no prompt is interrupted by speech.
  public var speech: Bool
  /// Whether speech and digits interrupt prompts that allow it.
  public var bargeIn: Bool

  public init(minSilenceMs: Int? = nil, speech: Bool = true, bargeIn: Bool = true) {
    self.minSilenceMs = minSilenceMs
    self.speech = speech
    self.bargeIn = bargeIn
  }
}

/// What the caller hears at the moment.
public enum PlaybackState: Sendable, Hashable {
  case silent
  /// A prompt is playing; `bargeIn` is whether the prompt itself may be interrupted.
  case playing(bargeIn: Bool)
}

/// What recognition says about the words so far.
public enum RecognitionNotice: Sendable, Hashable {
  /// A partial result with this many words: it is speech, however short.
  case words(Int)
  /// The words complete the grammar: the turn may end now.
  case complete
  /// The words are the beginning of something: wait up to ``TurnSettings/maxSilenceMs`` for the rest.
  case incomplete
  /// Nothing fits: the usual silence decides.
  case nothing
}

/// What an ``Endpointer`` is told. Positions count samples at 16 kHz since the call's media started.
public enum EndpointerInput: Sendable, Hashable {
  /// The next frame's probability of speech. `position` is its first sample, `samples` its length (normally 512, 32
  /// ms).
  case frame(position: Int64, samples: Int, probability: Float)
  /// A result of recognition for the turn's audio up to the ``Segment`` with this revision. An outdated one is ignored.
  case recognition(revision: Int, RecognitionNotice)
  case playback(PlaybackState)
  case listening(Listening)
  /// A key was pressed.
  case digit
  /// No more audio will come; an open turn ends.
  case streamEnded
}

/// A stretch of the call's audio: samples at 16 kHz since its media started.
public struct Segment: Sendable, Hashable {
  /// First sample to decode (onset less pre-roll, never before the end of the previous turn's segment).
  public var start: Int64
  /// One past the last sample to decode (end of speech and tail; never beyond what has been heard).
  public var end: Int64
  /// Where the speech itself began and ended.
  public var speechStart: Int64
  public var speechEnd: Int64
  /// Names this state of the turn. Changes with every ``EndpointerAction/candidateEnd(_:_:)``,
  /// ``EndpointerAction/resumed(_:)`` and turn, so that a result that comes too late can be told and dropped.
  public var revision: Int

  public init(start: Int64, end: Int64, speechStart: Int64, speechEnd: Int64, revision: Int) {
    self.start = start
    self.end = end
    self.speechStart = speechStart
    self.speechEnd = speechEnd
    self.revision = revision
  }
}

/// What an ``Endpointer`` wants done. Each comes with the ``Evidence`` it was decided on.
public enum EndpointerAction: Sendable, Hashable {
  /// The caller has begun to speak; `onset` is where the speech began, `start` where its segment begins (with
  /// pre-roll).
  case speechStarted(onset: Int64, start: Int64, Evidence)
  /// Stop the prompt that is playing, now.
  case interruption(InterruptionCause, Evidence)
  /// The caller may have finished: try to decode the segment and tell the outcome with its revision.
  case candidateEnd(Segment, Evidence)
  /// The caller goes on: what is being decoded is outdated.
  case resumed(Evidence)
  /// The turn is over. The result of a candidate with the same revision covers the same speech and can be used.
  case speechEnded(Segment, TurnEnd, Evidence)
  /// What seemed to be speech was none. `interrupted`: a prompt was stopped for it and may be resumed.
  case falseStart(interrupted: Bool, Evidence)
}

/// What stopped a prompt.
public enum InterruptionCause: String, Sendable { case speech, digit }

/// Why a turn ended.
public enum TurnEnd: String, Sendable {
  /// `minSilenceMs` of silence.
  case silence
  /// Recognition found the grammar complete.
  case grammarComplete = "grammar_complete"
  /// `maxSilenceMs` of silence, after recognition had asked for more words.
  case maxSilence = "max_silence"
  /// ``TurnSettings/maxTurnMs`` reached.
  case maxTurn = "max_turn"
  /// The call's audio ended.
  case streamEnded = "stream_ended"
}
