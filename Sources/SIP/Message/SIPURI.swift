/// A URI as SIP uses it (RFC 3261 19.1, RFC 3966): sip, sips, tel, and whatever else, kept as text.
public struct SIPURI: Hashable, Sendable, CustomStringConvertible {
  public enum Scheme: Hashable, Sendable {
    case sip, sips, tel
    /// Not ours: a request for it gets 416. The rest of the URI is `user`.
    case other(String)
  }

  public var scheme: Scheme
  /// As written, percent escapes included; for `tel` the number. nil where the URI has none.
  public var user: String?
  public var password: String?
  /// Without brackets; empty for `tel` and other schemes.
  public var host: String
  public var port: Int?
  public var parameters: [SIPParameter]
  /// What follows `?`, as written.
  public var headers: String?

  public init(
    scheme: Scheme = .sip, user: String? = nil, host: String, port: Int? = nil, parameters: [SIPParameter] = []
  ) {
    self.scheme = scheme
    self.user = user
    self.host = host
    self.port = port
    self.parameters = parameters
  }

  /// Reads a whole URI; nil where it is none.
  public init?(_ text: String) { self.init(Array(text.utf8)[...]) }

  init?(_ bytes: ArraySlice<UInt8>) {
    guard
      bytes.allSatisfy({
        $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
          && $0 != UInt8(ascii: "\"")
      })
    else { return nil }
    var scanner = SIPScanner(bytes)
    let name = scanner.run {
      (0x61...0x7A).contains(asciiLowercase($0)) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "+")
        || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
    }
    guard let first = name.first, (0x61...0x7A).contains(asciiLowercase(first)), scanner.take(":"), !scanner.isAtEnd
    else { return nil }
    switch String(decoding: name.map(asciiLowercase), as: UTF8.self) {
    case "sip": scheme = .sip
    case "sips": scheme = .sips
    case "tel":
      scheme = .tel
      host = ""
      let number = scanner.run { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: "?") }
      guard !number.isEmpty, let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
      user = String(decoding: number, as: UTF8.self)
      self.parameters = parameters
      return
    case let other:
      scheme = .other(other)
      user = String(decoding: bytes[scanner.at...], as: UTF8.self)
      host = ""
      parameters = []
      return
    }
    parameters = []
    host = ""
    // A user part may hold `;`, `?` and `/`, and nothing but its end is an unescaped `@`.
    if let mark = bytes[scanner.at...].firstIndex(of: UInt8(ascii: "@")) {
      let info = bytes[scanner.at..<mark]
      guard !info.isEmpty else { return nil }
      if let colon = info.firstIndex(of: UInt8(ascii: ":")) {
        guard colon > info.startIndex else { return nil }
        user = String(decoding: info[..<colon], as: UTF8.self)
        password = String(decoding: info[(colon + 1)...], as: UTF8.self)
      } else {
        user = String(decoding: info, as: UTF8.self)
      }
      scanner.at = mark + 1
    }
    guard let host = scanner.host(), let port = scanner.optionalPort(), let parameters = scanner.uriParameters() else {
      return nil
    }
    self.host = host
    self.port = port
    self.parameters = parameters
    if scanner.take("?") {
      headers = String(decoding: bytes[scanner.at...], as: UTF8.self)
      scanner.at = bytes.endIndex
    }
    guard scanner.isAtEnd else { return nil }
  }

  /// The user part with its percent escapes undone; empty where there is none.
  public var decodedUser: String {
    guard let user else { return "" }
    let bytes = Array(user.utf8)
    var out: [UInt8] = []
    var i = 0
    while i < bytes.count {
      if bytes[i] == UInt8(ascii: "%"), i + 2 < bytes.count, isHexDigit(bytes[i + 1]), isHexDigit(bytes[i + 2]),
        let byte = UInt8(String(decoding: bytes[i + 1...i + 2], as: UTF8.self), radix: 16)
      {
        out.append(byte)
        i += 3
      } else {
        out.append(bytes[i])
        i += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// `lr`: a loose router (RFC 3261 16.12).
  public var isLooseRouter: Bool { parameters.first(named: "lr") != nil }

  /// The `transport` parameter in lower case; nil where there is none.
  public var transportName: String? { parameters.first(named: "transport")?.value?.asciiLowercased }

  private var schemeName: String {
    switch scheme {
    case .sip: "sip"
    case .sips: "sips"
    case .tel: "tel"
    case .other(let name): name
    }
  }

  public var description: String {
    var out = schemeName + ":"
    switch scheme {
    case .tel, .other: out += user ?? ""
    case .sip, .sips:
      if let user {
        out += user
        if let password { out += ":" + password }
        out += "@"
      }
      out += SIPHostPort.bracketed(host)
      if let port { out += ":\(port)" }
    }
    for parameter in parameters { out += parameter.text }
    if let headers { out += "?" + headers }
    return out
  }

  /// `sip:user@host` without port, parameters and headers: what routing rules look at.
  public var address: String {
    switch scheme {
    case .tel, .other: return "\(schemeName):\(user ?? "")"
    case .sip, .sips: return "\(schemeName):" + (user.map { $0 + "@" } ?? "") + SIPHostPort.bracketed(host)
    }
  }
}

extension SIPScanner {
  /// Parameters of a URI: no spaces, no quotes, a wider alphabet than header parameters.
  mutating func uriParameters() -> [SIPParameter]? {
    func isParameterByte(_ byte: UInt8) -> Bool {
      byte > 0x20 && byte != UInt8(ascii: ";") && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "?")
        && byte != UInt8(ascii: "<") && byte != UInt8(ascii: ">") && byte != UInt8(ascii: "\"")
        && byte != UInt8(ascii: ",") && byte != UInt8(ascii: "@")
    }
    var list: [SIPParameter] = []
    while take(";") {
      let name = run(while: isParameterByte)
      guard !name.isEmpty else { return nil }
      var value: String?
      if take("=") { value = String(decoding: run(while: isParameterByte), as: UTF8.self) }
      list.append(SIPParameter(String(decoding: name, as: UTF8.self), value))
    }
    return list
  }
}
