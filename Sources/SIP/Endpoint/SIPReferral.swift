import Base

/// Names one REFER of either side. Opaque; never reused.
public struct SIPReferralHandle: Hashable, Sendable, CustomStringConvertible {
  let value: UInt64
  public var description: String { "referral#\(value)" }
}

/// The other side of a call asks us to place another (RFC 3515).
public struct SIPReferral: Sendable {
  public let handle: SIPReferralHandle
  /// Refer-To, without the method and headers of its URI.
  public let target: SIPNameAddress
  /// What to send there: INVITE unless Refer-To says otherwise.
  public let method: SIPMethod
  /// The dialog that the new call is to take the place of (RFC 3891): an attended transfer.
  public let replaces: SIPReplaces?
  /// Who asks (RFC 3892); unchecked.
  public let referredBy: SIPNameAddress?
  /// Whether the other side wants to hear of progress (RFC 4488).
  public let wantsProgress: Bool
  public let request: SIPMessage
}

/// What became of a REFER. `refused` or `ended` comes last and once, except for one of theirs that the owner refused.
public enum SIPReferralNews: Sendable {
  /// They will try (202). Without `hasProgress` nothing more is heard of it but `ended`.
  case accepted(hasProgress: Bool)
  /// They will not; 408 where no answer came.
  case refused(status: Int, reason: String)
  /// How the call that they place goes: the status of a response to it.
  case progress(status: Int, reason: String)
  /// Nothing more is told or heard. `isComplete`: a final status was.
  case ended(isComplete: Bool)
}

/// A REFER and the subscription that it implies (RFC 3515 2.4.4), of either side.
struct SIPReferralState: Sendable {
  let id: UInt64
  /// We sent it.
  let isOurs: Bool
  let key: SIPDialogKey
  /// The call that it came with; the subscription may outlive that.
  var call: UInt64?
  /// The CSeq of the REFER, which names the subscription.
  let sequence: UInt32
  /// Theirs, waiting for the owner; ours, waiting for their answer.
  var server: UInt64?
  var isAccepted = false
  var wantsProgress: Bool
  var until: Instant
  /// What was told last, what is to be told next, and the NOTIFY on its way.
  var progress: (status: Int, reason: String) = (100, "Trying")
  var isTold = true
  var notifying: UInt64?
  /// The last NOTIFY is on its way, or the time is over.
  var isEnding = false
  var isExpired = false
  var armed: Instant?

  var handle: SIPReferralHandle { SIPReferralHandle(value: id) }
  var isFinal: Bool { progress.status >= 200 }
  var deadline: Instant? { isEnding || isExpired ? nil : until }
}

extension SIPMessage {
  /// Event: the package and the id of the subscription (RFC 6665 8.2.1); nil where there is none.
  var eventPackage: (name: String, id: String?)? {
    guard let line = self[.event] else { return nil }
    var scanner = SIPScanner(line)
    scanner.skipSpace()
    guard let name = scanner.token(), let parameters = scanner.parameters(), scanner.isAtEnd else { return nil }
    return (name.asciiLowercased, parameters.first(named: "id")?.value)
  }

  /// Whether Subscription-State says that the subscription is over.
  var endsSubscription: Bool {
    guard let line = first("Subscription-State") else { return false }
    var scanner = SIPScanner(line)
    scanner.skipSpace()
    return scanner.token().map { equalsIgnoringCase($0, "terminated") } ?? false
  }

  /// The status line of a `message/sipfrag` body (RFC 3420); nil where there is none.
  var fragmentStatus: (status: Int, reason: String)? {
    guard mediaType(self[.contentType] ?? "") == "message/sipfrag" else { return nil }
    let line = bodyBytes.prefix { $0 != 0x0D && $0 != 0x0A }.prefix(Self.reasonLimit)
    var scanner = SIPScanner(line)
    guard scanner.run(while: { $0 != 0x20 }).elementsEqual("SIP/2.0".utf8), scanner.take(" "),
      let status = scanner.number(upTo: 699), status >= 100
    else { return nil }
    scanner.skipSpace()
    return (Int(status), String(decoding: line[scanner.at...], as: UTF8.self))
  }

  /// Bytes of a status line that are looked at.
  private static let reasonLimit = 256
}
