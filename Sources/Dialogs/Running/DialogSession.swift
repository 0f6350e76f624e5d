import Base

/// Bounds and defaults that the owner sets from the configuration.
public struct DialogLimits: Sendable, Hashable {
  /// `runtime.default_timeout`: how long the caller may stay silent where the dialog does not say.
  public var timeout: Duration
  /// `runtime.max_dialog_depth`: transitions without input of the caller before the dialog is taken for a loop.
  public var maxDepth: Int
  /// `runtime.barge_in`
  public var bargeIn: Bool
  public init(timeout: Duration = .seconds(10), maxDepth: Int = 50, bargeIn: Bool = true) {
    self.timeout = timeout
    self.maxDepth = maxDepth
    self.bargeIn = bargeIn
  }
}

/// Runs one dialog for one call. A pure value machine: the same inputs at the same instants give the same actions.
///
/// The owner feeds every input with the instant it happened, performs the actions in order, and calls
/// ``timeout(at:wallMs:)`` when ``deadline`` has come. Semantics: docs/dialogs.md, "How a dialog runs".
public struct DialogSession: Sendable {
  /// The reasons with which a dialog can end a call.
  public static let hangupReasons = ["normal", "busy", "rejected", "error"]
  /// How long the caller may take from one key to the next, where the dialog does not say.
  public static let interDigitTimeout: Duration = .seconds(3)
  /// `filler_text` is only spoken when a hook takes longer than this: most answers come sooner and need no excuse.
  public static let fillerDelay: Duration = .milliseconds(500)
  /// A hook whose outcome never comes is given up after this, or a second after its own timeout.
  public static let hookLimit: Duration = .seconds(60)
  /// A caller who talks on and on holds up the silence timer no longer than this.
  public static let speechLimit: Duration = .seconds(60)
  /// Inputs that wait for the next state while a transition's actions run; later ones are dropped and recorded.
  static let heldLimit = 32
  /// Work for one input. A dialog that needs more does not come to rest; see also `max_depth`.
  static let stepLimit = 5_000

  public let dialog: Dialog
  let limits: DialogLimits
  let call: CallFacts

  enum Phase: Sendable { case waiting, running, hangingUp, ended }
  var phase = Phase.waiting
  var stateIndex: Int?
  /// Variables and built-in names; the names of the two are disjoint.
  var values: [String: Value]
  /// Names whose values must not be seen outside; grows when masked values are copied.
  var masked: Set<String>

  var runs: [Run] = []
  var events: [Event] = []
  var held: [DialogInput] = []
  var playing: [Playing] = []
  var hooks: [PendingHook] = []
  var lastPlayback: UInt32 = 0
  var lastHook: UInt32 = 0
  var lastListen: DialogListen?
  var listenOverride: ListenSettings?

  /// How far the state's `on_enter` has come: a re-prompt repeats no effects before that.
  var enterProgress = 0
  var hasPlayed = false
  var wasInterrupted = false
  var keyed = ""
  var typedAhead = ""
  var skipsNextSpeech = false
  var noInputCount = 0
  var noMatchCount = 0
  var depth = 0
  var hasReportedLoop = false
  var errorsSinceInput = 0

  var speakingSince: Instant?
  var interDigitDeadline: Instant?
  var silence = Countdown()
  var stateTimer = Countdown()

  var now = Instant.zero
  var wallMs: Int64 = 0
  var out: [DialogAction] = []

  /// - Parameter variables: values that replace the dialog's own at the start; names it does not declare are ignored.
  public init(
    dialog: Dialog, variables: [String: Value] = [:], call: CallFacts, limits: DialogLimits = DialogLimits()
  ) {
    self.dialog = dialog
    self.limits = limits
    self.call = call
    masked = dialog.maskedVariables
    var values: [String: Value] = [:]
    for builtin in Vocabulary.builtins {
      values[builtin.name] =
        switch builtin.type {
        case .string: ""
        case .number: 0
        case .map: .map([:])
        default: .null
        }
    }
    values["sip_headers"] = .map(call.headerValues)
    values["caller_id"] = .string(call.callerID)
    values["called_number"] = .string(call.calledNumber)
    values["trunk"] = .string(call.trunk ?? "")
    values["session_id"] = .string(call.session.value)
    values["dialog_name"] = .string(dialog.name)
    values["language"] = .string(dialog.language)
    for name in dialog.undeclaredVariables { values[name] = .null }
    for declaration in dialog.variables {
      values[declaration.name] = variables[declaration.name] ?? declaration.initial
    }
    self.values = values
  }

  // MARK: What the owner may look at

  /// The current state; empty before the call is answered.
  public var currentState: String { stateIndex.map { dialog.states[$0].name } ?? "" }

  /// Whether the dialog is over (the call ended). No actions come after that.
  public var isEnded: Bool { phase == .ended }

  /// The variables, masked ones as `***`: what records, the API and logs may show.
  public var visibleVariables: [String: Value] {
    var visible: [String: Value] = [:]
    for (name, value) in values where !Vocabulary.builtinNames.contains(name) {
      visible[name] = masked.contains(name) ? "***" : value
    }
    return visible
  }

  /// Whether the keys that come now are secret (a masked `collect_digits`): they belong into no log, event or record.
  public var isCollectingSecret: Bool { secretEntry != nil }

