import Base
import Crypto

/// Encrypts what stores keep of calls: a caller's words, a dialog's secrets, keys of media. AES-256-GCM; which call and role the
/// bytes belong to is authenticated with them, so that nobody can put one call's state in another's place.
public struct StateSeal: Sendable {
  /// Bytes that the text of a key must have at least: as many as the cipher's key.
  public static let keyBytes = 32

  private struct Key: Sendable {
    /// Names the key in what it has sealed; says nothing of the key itself.
    var id: [UInt8]
    var key: SymmetricKey
  }
  private let keys: [Key]

  /// - Parameter secrets: the first seals; all of them open, so that keys can be replaced while calls are live. nil
  ///   where there is none, or one is shorter than ``keyBytes``.
  public init?(_ secrets: [String]) {
    guard !secrets.isEmpty, secrets.allSatisfy({ $0.utf8.count >= Self.keyBytes }) else { return nil }
    keys = secrets.map { secret in
      let key = HKDF<Crypto.SHA256>.deriveKey(
        inputKeyMaterial: SymmetricKey(data: Array(secret.utf8)), info: Array("parley call state 1".utf8),
        outputByteCount: 32)
      let id = HKDF<Crypto.SHA256>.deriveKey(
        inputKeyMaterial: SymmetricKey(data: Array(secret.utf8)), info: Array("parley key name 1".utf8),
        outputByteCount: 4)
      return Key(id: id.withUnsafeBytes { Array($0) }, key: key)
    }
  }

  /// - Parameter place: what the bytes are for.
  func seal(_ bytes: [UInt8], for place: String) -> [UInt8]? {
    // Fails only for keys and nonces of a wrong length, which these are not; nothing is kept then.
    guard let box = try? AES.GCM.seal(bytes, using: keys[0].key, authenticating: Array(place.utf8)),
      let combined = box.combined
    else { return nil }
    return [1] + keys[0].id + Array(combined)
  }

  func open(_ sealed: [UInt8], for place: String) throws(StateDamage) -> [UInt8] {
    guard sealed.count > 5, sealed[0] == 1 else {
      throw StateDamage(description: "the state is not sealed as this process does it")
    }
    guard let key = keys.first(where: { $0.id == Array(sealed[1..<5]) }) else {
      throw StateDamage(
        description: "the state is sealed with a key that this process does not have (security.state_keys)")
    }
    do {
      let box = try AES.GCM.SealedBox(combined: sealed[5...])
      return Array(try AES.GCM.open(box, using: key.key, authenticating: Array(place.utf8)))
    } catch {
      throw StateDamage(description: "the state is damaged, or another call's")
    }
  }
}
