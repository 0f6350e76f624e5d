import Base

/// A dialog in the form that runs fast: events, states and variables by number, and everything that is the same for every
/// call worked out once, when the dialog is loaded.
final class DialogPlan: Sendable {
  /// The names that every expression can use, with the first places in ``Frame/values``.
  enum Slot: Int, CaseIterable {
    case transcript, confidence, language, slots, digit, digits, callerID, calledNumber, dialogName, sessionID, trunk
    case sipHeaders, lastEvent, currentState, result, error, errorMessage, status, heard, data, who, reason, exit
    case noInputCount, noMatchCount

    var name: String {
      switch self {
      case .transcript: "transcript"
      case .confidence: "confidence"
      case .language: "language"
      case .slots: "slots"
      case .digit: "digit"
      case .digits: "digits"
      case .callerID: "caller_id"
      case .calledNumber: "called_number"
      case .dialogName: "dialog_name"
      case .sessionID: "session_id"
      case .trunk: "trunk"
      case .sipHeaders: "sip_headers"
      case .lastEvent: "last_event"
      case .currentState: "current_state"
      case .result: "result"
      case .error: "error"
      case .errorMessage: "error_message"
      case .status: "status"
      case .heard: "heard"
      case .data: "data"
      case .who: "who"
      case .reason: "reason"
      case .exit: "exit"
      case .noInputCount: "no_input_count"
      case .noMatchCount: "no_match_count"
      }
    }
  }

  /// A transition, ready to be tried.
  struct Way: Sendable {
    let digits: DigitPattern?
    let confidenceBelow: Double?
    let condition: Expression?
    let actions: [ActionStep]
    /// The number of the state it leads to; nil: stay.
    let target: Int?
  }

  /// What a state is, apart from its actions.
  struct State: Sendable {
    let name: String
    let isTerminal: Bool
    let isAgent: Bool
    /// Whether it has any use for what the caller says, and for keys.
    let hearsSpeech: Bool
    let hearsKeys: Bool
    /// Whether a transition is for keys.
    let takesKeys: Bool
    let listen: DialogListen
    /// The same where neither the dialog nor the state says whether the caller may interrupt, and the limits say no.
    let listenUninterrupted: DialogListen
    /// Ways by ``Event/Kind``, in the order in which they are tried.
    let ways: [[Int32]]
    /// Ways for the custom events that are named in the dialog; for those that are not, the ones of `*`.
    let customWays: [[Int32]]
    /// The patterns of transitions for keys, and whether one of these takes any keys.
    let digitPatterns: [DigitPattern]
    let takesAnyKeys: Bool
    let timeoutTarget: Int?
    /// Nanoseconds: `listen.timeout` and `timeout`.
    let listenNs: Int64?
    let timeoutNs: Int64?
  }

  /// Names to places in ``Frame/values``.
  let slots: [String: Int]
  /// The name at each place.
  let names: [String]
  /// The values at the start of a call that knows nothing.
  let initial: [Value]
  /// Where the dialog's own variables begin: declared ones in order, then the others.
  static let firstVariable = Slot.allCases.count
  /// Types of the declared variables, from ``firstVariable`` on.
  let types: [StaticType]
  let states: [State]
  let ways: [Way]
  let masked: MaskedSlots
  /// `settings.timeout`, in nanoseconds.
  let timeoutNs: Int64?
  private let customEvents: [String: Int]

