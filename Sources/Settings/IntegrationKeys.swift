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
    .later("rate_limit", .map([:])),
    .later("circuit_breaker", .map([:])),
    .key("auth", \.auth, auth, "How the gateway proves who it is: `type` and what it needs."),
  ]

  /// The keys of `auth`, before they are put together.
  private struct Credentials: Sendable {
    enum Kind: String, CaseIterable, Sendable { case none, bearer, apiKey = "api_key", basic }
    var type = Kind.none
    var token = Secret("")
    var header = "X-API-Key"
    var key = Secret("")
    var username = ""
    var password = Secret("")
  }

  private static let credentials: [Field<Credentials>] = [
    .key("type", \.type, .choice(later: ["hmac", "oauth2", "mtls"]), ""),
    .key("token", \.token, .secret, ""),
    .key("header", \.header, .checked("a header name", IntegrationSettings.isHeaderName), ""),
    .key("key", \.key, .secret, ""),
    .key("username", \.username, .text(limit: 256), ""),
    .key("password", \.password, .secret, ""),
  ]

  private static let auth = Codec<IntegrationSettings.Authentication>(
    kind: "`type` none; bearer with `token`; api_key with `header`, `key`; basic with `username`, `password`",
    shape: .mapping,
    read: { node, decoding in
      let draft = Codec.object(Credentials(), credentials)
      guard let credentials = draft.read(node, &decoding) else { return nil }
      let needed: Set<String>
      var allowed: Set<String> = ["type"]
      switch credentials.type {
      case .none: needed = []
      case .bearer: needed = ["token"]
      case .apiKey:
        needed = ["key"]
        allowed.insert("header")
      case .basic: needed = ["username", "password"]
      }
      allowed.formUnion(needed)
      var present: Set<String> = []
      for (key, _) in decoding.pairs(node) ?? [] {
        let name = key.text ?? ""
        present.insert(name)
        if !allowed.contains(name) {
          return decoding.fail(
            key, "`\(name)` has no effect with type \(credentials.type.rawValue)", code: ConfigurationCode.contradiction
          )
        }
      }
      if let missing = needed.subtracting(present).sorted().first {
        return decoding.fail(node, "type \(credentials.type.rawValue) needs `\(missing)`")
      }
      switch credentials.type {
      case .none: return IntegrationSettings.Authentication.none
      case .bearer: return .bearer(token: credentials.token)
      case .apiKey: return .apiKey(header: credentials.header, key: credentials.key)
      case .basic:
        if credentials.username.contains(":") {
          return decoding.fail(node, "a username cannot hold a colon (RFC 7617)")
        }
        return .basic(username: credentials.username, password: credentials.password)
      }
    },
    show: { auth in
      switch auth {
      case .none: ["type": "none"]
      case .bearer(let token): ["type": "bearer", "token": .string(token.description)]
      case .apiKey(let header, let key):
        ["type": "api_key", "header": .string(header), "key": .string(key.description)]
      case .basic(let username, let password):
        ["type": "basic", "username": .string(username), "password": .string(password.description)]
      }
    })

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
