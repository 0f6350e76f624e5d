import Base

/// `integration`: the REST API and the customer's services.
public struct IntegrationSettings: Sendable, Hashable {
  public var listenAddress = "0.0.0.0"
  /// 0 asks the system for a free port.
  public var apiPort = 8080
  /// For services that name no `timeout`: the longest that one attempt may take.
  public var defaultTimeout: Duration = .seconds(5)
  /// For services that name no `retry.max_attempts`: attempts after the first.
  public var maxRetries = 3
  /// By name; the names that `call_hook` uses.
  public var services: [String: Service] = [:]
  public var cors = CORS()

  /// `integration.cors`: pages of other origins that may use the API.
  public struct CORS: Sendable, Hashable {
    /// `https://console.example.com`, exactly as browsers send it; none: no page may.
    public var allowedOrigins: [String] = []
    public init() {}
  }
  /// What the gateway may reach.
  public var outbound = OutboundSettings()
  public var webhooks = WebhookSettings()

  /// One entry of `integration.services`: a customer's backend.
  public struct Service: Sendable, Hashable {
    /// How a service is spoken to.
    public enum Kind: String, Sendable, CaseIterable {
      /// One request per hook.
      case http
      /// A server of tools: Model Context Protocol over streamable HTTP.
      case mcp
    }
    /// The HTTP methods a hook may use.
    public enum Method: String, Sendable, CaseIterable { case post = "POST", put = "PUT", patch = "PATCH" }

    public var type = Kind.http
    /// `http://` or `https://`; a hook's path is appended.
    public var url = ""
    public var method = Method.post
    public var headers: [String: Secret] = [:]
    /// The longest that one attempt may take; nil: ``IntegrationSettings/defaultTimeout``.
    public var timeout: Duration?
    public var retry = Retry()
    public var rateLimit = RateLimit()
    public var circuitBreaker = Breaker()
    public var auth = Authentication.none
    /// A PEM file with authorities that the server's certificate may come from; empty: only the system's.
    public var authoritiesFile = ""
    /// What the service is told of every call.
    public var events: [CallEvent] = []

    public init(url: String = "") { self.url = url }
  }

  /// A moment of every call that a service can be told of, and answer to.
  public enum CallEvent: String, Sendable, CaseIterable {
    /// `/on-call-start`, before the call is answered.
    case callStart = "call_start"
    /// `/on-call-end`, after the record is complete.
    case callEnd = "call_end"
  }

  /// `rate_limit` of a service: of all attempts of all calls.
  public struct RateLimit: Sendable, Hashable {
    /// 0: no limit.
    public var requestsPerSecond = 0.0
    /// How many may come at once; nil: those of one second.
    public var burst: Int?
    public init() {}
  }

  /// `circuit_breaker` of a service.
  public struct Breaker: Sendable, Hashable {
    /// Failed attempts in a row after which the service is left alone; 0: never.
    public var threshold = 10
    /// For how long.
    public var timeout: Duration = .seconds(30)
    /// Attempts that have to succeed then, and may be made at once.
    public var halfOpenRequests = 1
    public init() {}
  }

  /// `retry` of a service.
  public struct Retry: Sendable, Hashable {
    /// Attempts in all, the first included; nil: one more than ``IntegrationSettings/maxRetries``.
    public var maxAttempts: Int?
    public var initialBackoff: Duration = .milliseconds(100)
    public var maxBackoff: Duration = .seconds(2)
    public var backoffMultiplier = 2.0
    public init() {}
  }

  public init() {}
}

extension IntegrationSettings {
  /// Whether a header of this name may be set (RFC 9110 section 5.1); what frames the message may not.
  public static func isHeaderName(_ name: String) -> Bool {
    let reserved = ["host", "content-length", "content-type", "transfer-encoding", "connection"]
    return !name.isEmpty && name.utf8.count <= 128 && !reserved.contains(name.lowercased())
      && name.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
          || Array("!#$%&'*+-.^_`|~".utf8).contains(byte)
      }
  }

  /// Whether a header may have this value: one line of bounded length.
  public static func isHeaderValue(_ value: String) -> Bool {
    value.utf8.count <= 8192 && value.utf8.allSatisfy { $0 == 9 || (0x20...0x7E).contains($0) || $0 >= 0x80 }
  }
}
