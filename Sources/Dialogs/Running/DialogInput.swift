import Base

/// Names one hook call within its session, so that its answer finds its way back.
public struct HookToken: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt32
  public init(_ value: UInt32) { self.value = value }
  public var description: String { "h\(value)" }
}

/// Names one request to a language model within its session.
public struct ModelToken: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt32
  public init(_ value: UInt32) { self.value = value }
  public var description: String { "m\(value)" }
}

/// What can happen to a session.
public enum DialogInput: Hashable, Sendable {
  /// The call is up; the dialog begins. Everything before it is ignored, but for ``startAnswer(service:_:)``.
  case callAnswered
  /// A service that was told of the call before it was answered has this to say (`variables`, `actions`, `next_state`, all
  /// optional). After ``callAnswered`` it is ignored.
  case startAnswer(service: String, Value)
  /// The caller began to talk: silence timers pause until the turn ends in ``speech(_:)`` or ``noMatch``.
  case speechStarted
  case speechPartial(transcript: String)
  /// The caller's turn is over. An empty transcript is the same as ``noMatch``.
  case speech(HeardSpeech)
  /// The caller's turn is over and nothing in it was understood.
  case noMatch
  /// One key: `0-9`, `*`, `#`, `A-D`. Others are ignored.
  case digit(Character)
  case playbackFinished(PlaybackID)
  /// - Parameter byCaller: true for speech or a digit of the caller, false for a command from outside.
  case playbackInterrupted(PlaybackID, heard: String, byCaller: Bool)
  case playbackFailed(PlaybackID, message: String)
  /// The hook answered with this JSON body (`variables`, `actions`, `next_state`, `data`, all optional).
  case hookResult(HookToken, Value)
  /// - Parameters:
  ///   - error: a short code (`timeout`, `unreachable`, `status` ...).
  ///   - status: the HTTP status; 0 where there was none.
  case hookError(HookToken, error: String, status: Int, message: String)
  /// The model has said one whole sentence (or a piece of one that is long enough to be spoken), in order.
  case modelSentence(ModelToken, String)
  /// The model has asked for a tool; its arguments are complete.
  case modelToolCall(ModelToken, ModelToolCall)
  /// The answer is complete. `reason` is stop, length, tool_calls or content_filter.
  case modelFinished(ModelToken, reason: String, tokens: Int)
  /// No (further) answer. What was said before stands. `error` is timeout, unreachable, status, invalid_answer or empty.
  case modelFailed(ModelToken, error: String, message: String)
  /// How the transfer came out: connected, busy, no_answer, refused, failed or unsupported.
  case transferResult(status: String)
  case callHeld
  case callResumed
  case recordingComplete
  /// human, machine or unknown.
  case answeredBy(String)
  /// An event that an API client sent.
  case custom(name: String, data: Value)
  /// The call is over: the last input. The dialog may still set variables, emit, log and call hooks, but not speak.
  case hangup(by: String, reason: String)
}

/// One understood turn of the caller.
public struct HeardSpeech: Hashable, Sendable {
  public var transcript: String
  /// 0 to 1.
  public var confidence: Double
  public var language: String
  public var slots: [String: Value]

  public init(transcript: String, confidence: Double = 1, language: String = "", slots: [String: Value] = [:]) {
    self.transcript = transcript
    self.confidence = confidence
    self.language = language
    self.slots = slots
  }
}
