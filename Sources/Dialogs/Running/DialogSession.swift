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
/// ``timeout(at:wallMs:)`` when ``deadline`` has come. Semantics: docs/dialogs/language.md, "How a dialog runs".
public struct DialogSession: Sendable {
  /// The reasons with which a dialog can end a call.
  public static let hangupReasons = ["normal", "busy", "rejected", "error"]
  /// How long the caller may take from one key to the next, where the dialog does not say.
  public static let interDigitTimeout: Duration = .seconds(3)
  /// A filler is only spoken when a hook or a model takes longer than this: most answers come sooner and need no excuse.
  public static let fillerDelay: Duration = .milliseconds(500)
  /// From the end of a filler to its repetition, while the answer still has not come.
  public static let fillerInterval: Duration = .seconds(5)
  /// A hook whose outcome never comes is given up after this, or a second after its own timeout.
  public static let hookLimit: Duration = .seconds(60)
  /// A caller who talks on and on holds up the silence timer no longer than this.
  public static let speechLimit: Duration = .seconds(60)
  /// A transfer whose outcome never comes is given up so long after its own timeout: time to ring, to consult and to tell.
  public static let transferGrace: Duration = .seconds(60)
  /// How deep dialogs may run each other with `run_dialog`, the call's own counted.
  public static let frameLimit = 8
  /// What the caller hears before a call ends that cannot go on.
  public static let apology = "I am sorry, something went wrong. Goodbye."
  /// Inputs that wait for the next state while a transition's actions run; later ones are dropped and recorded.
  static let heldLimit = 32
  /// Work for one input. A dialog that needs more does not come to rest; see also `max_depth`.
  static let stepLimit = 5_000
  /// Actions in one answer of a backend.
  static let answerActionLimit = 20
  /// Lists of actions that interrupt each other in one state.
  static let runLimit = 8

  public let dialog: Dialog
  /// Dialogs that `run_dialog` can reach, by their names.
  let library: [String: Dialog]
  let limits: DialogLimits
  /// `limits.timeout`.
  let timeoutNs: Int64
  let call: CallFacts

  enum Phase: String, Sendable { case waiting, running, hangingUp, ended }
  var phase = Phase.waiting
  /// The dialog that has the call now, and those that wait for it to come back, the call's own first.
  var frame: Frame
  var callers: [Frame] = []

  var events: [Event] = []
  var held: [DialogInput] = []
  var playing: [Playing] = []
  var hooks: [PendingHook] = []
  /// Only before the call is answered.
  var opening = Opening()
  var lastPlayback: UInt32 = 0
  var lastHook: UInt32 = 0
  var lastModel: UInt32 = 0
  var lastListen: DialogListen?

  var keyed = ""
  var typedAhead = ""
  var skipsNextSpeech = false
  var depth = 0
  var hasReportedLoop = false
  var errorsSinceInput = 0
  var isHeld = false
  /// The caller talks with somebody else.
  var isConnected = false

  var speakingSince: Instant?
  var interDigitDeadline: Instant?
  var transferDeadline: Instant?
  var silence = Countdown()
  var stateTimer = Countdown()

  /// Set before the first input, this replays a record that hides the values of masked variables: what depended on such a
  /// value takes its results from here, in order (`secret_decision` in the record), and `***` fits a masked variable of any
  /// type. nil: no replay.
  public var recordedSecretDecisions: [Bool]?
  var nextSecretDecision = 0

  /// Transitions that were taken, for coverage; nil: not kept.
  var waysTaken: [WayTaken]?

  var now = Instant.zero
  var wallMs: Int64 = 0
  var out: [DialogAction] = []

  /// - Parameters:
  ///   - variables: values that replace the dialog's own at the start; names it does not declare are ignored.
  ///   - library: the dialogs that `run_dialog` can reach, by their names.
  public init(
    dialog: Dialog, variables: [String: Value] = [:], call: CallFacts, library: [String: Dialog] = [:],
    limits: DialogLimits = DialogLimits()
  ) {
    self.dialog = dialog
    self.library = library
    self.limits = limits
    timeoutNs = limits.timeout.nanoseconds
    self.call = call
    frame = Frame(dialog, call: call, label: "")
    for (i, declaration) in dialog.variables.enumerated() {
      if let value = variables[declaration.name] { frame.values[DialogPlan.firstVariable + i] = value }
    }
  }

  // MARK: What the owner may look at

  /// The current state; empty before the call is answered. Inside a dialog that `run_dialog` runs: `dialog/state`.
  public var currentState: String { frame.stateName }

  /// The name of the dialog that has the call now.
  public var currentDialog: String { frame.dialog.name }

  /// Whether the dialog is over (the call ended). No actions come after that.
  public var isEnded: Bool { phase == .ended }

