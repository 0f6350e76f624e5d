import Base
import Crypto
import Settings

/// Signs requests by AWS Signature Version 4, as S3 wants it: the path is encoded once and not normalised. Pure.
///
/// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
package struct S3Signature: Sendable {
  var accessKeyID: Secret
  var secretAccessKey: Secret
  var region: String
  var service: String

  package init(accessKeyID: Secret, secretAccessKey: Secret, region: String, service: String = "s3") {
    self.accessKeyID = accessKeyID
    self.secretAccessKey = secretAccessKey
    self.region = region
    self.service = service
  }

  private static let algorithm = "AWS4-HMAC-SHA256"

  /// The value of `Authorization`.
  /// - Parameters:
  ///   - path: encoded, as it is sent.
  ///   - query: encoded and in order, as ``query(_:)`` writes it.
  ///   - headers: all that are signed, `Host` among them.
  ///   - payloadHash: the SHA-256 of the body in hexadecimal digits.
  ///   - time: `20130524T000000Z`, as in the header `x-amz-date`.
  package func authorization(
    method: String, path: String, query: String, headers: [(name: String, value: String)], payloadHash: String,
    time: String
  ) -> String {
    var values: [String: [String]] = [:]
    for header in headers { values[header.name.lowercased(), default: []].append(Self.collapsed(header.value)) }
    let sorted = values.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let names = sorted.map(\.key).joined(separator: ";")
    let lines = sorted.map { "\($0.key):\($0.value.joined(separator: ","))\n" }.joined()
    let canonical = [method, path, query, lines, names, payloadHash].joined(separator: "\n")

    let day = String(time.prefix(8))
    let scope = "\(day)/\(region)/\(service)/aws4_request"
    let text = [Self.algorithm, time, scope, Self.hash(Array(canonical.utf8))].joined(separator: "\n")
    var key = SymmetricKey(data: Array("AWS4\(secretAccessKey.reveal())".utf8))
    for part in [day, region, service, "aws4_request"] { key = SymmetricKey(data: Self.code(part, key)) }
    return
      "\(Self.algorithm) Credential=\(accessKeyID.reveal())/\(scope), SignedHeaders=\(names), Signature=\(Self.code(text, key).hexadecimal)"
  }

  /// A point of time as S3 writes it.
  package static func time(unixMilliseconds: Int64) -> String {
    let text = Timestamp.text(unixMilliseconds: unixMilliseconds)
    return text.prefix { $0 != "." }.filter { $0 != "-" && $0 != ":" } + "Z"
  }

  /// Percent-encoded for a path or, without its slashes, for a query.
  package static func encoded(_ text: String, keepingSlashes: Bool) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: "/") where keepingSlashes: out += "/"
      default: out += "%" + [byte].hexadecimal.uppercased()
      }
    }
    return out
  }

  /// A query, encoded and sorted.
  package static func query(_ parameters: [(name: String, value: String)]) -> String {
    let pairs = parameters.map { (encoded($0.name, keepingSlashes: false), encoded($0.value, keepingSlashes: false)) }
    return pairs.sorted { $0 < $1 }.map { "\($0)=\($1)" }.joined(separator: "&")
  }

  /// Without spaces at the ends, and with one where there are several.
  private static func collapsed(_ text: String) -> String {
    text.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }

  /// In hexadecimal digits.
  package static func hash(_ bytes: [UInt8]) -> String { Array(Crypto.SHA256.hash(data: bytes)).hexadecimal }

  private static func code(_ text: String, _ key: SymmetricKey) -> [UInt8] {
    Array(HMAC<Crypto.SHA256>.authenticationCode(for: Array(text.utf8), using: key))
  }
}
