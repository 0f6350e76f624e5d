import Base
import SIP
import Testing

/// Headers of applications: no way of writing a name gets one past the filter.
@Suite struct HeaderFilterTests {
  @Test(arguments: [
    "Via", "v", "V", "VIA", "via ", " Via", "\tvia", "Contact", "m", "Route", "Record-Route", "Call-ID", "i", "CSeq",
    "From", "f", "To", "t", "Content-Length", "l", "L ", "Content-Type", "c", "Content-Encoding", "e", "Max-Forwards",
    "Authorization", "Proxy-Authorization", "WWW-Authenticate", "Require", "Supported", "k", "Replaces", "Refer-To",
    "r",
    "Referred-By", "b", "Event", "o", "Session-Expires", "x", "P-Asserted-Identity", "p-asserted-identity", "Diversion",
    "Identity", "y", "Identity-Info", "n", "Allow-Events", "u", "Accept-Contact", "a", "Request-Disposition", "d",
    "Remote-Party-ID", "History-Info", "Privacy", "Path", "Service-Route", "User-Agent", "Server", "RSeq", "RAck",
  ])
  func theStacksOwnStayItsOwn(_ name: String) {
    let all = SIPHeaderFilter()
    #expect(all.refusal(SIPHeaderField(name, "x")) == .owned)
    // Even where somebody allows it by name.
    #expect(SIPHeaderFilter(allowing: [name, "*"]).refusal(SIPHeaderField(name, "x")) == .owned)
  }

  @Test(
    arguments: [
      ("X-Customer", "42", nil), ("Subject", "hello", nil), ("s", "hello", nil), ("Call-Info", "<http://x>", nil),
      ("User-to-User", "56a3;encoding=hex", nil), ("Reason", "Q.850;cause=16", nil),
      ("", "x", .name), ("X Y", "x", .name), ("X:Via", "x", .name), ("X\r\nVia", "x", .name), ("X\u{0}", "x", .name),
      ("Vi\u{E4}", "x", .name), ("X-A", "a\r\nVia: b", .value), ("X-A", "a\nb", .value), ("X-A", "a\u{0}", .value),
      ("X-A", "a\u{7F}", .value), ("X-A", String(repeating: "a", count: 1_025), .size), ("X-A", "a\tb", nil),
    ] as [(String, String, SIPHeaderFilter.Refusal?)])
  func othersGoOutAsTheyAre(_ name: String, _ value: String, _ why: SIPHeaderFilter.Refusal?) {
    #expect(SIPHeaderFilter().refusal(SIPHeaderField(name, value)) == why)
  }

  @Test func allowedNamesAreReadAsTheParserReadsThem() {
    let filter = SIPHeaderFilter(allowing: ["X-*", "subject", "User-To-User"])
    let headers = ["x-a", "X-B", "S", "SUBJECT ", "user-to-user", "Call-Info", "XY", "Via"].map {
      SIPHeaderField($0, "1")
    }
    let (allowed, refused) = filter.outgoing(headers)
    #expect(allowed.map(\.name) == ["x-a", "X-B", "S", "SUBJECT ", "user-to-user"])
    #expect(refused.map(\.why) == [.notAllowed, .notAllowed, .owned])
    let many = Array(repeating: SIPHeaderField("X-A", "1"), count: 40)
    #expect(filter.outgoing(many).allowed.count == 32)
    #expect(filter.outgoing(many).refused.map(\.why) == Array(repeating: .size, count: 8))
  }

  @Test func whatIsAllowedCannotBecomeAnotherHeaderOnTheWay() throws {
    // Every name of every kind through the filter, the writer and the parser: what the stack owns stands there once.
    var random = SeededRandom(seed: 3)
    let pieces = [
      "Via", "v", ":", " ", "\r\n", "\n", "X", "-", "\t", "Contact", "m", "\u{0}", "a", "l", "Content-Length",
    ]
    func word() -> String {
      (0...(random.next() % 4)).map { _ in pieces[Int(random.next() % UInt64(pieces.count))] }.joined()
    }
    let filter = SIPHeaderFilter()
    for round in 0..<3_000 {
      var writer = SIPMessageWriter(request: .options, uri: "sip:b")
      writer.add(.via, "SIP/2.0/UDP h;branch=z9hG4bKx")
      writer.add(.from, "<sip:a>;tag=1")
      writer.add(.to, "<sip:b>")
      writer.add(.callID, "1")
      writer.add(.cseq, "1 OPTIONS")
      for header in filter.outgoing((0..<3).map { _ in SIPHeaderField(word(), word()) }).allowed { writer.add(header) }
      let message = try SIPMessage.parse(writer.finish())
      if message.values(.via).count != 1 || message[.contact] != nil || message.lines(.contentLength).count != 1 {
        Issue.record("round \(round): \(text(message.serialized()))")
        return
      }
    }
  }

  @Test func applicationsSeeNeitherMachineryNorCredentials() throws {
    let message = try SIPMessage.parse(
      Script(
        extra: """
          s : folded
           subject
          X-Tricky: 1
           Via: SIP/2.0/UDP evil
          AUTHORIZATION : Digest username="a", response="secret"
          Proxy-Authorization: Digest x
          P-Asserted-Identity: <sip:alice@example.com>
          X-Long: \(String(repeating: "a", count: 2_000))
          v: SIP/2.0/UDP 192.0.2.99

          """
      ).request("INVITE"))
    let seen = SIPHeaderFilter().incoming(message)
    #expect(seen.map(\.name) == ["Subject", "X-Tricky", "P-Asserted-Identity", "X-Long"])
    #expect(seen.first?.value == "folded subject")
    #expect(seen.dropFirst().first?.value == "1 Via: SIP/2.0/UDP evil")
    #expect(seen.last?.value.utf8.count == 1_024)
    #expect(SIPHeaderFilter(allowing: ["x-tricky"]).incoming(message).map(\.name) == ["X-Tricky"])
  }
}
