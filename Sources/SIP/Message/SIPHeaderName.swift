/// The headers that this room reads or writes. All others are `other` and found by their text.
public enum SIPHeaderName: UInt8, Hashable, Sendable, CaseIterable {
  case accept, allow, authorization, callID, contact, contentEncoding, contentLength, contentType, cseq, event, expires
  case from, maxForwards, minExpires, minSE, proxyAuthenticate, proxyAuthorization, proxyRequire, rack, reason
  case recordRoute, referTo, referredBy, replaces, require, retryAfter, route, rseq, server, sessionExpires, subject
  case supported, timestamp, to, unsupported, userAgent, via, warning, wwwAuthenticate
  case other

  /// As it is written on output; empty for `other`.
  public var text: String {
    switch self {
    case .accept: "Accept"
    case .allow: "Allow"
    case .authorization: "Authorization"
    case .callID: "Call-ID"
    case .contact: "Contact"
    case .contentEncoding: "Content-Encoding"
    case .contentLength: "Content-Length"
    case .contentType: "Content-Type"
    case .cseq: "CSeq"
    case .event: "Event"
    case .expires: "Expires"
    case .from: "From"
    case .maxForwards: "Max-Forwards"
    case .minExpires: "Min-Expires"
    case .minSE: "Min-SE"
    case .proxyAuthenticate: "Proxy-Authenticate"
    case .proxyAuthorization: "Proxy-Authorization"
    case .proxyRequire: "Proxy-Require"
    case .rack: "RAck"
    case .reason: "Reason"
    case .recordRoute: "Record-Route"
    case .referTo: "Refer-To"
    case .referredBy: "Referred-By"
    case .replaces: "Replaces"
    case .require: "Require"
    case .retryAfter: "Retry-After"
    case .route: "Route"
    case .rseq: "RSeq"
    case .server: "Server"
    case .sessionExpires: "Session-Expires"
    case .subject: "Subject"
    case .supported: "Supported"
    case .timestamp: "Timestamp"
    case .to: "To"
    case .unsupported: "Unsupported"
    case .userAgent: "User-Agent"
    case .via: "Via"
    case .warning: "Warning"
    case .wwwAuthenticate: "WWW-Authenticate"
    case .other: ""
    }
  }

  /// The compact form (RFC 3261 7.3.3 and the registry), or 0.
  private var compact: UInt8 {
    switch self {
    case .callID: UInt8(ascii: "i")
    case .contact: UInt8(ascii: "m")
    case .contentEncoding: UInt8(ascii: "e")
    case .contentLength: UInt8(ascii: "l")
    case .contentType: UInt8(ascii: "c")
    case .event: UInt8(ascii: "o")
    case .from: UInt8(ascii: "f")
    case .referTo: UInt8(ascii: "r")
    case .referredBy: UInt8(ascii: "b")
    case .sessionExpires: UInt8(ascii: "x")
    case .subject: UInt8(ascii: "s")
    case .supported: UInt8(ascii: "k")
    case .to: UInt8(ascii: "t")
    case .via: UInt8(ascii: "v")
    default: 0
    }
  }

  /// The known names in lower case, by their length: a look-up compares a few bytes and allocates nothing.
  private static let byLength: [[(name: SIPHeaderName, text: [UInt8])]] = {
    var table: [[(name: SIPHeaderName, text: [UInt8])]] = []
    func insert(_ name: SIPHeaderName, _ text: [UInt8]) {
      while table.count <= text.count { table.append([]) }
      table[text.count].append((name, text))
    }
    for name in allCases where name != .other {
      insert(name, name.text.utf8.map(asciiLowercase))
      if name.compact != 0 { insert(name, [name.compact]) }
    }
    return table
  }()

  init(_ bytes: some RandomAccessCollection<UInt8>) {
    self = .other
    let table = SIPHeaderName.byLength
    guard bytes.count < table.count else { return }
    for candidate in table[bytes.count]
    where zip(bytes, candidate.text).allSatisfy({ asciiLowercase($0) == $1 }) {
      self = candidate.name
      return
    }
  }

  /// The header that `text` names, long or compact, in any case.
  public init(_ text: String) { self.init(Array(text.utf8)) }
}

func asciiLowercase(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }

func equalsIgnoringCase(_ a: String, _ b: String) -> Bool {
  a.utf8.count == b.utf8.count && zip(a.utf8, b.utf8).allSatisfy { asciiLowercase($0) == asciiLowercase($1) }
}

extension String {
  /// ASCII letters in lower case, all else as it is.
  var asciiLowercased: String { String(decoding: utf8.map(asciiLowercase), as: UTF8.self) }
}

/// RFC 3261 25.1 `token`.
func isToken(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
  case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "%"), UInt8(ascii: "*"),
    UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "`"), UInt8(ascii: "'"), UInt8(ascii: "~"):
    true
  default: false
  }
}
