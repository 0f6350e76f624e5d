import Base
import SIP
import Testing

/// Via, Contact and ports of every transport (RFC 3261 18, RFC 7118), IPv6, and rport (RFC 3581).
@Suite struct TransportTests {
  private static let local: [SIPTransport: SIPHostPort] = [
    .udp: SIPHostPort(host: "2001:db8::20", port: 5060), .tcp: SIPHostPort(host: "2001:db8::20", port: 5060),
    .tls: SIPHostPort(host: "2001:db8::20", port: 5061), .ws: SIPHostPort(host: "2001:db8::20", port: 80),
    .wss: SIPHostPort(host: "2001:db8::20", port: 443),
  ]

  private func endpoint() -> SIPEndpoint { makeEndpoint { $0.localAddresses = Self.local } }

  /// Hands a whole message over, as its transport carries it.
  private func feed(_ endpoint: inout SIPEndpoint, _ message: [UInt8], from peer: SIPPeer) -> [SIPAction] {
    switch peer.transport {
    case .udp: endpoint.receive(datagram: message, from: peer, at: .zero)
    case .tcp, .tls: endpoint.receive(stream: message, from: peer, at: .zero)
    case .ws, .wss: endpoint.receive(frame: message, from: peer, at: .zero)
    }
  }

  @Test(
    arguments: [
      (.udp, "UDP", "<sip:parley@[2001:db8::20]:5060>"),
      (.tcp, "TCP", "<sip:parley@[2001:db8::20]:5060;transport=tcp>"),
      (.tls, "TLS", "<sip:parley@[2001:db8::20]:5061;transport=tls>"),
      (.ws, "WS", "<sip:parley@[2001:db8::20]:80;transport=ws>"),
      (.wss, "WSS", "<sip:parley@[2001:db8::20]:443;transport=ws>"),
    ] as [(SIPTransport, String, String)])
  func callsInBothDirectionsOverIPv6(_ transport: SIPTransport, _ name: String, _ contact: String) throws {
    let connection: UInt64? = transport == .udp ? nil : 7
    let peer = SIPPeer(transport, host: "2001:db8::10", port: 40_000, connection: connection)
    var bob = endpoint()
    // Theirs.
    var script = Script(transport: name, via: "[2001:db8::10]:40000", body: "offer")
    let offered = feed(&bob, script.request("INVITE"), from: peer)
    let (call, _) = try #require(offered.incoming)
    let answer = bob.answer(call, body: .sdp("answer"), at: .zero)
    #expect(answer.sent.first?[.contact] == contact)
    #expect(answer.peers == [peer])
    script.toTag = answer.sent.first?.to.tag
    script.branch = "z9hG4bK-2"
    script.body = ""
    #expect(feed(&bob, script.request("ACK"), from: peer).names == ["acknowledged"])
    let bye = bob.hangup(call, at: .zero)
    #expect(bye.peers.map(\.connection) == [connection])
    #expect(bye.sent.first?.topVia?.transport == name)
    #expect(bye.sent.first?.topVia?.host == "2001:db8::20")
    // Ours.
    let invite = SIPInvite(
      target: try #require(SIPURI("sip:alice@[2001:db8::10]")),
      from: SIPNameAddress(uri: try #require(SIPURI("sip:parley@[2001:db8::20]"))), peer: peer, body: .sdp("offer"))
    let (ours, placed) = bob.invite(invite, at: .zero)
    let request = try #require(placed.sent.first)
    #expect(request[.contact] == contact)
    #expect(request.topVia?.transport == name)
    #expect(text(request.serialized()).contains("Via: SIP/2.0/\(name) [2001:db8::20]:"))
    #expect(request.requestURIText == "sip:alice@[2001:db8::10]")
    let ok = reply(request, 200, contact: "<sip:alice@[2001:db8::10]:40000>", body: "answer")
    let answered = feed(&bob, ok, from: peer)
    #expect(answered.names == ["answered"])
    #expect(answered.methods == ["ACK"])
    #expect(answered.sent.first?.requestURIText == "sip:alice@[2001:db8::10]:40000")
    #expect(answered.peers == [peer])
    #expect(bob.hangup(ours, at: .zero).methods == ["BYE"])
  }

  @Test func portsThatAreNotWrittenAreTheTransportsOwn() {
    #expect(SIPTransport.allCases.map(\.defaultPort) == [5060, 5060, 5061, 80, 443])
    // A response over a stream whose connection is gone goes to the port of the Via, or to the transport's own.
    for (name, transport, port) in [("TCP", SIPTransport.tcp, 5060), ("TLS", .tls, 5061)] {
      var bob = endpoint()
      let peer = SIPPeer(transport, host: "192.0.2.10", port: 40_000, connection: 1)
      let script = Script(transport: name, via: "192.0.2.10", body: "offer")
      guard let (call, _) = feed(&bob, script.request("INVITE"), from: peer).incoming else {
        Issue.record("no call")
        return
      }
      _ = bob.connectionClosed(1, at: .zero)
      #expect(bob.ring(call, at: .zero).peers == [SIPPeer(transport, host: "192.0.2.10", port: port)])
    }
  }

  @Test func sipsIsAnsweredWithSipsAndNeverSentInClear() throws {
    var bob = endpoint()
    let peer = SIPPeer(.tls, host: "192.0.2.10", port: 40_000, connection: 1)
    let script = Script(transport: "TLS", uri: "sips:bob@192.0.2.20", body: "offer")
    let (call, _) = try #require(feed(&bob, script.request("INVITE"), from: peer).incoming)
    let answer = bob.answer(call, body: .sdp("a"), at: .zero)
    #expect(answer.sent.first?.contact?.uri.scheme == .sips)
    let target = try #require(SIPURI("sips:alice@example.com"))
    let from = SIPNameAddress(uri: try #require(SIPURI("sips:parley@example.com")))
    let (_, refused) = bob.invite(SIPInvite(target: target, from: from, peer: bobPeer, body: nil), at: .zero)
    #expect(refused.names == ["ended transport_failed 0"])
    #expect(refused.sent.isEmpty)
    let (_, placed) = bob.invite(SIPInvite(target: target, from: from, peer: peer, body: nil), at: .zero)
    #expect(placed.sent.first?.contact?.uri.scheme == .sips)
  }

  @Test(arguments: [
    ("sip:a@h", [SIPTransport.udp, .tcp, .tls, .ws, .wss]), ("sip:a@h;transport=UDP", [.udp]),
    ("sip:a@h;transport=tcp", [.tcp]), ("sip:a@h;transport=tls", [.tls]), ("sip:a@h;transport=ws", [.ws, .wss]),
    ("sips:a@h", [.tls, .wss]), ("sips:a@h;transport=tcp", [.tls]), ("sips:a@h;transport=ws", [.wss]),
    ("sip:a@h;transport=sctp", []),
  ])
  func urisSayWhichTransportsWillDo(_ uri: String, _ transports: [SIPTransport]) throws {
    let uri = try #require(SIPURI(uri))
    #expect(SIPTransport.allCases.filter { uri.allows($0) } == transports)
  }

  @Test func framesAreMessagesWithoutLength() {
    var bob = endpoint()
    let peer = SIPPeer(.wss, host: "192.0.2.10", port: 40_000, connection: 1)
    let script = Script(transport: "WSS", via: "df7jal23ls0d.invalid")
    let bare = text(script.request("OPTIONS")).replacing("Content-Length: 0\r\n", with: "")
    #expect(bob.receive(frame: Array(bare.utf8), from: peer, at: .zero).statuses == [200])
    let ping = bob.receive(frame: bytes("\n\n"), from: peer, at: .zero)
    guard case .send(let pong, peer) = ping.first else {
      Issue.record("no pong")
      return
    }
    #expect(pong == bytes("\n"))
    #expect(bob.receive(frame: bytes("\n"), from: peer, at: .zero).isEmpty)
    #expect(bob.receive(frame: [], from: peer, at: .zero).isEmpty)
    #expect(bob.receive(frame: Array(bare.utf8.prefix(40)), from: peer, at: .zero).isEmpty)
  }

  @Test(arguments: [
    // Via's sent-by and parameters, where the request came from, where the answer goes, what Via then says
    ("192.0.2.10:5070", "", "192.0.2.10", 5060, 5070, ""),
    ("192.0.2.10", "", "192.0.2.10", 40_000, 5060, ""),
    ("10.0.0.1:5070", "", "192.0.2.10", 40_000, 5070, ";received=192.0.2.10"),
    ("10.0.0.1:5070", ";rport", "192.0.2.10", 40_000, 40_000, ";received=192.0.2.10;rport=40000"),
    ("192.0.2.10:5070", ";rport", "192.0.2.10", 5070, 5070, ";received=192.0.2.10;rport=5070"),
    (
      "phone.example.com", ";rport=1;received=1.2.3.4", "192.0.2.10", 40_000, 40_000, ";received=192.0.2.10;rport=40000"
    ),
    ("[2001:db8::10]:5070", ";rport", "2001:db8::10", 5070, 5070, ";received=2001:db8::10;rport=5070"),
    ("[fd00::1]", "", "2001:db8::10", 40_000, 5060, ";received=2001:db8::10"),
    // Where to answer is not for the sender to say.
    ("192.0.2.10:5070", ";maddr=198.51.100.1", "192.0.2.10", 5060, 5070, ";maddr=198.51.100.1"),
  ])
  func answersFindTheirWayBack(
    _ sentBy: String, _ parameters: String, _ host: String, _ port: Int, _ to: Int, _ written: String
  ) {
    var bob = makeEndpoint()
    let script = Script(branch: "z9hG4bK-1\(parameters)", via: sentBy)
    let actions = bob.receive(
      datagram: script.request("OPTIONS"), from: SIPPeer(.udp, host: host, port: port), at: .zero)
    #expect(actions.peers == [SIPPeer(.udp, host: host, port: to)])
    #expect(actions.sent.first?[.via] == "SIP/2.0/UDP \(sentBy);branch=z9hG4bK-1\(written)")
  }
}
