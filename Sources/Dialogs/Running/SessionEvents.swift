import Base

/// What inputs mean: which events they raise, which transition takes them, what happens where none does.
extension DialogSession {
  mutating func accept(_ input: DialogInput) {
    if mustWait(input) { return hold(input) }
    switch input {
    case .callAnswered, .hangup: break
    case .speechStarted:
      speakingSince = speakingSince ?? now
      skipsNextSpeech = false
      callerWasActive()
      events.append(Event("speech_started", isOptional: true))
    case .speechPartial(let transcript):
      events.append(Event("speech_partial", [("transcript", .string(transcript))], isOptional: true))
    case .speech(let heard) where heard.transcript.isEmpty: turnEnded(nil)
    case .speech(let heard): turnEnded(heard)
    case .noMatch: turnEnded(nil)
    case .digit(let key): press(key)
    case .playbackFinished(let id): playbackEnded(id)
    case .playbackInterrupted(let id, let heard, let byCaller):
      guard playing.contains(where: { $0.id == id }) else { return }
      if byCaller {
        wasInterrupted = true
        for i in runs.indices { runs[i].isCut = true }
      }
      playbackEnded(id)
      if !isLeaving { events.append(Event("tts_interrupted", [("heard", .string(heard))], isOptional: true)) }
    case .playbackFailed(let id, let message):
      guard playing.contains(where: { $0.id == id }) else { return }
      playbackEnded(id)
      fail("playback", message)
    case .hookResult(let token, let answer): hookAnswered(token, answer)
    case .hookError(let token, let error, let status, let message):
      hookFailed(token, error: error, status: status, message: message)
    case .modelSentence, .modelToolCall, .modelFinished, .modelFailed, .transferResult, .callHeld, .callResumed,
      .recordingComplete, .answeredBy:
      break
    case .custom(let name, let data):
      guard !Vocabulary.events.contains(name), name != "*" else {
        return fail("event", "`\(name)` is an event of the machine and cannot be sent")
      }
      callerWasActive()
      events.append(Event(name, [("data", data)]))
    }
  }

  /// What the caller does while a state is being left, or while a state that has no use for it is still busy, is for what
  /// comes next: a menu behind a welcome, the target of a transition.
  func mustWait(_ input: DialogInput) -> Bool {
    switch input {
    case .custom, .speechPartial: return isLeaving
    case .hookResult(let token, _), .hookError(let token, _, _, _):
      return isLeaving && hooks.contains { $0.token == token && $0.isAsync }
    case .speech, .noMatch: return isLeaving || !runs.isEmpty && !hearsSpeech
    case .digit:
      if let run = runs.last {
        if case .digits = run.wait { return false }
        if run.upcomingCollect != nil { return false }
      }
      return isLeaving || !runs.isEmpty && !hearsKeys
    default: return false
    }
  }

  var hearsKeys: Bool {
    guard let state else { return false }
    return (state.transitions + dialog.transitions).contains { $0.event == "dtmf" || $0.event == "*" }
  }

  private mutating func hold(_ input: DialogInput) {
    if case .speechPartial = input { return }
    if case .speech = input { speakingSince = nil }
    if case .noMatch = input { speakingSince = nil }
    guard held.count < Self.heldLimit else {
      return fail("overflow", "too much happened while a transition's actions ran")
    }
    held.append(input)
  }

  private mutating func playbackEnded(_ id: PlaybackID) {
    playing.removeAll { $0.id == id }
    for i in runs.indices where runs[i].wait == .playback(id) { runs[i].wait = .none }
  }

  /// The caller did something: patience starts anew.
  mutating func callerWasActive() {
    depth = 0
    hasReportedLoop = false
    silence.restart()
    stateTimer.restart()
  }

