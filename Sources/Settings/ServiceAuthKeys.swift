import Base

/// The keys of `auth` of a service: `type`, and what the type needs.
enum ServiceAuthKeys {
  private enum Kind: String, CaseIterable, Sendable {
    case none, bearer, apiKey = "api_key", basic, hmac, oauth2, mtls

    var needed: Set<String> {
      switch self {
      case .none: []
      case .bearer: ["token"]
      case .apiKey: ["key"]
      case .basic: ["username", "password"]
      case .hmac: ["secret"]
      case .oauth2: ["token_url", "client_id", "client_secret"]
      case .mtls: ["cert", "key"]
      }
    }

    var allowed: Set<String> {
      switch self {
      case .none, .bearer, .basic, .hmac, .mtls: needed.union(["type"])
      case .apiKey: needed.union(["type", "header"])
      case .oauth2: needed.union(["type", "scopes", "audience", "client_auth"])
      }
    }
  }

  /// All keys, before they are put together.
  private struct Draft: Sendable {
    var type = Kind.none
    var token = Secret("")
    var header = "X-API-Key"
    /// The API key, or the path of the private key.
    var key = Secret("")
    var username = ""
    var password = Secret("")
    var secrets: [Secret] = []
    var certificate = ""
    var oauth2 = IntegrationSettings.OAuth2()
  }

  private static let fields: [Field<Draft>] = [
    .key("type", \.type, .choice(), ""),
    .key("token", \.token, .secret, ""),
    .key("header", \.header, .checked("a header name", IntegrationSettings.isHeaderName), ""),
    .key("key", \.key, .secret, ""),
    .key("username", \.username, .text(limit: 256), ""),
    .key("password", \.password, .secret, ""),
    .key("secret", \.secrets, .list(of: .secret, "secret, or a list of two", count: 1...2, distinct: true), ""),
    .key("cert", \.certificate, .text("path of a PEM file", allowEmpty: false), ""),
    .key("token_url", \.oauth2.tokenURL, .url(credentials: "use `client_id` and `client_secret`"), ""),
    .key("client_id", \.oauth2.clientID, .text(limit: 512, allowEmpty: false), ""),
    .key("client_secret", \.oauth2.clientSecret, .secret, ""),
    .key(
      "scopes", \.oauth2.scopes,
      .list(of: .checked("a scope", isScope), "list of scopes", count: 0...50, distinct: true), ""),
    .key("audience", \.oauth2.audience, .text(limit: 1024), ""),
    .key("client_auth", \.oauth2.clientAuthentication, .choice(), ""),
  ]

  static let auth = Codec<IntegrationSettings.Authentication>(
    kind:
      "`type` none; bearer with `token`; api_key with `header`, `key`; basic with `username`, `password`; hmac with `secret`; oauth2 with `token_url`, `client_id`, `client_secret`, maybe `scopes`, `audience`, `client_auth` (basic, post); mtls with `cert`, `key`",
    shape: .mapping,
    read: { node, decoding in
      guard let draft = Codec.object(Draft(), fields).read(node, &decoding) else { return nil }
      var present: Set<String> = []
      for (key, _) in decoding.pairs(node) ?? [] {
        let name = key.text ?? ""
        present.insert(name)
        if !draft.type.allowed.contains(name) {
          return decoding.fail(
            key, "`\(name)` has no effect with type \(draft.type.rawValue)", code: ConfigurationCode.contradiction)
        }
      }
      if let missing = draft.type.needed.subtracting(present).sorted().first {
        return decoding.fail(node, "type \(draft.type.rawValue) needs `\(missing)`")
      }
      switch draft.type {
      case .none: return IntegrationSettings.Authentication.none
      case .bearer: return .bearer(token: draft.token)
      case .apiKey: return .apiKey(header: draft.header, key: draft.key)
      case .basic:
        if draft.username.contains(":") { return decoding.fail(node, "a username cannot hold a colon (RFC 7617)") }
        return .basic(username: draft.username, password: draft.password)
      case .hmac: return .hmac(secrets: draft.secrets)
      case .oauth2: return .oauth2(draft.oauth2)
      case .mtls: return .mtls(certificate: draft.certificate, key: draft.key.reveal())
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
      case .hmac(let secrets): ["type": "hmac", "secret": .list(secrets.map { .string($0.description) })]
      case .oauth2(let settings): show(settings)
      case .mtls(let certificate, let key):
        ["type": "mtls", "cert": .string(certificate), "key": .string(key)]
      }
    })

  private static func show(_ settings: IntegrationSettings.OAuth2) -> Value {
    [
      "type": "oauth2", "token_url": .string(settings.tokenURL), "client_id": .string(settings.clientID),
      "client_secret": .string(settings.clientSecret.description),
      "scopes": .list(settings.scopes.map { .string($0) }), "audience": .string(settings.audience),
      "client_auth": .string(settings.clientAuthentication.rawValue),
    ]
  }

  /// RFC 6749 section 3.3.
  private static func isScope(_ text: String) -> Bool {
    (1...256).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
  }
}
