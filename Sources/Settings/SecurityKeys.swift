import Base

/// The keys of `security`.
enum SecurityKeys {
  static let security: [Field<SecuritySettings>] = [
    .section("mtls", \.mtls, "Certificates between the roles: TLS 1.3, both sides.", ClusterKeys.mtls),
    .key(
      "state_keys", \.stateKeys,
      .list(of: stateKey, "list of secrets of 32 characters or more", count: 0...4, distinct: true),
      "What encrypts the state of live calls in the store: the first encrypts, all decrypt. Needed where `runtime.state_store` is not `memory`."
    ),
    .section(
      "api", "The REST API.",
      [
        .key(
          "tokens", \.apiTokens,
          .list(
            of: token, "list of secrets, 16 characters or more each, or of `token`, `name`, `tenant`, `roles`",
            count: 0...1000),
          "Bearer tokens beside those that `parley token` makes. A secret alone is an admin of the tenant `default`. Empty: the gateway makes one at its start and prints it."
        ),
        .section("jwt", \.jwt, "Tokens of an identity provider (RFC 7519).", jwt),
        .section(
          "rate_limit", \.rateLimit, "For each token; above it 429.",
          [
            .key(
              "requests_per_second", \.requestsPerSecond, .double(0...1_000_000), "In the long run; 0: no limit."),
            .key("burst", \.burst, .int(1...1_000_000), "At once."),
          ]),
      ]),
    .section(
      "audit", "Who did what.",
      [
        .key(
          "enabled", \.auditEnabled, .bool,
          "Whether every change by the API, every request that was denied and every hook is kept in the audit log.")
      ]),
    .section(
      "pii", "What is kept out of the record.",
      [
        .key(
          "redact", \.redact,
          .list(
            of: .choice(), "list of " + PersonalData.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "),
            count: 0...PersonalData.allCases.count, distinct: true),
          "Personal data that is replaced in transcripts, events, variables and log lines before they are kept.")
      ]),
  ]

  private static let jwt: [Field<SecuritySettings.JWT>] = [
    .key(
      "jwks_url", \.jwksURL, .url(allowEmpty: true),
      "Where the provider's keys are; empty: no JWT is taken. Needs `issuer` and `audience`."),
    .key("issuer", \.issuer, .text(limit: 512), "What the claim `iss` must be, to the letter."),
    .key("audience", \.audience, .text(limit: 512), "What the claim `aud` must hold."),
    .key(
      "roles_claim", \.rolesClaim, claim,
      "The claim that lists roles, such as `resource_access.parley.roles`; roles that the gateway does not know are left out."
    ),
    .key(
      "tenant_claim", \.tenantClaim, claim,
      "The claim that names the tenant; a token without it is refused then. Empty: everybody is of `default`."),
    .key("leeway", \.leeway, .duration(.zero, .seconds(300)), "How far the clocks may differ."),
  ]

  private static let claim: Codec<String> = .checked("names with dots between them") { text in
    text.utf8.count <= 256 && !text.hasPrefix(".") && !text.hasSuffix(".") && !text.contains("..")
  }

  private static let tokenFields: [Field<SecuritySettings.APIToken>] = [
    .key("token", \.token, .token, ""),
    .key("name", \.name, .text(limit: 100, allowEmpty: false), ""),
    .key(
      "tenant", \.tenant,
      .checked("a tenant: 1 to 64 lower-case letters, digits, `-` and `_`, a letter or digit first", Tenant.isName), ""),
    .key(
      "roles", \.roles,
      .list(
        of: .choice(), "list of " + Role.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "),
        count: 1...Role.allCases.count, distinct: true), ""),
  ]

  private static let stateKey = Codec<Secret>(
    kind: "secret",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "a text") else { return nil }
      guard text.utf8.count >= 32 else {
        return decoding.fail(node, "a key has 32 or more characters", hint: "openssl rand -hex 32")
      }
      return Secret(text)
    }, show: { .string($0.description) })

  /// A secret alone, or a mapping.
  private static let token = Codec<SecuritySettings.APIToken>(
    kind: "secret or mapping",
    read: { node, decoding in
      guard case .mapping = node.content else {
        return Codec<Secret>.token.read(node, &decoding).map { SecuritySettings.APIToken(token: $0) }
      }
      var start = SecuritySettings.APIToken()
      // Whoever writes the long form says what it may do.
      start.roles = []
      guard let token = Codec.object(start, tokenFields).read(node, &decoding) else { return nil }
      if token.token.isEmpty { return decoding.fail(node, "has no `token`") }
      if token.roles.isEmpty { return decoding.fail(node, "has no `roles`") }
      return token
    },
    show: { token in
      [
        "token": .string(token.token.description), "name": .string(token.name), "tenant": .string(token.tenant),
        "roles": .list(token.roles.map { .string($0.rawValue) }),
      ]
    })
}

extension Codec where T == Secret {
  /// A bearer token: long enough not to be guessed, and sendable in a header.
  static var token: Codec {
    Codec(
      kind: "secret",
      read: { node, decoding in
        guard let text = decoding.scalar(node, expected: "a text") else { return nil }
        guard text.count >= 16, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
          return decoding.fail(node, "a token has 16 or more visible ASCII characters", hint: "openssl rand -hex 24")
        }
        return Secret(text)
      }, show: { .string($0.description) })
  }
}