  /// When ``timeout(at:wallMs:)`` wants to be called; nil: not at all.
  public var deadline: Instant? {
    guard phase == .running else { return nil }
    var earliest: Instant?
    func consider(_ instant: Instant?) {
      if let instant, instant < earliest ?? Instant(nanoseconds: .max) { earliest = instant }
    }
    consider(silence.deadline)
    consider(stateTimer.deadline)
    consider(interDigitDeadline)
    consider(speakingSince.map { $0 + Self.speechLimit })
    for hook in hooks {
      consider(hook.fillerDue)
      consider(hook.deadline)
    }
    return earliest
  }

  // MARK: Inputs

  /// - Parameters:
  ///   - now: must not run backwards.
  ///   - wallMs: wall-clock milliseconds since 1970, for `now()`.
  public mutating func receive(_ input: DialogInput, at now: Instant, wallMs: Int64) -> [DialogAction] {
    begin(now, wallMs)
    errorsSinceInput = 0
    switch (phase, input) {
    case (.ended, _): return []
    case (_, .hangup(let who, let reason)): end(by: who, reason: reason)
    case (.waiting, .callAnswered):
      phase = .running
      enter(dialog.index(ofState: dialog.initialState) ?? 0, trigger: "start")
      events.append(Event("call_answered"))
      settle()
    case (.running, _):
      accept(input)
      settle()
    case (.waiting, _), (.hangingUp, _): break
    }
    return finish()
  }

  /// To be called when ``deadline`` has come. Too early: does nothing.
  public mutating func timeout(at now: Instant, wallMs: Int64) -> [DialogAction] {
    begin(now, wallMs)
    guard phase == .running else { return [] }
    errorsSinceInput = 0
    expire()
    settle()
    return finish()
  }

  private mutating func begin(_ now: Instant, _ wallMs: Int64) {
    self.now = now
    self.wallMs = wallMs
    out = []
  }

  private mutating func finish() -> [DialogAction] {
    updateTimers()
    let actions = out
    out = []
    return actions
  }
}

// MARK: - What is going on

extension DialogSession {
  /// A list of actions on its way through.
  struct Run: Sendable {
    enum Then: Sendable {
      /// The state's own actions: afterwards the state is at rest.
      case rest
      /// A transition without target: back to what was going on.
      case stay
      case enter(Int, trigger: String)
    }
    enum Wait: Sendable, Hashable {
      case none
      case playback(PlaybackID)
      case hook(HookToken)
      case digits(CollectStep)
    }
    var actions: [ActionStep]
    var next = 0
    var then: Then
    var wait = Wait.none
    /// The caller cut a prompt: the prompts that follow in this list are passed over.
    var isCut = false
    /// Actions before this one are only repeated where they speak or listen.
    var effectsFrom = 0

    var isLeaving: Bool { if case .enter = then { true } else { false } }

    var upcomingCollect: CollectStep? {
      for step in actions.dropFirst(next) { if case .collectDigits(let collect) = step.action { return collect } }
      return nil
    }
  }

  struct Playing: Sendable {
    var id: PlaybackID
    /// Prompts hold up the silence timer; loops and pauses of music do not.
    var isLoop: Bool
    /// A filler is finished even when the state is left.
    var isFiller: Bool
    var allowsBargeIn: Bool
  }

  struct PendingHook: Sendable {
    var token: HookToken
    var isAsync: Bool
    var resultInto: String?
    var deadline: Instant
    var filler: Template?
    var fillerDue: Instant?
  }

  /// Something that transitions can be about.
  struct Event: Sendable {
    var name: String
    /// What expressions see with it.
    var sets: [(String, Value)]
    /// The call cannot go on where no transition takes it.
    var isFatal = false
    /// It has no default behaviour.
    var isOptional = false
    /// Keys are behind it, not speech.
    var isByKeys = false

    init(
      _ name: String, _ sets: [(String, Value)] = [], isFatal: Bool = false, isOptional: Bool = false,
      isByKeys: Bool = false
    ) {
      self.isByKeys = isByKeys
      self.name = name
      self.sets = sets
      self.isFatal = isFatal
      self.isOptional = isOptional
    }
  }

  /// Time that only passes while it is the caller's turn.
  struct Countdown: Sendable, Hashable {
    var total: Duration?
    var left: Duration = .zero
    var since: Instant?

    var deadline: Instant? { since.map { $0 + left } }

    mutating func set(_ total: Duration?) {
      self.total = total
      left = total ?? .zero
      since = nil
    }

    mutating func restart() { set(total) }

    mutating func run(_ shouldRun: Bool, at now: Instant) {
      guard total != nil else { return }
      if shouldRun {
        if since == nil { since = now }
      } else if let start = since {
        left -= now - start
        if left < .zero { left = .zero }
        since = nil
      }
    }
  }

  var state: DialogState? { stateIndex.map { dialog.states[$0] } }

  /// A transition with a target is under way: its actions still run.
  var isLeaving: Bool { runs.contains(where: \.isLeaving) }

  func isSecret(_ step: CollectStep) -> Bool { step.isMasked || step.into.map { masked.contains($0) } ?? false }

  mutating func trace(_ event: DialogTrace) { out.append(.trace(event)) }
}
