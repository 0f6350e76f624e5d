import Base
import SIP
import Testing

/// The torture messages of RFC 4475 and RFC 5118, each through a whole endpoint.
@Suite struct TortureTests {
  static let messages = RFC4475Valid.all + RFC4475Invalid.all + RFC4475Application.all + RFC5118.all

  private static let source = SIPPeer(.udp, host: "192.0.2.10", port: 5060)

  private static func message(_ name: String) throws -> TortureMessage {
    try #require(messages.first { $0.name == name })
  }

  @Test func allAreHere() {
    #expect(RFC4475Valid.all.count + RFC4475Invalid.all.count + RFC4475Application.all.count == 49)
    #expect(RFC5118.all.count == 12)
    #expect(Set(Self.messages.map(\.name)).count == Self.messages.count)
  }

  @Test(arguments: messages) func meetsItsVerdict(_ message: TortureMessage) {
    var endpoint = makeEndpoint()
    let actions = endpoint.receive(datagram: message.bytes, from: Self.source, at: .zero)
    let malformed = endpoint.counters.malformed
    switch message.outcome {
    case .offered:
      #expect(actions.names == ["incoming"], "\(message.verdict)")
      #expect(actions.statuses == [100])
      #expect(malformed.isEmpty)
    case .answered(let status, let reason):
      #expect(actions.names.isEmpty)
      #expect(statuses(actions) == [status], "\(message.verdict)")
      #expect(malformed == (reason.map { [$0: 1] } ?? [:]))
    case .dropped(let reason):
      #expect(actions.isEmpty, "\(message.verdict)")
      #expect(malformed == (reason.map { [$0: 1] } ?? [:]))
      #expect(endpoint.counters.dropped == (reason == nil ? 1 : 0))
    }
    // Whatever became of it: the endpoint still works, and nothing is left in the end.
    var now = Instant.zero
    var rounds = 0
    while let deadline = endpoint.deadline, rounds < 10_000 {
      rounds += 1
      now = deadline
      _ = endpoint.timeout(at: now)
    }
    #expect(endpoint.isIdle)
    #expect(endpoint.receive(datagram: Script().request("OPTIONS"), from: alicePeer, at: now).statuses == [200])
  }

  /// Statuses by their text: an answer to a damaged message carries the damage.
  private func statuses(_ actions: [SIPAction]) -> [Int] {
    actions.compactMap {
      guard case .send(let bytes, _) = $0 else { return nil }
      return text(bytes).split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }
  }

  @Test(arguments: messages) func readsTheSameOverAStream(_ message: TortureMessage) {
    // Without a length a stream cannot be cut, and the second message of dblreq is one there.
    let exceptions: Set = ["inv2543", "dblreq", "clerr", "ncl", "mcl01", "insuf"]
    guard !exceptions.contains(message.name) else { return }
    var whole = makeEndpoint()
    let expected = whole.receive(datagram: message.bytes, from: Self.source, at: .zero)
    var endpoint = makeEndpoint()
    let peer = SIPPeer(.tcp, host: "192.0.2.10", port: 5060, connection: 1)
    var actions: [SIPAction] = []
    for byte in message.bytes { actions += endpoint.receive(stream: [byte], from: peer, at: .zero) }
    #expect(statuses(actions) == statuses(expected))
    #expect(endpoint.counters.malformed == whole.counters.malformed)
  }

  @Test func theLengthsOfTheRFCsAreThoseOfTheirBodies() {
    // Nothing was lost when the messages were written down.
    for row in Self.messages where !["clerr", "ncl", "mcl01", "dblreq", "scalar02"].contains(row.name) {
      let length = text(row.bytes).split(separator: "\r\n").compactMap { line -> Int? in
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, SIPHeaderName(parts[0].filter { $0 != " " }) == .contentLength else { return nil }
        return Int(parts[1].filter { $0 != " " })
      }.first
      #expect(length ?? row.body.count == row.body.count, "\(row.name)")
    }
  }
}

// What single messages must come to.
extension TortureTests {
  private func answer(_ name: String) throws -> (request: SIPMessage, answer: SIPMessage) {
    let row = try #require(Self.messages.first { $0.name == name })
    var endpoint = makeEndpoint()
    let actions = endpoint.receive(datagram: row.bytes, from: alicePeer, at: .zero)
    return (try SIPMessage.parse(row.bytes), try #require(actions.sent.first))
  }

  /// The text of the one answer: for those that repeat damage.
  private func answerText(_ name: String) throws -> [Substring] {
    let row = try #require(Self.messages.first { $0.name == name })
    var endpoint = makeEndpoint()
    guard case .send(let bytes, _)? = endpoint.receive(datagram: row.bytes, from: alicePeer, at: .zero).first else {
      Issue.record("no answer")
      return []
    }
    return text(bytes).split(separator: "\r\n")
  }

  @Test func escapedControlCharactersGoNoFurther() throws {
    let (request, answer) = try answer("intmeth")
    #expect(request.to.displayName == "BEL:  NUL:  DEL: ")
    #expect(
      request.from.parameters.first?.value == "\u{440}\u{430}\u{431}\u{43E}\u{442}\u{430}\u{44E}\u{449}\u{438}\u{439}")
    #expect(request.callID == #"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#)
    #expect(request.requestURI?.host == "example.com")
    #expect(answer.callID == request.callID)
    #expect(answer.cseq == request.cseq)
    #expect(answer.topVia?.branch == "z9hG4bK-.!%66*_+`'~")
  }

