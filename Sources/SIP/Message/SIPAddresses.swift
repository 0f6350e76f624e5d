/// `"Name" <uri>;param` of From, To, Contact, Route and their like (RFC 3261 20.10).
public struct SIPNameAddress: Hashable, Sendable, CustomStringConvertible {
  /// Without quotes; empty for none.
  public var displayName: String
  public var uri: SIPURI
  /// The header's parameters, `tag` among them.
  public var parameters: [SIPParameter]

  public init(displayName: String = "", uri: SIPURI, parameters: [SIPParameter] = []) {
    self.displayName = displayName
    self.uri = uri
    self.parameters = parameters
  }

  /// Reads one whole value; nil where it is none.
  public init?(_ text: String) { self.init(Array(text.utf8)[...]) }

  init?(_ bytes: ArraySlice<UInt8>) {
    var scanner = SIPScanner(bytes)
    scanner.skipSpace()
    displayName = ""
    if scanner.peek == UInt8(ascii: "\"") {
      guard let name = scanner.quoted() else { return nil }
      displayName = name
      scanner.skipSpace()
      guard scanner.peek == UInt8(ascii: "<") else { return nil }
    } else if let angle = bytes[scanner.at...].firstIndex(of: UInt8(ascii: "<")) {
      let name = SIPScanner.trimmed(bytes[scanner.at..<angle])
      // The grammar wants tokens; phones write more. What would make a list ambiguous is refused.
      let forbidden = Set("\",;:@".utf8)
      guard name.allSatisfy({ !forbidden.contains($0) }) else { return nil }
      displayName = String(decoding: name, as: UTF8.self)
      scanner.at = angle
    }
    if scanner.take("<") {
      let text = scanner.run { $0 != UInt8(ascii: ">") }
      guard scanner.take(">"), let uri = SIPURI(SIPScanner.trimmed(text)) else { return nil }
      self.uri = uri
    } else {
      // Without brackets everything after the first `;` belongs to the header (RFC 3261 20).
      let text = scanner.run { !isSpace($0) && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: ",") }
      guard !text.contains(UInt8(ascii: "?")), let uri = SIPURI(text) else { return nil }
      self.uri = uri
    }
    guard let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
    self.parameters = parameters
  }

  /// Stands in for a damaged From or To: of it only the tag is known, where one can be found behind the last `>`.
  init(salvaging bytes: ArraySlice<UInt8>) {
    self.init(uri: SIPURI(scheme: .other("invalid"), host: ""))
    guard let angle = bytes.lastIndex(of: UInt8(ascii: ">")) else { return }
    var scanner = SIPScanner(bytes[(angle + 1)...])
    parameters = scanner.parameters() ?? []
  }

  /// The tag parameter; nil where there is none.
  public var tag: String? {
    get { parameters.first(named: "tag")?.value }
    set {
      parameters.removeAll { equalsIgnoringCase($0.name, "tag") }
      if let newValue { parameters.append(SIPParameter("tag", newValue)) }
    }
  }

  public var description: String {
    let name = displayName.isEmpty ? "" : quote(displayName) + " "
    return "\(name)<\(uri)>" + parameters.map(\.text).joined()
  }
}

/// One hop of Via (RFC 3261 20.42).
public struct SIPVia: Hashable, Sendable, CustomStringConvertible {
  /// In upper case: `UDP`, `TCP`.
  public var transport: String
  /// The sent-by host, without brackets.
  public var host: String
  public var port: Int?
  public var parameters: [SIPParameter]

  public init(transport: String, host: String, port: Int?, parameters: [SIPParameter]) {
    self.transport = transport
    self.host = host
    self.port = port
    self.parameters = parameters
  }

  /// Reads one value; nil where it is none.
  public init?(_ text: String) { self.init(Array(text.utf8)[...]) }

  init?(_ bytes: ArraySlice<UInt8>) {
    var scanner = SIPScanner(bytes)
    guard let (version, transport, host, port) = SIPVia.beginning(&scanner), version == "2.0",
      let parameters = scanner.parameters(), scanner.isAtEnd
    else { return nil }
    self.init(transport: transport, host: host, port: port, parameters: parameters)
  }

  /// What a Via of another version or with damaged parameters still says: where an answer goes, and the parameters that can
  /// be read, the branch mostly. nil where not even the sender can be read.
  init?(salvaging bytes: ArraySlice<UInt8>) {
    var scanner = SIPScanner(bytes)
    guard let (_, transport, host, port) = SIPVia.beginning(&scanner) else { return nil }
    var parameters: [SIPParameter] = []
    for part in bytes[scanner.at...].split(separator: UInt8(ascii: ";")) {
      var one = SIPScanner([UInt8(ascii: ";")] + part)
      parameters += one.parameters() ?? []
    }
    self.init(transport: transport, host: host, port: port, parameters: parameters)
  }

  /// Everything before the parameters.
  private static func beginning(
    _ scanner: inout SIPScanner
  ) -> (version: String, transport: String, host: String, port: Int?)? {
    func slash(_ scanner: inout SIPScanner) -> Bool {
      scanner.skipSpace()
      guard scanner.take("/") else { return false }
      scanner.skipSpace()
      return true
    }
    scanner.skipSpace()
    guard let name = scanner.token(), equalsIgnoringCase(name, "SIP"), slash(&scanner), let version = scanner.token(),
      slash(&scanner), let transport = scanner.token()
    else { return nil }
    let mark = scanner.at
    scanner.skipSpace()
    guard scanner.at > mark, let host = scanner.host(), let port = scanner.optionalPort() else { return nil }
    let upper = String(decoding: transport.utf8.map { $0 >= 0x61 && $0 <= 0x7A ? $0 & 0xDF : $0 }, as: UTF8.self)
    return (version, upper, host, port)
  }

  /// What every branch of an RFC 3261 element begins with.
  public static let cookie = "z9hG4bK"

  /// The branch parameter; nil where there is none.
  public var branch: String? { parameters.first(named: "branch")?.value }

  /// Whether the branch is globally unique and so names the transaction (RFC 3261 8.1.1.7).
  public var hasCookie: Bool {
    guard let branch, branch.utf8.count > SIPVia.cookie.utf8.count else { return false }
    return equalsIgnoringCase(
      String(decoding: branch.utf8.prefix(SIPVia.cookie.utf8.count), as: UTF8.self), SIPVia.cookie)
  }

  /// `host:port` in lower case, the default port written out: what identifies the sender of a branch.
  var sentBy: String { "\(host.asciiLowercased):\(port ?? SIPTransport(viaName: transport)?.defaultPort ?? 5060)" }

  public var description: String {
    "SIP/2.0/\(transport) \(SIPHostPort.bracketed(host))" + (port.map { ":\($0)" } ?? "")
      + parameters.map(\.text).joined()
  }
}

/// CSeq (RFC 3261 20.16): below 2^31.
public struct SIPSequence: Hashable, Sendable, CustomStringConvertible {
  public var number: UInt32
  public var method: SIPMethod

  public init(number: UInt32, method: SIPMethod) {
    self.number = number
    self.method = method
  }

  init?(_ bytes: ArraySlice<UInt8>) {
    var scanner = SIPScanner(bytes)
    scanner.skipSpace()
    guard let number = scanner.number(upTo: 0x7FFF_FFFF) else { return nil }
    let mark = scanner.at
    scanner.skipSpace()
    guard scanner.at > mark, let method = scanner.token() else { return nil }
    scanner.skipSpace()
    guard scanner.isAtEnd else { return nil }
    self.init(number: UInt32(number), method: SIPMethod(method))
  }

  public var description: String { "\(number) \(method)" }
}
