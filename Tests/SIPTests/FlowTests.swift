import Base
import SIP
import Testing

/// Keep-alive on connections of our own (RFC 5626), and requests too large for a datagram (RFC 3261 18.1.1).
@Suite struct FlowTests {
  private let trunk = SIPPeer(.tcp, host: "192.0.2.50", port: 5060)

  private func pings(_ actions: [SIPAction]) -> Int {
    actions.count { if case .send(let bytes, _) = $0 { bytes == SIPTests.bytes("\n\n") } else { false } }
  }

  @Test func livingFlowsArePingedForEver() throws {
    var endpoint = makeEndpoint()
    #expect(endpoint.keepAlive(3, to: trunk, at: .zero).isEmpty)
    let peer = SIPPeer(.tcp, host: "192.0.2.50", port: 5060, connection: 3)
    var waits: Set<Int64> = []
    var now = Instant.zero
    for _ in 0..<20 {
      let due = try #require(endpoint.deadline)
      let wait = due - now
      #expect(wait >= .seconds(96) && wait <= .seconds(120))
      waits.insert(wait.nanoseconds)
      now = due
      let actions = endpoint.timeout(at: now)
      #expect(pings(actions) == 1)
      #expect(actions.peers == [peer])
      now += .seconds(1)
      #expect(endpoint.receive(stream: bytes("\n"), from: peer, at: now).isEmpty)
    }
    // Theirs are still answered.
    let theirs = endpoint.receive(stream: bytes("\n\n"), from: peer, at: now)
    #expect(theirs.peers == [peer])
    #expect(waits.count > 5, "pings of many flows must not bunch")
    #expect(endpoint.counters.deadFlows == 0)
  }