  init(
    name: String, language: String, settings: DialogSettings, variables: [VariableDeclaration], undeclared: [String],
    states: [DialogState], transitions: [Transition]
  ) {
    // Places of the values.
    var slots: [String: Int] = [:]
    var names = Slot.allCases.map(\.name)
    var initial: [Value] = []
    let builtinTypes = Dictionary(Vocabulary.builtins.map { ($0.name, $0.type) }, uniquingKeysWith: { a, _ in a })
    for name in names {
      switch builtinTypes[name] ?? .any {
      case .string: initial.append("")
      case .number: initial.append(0)
      case .map: initial.append(.map([:]))
      default: initial.append(.null)
      }
    }
    initial[Slot.status.rawValue] = 0
    initial[Slot.exit.rawValue] = ""
    initial[Slot.dialogName.rawValue] = .string(name)
    initial[Slot.language.rawValue] = .string(language)
    var masked = MaskedSlots()
    for declaration in variables {
      if declaration.isMasked { masked.insert(names.count) }
      names.append(declaration.name)
      initial.append(declaration.initial)
    }
    names += undeclared
    initial += undeclared.map { _ in .null }
    for (i, name) in names.enumerated() where slots[name] == nil { slots[name] = i }
    self.slots = slots
    self.names = names
    self.initial = initial
    self.masked = masked
    timeoutNs = settings.timeout?.nanoseconds
    types = variables.map { StaticType(of: $0.initial) }

    // Ways, each once: the states' own, then the dialog's.
    let stateIndex = Dictionary(
      states.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    var ways: [Way] = []
    func add(_ transition: Transition) -> Int32 {
      ways.append(
        Way(
          digits: transition.digits, confidenceBelow: transition.confidenceBelow, condition: transition.condition,
          actions: transition.actions, target: transition.target.flatMap { stateIndex[$0] }))
      return Int32(ways.count - 1)
    }
    let globals = transitions.map { (event: $0.event, way: add($0)) }
    var custom: [String: Int] = [:]
    for transition in states.lazy.flatMap(\.transitions) + transitions
    where transition.event != "*" && Event.Kind.named[transition.event] == nil && custom[transition.event] == nil {
      custom[transition.event] = custom.count
    }
    customEvents = custom
    let customNames = custom.sorted { $0.value < $1.value }.map(\.key)
    let globalPhrases = Dialog.phrases(hints: [], spoken: transitions.flatMap(\.spokenPhrases))
    self.states = states.map { state in
      let own = state.transitions.map { (event: $0.event, way: add($0)) }
      let all = own + globals
      let kinds = all.map { (kind: Event.Kind.named[$0.event], isAny: $0.event == "*", way: $0.way) }
      func ways(for kind: Event.Kind) -> [Int32] {
        let takesAny = kind == .custom || !Vocabulary.progressEvents.contains(kind.name)
        return kinds.compactMap { $0.kind == kind && kind != .custom || takesAny && $0.isAny ? $0.way : nil }
      }
      let both = state.transitions + transitions
      let forKeys = both.filter { $0.event == "dtmf" }
      let hearsSpeech =
        state.agent != nil || !state.listen.hints.isEmpty || !state.listen.grammar.isEmpty
        || both.contains { Dialog.speechEvents.contains($0.event) }
      let ownPhrases = Dialog.phrases(
        hints: state.listen.hints, spoken: state.transitions.flatMap(\.spokenPhrases))
      let known = Set(ownPhrases)
      let phrases = ownPhrases + globalPhrases.filter { !known.contains($0) }
      func listen(_ bargeIn: Bool) -> DialogListen {
        DialogListen(
          phrases: phrases, grammar: state.listen.grammar,
          language: state.listen.language.isEmpty ? language : state.listen.language,
          minSilenceMs: state.listen.minSilenceMs, speech: hearsSpeech, isOpen: state.agent != nil,
          bargeIn: state.listen.bargeIn ?? settings.bargeIn ?? bargeIn)
      }
      return State(
        name: state.name, isTerminal: state.isTerminal, isAgent: state.agent != nil, hearsSpeech: hearsSpeech,
        hearsKeys: state.agent != nil || both.contains { $0.event == "dtmf" || $0.event == "*" },
        takesKeys: !forKeys.isEmpty, listen: listen(true), listenUninterrupted: listen(false),
        ways: Event.Kind.allCases.map { ways(for: $0) },
        customWays: customNames.map { name in all.compactMap { $0.event == name || $0.event == "*" ? $0.way : nil } },
        digitPatterns: forKeys.compactMap(\.digits), takesAnyKeys: forKeys.contains { $0.digits == nil },
        timeoutTarget: state.timeoutNext.flatMap { stateIndex[$0] }, listenNs: state.listen.timeout?.nanoseconds,
        timeoutNs: state.timeout?.nanoseconds)
    }
    self.ways = ways
  }

  /// The ways that are to be tried for an event in a state.
  func ways(for event: Event, in state: Int) -> [Int32] {
    if event.kind == .custom, let number = customEvents[event.name] { return states[state].customWays[number] }
    return states[state].ways[Int(event.kind.rawValue)]
  }
}

/// A transition that was taken, by ``DialogPlan/ways``: those that hold in every state first, then the states' own.
struct WayTaken: Sendable, Hashable {
  var dialog: String
  var way: Int
}

/// Which places hold secrets. Most dialogs have none.
struct MaskedSlots: Sendable, Hashable {
  private var words: [UInt64] = []

  var isEmpty: Bool { words.isEmpty }

  func contains(_ slot: Int) -> Bool {
    slot >> 6 < words.count && words[slot >> 6] >> UInt64(slot & 63) & 1 == 1
  }

  mutating func insert(_ slot: Int) {
    while words.count <= slot >> 6 { words.append(0) }
    words[slot >> 6] |= 1 << UInt64(slot & 63)
  }

  mutating func remove(_ slot: Int) {
    guard contains(slot) else { return }
    words[slot >> 6] &= ~(1 << UInt64(slot & 63))
    while words.last == 0 { words.removeLast() }
  }

  /// In rising order.
  var slots: [Int] { (0..<words.count * 64).filter { contains($0) } }
}
