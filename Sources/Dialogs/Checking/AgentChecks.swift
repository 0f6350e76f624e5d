/// What a state can wait for in vain: a model without a way out, the outcome of a transfer, events that nothing raises.
extension FlowChecks {
  mutating func check(_ agent: AgentSettings, of state: DialogState) {
    if agent.exits.isEmpty {
      source.report(
        .agentWithoutExit, agent.position, "the model of the state `\(state.name)` has no `exits` to choose from",
        "add `exits`, each with a `name`, a `description` and a `target`")
    }
    if agent.fallback == nil {
      source.report(
        .agentWithoutFallback, agent.position,
        "the state `\(state.name)` does not say what happens when its model is unreachable or over its limits",
        "add `fallback: STATE`; without one the caller hears an apology, and the call ends")
    }
  }

  // MARK: Transfers

  private func transfer(in actions: [ActionStep]) -> ActionStep? {
    actions.first { if case .transfer = $0.action { true } else { false } }
  }

  mutating func checkTransfers(_ state: DialogState) {
    if let step = transfer(in: state.onEnter) { check(step, waitsIn: state) }
    for transition in state.transitions {
      guard let step = transfer(in: transition.actions) else { continue }
      check(step, waitsIn: transition.target.flatMap { dialog.state(named: $0) } ?? state)
    }
  }

  private mutating func check(_ step: ActionStep, waitsIn state: DialogState) {
    let all = state.transitions + dialog.transitions
    guard !all.contains(where: { $0.event == "transfer_result" || $0.event == "*" }) else { return }
    source.report(
      .transferUnhandled, step.position,
      "the state `\(state.name)` does not say what happens when the other party is busy or does not answer",
      "add a transition for `transfer_result`; `status` says how it came out")
  }

  // MARK: In vain

  mutating func checkListening(_ state: DialogState) {
    guard state.agent == nil else { return }
    let all = state.transitions + dialog.transitions
    func takes(_ events: Set<String>) -> Bool { all.contains { events.contains($0.event) } }
    let collects = state.onEnter.contains { if case .collectDigits = $0.action { true } else { false } }
    let listen = state.listen
    let what: String
    if !listen.hints.isEmpty || !listen.grammar.isEmpty, !takes(["speech", "speech_partial", "no_match", "*"]) {
      what = "speech"
    } else if listen.maxDigits != nil || listen.terminator != nil || listen.interDigitTimeout != nil, !collects,
      !takes(["dtmf", "*"])
    {
      what = "dtmf"
    } else {
      return
    }
    source.report(
      .uselessListening, state.position, "the state `\(state.name)` listens, but has no transition for `\(what)`",
      "add one, or remove it from `listen`")
  }

  /// The last actions of a call are run when nobody can hear them.
  mutating func checkTheEnd(_ transitions: [Transition]) {
    for transition in transitions where transition.event == "hangup" {
      if transition.target != nil {
        source.report(
          .afterTheEnd, transition.position, "after `hangup` no state is entered", "remove the `target`")
      }
      for step in transition.actions {
        switch step.action {
        case .setVariables, .callHook, .log, .emit: continue
        default:
          source.report(
            .afterTheEnd, step.position, "after `hangup` nobody is there for this action", "remove it")
        }
      }
    }
  }

  // MARK: Events

  mutating func checkEvents(_ state: DialogState) {
    for transition in state.transitions {
      let why: String
      switch transition.event {
      case "agent_exit" where state.agent == nil: why = "the state has no `agent`"
      case "timeout" where state.timeout == nil && state.timeoutNext == nil:
        why = "the state has no `timeout`; silence raises `no_input`"
      case "tts_complete" where !speaks(state): why = "the state says nothing"
      case "hook_result" where !decoder.callsHooks, "hook_error" where !decoder.callsHooks:
        why = "the dialog calls no hook"
      default: continue
      }
      source.report(
        .impossibleEvent, transition.position, "`\(transition.event)` cannot happen in `\(state.name)`: \(why)",
        "remove the transition, or add what raises the event")
    }
  }

  /// Whether anything may be said in the state; a hook's answer and a sub-dialog may say something, too.
  private func speaks(_ state: DialogState) -> Bool {
    if state.agent != nil || decoder.callsHooks { return true }
    return (state.onEnter + state.transitions.flatMap(\.actions) + dialog.transitions.flatMap(\.actions)).contains {
      switch $0.action {
      case .playTTS, .playAudio, .runDialog, .transfer: true
      default: false
      }
    }
  }
}
