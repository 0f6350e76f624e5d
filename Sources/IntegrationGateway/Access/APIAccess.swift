import Base
import Settings
import Storage
import Telemetry

/// How the API knows who asks, how often they may, and what it keeps of what they do.
public struct APIAccess: Sendable {
  /// The tokens of the configuration, or the one that the gateway made for itself.
  public var tokens: [SecuritySettings.APIToken]
  /// The tokens that were made since; nil: there are none, and the API makes none.
  public var store: TokenStore?
  /// With an empty `jwksURL` no JWT is taken.
  public var jwt = SecuritySettings.JWT()
  public var rateLimit: SecuritySettings.RateLimit
  /// nil: nothing is kept.
  public var audit: AuditLog?
  /// What `GET /v1/audit` reads.
  public var trail: AuditStore?
  /// Wall-clock milliseconds since 1970, for the ends of tokens.
  public var nowMs: @Sendable () -> Int64 = WallClock.nowMilliseconds

  public init(
    tokens: [SecuritySettings.APIToken] = [], rateLimit: SecuritySettings.RateLimit = SecuritySettings.RateLimit()
  ) {
    self.tokens = tokens
    self.rateLimit = rateLimit
  }
}
