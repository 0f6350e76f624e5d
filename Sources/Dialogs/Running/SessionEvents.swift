import Base

/// What inputs mean: which events they raise.
extension DialogSession {
  mutating func accept(_ input: DialogInput) {
    if mustWait(input) { return hold(input) }
    switch input {
    case .callAnswered, .startAnswer, .hangup: break
    case .speechStarted, .speechPartial, .speech, .noMatch, .digit:
      // Whoever is being connected with somebody else does not talk to the dialog.
      if transferDeadline != nil || isConnected { return speakingSince = nil }
      callerDid(input)
    case .playbackFinished(let id): playbackEnded(id, heard: nil)
    case .playbackInterrupted(let id, let heard, let byCaller):
      guard let index = playing.firstIndex(where: { $0.id == id }) else { return }
      let isOwn = playing[index].level == level
      if byCaller {
        frame.wasInterrupted = true
        for i in frame.runs.indices { frame.runs[i].isCut = true }
      }
      playbackEnded(id, heard: heard, byCaller: byCaller)
      if byCaller { agentWasInterrupted() }
      if isOwn, !isLeaving { events.append(Event(.ttsInterrupted, .heard(heard), isOptional: true)) }
    case .playbackFailed(let id, let message):
      guard playing.contains(where: { $0.id == id }) else { return }
      playbackEnded(id, heard: nil)
      fail("playback", message)
    case .hookResult(let token, let answer): hookAnswered(token, answer)
    case .hookError(let token, let error, let status, let message):
      hookFailed(token, error: error, status: status, message: message)
    case .modelSentence(let token, let text): modelSaid(token, text)
    case .modelToolCall(let token, let call): modelCalled(token, call)
    case .modelFinished(let token, let reason, _): modelFinished(token, reason: reason)
    case .modelFailed(let token, let error, let message): modelFailed(token, error: error, message: message)
    case .transferResult(let status): transferred(status)
    case .callHeld:
      isHeld = true
      events.append(Event(.callHeld, isOptional: true))
    case .callResumed:
      isHeld = false
      callerWasActive()
      events.append(Event(.callResumed, isOptional: true))
    case .recordingComplete: events.append(Event(.recordingComplete, isOptional: true))
    case .answeredBy(let who): events.append(Event(.amdResult, .status(who), isOptional: true))
    case .custom(let name, let data):
      guard Event.Kind.named[name] == nil, name != "*" else {
        return fail("event", "`\(name)` is an event of the machine and cannot be sent")
      }
      callerWasActive()
      events.append(Event(custom: name, data))
    }
  }

  private mutating func callerDid(_ input: DialogInput) {
    switch input {
    case .speechStarted:
      speakingSince = speakingSince ?? now
      skipsNextSpeech = false
      callerWasActive()
      callerInterruptsModel()
      events.append(Event(.speechStarted, isOptional: true))
    case .speechPartial(let transcript):
      events.append(Event(.speechPartial, .transcript(transcript), isOptional: true))
    case .speech(let heard) where heard.transcript.isEmpty: turnEnded(nil)
    case .speech(let heard): turnEnded(heard)
    case .noMatch: turnEnded(nil)
    case .digit(let key): press(key)
    default: break
    }
  }

  /// What the caller does while a state is being left, or while a state that has no use for it is still busy, is for what
  /// comes next: a menu behind a welcome, the target of a transition. Answers to a dialog that waits for another one are
  /// for the time when it is back.
  func mustWait(_ input: DialogInput) -> Bool {
    switch input {
    case .custom, .speechPartial: return isLeaving
    case .hookResult(let token, _), .hookError(let token, _, _, _):
      guard let hook = hooks.first(where: { $0.token == token }) else { return false }
      return hook.level != level || isLeaving && hook.isAsync
    case .speech, .noMatch: return isLeaving || !frame.runs.isEmpty && !hearsSpeech
    case .digit:
      if let run = frame.runs.last {
        if case .digits = run.wait { return false }
        if frame.upcomingCollect(of: run) != nil { return false }
      }
      return isLeaving || !frame.runs.isEmpty && !hearsKeys
    default: return false
    }
  }

  var hearsSpeech: Bool { stateIndex.map { frame.dialog.plan.states[$0].hearsSpeech } ?? false }
  var hearsKeys: Bool { stateIndex.map { frame.dialog.plan.states[$0].hearsKeys } ?? false }

  private mutating func hold(_ input: DialogInput) {
    if case .speechPartial = input { return }
    if case .speech = input { speakingSince = nil }
    if case .noMatch = input { speakingSince = nil }
    guard held.count < Self.heldLimit else {
      return fail("overflow", "too much happened while a transition's actions ran")
    }
    held.append(input)
  }

  /// The first of the held inputs that can go on. What the caller did keeps its order; an answer for a dialog further down
  /// holds up nobody.
  var nextHeld: Int? {
    for (i, input) in held.enumerated() {
      if !mustWait(input) { return i }
      switch input {
      case .hookResult, .hookError: continue
      default: return nil
      }
    }
    return nil
  }

  private mutating func playbackEnded(_ id: PlaybackID, heard: String?, byCaller: Bool = false) {
    let wasFiller = playing.contains { $0.id == id && $0.isFiller }
    playing.removeAll { $0.id == id }
    if !hooks.isEmpty { quietAfter(filler: wasFiller, byCaller: byCaller) }
    for i in frame.runs.indices {
      if case .playback(id) = frame.runs[i].wait { frame.runs[i].wait = .none }
    }
    agentWasHeard(id, heard)
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
    if let heard { return events.append(Event(.speech, .speech(heard))) }
    // A cough while keys are being pressed is no answer to anything.
    guard hearsSpeech, keyed.isEmpty else { return }
    frame.noMatchCount += 1
    events.append(Event(.noMatch, .nothingUnderstood(count: frame.noMatchCount)))
  }

  mutating func noInput() {
    frame.noInputCount += 1
    events.append(Event(.noInput, .noInputCount(frame.noInputCount)))
  }

  /// Records what went wrong and raises `error`, at most three times per input so that a broken handler cannot spin.
  mutating func fail(_ code: String, _ message: String) {
    trace(.failure(state: currentState, code: code, message: message))
    guard phase == .running, errorsSinceInput < 3 else { return }
    errorsSinceInput += 1
    events.append(Event(.error, .problem(code: code, message: message), isOptional: true))
  }
}
