import Base
import SIP
import Testing

/// The largest messages that the limits let through, in the shapes that tempt a parser to look at a byte again and again. At a
/// cost that grew with the square of the length, these would take far longer than a minute.
@Suite struct CostTests {
  private static let size = 60_000

  private static func fill(_ piece: String, _ size: Int = size) -> String {
    String(repeating: piece, count: size / piece.utf8.count)
  }

  private static func message(
    uri: String = "sip:b@c", via: String = "SIP/2.0/UDP h;branch=z9hG4bKx", from: String = "<sip:a@b>;tag=1",
    extra: String = ""
  ) -> [UInt8] {
    bytes(
      """
      OPTIONS \(uri) SIP/2.0
      Via: \(via)
      From: \(from)
      To: <sip:b@c>
      Call-ID: 1
      CSeq: 1 OPTIONS
      \(extra)Content-Length: 0


      """)
  }

  static let shapes: [(name: String, message: [UInt8])] = [
    ("parameters", message(from: "<sip:a@b>;tag=1" + fill(";a"))),
    ("semicolons", message(from: "<sip:a@b>" + fill(";"))),
    ("escapes", message(from: "\"" + fill("\\\"") + "\" <sip:a@b>")), ("open quote", message(from: "\"" + fill("a"))),
    ("spaces", message(from: fill(" ") + "<sip:a@b>;tag=1")), ("brackets", message(from: fill("<>"))),
    ("folds", message(extra: "X: y" + fill("\n ") + "\n")),
    ("long fold", message(from: "<sip:a@b>\n" + fill(" ") + ";x")),
    ("URI parameters", message(uri: "sip:a@b" + fill(";a"))), ("ats", message(uri: "sip:a" + fill("@"))),
    ("trailing spaces", message(uri: "sip:b@c" + fill(" "))),
    ("hops", message(via: "SIP/2.0/UDP h;branch=z9hG4bKx" + fill(", SIP/2.0/UDP h"))),
    ("commas", message(via: "SIP/2.0/UDP h;branch=z9hG4bKx" + fill(","))),
    ("broken Via", message(via: "SIP/2.0/UDP h;;" + fill("a=\";"))), ("many Vias", message(extra: fill("v: a\n"))),
    ("headers", message(extra: fill("X: y\n"))), ("names", message(extra: fill("f: <sip:a@b>\n"))),
    ("options", message(extra: "Require: a" + fill(",a") + "\n")),
    ("agents", message(extra: fill("User-Agent: fri\n"))),
    ("empty lines", bytes(fill("\n", 30_000)) + message()), ("line feeds", Array(fill("\n").utf8) + message()),
    ("body", message() + bytes(fill("\n", 30_000))),
  ]

  @Test(.timeLimit(.minutes(1)), arguments: shapes.map(\.name)) func largeMessagesCostTheirLength(_ name: String) throws
  {
    let message = try #require(Self.shapes.first { $0.name == name }).message
    #expect(message.count > 50_000)
    // The limits on single headers would end most shapes early.
    var endpoint = makeEndpoint {
      $0.limits.headerLineBytes = 65_535
      $0.limits.headerCount = 65_535
      $0.limits.viaCount = 65_535
      $0.screen = SIPScreenSettings()
      $0.screen?.requestsPerSecond = nil
      $0.screen?.malformedBurst = 1_000
    }
    for _ in 0..<3 {
      _ = endpoint.receive(datagram: message, from: alicePeer, at: .zero)
      if let read = try? SIPMessage.parse(message, limits: endpoint.configuration.limits) {
        _ = (read.values(.require), read.serialized(), SIPHeaderFilter().incoming(read))
      }
    }
    var framer = SIPStreamFramer(messageBytes: 65_535)
    var at = 0
    while at < message.count {
      framer.append(Array(message[at..<min(message.count, at + 16)]))
      at += 16
      while framer.next() != nil {}
    }
  }
}
