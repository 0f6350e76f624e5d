// Runs the dialog of every call: takes what the caller said, asks the dialog machine, performs its actions, keeps the record.

import Base
import CallLink
import Dialogs
import Logging
import NIOConcurrencyHelpers
import Storage
import Telemetry

/// The runtime role: one for the process, a session for every call that the speech role opens.
///
/// Each session is one task with one mailbox, so everything about a call happens in one order. Safe to use from any thread.
public final class ConversationService: KeptRuntimeHop {
  let context: SessionContext
  private let catalogBox: NIOLockedValueBox<TenantCatalogs>
  private let numbers: any NumberRouting
  let versions: any DialogVersions
  private let registry = NIOLockedValueBox(Registry())

  private struct Registry {
    var live: [SessionID: Live] = [:]
    var nextLife: UInt64 = 0
    var callsByDialog: [String: Int] = [:]
    /// Calls that are over, but which a language model still looks at, or services are told of.
    var reviews = 0
    var isDraining = false

    var isIdle: Bool { live.isEmpty && reviews == 0 }

    mutating func takeWaiters() -> [@Sendable () -> Void] {
      guard isIdle else { return [] }
      defer { idleWaiters = [] }
      return idleWaiters
    }
    var idleWaiters: [@Sendable () -> Void] = []
  }
  private struct Live {
    var mailbox: Mailbox
    /// Tells the session from one of the same name that came back from another process.
    var life: UInt64
  }

  /// - Parameters:
  ///   - catalogs: the dialogs that calls are routed to; see ``replaceCatalogs(_:)``.
  ///   - numbers: whose a called number is, before the dialogs are asked.
  ///   - integration: asks the customer's backend.
  ///   - store: every input, decision and transition goes there, and what the API knows of each session.
  ///   - commands: where sessions can be reached while they live.
  ///   - models: leads the conversation in agent states.
  ///   - versions: where the dialogs of sessions are found that come from other processes.
  public init(
    configuration: RuntimeConfiguration = RuntimeConfiguration(), catalogs: TenantCatalogs,
    numbers: any NumberRouting = NoNumbers(), integration: any IntegrationHop, store: any SessionStore,
    commands: any CommandBus,
    models: any ModelService = NoModelService(), knowledge: Knowledge? = nil,
    versions: (any DialogVersions)? = nil,
    clock: any RuntimeClock = SystemRuntimeClock(),
    metrics: RuntimeMetrics = RuntimeMetrics(), tracer: Tracer = .disabled,
    logger: Logger = Logger(label: "parley.runtime")
  ) {
    context = SessionContext(
      configuration: configuration, integration: integration, store: store, commands: commands,
      models: models, knowledge: knowledge, clock: clock, metrics: metrics, tracer: tracer,
      logger: logger)
    self.numbers = numbers
    self.versions = versions ?? NoDialogVersions()
    catalogBox = NIOLockedValueBox(catalogs)
  }

  // MARK: Dialogs

  /// The dialogs that new calls are routed to.
  public var catalogs: TenantCatalogs { catalogBox.withLockedValue { $0 } }

  /// Routes new calls by `catalogs` from now on. Live calls keep the version of their dialog that they began with.
  public func replaceCatalogs(_ catalogs: TenantCatalogs) {
    catalogBox.withLockedValue { $0 = catalogs }
  }

  // MARK: Calls

  /// Calls that are open now.
  public var activeCalls: Int { registry.withLockedValue { $0.live.count } }

  /// Opens the session of one call: it is rejected or answered through `speech`. Returns at once.
  public func open(_ call: CallInfo, speech: any HopSink<RuntimeToSpeech>) -> any HopSink<SpeechToRuntime> {
    begin(call, speech, nil)
  }

  public func open(
    _ call: CallInfo, speech: any HopSink<RuntimeToSpeech>, state: CallState
  ) throws(CallStateError) -> any KeptSide<SpeechToRuntime> {
    guard let kept = state.kept else { return begin(call, speech, state.custodian) }
    do {
      return try goOn(call, speech, state.custodian, try SessionState(kept, of: call))
    } catch {
      context.metrics.sessionResumed("failed")
      context.logger.error(
        "a session cannot be gone on with",
        metadata: ["session_id": "\(call.session)", "reason": "\(error.description)"])
      throw error
    }
  }

