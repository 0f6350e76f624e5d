import Base

/// One dialog: a finite state machine that a person wrote in YAML, checked and ready to run. Made by ``DialogLoader``.
public struct Dialog: Sendable {
  public let name: String
  public var version: String
  public var description: String
  /// BCP 47 tag of what the caller and the dialog speak; empty for the configured language.
  public let language: String
  /// Declared variables in the order of the file.
  public let variables: [VariableDeclaration]
  /// Which calls the dialog answers; empty for those that ask for it by name. See ``DialogRouter``.
  public var routing: [RoutingRule]
  public let initialState: String
  public let settings: DialogSettings
  /// Transitions that hold in every state, looked at after the state's own.
  public let transitions: [Transition]
  /// In the order of the file.
  public let states: [DialogState]
  /// What is kept of a call when it is over; nil where the dialog does not say.
  public var outcome: OutcomeSettings?
  /// The file it came from, as diagnostics name it.
  public var file: String

  private let stateIndex: [String: Int]
  /// Names that actions write without a declaration.
  let undeclaredVariables: [String]
  /// What expressions may name, and what it holds.
  let scope: [String: StaticType]
  /// The same, ready to run.
  let plan: DialogPlan

  init(
    name: String, version: String, description: String, language: String, variables: [VariableDeclaration],
    routing: [RoutingRule], initialState: String, settings: DialogSettings, transitions: [Transition],
    states: [DialogState], outcome: OutcomeSettings? = nil, file: String, undeclaredVariables: [String],
    scope: [String: StaticType]
  ) {
    self.name = name
    self.version = version
    self.description = description
    self.language = language
    self.variables = variables
    self.routing = routing
    self.initialState = initialState
    self.settings = settings
    self.transitions = transitions
    self.states = states
    self.outcome = outcome
    self.file = file
    self.undeclaredVariables = undeclaredVariables
    self.scope = scope
    stateIndex = Dictionary(
      states.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    plan = DialogPlan(
      name: name, language: language, settings: settings, variables: variables, undeclared: undeclaredVariables,
      states: states, transitions: transitions)
  }

  /// The state of that name; nil where there is none.
  public func state(named name: String) -> DialogState? { stateIndex[name].map { states[$0] } }

  func index(ofState name: String) -> Int? { stateIndex[name] }

  /// Names of the variables whose values stay out of logs, events and storage.
  public var maskedVariables: Set<String> { Set(variables.lazy.filter(\.isMasked).map(\.name)) }
}

/// One entry of `variables`.
public struct VariableDeclaration: Sendable, Hashable {
  public var name: String
  /// The value at the start of a call; it also fixes the variable's type (null: any).
  public var initial: Value
  /// `mask: true`: kept out of logs, events and storage.
  public var isMasked: Bool
  public var position: SourcePosition
}

/// The `settings` of a dialog, with the defaults of docs/dialogs/language.md.
public struct DialogSettings: Sendable, Hashable {
  /// Whether the caller may talk or key over prompts that do not say otherwise; nil: as configured.
  public var bargeIn: Bool?
  /// How long the caller may stay silent in a state that sets no time of its own; nil: as configured.
  public var timeout: Duration?
  /// Transitions without input of the caller before the dialog is taken for a loop; nil: as configured.
  public var maxDepth: Int?
  /// Empty: the configured voice.
  public var voice: String = ""
  /// What of the call is recorded from its answer on.
  public var record: RecordedAudio = .none
  /// How often a state is said again after silence, or after speech it has no use for, before the call is ended.
  public var noInputRetries: Int = 2
}

/// One state.
public struct DialogState: Sendable {
  public var name: String
  public var onEnter: [ActionStep]
  public var listen: ListenSettings
  public var transitions: [Transition]
  public var timeout: Duration?
  public var timeoutNext: String?
  public var isTerminal: Bool
  /// The language model that leads the conversation in this state; nil in an ordinary state.
  public var agent: AgentSettings?
  public var position: SourcePosition
}

/// How a state listens: `listen:`.
public struct ListenSettings: Sendable, Hashable {
  public var hints: [String] = []
  /// A complete JSGF grammar; empty for none.
  public var grammar: String = ""
  public var language: String = ""
  public var minSilenceMs: Int?
  public var timeout: Duration?
  public var bargeIn: Bool?
  /// How digits become one `dtmf` event; nil members follow from the transitions' patterns.
  public var maxDigits: Int?
  public var terminator: String?
  public var interDigitTimeout: Duration?
}

/// One transition of a state or of the dialog.
public struct Transition: Sendable {
  /// The event's name, or `*`.
  public var event: String
  public var condition: Expression?
  public var digits: DigitPattern?
  public var confidenceBelow: Double?
  public var actions: [ActionStep]
  /// nil: stay in the state without entering it again.
  public var target: String?
  public var position: SourcePosition
}

/// One entry of `on_enter` or `do`.
public struct ActionStep: Sendable {
  public var action: DialogCommand
  public var position: SourcePosition
}

/// An action of the language with its arguments.
public enum DialogCommand: Sendable {
  case playTTS(SpeakStep)
  case playAudio(url: Template, bargeIn: Bool?, loop: Bool, wait: Bool)
  case silence(Duration)
  case setVariables([(name: String, value: ValueSource)])
  case callHook(HookStep)
  case collectDigits(CollectStep)
  case listen(ListenSettings)
  case transfer(TransferStep)
  case hold
  case unhold
  case sendDigits(digits: Template, durationMs: Int)
  case record(RecordStep)
  case runDialog(RunDialogStep)
  case log(message: Template, level: String)
  case emit(name: String, data: ValueSource?)
  case goto(target: String)
  case hangup(reason: String)
}

/// The arguments of `play_tts`.
public struct SpeakStep: Sendable {
  public var text: Template
  public var voice: Template
  /// 0.5 to 2.0; 1 is the voice's own pace.
  public var speed: Double
  public var language: Template
  public var bargeIn: Bool?
  public var cache: Bool
  public var wait: Bool
  /// `ssml: true`: the text is SSML 1.1.
  public var isSSML: Bool
}

/// The arguments of `transfer`.
public struct TransferStep: Sendable {
  public enum Mode: String, Sendable, CaseIterable { case blind, attended, warm }
  /// A SIP URI, a `tel:` URI or a number.
  public var target: Template
  public var mode: Mode
  /// How long the other party may take to answer.
  public var timeout: Duration
  public var headers: [(name: String, value: Template)]
  /// What the caller hears meanwhile; empty for the configured music.
  public var holdAudio: Template
  /// Said to the other party before the caller joins (`warm`).
  public var brief: Template
}

/// What is recorded of a call.
public enum RecordedAudio: String, Sendable, CaseIterable {
  case none
  /// Both directions in one channel.
  case mono
  /// Caller left, gateway right.
  case stereo
  case caller
}

/// The arguments of `record`.
public struct RecordStep: Sendable, Hashable {
  public enum Operation: String, Sendable, CaseIterable { case start, stop, pause }
  public var operation: Operation
  public var channels: RecordedAudio
}

/// The arguments of `run_dialog`: another dialog runs, and comes back when it reaches a terminal state.
public struct RunDialogStep: Sendable {
  public var name: String
  /// First values of the other dialog's variables.
  public var variables: [(name: String, value: ValueSource)]
  /// Takes a map of the other dialog's variables at its end.
  public var into: String?
  public var position: SourcePosition
}

/// The arguments of `call_hook`.
public struct HookStep: Sendable {
  public var service: String
  public var url: Template
  public var path: Template
  /// Upper case; empty: POST.
  public var method: String
  /// Header fields beside those of the service.
  public var headers: [(name: String, value: Template)]
  public var payload: ValueSource?
  public var timeout: Duration?
  public var isAsync: Bool
  public var fillerText: Template?
  public var resultInto: String?
}

/// The arguments of `collect_digits`.
public struct CollectStep: Sendable, Hashable {
  public var max: Int
  public var min: Int
  public var terminator: String
  public var interDigitTimeout: Duration
  public var timeout: Duration?
  public var into: String?
  public var isMasked: Bool
}

/// Where the value of an argument comes from.
public indirect enum ValueSource: Sendable {
  case constant(Value)
  case expression(Expression)
  case template(Template)
  case list([ValueSource])
  case map([(key: String, value: ValueSource)])
}