  @Test func escapesAreKeptUntilTheyAreAskedFor() throws {
    let row = try #require(Self.messages.first { $0.name == "esc01" })
    let message = try SIPMessage.parse(row.bytes)
    #expect(message.requestURI?.scheme == .sip)
    #expect(message.requestURI?.decodedUser == "sips:user@example.com")
    #expect(message.contact?.uri.host == "host5.example.net")
    #expect(message.contact?.uri.isLooseRouter == false)
    let null = try #require(Self.messages.first { $0.name == "escnull" })
    #expect(try SIPMessage.parse(null.bytes).contacts.map(\.uri.decodedUser) == ["\u{0}", "\u{0}\u{0}"])
    #expect(try answer("esc02").request.contacts.count == 2)
    #expect(try answer("semiuri").request.requestURI?.user == "user;par=u%40example.net")
  }

  @Test func everyHopComesBackInOrder() throws {
    let (request, answer) = try answer("transports")
    #expect(answer.values(.via).dropFirst().elementsEqual(request.values(.via).dropFirst()))
    #expect(answer.values(.via).count == 5)
    #expect(try self.answer("longreq").answer.values(.via).count == 34)
  }

  @Test func binaryBodiesAreWhole() throws {
    let body = try answer("mpart01").request.bodyBytes
    #expect(body.count == 553)
    #expect(body.contains(0))
    // A double of the datagram's second message is no part of the first.
    #expect(try answer("dblreq").request.bodyBytes.isEmpty)
  }

  @Test func answersToDamageRepeatItSoThatTheSenderKnowsThem() throws {
    #expect(try answerText("quotbal").contains { $0.hasPrefix("To: \"Mr. J. User <sip:j.user@example.com>;tag=") })
    #expect(try answerText("scalar02").contains("CSeq: 36893488147419103232 REGISTER"))
    #expect(try answerText("baddn").contains("From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"))
    #expect(try answerText("badvers").contains { $0.hasPrefix("Via: SIP/2.0/UDP c.example.com;branch=z9hG4bKkdjuw") })
    let vias = try answerText("badinv01").filter { $0.hasPrefix("Via:") }
    #expect(vias == ["Via: SIP/2.0/UDP 192.0.2.15;received=192.0.2.10"])
  }

  @Test func refusalsSayWhatWouldDo() throws {
    #expect(try answer("bext01").answer.values(.unsupported) == ["nothingSupportsThis", "nothingSupportsThisEither"])
    #expect(try answer("invut").answer[.accept] == "application/sdp")
  }

  @Test func contactsAreReadAsTheBracketsSay() throws {
    // regbadct: a question mark needs them; cparam01 and 02: they decide whose the parameter is; regescrt: headers are kept.
    #expect(try answer("regbadct").request.contacts.isEmpty)
    let outside = try #require(try answer("cparam01").request.contact)
    #expect(outside.parameters.map(\.name) == ["unknownparam"])
    #expect(outside.uri.parameters.isEmpty)
    let inside = try #require(try answer("cparam02").request.contact)
    #expect(inside.parameters.isEmpty)
    #expect(inside.uri.parameters.map(\.name) == ["unknownparam"])
    #expect(try answer("regescrt").request.contact?.uri.headers == "Route=%3Csip:sip.example.com%3E")
    #expect(try answer("unksm2").request.to.uri.scheme == .other("isbn"))
  }

  @Test func aCallerOfRFC2543CanBeHungUp() throws {
    let row = try #require(Self.messages.first { $0.name == "inv2543" })
    var endpoint = makeEndpoint()
    let (call, invite) = try #require(endpoint.receive(datagram: row.bytes, from: alicePeer, at: .zero).incoming)
    #expect(invite.offer?.bytes == row.body)
    let answer = try #require(endpoint.answer(call, body: .sdp("a"), at: .zero).sent.first)
    let ack = """
      ACK sip:UserB@example.com SIP/2.0
      Via: SIP/2.0/UDP iftgw.example.com
      From: <sip:+13035551111@ift.client.example.net;user=phone>
      To: \(answer[.to] ?? "")
      Call-ID: inv2543.1717@ift.client.example.com
      CSeq: 56 ACK


      """
    #expect(endpoint.receive(datagram: bytes(ack), from: alicePeer, at: .zero).names == ["acknowledged"])
    let bye = try #require(endpoint.hangup(call, at: .zero).sent.first)
    #expect(bye.method == .bye)
    #expect(bye.to.uri.user == "+13035551111")
  }

  @Test func addressesOfIPv6AreReadWithAndWithoutPort() throws {
    #expect(try answer("port-ambiguous").request.requestURI?.host == "2001:db8::10:5070")
    #expect(try answer("port-ambiguous").request.requestURI?.port == nil)
    #expect(try answer("port-unambiguous").request.requestURI?.port == 5070)
    #expect(try answer("via-received-param-no-delim").request.topVia?.parameters.first?.value == "2001:db8::9:255")
    // What the sender wrote of itself does not stay: received is ours to say.
    let via = try #require(try answer("via-received-param-with-delim").answer.topVia)
    #expect(via.description == "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111;received=192.0.2.10")
  }
}
