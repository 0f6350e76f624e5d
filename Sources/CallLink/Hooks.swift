import Base

/// A question to the customer's backend, or to a server of tools, in the middle of a call.
public struct HookRequest: Sendable {
  /// Who owns the call.
  public var tenant: String
  public enum Kind: Sendable, Hashable {
    /// HTTP with ``HookRequest/body``.
    case http
    /// Which tools the MCP server ``HookRequest/service`` has. The answer: `{"tools": [{"name", "description",
    /// "parameters"}]}`.
    case listTools
    /// One tool of the MCP server ``HookRequest/service``; `arguments` is a map. The answer: the structure that the tool
    /// gives, else `{"text": ...}`.
    case callTool(name: String, arguments: Value)
  }
  public var session: SessionID
  public var kind: Kind
  /// A name of `integration.services`; empty where `url` is set.
  public var service: String
  /// A full URL, or a path below the service's URL (`/on-intent` by default).
  public var url: String
  public var path: String
  /// Upper case; empty: the service's method.
  public var method: String
  /// Beside the service's headers, and stronger than them; what frames the message or says who asks cannot be set.
  public var headers: [String: String]
  /// nil: the service's timeout.
  public var timeout: Duration?
  /// The JSON body: session_id, caller_id, called_number, dialog_name, current_state, transcript, confidence, language,
  /// variables, payload, timestamp, sip_headers.
  public var body: Value
  /// W3C Trace Context: what the hook belongs to; empty where the call has no trace.
  public var traceparent = ""
  public var tracestate = ""

  public init(
    session: SessionID, tenant: String = "default", service: String, kind: Kind = .http, url: String = "",
    path: String = "/on-intent",
    method: String = "", headers: [String: String] = [:], timeout: Duration? = nil, body: Value
  ) {
    self.session = session
    self.tenant = tenant
    self.kind = kind
    self.method = method
    self.headers = headers
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
  /// invalid_answer, unknown_service, too_large, unauthorized (no token could be had), circuit_open (the service is left
  /// alone), rate_limited, tool_error (the MCP server's own word for a tool that failed).
  case failure(error: String, status: Int, message: String, durationMs: Int, attempts: Int)
}

/// A moment of every call that a customer's backend can be told of.
public enum CallMoment: String, Sendable, CaseIterable {
  case start = "call_start"
  case end = "call_end"

  /// Below the service's URL.
  public var path: String {
    switch self {
    case .start: "/on-call-start"
    case .end: "/on-call-end"
    }
  }
}

/// A service that is told of a moment.
public struct CallMomentService: Sendable, Hashable {
  public var name: String
  /// Of one attempt.
  public var timeout: Duration

  public init(name: String, timeout: Duration) {
    self.name = name
    self.timeout = timeout
  }
}
