import Base
import CallLink
import Dialogs
import Logging
import Storage

extension CallSession {
  /// Everything written so far is in the database, as far as it takes it.
  func settleRecord() async {
    if let custody { await custody.settle(context.clock) } else { await context.store.flush() }
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
      metadata: [
        "session_id": "\(call.session)", "dialog": "\(dialog.name)",
        "message": "\(context.configuration.redactor.redact(message))",
      ])
  }
}
