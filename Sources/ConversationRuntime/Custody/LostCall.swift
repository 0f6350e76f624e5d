import Base
import CallLink
import Logging
import Storage

/// What is still done for a call whose state cannot be read.
extension SessionContext {
  /// Ends the record where the predecessor left it. Without the database it stays open until the predecessor is taken for dead there,
  /// which ends it as well.
  func endLost(_ call: CallInfo, _ reason: String) async {
    do {
      guard var summary = try await store.session(call.session, tenant: nil), summary.state != .ended,
        let last = try await lastEvent(of: call.session)
      else { return }
      let now = max(last.timestampMs, clock.unixMilliseconds())
      let at = Instant.zero + .milliseconds(now - summary.startedAtMs)
      var recorder = SessionRecorder(
        session: call.session, dialogName: summary.dialogName, tenant: summary.tenant, startedAtMs: summary.startedAtMs,
        after: last.sequence, redaction: RecordRedaction(configuration.redactor), random: .fromSystem()
      ) { [store] in store.append($0) }
      let disposition = CallDisposition(reason: .error, wasAnswered: summary.answeredAtMs != nil)
      summary.state = .ended
      summary.endedAtMs = now
      summary.endReason = HangupReason.error.rawValue
      store.put(summary)
      recorder.append(.error, ["code": "session_lost", "message": .string(reason)], at: at)
      recorder.append(
        .callTerminated,
        [
          "reason": .string(HangupReason.error.rawValue),
          "duration_ms": .int(summary.answeredAtMs.map { now - $0 } ?? 0),
          "disposition": .string(disposition.rawValue),
        ], at: at)
      metrics.callEnded(summary.dialogName, disposition.rawValue)
    } catch {
      logger.warning(
        "the record of a lost call stays open for now",
        metadata: ["session_id": "\(call.session)", "reason": "\(error)"])
    }
  }

  /// nil: there is none, or the record has its end already.
  private func lastEvent(of session: SessionID) async throws -> SessionEvent? {
    var last: SessionEvent?
    while true {
      let page = try await store.events(
        of: session, tenant: nil, after: last?.sequence ?? 0, limit: StorageLimits.page)
      if page.contains(where: { $0.type == SessionEventType.callTerminated.rawValue }) { return nil }
      guard let newest = page.last else { return last }
      last = newest
    }
  }
}
