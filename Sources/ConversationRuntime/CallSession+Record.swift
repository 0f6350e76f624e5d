import Base
import CallLink
import Dialogs
import Logging

extension CallSession {
  /// Writes down what happened inside the dialog machine.
  func write(_ trace: DialogTrace) {
    switch trace {
    case .stateTransition(let from, let to, let trigger):
      record(
        .stateTransition, ["from_state": .string(from), "to_state": .string(to), "trigger": .string(trigger)])
      context.metrics.stateTransition(dialog.name, from, to)
    case .stayed(let state, let trigger):
      record(
        .stateTransition,
        ["from_state": .string(state), "to_state": .string(state), "trigger": .string(trigger), "stayed": true])
    case .actionExecuted(let state, let action, let detail):
      record(.actionExecuted, ["state": .string(state), "action": .string(action), "detail": detail])
    case .variableChanged(let name, let value):
      record(.actionExecuted, ["action": "variable_changed", "detail": [name: value]])
    case .reprompt(let state, let event, let attempt):
      record(
        .actionExecuted,
        [
          "state": .string(state), "action": "reprompt",
          "detail": ["event": .string(event), "attempt": .int(Int64(attempt))],
        ])
    case .eventIgnored(let state, let event):
      record(
        .actionExecuted,
        ["state": .string(state), "action": "event_ignored", "detail": ["event": .string(event)]])
    case .failure(let state, let code, let message):
      record(.error, ["state": .string(state), "code": .string(code), "message": .string(message)])
    case .agentMessage, .toolCalled, .secretDecision: break
    case .ended(let state, let reason):
      record(
        .actionExecuted, ["state": .string(state), "action": "dialog_ended", "detail": ["reason": .string(reason)]])
    }
  }

  /// A line that the dialog's author asked for.
  func log(_ message: String, level: String) {
    let known: Logger.Level =
      switch level {
      case "debug": .debug
      case "warning": .warning
      case "error": .error
      default: .info
      }
    context.logger.log(
      level: known, "dialog log",
      metadata: ["session_id": "\(call.session)", "dialog": "\(dialog.name)", "message": "\(message)"])
  }
}
