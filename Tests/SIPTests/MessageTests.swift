import SIP
import Testing

@Suite struct MessageTests {
  private func fault(_ text: String, _ framing: SIPFraming = .datagram) -> (SIPParseError.Reason, Int)? {
    do throws(SIPParseError) {
      _ = try SIPMessage.parse(bytes(text), framing: framing)
      return nil
    } catch {
      if case .answerable(_, let status) = error.scope { return (error.reason, status) }
      return (error.reason, 0)
    }
  }

  static let torturous = """
    INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
    TO :
     sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
    from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
      ;
      tag = 98asjd8
    MaX-fOrWaRdS: 0068
    Call-ID: wsinv.ndaksdj@192.0.2.1
    cseq: 0009
      INVITE
    Via  : SIP  /   2.0
     /UDP
        192.0.2.2;branch=390skdjuw
    s :
    NewFangledHeader:   newfangled value
     continued newfangled value
    UnknownHeaderWithUnusualValue: ;;,,;;,;
    Content-Type: application/sdp
    Route:
     <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
    v:  SIP  / 2.0  / TCP     spindle.example.com   ;
      branch  =   z9hG4bK9ikj8  ,
     SIP  /    2.0   / UDP  192.168.255.111   ; branch=
     z9hG4bK30239
    m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
          newvalue ;
      secondparam ; q = 0.33
    l: 4

    body and more
    """

  @Test func readsATorturousMessage() throws {
    let message = try SIPMessage.parse(bytes(Self.torturous))
    #expect(message.method == .invite)
    #expect(message.to.tag == "1918181833n")
    #expect(message.to.uri.user == "vivekg")
    #expect(message.from.displayName == "J Rosenberg \\\"")
    #expect(message.from.tag == "98asjd8")
    #expect(message.cseq.number == 9)
    #expect(message.topVia?.host == "192.0.2.2")
    #expect(message.topVia?.hasCookie == false)
    #expect(message.values(.via).count == 3)
    #expect(message.values(.via).compactMap { SIPVia($0) }.map(\.transport) == ["UDP", "TCP", "UDP"])
    #expect(message.contact?.displayName == "Quoted string \"\"")
    #expect(message.contact?.parameters.first(named: "Q")?.value == "0.33")
    #expect(message.first("newfangledheader") == "newfangled value continued newfangled value")
    #expect(message[.subject] == "")
    #expect(message.body?.text == "body")
    #expect(message.body?.contentType == "application/sdp")
    #expect(SIPHeaderFilter().incoming(message).map(\.name).contains("NewFangledHeader"))
    #expect(!SIPHeaderFilter().incoming(message).map(\.name).contains("Via"))
  }

  static let good = """
    OPTIONS sip:bob@192.0.2.20 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1
    From: <sip:a@b>;tag=1
    To: <sip:bob@192.0.2.20>
    Call-ID: 1
    CSeq: 1 OPTIONS
    Content-Length: 0


    """

