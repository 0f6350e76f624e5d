import Base
import HTTPTypes
import Logging
import NIOConcurrencyHelpers
import Settings
import Storage

/// Says who asks, by their token, and whether they ask too often. Any thread.
///
/// A token is compared by its SHA-256, so that the time a comparison takes tells nothing of the token itself. Whatever is wrong
/// with a token, the answer is the same.
final class Gatekeeper: Sendable {
  private let access: APIAccess
  private let keys: JWTAuthority?
  private let configured: [[UInt8]: Principal]
  private let limits: NIOLockedValueBox<Limits>
  private let now: @Sendable () -> Instant
  private let logger: Logger

  private struct Limits {
    /// nil: no limit.
    var requests: TokenBuckets<String>?
    var failures = TokenBuckets<String>(
      TokenBucket(perSecond: AccessLimits.failuresPerSecond, burst: AccessLimits.failureBurst),
      limit: AccessLimits.senders)
  }

  init(
    _ access: APIAccess, keys: JWTAuthority?, now: @escaping @Sendable () -> Instant = Instant.monotonic, logger: Logger
  ) {
    self.access = access
    self.keys = keys
    self.now = now
    self.logger = logger
    configured = Dictionary(
      access.tokens.map { token in
        (
          SHA256.digest(Array(token.token.reveal().utf8)),
          Principal(id: token.name, tenant: token.tenant, roles: Set(token.roles))
        )
      }, uniquingKeysWith: { first, _ in first })
    var limits = Limits()
    let rate = access.rateLimit
    if rate.requestsPerSecond > 0 {
      limits.requests = TokenBuckets(
        TokenBucket(perSecond: rate.requestsPerSecond, burst: rate.burst), limit: AccessLimits.senders)
    }
    self.limits = NIOLockedValueBox(limits)
  }

  /// The principal of an `Authorization` header.
  /// - Parameter peer: the address that the request comes from.
  /// - Throws: 401, 429, or 503 where the token cannot be looked up.
  func admit(_ authorization: String?, peer: String) async throws(APIProblem) -> Principal {
    guard let authorization else {
      throw APIProblem(
        .unauthorized, "unauthorized", "send `Authorization: Bearer <token>`",
        headers: [.wwwAuthenticate: Self.challenge])
    }
    let principal = try await identify(authorization, peer: peer)
    try pace(principal)
    return principal
  }

  /// Whether the token of an `Authorization` header that was admitted is still good. Where that cannot be said now, it is.
  func stillAdmits(_ authorization: String?, peer: String) async -> Bool {
    guard let authorization else { return false }
    do {
      _ = try await identify(authorization, peer: peer)
      return true
    } catch {
      return error.status != .unauthorized
    }
  }

  /// RFC 6750 section 3.
  private static let challenge = "Bearer realm=\"parley\""

