import Base
import CallLink
import Dialogs
import Logging
import Storage
import Telemetry

/// The life of one call in the runtime, from the offer to the last line of its record.
///
/// Confined to the task that runs ``run()``: inputs come through the mailbox, timers and hooks come back as mail. The dialog
/// machine is given the session's own time (whole milliseconds since the offer), which the record holds with every input.
final class CallSession {
  let call: CallInfo
  let dialog: Dialog
  let context: SessionContext
  private let mailbox: Mailbox
  private var speech: HopSender<RuntimeToSpeech>
  private var machine: DialogSession
  var recorder: SessionRecorder
  var summary: SessionSummary
  private var turn = TurnClock()
  private var prompts = PromptLedger()

  private enum Phase {
    case offered
    case active(answeredAt: Instant)
    /// The call is over; hooks that the dialog started at the end may still answer.
    case closing(answeredAt: Instant?, endedAt: Instant, HangupReason)
    case over
  }
  private var phase = Phase.offered

  private let openedAt: Instant
  /// The session's time of the input that is being handled.
  private(set) var now = Instant.zero
  private var lastStep = Instant.zero
  private var lastSpeechSequence: UInt64 = 0
  private var hooks: [HookToken: RunningHook] = [:]
  /// When the session gives up waiting for the other side, or for the last hooks.
  private var patienceEnds: Instant?
  private var timer: (deadline: Instant, cancel: @Sendable () -> Void)?
  private var written: SessionSummary?

  private struct RunningHook {
    var request: DialogHook
    var task: Task<Void, Never>
  }

  init(
    call: CallInfo, dialog: Dialog, speech: any HopSink<RuntimeToSpeech>, mailbox: Mailbox, context: SessionContext
  ) {
    self.call = call
    self.dialog = dialog
    self.context = context
    self.mailbox = mailbox
    self.speech = HopSender(speech)
    openedAt = context.clock.now()
    let startedAtMs = context.clock.unixMilliseconds()
    let configuration = context.configuration
    machine = DialogSession(
      dialog: dialog, call: call.facts,
      limits: DialogLimits(
        timeout: configuration.defaultTimeout, maxDepth: configuration.maxDialogDepth, bargeIn: configuration.bargeIn))
    recorder = SessionRecorder(
      session: call.session, dialogName: dialog.name, tenant: configuration.tenant, startedAtMs: startedAtMs,
      log: context.log, random: .fromSystem())
    summary = call.summary(dialogName: dialog.name, startedAtMs: startedAtMs)
  }

  /// Answers the call and handles its mail until it is over.
  func run() async {
    let mailbox = mailbox
    let unregister = context.commands.register(call.session) { command in
      await withCheckedContinuation { continuation in
        let reply: @Sendable (CommandOutcome) -> Void = { continuation.resume(returning: $0) }
        if !mailbox.put(.command(command, reply)) { reply(.noSuchSession) }
      }
    }
    var fields = call.startedFields(dialogName: dialog.name)
    fields["dialog_version"] = .string(dialog.version)
    recorder.append(.callStarted, fields, at: now)
    speech.send(.answer)
    writeSummary()
    for await mail in mailbox.mail {
      handle(mail)
      if mailbox.hasOverflowed { fail("mailbox_overflow", "more than \(Mailbox.limit) inputs were waiting") }
      setTimer()
      writeSummary()
    }
    timer?.cancel()
    unregister()
  }

  // MARK: Mail

  private func handle(_ mail: SessionMail) {
    if case .over = phase { return decline(mail) }
    now = max(now, wholeMilliseconds(context.clock.now() - openedAt))
    // A timer that is due comes before the input that follows it, also where the real timer was late.
    runDueTimers()
    if case .over = phase { return decline(mail) }
    switch mail {
    case .speech(let numbered): receive(numbered)
    case .hook(let token, let outcome): receive(outcome, of: token)
    case .command(let command, let reply): reply(perform(command))
    case .end(let reason): endFromHere(reason)
    case .wake: timer = nil
    case .fence(let passed): passed()
    }
  }

  /// Mail that comes too late still gets its answer.
  private func decline(_ mail: SessionMail) {
    switch mail {
    case .command(_, let reply): reply(.noSuchSession)
    case .fence(let passed): passed()
    case .speech, .hook, .wake, .end: break
    }
  }

