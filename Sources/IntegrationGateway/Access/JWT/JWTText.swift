import Base

/// A JSON Web Token in its compact form (RFC 7515 section 7.1, RFC 7519), read and not yet believed.
struct JWTText: Sendable {
  var algorithm: String
  /// Which key of the provider signed it; nil: it does not say.
  var keyID: String?
  var claims: [String: Value]
  /// What the signature is over.
  var signed: [UInt8]
  var signature: [UInt8]

  /// Whether a text has the form at all.
  static func isOne(_ text: some StringProtocol) -> Bool { text.utf8.count { $0 == UInt8(ascii: ".") } == 2 }

  /// nil for what is none, or asks for an extension (`crit`) that would have to be understood.
  init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, let head = Self.decode(parts[0]), let body = Self.decode(parts[1]),
      let signature = Self.decode(parts[2]), case .map(let header)? = try? JSON.decode(head),
      case .map(let claims)? = try? JSON.decode(body), let algorithm = header["alg"]?.stringValue,
      header["crit"] == nil, header["b64"] == nil
    else { return nil }
    if let type = header["typ"] {
      // RFC 8725 section 3.11: no token of another kind. RFC 9068 names access tokens `at+jwt`.
      guard let name = type.stringValue?.lowercased(), ["jwt", "at+jwt", "application/at+jwt"].contains(name) else {
        return nil
      }
    }
    self.algorithm = algorithm
    keyID = header["kid"]?.stringValue
    self.claims = claims
    self.signature = signature
    signed = Array(parts[0]) + [UInt8(ascii: ".")] + Array(parts[1])
  }

  /// Base64url without padding (RFC 7515 section 2); nil for anything else.
  static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    guard text.count % 4 != 1 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(text.count * 3 / 4)
    var bits: UInt32 = 0
    var count = 0
    for byte in text {
      let value: UInt8
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - UInt8(ascii: "A")
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - UInt8(ascii: "a") + 26
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0") + 52
      case UInt8(ascii: "-"): value = 62
      case UInt8(ascii: "_"): value = 63
      default: return nil
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    // Two texts must not mean the same bytes.
    return bits & ((1 << UInt32(count)) - 1) == 0 ? out : nil
  }
}
