import Base

/// A question to the customer's backend in the middle of a call.
public struct HookRequest: Sendable {
  public var session: SessionID
  /// A name of `integration.services`; empty where `url` is set.
  public var service: String
  /// A full URL, or a path below the service's URL (`/on-intent` by default).
  public var url: String
  public var path: String
  /// nil: the service's timeout.
  public var timeout: Duration?
  /// The JSON body: session_id, caller_id, called_number, dialog_name, current_state, transcript, confidence, language,
  /// variables, payload, timestamp, sip_headers.
  public var body: Value

  public init(
    session: SessionID, service: String, url: String = "", path: String = "/on-intent", timeout: Duration? = nil,
    body: Value
  ) {
    self.session = session
    self.service = service
    self.url = url
    self.path = path
    self.timeout = timeout
    self.body = body
  }
}

/// What came of a hook.
public enum HookOutcome: Sendable, Hashable {
  /// A 2xx answer whose body was a JSON object (or empty: an empty map).
  case result(Value, status: Int, durationMs: Int, attempts: Int)
  /// No usable answer. `status` is 0 where there was none; `error` is one of timeout, unreachable, refused, status,
  /// invalid_answer, unknown_service, too_large.
  case failure(error: String, status: Int, message: String, durationMs: Int, attempts: Int)
}
