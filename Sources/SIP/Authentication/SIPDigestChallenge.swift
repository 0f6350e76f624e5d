/// One digest challenge (RFC 7616 3.3, RFC 3261 22.4).
public struct SIPDigestChallenge: Hashable, Sendable {
  public var realm: String
  public var nonce: String
  public var opaque: String?
  /// The last nonce had expired, the password may be right.
  public var isStale: Bool
  public var algorithm: SIPDigestAlgorithm
  /// The `-sess` form of the algorithm.
  public var isSession: Bool
  /// Empty for a server older than RFC 2617.
  public var protections: Set<SIPDigestProtection>

  public init(
    realm: String, nonce: String, opaque: String? = nil, isStale: Bool = false, algorithm: SIPDigestAlgorithm,
    isSession: Bool = false, protections: Set<SIPDigestProtection> = [.auth]
  ) {
    self.realm = realm
    self.nonce = nonce
    self.opaque = opaque
    self.isStale = isStale
    self.algorithm = algorithm
    self.isSession = isSession
    self.protections = protections
  }

  /// nil for another scheme, an algorithm or protection that we do not know, or without realm or nonce.
  init?(_ parameters: SIPAuthParameters) {
    guard parameters.isDigest, let realm = parameters["realm"], let nonce = parameters["nonce"], !nonce.isEmpty,
      let (algorithm, isSession) = SIPDigestAlgorithm.parse(parameters["algorithm"])
    else { return nil }
    self.realm = realm
    self.nonce = nonce
    opaque = parameters["opaque"]
    isStale = parameters["stale"].map { equalsIgnoringCase($0, "true") } ?? false
    self.algorithm = algorithm
    self.isSession = isSession
    protections = []
    guard let list = parameters["qop"] else { return }
    for part in SIPScanner.list(Array(list.utf8)[...]) {
      let name = String(decoding: part, as: UTF8.self).asciiLowercased
      if let protection = SIPDigestProtection(rawValue: name) { protections.insert(protection) }
    }
    if protections.isEmpty { return nil }
  }

  /// Every challenge of a header line that we can answer.
  package static func list(_ line: String) -> [SIPDigestChallenge] {
    SIPAuthParameters.list(line).compactMap { Self($0) }
  }

  /// The value of WWW-Authenticate or Proxy-Authenticate.
  public var headerValue: String {
    var out = "Digest realm=\(quote(realm)), nonce=\(quote(nonce))"
    if let opaque { out += ", opaque=\(quote(opaque))" }
    if isStale { out += ", stale=true" }
    out += ", algorithm=\(algorithm.rawValue)\(isSession ? "-sess" : "")"
    if !protections.isEmpty {
      // RFC 7616 3.3: qop is quoted in a challenge, and is not in credentials.
      out += ", qop=\"\(protections.map(\.rawValue).sorted().joined(separator: ","))\""
    }
    return out
  }
}

/// Who asks for the credentials: the last one (401) or a proxy on the way (407).
package enum SIPChallenger: Hashable, Sendable {
  case server, proxy

  var challengeName: SIPHeaderName { self == .server ? .wwwAuthenticate : .proxyAuthenticate }
  var credentialsName: SIPHeaderName { self == .server ? .authorization : .proxyAuthorization }
}

extension SIPMessage {
  /// The challenges that we can answer: for each challenger and realm the strongest, the first of equals (RFC 8760 2.4 leaves
  /// the choice to us). A response may carry those of several proxies and of the server (RFC 3261 22.3).
  package var challenges: [(challenger: SIPChallenger, challenge: SIPDigestChallenge)] {
    var out: [(challenger: SIPChallenger, challenge: SIPDigestChallenge)] = []
    var left = SIPAuthParameters.challengeLimit
    for challenger in [SIPChallenger.server, .proxy] {
      for line in lines(challenger.challengeName) {
        for challenge in SIPDigestChallenge.list(line) {
          left -= 1
          if left < 0 { return out }
          let known = out.firstIndex { $0.challenger == challenger && $0.challenge.realm == challenge.realm }
          if let known {
            if out[known].challenge.algorithm < challenge.algorithm { out[known].challenge = challenge }
          } else {
            out.append((challenger, challenge))
          }
        }
      }
    }
    return out
  }
}