  private func identify(_ authorization: String, peer: String) async throws(APIProblem) -> Principal {
    let parts = authorization.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw unknown(peer) }
    let token = parts[1].drop { $0 == " " }
    guard token.utf8.count <= AccessLimits.tokenBytes else { throw unknown(peer) }
    if let principal = configured[SHA256.digest(Array(token.utf8))] { return principal }
    let nowMs = access.nowMs()
    if TokenStore.isToken(token), let record = access.store?.remembered(token, nowMs: nowMs) {
      return Principal(record)
    }
    // From here on a stranger could make us work: who failed too often waits.
    let key = Self.sender(peer)
    let wait = limits.withLockedValue { limits in
      limits.failures[key].remaining(at: now()) > 0 ? nil : limits.failures.take(key, at: now())
    }
    if let wait {
      throw APIProblem(
        .tooManyRequests, "too_many_failures", "too many tokens from this address were refused; wait a little",
        headers: [.retryAfter: Self.seconds(wait)])
    }
    do {
      if TokenStore.isToken(token) {
        if let record = try await access.store?.find(token, nowMs: nowMs) { return Principal(record) }
      } else if let keys, JWTText.isOne(token) {
        if let principal = await keys.principal(of: String(token)) { return principal }
      }
    } catch {
      logger.error("a token cannot be looked up", metadata: ["error": "\(error)"])
      throw APIProblem(
        .serviceUnavailable, "unavailable", "tokens cannot be looked up now; try again",
        headers: [.retryAfter: "5"])
    }
    throw unknown(peer)
  }

  private func unknown(_ peer: String) -> APIProblem {
    limits.withLockedValue { limits in _ = limits.failures.take(Self.sender(peer), at: now()) }
    return APIProblem(
      .unauthorized, "unauthorized", "the token is not known, or not valid any more",
      headers: [.wwwAuthenticate: Self.challenge + ", error=\"invalid_token\""])
  }

  /// One sender of many addresses: an IPv6 network of 64 bits belongs to one customer.
  private static func sender(_ peer: String) -> String {
    let groups = peer.split(separator: ":", omittingEmptySubsequences: false)
    guard groups.count > 2, !peer.hasPrefix("::ffff:"), let double = groups.dropFirst().firstIndex(of: "") else {
      return groups.count == 8 ? groups.prefix(4).joined(separator: ":") : peer
    }
    return groups.prefix(min(4, double)).joined(separator: ":") + "::"
  }

  // MARK: Limits

  private func pace(_ principal: Principal) throws(APIProblem) {
    let at = now()
    let refusal = limits.withLockedValue { limits -> (wait: Duration, bucket: TokenBucket)? in
      guard let wait = limits.requests?.take("\(principal.tenant) \(principal.id)", at: at) else { return nil }
      return limits.requests.map { (wait, $0["\(principal.tenant) \(principal.id)"]) }
    }
    guard let (wait, bucket) = refusal else { return }
    // draft-ietf-httpapi-ratelimit-headers-10
    let window = Int((Double(bucket.burst) / access.rateLimit.requestsPerSecond).rounded(.up))
    throw APIProblem(
      .tooManyRequests, "rate_limited",
      "this token may ask \(Self.words(access.rateLimit.requestsPerSecond)) times per second; wait a little",
      headers: [
        .retryAfter: Self.seconds(wait), .rateLimitPolicy: "\"token\";q=\(bucket.burst);w=\(max(1, window))",
        .rateLimit: "\"token\";r=0;t=\(Self.seconds(wait))",
      ])
  }

  /// Whole seconds, at least one: what `Retry-After` can say.
  private static func seconds(_ wait: Duration) -> String { String(max(1, (wait.milliseconds + 999) / 1000)) }

  private static func words(_ number: Double) -> String { Int(exactly: number).map { String($0) } ?? "\(number)" }

  // MARK: Roles

  /// - Throws: 403 with the roles that would do (RFC 6750 section 3.1).
  static func require(_ roles: Set<Role>, of principal: Principal) throws(APIProblem) {
    guard !principal.may(roles) else { return }
    let enough = Role.allCases.filter { $0 == .admin || roles.contains($0) }.map(\.rawValue)
    let own = Role.allCases.filter(principal.roles.contains).map(\.rawValue)
    throw APIProblem(
      .forbidden, "forbidden",
      "this needs the role \(enough.joined(separator: " or ")); the token has "
        + (own.isEmpty ? "none" : own.joined(separator: ", ")),
      headers: [
        .wwwAuthenticate: challenge + ", error=\"insufficient_scope\", scope=\"\(enough.joined(separator: " "))\""
      ])
  }
}

extension Principal {
  init(_ record: TokenRecord) { self.init(id: record.id, tenant: record.tenant, roles: record.roles) }
}

/// Limits of who may ask.
enum AccessLimits {
  /// The longest token that is looked at: a JWT with many roles.
  static let tokenBytes = 8 * 1024
  /// Tokens that are refused, per address: a person who mistypes one never notices, and a guesser would not get far anyway.
  static let failuresPerSecond = 5.0
  static let failureBurst = 50
  /// Tokens and addresses whose pace is remembered.
  static let senders = 20_000
  /// Denied requests that the audit log names one by one; a flood is counted.
  static let denialsPerSecond = 2.0
  static let denialBurst = 100
}

extension HTTPField.Name {
  // The names are tokens, which is all that the initialiser asks for.
  // swift-format-ignore: NeverForceUnwrap
  static let rateLimit = HTTPField.Name("RateLimit")!
  // swift-format-ignore: NeverForceUnwrap
  static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy")!
}
