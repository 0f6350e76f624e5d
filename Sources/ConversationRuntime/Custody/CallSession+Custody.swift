import Base
import CallLink
import Dialogs
import Logging
import Storage

/// How a session goes from one process to another.
extension CallSession {
  /// A predecessor is dead for at most this long: its last state is at most five seconds old (measurements come that often),
  /// and a hop waits ten seconds for it. A longer time is a wall clock that is wrong.
  static let handoverLimit: Duration = .seconds(20)

  /// How much of the session's time has passed before this process began with it.
  ///
  /// The wall clock bridges the time in which nobody had the session. Where the two processes' clocks differ too much to be
  /// true, that time does not count: a caller who has a little too long to answer is better off than one who is cut short.
  static func passed(since kept: SessionState?, _ clock: any RuntimeClock) -> Duration {
    guard let kept else { return .zero }
    let gap = Duration.milliseconds(max(-1, min(Int64(1) << 40, clock.unixMilliseconds() - kept.wallMs)))
    return (kept.now - .zero) + ((.zero...handoverLimit).contains(gap) ? gap : .zero)
  }

  /// Takes over what a predecessor knew.
  func takeUp(_ kept: SessionState) {
    takeUp(now: kept.now, handled: kept.handled)
    phase = kept.phase
    isLost = kept.isLost
    outcome = kept.outcome
    prompts = kept.prompts
    turn = TurnClock(kept.turn.shifted(.zero - (openedAt - .zero)))
    if kept.machine != .null, kept.showsVariables { summary.variables = machine.visibleVariables }
    for hook in kept.hooks {
      hooks[hook.request.token] = RunningHook(request: hook.request, askedAtMs: hook.askedAtMs)
    }
    for model in kept.models {
      models[model.request.token] = RunningModel(
        request: model.request, said: model.said, hasCalled: model.hasCalled)
    }
    for service in kept.starts { starts[service.name] = RunningStart(service: service) }
    patienceEnds = kept.patienceEnds
    owed = kept.owed
    rest = kept.rest
  }

  /// Asks what a predecessor had asked and got no answer to.
  func askAgain() {
    for (_, hook) in hooks.sorted(by: { $0.key.value < $1.key.value }) where hook.task == nil {
      ask(hook.request, askedAtMs: hook.askedAtMs)
    }
    for (token, model) in models.sorted(by: { $0.key.value < $1.key.value }) where model.task == nil {
      if model.hasCalled {
        // Tools that were asked for must not be asked for again; the model is asked on when they have answered.
        mailbox.put(.model(token, .finished(reason: "tool_calls", tokens: 0)))
      } else {
        ask(model.request, said: model.said)
      }
    }
    for (_, start) in starts.sorted(by: { $0.key < $1.key }) where start.task == nil { askBeforeAnswer(start.service) }
    for status in owed { mailbox.put(.input(.transferResult(status: status))) }
  }

  /// The dialog of a live call cannot be had here: the caller is told so, and the call ends.
  func lose(_ reason: CallStateError) {
    context.logger.error(
      "a session cannot be gone on with",
      metadata: ["session_id": "\(call.session)", "reason": "\(reason.description)"])
    cancelQuestions()
    turn.abandon()
    isLost = true
    record(.error, ["code": "session_lost", "message": .string(reason.description)])
    switch phase {
    case .offered:
      speech.send(.reject(.error))
      end(.error)
    case .active:
      speech.send(.stop(nil))
      speech.send(.say(prompts.addCommand(.text(DialogSession.apology), bargeIn: false)))
      hangUp(.error, afterPlayback: true)
    case .closing: finish()
    case .over: break
    }
  }

  // MARK: Keeping

  /// Says what state the session is in, so that what it has done may be seen.
  func keepState() {
    guard let custody, !mailbox.isAbandoned else { return }
    custody.keep(handled: lastSpeechSequence) { events in
      let bytes = state(events).bytes
      if bytes.count <= CallState.byteLimit { return bytes }
      context.logger.error(
        "a session's state is too large to be kept",
        metadata: ["session_id": "\(call.session)", "bytes": "\(bytes.count)"])
      return SessionState.unkept(call.session)
    }
    keptNow()
  }

  private func state(_ events: [SessionEvent]) -> SessionState {
    let isDone = isOver && rest.isDone
    let since = context.clock.now() - openedAt - (now - .zero)
    return SessionState(
      session: call.session, tenant: tenant, dialogName: start.dialogName, dialogVersion: start.dialogVersion,
      dialogNumber: summary.dialogNumber, dialogDigest: start.dialogDigest,
      library: library.reduce(into: [:]) { $0[$1.key] = start.subDialogs[$1.key] ?? "" }, limits: start.limits,
      startedAtMs: start.startedAtMs, now: now,
      wallMs: context.clock.unixMilliseconds() - since.milliseconds, handled: lastSpeechSequence,
      sent: speech.sequence, sequence: recorder.sequence, events: events, phase: phase,
      machine: isLost || isDone ? .null : machine.snapshot(), isLost: isLost, summary: summary,
      showsVariables: !summary.variables.isEmpty, outcome: outcome,
      prompts: prompts, turn: turn.state.shifted(openedAt - .zero),
      hooks: hooks.values.sorted { $0.request.token.value < $1.request.token.value }
        .map { SessionState.Hook(request: $0.request, askedAtMs: $0.askedAtMs) },
      models: models.values.sorted { $0.request.token.value < $1.request.token.value }
        .map { SessionState.Model(request: $0.request, said: $0.said, hasCalled: $0.hasCalled) },
      starts: starts.values.map(\.service).sorted { $0.name < $1.name }, patienceEnds: patienceEnds, owed: owed,
      rest: rest)
  }

  /// Everything about the call has been done.
  func close() async {
    guard let custody else { return }
    await custody.settle(context.clock)
    if !mailbox.isAbandoned { custody.custodian.finished() }
  }
}
