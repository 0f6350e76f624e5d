import Base

/// The keys of `integration`, among them those of a customer's service.
enum IntegrationKeys {
  static let integration: [Field<IntegrationSettings>] = [
    .key("listen_address", \.listenAddress, ConfigurationKeys.ipAddress, "The address that the API binds."),
    .key("api_port", \.apiPort, .port, "REST and events; 0 lets the system choose."),
    .key(
      "default_timeout", \.defaultTimeout, hookTimeout, "One attempt of a hook, for services without a `timeout`."),
    .key(
      "max_retries", \.maxRetries, .int(0...10), "Attempts after the first, for services without `retry.max_attempts`."),
    .key(
      "services", \.services,
      .map(of: .object(.init(), service), "mapping of names to services", limit: 1000, isName: isServiceName),
      "The customer's backends, by the names that `call_hook` uses."),
    .section("cors", \.cors, "Pages of other origins.", cors),
    .section("webhooks", \.webhooks, "Deliveries of events to webhooks.", WebhookKeys.webhooks),
    .section("outbound", \.outbound, "What the gateway may reach.", OutboundKeys.outbound),
  ]

  /// The keys of one service, for the reference.
  static let service: [Field<IntegrationSettings.Service>] = [
    .key(
      "type", \.type, .choice(later: ["grpc"]),
      "How the service is spoken to: `http`: hooks; `mcp`: tools for agent states (Model Context Protocol, streamable HTTP)."
    ),
    .key(
      "url", \.url, .url(credentials: "use `auth` with type basic"),
      "Its address; a hook's path is appended, nothing to that of an MCP server."),
    .key("method", \.method, .choice(), "The HTTP method of a hook that names none."),
    .key(
      "headers", \.headers,
      .map(of: headerValue, "mapping of names to texts", limit: 64, isName: IntegrationSettings.isHeaderName),
      "Sent with every hook; shown masked."),
    .key("timeout", \.timeout, hookTimeout.optional(), "One attempt; absent: `integration.default_timeout`."),
    .section(
      "retry", \.retry, "What happens after an attempt that failed.",
      [
        .key(
          "max_attempts", \.maxAttempts, Codec.int(1...10).optional(),
          "Attempts in all; absent: one more than `integration.max_retries`."),
        .key("initial_backoff", \.initialBackoff, backoff, "The wait after the first attempt."),
        .key("max_backoff", \.maxBackoff, backoff, "The longest wait."),
        .key("backoff_multiplier", \.backoffMultiplier, .double(1...10), "How much longer each wait is than the last."),
      ]),
    .section(
      "rate_limit", \.rateLimit, "How much all calls together may ask; who cannot be served within its timeout fails.",
      [
        .key(
          "requests_per_second", \.requestsPerSecond, .double(0...100_000), "Attempts in a second; 0: as many as come."),
        .key(
          "burst", \.burst, Codec.int(1...100_000).optional(), "How many may come at once; absent: those of a second."),
      ]),
    .section(
      "circuit_breaker", \.circuitBreaker, "When a service that fails is left alone, so that no caller waits for it.",
      [
        .key(
          "threshold", \.threshold, .int(0...1000),
          "Failed attempts in a row (no answer, 5xx) that open it; 0: nothing does."),
        .key(
          "timeout", \.timeout, .duration(.milliseconds(100), .seconds(3600)),
          "How long hooks then fail at once with `circuit_open`."),
        .key(
          "half_open_requests", \.halfOpenRequests, .int(1...100),
          "Attempts that may be made then; when all succeed it closes."),
      ]),
    .key("auth", \.auth, ServiceAuthKeys.auth, "How the gateway proves who it is: `type` and what it needs."),
    .key(
      "ca", \.authoritiesFile, .text("path of a PEM file or empty"),
      "Authorities that the server's certificate may come from, beside the system's."),
    .key(
      "events", \.events, .list(of: .choice(), "list of `call_start`, `call_end`", count: 0...2, distinct: true),
      "What the service is told of every call: `POST /on-call-start` before it is answered, `POST /on-call-end` after it."
    ),
  ]

  private static let hookTimeout: Codec<Duration> = .duration(.milliseconds(1), .seconds(120))
  private static let backoff: Codec<Duration> = .duration(.zero, .seconds(60))

  private static let headerValue = Codec<Secret>(
    kind: "text",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "a text") else { return nil }
      guard IntegrationSettings.isHeaderValue(text) else {
        return decoding.fail(node, "is not a header's value")
      }
      return Secret(text)
    }, show: { .string($0.description) })

  /// Names become metric labels and stand in dialogs.
  private static func isServiceName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 64
      && name.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
          || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains(byte)
      }
  }
}