  public func giveUp(_ call: CallInfo, reason: String) { Task { [context] in await context.endLost(call, reason) } }

  private func begin(
    _ call: CallInfo, _ speech: any HopSink<RuntimeToSpeech>, _ custodian: (any CallCustodian)?
  ) -> SessionSide {
    let mailbox = Mailbox()
    let route = catalogs.route(call, numbers: numbers)
    switch admit(call, to: route.dialog, mailbox: mailbox) {
    case .success(let admission):
      let pinned = PinnedDialog(admission.dialog, in: route.catalog)
      Task { [self] in
        let session = CallSession(
          call: call, tenant: route.tenant, pinned: pinned, speech: speech, mailbox: mailbox, context: context,
          custodian: custodian)
        await session.run()
        await finish(session, admission.place)
      }
    case .failure(let refusal):
      context.refuse(
        call, refusal.reason, tenant: route.tenant, dialogName: route.dialog?.name ?? "", speech: speech)
      mailbox.close()
      // The refusal leaves with a state, like everything else.
      custodian?.keep(SessionState.unkept(call.session), handled: CallPlace())
      custodian?.afterKept { custodian?.finished() }
    }
    return SessionSide(mailbox)
  }

  private func goOn(
    _ call: CallInfo, _ speech: any HopSink<RuntimeToSpeech>, _ custodian: any CallCustodian, _ kept: SessionState
  ) throws(CallStateError) -> SessionSide {
    let catalog = catalogs[kept.tenant]
    let mailbox = Mailbox()
    if kept.machine == .null {
      // The call is over, or its dialog was lost already.
      start(call, PinnedDialog(missing: kept), nil, speech, custodian, kept, mailbox, lost: nil)
    } else if let pinned = PinnedDialog(kept, in: catalog) {
      let machine = try kept.machine(pinned, call)
      start(call, pinned, machine, speech, custodian, kept, mailbox, lost: nil)
    } else {
      // Until its dialog has been read, what comes for the session waits in the mail.
      let place = takeIn(call, kept, mailbox)
      Task { [self] in
        var found: (pinned: PinnedDialog, machine: DialogSession)?
        var lost: CallStateError?
        do throws(CallStateError) {
          let pinned = try await PinnedDialog.find(kept, in: catalog, versions, context.clock)
          found = (pinned, try kept.machine(pinned, call))
        } catch {
          lost = error
        }
        await serve(
          call, found?.pinned ?? PinnedDialog(missing: kept), found?.machine, speech, custodian, kept, mailbox, place,
          lost: lost)
      }
    }
    return SessionSide(mailbox)
  }

  private func start(
    _ call: CallInfo, _ pinned: PinnedDialog, _ machine: DialogSession?, _ speech: any HopSink<RuntimeToSpeech>,
    _ custodian: any CallCustodian, _ kept: SessionState, _ mailbox: Mailbox, lost: CallStateError?
  ) {
    let place = takeIn(call, kept, mailbox)
    Task { [self] in
      await serve(call, pinned, machine, speech, custodian, kept, mailbox, place, lost: lost)
    }
  }

  private func serve(
    _ call: CallInfo, _ pinned: PinnedDialog, _ machine: DialogSession?, _ speech: any HopSink<RuntimeToSpeech>,
    _ custodian: any CallCustodian, _ kept: SessionState, _ mailbox: Mailbox, _ place: Place, lost: CallStateError?
  ) async {
    context.metrics.sessionResumed(lost == nil ? "resumed" : "failed")
    let session = CallSession(
      call: call, tenant: kept.tenant, pinned: pinned, speech: speech, mailbox: mailbox, context: context,
      custodian: custodian, kept: kept, machine: machine)
    await session.run(kept, lost: lost)
    await finish(session, place)
  }

  /// What comes after the call itself.
  private func finish(_ session: CallSession, _ place: Place) async {
    let hasMore = !session.rest.isDone && !session.mailbox.isAbandoned
    remove(place, hasMore: hasMore)
    if hasMore { await session.doRest() }
    await session.close()
    if hasMore { reviewed() }
  }

