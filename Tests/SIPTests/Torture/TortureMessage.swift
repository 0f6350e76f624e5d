import SIP
import Testing

/// One message of a torture test RFC, and what becomes of it here.
struct TortureMessage: Sendable, CustomTestStringConvertible {
  enum Outcome: Hashable, Sendable {
    /// A call is offered to the owner and 100 is sent.
    case offered
    /// Exactly one answer with this status; with a reason where the parser refused the message.
    case answered(Int, SIPParseError.Reason? = nil)
    /// Nothing is sent; with a reason where the parser refused the message.
    case dropped(SIPParseError.Reason? = nil)
  }

  /// As the RFC names its file, and its section.
  let name: String
  let section: String
  let outcome: Outcome
  /// What the RFC asks of a server, and what is ours where it leaves a choice.
  let verdict: String
  let bytes: [UInt8]
  /// What follows the empty line.
  let body: [UInt8]

  init(_ name: String, _ section: String, _ outcome: Outcome, _ verdict: String, _ text: String, body: [UInt8] = []) {
    self.name = name
    self.section = section
    self.outcome = outcome
    self.verdict = verdict
    self.body = body
    // The empty line and the body come from `body`, so that every text ends with its last header.
    self.bytes = SIPTests.bytes(text) + [0x0D, 0x0A, 0x0D, 0x0A] + body
  }

  var testDescription: String { "\(name) (\(section))" }

  /// The description that most of RFC 4475's INVITEs carry.
  static func description(_ address: String = "192.0.2.1", time: String = "0 0") -> [UInt8] {
    SIPTests.bytes(
      """
      v=0
      o=mhandley 29739 7272939 IN IP4 \(address)
      s=-
      c=IN IP4 \(address)
      t=\(time)
      m=audio 49217 RTP/AVP 0 12
      m=video 3227 RTP/AVP 31
      a=rtpmap:31 LPC

      """)
  }
}
