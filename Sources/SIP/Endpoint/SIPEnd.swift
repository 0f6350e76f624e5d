/// Why a call is over.
public struct SIPEnd: Sendable {
  public enum Cause: String, Sendable, CaseIterable {
    /// A BYE came.
    case remoteHangup = "remote_hangup"
    /// Our BYE was answered, or nobody answered it for 64*T1.
    case localHangup = "local_hangup"
    /// The caller withdrew its call (CANCEL) before we answered.
    case remoteCancel = "remote_cancel"
    /// We withdrew our call before it was answered.
    case localCancel = "local_cancel"
    /// We refused the call.
    case rejected
    /// The other side refused our call: `status` says why.
    case refused
    /// The other side sent us elsewhere: ``SIPEnd/redirections``.
    case redirected
    /// The other side wants credentials (401, 407): the challenge is in `message`.
    case challenged
    /// Nobody answered in time: 408, or the ring limit passed.
    case timeout
    /// The request could not be sent or its connection was lost.
    case transportFailed = "transport_failed"
    /// We accepted the call and its ACK never came, and a BYE was sent; or the PRACK of a reliable provisional response
    /// never came, and the call was refused.
    case acknowledgementMissing = "acknowledgement_missing"
    /// The other side does not know the dialog any more (481, or 408, to a request within it).
    case dialogLost = "dialog_lost"
    /// The session was not refreshed in time (RFC 4028); a BYE was sent.
    case sessionExpired = "session_expired"
    /// Another call has taken its place (RFC 3891).
    case replaced
  }

  public let cause: Cause
  /// The final SIP status where one ended the call, 0 where none did.
  public let status: Int
  public let reason: String
  /// The message that ended the call, where one did.
  public let message: SIPMessage?

  init(_ cause: Cause, status: Int = 0, reason: String = "", message: SIPMessage? = nil) {
    self.cause = cause
    self.status = status
    self.reason = reason
    self.message = message
  }

  /// Where a redirection sends the call, best first (RFC 3261 8.1.3.4, 20.10): by descending `q`, which is 1 where it is
  /// absent, else in their order.
  public var redirections: [SIPNameAddress] {
    guard (300..<400).contains(status), let message else { return [] }
    let rated = message.contacts.enumerated().map { (index: $0.offset, contact: $0.element, q: $0.element.q) }
    return rated.sorted { $0.q > $1.q || ($0.q == $1.q && $0.index < $1.index) }.map(\.contact)
  }

  /// Why the other side ended the call, in its own words (RFC 3326): of its BYE, CANCEL or final response.
  public var reasons: [SIPReasonValue] { message?.values(.reason).compactMap { SIPReasonValue($0) } ?? [] }

  /// How long the other side asks to be left alone, in seconds (RFC 3261 20.33).
  public var retryAfterSeconds: Int? { message?.retryAfterSeconds }
}

/// One value of Reason (RFC 3326): `Q.850;cause=16;text="Terminated"`.
public struct SIPReasonValue: Hashable, Sendable {
  /// `SIP` or `Q.850`, as written.
  public var protocolName: String
  /// A status of SIP or a cause of Q.850; nil where there is none.
  public var cause: Int?
  /// Empty where there is none.
  public var text: String

  init?(_ value: String) {
    var scanner = SIPScanner(value)
    scanner.skipSpace()
    guard let name = scanner.token(), let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
    protocolName = name
    cause = parameters.first(named: "cause")?.value.flatMap { text in
      var scanner = SIPScanner(text)
      return scanner.number(upTo: 999).map { Int($0) }
    }
    text = parameters.first(named: "text")?.value ?? ""
  }
}

extension SIPNameAddress {
  /// `q` of a Contact (RFC 3261 20.10) in thousandths, 0 to 1,000: 1,000 where it is absent, 0 where it is none.
  var q: Int {
    guard let value = parameters.first(named: "q")?.value else { return 1_000 }
    let parts = value.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count <= 2, let whole = Int(parts[0]), (0...1).contains(whole) else { return 0 }
    let digits = parts.count == 2 ? String(parts[1]) : ""
    guard digits.utf8.count <= 3, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return 0 }
    let padded = digits + String(repeating: "0", count: 3 - digits.utf8.count)
    return min(1_000, whole * 1_000 + (Int(padded) ?? 0))
  }
}
