import Base

/// What the customer's backends say about a call before it is answered (`/on-call-start`).
extension DialogSession {
  /// What they want done when the call is up.
  struct Opening: Sendable {
    /// The first state instead of the dialog's own; the first answer that names one counts.
    var target: Int?
    /// Run before the state's own, in the order of the answers.
    var actions: [Value] = []
  }

  /// `variables` are set at once; what else there is waits for the call to be up.
  mutating func takeStartAnswer(_ answer: Value) {
    assignVariables(of: answer)
    if case .string(let name)? = answer["next_state"], !name.isEmpty {
      if let target = frame.dialog.index(ofState: name) {
        if opening.target == nil { opening.target = target }
      } else {
        fail("hook_answer", "a hook names the state `\(name.prefix(64))`, which does not exist")
      }
    }
    if case .list(let given)? = answer["actions"] {
      guard opening.actions.count + given.count <= Self.answerActionLimit else {
        return fail("hook_answer", "hooks answer with more than \(Self.answerActionLimit) actions before the call")
      }
      opening.actions += given
    }
  }

  /// Enters the first state.
  mutating func open() {
    let opening = opening
    self.opening = Opening()
    enter(
      opening.target ?? dialog.index(ofState: dialog.initialState) ?? 0,
      trigger: opening.target == nil ? "start" : "hook")
    guard !opening.actions.isEmpty, let actions = decode(opening.actions), !actions.steps.isEmpty else { return }
    // On top of the state's own actions, so they run first.
    frame.runs.append(Run(.answer(actions), then: .stay))
  }
}