  private func receive(_ numbered: Numbered<SpeechToRuntime>) {
    // A repetition after a re-opened hop is harmless; a gap means that something the caller did is lost.
    guard numbered.sequence > lastSpeechSequence else { return }
    let isNext = numbered.sequence == lastSpeechSequence + 1
    lastSpeechSequence = numbered.sequence
    if !isNext { fail("hop_gap", "a message of the speech role is missing before \(numbered.sequence)") }
    switch phase {
    case .offered, .active: receive(numbered.message)
    case .closing, .over: break
    }
  }

  private func receive(_ message: SpeechToRuntime) {
    switch message {
    case .answered:
      guard case .offered = phase else { return }
      phase = .active(answeredAt: now)
      summary.state = .active
      summary.answeredAtMs = recorder.unixMilliseconds(at: now)
      record(.callAnswered)
      feed(.callAnswered)
    case .digit(let digit, let durationMs, let atMs):
      turn.abandon()
      let isMasked = machine.isCollectingSecret
      record(
        .dtmfReceived,
        [
          "digit": .string(isMasked ? "" : String(digit)), "masked": .bool(isMasked),
          "duration_ms": .int(Int64(durationMs)),
          "call_ms": .int(Int64(atMs)),
        ])
      feed(.digit(digit))
    case .speechStarted(let atMs):
      turn.abandon()
      record(.speechStarted, ["call_ms": .int(Int64(atMs))])
      feed(.speechStarted)
    case .speechPartial(let transcript, let atMs):
      record(.speechPartial, ["transcript": .string(transcript), "call_ms": .int(Int64(atMs))])
      feed(.speechPartial(transcript: transcript))
    case .speechFinal(let result):
      turn.heard(result, at: context.clock.now())
      record(.speechFinal, result.eventFields)
      feed(
        result.transcript.isEmpty
          ? .noMatch
          : .speech(
            HeardSpeech(
              transcript: result.transcript, confidence: result.confidence, language: result.language)))
    case .playbackStarted(let id, let atMs):
      record(.ttsStarted, prompts.startedFields(id).merging(["call_ms": .int(Int64(atMs))]) { old, _ in old })
      if let latency = turn.started(id, at: context.clock.now()) { report(latency) }
    case .playbackFinished(let id):
      record(.ttsCompleted, prompts.identity(id))
      if let id = prompts.finish(id) { feed(.playbackFinished(id)) }
    case .playbackInterrupted(let id, let heard, let playedMs, let by):
      record(.ttsInterrupted, prompts.interruptedFields(id, heard: heard, playedMs: playedMs, by: by))
      if let id = prompts.finish(id) { feed(.playbackInterrupted(id, heard: heard, byCaller: by != .command)) }
    case .playbackFailed(let id, let message):
      turn.abandon()
      record(
        .error,
        prompts.identity(id).merging(["code": "playback_failed", "message": .string(message)]) { old, _ in old })
      if let id = prompts.finish(id) { feed(.playbackFailed(id, message: message)) }
    case .held: record(.callHeld)
    case .resumed: record(.callResumed)
    case .quality(let quality):
      record(.quality, quality.eventFields)
      summary.quality = quality.eventFields
    case .ended(let reason): end(reason)
    }
  }

  // MARK: The dialog machine

  private func feed(_ input: DialogInput) { perform(machine.receive(input, at: now, wallMs: wallMs)) }

  private var wallMs: Int64 { recorder.unixMilliseconds(at: now) }

  /// Timers fire at exactly their own instant, so that the record needs no line for them: see ``SessionRecorder``.
  private func runDueTimers() {
    let arrived = now
    var at = lastStep
    defer {
      now = arrived
      lastStep = arrived
    }
    var rounds = 0
    while let deadline = machine.deadline, deadline <= arrived {
      rounds += 1
      // A machine that always wants to be woken in the past would hold this thread for ever.
      guard rounds <= 1_000 else { return fail("timer_loop", "the dialog's timers do not advance") }
      at = max(at, deadline)
      now = at
      perform(machine.timeout(at: now, wallMs: wallMs))
    }
    if let patienceEnds, patienceEnds <= arrived {
      now = arrived
      self.patienceEnds = nil
      losePatience()
    }
  }

