// Runs the dialog of every call: takes what the caller said, asks the dialog machine, performs its actions, keeps the record.

import Base
import CallLink
import Dialogs
import Logging
import NIOConcurrencyHelpers
import Storage

/// The runtime role: one for the process, a session for every call that the speech role opens.
///
/// Each session is one task with one mailbox, so everything about a call happens in one order. Safe to use from any thread.
public final class ConversationService: RuntimeHop {
  let context: SessionContext
  private let catalogBox: NIOLockedValueBox<TenantCatalogs>
  private let numbers: any NumberRouting
  private let registry = NIOLockedValueBox(Registry())

  private struct Registry {
    var live: [SessionID: Live] = [:]
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
    var dialogName: String
  }

  /// - Parameters:
  ///   - catalogs: the dialogs that calls are routed to; see ``replaceCatalogs(_:)``.
  ///   - numbers: whose a called number is, before the dialogs are asked.
  ///   - integration: asks the customer's backend.
  ///   - store: every input, decision and transition goes there, and what the API knows of each session.
  ///   - commands: where sessions can be reached while they live.
  ///   - models: leads the conversation in agent states.
  public init(
    configuration: RuntimeConfiguration = RuntimeConfiguration(), catalogs: TenantCatalogs,
    numbers: any NumberRouting = NoNumbers(), integration: any IntegrationHop, store: any SessionStore,
    commands: any CommandBus,
    models: any ModelService = NoModelService(), knowledge: Knowledge? = nil,
    clock: any RuntimeClock = SystemRuntimeClock(),
    metrics: RuntimeMetrics = RuntimeMetrics(),
    logger: Logger = Logger(label: "parley.runtime")
  ) {
    context = SessionContext(
      configuration: configuration, integration: integration, store: store, commands: commands,
      models: models, knowledge: knowledge, clock: clock, metrics: metrics, logger: logger)
    self.numbers = numbers
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
    let mailbox = Mailbox()
    let route = catalogs.route(call, numbers: numbers)
    switch admit(call, to: route.dialog, mailbox: mailbox) {
    case .success(let admission):
      context.metrics.callsActive(admission.dialogName, admission.callsOfDialog)
      Task { [self] in
        let session = CallSession(
          call: call, tenant: route.tenant, dialog: admission.dialog, catalog: route.catalog, speech: speech,
          mailbox: mailbox, context: context)
        await session.run()
        let questions = session.endQuestions
        let hasMore = session.wantsReview || !questions.isEmpty
        remove(call.session, hasMore: hasMore)
        guard hasMore else { return }
        async let outcomes = CallSession.ask(questions, context.integration)
        if session.wantsReview { await session.review() }
        session.recordEnd(await outcomes)
        reviewed()
      }
    case .failure(let refusal):
      context.refuse(
        call, refusal.reason, tenant: route.tenant, dialogName: route.dialog?.name ?? "", speech: speech)
      mailbox.close()
    }
    return ClosureSink { mailbox.put(.speech($0)) }
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

  private struct Admission {
    var dialog: Dialog
    var dialogName: String
    var callsOfDialog: Int
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
      registry.live[call.session] = Live(mailbox: mailbox, dialogName: dialog.name)
      let calls = registry.callsByDialog[dialog.name, default: 0] + 1
      registry.callsByDialog[dialog.name] = calls
      return .success(Admission(dialog: dialog, dialogName: dialog.name, callsOfDialog: calls))
    }
  }

  private func remove(_ session: SessionID, hasMore: Bool) {
    let left = registry.withLockedValue { registry -> (dialog: String, calls: Int, waiters: [@Sendable () -> Void])? in
      guard let live = registry.live.removeValue(forKey: session) else { return nil }
      let calls = registry.callsByDialog[live.dialogName, default: 1] - 1
      registry.callsByDialog[live.dialogName] = calls
      if hasMore { registry.reviews += 1 }
      return (live.dialogName, calls, registry.takeWaiters())
    }
    guard let left else { return }
    context.metrics.callsActive(left.dialog, left.calls)
    for waiter in left.waiters { waiter() }
  }

  private func reviewed() {
    let waiters = registry.withLockedValue { registry in
      registry.reviews -= 1
      return registry.takeWaiters()
    }
    for waiter in waiters { waiter() }
  }
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
  var logger: Logger

  /// Rejects a call that gets no session; its record is two lines long.
  func refuse(
    _ call: CallInfo, _ reason: RejectReason, tenant: String, dialogName: String, speech: any HopSink<RuntimeToSpeech>
  ) {
    let startedAtMs = clock.unixMilliseconds()
    var recorder = SessionRecorder(
      session: call.session, dialogName: dialogName, tenant: tenant, startedAtMs: startedAtMs, log: store,
      redaction: RecordRedaction(configuration.redactor), random: .fromSystem())
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
