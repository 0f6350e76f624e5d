import Base

/// Dialogs that run other dialogs. The other one has its own variables and transitions; when it reaches a terminal state,
/// the list of actions that ran it goes on.
extension DialogSession {
  mutating func runDialog(_ step: RunDialogStep) {
    guard let other = library[step.name] else {
      return fail("run_dialog", "there is no dialog `\(step.name)`")
    }
    guard callers.count + 1 < Self.frameLimit else {
      return fail("run_dialog", "dialogs run each other more than \(Self.frameLimit) deep")
    }
    var next = Frame(other, call: call, label: "\(other.name)/")
    for (name, source) in step.variables {
      guard let slot = other.plan.slots[name], let wanted = other.plan.type(at: slot) else {
        fail("run_dialog", "the dialog `\(step.name)` declares no variable `\(name)`")
        continue
      }
      guard let value = evaluate(source) else { continue }
      let isSecret = readsSecret(in: source)
      guard
        value == .null || wanted == .null || StaticType(of: value) == wanted || isReplay && value == Self.hidden
      else {
        let given = StaticType(of: value).description
        fail("run_dialog", "`\(name)` of `\(step.name)` holds \(wanted.description), but was given \(given)")
        continue
      }
      if isSecret { next.masked.insert(slot) }
      next.values[slot] = value
    }
    guard countStep() else { return }
    executed("run_dialog", ["name": .string(step.name)])
    agentPauses()
    if let last = frame.runs.indices.last {
      frame.runs[last].wait = .dialog
      frame.runs[last].into = step.into
    }
    let from = currentState
    callers.append(frame)
    frame = next
    enter(other.index(ofState: other.initialState) ?? 0, trigger: "run_dialog", from: from)
  }

  /// The other dialog is over: its variables are the result, and the one that ran it goes on.
  mutating func returnToCaller() {
    guard let caller = callers.last else { return }
    let from = currentState
    let variables = frame.values.indices.dropFirst(DialogPlan.firstVariable)
    let plan = frame.dialog.plan
    let result = Value.map(
      Dictionary(variables.map { (plan.names[$0], frame.values[$0]) }, uniquingKeysWith: { first, _ in first }))
    // One secret among them hides them all: the name that takes them cannot know which is which.
    let isSecret = variables.contains { frame.masked.contains($0) }
    agentEnds()
    let level = level
    cancelHooks { $0.level >= level }
    hooks.removeAll { $0.level >= level }
    // What it still says is said to the end, as at the end of a call.
    stopPlaying { $0.level >= level && $0.isLoop }
    for i in playing.indices where playing[i].level >= level { playing[i].level = level - 1 }
    keyed = ""
    typedAhead = ""
    interDigitDeadline = nil
    callers.removeLast()
    frame = caller
    trace(.stateTransition(from: from, to: currentState, trigger: "return"))
    set(.result, result)
    let slot = DialogPlan.Slot.result.rawValue
    if isSecret { frame.masked.insert(slot) } else { frame.masked.remove(slot) }
    if let last = frame.runs.indices.last, case .dialog = frame.runs[last].wait {
      frame.runs[last].wait = .none
      if let into = frame.runs[last].into {
        frame.runs[last].into = nil
        if isSecret { mask(into) }
        assign(into, result)
      }
    }
    announceListening()
    setTimers()
  }
}
