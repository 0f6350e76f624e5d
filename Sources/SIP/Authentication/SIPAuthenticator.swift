import Base

/// The server's half of digest (RFC 3261 22, RFC 7616, RFC 8760): makes challenges and checks what comes back.
///
/// Challenges leave no trace: a nonce carries its time and a number and is signed for its receiver. Only nonces that were used
/// with a right password are remembered, to refuse replays; only signed nonces count as wrong passwords, so that nobody can
/// have another address locked out.
public struct SIPAuthenticator: Sendable {
  public struct Options: Hashable, Sendable {
    /// Offered in this order; clients take the first that they know (RFC 8760 2.4).
    public var algorithms: [SIPDigestAlgorithm] = [.sha256, .md5]
    public var protections: Set<SIPDigestProtection> = [.auth]
    /// Whether credentials without `qop` (RFC 2617) are read. Their nonce serves once.
    public var allowsUnprotected = true
    /// Whether `uri` must name the user of the Request-URI. Hosts may differ, because proxies retarget.
    public var checksURI = true
    /// How long a nonce serves.
    public var nonceLifetime: Duration = .seconds(300)
    /// Nonces in use that are remembered; above it the oldest become stale.
    public var nonceLimit = 16_384
    /// Wrong passwords in a row of time after which nothing is checked any more: for one user from one source (an IPv4
    /// address or an IPv6 network of 64 bits), and for all users from it (an office behind one address has many).
    public var failuresPerUser = 5
    public var failuresPerSource = 50
    /// What counts as a row: so long after the last one, the count begins again.
    public var failureMemory: Duration = .seconds(600)
    /// How long nothing is checked; doubled every time up to the limit.
    public var backoff: Duration = .seconds(60)
    public var backoffLimit: Duration = .seconds(3_600)
    /// Sources and users that are remembered for it.
    public var failureLimit = 8_192

    public init() {}
  }

  public enum Verdict: Hashable, Sendable {
    /// The password is right.
    case accepted(user: String)
    /// There are no credentials, or none that can be checked.
    case missing
    /// The nonce is old, used up or of another process: a new one makes the same password good.
    case stale
    /// `until` is set where the source or user has just been locked out.
    case wrong(user: String, until: Instant?)
    /// Locked out: nothing has been checked.
    case blocked(until: Instant)
    /// Right for another request than this one.
    case mismatch(user: String)
  }

  /// Octets of a user's name that are looked at.
  private static let userLimit = 256

  public let options: Options
  private let hash: SIPDigestHash
  private let mac: @Sendable ([UInt8]) -> [UInt8]
  private let key: @Sendable (_ user: String, _ realm: String, SIPDigestAlgorithm) -> SIPDigestKey?
  private var issued: UInt64 = 0
  private var uses: SIPBoundedTable<UInt64, SIPNonceUse>
  /// The highest number of a nonce that had to be forgotten: what is not known up to here may have been used.
  private var forgotten: UInt64 = 0
  private var failures: SIPBoundedTable<String, Failures>

  private struct Failures: Sendable {
    var count = 0
    var lockouts = 0
    var last: Instant
    var blockedUntil: Instant?
  }

  /// - Parameters:
  ///   - mac: signs nonces: a keyed MAC of at least 16 bytes. The key must be this process's own, because nonces carry its clock.
  ///   - key: what a user has for a realm and algorithm; nil for one that is unknown. It takes the time of a known one.
  public init(
    options: Options = Options(), hash: SIPDigestHash, mac: @escaping @Sendable ([UInt8]) -> [UInt8],
    key: @escaping @Sendable (_ user: String, _ realm: String, SIPDigestAlgorithm) -> SIPDigestKey?
  ) {
    self.options = options
    self.hash = hash
    self.mac = mac
    self.key = key
    uses = SIPBoundedTable(limit: options.nonceLimit)
    failures = SIPBoundedTable(limit: options.failureLimit)
  }

  // MARK: Challenges

  /// WWW-Authenticate for a 401, one for each algorithm.
  public mutating func challenges(
    realm: String, for peer: SIPPeer, isStale: Bool = false, at now: Instant
  ) -> [SIPHeaderField] {
    issued += 1
    let nonce = sign(time: now.nanoseconds / 1_000_000, number: issued, realm, peer)
    return options.algorithms.map { algorithm in
      let challenge = SIPDigestChallenge(
        realm: realm, nonce: nonce, isStale: isStale, algorithm: algorithm, protections: options.protections)
      return SIPHeaderField(SIPHeaderName.wwwAuthenticate.text, challenge.headerValue)
    }
  }

  private func sign(time: Int64, number: UInt64, _ realm: String, _ peer: SIPPeer) -> String {
    let stamp = "\(String(UInt64(bitPattern: time), radix: 16)).\(String(number, radix: 16))"
    let mac = mac(Array("\(stamp)\n\(peer.host.asciiLowercased)\n\(realm)".utf8))
    return "\(stamp).\(mac.prefix(16).hexadecimal)"
  }

