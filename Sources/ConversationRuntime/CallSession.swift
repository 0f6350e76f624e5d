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
  /// Whose dialog serves the call.
  let tenant: String
  let dialog: Dialog
  let context: SessionContext
  private let start: SessionStart
  let mailbox: Mailbox
  var speech: HopSender<RuntimeToSpeech>
  var machine: DialogSession
  var recorder: SessionRecorder
  var summary: SessionSummary
  var turn = TurnClock()
  var prompts = PromptLedger()

  enum Phase {
    case offered
    case active(answeredAt: Instant)
    /// The call is over; hooks that the dialog started at the end may still answer.
    case closing(answeredAt: Instant?, endedAt: Instant, HangupReason)
    case over
  }
  var phase = Phase.offered

  private let openedAt: Instant
  /// The session's time of the input that is being handled.
  private(set) var now = Instant.zero
  private var lastStep = Instant.zero
  private var lastSpeechSequence: UInt64 = 0
  /// What somebody else was asked and has not answered yet.
  var hooks: [HookToken: RunningHook] = [:]
  var models: [ModelToken: Task<Void, Never>] = [:]
  /// Services that have been told of the call and have not answered yet, by name; the call is answered after them.
  var starts: [String: Task<Void, Never>] = [:]
  /// What the dialog keeps of the call, once it is over.
  var outcome: DialogOutcome?
  /// When the session gives up waiting for the other side, or for the last hooks.
  var patienceEnds: Instant?
  private var timer: (deadline: Instant, cancel: @Sendable () -> Void)?
  private var written: SessionSummary?

  struct RunningHook {
    var request: DialogHook
    var task: Task<Void, Never>
  }

  init(
    call: CallInfo, tenant: String, dialog: Dialog, catalog: DialogCatalog, speech: any HopSink<RuntimeToSpeech>,
    mailbox: Mailbox, context: SessionContext
  ) {
    self.call = call
    self.tenant = tenant
    self.dialog = dialog
    self.context = context
    self.mailbox = mailbox
    self.speech = HopSender(speech)
    openedAt = context.clock.now()
    let startedAtMs = context.clock.unixMilliseconds()
    let identity = catalog.identity(of: dialog.name)
    let library = catalog.library(of: dialog.name)
    start = SessionStart(
      call: call.facts, dialogName: dialog.name, dialogVersion: dialog.version, dialogDigest: identity?.digest ?? "",
      subDialogs: library.compactMapValues { catalog.identity(of: $0.name)?.digest },
      limits: context.configuration.dialogLimits, startedAtMs: startedAtMs)
    machine = DialogSession(dialog: dialog, call: start.call, library: library, limits: start.limits)
    recorder = SessionRecorder(
      session: call.session, dialogName: dialog.name, tenant: tenant, startedAtMs: startedAtMs,
      log: context.store, redaction: RecordRedaction(context.configuration.redactor), random: .fromSystem())
    summary = call.summary(tenant: tenant, dialogName: dialog.name, startedAtMs: startedAtMs)
    summary.dialogVersion = dialog.version
    summary.dialogNumber = identity?.number ?? 0
    summary.dialogDigest = identity?.digest ?? ""
  }

  /// Answers the call and handles its mail until it is over.
  func run() async {
    let mailbox = mailbox
    let unregister = context.commands.register(call.session, tenant: tenant) { command in
      await withCheckedContinuation { continuation in
        let reply: @Sendable (CommandOutcome) -> Void = { continuation.resume(returning: $0) }
        if !mailbox.put(.command(command, reply)) { reply(.noSuchSession) }
      }
    }
    recorder.append(
      start.entry(masked: dialog.maskedVariables), adding: ["direction": .string(call.direction.rawValue)])
    askBeforeAnswer()
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
    refreshNow()
    // A timer that is due comes before the input that follows it, also where the real timer was late.
    runDueTimers()
    if case .over = phase { return decline(mail) }
    switch mail {
    case .speech(let numbered): receive(numbered)
    case .hook(let token, let outcome): receive(outcome, of: token)
    case .start(let service, let outcome): receive(outcome, beforeAnswerFrom: service)
    case .model(let token, let event): receive(event, of: token)
    case .input(let input): if case .active = phase { take(input) }
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
    case .speech, .hook, .start, .model, .input, .wake, .end: break
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
      take(.callAnswered)
    case .digit(let digit, let durationMs, let atMs):
      turn.abandon()
      take(.digit(digit), adding: ["duration_ms": .int(Int64(durationMs)), "call_ms": .int(Int64(atMs))])
    case .speechStarted(let atMs):
      turn.abandon()
      take(.speechStarted, adding: ["call_ms": .int(Int64(atMs))])
    case .speechPartial(let transcript, let atMs):
      take(.speechPartial(transcript: transcript), adding: ["call_ms": .int(Int64(atMs))])
    case .speechFinal(let result):
      turn.heard(result, at: context.clock.now())
      let heard = HeardSpeech(
        transcript: result.transcript, confidence: result.confidence, language: result.language)
      take(result.transcript.isEmpty ? .noMatch : .speech(heard), adding: result.eventFields)
    case .playbackStarted(let id, let atMs):
      record(.ttsStarted, prompts.startedFields(id).merging(["call_ms": .int(Int64(atMs))]) { old, _ in old })
      if let latency = turn.started(id, at: context.clock.now()) { report(latency) }
    case .playbackFinished(let id):
      let isCommand = prompts.isCommand(id)
      let fields = prompts.identity(id)
      prompts.remove(id)
      // What the API had played is nothing to the dialog.
      if isCommand { record(.ttsCompleted, fields) } else { take(.playbackFinished(id)) }
    case .playbackInterrupted(let id, let heard, let playedMs, let by):
      let isCommand = prompts.isCommand(id)
      let fields = prompts.interruptedFields(id, heard: heard, playedMs: playedMs, by: by)
      // What was heard of a secret is one; the dialog gets what the record has, so that a replay is the same.
      let shown = fields["heard_text"]?.stringValue ?? ""
      prompts.remove(id)
      if isCommand {
        record(.ttsInterrupted, fields)
      } else {
        take(.playbackInterrupted(id, heard: shown, byCaller: by != .command), adding: fields)
      }
    case .playbackFailed(let id, let message):
      turn.abandon()
      let isCommand = prompts.isCommand(id)
      let fields = prompts.identity(id)
      prompts.remove(id)
      if isCommand {
        record(.error, fields.merging(["code": "playback_failed", "message": .string(message)]) { old, _ in old })
      } else {
        take(.playbackFailed(id, message: message))
      }
    case .held: take(.callHeld)
    case .resumed: take(.callResumed)
    case .quality(let quality):
      record(.quality, quality.eventFields)
      summary.quality = quality.eventFields
    case .ended(let reason): end(reason)
    }
  }

  // MARK: The dialog machine

  /// Writes the input down and gives it to the machine.
  /// - Parameter measured: what the record says beside it.
  func take(_ input: DialogInput, adding measured: [String: Value] = [:]) {
    recorder.append(SessionJournal.entry(for: input, at: now, in: machine), adding: measured)
    perform(machine.receive(input, at: now, wallMs: wallMs))
  }

  var wallMs: Int64 { recorder.unixMilliseconds(at: now) }

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
      if let entry = SessionJournal.entry(for: action, at: now) { recorder.append(entry) }
      switch action {
      case .say(let prompt):
        prompts.add(prompt)
        if case .silence = prompt.source {} else { turn.asked(prompt.id, at: context.clock.now()) }
        send(.say(Prompt(prompt)))
      case .stop(let id): send(.stop(id))
      case .listen(let listen): send(.listen(ListenSpec(listen)))
      case .callHook(let hook): ask(hook)
      case .cancelHook(let token): hooks.removeValue(forKey: token)?.task.cancel()
      case .askModel(let request): ask(request)
      case .cancelModel(let token): models.removeValue(forKey: token)?.cancel()
      case .sendDigits(let digits, let durationMs): send(.sendDigits(digits, durationMs: durationMs))
      case .transfer:
        notCarriedOut("transfer")
        mailbox.put(.input(.transferResult(status: "unsupported")))
      case .hold: notCarriedOut("hold")
      case .unhold: notCarriedOut("unhold")
      case .record: notCarriedOut("record")
      case .outcome(let outcome):
        self.outcome = outcome
        summary.outcome = SessionJournal.entry(for: action, at: now)?.fields ?? [:]
      case .log(let level, let message): log(message, level: level)
      case .hangup(let reason, let afterPlayback):
        hangUp(HangupReason(rawValue: reason) ?? .normal, afterPlayback: afterPlayback)
      case .trace(.stateTransition(let from, let to, _)): context.metrics.stateTransition(dialog.name, from, to)
      case .trace, .emit: break
      }
    }
    summary.currentState = machine.currentState
    summary.variables = machine.visibleVariables
  }

  /// The dialog asked for something that the media role of this version cannot do.
  private func notCarriedOut(_ action: String) {
    record(.error, ["code": "unsupported", "message": .string("this gateway cannot carry out `\(action)` yet")])
  }

  private func send(_ message: RuntimeToSpeech) {
    // After its end a call can do nothing any more; the dialog is told so by `hangup`, this is the belt to its braces.
    guard case .active = phase else { return }
    speech.send(message)
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

  /// Moves the session's time on, in whole milliseconds: what the record can hold.
  func refreshNow() {
    let passed = (context.clock.now() - openedAt).nanoseconds
    now = max(now, Instant(nanoseconds: passed / 1_000_000 * 1_000_000))
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

  func writeSummary() {
    guard summary != written else { return }
    context.store.put(RecordRedaction(context.configuration.redactor).redact(summary))
    written = summary
    // A session with a secret in it has no snapshot: the store keeps none in the open. Its record is enough to go on from.
    // The same with personal data that is to be kept out of it.
    if case .active = phase, !machine.holdsSecrets, context.configuration.redactor.isIdle {
      context.store.putSnapshot(
        call.session, sequence: recorder.sequence, data: Array(JSON.encode(machine.snapshot()).utf8))
    }
  }
}
