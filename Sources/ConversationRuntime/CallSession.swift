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
  /// What the call was routed to; `dialog` may stand for one that cannot be had.
  let dialogName: String
  let context: SessionContext
  let start: SessionStart
  /// The dialogs that it may run.
  let library: [String: Dialog]
  let mailbox: Mailbox
  var speech: HopSender<RuntimeToSpeech>
  var machine: DialogSession
  var recorder: SessionRecorder
  var summary: SessionSummary
  var turn = TurnClock()
  var prompts = PromptLedger()
  /// Where the session's state goes, if it is to outlive this process.
  let custody: SessionCustody?

  enum Phase: Sendable {
    case offered
    case active(answeredAt: Instant)
    /// The call is over; hooks that the dialog started at the end may still answer.
    case closing(answeredAt: Instant?, endedAt: Instant, HangupReason)
    case over
  }
  var phase = Phase.offered

  let openedAt: Instant
  /// The session's time of the input that is being handled.
  private(set) var now = Instant.zero
  private var lastStep = Instant.zero
  private(set) var lastSpeechSequence: UInt64 = 0
  /// What somebody else was asked and has not answered yet.
  var hooks: [HookToken: RunningHook] = [:]
  var models: [ModelToken: RunningModel] = [:]
  /// Services that have been told of the call and have not answered yet, by name; the call is answered after them.
  var starts: [String: RunningStart] = [:]
  /// Outcomes of transfers that are in the mail.
  var owed: [String] = []
  /// What is to be done after the end.
  var rest = SessionState.Rest()
  /// The dialog cannot be had any more: there is no machine to feed.
  var isLost = false
  /// Whether the mail that is being handled has changed anything that a successor has to know.
  var isTouched = false
  private var keptAt = Instant.zero
  /// What the dialog keeps of the call, once it is over.
  var outcome: DialogOutcome?
  /// When the session gives up waiting for the other side, or for the last hooks.
  var patienceEnds: Instant?
  /// How long partial transcripts may go without a state of their own.
  private static let partialInterval: Duration = .milliseconds(500)
  private var timer: (deadline: Instant, cancel: @Sendable () -> Void)?
  private var written: SessionSummary?

  // What is asked has no task before it is asked: a successor knows of it earlier.
  struct RunningHook {
    var request: DialogHook
    var askedAtMs: Int64
    var task: Task<Void, Never>?
  }
  struct RunningModel {
    var request: ModelRequest
    var said: [String] = []
    var hasCalled = false
    var task: Task<Void, Never>?
  }
  struct RunningStart {
    var service: CallMomentService
    var task: Task<Void, Never>?
  }

  /// - Parameters:
  ///   - kept: what a predecessor left; nil: the call is new.
  ///   - machine: as the predecessor left it; nil: there is nothing to run any more.
  ///   - custodian: keeps the session's state; nil: it dies with this process.
  init(
    call: CallInfo, tenant: String, pinned: PinnedDialog, speech: any HopSink<RuntimeToSpeech>, mailbox: Mailbox,
    context: SessionContext, custodian: (any CallCustodian)? = nil, kept: SessionState? = nil,
    machine: DialogSession? = nil
  ) {
    self.call = call
    self.tenant = tenant
    self.dialog = pinned.dialog
    self.library = pinned.library
    self.context = context
    self.mailbox = mailbox
    self.speech = HopSender(speech, after: kept?.sent ?? 0)
    let startedAtMs = kept?.startedAtMs ?? context.clock.unixMilliseconds()
    start = SessionStart(
      call: call.facts, dialogName: kept?.dialogName ?? pinned.dialog.name,
      dialogVersion: kept?.dialogVersion ?? pinned.dialog.version, dialogDigest: pinned.digest,
      subDialogs: pinned.digests.filter { !$0.value.isEmpty },
      limits: kept?.limits ?? context.configuration.dialogLimits, startedAtMs: startedAtMs)
    dialogName = start.dialogName
    self.machine =
      machine
      ?? DialogSession(dialog: pinned.dialog, call: start.call, library: pinned.library, limits: start.limits)
    let custody = custodian.map { SessionCustody($0, store: context.store, mailbox: mailbox) }
    let store = context.store
    self.custody = custody
    recorder = SessionRecorder(
      session: call.session, dialogName: start.dialogName, tenant: tenant, startedAtMs: startedAtMs,
      after: kept?.sequence ?? 0, redaction: RecordRedaction(context.configuration.redactor), random: .fromSystem(),
      trace: context.tracer.open(
        call.session, headers: call.headers, dialogName: start.dialogName, startedAtMs: startedAtMs)
    ) { event in
      if let custody { custody.append(event) } else { store.append(event) }
    }
    summary = kept?.summary ?? call.summary(tenant: tenant, dialogName: start.dialogName, startedAtMs: startedAtMs)
    summary.dialogVersion = start.dialogVersion
    summary.dialogNumber = pinned.number
    summary.dialogDigest = pinned.digest
    openedAt = context.clock.now() - Self.passed(since: kept, context.clock)
    if let kept { takeUp(kept) }
  }

  /// Answers the call, or goes on with it, and handles its mail until it is over.
  /// - Parameter kept: what the session began with.
  func run(_ kept: SessionState? = nil, lost: CallStateError? = nil) async {
    let mailbox = mailbox
    let unregister = isOver ? {} : register()
    if let kept { goOn(kept, lost: lost) } else { begin() }
    settleStep()
    if isOver { mailbox.close() }
    for await mail in mailbox.mail {
      if mailbox.isAbandoned {
        decline(mail)
        continue
      }
      handle(mail)
      if mailbox.hasOverflowed { fail("mailbox_overflow", "more than \(Mailbox.limit) inputs were waiting") }
      settleStep()
    }
    timer?.cancel()
    unregister()
    // The one who has the call now asks them again.
    if mailbox.isAbandoned { cancelQuestions() }
  }

  var isOver: Bool { if case .over = phase { true } else { false } }

  private func register() -> @Sendable () -> Void {
    let mailbox = mailbox
    return context.commands.register(call.session, tenant: tenant) { command in
      await withCheckedContinuation { continuation in
        let reply: @Sendable (CommandOutcome) -> Void = { continuation.resume(returning: $0) }
        if !mailbox.put(.command(command, reply)) {
          reply(mailbox.isAbandoned ? SessionCustody.moved : .noSuchSession)
        }
      }
    }
  }

  private func begin() {
    isTouched = true
    recorder.append(
      start.entry(masked: dialog.maskedVariables), adding: ["direction": .string(call.direction.rawValue)])
    askBeforeAnswer()
  }

  private func goOn(_ kept: SessionState, lost: CallStateError?) {
    isTouched = true
    custody?.appendAgain(kept.events)
    if isOver { return }
    refreshNow()
    if let lost { lose(lost) }
    runDueTimers()
    if !isOver { askAgain() }
  }

  /// After each mail.
  private func settleStep() {
    setTimer()
    writeSummary()
    if isTouched { keepState() }
  }

  /// The time of a predecessor goes on here.
  func takeUp(now: Instant, handled: UInt64) {
    self.now = now
    lastStep = now
    lastSpeechSequence = handled
  }

  func keptNow() {
    isTouched = false
    keptAt = now
  }

  // MARK: Mail

  private func handle(_ mail: SessionMail) {
    if case .over = phase { return decline(mail) }
    refreshNow()
    // A timer that is due comes before the input that follows it, also where the real timer was late.
    runDueTimers()
    if case .over = phase { return decline(mail) }
    switch mail {
    case .wake, .fence: break
    case .speech(let numbered):
      if case .speechPartial = numbered.message { break }
      isTouched = true
    case .hook, .start, .model, .input, .command, .end: isTouched = true
    }
    switch mail {
    case .speech(let numbered): receive(numbered)
    case .hook(let token, let outcome): receive(outcome, of: token)
    case .start(let service, let outcome): receive(outcome, beforeAnswerFrom: service)
    case .model(let token, let event): receive(event, of: token)
    case .input(let input):
      if case .transferResult = input, !owed.isEmpty { owed.removeFirst() }
      if case .active = phase { take(input) }
    case .command(let command, let reply):
      let outcome = perform(command)
      if let custody { custody.reply(outcome, to: reply) } else { reply(outcome) }
    case .end(let reason): endFromHere(reason)
    case .wake: timer = nil
    case .fence(let passed): passed()
    }
  }

  /// Mail that comes too late still gets its answer.
  private func decline(_ mail: SessionMail) {
    switch mail {
    case .command(_, let reply): reply(mailbox.isAbandoned ? SessionCustody.moved : .noSuchSession)
    case .fence(let passed): passed()
    case .speech, .hook, .start, .model, .input, .wake, .end: break
    }
  }

  private func receive(_ numbered: Numbered<SpeechToRuntime>) {
    // Every message comes once and in order: the hop sees to it.
    guard numbered.sequence > lastSpeechSequence else { return }
    lastSpeechSequence = numbered.sequence
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
      // Most of a call's messages are these, and the next says the same and more: should this process die, it comes again.
      let (sent, written) = (speech.sequence, recorder.sequence)
      take(.speechPartial(transcript: transcript), adding: ["call_ms": .int(Int64(atMs))])
      if speech.sequence != sent || recorder.sequence != written + 1 || now - keptAt >= Self.partialInterval {
        isTouched = true
      }
    case .speechFinal(let result):
      turn.heard(result, at: context.clock.now())
      let heard = HeardSpeech(
        transcript: result.transcript, confidence: result.confidence, language: result.language)
      take(result.transcript.isEmpty ? .noMatch : .speech(heard), adding: result.eventFields)
    case .playbackStarted(let id, let atMs):
      record(.ttsStarted, prompts.startedFields(id).merging(["call_ms": .int(Int64(atMs))]) { old, _ in old })
      if let latency = turn.started(id, atMs: atMs, at: context.clock.now()) { report(latency) }
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
    if isLost { return }
    recorder.append(SessionJournal.entry(for: input, at: now, in: machine), adding: measured)
    perform(machine.receive(input, at: now, wallMs: wallMs))
  }

  var wallMs: Int64 { recorder.unixMilliseconds(at: now) }

  /// Timers fire at exactly their own instant, so that the record needs no line for them: see ``SessionRecorder``.
  func runDueTimers() {
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
      isTouched = true
      perform(machine.timeout(at: now, wallMs: wallMs))
    }
    if let patienceEnds, patienceEnds <= arrived {
      now = arrived
      isTouched = true
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
      case .callHook(let hook): ask(hook, askedAtMs: wallMs)
      case .cancelHook(let token): hooks.removeValue(forKey: token)?.task?.cancel()
      case .askModel(let request): ask(request)
      case .cancelModel(let token): models.removeValue(forKey: token)?.task?.cancel()
      case .sendDigits(let digits, let durationMs): send(.sendDigits(digits, durationMs: durationMs))
      case .transfer:
        notCarriedOut("transfer")
        owed.append("unsupported")
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
      case .trace(.stateTransition(let from, let to, _)): context.metrics.stateTransition(dialogName, from, to)
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
    if isOver { return }
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
      context.metrics.turnLatency(stage, Double(milliseconds) / 1_000, recorder.trace?.recordedID)
    }
  }

  func writeSummary() {
    guard summary != written else { return }
    let shown = RecordRedaction(context.configuration.redactor).redact(summary)
    if let custody { custody.put(shown) } else { context.store.put(shown) }
    written = summary
  }
}