  /// The variables of the call's own dialog, masked ones as `***`: what records, the API and logs may show.
  public var visibleVariables: [String: Value] { (callers.first ?? frame).visibleVariables }

  /// Whether the keys that come now are secret (a masked `collect_digits`): they belong into no log, event or record.
  public var isCollectingSecret: Bool { secretEntry != nil }

  /// The masked `collect_digits` that the keys are for which come now.
  var secretEntry: CollectStep? {
    guard let run = frame.runs.last else { return nil }
    let step = if case .digits(let current) = run.wait { current } else { frame.upcomingCollect(of: run) }
    return step.flatMap { isSecret($0) ? $0 : nil }
  }

  /// When ``timeout(at:wallMs:)`` wants to be called; nil: not at all.
  public var deadline: Instant? {
    guard phase == .running else { return nil }
    var earliest = Int64.max
    func consider(_ instant: Instant?) {
      if let instant, instant.nanoseconds < earliest { earliest = instant.nanoseconds }
    }
    consider(silence.deadline)
    consider(stateTimer.deadline)
    consider(interDigitDeadline)
    consider(transferDeadline)
    if let speakingSince { consider(speakingSince + Self.speechLimit) }
    for hook in hooks {
      consider(hook.fillerDue)
      consider(hook.deadline)
    }
    if frame.agent != nil { for instant in agentDeadlines { consider(instant) } }
    return earliest == .max ? nil : Instant(nanoseconds: earliest)
  }

  // MARK: Inputs

  /// - Parameters:
  ///   - now: must not run backwards.
  ///   - wallMs: wall-clock milliseconds since 1970, for `now()`.
  public mutating func receive(_ input: DialogInput, at now: Instant, wallMs: Int64) -> [DialogAction] {
    begin(now, wallMs)
    errorsSinceInput = 0
    switch phase {
    case .ended: return []
    case .running:
      if case .hangup(let who, let reason) = input {
        end(by: who, reason: reason)
      } else {
        accept(input)
        settle()
      }
    case .waiting, .hangingUp:
      switch input {
      case .hangup(let who, let reason): end(by: who, reason: reason)
      case .callAnswered where phase == .waiting: start()
      case .startAnswer(_, let answer) where phase == .waiting: takeStartAnswer(answer)
      default: break
      }
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

  private mutating func start() {
    phase = .running
    if dialog.settings.record != .none {
      perform(.record(RecordStep(operation: .start, channels: dialog.settings.record)))
    }
    open()
    events.append(Event(.callAnswered))
    settle()
  }

  private mutating func begin(_ now: Instant, _ wallMs: Int64) {
    self.now = now
    self.wallMs = wallMs
    out = []
    // Most inputs lead to a few actions; growing the list one by one would cost more than they do.
    out.reserveCapacity(6)
  }

  private mutating func finish() -> [DialogAction] {
    updateTimers()
    let actions = out
    out = []
    return actions
  }

  mutating func trace(_ event: DialogTrace) { out.append(.trace(event)) }
}

// MARK: - What is going on

extension DialogSession {
  struct Playing: Sendable {
    var id: PlaybackID
    /// Which of the dialogs on top of each other says it; 0 is the call's own.
    var level: Int
    /// Prompts hold up the silence timer; loops and pauses of music do not.
    var isLoop: Bool
    /// A filler is finished even when the state is left.
    var isFiller: Bool
    var allowsBargeIn: Bool
  }

  /// Time that only passes while it is the caller's turn. Nanoseconds.
  struct Countdown: Sendable, Hashable {
    var total: Int64?
    var left: Int64 = 0
    var since: Instant?

    var deadline: Instant? { since.map { Instant(nanoseconds: $0.nanoseconds &+ left) } }

    mutating func set(ns total: Int64?) {
      self.total = total
      left = total ?? 0
      since = nil
    }

    mutating func restart() {
      left = total ?? 0
      since = nil
    }

    mutating func run(_ shouldRun: Bool, at now: Instant) {
      guard total != nil else { return }
      if shouldRun {
        if since == nil { since = now }
      } else if let start = since {
        left = max(0, left - (now.nanoseconds - start.nanoseconds))
        since = nil
      }
    }
  }

  var level: Int { callers.count }

  /// The place of the current state among its dialog's states. Only before the call is answered there is none.
  var stateIndex: Int? { frame.stateIndex }

  var state: DialogPlan.State? { frame.stateIndex.map { frame.dialog.plan.states[$0] } }

  /// A transition with a target is under way: its actions still run, or the last words of an agent state.
  var isLeaving: Bool { frame.runs.contains(where: \.isLeaving) || frame.agent?.wayOut != nil }

  func isSecret(_ step: CollectStep) -> Bool { step.isMasked || step.into.map { isMasked($0) } ?? false }
}
