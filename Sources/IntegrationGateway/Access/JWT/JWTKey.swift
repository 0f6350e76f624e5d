import Base
import Crypto
import CryptoExtras

/// One public key of an identity provider (RFC 7517), and what it may verify.
///
/// The key's type decides which algorithms it can be used with, never the token: `none` and HMAC do not exist here.
struct JWTKey: Sendable {
  private enum Material: Sendable {
    case rsa(_RSA.Signing.PublicKey)
    case p256(P256.Signing.PublicKey)
    case p384(P384.Signing.PublicKey)
    case ed25519(Curve25519.Signing.PublicKey)
  }

  let id: String?
  /// nil: every algorithm of its type.
  private let algorithm: String?
  private let material: Material

  /// RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864.
  static let algorithms: Set = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]

  /// A provider has a few keys: those of today, of tomorrow and of yesterday.
  static let limit = 64

  /// The keys of a set (RFC 7517 section 5) that can be used here; nil for what is no set.
  static func set(_ document: [UInt8]) -> [JWTKey]? {
    guard case .list(let items)? = (try? JSON.decode(document))?["keys"] else { return nil }
    return items.prefix(limit).compactMap { JWTKey($0) }
  }

  /// nil for a key that is not for signatures, of another type, or not sound.
  init?(_ value: Value) {
    func text(_ name: String) -> String? { value[name]?.stringValue }
    func bytes(_ name: String) -> [UInt8]? { text(name).flatMap { JWTText.decode($0.utf8) } }
    if let use = text("use"), use != "sig" { return nil }
    if case .list(let uses)? = value["key_ops"], !uses.contains("verify") { return nil }
    id = text("kid")
    algorithm = text("alg")
    if let algorithm, !Self.algorithms.contains(algorithm) { return nil }
    switch (text("kty"), text("crv")) {
    case ("RSA", _):
      // RFC 7518 section 3.3: 2048 bits or more; far more would only cost time.
      guard let n = bytes("n"), let e = bytes("e"), (256...1024).contains(n.drop { $0 == 0 }.count), e.count <= 8,
        let key = try? _RSA.Signing.PublicKey(n: n, e: e)
      else { return nil }
      material = .rsa(key)
    case ("EC", "P-256"):
      guard let x = bytes("x"), let y = bytes("y"), x.count == 32, y.count == 32,
        let key = try? P256.Signing.PublicKey(rawRepresentation: x + y)
      else { return nil }
      material = .p256(key)
    case ("EC", "P-384"):
      guard let x = bytes("x"), let y = bytes("y"), x.count == 48, y.count == 48,
        let key = try? P384.Signing.PublicKey(rawRepresentation: x + y)
      else { return nil }
      material = .p384(key)
    case ("OKP", "Ed25519"):
      guard let x = bytes("x"), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: x) else { return nil }
      material = .ed25519(key)
    default: return nil
    }
  }

  /// Whether this key signed the token.
  func verifies(_ token: JWTText) -> Bool {
    if let algorithm, algorithm != token.algorithm { return false }
    switch (token.algorithm, material) {
    case ("RS256", .rsa(let key)): return verifies(token, key, .insecurePKCS1v1_5)
    case ("PS256", .rsa(let key)): return verifies(token, key, .PSS)
    case ("ES256", .p256(let key)):
      guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: token.signature) else { return false }
      return key.isValidSignature(signature, for: token.signed)
    case ("ES384", .p384(let key)):
      guard let signature = try? P384.Signing.ECDSASignature(rawRepresentation: token.signature) else { return false }
      return key.isValidSignature(signature, for: token.signed)
    case ("EdDSA", .ed25519(let key)), ("Ed25519", .ed25519(let key)):
      return key.isValidSignature(token.signature, for: token.signed)
    default: return false
    }
  }

  private func verifies(_ token: JWTText, _ key: _RSA.Signing.PublicKey, _ padding: _RSA.Signing.Padding) -> Bool {
    key.isValidSignature(
      _RSA.Signing.RSASignature(rawRepresentation: token.signature), for: Crypto.SHA256.hash(data: token.signed),
      padding: padding)
  }
}
