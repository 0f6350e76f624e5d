import Base
import Settings
import Testing

@Suite struct SecurityKeysTests {
  private func load(_ text: String) throws -> SecuritySettings {
    try ConfigurationLoader(environment: [:]).load(text: text, file: "config.yaml").configuration.security
  }

  private func problem(_ text: String) -> String {
    do {
      _ = try ConfigurationLoader(environment: [:]).load(text: text, file: "config.yaml")
      return ""
    } catch {
      return error.all.map(\.description).joined(separator: "\n")
    }
  }

  @Test func aTokenIsASecretOrSaysWhatItMayDo() throws {
    let security = try load(
      """
      security:
        api:
          tokens:
            - "0123456789abcdef"
            - { token: fedcba9876543210, name: crm, tenant: acme, roles: [ingest, viewer] }
      """)
    #expect(security.apiTokens.map { $0.token.reveal() } == ["0123456789abcdef", "fedcba9876543210"])
    #expect(security.apiTokens.map(\.tenant) == ["default", "acme"])
    #expect(security.apiTokens.map(\.roles) == [[.admin], [.ingest, .viewer]])
    #expect(security.apiTokens.map(\.name) == ["configured", "crm"])
  }

  @Test(arguments: [
    ("{ token: fedcba9876543210, name: crm, tenant: acme }", "roles"), ("{ name: crm, roles: [viewer] }", "token"),
    ("{ token: short, roles: [viewer] }", "16"), ("{ token: fedcba9876543210, roles: [root] }", "root"),
    ("{ token: fedcba9876543210, roles: [viewer], tenant: \"A B\" }", "tenant"),
    ("{ token: fedcba9876543210, role: viewer }", "did you mean `roles`"),
    ("fedcba9876543210, fedcba9876543210", "twice"),
  ])
  func aWrongTokenIsExplained(token: String, word: String) {
    let problem = problem("security: { api: { tokens: [\(token)] } }")
    #expect(problem.contains(word), "\(problem)")
    #expect(!problem.contains("fedcba9876543210"))
  }

  @Test func aProviderNeedsItsIssuerAndAudience() throws {
    let jwt = try load(
      """
      security: { api: { jwt: {
        jwks_url: "https://id.example/certs", issuer: "https://id.example", audience: parley,
        roles_claim: resource_access.parley.roles, tenant_claim: org, leeway: 10s } } }
      """
    ).jwt
    #expect(jwt.rolesClaim == "resource_access.parley.roles")
    #expect(jwt.tenantClaim == "org")
    #expect(jwt.leeway == .seconds(10))
    let alone = problem("security: { api: { jwt: { jwks_url: \"https://id.example/certs\" } } }")
    #expect(alone.contains("needs issuer and audience"))
    #expect(problem("security: { api: { jwt: { roles_claim: \"a..b\" } } }").contains("roles_claim"))
  }

  @Test func limitsAuditAndRedactionAreRead() throws {
    let security = try load(
      """
      security:
        api: { rate_limit: { requests_per_second: 2.5, burst: 10 } }
        audit: { enabled: false }
        pii: { redact: [card, email] }
      """)
    #expect(security.rateLimit.requestsPerSecond == 2.5 && security.rateLimit.burst == 10)
    #expect(!security.auditEnabled)
    #expect(security.redact == [.card, .email])
    #expect(problem("security: { pii: { redact: [cards] } }").contains("did you mean `card`"))
    #expect(problem("security: { pii: { redact: [card, card] } }").contains("twice"))
  }
}