  private func perform(_ actions: [DialogAction]) {
    for action in actions {
      switch action {
      case .say(let prompt):
        prompts.add(prompt)
        if case .silence = prompt.source {} else { turn.asked(prompt.id, at: context.clock.now()) }
        send(.say(Prompt(prompt)))
      case .stop(let id): send(.stop(id))
      case .listen(let listen): send(.listen(ListenSpec(listen)))
      case .callHook(let hook): start(hook)
      case .cancelHook(let token): hooks.removeValue(forKey: token)?.task.cancel()
      case .askModel, .cancelModel, .transfer, .hold, .unhold, .sendDigits, .record, .outcome: break
      case .emit(let name, let data): record(.customEvent, ["name": .string(name), "data": data])
      case .log(let level, let message): log(message, level: level)
      case .hangup(let reason, let afterPlayback):
        hangUp(HangupReason(rawValue: reason) ?? .normal, afterPlayback: afterPlayback)
      case .trace(let trace): write(trace)
      }
    }
    summary.currentState = machine.currentState
    summary.variables = machine.visibleVariables
  }

  private func send(_ message: RuntimeToSpeech) {
    // After its end a call can do nothing any more; the dialog is told so by `hangup`, this is the belt to its braces.
    guard case .active = phase else { return }
    speech.send(message)
  }

  // MARK: Hooks

  private func start(_ hook: DialogHook) {
    var body = hook.body
    if case .map(var members) = body {
      members["timestamp"] = .string(WallClock.text(unixMilliseconds: wallMs))
      body = .map(members)
    }
    let request = HookRequest(
      session: call.session, service: hook.service, url: hook.url, path: hook.path, timeout: hook.timeout, body: body)
    let integration = context.integration
    let mailbox = mailbox
    let task = Task<Void, Never> {
      let outcome = await integration.perform(request)
      mailbox.put(.hook(hook.token, outcome))
    }
    hooks[hook.token] = RunningHook(request: hook, task: task)
  }

  private func receive(_ outcome: HookOutcome, of token: HookToken) {
    // A hook that was cancelled meanwhile has no one to answer to.
    guard let hook = hooks.removeValue(forKey: token)?.request else { return }
    var fields: [String: Value] = [
      "hook": .string(token.description), "service": .string(hook.service), "path": .string(hook.path),
    ]
    switch outcome {
    case .result(let answer, let status, let durationMs, let attempts):
      fields["status"] = .int(Int64(status))
      fields["duration_ms"] = .int(Int64(durationMs))
      fields["attempts"] = .int(Int64(attempts))
      fields["result"] = answer.hiding(dialog.maskedVariables)
      record(.hookResult, fields)
      feed(.hookResult(token, answer))
    case .failure(let error, let status, let message, let durationMs, let attempts):
      fields["status"] = .int(Int64(status))
      fields["duration_ms"] = .int(Int64(durationMs))
      fields["attempts"] = .int(Int64(attempts))
      fields["error"] = .string(error)
      fields["message"] = .string(message)
      record(.hookError, fields)
      feed(.hookError(token, error: error, status: status, message: message))
    }
    closeIfDone()
  }

  // MARK: The end

  /// Asks the speech role to end the call; its `ended` is what ends the session.
  private func hangUp(_ reason: HangupReason, afterPlayback: Bool) {
    guard case .active = phase else { return }
    speech.send(.hangup(reason, afterPlayback: afterPlayback))
    let limits = context.configuration
    patienceEnds = now + (afterPlayback ? limits.hangupAfterPlaybackLimit : limits.hangupLimit)
  }

  /// Something on our side ends the call.
  private func endFromHere(_ reason: HangupReason) {
    switch phase {
    case .offered:
      speech.send(.reject(reason == .error ? .error : .unavailable))
      end(reason)
    case .active: hangUp(reason, afterPlayback: false)
    case .closing: finish()
    case .over: break
    }
  }

  private func fail(_ code: String, _ message: String) {
    if case .over = phase { return }
    context.logger.error(
      "session failed", metadata: ["session_id": "\(call.session)", "code": "\(code)", "reason": "\(message)"])
    record(.error, ["code": .string(code), "message": .string(message)])
    switch phase {
    case .offered:
      speech.send(.reject(.error))
      end(.error)
    case .active:
      speech.send(.hangup(.error, afterPlayback: false))
      end(.error)
    case .closing: finish()
    case .over: break
    }
  }

  private func losePatience() {
    switch phase {
    case .active:
      record(.error, ["code": "hangup_not_confirmed", "message": "the end of the call was not reported in time"])
      end(.error)
    case .closing: finish()
    case .offered, .over: break
    }
  }

