/// A request's method (RFC 3261 7.1). Case-sensitive, as the RFC has it.
public struct SIPMethod: Hashable, Sendable, CustomStringConvertible {
  public let name: String
  public init(_ name: String) { self.name = name }
  public var description: String { name }

  public static let invite = SIPMethod("INVITE")
  public static let ack = SIPMethod("ACK")
  public static let bye = SIPMethod("BYE")
  public static let cancel = SIPMethod("CANCEL")
  public static let options = SIPMethod("OPTIONS")
  public static let register = SIPMethod("REGISTER")
  public static let info = SIPMethod("INFO")
  public static let update = SIPMethod("UPDATE")
  public static let prack = SIPMethod("PRACK")
  public static let message = SIPMethod("MESSAGE")
  public static let subscribe = SIPMethod("SUBSCRIBE")
  public static let notify = SIPMethod("NOTIFY")
  public static let publish = SIPMethod("PUBLISH")
  public static let refer = SIPMethod("REFER")

  /// Every method of the RFCs: what is not here gets 501, what is but is not allowed gets 405.
  public static let known: Set<SIPMethod> = [
    .invite, .ack, .bye, .cancel, .options, .register, .info, .update, .prack, .message, .subscribe, .notify, .publish,
    .refer,
  ]

  /// What Allow carries.
  public static let allowed: [SIPMethod] = [
    .invite, .ack, .bye, .cancel, .options, .info, .prack, .update, .refer, .notify,
  ]

  /// The name where it is known, else `OTHER`: a bounded metric label.
  public var label: String { SIPMethod.known.contains(self) ? name : "OTHER" }
}
