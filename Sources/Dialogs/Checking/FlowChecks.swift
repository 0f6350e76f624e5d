import Base

/// Looks at a dialog as a whole: what can be reached, what never ends, what the caller could do that nobody answers.
struct FlowChecks {
  let dialog: Dialog
  let decoder: DialogDecoder
  var source: SourceDecoding

  init(dialog: Dialog, decoder: DialogDecoder) {
    self.dialog = dialog
    self.decoder = decoder
    source = decoder.source
  }

  mutating func run() {
    checkReachability()
    for state in dialog.states {
      checkWayOut(state)
      checkHandlers(state)
      checkShadows(state.transitions)
      checkActions(state.onEnter)
      checkSecrets(state)
      checkEvents(state)
      if let agent = state.agent { check(agent, of: state) }
      checkTransfers(state)
      checkListening(state)
      checkTheEnd(state.transitions)
      for transition in state.transitions { checkActions(of: transition) }
    }
    checkShadows(dialog.transitions)
    checkTheEnd(dialog.transitions)
    for transition in dialog.transitions { checkActions(of: transition) }
    checkLoops()
    checkVariables()
  }

  // MARK: Ways

  /// Where a list of actions can jump to.
  private func jumps(_ actions: [ActionStep]) -> [String] {
    actions.compactMap { if case .goto(let target) = $0.action { target } else { nil } }
  }

  private func exits(_ transitions: [Transition]) -> [String] {
    transitions.flatMap { jumps($0.actions) + ($0.target.map { [$0] } ?? []) }
  }

  private func ends(_ actions: [ActionStep]) -> Bool {
    actions.contains {
      switch $0.action {
      case .hangup, .transfer: true
      default: false
      }
    }
  }

  private func exits(_ state: DialogState) -> [String] {
    jumps(state.onEnter) + exits(state.transitions) + [state.timeoutNext, state.agent?.fallback].compactMap { $0 }
      + (state.agent?.exits.map(\.target) ?? [])
  }

  private mutating func checkReachability() {
    var reached: Set<String> = [dialog.initialState]
    var open = [dialog.initialState] + exits(dialog.transitions)
    reached.formUnion(open)
    while let name = open.popLast() {
      guard let state = dialog.state(named: name) else { continue }
      for next in exits(state) where reached.insert(next).inserted { open.append(next) }
    }
    for state in dialog.states where !reached.contains(state.name) {
      source.report(
        .unreachableState, state.position, "nothing leads to the state `\(state.name)`",
        decoder.callsHooks ? "fine if a hook names it in `next_state`" : "remove it, or name it in a `target`")
    }
  }

  private mutating func checkWayOut(_ state: DialogState) {
    guard !state.isTerminal, exits(state).isEmpty, !ends(state.onEnter) else { return }
    guard !state.transitions.contains(where: { ends($0.actions) }) else { return }
    guard !dialog.transitions.contains(where: { $0.target != nil || ends($0.actions) || !jumps($0.actions).isEmpty })
    else {
      return
    }
    source.report(
      .deadEnd, state.position, "no way leads out of the state `\(state.name)`",
      "add a transition with a `target`, a `hangup`, or `terminal: true`")
  }

  // MARK: The caller

  private mutating func checkHandlers(_ state: DialogState) {
    // A model hears everything and knows what to say to silence.
    guard state.agent == nil else { return }
    let all = state.transitions + dialog.transitions
    func handles(_ events: Set<String>) -> Bool {
      all.contains { (events.contains($0.event) || $0.event == "*") && $0.event != "hangup" }
    }
    let collects = state.onEnter.contains { if case .collectDigits = $0.action { true } else { false } }
    let speech = all.filter { $0.event == "speech" }
    let asks = collects || state.transitions.contains { $0.event == "speech" || $0.event == "dtmf" }
    if asks, !state.isTerminal, state.timeoutNext == nil, !handles(["no_input", "timeout"]) {
      source.report(
        .noSilenceHandler, state.position,
        "the state `\(state.name)` does not say what happens when the caller is silent",
        "add a transition for `no_input`; without one the prompt is repeated and then the call ends")
    }
    let own = state.transitions.filter { $0.event == "speech" }
    if !own.isEmpty, speech.allSatisfy({ $0.condition != nil || $0.confidenceBelow != nil }), !handles(["no_match"]) {
      source.report(
        .noUnmatchedHandler, state.position,
        "the state `\(state.name)` does not say what happens when the caller says something else",
        "add a transition for `no_match`, or one for `speech` without `when`")
    }
    if !own.isEmpty, dialog.listenPhrases(for: state).isEmpty, state.listen.grammar.isEmpty,
      !state.onEnter.contains(where: { if case .listen = $0.action { true } else { false } })
    {
      source.report(
        .nothingToRecognize, state.position,
        "the state `\(state.name)` waits for speech but names no phrase, so the embedded recogniser hears nothing",
        "add `listen: { hints: [...] }` or a `grammar`")
    }
    let waits = state.onEnter.contains { if case .callHook(let hook) = $0.action { !hook.isAsync } else { false } }
    if waits, !handles(["hook_error"]) {
      source.report(
        .hookErrorUnhandled, state.position, "the state `\(state.name)` does not say what happens when its hook fails",
        "add a transition for `hook_error`")
    }
  }

