/// Why a call was sent on (RFC 5806 2, with the causes of RFC 4458 and RFC 7544 for History-Info).
public enum SIPDiversionReason: String, Hashable, Sendable, CaseIterable {
  case unconditional, deflection, unavailable, unknown
  case userBusy = "user-busy"
  case noAnswer = "no-answer"

  var cause: Int {
    switch self {
    case .unconditional: 302
    case .userBusy: 486
    case .noAnswer: 408
    case .deflection: 480
    case .unavailable: 503
    case .unknown: 404
    }
  }
}

/// One number that a call went through before.
public struct SIPDiversion: Hashable, Sendable {
  public var uri: SIPURI
  public var reason: SIPDiversionReason

  public init(uri: SIPURI, reason: SIPDiversionReason = .unconditional) {
    self.uri = uri
    self.reason = reason
  }
}

/// Who calls, and how a trunk wants to be told.
public struct SIPCallerIdentity: Hashable, Sendable {
  /// The header that carries who calls to a trusted trunk (RFC 3325).
  public enum Identity: String, Hashable, Sendable, CaseIterable {
    case none
    /// P-Asserted-Identity: the trunk takes our word for it.
    case asserted
    /// P-Preferred-Identity: the trunk checks it.
    case preferred
  }

  /// What a trunk understands.
  public struct Style: Hashable, Sendable {
    public var identity = Identity.asserted
    public var sendsDiversion = false
    public var sendsHistory = false
    /// The user that From always carries, where the trunk wants its account there; nil: the caller.
    public var fromUser: String?
    public var fromHost: String

    public init(fromHost: String) { self.fromHost = fromHost }
  }

  /// A call is diverted a few times at most; what is longer is a loop.
  private static let diversionLimit = 10

  /// Number or name.
  public var user: String
  public var displayName: String
  /// Told to the trunk, but not to the callee (RFC 3323, RFC 3325 9.3).
  public var isPrivate: Bool
  /// The first one first.
  public var diversions: [SIPDiversion]

  public init(user: String, displayName: String = "", isPrivate: Bool = false, diversions: [SIPDiversion] = []) {
    self.user = user
    self.displayName = displayName
    self.isPrivate = isPrivate
    self.diversions = diversions
  }

  /// From and the further headers of an INVITE.
  /// - Parameter target: its Request-URI, which History-Info ends with.
  public func headers(_ style: Style, target: SIPURI) -> (from: SIPNameAddress, headers: [SIPHeaderField]) {
    let caller = SIPNameAddress(
      displayName: displayName, uri: SIPURI(user: SIPURI.escaped(user), host: style.fromHost))
    var headers: [SIPHeaderField] = []
    switch style.identity {
    case .none: break
    case .asserted: headers.append(SIPHeaderField("P-Asserted-Identity", caller.description))
    case .preferred: headers.append(SIPHeaderField("P-Preferred-Identity", caller.description))
    }
    if isPrivate { headers.append(SIPHeaderField("Privacy", style.sendsHistory ? "id;history" : "id")) }
    let diversions = diversions.suffix(Self.diversionLimit)
    if style.sendsDiversion {
      // RFC 5806 4: the last one on top.
      for diversion in diversions.reversed() {
        var value = "<\(diversion.uri)>;reason=\(diversion.reason.rawValue);counter=1"
        if isPrivate { value += ";privacy=full" }
        headers.append(SIPHeaderField("Diversion", value))
      }
    }
    if style.sendsHistory, !diversions.isEmpty {
      headers.append(SIPHeaderField("History-Info", history(Array(diversions), target)))
    }
    if isPrivate {
      // RFC 3323 4.1.1.3.
      let anonymous = SIPNameAddress(
        displayName: "Anonymous", uri: SIPURI(user: "anonymous", host: "anonymous.invalid"))
      return (anonymous, headers)
    }
    guard let account = style.fromUser else { return (caller, headers) }
    let from = SIPNameAddress(
      displayName: displayName, uri: SIPURI(user: SIPURI.escaped(account), host: style.fromHost))
    return (from, headers)
  }

  /// RFC 7044: every target with its place in the tree; each but the first says why the call came to it.
  private func history(_ diversions: [SIPDiversion], _ target: SIPURI) -> String {
    var index = "1"
    var entries: [String] = []
    for (i, uri) in (diversions.map(\.uri) + [target]).enumerated() {
      var uri = uri
      if i > 0 {
        index += ".1"
        uri.parameters.append(SIPParameter("cause", String(diversions[i - 1].reason.cause)))
      }
      entries.append("<\(uri)>;index=\(index)")
    }
    return entries.joined(separator: ", ")
  }
}

extension SIPURI {
  /// A user part with everything escaped that cannot stand there as it is (RFC 3261 25.1 `user`).
  static func escaped(_ user: String) -> String {
    let plain = Set("-_.!~*'()&=+$,;?/".utf8)
    let hex = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in user.utf8 {
      if (0x30...0x39).contains(byte) || (0x61...0x7A).contains(asciiLowercase(byte)) || plain.contains(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