  /// Waits until the session has handled everything that was sent to it before; returns at once for one that is over.
  public func settle(_ session: SessionID) async {
    guard let mailbox = registry.withLockedValue({ $0.live[session]?.mailbox }) else { return }
    await withCheckedContinuation { continuation in
      if !mailbox.put(.fence { continuation.resume() }) { continuation.resume() }
    }
  }

  // MARK: Stopping

  /// Refuses new calls as unavailable from now on; live ones go on.
  public func drain() { registry.withLockedValue { $0.isDraining = true } }

  /// Ends all live calls at once with ``HangupReason/shutdown``.
  public func endAll() {
    for mailbox in registry.withLockedValue({ $0.live.values.map(\.mailbox) }) { mailbox.put(.end(.shutdown)) }
  }

  /// Waits until no call is open and nothing is done about past ones any more, or until `limit` has passed.
  /// - Returns: whether none is.
  @discardableResult
  public func waitUntilIdle(limit: Duration) async -> Bool {
    let waiter = NIOLockedValueBox<CheckedContinuation<Bool, Never>?>(nil)
    return await withCheckedContinuation { continuation in
      let isIdle = registry.withLockedValue { registry in
        if registry.isIdle { return true }
        waiter.withLockedValue { $0 = continuation }
        registry.idleWaiters.append { Self.resume(waiter, true) }
        return false
      }
      if isIdle { return continuation.resume(returning: true) }
      _ = context.clock.schedule(at: context.clock.now() + limit) { Self.resume(waiter, false) }
    }
  }

  /// Whoever comes first, the last call's end or the timer, resumes the waiter.
  private static func resume(_ waiter: NIOLockedValueBox<CheckedContinuation<Bool, Never>?>, _ isIdle: Bool) {
    let continuation = waiter.withLockedValue { waiter in
      defer { waiter = nil }
      return waiter
    }
    continuation?.resume(returning: isIdle)
  }

  // MARK: Admission

  /// Where a session stands in the registry.
  private struct Place {
    var session: SessionID
    var life: UInt64
    var dialogName: String
  }

  private struct Admission {
    var dialog: Dialog
    var place: Place
  }

  private struct Refusal: Error { var reason: RejectReason }

  private func admit(_ call: CallInfo, to dialog: Dialog?, mailbox: Mailbox) -> Result<Admission, Refusal> {
    registry.withLockedValue { registry in
      if registry.isDraining { return .failure(Refusal(reason: .unavailable)) }
      guard let dialog else { return .failure(Refusal(reason: .notFound)) }
      guard registry.live.count < context.configuration.maxConcurrentCalls else {
        return .failure(Refusal(reason: .busy))
      }
      // Two calls of one name would share a record: the speech role is at fault.
      guard registry.live[call.session] == nil else { return .failure(Refusal(reason: .error)) }
      return .success(Admission(dialog: dialog, place: seat(call, dialog.name, mailbox, &registry)))
    }
  }

  /// A session of another process is taken in whatever the limits say: its call is there already. An older life of it in this
  /// process is over.
  private func takeIn(_ call: CallInfo, _ kept: SessionState, _ mailbox: Mailbox) -> Place {
    let (older, place) = registry.withLockedValue { registry in
      (registry.live[call.session]?.mailbox, seat(call, kept.dialogName, mailbox, &registry))
    }
    older?.abandon()
    return place
  }

  /// The gauge is set under the lock, so that the last one who sets it is right.
  private func seat(_ call: CallInfo, _ dialogName: String, _ mailbox: Mailbox, _ registry: inout Registry) -> Place {
    registry.nextLife += 1
    registry.live[call.session] = Live(mailbox: mailbox, life: registry.nextLife)
    let calls = registry.callsByDialog[dialogName, default: 0] + 1
    registry.callsByDialog[dialogName] = calls
    context.metrics.callsActive(dialogName, calls)
    return Place(session: call.session, life: registry.nextLife, dialogName: dialogName)
  }

