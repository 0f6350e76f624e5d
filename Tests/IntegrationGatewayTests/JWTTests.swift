import Base
import Crypto
import CryptoExtras
import FoundationEssentials
import IntegrationGateway
import NIOConcurrencyHelpers
import Outbound
import ScriptedServers
import Settings
import Storage
import Telemetry
import Testing

/// Tokens of an identity provider, over real sockets: a provider that serves keys, and a gateway that believes them.
@Suite struct JWTTests {
  /// A provider with one key of each kind; tests take it down.
  private struct Provider {
    let keys: Keys
    let isDown = NIOLockedValueBox(false)
    let http: ScriptedHTTPServer

    init() throws {
      let keys = Keys(rsa: try _RSA.Signing.PrivateKey(keySize: .bits2048))
      let document = JSON.encode(["keys": .list(try keys.published)])
      self.keys = keys
      http = ScriptedHTTPServer { [isDown] _ in
        isDown.withLockedValue { $0 }
          ? ScriptedHTTPServer.Step.answer(503, "") : ScriptedHTTPServer.Step.answer(200, document)
      }
    }

    func token(
      _ algorithm: String = "ES256", kid: String? = "p256", header: [String: Value] = [:],
      claims: [String: Value?] = [:]
    ) throws -> String {
      try keys.token(algorithm, kid: kid, header: header, claims)
    }
  }

  private struct Keys {
    let rsa: _RSA.Signing.PrivateKey
    let p256 = P256.Signing.PrivateKey()
    let p384 = P384.Signing.PrivateKey()
    let ed25519 = Curve25519.Signing.PrivateKey()

    var published: [Value] {
      get throws {
        func point(_ bytes: Data) -> (Value, Value) {
          let half = bytes.count / 2
          return (.string(base64url(bytes.prefix(half))), .string(base64url(bytes.suffix(half))))
        }
        let numbers = try rsa.publicKey.getKeyPrimitives()
        let (x256, y256) = point(p256.publicKey.rawRepresentation)
        let (x384, y384) = point(p384.publicKey.rawRepresentation)
        return [
          ["kty": "oct", "kid": "hmac", "alg": "HS256", "k": "c2VjcmV0"],
          [
            "kty": "RSA", "kid": "rsa", "use": "sig", "n": .string(base64url(numbers.modulus)),
            "e": .string(base64url(numbers.publicExponent)),
          ],
          ["kty": "EC", "crv": "P-256", "kid": "p256", "alg": "ES256", "x": x256, "y": y256],
          ["kty": "EC", "crv": "P-384", "kid": "p384", "x": x384, "y": y384],
          [
            "kty": "OKP", "crv": "Ed25519", "kid": "ed25519",
            "x": .string(base64url(ed25519.publicKey.rawRepresentation)),
          ],
        ]
      }
    }

    /// A token in the compact form, signed as its algorithm says.
    func token(
      _ algorithm: String, kid: String?, header more: [String: Value], _ changes: [String: Value?]
    ) throws -> String {
      var header: [String: Value] = ["alg": .string(algorithm), "typ": "JWT"]
      if let kid { header["kid"] = .string(kid) }
      header.merge(more) { _, new in new }
      var claims: [String: Value] = [
        "iss": "https://id.example/realms/main", "aud": ["account", "parley"], "sub": "f00d", "exp": 1_800_000_300,
        "nbf": 1_799_999_000, "resource_access": ["parley": ["roles": ["viewer", "operator", "offline_access"]]],
      ]
      for (name, value) in changes { claims[name] = value }
      let signed =
        base64url(Data(JSON.encode(.map(header)).utf8)) + "." + base64url(Data(JSON.encode(.map(claims)).utf8))
      return signed + "." + base64url(try signature(algorithm, Data(signed.utf8)))
    }

    private func signature(_ algorithm: String, _ data: Data) throws -> Data {
      switch algorithm {
      case "RS256":
        return try rsa.signature(for: Crypto.SHA256.hash(data: data), padding: .insecurePKCS1v1_5).rawRepresentation
      case "PS256": return try rsa.signature(for: Crypto.SHA256.hash(data: data), padding: .PSS).rawRepresentation
      case "ES256": return try p256.signature(for: data).rawRepresentation
      case "ES384": return try p384.signature(for: data).rawRepresentation
      case "EdDSA": return try ed25519.signature(for: data)
      case "HS256":
        // The classic forgery: the public key is the secret.
        return Data(
          HMAC<Crypto.SHA256>.authenticationCode(for: data, using: SymmetricKey(data: p256.publicKey.rawRepresentation))
        )
      default: return Data()
      }
    }
  }

  private func with(
    _ change: (inout SecuritySettings.JWT) -> Void = { _ in }, _ body: (Gateway, Provider) async throws -> Void
  ) async throws {
    let provider = try Provider()
    let port = try await provider.http.start()
    var access = APIAccess()
    access.jwt.jwksURL = "http://127.0.0.1:\(port)/certs"
    access.jwt.issuer = "https://id.example/realms/main"
    access.jwt.audience = "parley"
    access.jwt.rolesClaim = "resource_access.parley.roles"
    access.nowMs = { 1_800_000_000_000 }
    change(&access.jwt)
    try await Gateway.with(access: access) { gateway async throws in try await body(gateway, provider) }
    await provider.http.stop()
  }

