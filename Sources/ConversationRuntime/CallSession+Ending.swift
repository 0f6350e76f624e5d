import Base
import CallLink
import Dialogs
import Logging
import Storage

/// How a session comes to its end.
extension CallSession {
  /// Asks the speech role to end the call; its `ended` is what ends the session.
  func hangUp(_ reason: HangupReason, afterPlayback: Bool) {
    guard case .active = phase else { return }
    speech.send(.hangup(reason, afterPlayback: afterPlayback))
    let limits = context.configuration
    patienceEnds = now + (afterPlayback ? limits.hangupAfterPlaybackLimit : limits.hangupLimit)
  }

  /// Something on our side ends the call.
  func endFromHere(_ reason: HangupReason) {
    switch phase {
    case .offered:
      speech.send(.reject(reason == .error ? .error : .unavailable))
      end(reason)
    case .active: hangUp(reason, afterPlayback: false)
    case .closing: finish()
    case .over: break
    }
  }

  func fail(_ code: String, _ message: String) {
    if case .over = phase { return }
    isTouched = true
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

  func losePatience() {
    switch phase {
    case .active:
      record(.error, ["code": "hangup_not_confirmed", "message": "the end of the call was not reported in time"])
      end(.error)
    case .closing: finish()
    case .offered: answerNow()
    case .over: break
    }
  }

  /// The call is over: the dialog runs its last actions, and what they ask of the backend is waited for.
  func end(_ reason: HangupReason) {
    let answeredAt: Instant?
    switch phase {
    case .offered: answeredAt = nil
    case .active(let at): answeredAt = at
    case .closing, .over: return
    }
    phase = .closing(answeredAt: answeredAt, endedAt: now, reason)
    turn.abandon()
    cancelQuestions()
    if answeredAt != nil { take(.hangup(by: reason.party, reason: reason.rawValue)) }
    patienceEnds = now + context.configuration.lastHooksLimit
    closeIfDone()
  }

  func closeIfDone() {
    if case .closing = phase, hooks.isEmpty { finish() }
  }

  func finish() {
    guard case .closing(let answeredAt, let endedAt, let reason) = phase else { return }
    phase = .over
    let duration = answeredAt.map { endedAt - $0 } ?? .zero
    let disposition = CallDisposition(reason: reason, wasAnswered: answeredAt != nil)
    // Whoever hears of the end and asks for the call must find it ended.
    summary.state = .ended
    summary.endedAtMs = recorder.unixMilliseconds(at: endedAt)
    summary.endReason = reason.rawValue
    writeSummary()
    // The dialog's own word for how it came out goes before ours; metrics count ours, which are few.
    let own = outcome?.disposition ?? ""
    record(
      .callTerminated,
      [
        "reason": .string(reason.rawValue), "duration_ms": .int(duration.milliseconds),
        "disposition": .string(own.isEmpty ? disposition.rawValue : own),
      ])
    context.metrics.callEnded(dialogName, disposition.rawValue)
    if answeredAt != nil {
      context.metrics.callDuration(dialogName, Double(duration.milliseconds) / 1_000)
    }
    cancelQuestions()
    patienceEnds = nil
    rest = SessionState.Rest(told: context.integration.services(toldOf: .end).map(\.name), review: wantsReview)
    mailbox.close()
  }
}