  private func remove(_ place: Place, hasMore: Bool) {
    let waiters = registry.withLockedValue { registry in
      if registry.live[place.session]?.life == place.life { registry.live[place.session] = nil }
      let calls = registry.callsByDialog[place.dialogName, default: 1] - 1
      registry.callsByDialog[place.dialogName] = calls
      context.metrics.callsActive(place.dialogName, calls)
      if hasMore { registry.reviews += 1 }
      return registry.takeWaiters()
    }
    for waiter in waiters { waiter() }
  }

  private func reviewed() {
    let waiters = registry.withLockedValue { registry in
      registry.reviews -= 1
      return registry.takeWaiters()
    }
    for waiter in waiters { waiter() }
  }
}

/// Where the speech role's messages for one session go.
struct SessionSide: KeptSide {
  private let mailbox: Mailbox

  init(_ mailbox: Mailbox) { self.mailbox = mailbox }

  func send(_ message: Numbered<SpeechToRuntime>) { mailbox.put(.speech(message)) }

  func abandon() { mailbox.abandon() }
}

/// What all sessions share.
struct SessionContext: Sendable {
  var configuration: RuntimeConfiguration
  var integration: any IntegrationHop
  var store: any SessionStore
  var commands: any CommandBus
  var models: any ModelService
  /// The documents that agent states answer from; nil where there are none.
  var knowledge: Knowledge?
  var clock: any RuntimeClock
  var metrics: RuntimeMetrics
  var tracer: Tracer
  var logger: Logger

  /// Rejects a call that gets no session; its record is two lines long.
  func refuse(
    _ call: CallInfo, _ reason: RejectReason, tenant: String, dialogName: String, speech: any HopSink<RuntimeToSpeech>
  ) {
    let startedAtMs = clock.unixMilliseconds()
    var recorder = SessionRecorder(
      session: call.session, dialogName: dialogName, tenant: tenant, startedAtMs: startedAtMs,
      redaction: RecordRedaction(configuration.redactor), random: .fromSystem(),
      trace: tracer.open(call.session, headers: call.headers, dialogName: dialogName, startedAtMs: startedAtMs)
    ) { [store] in store.append($0) }
    let start = SessionStart(
      call: call.facts, dialogName: dialogName, limits: configuration.dialogLimits, startedAtMs: startedAtMs)
    recorder.append(start.entry(masked: []), adding: ["direction": .string(call.direction.rawValue)])
    recorder.append(
      .callTerminated,
      [
        "reason": .string(reason.rawValue), "duration_ms": 0,
        "disposition": .string(CallDisposition.rejected.rawValue),
      ], at: .zero)
    var summary = call.summary(tenant: tenant, dialogName: dialogName, startedAtMs: startedAtMs)
    summary.state = .ended
    summary.endedAtMs = startedAtMs
    summary.endReason = reason.rawValue
    store.put(RecordRedaction(configuration.redactor).redact(summary))
    metrics.callEnded(dialogName, CallDisposition.rejected.rawValue)
    logger.notice("call refused", metadata: ["session_id": "\(call.session)", "reason": "\(reason.rawValue)"])
    var sender = HopSender(speech)
    sender.send(.reject(reason))
  }
}

/// How a call came out: the `status` label of `vg_calls_total` and the `disposition` of `call_terminated`.
public enum CallDisposition: String, Sendable, CaseIterable {
  /// Answered, and ended by the dialog, the caller or the API.
  case completed
  /// Refused before an answer.
  case rejected
  /// The caller gave up before an answer.
  case cancelled
  /// Answered, and ended by a failure: of the media, of this process, or because it was stopping.
  case failed

  init(reason: HangupReason, wasAnswered: Bool) {
    switch reason {
    case .caller, .normal, .api: self = wasAnswered ? .completed : .cancelled
    case .busy, .rejected: self = wasAnswered ? .completed : .rejected
    case .cancelled: self = .cancelled
    case .mediaTimeout, .shutdown, .error: self = .failed
    }
  }
}

extension CallInfo {
  func summary(tenant: String, dialogName: String, startedAtMs: Int64) -> SessionSummary {
    SessionSummary(
      session: session, tenant: tenant, state: .offered, direction: direction.rawValue, callerID: callerID,
      calledNumber: calledNumber, dialogName: dialogName, startedAtMs: startedAtMs)
  }
}