  private mutating func checkShadows(_ transitions: [Transition]) {
    for (i, later) in transitions.enumerated() {
      for earlier in transitions[..<i] {
        guard earlier.event == later.event || earlier.event == "*" && !Vocabulary.progressEvents.contains(later.event)
        else {
          continue
        }
        guard earlier.confidenceBelow ?? 2 >= later.confidenceBelow ?? 2 else { continue }
        if let condition = earlier.condition, condition.source != later.condition?.source { continue }
        if let digits = earlier.digits {
          guard let other = later.digits, digits.covers(other) else { continue }
        }
        source.report(
          .shadowedTransition, later.position,
          "this transition is never taken: the one at \(earlier.position) takes `\(later.event)` first",
          "put the special case before the general one")
        break
      }
    }
  }

  private mutating func checkActions(of transition: Transition) {
    checkActions(transition.actions)
    guard transition.target != nil, let last = transition.actions.last else { return }
    guard case .goto = last.action else { return }
    source.report(
      .unreachableAction, last.position, "this `goto` leads elsewhere than the transition's own `target`",
      "keep one of them")
  }

  private mutating func checkActions(_ actions: [ActionStep]) {
    for (i, step) in actions.enumerated().dropLast() {
      switch step.action {
      case .goto, .hangup:
        source.report(
          .unreachableAction, actions[i + 1].position,
          "this action is never reached: the one before it leaves the state",
          "move it up, or remove it")
        return
      default: continue
      }
    }
  }

  private static let secret = try? RegexPattern(
    #"\b(card|credit|debit|pin|cvv|cvc|ssn|iban|passcode|password|security code|social security)(\b|_)|(_|\b)(pin|card|cvv|cvc|ssn|iban)\b"#
  )

  private mutating func checkSecrets(_ state: DialogState) {
    var said = ""
    for step in state.onEnter {
      switch step.action {
      case .playTTS(let step): said += " " + step.text.source
      case .collectDigits(let collect):
        let isMasked = collect.isMasked || collect.into.map { dialog.maskedVariables.contains($0) } ?? false
        let about = (collect.into ?? "").replacing("_", with: " ") + said
        if !isMasked, let secret = Self.secret, secret.occurs(in: about) {
          source.report(
            .unmaskedSecret, step.position, "these digits look like a card number or a PIN, but are not masked",
            "add `mask: true`, so that they stay out of logs, events and storage")
        }
      default: break
      }
    }
  }

  // MARK: Loops and variables

  /// Edges that are taken without anything the caller does.
  private func automaticExits(_ state: DialogState) -> [String] {
    let collects = state.onEnter.contains { if case .collectDigits = $0.action { true } else { false } }
    guard !collects else { return [] }
    // A model that cannot be reached takes no time.
    if let agent = state.agent { return agent.fallback.map { [$0] } ?? [] }
    let completions = state.transitions.filter {
      $0.condition == nil && ($0.event == "tts_complete" || $0.event == "call_answered")
    }
    return jumps(state.onEnter) + exits(completions)
  }

  private mutating func checkLoops() {
    var finished: Set<String> = []
    for start in dialog.states.map(\.name) where !finished.contains(start) {
      var path: [(name: String, rest: [String])] = [(start, dialog.state(named: start).map(automaticExits) ?? [])]
      while let (name, rest) = path.popLast() {
        guard let next = rest.last else {
          finished.insert(name)
          continue
        }
        path.append((name, rest.dropLast()))
        if let from = path.firstIndex(where: { $0.name == next }) {
          let circle = path[from...].map(\.name) + [next]
          if let state = dialog.state(named: next) {
            source.report(
              .loopWithoutInput, state.position,
              "the dialog can go round without the caller: \(circle.joined(separator: " -> "))",
              "let a state of the circle wait for the caller")
          }
        } else if !finished.contains(next), let state = dialog.state(named: next) {
          path.append((next, automaticExits(state)))
        }
      }
    }
  }

  private mutating func checkVariables() {
    // A hook is sent every variable and may set any, so with hooks none is surely unused.
    guard !decoder.callsHooks else { return }
    for declaration in dialog.variables
    where !decoder.readNames.contains(declaration.name) && !decoder.writtenNames.contains(declaration.name) {
      source.report(
        .unusedVariable, declaration.position, "the variable `\(declaration.name)` is neither read nor set", "remove it"
      )
    }
  }
}