  private mutating func turnEnded(_ heard: HeardSpeech?) {
    speakingSince = nil
    callerWasActive()
    if skipsNextSpeech {
      // A transition already took the words while they were being said.
      skipsNextSpeech = false
      return
    }
    guard let heard else {
      return noMatch([("transcript", ""), ("confidence", 0), ("slots", .map([:]))])
    }
    var sets: [(String, Value)] = [
      ("transcript", .string(heard.transcript)), ("confidence", .double(heard.confidence)),
      ("slots", .map(heard.slots)),
    ]
    if !heard.language.isEmpty { sets.append(("language", .string(heard.language))) }
    events.append(Event("speech", sets))
  }

  private mutating func noMatch(_ sets: [(String, Value)]) {
    // A cough while keys are being pressed is no answer to anything.
    guard hearsSpeech, keyed.isEmpty else { return }
    noMatchCount += 1
    events.append(Event("no_match", sets + [("no_match_count", .int(Int64(noMatchCount)))]))
  }

  var hearsSpeech: Bool { state.map { dialog.hearsSpeech(in: $0) } ?? false }

  // MARK: Keys

  private mutating func press(_ key: Character) {
    guard DigitPattern.keys.contains(key) else { return }
    callerWasActive()
    if let run = runs.last {
      if case .digits(let step) = run.wait { return collect(key, step) }
      if run.upcomingCollect != nil {
        if typedAhead.count < DigitPattern.lengthLimit { typedAhead.append(key) }
        return
      }
    }
    values["digit"] = .string(String(key))
    masked.remove("digit")
    guard let state else { return }
    if let terminator = state.listen.terminator, terminator == String(key), !keyed.isEmpty { return keysComplete() }
    keyed.append(key)
    if canContinue(keyed, in: state) {
      interDigitDeadline = now + (state.listen.interDigitTimeout ?? Self.interDigitTimeout)
    } else {
      keysComplete()
    }
  }

  private func canContinue(_ keys: String, in state: DialogState) -> Bool {
    let transitions = (state.transitions + dialog.transitions).filter { $0.event == "dtmf" }
    let patterns = transitions.compactMap(\.digits)
    if let max = state.listen.maxDigits {
      return keys.count < max && (patterns.count < transitions.count || patterns.contains { $0.canContinue(keys) })
    }
    return patterns.contains { $0.canContinue(keys) }
  }

  mutating func keysComplete() {
    let digits = keyed
    keyed = ""
    interDigitDeadline = nil
    masked.remove("digits")
    events.append(Event("dtmf", [("digits", .string(digits))]))
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
    if isSecret(step) { masked.formUnion(["digits", "digit"]) } else { masked.subtract(["digits", "digit"]) }
    guard digits.count >= step.min else {
      // The entry has to be made again: the run stays at it until a transition or a re-prompt decides.
      noMatchCount += 1
      events.append(
        Event("no_match", [("digits", .string(digits)), ("no_match_count", .int(Int64(noMatchCount)))]))
      return
    }
    if let i = runs.indices.last {
      runs[i].wait = .none
      // The caller has answered: what follows may be said again.
      runs[i].isCut = false
    }
    values["digits"] = .string(digits)
    values["digit"] = .string(digits.last.map(String.init) ?? "")
    if let into = step.into {
      if step.isMasked { masked.insert(into) }
      assign(into, .string(digits))
    }
    events.append(Event("dtmf", [("digits", .string(digits))], isOptional: true))
  }

  // MARK: Transitions

