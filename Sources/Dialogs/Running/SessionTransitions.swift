import Base

/// Which transition takes an event, and what happens where none does.
extension DialogSession {
  /// Looks for the transition that takes the event; what happens otherwise is the event's default.
  mutating func dispatch(_ event: Event) {
    show(event.facts)
    if let way = way(for: event) {
      switch event.kind {
      case .speech, .dtmf:
        frame.noMatchCount = 0
        frame.noInputCount = 0
      case .speechPartial: skipsNextSpeech = true
      default: break
      }
      return take(way: way, trigger: event.name)
    }
    guard !event.isFatal else { return giveUp() }
    guard !event.isOptional, let stateIndex else { return }
    let state = frame.dialog.plan.states[stateIndex]
    if frame.agent != nil, agentTakes(event) { return }
    switch event.kind {
    case .callAnswered: break
    case .speech where state.hearsSpeech, .dtmf where state.takesKeys:
      frame.noMatchCount += 1
      events.append(Event(.noMatch, .noMatchCount(frame.noMatchCount), isByKeys: event.kind == .dtmf))
    case .noMatch: sayAgain(event.name, attempt: frame.noMatchCount, isByKeys: event.isByKeys)
    case .noInput: sayAgain(event.name, attempt: frame.noInputCount, isByKeys: false)
    case .timeout:
      if let target = state.timeoutTarget { take(target: target, place: .none, trigger: "timeout") } else { noInput() }
    case .agentExit: takeExit()
    case .transferResult: transferWasNotTaken()
    default: trace(.eventIgnored(state: currentState, event: event.name))
    }
  }

  /// The first transition that fits, the state's own before the dialog's. Leaves `last_event` as it was where none does.
  mutating func way(for event: Event) -> Int? {
    guard let stateIndex else { return nil }
    let plan = frame.dialog.plan
    let candidates = plan.ways(for: event, in: stateIndex)
    guard !candidates.isEmpty else { return nil }
    let before = frame.values[DialogPlan.Slot.lastEvent.rawValue]
    set(.lastEvent, .string(event.name))
    for candidate in candidates where fits(Int(candidate), in: plan) { return Int(candidate) }
    set(.lastEvent, before)
    return nil
  }

  private mutating func fits(_ way: Int, in plan: DialogPlan) -> Bool {
    if let digits = plan.ways[way].digits {
      guard case .string(let keys) = frame.values[DialogPlan.Slot.digits.rawValue] else { return false }
      guard decided(isMasked(.digits), { _ in digits.matches(keys) }) else { return false }
    }
    if let below = plan.ways[way].confidenceBelow {
      guard let confidence = frame.values[DialogPlan.Slot.confidence.rawValue].doubleValue, confidence < below else {
        return false
      }
    }
    guard let condition = plan.ways[way].condition else { return true }
    let isSecret = readsSecret(condition.names)
    var problem: String?
    let holds = decided(isSecret) { session in
      var evaluation = Evaluation(values: session.frame.values, plan: plan, wallMs: session.wallMs)
      do throws(EvaluationError) {
        return try evaluation.isTrue(condition)
      } catch {
        problem = error.message
        return false
      }
    }
    if holds { return true }
    if isSecret {
      // A replay has to know why not.
      guard decided(true, { _ in problem != nil }) else { return false }
      problem = "a condition with a masked variable failed"
    }
    if let problem { fail("expression", "`\(condition.source.prefix(80))`: \(problem)") }
    return false
  }

  private mutating func take(way: Int, trigger: String) {
    let plan = frame.dialog.plan
    if waysTaken != nil { waysTaken?.append(WayTaken(dialog: frame.dialog.name, way: way)) }
    if let target = plan.ways[way].target { return take(target: target, place: .way(way), trigger: trigger) }
    guard countStep() else { return }
    trace(.stayed(state: currentState, trigger: trigger))
    guard !plan.ways[way].actions.isEmpty else { return }
    if frame.runs.count >= Self.runLimit {
      // A caller who hits keys cuts prompt after prompt; lists that had nothing behind theirs are over.
      let seen = frame
      frame.runs.removeAll { $0.then == .stay && !$0.isWaiting && seen.step(of: $0) == nil }
    }
    // Bounded by the depth guard in practice; the bound here keeps the stack of interrupted work small.
    guard frame.runs.count < Self.runLimit else {
      return fail("depth", "too many transitions interrupt each other")
    }
    frame.runs.append(Run(.way(way), then: .stay))
  }

