import Base

/// The value of Authorization or Proxy-Authorization (RFC 7616 3.4).
public struct SIPDigestCredentials: Hashable, Sendable {
  public var user: String
  public var realm: String
  public var nonce: String
  public var uri: String
  /// Hexadecimal digits.
  public var response: String
  public var algorithm: SIPDigestAlgorithm
  public var isSession: Bool
  /// nil: as before RFC 2617; then there is no count either.
  public var protection: SIPDigestProtection?
  /// How often the nonce has been used with this request; 0 without ``protection``.
  public var count: UInt32
  public var clientNonce: String
  public var opaque: String?
  /// `nc` as it came, because it goes into the digest.
  private var countText: String

  /// nil where something is missing or stands twice, or the algorithm is not ours.
  init?(_ parameters: SIPAuthParameters) {
    guard parameters.isDigest, !parameters.hasDuplicates, let realm = parameters["realm"],
      let nonce = parameters["nonce"], let uri = parameters["uri"], let response = parameters["response"],
      let (algorithm, isSession) = SIPDigestAlgorithm.parse(parameters["algorithm"]),
      let user = parameters["username"] ?? Self.extended(parameters["username*"])
    else { return nil }
    self.user = user
    self.realm = realm
    self.nonce = nonce
    self.uri = uri
    self.response = response.asciiLowercased
    self.algorithm = algorithm
    self.isSession = isSession
    opaque = parameters["opaque"]
    clientNonce = parameters["cnonce"] ?? ""
    countText = parameters["nc"] ?? ""
    count = 0
    if let name = parameters["qop"] {
      guard let protection = SIPDigestProtection(rawValue: name.asciiLowercased), countText.utf8.count == 8,
        countText.utf8.allSatisfy(isHexDigit), let number = UInt32(countText, radix: 16), number > 0,
        !clientNonce.isEmpty
      else { return nil }
      self.protection = protection
      count = number
    }
  }

  /// Every credential of a header line that can be read.
  package static func list(_ line: String) -> [SIPDigestCredentials] {
    SIPAuthParameters.list(line).compactMap { Self($0) }
  }

  /// Answers a challenge.
  /// - Parameter count: from 1, one more with every request that uses the nonce.
  package init(
    answering challenge: SIPDigestChallenge, user: String, key: SIPDigestKey, count: UInt32, clientNonce: String,
    method: SIPMethod, uri: String, body: ArraySlice<UInt8>, hash: SIPDigestHash
  ) {
    self.user = user
    realm = challenge.realm
    nonce = challenge.nonce
    self.uri = uri
    algorithm = challenge.algorithm
    isSession = challenge.isSession
    // auth-int only where nothing else is offered: anything on the way that rewrites a session description would break it.
    protection = challenge.protections.contains(.auth) ? .auth : challenge.protections.first
    self.count = protection == nil ? 0 : count
    // RFC 7616 3.4: no cnonce without qop, except that the -sess forms hash it in any case.
    self.clientNonce = protection != nil || challenge.isSession ? clientNonce : ""
    opaque = challenge.opaque
    let digits = String(count, radix: 16)
    countText = protection == nil ? "" : String(repeating: "0", count: 8 - digits.utf8.count) + digits
    response = ""
    response = digest(
      ha1: key.ha1(user, realm, algorithm, hash), method: method, body: body, hash: hash)
  }

  /// What ``response`` has to be.
  package func digest(ha1: String, method: SIPMethod, body: ArraySlice<UInt8>, hash: SIPDigestHash) -> String {
    SIPDigestInputs(
      algorithm: algorithm, isSession: isSession, nonce: nonce, protection: protection, count: countText,
      clientNonce: clientNonce, method: method.name, uri: uri
    ).response(ha1: ha1, body: body, hash: hash)
  }

  /// The header's value.
  public var headerValue: String {
    var out = "Digest username=\(quote(user)), realm=\(quote(realm)), nonce=\(quote(nonce)), uri=\(quote(uri))"
    out += ", response=\"\(response)\", algorithm=\(algorithm.rawValue)\(isSession ? "-sess" : "")"
    if !clientNonce.isEmpty { out += ", cnonce=\(quote(clientNonce))" }
    if let opaque { out += ", opaque=\(quote(opaque))" }
    if let protection { out += ", qop=\(protection.rawValue), nc=\(countText)" }
    return out
  }

  /// `UTF-8''percent-escaped` of `username*` (RFC 7616 3.4, RFC 5987 3.2).
  private static func extended(_ text: String?) -> String? {
    guard let text, equalsIgnoringCase(String(text.prefix(7)), "UTF-8''") else { return nil }
    return SIPURI(scheme: .sip, user: String(text.dropFirst(7)), host: "").decodedUser
  }
}

/// Whether two texts are the same, in a time that depends only on their lengths.
func equalsInConstantTime(_ a: String, _ b: String) -> Bool {
  let (a, b) = (Array(a.utf8), Array(b.utf8))
  guard a.count == b.count else { return false }
  var difference: UInt8 = 0
  for i in a.indices { difference |= a[i] ^ b[i] }
  return difference == 0
}