  /// Looks for the transition that takes the event; what happens otherwise is the event's default.
  mutating func dispatch(_ event: Event) {
    for (name, value) in event.sets { values[name] = value }
    if let transition = transition(for: event.name) {
      values["last_event"] = .string(event.name)
      if event.name == "speech" || event.name == "dtmf" {
        noMatchCount = 0
        noInputCount = 0
      }
      if event.name == "speech_partial" { skipsNextSpeech = true }
      take(transition, trigger: event.name)
      return
    }
    guard !event.isFatal else { return hangUp(reason: "error") }
    guard !event.isOptional else { return }
    switch event.name {
    case "call_answered": break
    case "speech":
      if hearsSpeech {
        noMatchCount += 1
        events.append(Event("no_match", [("no_match_count", .int(Int64(noMatchCount)))]))
      } else {
        trace(.eventIgnored(state: currentState, event: event.name))
      }
    case "dtmf":
      if let state, (state.transitions + dialog.transitions).contains(where: { $0.event == "dtmf" }) {
        noMatchCount += 1
        events.append(Event("no_match", [("no_match_count", .int(Int64(noMatchCount)))], isByKeys: true))
      } else {
        trace(.eventIgnored(state: currentState, event: event.name))
      }
    case "no_match": sayAgain(event.name, attempt: noMatchCount, isByKeys: event.isByKeys)
    case "no_input": sayAgain(event.name, attempt: noInputCount, isByKeys: false)
    case "timeout":
      if let next = state?.timeoutNext, let target = dialog.index(ofState: next) {
        take(target: target, actions: [], trigger: "timeout")
      } else {
        noInput()
      }
    default: trace(.eventIgnored(state: currentState, event: event.name))
    }
  }

  mutating func noInput() {
    noInputCount += 1
    events.append(Event("no_input", [("no_input_count", .int(Int64(noInputCount)))]))
  }

  func transition(for event: String, in transitions: [Transition], _ evaluation: inout SessionEvaluation) -> Transition?
  {
    for transition in transitions {
      guard transition.event == event || transition.event == "*" && !Vocabulary.progressEvents.contains(event) else {
        continue
      }
      if let digits = transition.digits {
        guard let keys = values["digits"]?.stringValue, digits.matches(keys) else { continue }
      }
      if let below = transition.confidenceBelow {
        guard let confidence = values["confidence"]?.doubleValue, confidence < below else { continue }
      }
      if let condition = transition.condition, !evaluation.isTrue(condition) { continue }
      return transition
    }
    return nil
  }

  mutating func transition(for event: String) -> Transition? {
    var evaluation = SessionEvaluation(values: values, wallMs: wallMs)
    evaluation.values["last_event"] = .string(event)
    let own = state.flatMap { transition(for: event, in: $0.transitions, &evaluation) }
    let found = own ?? transition(for: event, in: dialog.transitions, &evaluation)
    for (condition, problem) in evaluation.problems {
      let message = condition.names.isDisjoint(with: masked) ? problem : "a condition with a masked variable failed"
      fail("expression", "`\(condition.source.prefix(80))`: \(message)")
    }
    return found
  }

  private mutating func take(_ transition: Transition, trigger: String) {
    if let name = transition.target, let target = dialog.index(ofState: name) {
      take(target: target, actions: transition.actions, trigger: trigger)
    } else {
      guard countStep() else { return }
      trace(.stayed(state: currentState, trigger: trigger))
      // Bounded by the depth guard in practice; the bound here keeps the stack of interrupted work small.
      guard runs.count < 8 else { return fail("depth", "too many transitions interrupt each other") }
      if !transition.actions.isEmpty { runs.append(Run(actions: transition.actions, then: .stay)) }
    }
  }

  mutating func take(target: Int, actions: [ActionStep], trigger: String) {
    guard countStep() else { return }
    leave()
    runs = [Run(actions: actions, then: .enter(target, trigger: trigger))]
  }

  /// Counts a step of the machine that no caller asked for. false: it goes round in circles, and was stopped.
  mutating func countStep() -> Bool {
    depth += 1
    let limit = dialog.settings.maxDepth ?? limits.maxDepth
    guard depth > limit else { return true }
    if hasReportedLoop {
      hangUp(reason: "error")
    } else {
      hasReportedLoop = true
      // A handler of `error` gets ten steps to say goodbye.
      depth = max(0, limit - 10)
      let message = "\(limit) steps without input of the caller: the dialog goes round in circles"
      trace(.failure(state: currentState, code: "max_depth", message: message))
      events.append(
        Event("error", [("error", "max_depth"), ("error_message", .string(message))], isFatal: true))
    }
    return false
  }