  mutating func take(target: Int, place: Run.Place, trigger: String) {
    guard countStep() else { return }
    leave()
    frame.runs.append(Run(place, then: .enter(target, trigger: trigger)))
  }

  /// Counts a step of the machine that no caller asked for. false: it goes round in circles, and was stopped.
  mutating func countStep() -> Bool {
    depth += 1
    let limit = frame.dialog.settings.maxDepth ?? limits.maxDepth
    guard depth > limit else { return true }
    if hasReportedLoop {
      giveUp()
    } else {
      hasReportedLoop = true
      // A handler of `error` gets ten steps to say goodbye.
      depth = max(0, limit - 10)
      let message = "\(limit) steps without input of the caller: the dialog goes round in circles"
      trace(.failure(state: currentState, code: "max_depth", message: message))
      events.append(Event(.error, .problem(code: "max_depth", message: message), isFatal: true))
    }
    return false
  }

  /// Silences the state and forgets what it was waiting for.
  mutating func leave() {
    agentEnds()
    let level = level
    stopPlaying { $0.level >= level && !$0.isFiller }
    cancelHooks { $0.level >= level }
    // Those that go on do so in silence: their filler belonged to the state.
    for i in hooks.indices where hooks[i].level >= level {
      hooks[i].filler = nil
      hooks[i].fillerDue = nil
    }
    frame.runs.removeAll(keepingCapacity: true)
    events.removeAll { !$0.isFatal }
    keyed = ""
    typedAhead = ""
    interDigitDeadline = nil
    transferDeadline = nil
    silence.set(ns: nil)
    stateTimer.set(ns: nil)
  }

  mutating func stopPlaying(where matches: (Playing) -> Bool) {
    guard !playing.isEmpty else { return }
    for prompt in playing where matches(prompt) { out.append(.stop(prompt.id)) }
    playing.removeAll(where: matches)
  }

  /// Those that are waited for; asynchronous ones go on.
  mutating func cancelHooks(where matches: (PendingHook) -> Bool) {
    guard !hooks.isEmpty else { return }
    for hook in hooks where !hook.isAsync && matches(hook) { out.append(.cancelHook(hook.token)) }
    hooks.removeAll { !$0.isAsync && matches($0) }
  }

  /// The default for silence and for speech that fits nothing: say it again, and end the call when that does not help.
  private mutating func sayAgain(_ event: String, attempt: Int, isByKeys: Bool) {
    guard let stateIndex else { return }
    // A key that cuts the prompt may come before the word of the cut: that prompt counts as over.
    if isByKeys {
      for prompt in playing where prompt.allowsBargeIn {
        for i in frame.runs.indices {
          if case .playback(prompt.id) = frame.runs[i].wait { frame.runs[i].wait = .none }
        }
      }
    }
    // While a prompt or a hook is still under way the caller has the question before them: nothing to repeat.
    let isBusy = frame.runs.contains {
      switch $0.wait {
      case .playback, .hook, .transfer, .dialog: true
      case .none, .digits: false
      }
    }
    guard !isBusy else { return trace(.eventIgnored(state: currentState, event: event)) }
    let retries = frame.dialog.settings.noInputRetries
    guard attempt <= retries else {
      trace(
        .failure(state: currentState, code: event, message: "no use of the caller's answer after \(retries) retries"))
      return hangUp(reason: "normal")
    }
    trace(.reprompt(state: currentState, event: event, attempt: attempt))
    let level = level
    stopPlaying { $0.level >= level && !$0.isFiller }
    keyed = ""
    frame.wasInterrupted = false
    frame.runs = [Run(.enter(stateIndex), then: .rest, effectsFrom: frame.enterProgress)]
  }
}
