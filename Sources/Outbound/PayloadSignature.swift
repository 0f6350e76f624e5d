import Base
import Crypto
import Settings

/// Signs the bodies that the gateway sends, so that their receiver knows who sent them and when: HMAC-SHA256 (RFC 2104) over
/// `timestamp.body`, in the header ``header`` as `t=1700000000,v1=<hex>`.
///
/// With several secrets there is one `v1` for each: while a secret is exchanged, a receiver that knows either is content.
/// Hooks with `auth` type hmac and webhooks are signed alike. Safe to use from any thread.
public struct PayloadSignature: Sendable {
  public static let header = "X-Parley-Signature-256"
  /// The same timestamp, for receivers that only log it.
  public static let timestampHeader = "X-Parley-Timestamp"
  /// How far a receiver's clock may be off: an older signature may be somebody's recording of it.
  public static let tolerance: Duration = .seconds(300)

  private let secrets: [Secret]

  /// - Parameter secrets: the newest first; the bytes of their UTF-8 text are the key.
  public init(secrets: [Secret]) { self.secrets = secrets }

  /// The value of ``header``.
  /// - Parameter timestamp: seconds since 1970, when the body is sent.
  public func value(body: [UInt8], timestamp: Int64) -> String {
    let parts = secrets.map { "v1=" + Self.code(body, timestamp, $0).hexadecimal }
    return (["t=\(timestamp)"] + parts).joined(separator: ",")
  }

  /// Whether `value` was made of this body by somebody who knows one of the secrets, within ``tolerance`` of `now`.
  /// Takes the same time for every wrong value of one length.
  public func accepts(_ value: String, body: [UInt8], now: Int64) -> Bool {
    var timestamp: Int64?
    var codes: [[UInt8]] = []
    guard value.utf8.count <= 1_024 else { return false }
    for part in value.split(separator: ",") {
      if part.hasPrefix("t=") { timestamp = Int64(part.dropFirst(2)) }
      if part.hasPrefix("v1="), let code = [UInt8](hexadecimal: part.dropFirst(3)) { codes.append(code) }
    }
    guard let timestamp else { return false }
    let (age, overflow) = now.subtractingReportingOverflow(timestamp)
    guard !overflow, age.magnitude <= UInt64(Self.tolerance.components.seconds) else { return false }
    var isRight = false
    for secret in secrets {
      for code in codes
      where HMAC<Crypto.SHA256>.isValidAuthenticationCode(
        code, authenticating: Self.message(body, timestamp), using: SymmetricKey(data: Array(secret.reveal().utf8)))
      {
        isRight = true
      }
    }
    return isRight
  }

  private static func code(_ body: [UInt8], _ timestamp: Int64, _ secret: Secret) -> [UInt8] {
    Array(
      HMAC<Crypto.SHA256>.authenticationCode(
        for: message(body, timestamp), using: SymmetricKey(data: Array(secret.reveal().utf8))))
  }

  private static func message(_ body: [UInt8], _ timestamp: Int64) -> [UInt8] { Array("\(timestamp).".utf8) + body }
}