  private func status(_ gateway: Gateway, _ token: String, _ path: String = "/v1/calls") async throws -> Int {
    try await gateway.send(gateway.request(path, token: token)).status
  }

  @Test(arguments: [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("ES384", "p384"), ("EdDSA", "ed25519")])
  func everyKindOfKeyOpens(algorithm: String, kid: String) async throws {
    try await with { gateway, provider async throws in
      #expect(try await status(gateway, try provider.token(algorithm, kid: kid)) == 200)
      #expect(try await status(gateway, try provider.token(algorithm, kid: nil)) == 200, "the keys are tried")
      // The very same token with one bit of its signature changed.
      var broken = Array(try provider.token(algorithm, kid: kid))
      let at = broken.count - 20
      broken[at] = broken[at] == "A" ? "B" : "A"
      #expect(try await status(gateway, String(broken)) == 401)
      #expect(provider.http.requests.count == 1, "the keys are kept")
    }
  }

  @Test func rolesAndTenantComeFromTheClaims() async throws {
    try await with({ $0.tenantClaim = "org.name" }) { gateway, provider async throws in
      let org: [String: Value?] = ["org": ["name": "acme"]]
      #expect(try await status(gateway, try provider.token(claims: org)) == 200)
      #expect(try await status(gateway, try provider.token(claims: org), "/v1/tokens") == 403, "no admin")
      let none: [String: Value?] = ["org": ["name": "acme"], "resource_access": .some(nil)]
      #expect(try await status(gateway, try provider.token(claims: none)) == 403, "no role")
      #expect(try await status(gateway, try provider.token()) == 401, "no tenant")
      #expect(try await status(gateway, try provider.token(claims: ["org": ["name": "../x"]])) == 401)
    }
  }

  @Test(
    arguments: [
      ["iss": "https://evil.example"], ["iss": .null], ["aud": "account"], ["aud": .null], ["aud": ["PARLEY"]],
      ["exp": 1_799_999_939], ["exp": .null], ["exp": "never"], ["nbf": 1_800_000_061], ["nbf": "now"], ["sub": ""],
      ["sub": .null],
    ] as [[String: Value]])
  func aTokenThatIsNotForUsIsRefused(claims: [String: Value]) async throws {
    try await with { gateway, provider async throws in
      #expect(try await status(gateway, try provider.token(claims: claims.mapValues { $0 })) == 401)
      #expect(provider.http.requests.isEmpty, "nobody is asked for such a token")
    }
  }

  @Test func clocksMayDifferALittle() async throws {
    try await with { gateway, provider async throws in
      #expect(
        try await status(gateway, try provider.token(claims: ["exp": 1_799_999_941, "nbf": 1_800_000_060])) == 200)
    }
  }

  @Test func forgedTokensAreRefused() async throws {
    try await with { gateway, provider async throws in
      #expect(try await status(gateway, try provider.token()) == 200)
      let good = try provider.token().split(separator: ".").map(String.init)
      let forged = [
        try provider.token("none", kid: "p256"), try provider.token("none", kid: nil),
        try provider.token("HS256", kid: "hmac"),
        try provider.token("HS256", kid: "p256"), try provider.token("HS256", kid: nil),
        // Another algorithm or key than the header says.
        try provider.token("RS256", kid: "p256"), try provider.token("ES256", kid: "rsa"),
        try provider.token("ES256", header: ["crit": ["exp"]]),
        try provider.token("ES256", header: ["typ": "logout+jwt"]),
        "\(good[0]).\(good[1]).", "\(good[0]).\(good[1])", "..", "\(good[0])=.\(good[1]).\(good[2])",
        "\(good[0]).\(base64url(Data("{}".utf8))).\(good[2])",
      ]
      for token in forged { #expect(try await status(gateway, token) == 401, "\(token)") }
    }
  }

  @Test func aNewKeyIsFetchedButNotForEveryGuess() async throws {
    try await with { gateway, provider async throws in
      #expect(try await status(gateway, try provider.token()) == 200)
      for i in 1...20 { #expect(try await status(gateway, try provider.token(kid: "guess\(i)")) == 401) }
      #expect(provider.http.requests.count <= 2)
    }
  }

  @Test func aProviderThatIsDownKeepsNobodyOutWhoseKeyIsKnown() async throws {
    try await with { gateway, provider async throws in
      #expect(try await status(gateway, try provider.token()) == 200)
      provider.isDown.withLockedValue { $0 = true }
      #expect(try await status(gateway, try provider.token(claims: ["sub": "someone"])) == 200)
      #expect(try await status(gateway, try provider.token("ES256", kid: "new")) == 401)
      #expect(try await status(gateway, try provider.token()) == 200)
    }
  }
}

private func base64url(_ data: some DataProtocol) -> String {
  Data(data).base64EncodedString().filter { $0 != "=" }.map { $0 == "+" ? "-" : $0 == "/" ? "_" : String($0) }.joined()
}
