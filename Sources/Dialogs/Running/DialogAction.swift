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
  indirect case callHook(DialogHook)
  /// The outcome is of no interest any more; it may still come.
  case cancelHook(HookToken)
  /// Ask a language model. What it streams must come back as `modelSentence`, `modelToolCall`, `modelFinished` and
  /// `modelFailed` with the same token.
  indirect case askModel(ModelRequest)
  /// The rest of the answer is of no interest any more; it may still come.
  case cancelModel(ModelToken)
  /// Connect the caller with somebody else. The outcome must come back as `transferResult`.
  indirect case transfer(DialogTransfer)
  /// Put the caller on hold, or take them back. Must come back as `callHeld` and `callResumed`.
  case hold
  case unhold
  case sendDigits(String, durationMs: Int)
  case record(RecordStep)
  /// What is kept of the call; comes once, after the end.
  indirect case outcome(DialogOutcome)
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
    /// SSML 1.1.
    case markup(String)
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
  /// True where any words are welcome, not just the expected ones: agent states. Engines with a search of their own for
  /// free speech use it.
  public var isOpen: Bool
  public var bargeIn: Bool
}

/// A question to somebody else's system: the customer's backend, an MCP server, the store of documents.
public struct DialogHook: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// HTTP with ``body``.
    case http
    /// Which tools the MCP server ``service`` has. The answer: `{"tools": [{"name", "description", "parameters"}]}`.
    case listTools
    /// One tool of the MCP server ``service``. The answer: `{"text": ...}`, or whatever structure the tool gives.
    case callTool(name: String, arguments: Value)
    /// The best passages of these documents. The answer: `{"passages": [{"document", "text", "score"}]}`.
    case searchKnowledge(query: String, documents: [String], limit: Int)
  }
  public var token: HookToken
  public var kind: Kind = .http
  /// A name of `integration.services`; empty where `url` is set.
  public var service: String
  public var url: String
  public var path: String
  /// Upper case; empty: POST.
  public var method: String = ""
  public var headers: [String: String] = [:]
  /// nil: the service's own.
  public var timeout: Duration?
  /// The members of the request that the dialog knows: session_id, caller_id, called_number, dialog_name, current_state,
  /// transcript, confidence, language, variables, payload, sip_headers. The owner adds `timestamp`.
  public var body: Value
  /// `body` with masked variables hidden: for records.
  public var recordedBody: Value
}

/// A request to a language model that answers in a stream (OpenAI-compatible chat completions).
public struct ModelRequest: Hashable, Sendable {
  public var token: ModelToken
  /// Empty: `runtime.llm.model`.
  public var model: String
  public var messages: [ModelMessage]
  public var tools: [ModelTool]
  public var temperature: Double?
  public var maxTokens: Int
  /// To the first word, and from word to word; nil: `runtime.llm.timeout`.
  public var timeout: Duration?

  public init(
    token: ModelToken, model: String = "", messages: [ModelMessage], tools: [ModelTool] = [],
    temperature: Double? = nil, maxTokens: Int = AgentSettings.defaultMaxTokens, timeout: Duration? = nil
  ) {
    self.token = token
    self.model = model
    self.messages = messages
    self.tools = tools
    self.temperature = temperature
    self.maxTokens = maxTokens
    self.timeout = timeout
  }
}

/// One message of the context.
public enum ModelMessage: Hashable, Sendable {
  case system(String)
  case user(String)
  case assistant(String, calls: [ModelToolCall])
  case tool(callID: String, content: String)
}

/// A tool as the model sees it. Exits are tools, too.
public struct ModelTool: Hashable, Sendable {
  public var name: String
  public var description: String
  /// JSON Schema: an object.
  public var parameters: Value

  public init(name: String, description: String, parameters: Value) {
    self.name = name
    self.description = description
    self.parameters = parameters
  }
}

/// The model asks for a tool.
public struct ModelToolCall: Hashable, Sendable {
  public var id: String
  public var name: String
  /// The arguments as the model wrote them: JSON, or what it took for JSON.
  public var arguments: String

  public init(id: String, name: String, arguments: String) {
    self.id = id
    self.name = name
    self.arguments = arguments
  }
}

/// Somebody else for the caller to talk to.
public struct DialogTransfer: Hashable, Sendable {
  public var target: String
  public var mode: TransferStep.Mode
  public var timeout: Duration
  public var headers: [String: String]
  public var holdAudio: String
  public var brief: String
}

/// What is kept of a call. Masked values are hidden.
public struct DialogOutcome: Hashable, Sendable {
  /// Empty: as the call ended.
  public var disposition: String
  public var summary: String
  public var tags: [String]
  public var variables: [String: Value]
  /// What the owner should ask the language model about the transcript after the call.
  public var summarize: Bool
  public var review: ReviewSettings?
}

/// One thing that happened inside the machine. Values of masked variables never appear here.
///
/// States of a dialog that `run_dialog` runs are named `dialog/state`, those of the call's own dialog by their name alone.
public enum DialogTrace: Hashable, Sendable {
  /// - Parameter trigger: the event, `goto`, `timeout`, `hook` (a backend's `next_state`), `fallback` (of an agent state),
  ///   `start`, `run_dialog` (into another dialog) or `return` (from it; the state is not entered again).
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
  /// A message joined the context of an agent state, each once. `role` is system, user, assistant or tool. `text` is what
  /// was heard of an answer; where it was cut, `detail` has all of it as `said`.
  case agentMessage(state: String, role: String, text: String, detail: Value)
  /// The model asked for a tool or an exit. `outcome` is called, invalid, unknown or exit.
  case toolCalled(state: String, tool: String, arguments: Value, outcome: String)
  /// Something that hangs on a masked variable was decided: whether a condition holds, whether a text or a value could be
  /// made of it. Replays take the result from here. After a condition that does not hold comes another one: whether it
  /// failed.
  case secretDecision(Bool)
  case ended(state: String, reason: String)
}