  /// The number of a nonce of ours for this peer, and whether it has expired; nil for any other.
  private func read(_ nonce: String, _ realm: String, _ peer: SIPPeer, at now: Instant) -> (UInt64, isExpired: Bool)? {
    let parts = nonce.split(separator: ".", omittingEmptySubsequences: false)
    guard nonce.utf8.count <= 80, parts.count == 3, parts[2].utf8.count == 32,
      let time = UInt64(parts[0], radix: 16), let number = UInt64(parts[1], radix: 16),
      equalsInConstantTime(sign(time: Int64(bitPattern: time), number: number, realm, peer), nonce)
    else { return nil }
    let age = (now.nanoseconds / 1_000_000).subtractingReportingOverflow(Int64(bitPattern: time))
    let isYoung = !age.overflow && age.partialValue >= 0 && age.partialValue <= options.nonceLifetime.milliseconds
    return (number, !isYoung)
  }

  // MARK: Credentials

  /// Checks a request's Authorization for a realm.
  public mutating func check(_ request: SIPMessage, realm: String, from peer: SIPPeer, at now: Instant) -> Verdict {
    let source = SIPIPAddress.source(peer.host)
    if let until = blocked(source, at: now) { return .blocked(until: until) }
    guard let given = credentials(request, realm) else { return .missing }
    let account = "\(source)\n\(given.user)"
    if let until = blocked(account, at: now) { return .blocked(until: until) }
    guard let (number, isExpired) = read(given.nonce, realm, peer, at: now), !isExpired else { return .stale }
    guard let use = use(number, given) else { return .stale }
    // A user that is unknown costs the same work and is told the same.
    let known = key(given.user, realm, given.algorithm)
    let ha1 = (known ?? .password("")).ha1(given.user, realm, given.algorithm, hash)
    let digest = given.digest(ha1: ha1, method: request.method, body: request.bodyBytes, hash: hash)
    guard equalsInConstantTime(digest, given.response), known != nil else {
      let until = [
        fail(account, limit: options.failuresPerUser, at: now), fail(source, limit: options.failuresPerSource, at: now),
      ].compactMap { $0 }.max()
      return .wrong(user: given.user, until: until)
    }
    guard !options.checksURI || names(given.uri, request) else { return .mismatch(user: given.user) }
    if let evicted = uses.set(use, for: number) { forgotten = max(forgotten, evicted.key) }
    return .accepted(user: given.user)
  }

  /// The first credentials for the realm that we could have asked for.
  private func credentials(_ request: SIPMessage, _ realm: String) -> SIPDigestCredentials? {
    for line in request.lines(.authorization) {
      for given in SIPDigestCredentials.list(line) where given.realm == realm && !given.isSession {
        guard given.user.utf8.count <= Self.userLimit, options.algorithms.contains(given.algorithm),
          given.protection.map({ options.protections.contains($0) }) ?? options.allowsUnprotected
        else { continue }
        return given
      }
    }
    return nil
  }

  /// The nonce's state after this use; nil where it has been used so before, or that cannot be known any more.
  private func use(_ number: UInt64, _ given: SIPDigestCredentials) -> SIPNonceUse? {
    guard var known = uses[number] else { return number > forgotten ? SIPNonceUse(first: given.count) : nil }
    return known.take(given.count) ? known : nil
  }

  /// RFC 7616 3.4.6: what is authorized must be what is asked.
  private func names(_ uri: String, _ request: SIPMessage) -> Bool {
    guard let asked = request.requestURI, let given = SIPURI(uri) else { return uri == request.requestURIText }
    return given.decodedUser == asked.decodedUser
  }

  // MARK: Wrong passwords

  private func blocked(_ key: String, at now: Instant) -> Instant? {
    guard let until = failures[key]?.blockedUntil, until > now else { return nil }
    return until
  }

  /// - Returns: until when it is locked out, where that begins now.
  private mutating func fail(_ key: String, limit: Int, at now: Instant) -> Instant? {
    var known = failures[key] ?? Failures(last: now)
    if now - known.last > options.failureMemory + (known.blockedUntil.map { max($0 - known.last, .zero) } ?? .zero) {
      known = Failures(last: now)
    }
    known.last = now
    known.count += 1
    known.blockedUntil = nil
    if known.count >= limit {
      // 2^20 times the first is beyond any limit.
      let backoff = min(options.backoff * (1 << min(known.lockouts, 20)), options.backoffLimit)
      known.blockedUntil = now + backoff
      known.lockouts += 1
      known.count = 0
    }
    failures[key] = known
    return known.blockedUntil
  }
}

/// The counts that a nonce has been used with: a window, because datagrams overtake each other.
struct SIPNonceUse: Hashable, Sendable {
  private static let width: UInt32 = 64

  private var highest: UInt32
  /// Bit n: the count n below the highest has been used.
  private var window: UInt64 = 1

  init(first: UInt32) { highest = first }

  /// - Returns: false for a count that was there before, or is too old to tell. 0, of credentials without count, is never new.
  mutating func take(_ count: UInt32) -> Bool {
    if count > highest {
      let step = count - highest
      window = step < Self.width ? window << UInt64(step) | 1 : 1
      highest = count
      return true
    }
    let age = highest - count
    guard count > 0, age < Self.width, window & (1 << UInt64(age)) == 0 else { return false }
    window |= 1 << UInt64(age)
    return true
  }
}