  @Test func silentFlowsAreClosedAndWhatWaitedFails() throws {
    var endpoint = makeEndpoint()
    _ = endpoint.keepAlive(3, to: trunk, every: .seconds(30), at: .zero)
    let due = try #require(endpoint.deadline)
    #expect(pings(endpoint.timeout(at: due)) == 1)
    let request = SIPRequest(
      method: .options, target: try #require(SIPURI("sip:192.0.2.50")),
      from: SIPNameAddress(uri: try #require(SIPURI("sip:parley@192.0.2.20"))),
      peer: SIPPeer(.tcp, host: "192.0.2.50", port: 5060, connection: 3))
    _ = endpoint.request(request, at: due)
    #expect(endpoint.timeout(at: due + .milliseconds(9_999)).isEmpty)
    let actions = endpoint.timeout(at: due + .seconds(10))
    guard case .close(connection: 3) = actions.first else {
      Issue.record("not closed")
      return
    }
    #expect(actions.names == ["response 503"])
    #expect(endpoint.counters.deadFlows == 1)
    #expect(endpoint.deadline == nil)
  }

  @Test func closedFlowsAreForgottenAndDatagramsHaveNone() {
    var endpoint = makeEndpoint()
    _ = endpoint.keepAlive(3, to: trunk, at: .zero)
    _ = endpoint.connectionClosed(3, at: .zero)
    #expect(endpoint.deadline == nil)
    _ = endpoint.keepAlive(4, to: alicePeer, at: .zero)
    #expect(endpoint.deadline == nil)
    var narrow = makeEndpoint { $0.limits.connections = 1 }
    _ = narrow.keepAlive(1, to: trunk, at: .zero)
    _ = narrow.keepAlive(2, to: trunk, at: .zero)
    #expect(narrow.counters.commandsIgnored == 1)
  }

  // MARK: Size

  private func invite(_ size: Int) throws -> SIPInvite {
    SIPInvite(
      target: try #require(SIPURI("sip:bob@192.0.2.20")),
      from: SIPNameAddress(uri: try #require(SIPURI("sip:alice@192.0.2.10"))), peer: bobPeer,
      body: .sdp(String(repeating: "a", count: size)))
  }

  @Test func largeRequestsGoOverTCPAndStayThere() throws {
    var alice = makeEndpoint("192.0.2.10")
    let (_, small) = alice.invite(try invite(100), at: .zero)
    #expect(small.peers == [bobPeer])
    let (call, actions) = alice.invite(try invite(1_300), at: .zero)
    #expect(actions.peers == [SIPPeer(.tcp, host: "192.0.2.20", port: 5060)])
    let request = try #require(actions.sent.first)
    #expect(request.topVia?.transport == "TCP")
    #expect(request.topVia?.description.hasPrefix("SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bK") == true)
    #expect(request.body?.bytes.count == 1_300)
    let peer = SIPPeer(.tcp, host: "192.0.2.20", port: 5060, connection: 5)
    #expect(alice.receive(stream: reply(request, 180), from: peer, at: .zero).names == ["progress 180"])
    // CANCEL and the ACK of its 487 go where the INVITE went, with its Via.
    let cancel = alice.cancel(call, at: .zero)
    #expect(cancel.peers == [peer])
    #expect(cancel.sent.first?.topVia == request.topVia)
    let end = alice.receive(stream: reply(request, 487), from: peer, at: .zero)
    #expect(end.methods == ["ACK"])
    #expect(end.sent.first?.topVia == request.topVia)
    #expect(end.names == ["ended local_cancel 487"])
  }

  @Test func theLimitIsExact() throws {
    for excess in [0, 1] {
      var alice = makeEndpoint("192.0.2.10") { $0.limits.datagramRequestBytes = 10_000 }
      let (_, probe) = alice.invite(try invite(1_000), at: .zero)
      guard case .send(let sent, _) = probe.first else {
        Issue.record("nothing sent")
        return
      }
      var exact = makeEndpoint("192.0.2.10") { $0.limits.datagramRequestBytes = sent.count - excess }
      let (_, actions) = exact.invite(try invite(1_000), at: .zero)
      #expect(actions.peers.first?.transport == (excess == 0 ? .udp : .tcp))
    }
  }

  @Test func withoutTCPThereIsOnlyUDP() throws {
    var alice = makeEndpoint("192.0.2.10") { $0.localAddresses[.tcp] = nil }
    let (_, actions) = alice.invite(try invite(5_000), at: .zero)
    #expect(actions.peers == [bobPeer])
  }

  @Test func refusedTCPFallsBackToUDPAndIsRemembered() throws {
    var alice = makeEndpoint("192.0.2.10")
    let (call, actions) = alice.invite(try invite(2_000), at: .zero)
    let over = try #require(actions.peers.first)
    let first = try #require(actions.sent.first)
    let again = alice.sendFailed(to: over, at: ms(100))
    #expect(again.peers == [bobPeer])
    #expect(again.events.isEmpty)
    let request = try #require(again.sent.first)
    #expect(request.topVia?.transport == "UDP")
    #expect(request.topVia?.branch == first.topVia?.branch)
    // Over UDP it is repeated.
    #expect(alice.deadline == ms(600))
    #expect(alice.timeout(at: ms(600)).peers == [bobPeer])
    let answered = alice.receive(datagram: reply(request, 200, body: "answer"), from: bobPeer, at: ms(700))
    #expect(answered.names == ["answered"])
    #expect(answered.sent.first?.topVia?.transport == "UDP")
    _ = alice.hangup(call, at: ms(800))
    let (_, next) = alice.invite(try invite(2_000), at: ms(900))
    #expect(next.peers == [bobPeer])
    let (_, later) = alice.invite(try invite(2_000), at: ms(700_000))
    #expect(later.peers.first?.transport == .tcp)
    // A second failure of the same thing is one.
    let (_, other) = alice.invite(try invite(2_000), at: ms(1_500_000))
    _ = other
    _ = alice.sendFailed(to: over, at: ms(1_500_000))
    #expect(alice.sendFailed(to: bobPeer, at: ms(1_500_001)).names.contains("ended transport_failed 503"))
  }
}
