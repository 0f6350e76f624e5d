import Base

/// One dialog on its way: the call's own, or one that `run_dialog` runs. Each has its own variables.
struct Frame: Sendable {
  let dialog: Dialog
  /// What traces write before its states: nothing for the call's own dialog, `name/` for others.
  let label: String
  /// By ``DialogPlan/slots``: built-in names first, then variables.
  var values: [Value]
  /// Values that must not be seen outside; grows when masked values are copied.
  var masked: MaskedSlots
  var stateIndex: Int?
  /// Lists of actions under way; the last one interrupts those before it.
  var runs: [Run] = []
  var agent: AgentTalk?
  var listenOverride: ListenSettings?
  /// How far the state's `on_enter` has come: a re-prompt repeats no effects before that.
  var enterProgress = 0
  var hasPlayed = false
  var wasInterrupted = false
  var noInputCount = 0
  var noMatchCount = 0

  init(_ dialog: Dialog, call: CallFacts, label: String) {
    self.dialog = dialog
    self.label = label
    values = dialog.plan.initial
    masked = dialog.plan.masked
    set(.sipHeaders, .map(call.headerValues))
    set(.callerID, .string(call.callerID))
    set(.calledNumber, .string(call.calledNumber))
    set(.trunk, .string(call.trunk ?? ""))
    set(.sessionID, .string(call.session.value))
  }

  mutating func set(_ slot: DialogPlan.Slot, _ value: Value) { values[slot.rawValue] = value }

  /// As traces name it; empty before the call is answered.
  var stateName: String {
    guard let stateIndex else { return "" }
    let name = dialog.plan.states[stateIndex].name
    return label.isEmpty ? name : label + name
  }

  var visibleVariables: [String: Value] {
    var visible: [String: Value] = [:]
    for i in DialogPlan.firstVariable..<values.count {
      visible[dialog.plan.names[i]] = masked.contains(i) ? "***" : values[i]
    }
    return visible
  }

  /// The values as records may see them.
  var hiddenValues: [Value] {
    if masked.isEmpty { return values }
    var hidden = values
    for slot in masked.slots where slot < hidden.count { hidden[slot] = "***" }
    return hidden
  }

  /// Whether a masked name holds anything but what the dialog's file says.
  var holdsSecrets: Bool {
    masked.slots.contains { slot in
      guard slot < values.count else { return false }
      let variable = slot - DialogPlan.firstVariable
      let initial = dialog.variables.indices.contains(variable) ? dialog.variables[variable].initial : ""
      return values[slot] != initial && values[slot] != .null && values[slot] != ""
    }
  }

  func actions(of run: Run) -> [ActionStep] {
    switch run.place {
    case .enter(let state): dialog.states[state].onEnter
    case .way(let way): dialog.plan.ways[way].actions
    case .answer(let answer): answer.steps
    case .none: []
    }
  }

  func step(of run: Run) -> ActionStep? {
    switch run.place {
    case .enter(let state):
      run.next < dialog.states[state].onEnter.count ? dialog.states[state].onEnter[run.next] : nil
    case .way(let way):
      run.next < dialog.plan.ways[way].actions.count ? dialog.plan.ways[way].actions[run.next] : nil
    case .answer(let answer): run.next < answer.steps.count ? answer.steps[run.next] : nil
    case .none: nil
    }
  }

  func upcomingCollect(of run: Run) -> CollectStep? {
    for step in actions(of: run).dropFirst(run.next) {
      if case .collectDigits(let collect) = step.action { return collect }
    }
    return nil
  }
}

/// A list of actions on its way through. It names the place where the actions stand instead of holding them, so that a
/// session can be written down and read back.
struct Run: Sendable {
  enum Place: Sendable {
    /// `on_enter` of a state.
    case enter(Int)
    /// `do` of a transition, by ``DialogPlan/ways``.
    case way(Int)
    /// Actions of a backend's answer.
    case answer(BackendActions)
    case none
  }
  enum Then: Sendable, Hashable {
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
    case transfer
    /// A dialog that `run_dialog` runs.
    case dialog
  }
  var place: Place
  var next = 0
  var then: Then
  var wait = Wait.none
  /// The caller cut a prompt: the prompts that follow in this list are passed over.
  var isCut = false
  /// Whether it has said something.
  var hasSpoken = false
  /// Actions before this one are only repeated where they speak or listen.
  var effectsFrom = 0
  /// The model's tool call that waits for the keys of this run.
  var toolCall: String?
  /// The variable that takes the result of the dialog that is run.
  var into: String?

  init(_ place: Place, then: Then, effectsFrom: Int = 0) {
    self.place = place
    self.then = then
    self.effectsFrom = effectsFrom
  }

  var isLeaving: Bool { if case .enter = then { true } else { false } }
  var isWaiting: Bool { if case .none = wait { false } else { true } }
}

/// Actions that a backend sent, with the data they were read from.
struct BackendActions: Sendable {
  var source: [Value]
  var steps: [ActionStep]
}