  @Test(arguments: [
    // what is replaced, by what, the reason, the answer (0: silence)
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "OPTIONS sip:bob@192.0.2.20 SIP/7.0", SIPParseError.Reason.version, 505),
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "OPTIONS sip:bob@192.0.2.20", .startLine, 0),
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "hello there", .startLine, 0),
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "OPTIONS  sip:bob@192.0.2.20 SIP/2.0", .requestURI, 400),
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "OPTIONS <sip:bob@192.0.2.20> SIP/2.0", .requestURI, 400),
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "OPTIONS sip:b ob@192.0.2.20 SIP/2.0", .requestURI, 400),
    ("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "OPT(IONS sip:bob@192.0.2.20 SIP/2.0", .startLine, 0),
    ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", .cseq, 400),
    ("CSeq: 1 OPTIONS", "CSeq: 36893488147419103232 OPTIONS", .cseq, 400),
    ("CSeq: 1 OPTIONS", "CSeq: 2147483648 OPTIONS", .cseq, 400),
    ("CSeq: 1 OPTIONS", "CSeq: -1 OPTIONS", .cseq, 400),
    ("CSeq: 1 OPTIONS", "CSeq: 1", .cseq, 400),
    ("CSeq: 1 OPTIONS", "CSeq: 1 OPTIONS\nCSeq: 2 OPTIONS", .duplicateHeader, 400),
    ("Call-ID: 1", "X: 1", .missingHeader, 0),
    ("Call-ID: 1", "Call-ID: 1 2", .callID, 400),
    ("Call-ID: 1", "Call-ID: 1\ni: 2", .duplicateHeader, 400),
    ("From: <sip:a@b>;tag=1", "From: \"Bell <sip:a@b>;tag=1", .from, 400),
    ("From: <sip:a@b>;tag=1", "From: <sip:a@b;tag=1", .from, 400),
    ("From: <sip:a@b>;tag=1", "From: a@b", .from, 400),
    ("To: <sip:bob@192.0.2.20>", "To: <>", .to, 400),
    ("SIP/2.0/UDP 192.0.2.10", "SIP/2.0/UDP 192.0.2.10:99999", .via, 0),
    ("SIP/2.0/UDP 192.0.2.10", "SIP/2.0 192.0.2.10", .via, 0),
    ("Content-Length: 0", "Content-Length: -999", .contentLength, 400),
    ("Content-Length: 0", "Content-Length: 9999", .contentLength, 400),
    ("Content-Length: 0", "Content-Length: many", .contentLength, 400),
    ("Content-Length: 0", "Content-Length: 18446744073709551617", .contentLength, 400),
    ("Content-Length: 0", "Content-Length: 0\nl: 0", .duplicateHeader, 400),
    ("Content-Length: 0", "Max-Forwards: 300", .maxForwards, 400),
    ("Content-Length: 0", "Max-Forwards: x", .maxForwards, 400),
    ("Content-Length: 0", "no colon here", .headerSyntax, 400),
    ("Content-Length: 0", ": no name", .headerSyntax, 400),
    ("Content-Length: 0", "X Y: a space in the name", .headerSyntax, 400),
    ("Content-Length: 0", "X: nul \u{0} here", .controlCharacter, 400),
    ("Content-Length: 0", "X: bare \r here", .lineEnding, 400),
  ])
  func refuses(_ from: String, _ to: String, _ reason: SIPParseError.Reason, _ status: Int) throws {
    #expect(Self.good.contains(from))
    let found = try #require(fault(Self.good.replacing(from, with: to, maxReplacements: 1)))
    #expect(found.0 == reason)
    #expect(found.1 == status)
  }

  @Test func theUnchangedMessageIsGood() { #expect(fault(Self.good) == nil) }

  @Test func missingHeadersAreSilence() {
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
      let cut = Self.good.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("\(name):") }
      let found = fault(cut.joined(separator: "\n"))
      #expect(found?.0 == .missingHeader)
      #expect(found?.1 == 0)
    }
  }

  @Test func everyTruncationIsAnErrorAndNoCrash() {
    let whole = bytes(Self.good)
    for length in 0..<whole.count {
      #expect(throws: SIPParseError.self) { try SIPMessage.parse(Array(whole[..<length])) }
    }
  }

  @Test func limitsHold() {
    let long = "X: " + String(repeating: "a", count: 9_000) + "\n"
    let many = String(repeating: "X: 1\n", count: 200)
    let vias = String(repeating: "Via: SIP/2.0/UDP h;branch=z9hG4bKx\n", count: 80)
    for (extra, reason, status) in [
      (long, SIPParseError.Reason.headerTooLong, 400), (many, .tooManyHeaders, 400), (vias, .via, 483),
    ] {
      let text = Self.good.replacing("Content-Length", with: extra + "Content-Length", maxReplacements: 1)
      // Lines over the count are not kept, so Content-Length may be among them; the identifying headers come first.
      let found = fault(text)
      #expect(found?.0 == reason)
      #expect(found?.1 == status)
    }
    let huge = Self.good + String(repeating: "a", count: 70_000)
    #expect(fault(huge)?.0 == .tooLarge)
  }

  @Test func acksAndResponsesAreNeverAnswered() {
    let ack = Self.good.replacing("OPTIONS", with: "ACK").replacing("Content-Length: 0", with: "Content-Length: 9")
    #expect(fault(ack)?.1 == 0)
    let response = Self.good.replacing("OPTIONS sip:bob@192.0.2.20 SIP/2.0", with: "SIP/2.0 200 OK")
      .replacing("Content-Length: 0", with: "Content-Length: 9")
    #expect(fault(response)?.1 == 0)
    for line in ["SIP/2.0 99 Low", "SIP/2.0 700 High", "SIP/2.0 2000 Long", "SIP/2.0  200 OK", "SIP/3.0 200 OK"] {
      #expect(fault(Self.good.replacing("OPTIONS sip:bob@192.0.2.20 SIP/2.0", with: line))?.1 == 0)
    }
  }

  @Test func responsesWithoutReasonAreRead() throws {
    for line in ["SIP/2.0 180 ", "SIP/2.0 180"] {
      let message = try SIPMessage.parse(
        bytes(Self.good.replacing("OPTIONS sip:bob@192.0.2.20 SIP/2.0", with: line)))
      #expect(message.status == 180)
      #expect(message.reason == "")
      #expect(message.method == .options)
    }
  }

  @Test func emptyLinesBeforeTheStartLineAreSkipped() throws {
    #expect(try SIPMessage.parse(bytes("\n\n" + Self.good)).method == .options)
  }

  @Test func streamsNeedContentLength() {
    let without = Self.good.replacing("Content-Length: 0\n", with: "")
    #expect(fault(without) == nil)
    #expect(fault(without, .stream)?.0 == .contentLength)
  }

  @Test(
    arguments: [
      ("sip:bob", nil, "bob", nil), ("sip:alice@example.com", "alice", "example.com", nil),
      ("sips:alice:secret@[2001:db8::1]:5061;transport=tcp?subject=x", "alice", "2001:db8::1", 5061),
      ("sip:+1-212;phone-context=x@gw.example.com;user=phone", "+1-212;phone-context=x", "gw.example.com", nil),
      ("sip:user%40host@example.com", "user%40host", "example.com", nil),
      ("tel:+12125551212;ext=5", "+12125551212", "", nil),
      ("http://example.com/", "//example.com/", "", nil),
    ] as [(String, String?, String, Int?)])
  func readsURIs(_ text: String, _ user: String?, _ host: String, _ port: Int?) throws {
    let uri = try #require(SIPURI(text))
    #expect(uri.user == user)
    #expect(uri.host == host)
    #expect(uri.port == port)
    #expect(uri.description == text)
  }

  @Test(arguments: [
    "", "sip", "sip:", "sip:@host", "sip:a@", "sip:a@h:0", "sip:a@h:70000", "sip:a@[::1", "sip:a b@h", "sip:a@h;",
    "1sip:a@h", "sip:a@h\r\nX: y", "sip:a@ho<st", ":a",
  ])
  func refusesURIs(_ text: String) { #expect(SIPURI(text) == nil) }

  @Test func userPartsAreDecoded() { #expect(SIPURI("sip:%61lice%21%@h")?.decodedUser == "alice!%") }

  @Test func headerInjectionIsImpossible() throws {
    var writer = SIPMessageWriter(request: SIPMethod("OPTIONS\r\nX: 1"), uri: "sip:a@b SIP/2.0\r\nEvil: 1\r\n\r\n")
    writer.add(.via, "SIP/2.0/UDP h;branch=z9hG4bKx")
    writer.add(.from, "<sip:a@b>;tag=1\r\nEvil: 2")
    writer.add(.to, "<sip:a@b>")
    writer.add(.callID, "1")
    writer.add(.cseq, "1 OPTIONSX1")
    writer.add(SIPHeaderField("X-Mine", "a\nEvil: 3\u{0}\r\n\r\nbody"))
    writer.add(SIPHeaderField("Evil\r\nEvil", "4"))
    writer.add(SIPHeaderField("", "5"))
    writer.add(SIPHeaderField("Content-Length", "6"))
    let out = writer.finish(SIPBody(contentType: "text/plain\r\nEvil: 7", bytes: [1, 2, 3]))
    let lines = text(out).split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(!lines.contains { $0.hasPrefix("Evil") })
    #expect(lines.filter { $0.hasPrefix("Content-Length") } == ["Content-Length: 3"])
    #expect(!text(out).utf8.contains(0))
  }

  @Test func writesWhatItRead() throws {
    let message = try SIPMessage.parse(bytes(Self.torturous))
    let again = try SIPMessage.parse(message.serialized(), framing: .stream)
    #expect(
      again.headers.filter { $0.name != "Content-Length" } == message.headers.filter { $0.name != "Content-Length" })
    #expect(again.body == message.body)
    #expect(again.requestURIText == message.requestURIText)
    #expect(text(again.serialized()) == text(message.serialized()))
  }
}
