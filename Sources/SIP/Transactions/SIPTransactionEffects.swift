/// What the owner of a transaction machine must do after an input.
public struct SIPTransactionEffects: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Send the request (client) or the last response (server), for the first time or again.
  public static let send = SIPTransactionEffects(rawValue: 1)
  /// Hand the message that was put in to the transaction user.
  public static let deliver = SIPTransactionEffects(rawValue: 2)
  /// Send the ACK of a refused INVITE.
  public static let acknowledge = SIPTransactionEffects(rawValue: 4)
  /// Tell the transaction user that nobody answered (client) or acknowledged (server).
  public static let timedOut = SIPTransactionEffects(rawValue: 8)
  /// Forget the transaction.
  public static let terminated = SIPTransactionEffects(rawValue: 16)
}
