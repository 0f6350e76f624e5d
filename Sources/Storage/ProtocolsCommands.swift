import Base

/// A command against the stream: from the API to whichever runtime holds the session.
public enum CallCommand: Sendable, Hashable {
  case hangup(reason: String)
  case say(text: String, voice: String, speed: Double, bargeIn: Bool)
  /// A sound: a path below the object store, as `play_audio` takes it.
  case play(object: String, bargeIn: Bool)
  /// Keys for the other side, `0-9 * # A-D`, each held for `durationMs`.
  case digits(String, durationMs: Int)
  /// A custom event for the dialog.
  case event(name: String, data: Value)
}

/// What came of a command.
public enum CommandOutcome: Sendable, Hashable {
  /// `fields` are the answer's members (`playback_id`, `call_duration_seconds` ...).
  case done(fields: [String: Value])
  /// No runtime holds the session (any more).
  case noSuchSession
  /// The session cannot do this now; a sentence for the caller of the API.
  case refused(String)
  /// Somebody holds the session and cannot be asked now, or did not answer: whether the command was carried out is not known.
  case unreachable(String)
}

/// Carries commands to the runtime that holds a session: memory in one process, Redis between pods.
public protocol CommandBus: Sendable {
  /// Delivers the command and waits for its outcome, at most five seconds. Another tenant's session is none.
  func send(_ command: CallCommand, to session: SessionID, tenant: String) async -> CommandOutcome
  /// Registers the holder of a session; the returned closure takes it away again.
  func register(
    _ session: SessionID, tenant: String, handler: @escaping @Sendable (CallCommand) async -> CommandOutcome
  ) -> @Sendable () -> Void
}
