import Base

/// How a call ends.
extension DialogSession {
  /// The dialog cannot go on: it says so and ends the call.
  mutating func giveUp() {
    guard phase == .running else { return }
    let level = level
    stopPlaying { $0.level >= level && !$0.isFiller }
    frame.runs = []
    play(
      .text(Self.apology), voice: frame.dialog.settings.voice, language: frame.dialog.language, bargeIn: false,
      wait: false)
    hangUp(reason: "error")
  }

  mutating func hangUp(reason: String) {
    guard phase == .running else { return }
    phase = .hangingUp
    agentEnds()
    frame.runs = []
    for i in callers.indices { callers[i].runs = [] }
    events = []
    held = []
    cancelHooks { _ in true }
    hooks = []
    trace(.actionExecuted(state: currentState, action: "hangup", detail: .map(["reason": .string(reason)])))
    out.append(.hangup(reason: reason, afterPlayback: true))
  }

  /// The call is over: last actions, without a voice. Those of a dialog that `run_dialog` runs come first.
  mutating func end(by who: String, reason: String) {
    if phase != .waiting {
      agentEnds()
      cancelHooks { _ in true }
      hooks = []
      events = []
      let event = Event(.hangup, .hangup(who: who, reason: reason))
      while true {
        frame.runs = []
        show(event.facts)
        let handler = way(for: event)
        if let handler, waysTaken != nil { waysTaken?.append(WayTaken(dialog: frame.dialog.name, way: handler)) }
        set(.lastEvent, "hangup")
        phase = .hangingUp
        for step in handler.map({ frame.dialog.plan.ways[$0].actions }) ?? [] {
          switch step.action {
          case .setVariables, .emit, .log, .callHook: perform(step.action)
          default: break
          }
        }
        events = []
        guard let caller = callers.popLast() else { break }
        frame = caller
        agentEnds()
      }
      hooks = []
    }
    phase = .ended
    out.append(.outcome(outcome()))
    trace(.ended(state: currentState, reason: reason))
  }

  /// What is kept of the call, by the dialog that it came to. Templates that fail leave their part empty.
  private mutating func outcome() -> DialogOutcome {
    guard let wanted = dialog.outcome else {
      return DialogOutcome(disposition: "", summary: "", tags: [], variables: [:], summarize: false, review: nil)
    }
    var variables: [String: Value] = [:]
    let hidden = frame.hiddenValues
    for name in wanted.variables {
      if let slot = frame.dialog.plan.slots[name] { variables[name] = hidden[slot] }
    }
    return DialogOutcome(
      disposition: renderHidden(wanted.disposition) ?? "", summary: renderHidden(wanted.summary) ?? "",
      tags: wanted.tags.compactMap { renderHidden($0) }.filter { !$0.isEmpty }, variables: variables,
      summarize: wanted.summarize, review: wanted.review)
  }
}
