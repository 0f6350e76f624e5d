import Base

/// `security`: who may use the API, what is kept of what they do, and what is kept out of the record.
public struct SecuritySettings: Sendable, Hashable {
  /// `security.api.tokens`: tokens beside those of the database; empty: the gateway makes one at its start and prints it.
  public var apiTokens: [APIToken] = []
  public var mtls = MutualTLSSettings()
  /// `security.state_keys`: what encrypts the state of live calls; the first encrypts, all decrypt.
  public var stateKeys: [Secret] = []
  public var jwt = JWT()
  public var rateLimit = RateLimit()
  /// `security.audit.enabled`.
  public var auditEnabled = true
  /// `security.pii.redact`.
  public var redact: [PersonalData] = []

  /// One entry of `security.api.tokens`.
  public struct APIToken: Sendable, Hashable {
    public var token = Secret("")
    /// What the audit log calls it.
    public var name = "configured"
    public var tenant = Tenant.standard
    public var roles: [Role] = [.admin]

    public init(token: Secret = Secret("")) { self.token = token }
  }

  /// `security.api.jwt`: tokens of an identity provider.
  public struct JWT: Sendable, Hashable {
    /// Where its keys are (RFC 7517); empty: no JWT is taken.
    public var jwksURL = ""
    /// What `iss` must be.
    public var issuer = ""
    /// What `aud` must hold.
    public var audience = ""
    /// The claim with the roles, with dots between the names of objects.
    public var rolesClaim = "roles"
    /// The claim with the tenant; empty: everybody is of the tenant `default`.
    public var tenantClaim = ""
    /// How far the clocks may differ.
    public var leeway: Duration = .seconds(60)

    public init() {}
  }

  /// `security.api.rate_limit`: for each token.
  public struct RateLimit: Sendable, Hashable {
    /// 0: no limit.
    public var requestsPerSecond = 1000.0
    public var burst = 2000

    public init() {}
  }

  public init() {}
}
