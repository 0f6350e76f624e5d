import Base

/// A user that the other side knows: answers its challenges (RFC 3261 22.2).
public struct SIPCredentials: Sendable, CustomStringConvertible {
  public let user: String
  /// The realm that they are for. nil for whichever asks: only where nobody but the server itself can ask, because a digest for
  /// a realm of somebody's choice lets that one try passwords at leisure. A trunk that passes on its callees' challenges should
  /// have its realm named. Within a call nil means the realms that asked when it was placed.
  public let realm: String?
  private let key: @Sendable (_ realm: String, SIPDigestAlgorithm) -> SIPDigestKey?

  public init(user: String, password: String, realm: String? = nil) {
    self.init(user: user, realm: realm) { _, _ in .password(password) }
  }

  /// - Parameter key: what the user has for a realm and algorithm; nil where it has nothing, and the challenge is not
  ///   answered.
  public init(
    user: String, realm: String? = nil, key: @escaping @Sendable (_ realm: String, SIPDigestAlgorithm) -> SIPDigestKey?
  ) {
    self.user = user
    self.realm = realm
    self.key = key
  }

  /// Without the password.
  public var description: String { "SIPCredentials(\(user))" }

  func key(for challenge: SIPDigestChallenge) -> SIPDigestKey? {
    guard realm == nil || realm == challenge.realm else { return nil }
    return key(challenge.realm, challenge.algorithm)
  }
}

/// The client's half of digest: which nonces the servers have given, and how often each was used (RFC 3261 22.3, RFC 7616 3.6).
struct SIPClientAuthentication: Sendable {
  /// Who asks, and for which realm.
  struct Space: Hashable, Sendable {
    var challenger: SIPChallenger
    var realm: String
  }

  /// What one request has been through.
  struct Attempt: Sendable {
    let credentials: [SIPCredentials]
    var answered: Set<Space> = []
    var count = 0

    init(_ credentials: [SIPCredentials]) { self.credentials = credentials }
  }

  /// A proxy chain with one challenge each, and a stale nonce on the way; honest servers need no more.
  private static let attemptLimit = 4
  /// Servers remembered.
  private static let serverLimit = 1_024
  /// Realms remembered of one server.
  private static let realmLimit = 8

  private struct Nonce: Sendable {
    var space: Space
    var challenge: SIPDigestChallenge
    var clientNonce: String
    var count: UInt32 = 0
  }

  private struct Server: Hashable, Sendable {
    var address: SIPHostPort
    var user: String
  }

  private var nonces = SIPBoundedTable<Server, [Nonce]>(limit: serverLimit)

  /// Takes the challenges of a 401 or 407.
  /// - Parameter isTrusted: whether a realm gets credentials that name none.
  /// - Returns: whether another attempt is worth while: something can be answered that this request has not answered yet, or
  ///   its nonce had only expired.
  mutating func learn(
    _ response: SIPMessage, from peer: SIPPeer, _ attempt: inout Attempt, isTrusted: (String) -> Bool,
    random: inout SeededRandom
  ) -> Bool {
    attempt.count += 1
    guard attempt.count <= Self.attemptLimit else { return false }
    var isWorthwhile = false
    for (challenger, challenge) in response.challenges {
      let space = Space(challenger: challenger, realm: challenge.realm)
      let fitting = attempt.credentials.first {
        ($0.realm != nil || isTrusted(challenge.realm)) && $0.key(for: challenge) != nil
      }
      guard let credentials = fitting else { continue }
      let server = Server(address: SIPHostPort(host: peer.host, port: peer.port), user: credentials.user)
      var known = nonces[server] ?? []
      known.removeAll { $0.space == space }
      if attempt.answered.contains(space), !challenge.isStale {
        // The password is wrong: it is not offered again unasked.
        nonces[server] = known
        return false
      }
      if known.count >= Self.realmLimit { known.removeFirst() }
      known.append(Nonce(space: space, challenge: challenge, clientNonce: random.token(16)))
      nonces[server] = known
      attempt.answered.insert(space)
      isWorthwhile = true
    }
    return isWorthwhile
  }

  /// The credentials for a request: one header for each realm that the server is known to ask for.
  mutating func headers(
    _ method: SIPMethod, uri: String, body: ArraySlice<UInt8>, to peer: SIPPeer, _ credentials: [SIPCredentials],
    hash: SIPDigestHash
  ) -> [SIPHeaderField] {
    var out: [SIPHeaderField] = []
    var done: Set<Space> = []
    for user in credentials {
      let server = Server(address: SIPHostPort(host: peer.host, port: peer.port), user: user.user)
      guard var known = nonces[server] else { continue }
      for i in known.indices {
        guard let key = user.key(for: known[i].challenge), done.insert(known[i].space).inserted else { continue }
        known[i].count &+= 1
        let answer = SIPDigestCredentials(
          answering: known[i].challenge, user: user.user, key: key, count: known[i].count,
          clientNonce: known[i].clientNonce, method: method, uri: uri, body: body, hash: hash)
        out.append(SIPHeaderField(known[i].space.challenger.credentialsName.text, answer.headerValue))
      }
      nonces[server] = known
    }
    return out
  }
}
