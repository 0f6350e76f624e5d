import Base

/// How far the offer and answer of an INVITE have come before it is answered (RFC 3264, 3262 5, 3311 5).
enum SIPExchange: Sendable {
  case nothing, ourOffer, theirOffer
  /// Offer and answer have been exchanged reliably: UPDATE may change the session.
  case done
}

/// One early dialog and what goes on in it besides its INVITE.
struct SIPEarly: Sendable {
  var dialog: SIPDialog
  var exchange: SIPExchange
  /// The descriptions that hold, where the exchange is done.
  var localBody: SIPBody?
  var remoteBody: SIPBody?
  /// Their offer in a PRACK or UPDATE, waiting for the owner.
  var remoteChange: SIPCall.RemoteChange?
  /// Our UPDATE, waiting for them.
  var localChange: SIPCall.LocalChange?
  /// The RSeq of their last reliable provisional response that was taken (RFC 3262 4).
  var lastRSeq: UInt32?
  /// That of one with an offer, whose PRACK waits for our answer.
  var owedRSeq: UInt32?
  /// Our PRACK on its way: nothing may overtake it.
  var pracking: UInt64?
  /// Our UPDATE that waits for that, or until this moment (glare).
  var queued: (body: SIPBody, attempts: Int, at: Instant)?

  /// When the queued UPDATE may go out.
  var retryAt: Instant? { pracking == nil && localChange == nil && remoteChange == nil ? queued?.at : nil }

  init(dialog: SIPDialog, exchange: SIPExchange) {
    self.dialog = dialog
    self.exchange = exchange
  }
}

/// A reliable provisional response of ours, to be repeated until its PRACK comes (RFC 3262 3).
struct SIPReliable: Sendable {
  let rseq: UInt32
  /// The INVITE's.
  let sequence: UInt32
  let response: [UInt8]
  let body: SIPBody?
  var resendAt: Instant
  var interval: Duration
  let until: Instant
}

/// `RAck` (RFC 3262 7.2).
struct SIPReliableAck: Hashable, Sendable {
  var rseq: UInt32
  var sequence: SIPSequence

  /// nil where the value is none.
  init?(_ text: String) {
    var scanner = SIPScanner(text)
    scanner.skipSpace()
    guard let rseq = scanner.number(upTo: UInt64(UInt32.max)) else { return nil }
    let mark = scanner.at
    scanner.skipSpace()
    guard scanner.at > mark, let sequence = SIPSequence(scanner.bytes[scanner.at...]) else { return nil }
    self.rseq = UInt32(rseq)
    self.sequence = sequence
  }
}

extension SIPMessage {
  /// The RSeq of a reliable provisional response; nil for all others.
  var reliableSequence: UInt32? {
    guard (101...199).contains(status), requires("100rel"), let line = self[.rseq] else { return nil }
    var scanner = SIPScanner(line)
    scanner.skipSpace()
    guard let number = scanner.number(upTo: UInt64(UInt32.max)), scanner.isAtEnd else { return nil }
    return UInt32(number)
  }
}