  /// Silences the state and forgets what it was waiting for.
  mutating func leave() {
    for prompt in playing where !prompt.isFiller { out.append(.stop(prompt.id)) }
    playing.removeAll { !$0.isFiller }
    for hook in hooks where !hook.isAsync { out.append(.cancelHook(hook.token)) }
    hooks.removeAll { !$0.isAsync }
    runs = []
    events = events.filter { $0.isFatal }
    keyed = ""
    typedAhead = ""
    interDigitDeadline = nil
    silence.set(nil)
    stateTimer.set(nil)
  }

  /// The default for silence and for speech that fits nothing: say it again, and end the call when that does not help.
  private mutating func sayAgain(_ event: String, attempt: Int, isByKeys: Bool) {
    guard let state else { return }
    // A key that cuts the prompt may come before the word of the cut: that prompt counts as over.
    if isByKeys {
      for prompt in playing where prompt.allowsBargeIn {
        for i in runs.indices where runs[i].wait == .playback(prompt.id) { runs[i].wait = .none }
      }
    }
    // While a prompt or a hook is still under way the caller has the question before them: nothing to repeat.
    if runs.contains(where: {
      if case .playback = $0.wait { true } else if case .hook = $0.wait { true } else { false }
    }) {
      return trace(.eventIgnored(state: currentState, event: event))
    }
    let retries = dialog.settings.noInputRetries
    guard attempt <= retries else {
      trace(
        .failure(state: currentState, code: event, message: "no use of the caller's answer after \(retries) retries"))
      return hangUp(reason: "normal")
    }
    trace(.reprompt(state: state.name, event: event, attempt: attempt))
    for prompt in playing where !prompt.isFiller { out.append(.stop(prompt.id)) }
    playing.removeAll { !$0.isFiller }
    keyed = ""
    wasInterrupted = false
    runs = [Run(actions: state.onEnter, then: .rest, effectsFrom: enterProgress)]
  }

  // MARK: Failures

  /// Records what went wrong and raises `error`, at most three times per input so that a broken handler cannot spin.
  mutating func fail(_ code: String, _ message: String) {
    trace(.failure(state: currentState, code: code, message: message))
    guard phase == .running, errorsSinceInput < 3 else { return }
    errorsSinceInput += 1
    events.append(Event("error", [("error", .string(code)), ("error_message", .string(message))], isOptional: true))
  }

  mutating func hangUp(reason: String) {
    guard phase == .running else { return }
    phase = .hangingUp
    runs = []
    events = []
    held = []
    for hook in hooks where !hook.isAsync { out.append(.cancelHook(hook.token)) }
    hooks = []
    trace(.actionExecuted(state: currentState, action: "hangup", detail: .map(["reason": .string(reason)])))
    out.append(.hangup(reason: reason, afterPlayback: true))
  }

  /// The call is over: last actions, without a voice.
  mutating func end(by who: String, reason: String) {
    if phase != .waiting {
      for hook in hooks where !hook.isAsync { out.append(.cancelHook(hook.token)) }
      hooks = []
      runs = []
      events = []
      values["who"] = .string(who)
      values["reason"] = .string(reason)
      let handler = transition(for: "hangup")
      values["last_event"] = "hangup"
      phase = .hangingUp
      for step in handler?.actions ?? [] {
        switch step.action {
        case .setVariables, .emit, .log, .callHook: perform(step)
        default: break
        }
      }
      hooks = []
    }
    phase = .ended
    trace(.ended(state: currentState, reason: reason))
  }
}

/// Evaluates against a session's values; problems are collected and count as false.
struct SessionEvaluation {
  var values: [String: Value]
  let wallMs: Int64
  var problems: [(condition: Expression, message: String)] = []

  init(values: [String: Value], wallMs: Int64) {
    self.values = values
    self.wallMs = wallMs
  }

  mutating func isTrue(_ condition: Expression) -> Bool {
    var evaluation = Evaluation(variables: values, wallMs: wallMs)
    do {
      return try evaluation.isTrue(condition)
    } catch {
      problems.append((condition, error.message))
      return false
    }
  }
}
