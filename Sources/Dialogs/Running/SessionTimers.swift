import Base

/// Patience: how long the caller may be silent, and what else the session waits for.
extension DialogSession {
  /// Sets both timers of the state anew.
  mutating func setTimers() {
    guard let state else { return }
    let listening = listenOverride?.timeout ?? state.listen.timeout
    // A state's own `timeout` also stands for its silence, unless it says how long it listens.
    silence.set(listening ?? (state.timeout == nil ? dialog.settings.timeout ?? limits.timeout : nil))
    stateTimer.set(state.timeout)
  }

  /// Time only runs while it is the caller's turn: all prompts have ended, nobody speaks, no hook is waited for.
  mutating func updateTimers() {
    let isTurn = phase == .running && isCallersTurn
    silence.run(isTurn, at: now)
    stateTimer.run(isTurn, at: now)
  }

  private var isCallersTurn: Bool {
    guard speakingSince == nil, interDigitDeadline == nil, !isLeaving, playing.allSatisfy(\.isLoop) else {
      return false
    }
    return runs.allSatisfy { if case .digits = $0.wait { true } else { false } }
  }

  /// Lets everything happen whose time has come.
  mutating func expire() {
    if let since = speakingSince, since + Self.speechLimit <= now { speakingSince = nil }
    for hook in hooks where hook.deadline <= now {
      hookFailed(hook.token, error: "timeout", status: 0, message: "the hook was given up: no outcome came")
      if !hook.isAsync { out.append(.cancelHook(hook.token)) }
    }
    for i in hooks.indices {
      guard i < hooks.count, let due = hooks[i].fillerDue, due <= now else { continue }
      hooks[i].fillerDue = nil
      if let filler = hooks[i].filler { playFiller(filler) }
    }
    if let due = interDigitDeadline, due <= now {
      interDigitDeadline = nil
      if let run = runs.last, case .digits(let step) = run.wait { collected(step) } else { keysComplete() }
    }
    if let due = silence.deadline, due <= now {
      silence.restart()
      noInput()
    } else if let due = stateTimer.deadline, due <= now {
      stateTimer.restart()
      events.append(Event("timeout"))
    }
  }
}
