import Base

/// Patience: how long the caller may be silent, and what else the session waits for.
extension DialogSession {
  /// Sets both timers of the state anew.
  mutating func setTimers() {
    guard let stateIndex else { return }
    let state = frame.dialog.plan.states[stateIndex]
    let listening = frame.listenOverride?.timeout?.nanoseconds ?? state.listenNs
    // A state's own `timeout` also stands for its silence, unless it says how long it listens.
    let usual = frame.dialog.plan.timeoutNs ?? timeoutNs
    // Who says where to go without saying when means the usual time.
    let own = state.timeoutNs ?? (state.timeoutTarget == nil ? nil : usual)
    silence.set(ns: listening ?? (own == nil ? usual : nil))
    stateTimer.set(ns: own)
  }

  /// Time only runs while it is the caller's turn: all prompts have ended, nobody speaks, no hook is waited for.
  mutating func updateTimers() {
    let isTurn = phase == .running && isCallersTurn
    silence.run(isTurn, at: now)
    stateTimer.run(isTurn, at: now)
  }

  var isCallersTurn: Bool {
    guard speakingSince == nil, interDigitDeadline == nil, !isHeld, !isConnected, frame.agent?.isBusy != true,
      !isLeaving, !hasAskedForPatience, playing.allSatisfy(\.isLoop)
    else { return false }
    return frame.runs.allSatisfy { if case .digits = $0.wait { true } else { false } }
  }

  /// Lets everything happen whose time has come.
  mutating func expire() {
    if let since = speakingSince, since + Self.speechLimit <= now { speakingSince = nil }
    for hook in hooks {
      guard let due = hook.deadline, due <= now else { continue }
      if !hook.isAsync { out.append(.cancelHook(hook.token)) }
      // The dialog that asked may be waiting for another one to come back.
      if let i = hooks.firstIndex(where: { $0.token == hook.token }) {
        hooks[i].deadline = nil
        hooks[i].fillerDue = nil
      }
      accept(
        .hookError(
          hook.token, error: "timeout", status: 0, message: "the hook was given up: no outcome came"))
    }
    sayFillers()
    if let due = interDigitDeadline, due <= now {
      interDigitDeadline = nil
      if let run = frame.runs.last, case .digits(let step) = run.wait { collected(step) } else { keysComplete() }
    }
    if let due = transferDeadline, due <= now { transferred("failed") }
    expireAgents()
    if let due = silence.deadline, due <= now {
      silence.restart()
      noInput()
    } else if let due = stateTimer.deadline, due <= now {
      stateTimer.restart()
      events.append(Event(.timeout))
    }
  }
}
