/// Decides which headers an application may set and see. It looks at names as the parser reads them (any case, compact or
/// long, spaces before the colon), so that no way of writing one passes by: `Via`, `v`, `VIA `.
public struct SIPHeaderFilter: Sendable {
  /// Why a header was not let through.
  public enum Refusal: String, Hashable, Sendable, CaseIterable {
    /// The stack writes it, or it says who calls.
    case owned
    /// No token (RFC 3261 25.1).
    case name
    /// A line break or another control character.
    case value
    /// Longer than ``SIPHeaderFilter/valueBytes``, or more than ``SIPHeaderFilter/count``.
    case size
    /// Not among the names that were allowed.
    case notAllowed = "not_allowed"
  }

  /// Bytes of one value: a User-to-User or Call-Info needs a few hundred.
  public static let valueBytes = 1_024
  /// Headers of one message: together with the stack's own they stay far below ``SIPLimits/headerCount``.
  public static let count = 32

  private let names: Set<String>
  private let prefixes: [String]

  /// - Parameter allowing: names, or beginnings with a `*` (`X-*`); nil: all that are not the stack's.
  public init(allowing: [String]? = nil) {
    let allowed = allowing ?? ["*"]
    names = Set(allowed.filter { !$0.hasSuffix("*") }.compactMap { SIPHeaderFilter.canonical($0) })
    prefixes = allowed.filter { $0.hasSuffix("*") }.map { String($0.dropLast()).asciiLowercased }
  }

  /// What of an application's headers may go out, and what not.
  public func outgoing(
    _ headers: [SIPHeaderField]
  ) -> (allowed: [SIPHeaderField], refused: [(header: SIPHeaderField, why: Refusal)]) {
    var allowed: [SIPHeaderField] = []
    var refused: [(header: SIPHeaderField, why: Refusal)] = []
    for header in headers {
      if let why = refusal(header) {
        refused.append((header, why))
      } else if allowed.count >= Self.count {
        refused.append((header, .size))
      } else {
        allowed.append(header)
      }
    }
    return (allowed, refused)
  }

  /// Why one header may not go out; nil: it may.
  public func refusal(_ header: SIPHeaderField) -> Refusal? {
    guard let name = Self.canonical(header.name) else { return .name }
    if Self.isOwned(name) { return .owned }
    guard isAllowed(name) else { return .notAllowed }
    guard header.value.utf8.count <= Self.valueBytes else { return .size }
    guard header.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else { return .value }
    return nil
  }

  /// What of a message an application may see: neither what the stack works with nor credentials. Names are canonical where
  /// they are known; values are cut at ``valueBytes``.
  public func incoming(_ message: SIPMessage) -> [SIPHeaderField] {
    var out: [SIPHeaderField] = []
    for header in message.headers where out.count < Self.count {
      guard let name = Self.canonical(header.name), isAllowed(name), Self.isVisible(name) else { continue }
      let value = String(decoding: header.value.utf8.prefix(Self.valueBytes), as: UTF8.self)
      out.append(SIPHeaderField(header.name, value))
    }
    return out
  }

  private func isAllowed(_ name: String) -> Bool {
    names.contains(name) || prefixes.contains { name.hasPrefix($0) }
  }

  // MARK: Names

  /// The long name in lower case; nil for what is no header name. Spaces around it are not part of it.
  static func canonical(_ name: String) -> String? {
    let bytes = SIPScanner.trimmed(Array(name.utf8)[...])
    guard !bytes.isEmpty, bytes.allSatisfy(isToken) else { return nil }
    let known = SIPHeaderName(bytes)
    let lower =
      known == .other ? String(decoding: bytes.map(asciiLowercase), as: UTF8.self) : known.text.asciiLowercased
    return compact[lower] ?? lower
  }

  /// The compact forms of the registry that ``SIPHeaderName`` does not know.
  private static let compact: [String: String] = [
    "a": "accept-contact", "d": "request-disposition", "j": "reject-contact", "n": "identity-info",
    "u": "allow-events", "y": "identity",
  ]

  /// Known to the stack, and yet an application's own.
  private static let free: Set<SIPHeaderName> = [.subject, .reason, .warning, .retryAfter]

  /// What the stack does not read, and an application may not write: who calls, how it is charged, what the message is.
  private static let ownedNames: Set<String> = [
    "accept-contact", "accept-encoding", "allow-events", "authentication-info", "content-disposition", "content-id",
    "content-transfer-encoding", "diversion", "flow-timer", "geolocation", "history-info", "identity", "identity-info",
    "join", "mime-version", "p-access-network-info", "p-asserted-identity", "p-asserted-service", "p-associated-uri",
    "p-called-party-id", "p-charging-function-addresses", "p-charging-vector", "p-early-media", "p-preferred-identity",
    "p-preferred-service", "p-served-user", "p-visited-network-id", "path", "permission-missing", "privacy",
    "refer-sub", "reject-contact", "remote-party-id", "request-disposition", "resource-priority", "security-client",
    "security-server", "security-verify", "service-route", "session-id", "sip-etag", "sip-if-match",
    "subscription-state", "target-dialog", "trigger-consent",
  ]

  static func isOwned(_ name: String) -> Bool {
    let known = SIPHeaderName(name)
    return known == .other ? ownedNames.contains(name) : !free.contains(known)
  }

  /// What an application does not see.
  private static let hidden: Set<SIPHeaderName> = [
    .accept, .allow, .authorization, .callID, .contact, .contentEncoding, .contentLength, .contentType, .cseq, .from,
    .maxForwards, .proxyAuthenticate, .proxyAuthorization, .proxyRequire, .rack, .recordRoute, .require, .route, .rseq,
    .supported, .timestamp, .to, .via, .wwwAuthenticate,
  ]

  private static func isVisible(_ name: String) -> Bool {
    let known = SIPHeaderName(name)
    return known == .other || !hidden.contains(known)
  }
}
