import Base
import CallLink
import Dialogs
import Logging
import Storage

/// What services are told of every call: `/on-call-start` before it is answered, `/on-call-end` when its record is complete.
extension CallSession {
  /// Tells the services that want to know of the call, and answers it once they have spoken: until then it rings.
  func askBeforeAnswer() {
    let services = context.integration.services(toldOf: .start)
    guard !services.isEmpty else { return speech.send(.answer) }
    for service in services { askBeforeAnswer(service) }
    // A service that is not given up by whoever asks it for us must not hold the call.
    patienceEnds = now + context.configuration.startHooksLimit + .seconds(1)
  }

  func askBeforeAnswer(_ service: CallMomentService) {
    // The caller waits: all attempts together have the time of one.
    let question = question(
      .start, to: service, timeout: min(service.timeout, context.configuration.startHooksLimit))
    let integration = context.integration
    let mailbox = mailbox
    let task = Task {
      let outcome = await integration.perform(question)
      mailbox.put(.start(service, outcome))
    }
    starts[service.name] = RunningStart(service: service, task: task)
  }

  func receive(_ outcome: HookOutcome, beforeAnswerFrom service: CallMomentService) {
    guard case .offered = phase, starts.removeValue(forKey: service.name) != nil else { return }
    var measured = outcome.measured
    measured["path"] = .string(CallMoment.start.path)
    switch outcome {
    case .result(let answer, _, _, _): take(.startAnswer(service: service.name, answer), adding: measured)
    case .failure: recorder.append(.hookError, outcome.fields(.start, service), at: now)
    }
    if starts.isEmpty { answerNow() }
  }

  /// The call goes on without those who have not spoken yet.
  func answerNow() {
    for (name, start) in starts.sorted(by: { $0.key < $1.key }) {
      start.task?.cancel()
      let late = HookOutcome.failure(
        error: "timeout", status: 0, message: "\(name) was not waited for", durationMs: 0, attempts: 0)
      let service = CallMomentService(name: name, timeout: .zero)
      recorder.append(.hookError, late.fields(.start, service), at: now)
    }
    starts.removeAll()
    patienceEnds = nil
    speech.send(.answer)
  }

  // MARK: After the call

  /// Questions for after the call; empty where nobody wants to know.
  private var endQuestions: [(CallMomentService, HookRequest)] {
    context.integration.services(toldOf: .end).filter { rest.told.contains($0.name) }
      .map { ($0, question(.end, to: $0, timeout: nil)) }
  }

  /// Does what is still to be done about a call that is over.
  func doRest() async {
    let questions = endQuestions
    let integration = context.integration
    let (answers, answer) = AsyncStream<[(CallMomentService, HookOutcome)]>.makeStream()
    let task = Task<Void, Never> {
      let outcomes = await CallSession.ask(questions, integration)
      answer.yield(outcomes)
      answer.finish()
    }
    mailbox.onAbandon {
      task.cancel()
      answer.finish()
    }
    if rest.review {
      await review()
      rest.review = false
      keepState()
    }
    for await outcomes in answers where !mailbox.isAbandoned { recordEnd(outcomes) }
    rest.told = []
    keepState()
  }

  /// Asks all of them at once; each has the retries of its service.
  private static func ask(
    _ questions: [(CallMomentService, HookRequest)], _ integration: any IntegrationHop
  ) async -> [(CallMomentService, HookOutcome)] {
    await withTaskGroup(of: (CallMomentService, HookOutcome).self) { group in
      for (service, question) in questions {
        group.addTask { (service, await integration.perform(question)) }
      }
      var outcomes: [(CallMomentService, HookOutcome)] = []
      for await outcome in group { outcomes.append(outcome) }
      return outcomes.sorted { $0.0.name < $1.0.name }
    }
  }

  private func recordEnd(_ outcomes: [(CallMomentService, HookOutcome)]) {
    refreshNow()
    for (service, outcome) in outcomes {
      let type: SessionEventType = if case .result = outcome { .hookResult } else { .hookError }
      recorder.append(type, outcome.fields(.end, service), at: now)
    }
  }

  /// Masked variables stay in the gateway: no dialog has decided that this service may know them.
  private func question(_ moment: CallMoment, to service: CallMomentService, timeout: Duration?) -> HookRequest {
    let facts = call.facts
    var payload = Value.null
    if moment == .end {
      payload = [
        "reason": .string(summary.endReason ?? ""),
        "duration_ms": .int(max(0, (summary.endedAtMs ?? 0) - (summary.answeredAtMs ?? summary.endedAtMs ?? 0))),
        "started_at": .time(summary.startedAtMs),
        "ended_at": .time(summary.endedAtMs ?? summary.startedAtMs),
        "was_answered": .bool(summary.answeredAtMs != nil), "outcome": .map(summary.outcome),
      ]
    }
    return HookRequest(
      session: call.session, tenant: tenant, service: service.name, path: moment.path, timeout: timeout,
      body: [
        "session_id": .string(call.session.value), "caller_id": .string(facts.callerID),
        "called_number": .string(facts.calledNumber), "dialog_name": .string(dialog.name),
        "current_state": .string(machine.currentState), "transcript": "", "confidence": 0.0,
        "language": .string(dialog.language), "variables": .map(machine.visibleVariables), "payload": payload,
        "timestamp": .time(wallMs), "sip_headers": .map(facts.headerValues),
      ]
    ).traced(by: recorder.trace)
  }
}

extension HookOutcome {
  /// What the record says of every hook.
  var measured: [String: Value] {
    switch self {
    case .result(_, let status, let durationMs, let attempts):
      ["status": .int(Int64(status)), "duration_ms": .int(Int64(durationMs)), "attempts": .int(Int64(attempts))]
    case .failure(_, _, _, let durationMs, let attempts):
      ["duration_ms": .int(Int64(durationMs)), "attempts": .int(Int64(attempts))]
    }
  }

  /// The whole line of a hook that the dialog has not asked for.
  fileprivate func fields(_ moment: CallMoment, _ service: CallMomentService) -> [String: Value] {
    var fields = measured
    fields["moment"] = .string(moment.rawValue)
    fields["service"] = .string(service.name)
    fields["path"] = .string(moment.path)
    if case .failure(let error, let status, let message, _, _) = self {
      fields["error"] = .string(error)
      fields["status"] = .int(Int64(status))
      fields["message"] = .string(message)
    }
    return fields
  }
}
