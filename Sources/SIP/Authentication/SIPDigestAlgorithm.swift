import Base

/// A hash of digest authentication (RFC 7616 3.3, RFC 8760 2.1), from weak to strong.
public enum SIPDigestAlgorithm: String, Hashable, Sendable, CaseIterable, Comparable {
  case md5 = "MD5"
  case sha256 = "SHA-256"
  /// SHA-512/256 of FIPS 180-4 with its own initial value, not a shortened SHA-512.
  case sha512256 = "SHA-512-256"

  private var strength: Int {
    switch self {
    case .md5: 0
    case .sha256: 1
    case .sha512256: 2
    }
  }

  public static func < (a: SIPDigestAlgorithm, b: SIPDigestAlgorithm) -> Bool { a.strength < b.strength }

  /// Reads the `algorithm` parameter: in any case, with `-sess` or without. Absent means MD5. nil for one that we do not know.
  static func parse(_ text: String?) -> (algorithm: SIPDigestAlgorithm, isSession: Bool)? {
    guard let text else { return (.md5, false) }
    for algorithm in allCases {
      if equalsIgnoringCase(text, algorithm.rawValue) { return (algorithm, false) }
      if equalsIgnoringCase(text, algorithm.rawValue + "-sess") { return (algorithm, true) }
    }
    return nil
  }
}

/// The hashes themselves. This room has none of its own: the owner hands in those of its cryptographic library.
public struct SIPDigestHash: Sendable {
  private let hash: @Sendable (SIPDigestAlgorithm, [UInt8]) -> [UInt8]

  /// - Parameter hash: gives the digest's bytes: 16 for MD5, 32 for the others.
  public init(_ hash: @escaping @Sendable (SIPDigestAlgorithm, [UInt8]) -> [UInt8]) { self.hash = hash }

  /// Lower-case hexadecimal digits, as digests go into other digests (RFC 7616 3.4.1).
  func hex(_ algorithm: SIPDigestAlgorithm, _ text: String) -> String {
    hash(algorithm, Array(text.utf8)).hexadecimal
  }

  func hex(_ algorithm: SIPDigestAlgorithm, bytes: some Sequence<UInt8>) -> String {
    hash(algorithm, Array(bytes)).hexadecimal
  }
}

/// What a digest of a user is made from. Its description says nothing of it.
public enum SIPDigestKey: Sendable, CustomStringConvertible {
  case password(String)
  /// H(user:realm:password) in hexadecimal digits, for the algorithm and realm that were asked for.
  case ha1(String)

  public var description: String { "SIPDigestKey" }

  package func ha1(_ user: String, _ realm: String, _ algorithm: SIPDigestAlgorithm, _ hash: SIPDigestHash) -> String {
    switch self {
    case .password(let password): hash.hex(algorithm, "\(user):\(realm):\(password)")
    case .ha1(let digest): digest.asciiLowercased
    }
  }
}

/// What the digest covers (RFC 7616 3.4.3).
public enum SIPDigestProtection: String, Hashable, Sendable, CaseIterable {
  /// Method and URI.
  case auth
  /// The body too.
  case authInt = "auth-int"
}

/// The inputs of one response value (RFC 7616 3.4.1 to 3.4.3; without ``protection`` that of RFC 2617 3.2.2.1).
struct SIPDigestInputs {
  var algorithm: SIPDigestAlgorithm
  var isSession: Bool
  var nonce: String
  /// nil: as before RFC 2617, which old servers still want.
  var protection: SIPDigestProtection?
  /// `nc` as it is written: eight hexadecimal digits.
  var count: String
  var clientNonce: String
  var method: String
  var uri: String

  /// - Parameter ha1: H(user:realm:password).
  func response(ha1: String, body: some Sequence<UInt8>, hash: SIPDigestHash) -> String {
    let secret = isSession ? hash.hex(algorithm, "\(ha1):\(nonce):\(clientNonce)") : ha1
    var request = "\(method):\(uri)"
    if protection == .authInt { request += ":" + hash.hex(algorithm, bytes: body) }
    let digest = hash.hex(algorithm, request)
    guard let protection else { return hash.hex(algorithm, "\(secret):\(nonce):\(digest)") }
    return hash.hex(algorithm, "\(secret):\(nonce):\(count):\(clientNonce):\(protection.rawValue):\(digest)")
  }
}
