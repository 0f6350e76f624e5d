import Base

/// Keys of the telephone: one `dtmf` event from several of them, and entries that `collect_digits` asked for.
extension DialogSession {
  mutating func press(_ key: Character) {
    guard DigitPattern.keys.contains(key) else { return }
    callerWasActive()
    if let run = frame.runs.last {
      if case .digits(let step) = run.wait { return collect(key, step) }
      if frame.upcomingCollect(of: run) != nil {
        if typedAhead.count < DigitPattern.lengthLimit { typedAhead.append(key) }
        return
      }
    }
    set(.digit, .string(String(key)))
    frame.masked.remove(DialogPlan.Slot.digit.rawValue)
    guard let stateIndex else { return }
    let listen = frame.dialog.states[stateIndex].listen
    if let terminator = listen.terminator, terminator == String(key), !keyed.isEmpty { return keysComplete() }
    keyed.append(key)
    if canContinue(keyed, in: stateIndex, maxDigits: listen.maxDigits) {
      interDigitDeadline = now + (listen.interDigitTimeout ?? Self.interDigitTimeout)
    } else {
      keysComplete()
    }
  }

  private func canContinue(_ keys: String, in stateIndex: Int, maxDigits: Int?) -> Bool {
    let state = frame.dialog.plan.states[stateIndex]
    if let maxDigits {
      return keys.count < maxDigits
        && (state.takesAnyKeys || state.isAgent || state.digitPatterns.contains { $0.canContinue(keys) })
    }
    if state.digitPatterns.contains(where: { $0.canContinue(keys) }) { return true }
    // What no transition asks for is for the model: a number rather than its digits one by one.
    return state.isAgent && !state.takesAnyKeys && keys.count < DigitPattern.lengthLimit
      && !state.digitPatterns.contains { $0.matches(keys) }
  }

  mutating func keysComplete() {
    let digits = keyed
    keyed = ""
    interDigitDeadline = nil
    frame.masked.remove(DialogPlan.Slot.digits.rawValue)
    events.append(Event(.dtmf, .digits(digits)))
  }

  mutating func beginCollecting(_ step: CollectStep) {
    guard let last = frame.runs.indices.last else { return }
    keyed = ""
    frame.runs[last].wait = .digits(step)
    if let timeout = step.timeout { silence.set(ns: timeout.nanoseconds) }
    let early = typedAhead
    typedAhead = ""
    for key in early {
      guard let last = frame.runs.last, case .digits(let current) = last.wait, current == step else { break }
      collect(key, step)
    }
  }

  mutating func collect(_ key: Character, _ step: CollectStep) {
    if step.terminator == String(key) { return collected(step) }
    keyed.append(key)
    if keyed.count >= step.max { return collected(step) }
    interDigitDeadline = now + step.interDigitTimeout
  }

  /// The entry is complete, or the caller stopped.
  mutating func collected(_ step: CollectStep) {
    let digits = keyed
    keyed = ""
    interDigitDeadline = nil
    let isSecret = isSecret(step)
    for slot in [DialogPlan.Slot.digits, .digit] {
      if isSecret { frame.masked.insert(slot.rawValue) } else { frame.masked.remove(slot.rawValue) }
    }
    if let call = frame.runs.last?.toolCall { return modelGets(digits, of: step, isSecret: isSecret, for: call) }
    guard digits.count >= step.min else {
      // The entry has to be made again: the run stays at it until a transition or a re-prompt decides.
      frame.noMatchCount += 1
      events.append(Event(.noMatch, .shortDigits(digits, count: frame.noMatchCount)))
      return
    }
    if let i = frame.runs.indices.last {
      frame.runs[i].wait = .none
      // The caller has answered: what follows may be said again.
      frame.runs[i].isCut = false
    }
    show(.digits(digits))
    set(.digit, .string(digits.last.map(String.init) ?? ""))
    if let into = step.into { assignKeys(digits, into, isMasked: step.isMasked) }
    events.append(Event(.dtmf, .digits(digits), isOptional: true))
  }

  mutating func assignKeys(_ digits: String, _ name: String, isMasked: Bool) {
    if isMasked { mask(name) }
    assign(name, .string(digits))
  }
}
