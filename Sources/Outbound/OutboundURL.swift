import FoundationEssentials

/// The address of a request, read strictly and written anew (RFC 3986, RFC 9110 section 4.2).
///
/// Only what can be read in one way is taken: no user or password, no zone, no IPv4 in octal, hexadecimal or short form, no
/// name outside ASCII, no backslash. The text that the HTTP library gets is built from the parts that were judged.
public struct OutboundURL: Sendable, Hashable {
  /// Longer ones are nobody's endpoint.
  public static let limit = 8_192

  public let isSecure: Bool
  /// Lower case; an IPv6 address without brackets, a name without a dot at its end.
  public let host: String
  /// The address, where `host` is one.
  public let literal: IPAddress?
  public let port: Int
  /// Path and query; begins with a slash.
  public let target: String

  /// - Throws: ``OutboundError`` of kind ``OutboundError/Kind/invalidURL``.
  public init(_ text: String) throws(OutboundError) {
    func wrong(_ why: String) -> OutboundError { OutboundError(.invalidURL, "the URL \(why)") }
    guard text.utf8.count <= Self.limit else { throw wrong("is longer than \(Self.limit) bytes") }
    guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }) else {
      throw wrong("holds characters that no URL has; write a name outside ASCII in its `xn--` form")
    }
    let lower = text.lowercased()
    let rest: Substring
    if lower.hasPrefix("https://") {
      isSecure = true
      rest = text.dropFirst(8)
    } else if lower.hasPrefix("http://") {
      isSecure = false
      rest = text.dropFirst(7)
    } else {
      throw wrong("is not an http or https URL")
    }
    let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
    let authority = rest[..<end]
    guard !authority.contains("@") else { throw wrong("must not carry a user or password") }
    let name: Substring
    let portText: Substring?
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else { throw wrong("has a `[` without its `]`") }
      name = authority[authority.index(after: authority.startIndex)..<close]
      let after = authority[authority.index(after: close)...]
      guard after.isEmpty || after.hasPrefix(":") else { throw wrong("has something between its address and its port") }
      portText = after.isEmpty ? nil : after.dropFirst()
      guard !name.contains("%") else { throw wrong("names a zone; zones mean nothing to another machine") }
      guard let address = IPAddress(String(name)), name.contains(":") else {
        throw wrong("has no IPv6 address in `[]`")
      }
      literal = address
      host = address.description
    } else {
      let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      name = parts.first ?? ""
      portText = parts.count == 2 ? parts[1] : nil
      var bare = name.lowercased()
      if bare.hasSuffix(".") { bare.removeLast() }
      host = bare
      literal = IPAddress(bare)
      if literal == nil, let problem = Self.problem(name: bare) { throw wrong(problem) }
    }
    if let portText, !portText.isEmpty {
      guard portText.utf8.count <= 5, portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let number = Int(portText), (1...65_535).contains(number)
      else { throw wrong("has no port between 1 and 65535 behind its `:`") }
      port = number
    } else {
      port = isSecure ? 443 : 80
    }
    let path = rest[end...].prefix { $0 != "#" }
    target = path.hasPrefix("/") ? String(path) : "/" + path
    // Belt and braces: the library's own reading must come to the same server.
    guard let read = URL(string: self.text), let readHost = read.host,
      readHost.lowercased() == bracketed || readHost.lowercased() == host, (read.port ?? port) == port
    else { throw wrong("cannot be read without doubt") }
  }

  /// The whole URL, as it is given to the HTTP library.
  public var text: String { "\(origin)\(target)" }

  /// Scheme, host and port: what credentials are for (RFC 6454).
  public var origin: String {
    let usual = isSecure ? 443 : 80
    return "\(isSecure ? "https" : "http")://\(bracketed)\(port == usual ? "" : ":\(port)")"
  }

  private var bracketed: String { literal?.isV6 == true ? "[\(host)]" : host }

  /// What keeps `name` from being a host name (RFC 1123 section 2.1, and `_`, which containers like).
  private static func problem(name: String) -> String? {
    if name.isEmpty { return "names no host" }
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    guard name.utf8.count <= 253,
      labels.allSatisfy({ label in
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
          && label.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "-")
              || byte == UInt8(ascii: "_")
          }
      })
    else { return "names no host that there can be" }
    // What ends in a number is an IPv4 address to many a reader (URL Standard, "ends in a number"): 127.1, 0x7f.1, 2130706433.
    guard let last = labels.last, !last.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !last.hasPrefix("0x") else {
      return "has an IPv4 address that is not four decimal numbers"
    }
    return nil
  }
}
