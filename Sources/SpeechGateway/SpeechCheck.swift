/// One finding of ``SpeechCheck``, for `parley doctor`.
public struct SpeechFinding: Sendable, Hashable {
  public enum Severity: String, Sendable { case ok, warning, error }
  public var severity: Severity
  /// What was looked at: `recogniser model`, `dictionary`, `voice activity`, `voices`, `audio folder`.
  public var subject: String
  /// What was found.
  public var message: String
  /// What to do; empty where nothing is wrong.
  public var hint: String

  public init(severity: Severity, subject: String, message: String, hint: String = "") {
    self.severity = severity
    self.subject = subject
    self.message = message
    self.hint = hint
  }
}

/// Looks whether this machine has what the speech role needs, without starting it.
public enum SpeechCheck {
  /// Files, voices and weights that `configuration` names.
  public static func findings(_ configuration: SpeechGatewayConfiguration = .init()) -> [SpeechFinding] { [] }
}
