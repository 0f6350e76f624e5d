import Base

/// What the session wants done, in this order.
public enum DialogAction: Hashable, Sendable {
  /// Queue behind what is already playing. Its end must come back as `playbackFinished`, `-Interrupted` or `-Failed`.
  case say(DialogPrompt)
  /// Silence this playback now. Its end need not be reported.
  case stop(PlaybackID)
  /// Listen to the caller in this way from now on.
  case listen(DialogListen)
  /// Its outcome must come back as `hookResult` or `hookError` with the same token.
  case callHook(DialogHook)
  /// The outcome is of no interest any more; it may still come.
  case cancelHook(HookToken)
  /// Tell the world: an event of the dialog's own name.
  case emit(name: String, data: Value)
  /// A line for the operator's log. `level` is debug, info, warning or error.
  case log(level: String, message: String)
  /// End the call, after what is playing where `afterPlayback` is set. `hangup` must come back as an input.
  /// `reason` is one of ``DialogSession/hangupReasons``.
  case hangup(reason: String, afterPlayback: Bool)
  /// What happened, for the session's record; nothing has to be done.
  case trace(DialogTrace)
}

/// Something for the caller to hear.
public struct DialogPrompt: Hashable, Sendable {
  public enum Source: Hashable, Sendable {
    case text(String)
    case audio(url: String)
    case silence(ms: Int)
  }
  public var id: PlaybackID
  public var source: Source
  /// Empty: the configured voice.
  public var voice: String
  /// 1.0 is the voice's own pace; 0.5 to 2.0.
  public var speed: Double
  /// Empty: the configured language.
  public var language: String
  public var bargeIn: Bool
  /// Whether the audio may be kept; false where a masked variable is spoken.
  public var cache: Bool
  public var loop: Bool
  /// The text as records may keep it, with masked values hidden; nil where it is the same as `source`.
  public var recordedText: String?
}

/// How to listen in the current state: the fields of CallLink's `ListenSpec`.
public struct DialogListen: Hashable, Sendable {
  public var phrases: [String]
  /// A complete JSGF grammar; empty for none.
  public var grammar: String
  /// Empty: the configured language.
  public var language: String
  public var minSilenceMs: Int?
  /// False where the state has no use for speech.
  public var speech: Bool
  public var bargeIn: Bool
}

/// A question to the customer's backend.
public struct DialogHook: Hashable, Sendable {
  public var token: HookToken
  /// A name of `integration.services`; empty where `url` is set.
  public var service: String
  public var url: String
  public var path: String
  /// nil: the service's own.
  public var timeout: Duration?
  /// The members of the request that the dialog knows: session_id, caller_id, called_number, dialog_name, current_state,
  /// transcript, confidence, language, variables, payload, sip_headers. The owner adds `timestamp`.
  public var body: Value
  /// `body` with masked variables hidden: for records.
  public var recordedBody: Value
}

/// One thing that happened inside the machine. Values of masked variables never appear here.
public enum DialogTrace: Hashable, Sendable {
  /// - Parameter trigger: the event, `goto`, `timeout`, `hook` (a backend's `next_state`) or `start`.
  case stateTransition(from: String, to: String, trigger: String)
  /// A transition without target was taken.
  case stayed(state: String, trigger: String)
  /// - Parameter action: its name in the language; `detail` says the arguments that matter.
  case actionExecuted(state: String, action: String, detail: Value)
  case variableChanged(name: String, value: Value)
  /// `attempt` of `retries`: the state is said again. `event` is `no_input` or `no_match`.
  case reprompt(state: String, event: String, attempt: Int)
  /// An event that no transition took and that has no default.
  case eventIgnored(state: String, event: String)
  /// Something went wrong inside the dialog: an expression, a hook's answer, a loop.
  case failure(state: String, code: String, message: String)
  case ended(state: String, reason: String)
}