  /// The call is over: the dialog runs its last actions, and what they ask of the backend is waited for.
  private func end(_ reason: HangupReason) {
    let answeredAt: Instant?
    switch phase {
    case .offered: answeredAt = nil
    case .active(let at): answeredAt = at
    case .closing, .over: return
    }
    phase = .closing(answeredAt: answeredAt, endedAt: now, reason)
    turn.abandon()
    for hook in hooks.values { hook.task.cancel() }
    hooks.removeAll()
    if answeredAt != nil { feed(.hangup(by: reason.party, reason: reason.rawValue)) }
    patienceEnds = now + context.configuration.lastHooksLimit
    closeIfDone()
  }

  private func closeIfDone() {
    if case .closing = phase, hooks.isEmpty { finish() }
  }

  private func finish() {
    guard case .closing(let answeredAt, let endedAt, let reason) = phase else { return }
    phase = .over
    let duration = answeredAt.map { endedAt - $0 } ?? .zero
    let disposition = CallDisposition(reason: reason, wasAnswered: answeredAt != nil)
    record(
      .callTerminated,
      [
        "reason": .string(reason.rawValue), "duration_ms": .int(duration.milliseconds),
        "disposition": .string(disposition.rawValue),
      ])
    summary.state = .ended
    summary.endedAtMs = recorder.unixMilliseconds(at: endedAt)
    summary.endReason = reason.rawValue
    context.metrics.callEnded(dialog.name, disposition.rawValue)
    if answeredAt != nil {
      context.metrics.callDuration(dialog.name, Double(duration.milliseconds) / 1_000)
    }
    for hook in hooks.values { hook.task.cancel() }
    hooks.removeAll()
    patienceEnds = nil
    mailbox.close()
  }

  // MARK: Commands

  private func perform(_ command: CallCommand) -> CommandOutcome {
    switch command {
    case .hangup(let reason):
      guard DialogSession.hangupReasons.contains(reason) else {
        return .refused("reason must be one of \(DialogSession.hangupReasons.joined(separator: ", "))")
      }
      let duration: Duration
      switch phase {
      case .offered: duration = .zero
      case .active(let answeredAt): duration = now - answeredAt
      case .closing, .over: return .noSuchSession
      }
      record(.actionExecuted, ["action": "hangup", "by": "api", "detail": ["reason": .string(reason)]])
      if case .offered = phase {
        speech.send(.reject(reason == "busy" ? .busy : .rejected))
        end(.api)
      } else {
        hangUp(reason == "normal" ? .api : HangupReason(rawValue: reason) ?? .api, afterPlayback: false)
      }
      return .done(fields: ["call_duration_seconds": .double(Double(duration.milliseconds) / 1_000)])
    case .say(let text, let voice, let speed, let bargeIn):
      guard case .active = phase else { return .refused("the call is not answered") }
      let prompt = prompts.addCommand(text: text, voice: voice, speed: speed, bargeIn: bargeIn)
      record(
        .actionExecuted,
        ["action": "play_tts", "by": "api", "detail": ["text": .string(text), "playback_id": .string("\(prompt.id)")]])
      speech.send(.say(prompt))
      return .done(fields: [
        "playback_id": .string("\(prompt.id)"), "estimated_duration_ms": .int(estimatedDurationMs(text, speed: speed)),
      ])
    }
  }

  // MARK: Timers

  /// One timer, moved only where the next deadline is earlier than what is set; a late one finds out and sets itself again.
  private func setTimer() {
    if case .over = phase { return }
    guard let next = [machine.deadline, patienceEnds].compactMap({ $0 }).min() else { return }
    // Up to the session's next whole millisecond, so that a timer that fires finds its deadline due.
    let deadline = openedAt + .milliseconds((next.nanoseconds + 999_999) / 1_000_000)
    if let timer {
      if timer.deadline <= deadline { return }
      timer.cancel()
    }
    let mailbox = mailbox
    timer = (deadline, context.clock.schedule(at: deadline) { mailbox.put(.wake) })
  }

  private func wholeMilliseconds(_ duration: Duration) -> Instant {
    Instant(nanoseconds: duration.nanoseconds / 1_000_000 * 1_000_000)
  }

  // MARK: The record

  func record(_ type: SessionEventType, _ fields: [String: Value] = [:]) { recorder.append(type, fields, at: now) }

  private func report(_ latency: TurnClock.Latency) {
    record(.turnLatency, latency.fields)
    summary.latency = latency.fields
    for (stage, milliseconds) in latency.stages {
      context.metrics.turnLatency(stage, Double(milliseconds) / 1_000)
    }
  }

  private func writeSummary() {
    guard summary != written else { return }
    context.directory.put(summary)
    written = summary
  }
}
