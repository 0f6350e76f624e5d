import Base
import SIP
import Testing

/// The endpoint as the calling side, against a scripted callee.
@Suite struct OutgoingCallTests {
  private var alice = makeEndpoint("192.0.2.10")

  private func call(body: SIPBody? = .sdp("offer"), peer: SIPPeer = bobPeer, routes: [String] = []) throws -> SIPInvite
  {
    SIPInvite(
      target: try #require(SIPURI("sip:bob@192.0.2.20")),
      from: SIPNameAddress(displayName: "Alice \"A\"", uri: try #require(SIPURI("sip:alice@192.0.2.10"))), peer: peer,
      body: body, headers: [SIPHeaderField("X-Trace", "1\r\nEvil: 1")], routes: routes)
  }

  private mutating func receive(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    alice.receive(datagram: bytes, from: bobPeer, at: ms(at))
  }

  /// An answered call, and its INVITE.
  private mutating func established() throws -> (SIPCallHandle, SIPMessage) {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    #expect(receive(reply(invite, 200, body: "answer"), 10).methods == ["ACK"])
    return (handle, invite)
  }

  /// A request of the callee within the call.
  private func within(_ invite: SIPMessage, _ method: String, _ sequence: Int, body: String = "") -> [UInt8] {
    Script(
      callID: invite.callID, fromTag: "bob-tag", toTag: invite.from.tag, branch: "z9hG4bK-b\(sequence)",
      sequence: sequence, via: "192.0.2.20:5060", uri: "sip:parley@192.0.2.10:5060", body: body
    ).request(method)
  }

  @Test mutating func aCallIsPlacedAnsweredAndHungUp() throws {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    #expect(actions.peers == [bobPeer])
    #expect(invite.from.displayName == "Alice \"A\"")
    #expect(invite.from.tag != nil)
    #expect(invite.topVia?.hasCookie == true)
    #expect(invite.first("X-Trace") == "1  Evil: 1")
    #expect(receive(reply(invite, 100, tag: nil, contact: nil), 5).isEmpty)
    #expect(receive(reply(invite, 180), 10).names == ["progress 180"])
    #expect(alice.timeout(at: ms(31_000)).isEmpty)
    let answered = receive(reply(invite, 200, body: "answer"), 31_000)
    #expect(answered.names == ["answered"])
    let ack = try #require(answered.sent.first)
    #expect(ack.method == .ack)
    #expect(ack.cseq.number == invite.cseq.number)
    #expect(ack.topVia?.branch != invite.topVia?.branch)
    #expect(ack.requestURIText == "sip:bob@192.0.2.20:5060")
    #expect(ack.to.tag == "bob-tag")
    let bye = alice.hangup(handle, at: ms(32_000))
    #expect(bye.methods == ["BYE"])
    #expect(bye.sent.first?.cseq.number == 2)
    #expect(receive(reply(try #require(bye.sent.first), 200), 32_010).names == ["ended local_hangup 200"])
    #expect(alice.counters.sent == [.init(method: "INVITE", status: 200): 1, .init(method: "BYE", status: 200): 1])
    while let deadline = alice.deadline { #expect(alice.timeout(at: deadline).isEmpty) }
    #expect(alice.isIdle)
  }

  @Test mutating func repeatedAcceptancesGetTheSameAckAgain() throws {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    let first = receive(reply(invite, 200, body: "answer"), 10)
    let second = receive(reply(invite, 200, body: "answer"), 510)
    #expect(second.events.isEmpty)
    #expect(second.sent.first?.serialized() == first.sent.first?.serialized())
    // Even when the call has gone meanwhile.
    let bye = try #require(alice.hangup(handle, at: ms(600)).sent.first)
    _ = receive(reply(bye, 200), 610)
    #expect(receive(reply(invite, 200, body: "answer"), 1_510).methods == ["ACK"])
  }

  @Test mutating func delayedOffersAreAnsweredInTheAck() throws {
    let (handle, actions) = alice.invite(try call(body: nil), at: .zero)
    let invite = try #require(actions.sent.first)
    let answered = receive(reply(invite, 200, body: "their offer"), 10)
    #expect(answered.names == ["answered, needs answer"])
    #expect(answered.sent.isEmpty)
    #expect(receive(reply(invite, 200, body: "their offer"), 510).isEmpty)
    let ack = alice.acknowledge(handle, body: .sdp("our answer"), at: ms(600))
    #expect(ack.sent.first?.body == .sdp("our answer"))
    #expect(receive(reply(invite, 200, body: "their offer"), 1_510).sent.first?.body == .sdp("our answer"))
  }

  @Test mutating func anOfferThatIsNeverAnsweredEndsTheCall() throws {
    let (_, actions) = alice.invite(try call(body: nil), at: .zero)
    _ = receive(reply(try #require(actions.sent.first), 200, body: "their offer"), 10)
    #expect(alice.timeout(at: ms(32_010)).methods == ["ACK", "BYE"])
  }

  @Test(arguments: [
    (486, "ended refused 486"), (302, "ended redirected 302"), (401, "ended challenged 401"),
    (407, "ended challenged 407"), (408, "ended timeout 408"), (603, "ended refused 603"),
  ])
  func refusalsAreAcknowledgedAndNamed(_ status: Int, _ name: String) throws {
    var alice = makeEndpoint("192.0.2.10")
    let (_, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    let refused = alice.receive(datagram: reply(invite, status), from: bobPeer, at: ms(10))
    #expect(refused.names == [name])
    let ack = try #require(refused.sent.first)
    #expect(ack.method == .ack)
    #expect(ack.topVia?.branch == invite.topVia?.branch)
    #expect(ack.to.tag == "bob-tag")
    #expect(alice.receive(datagram: reply(invite, status), from: bobPeer, at: ms(510)).methods == ["ACK"])
    _ = alice.timeout(at: ms(32_010))
    #expect(alice.isIdle)
  }

  @Test mutating func nobodyThere() throws {
    _ = alice.invite(try call(), at: .zero)
    var all: [SIPAction] = []
    while let deadline = alice.deadline { all += alice.timeout(at: deadline) }
    #expect(all.methods.count == 6)
    #expect(all.names == ["ended timeout 408"])
    #expect(alice.isIdle)
  }

  @Test mutating func transportsThatFail() throws {
    _ = alice.invite(try call(), at: .zero)
    #expect(alice.sendFailed(to: bobPeer, at: ms(1)).names == ["ended transport_failed 503"])
    let tcp = SIPPeer(.tcp, host: "192.0.2.20", port: 5_060)
    let (_, actions) = alice.invite(try call(peer: tcp), at: .zero)
    let invite = try #require(actions.sent.first)
    #expect(actions.peers == [tcp])
    let connected = SIPPeer(.tcp, host: "192.0.2.20", port: 5_060, connection: 9)
    _ = alice.receive(stream: reply(invite, 180), from: connected, at: ms(10))
    #expect(alice.timeout(at: ms(1_000)).isEmpty)
    #expect(alice.connectionClosed(9, at: ms(1_000)).names == ["ended transport_failed 503"])
    var udpOnly = makeEndpoint { $0.localAddresses[.tcp] = nil }
    #expect(udpOnly.invite(try call(peer: tcp), at: .zero).1.names == ["ended transport_failed 0"])
  }

  @Test mutating func streamCallsStayOnTheirConnection() throws {
    let (handle, actions) = alice.invite(
      try call(peer: SIPPeer(.tcp, host: "192.0.2.20", port: 5_060)), at: .zero)
    let connected = SIPPeer(.tcp, host: "192.0.2.20", port: 5_060, connection: 9)
    let invite = try #require(actions.sent.first)
    #expect(invite.topVia?.transport == "TCP")
    let answered = alice.receive(stream: reply(invite, 200, body: "a"), from: connected, at: ms(10))
    #expect(answered.peers == [connected])
    #expect(alice.hangup(handle, at: ms(20)).peers == [connected])
  }

  @Test mutating func cancelWaitsForAProvisionalResponse() throws {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    #expect(alice.cancel(handle, at: ms(10)).isEmpty)
    let cancel = try #require(receive(reply(invite, 180), 20).sent.first)
    #expect(cancel.method == .cancel)
    #expect(cancel.topVia == invite.topVia)
    #expect(cancel.cseq.number == invite.cseq.number)
    #expect(cancel.to.tag == nil)
    #expect(receive(reply(cancel, 200), 30).isEmpty)
    let end = receive(reply(invite, 487), 40)
    #expect(end.methods == ["ACK"])
    #expect(end.names == ["ended local_cancel 487"])
  }

  @Test mutating func anAcceptanceThatCrossesTheCancelIsHungUp() throws {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    _ = receive(reply(invite, 180), 5)
    let cancel = try #require(alice.cancel(handle, at: ms(10)).sent.first)
    let won = receive(reply(invite, 200, body: "answer"), 20)
    #expect(won.methods == ["ACK", "BYE"])
    #expect(won.events.isEmpty)
    #expect(receive(reply(cancel, 200), 30).isEmpty)
    #expect(receive(reply(try #require(won.sent.last), 200), 40).names == ["ended local_cancel 0"])
  }

  @Test mutating func aPeerThatIgnoresTheCancelIsGivenUp() throws {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    _ = receive(reply(try #require(actions.sent.first), 180), 5)
    _ = alice.hangup(handle, at: ms(10))
    var names: [String] = []
    while let deadline = alice.deadline { names += alice.timeout(at: deadline).names }
    #expect(names == ["ended local_cancel 0"])
    #expect(alice.isIdle)
  }

  @Test mutating func endlessRingingIsWithdrawn() throws {
    let (_, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    _ = receive(reply(invite, 180), 5)
    #expect(alice.timeout(at: ms(190_000)).methods == ["CANCEL"])
    #expect(receive(reply(invite, 487), 190_010).names == ["ended timeout 487"])
  }

  @Test mutating func forkedAnswersAreFollowedAndTheLosersHungUp() throws {
    let (handle, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    var forks: [String] = []
    for tag in ["one", "two", "three"] {
      for case .progress(_, let progress) in receive(reply(invite, 183, tag: tag, body: "early"), 5).events {
        forks.append(progress.fork)
        #expect(progress.body == .sdp("early"))
      }
    }
    #expect(forks == ["one", "two", "three"])
    let won = receive(reply(invite, 200, tag: "two", body: "answer"), 10)
    #expect(won.names == ["answered"])
    let lost = receive(reply(invite, 200, tag: "three", contact: "<sip:other@192.0.2.33>", body: "answer"), 20)
    #expect(lost.methods == ["ACK", "BYE"])
    #expect(lost.events.isEmpty)
    #expect(lost.sent.allSatisfy { $0.to.tag == "three" && $0.requestURIText == "sip:other@192.0.2.33" })
    #expect(
      lost.peers == [SIPPeer(.udp, host: "192.0.2.33", port: 5_060), SIPPeer(.udp, host: "192.0.2.33", port: 5_060)])
    #expect(receive(reply(invite, 200, tag: "three", body: "answer"), 520).methods == ["ACK"])
    #expect(alice.hangup(handle, at: ms(600)).sent.first?.to.tag == "two")
  }

  @Test mutating func routeSetsAreFollowed() throws {
    let (handle, actions) = alice.invite(try call(routes: ["<sip:192.0.2.20;lr>"]), at: .zero)
    let invite = try #require(actions.sent.first)
    #expect(invite.values(.route) == ["<sip:192.0.2.20;lr>"])
    let answered = receive(
      reply(invite, 200, extra: "Record-Route: <sip:203.0.113.1:5080;lr>, <sip:203.0.113.2;lr>\n", body: "a"), 10)
    #expect(answered.sent.first?.values(.route) == ["<sip:203.0.113.2;lr>", "<sip:203.0.113.1:5080;lr>"])
    #expect(answered.peers == [SIPPeer(.udp, host: "203.0.113.2", port: 5_060)])
    #expect(alice.hangup(handle, at: ms(20)).sent.first?.requestURIText == "sip:bob@192.0.2.20:5060")
  }

  @Test mutating func strictRoutersGetTheOldForm() throws {
    let (_, actions) = alice.invite(try call(), at: .zero)
    let answered = receive(
      reply(try #require(actions.sent.first), 200, extra: "Record-Route: <sip:203.0.113.1>\n", body: "a"), 10)
    #expect(answered.sent.first?.requestURIText == "sip:203.0.113.1")
    #expect(answered.sent.first?.values(.route) == ["<sip:bob@192.0.2.20:5060>"])
  }

  @Test mutating func privateContactsBehindANATAreReachedWhereTheyCameFrom() throws {
    let source = SIPPeer(.udp, host: "203.0.113.9", port: 6_000)
    let (_, actions) = alice.invite(try call(peer: source), at: .zero)
    let answered = alice.receive(
      datagram: reply(try #require(actions.sent.first), 200, contact: "<sip:bob@10.0.0.5:5060>", body: "a"),
      from: source, at: ms(10))
    #expect(answered.peers == [source])
  }

  @Test mutating func reinvitesChangeTheSession() throws {
    let (handle, _) = try established()
    let change = try #require(alice.reinvite(handle, body: .sdp("hold"), at: ms(100)).sent.first)
    #expect(change.cseq.number == 2)
    #expect(change.to.tag == "bob-tag")
    // A second one waits for the first.
    #expect(alice.reinvite(handle, body: .sdp("resume"), at: ms(110)).isEmpty)
    let answered = receive(reply(change, 200, contact: "<sip:moved@192.0.2.20:5090>", body: "held"), 120)
    #expect(answered.names == ["reinvite answered held"])
    #expect(answered.methods == ["ACK"])
    #expect(answered.peers == [SIPPeer(.udp, host: "192.0.2.20", port: 5_090)])
    let next = alice.timeout(at: ms(120))
    #expect(next.sent.first?.body == .sdp("resume"))
    #expect(next.sent.first?.requestURIText == "sip:moved@192.0.2.20:5090")
    #expect(receive(reply(try #require(next.sent.first), 488), 130).names == ["reinvite failed 488"])
    #expect(alice.callCount == 1)
  }

  @Test mutating func reinvitesWithoutOfferAskForOne() throws {
    let (handle, _) = try established()
    let change = try #require(alice.reinvite(handle, body: nil, at: ms(100)).sent.first)
    #expect(
      receive(reply(change, 200, body: "their offer"), 110).names == ["reinvite answered their offer, needs answer"])
    #expect(alice.acknowledge(handle, body: .sdp("answer"), at: ms(120)).sent.first?.body == .sdp("answer"))
  }

  @Test mutating func glareIsRefusedAndRetried() throws {
    let (handle, invite) = try established()
    let change = try #require(alice.reinvite(handle, body: .sdp("mine"), at: ms(100)).sent.first)
    let theirs = receive(within(invite, "INVITE", 5, body: "theirs"), 105)
    #expect(theirs.statuses == [491])
    #expect(theirs.events.isEmpty)
    let refused = receive(reply(change, 491), 110)
    #expect(refused.methods == ["ACK"])
    #expect(refused.events.isEmpty)
    // We own the Call-ID: between 2.1 and 4 seconds.
    #expect(alice.timeout(at: ms(2_200)).methods.isEmpty)
    // Their second try comes before ours.
    #expect(receive(within(invite, "INVITE", 6, body: "again"), 2_205).names == ["reinvite again"])
    #expect(alice.timeout(at: ms(4_200)).methods.isEmpty)
    _ = alice.answerReinvite(handle, body: .sdp("yes"), at: ms(4_210))
    let ack = text(within(invite, "ACK", 6)).replacing("z9hG4bK-b6", with: "z9hG4bK-ack")
    #expect(receive(Array(ack.utf8), 4_220).names == ["acknowledged"])
    let retry = alice.timeout(at: ms(4_220))
    #expect(retry.sent.first?.body == .sdp("mine"))
    #expect(retry.sent.first?.cseq.number == 3)
  }

  @Test mutating func aLostDialogEndsTheCall() throws {
    let (handle, _) = try established()
    let change = try #require(alice.reinvite(handle, body: .sdp("x"), at: ms(100)).sent.first)
    let lost = receive(reply(change, 481), 110)
    #expect(lost.methods == ["ACK", "BYE"])
    #expect(receive(reply(try #require(lost.sent.last), 481), 120).names == ["ended dialog_lost 0"])
  }

  @Test mutating func crossingByesEndBothSides() throws {
    let (handle, invite) = try established()
    let bye = try #require(alice.hangup(handle, at: ms(100)).sent.first)
    let theirs = receive(within(invite, "BYE", 5), 110)
    #expect(theirs.statuses == [200])
    #expect(receive(reply(bye, 481), 120).names == ["ended local_hangup 481"])
  }

  @Test mutating func responsesOfStrangersAreDropped() throws {
    let (_, actions) = alice.invite(try call(), at: .zero)
    let invite = try #require(actions.sent.first)
    let good = text(reply(invite, 200, body: "a"))
    let stray = good.replacing("branch=z9hG4bK", with: "branch=z9hG4bKx")
    let twoVias = good.replacing("From:", with: "Via: SIP/2.0/UDP h;branch=z9hG4bKy\r\nFrom:", maxReplacements: 1)
    #expect(receive(Array(stray.utf8), 10).isEmpty)
    #expect(receive(Array(twoVias.utf8), 20).isEmpty)
    #expect(alice.counters.dropped == 2)
    #expect(receive(Array(good.utf8), 30).names == ["answered"])
  }

  @Test mutating func optionsTellHowAPeerIs() throws {
    let target = try #require(SIPURI("sip:192.0.2.20"))
    let request = SIPRequest(method: .options, target: target, from: SIPNameAddress(uri: target), peer: bobPeer)
    let (_, actions) = alice.request(request, at: .zero)
    #expect(actions.methods == ["OPTIONS"])
    #expect(receive(reply(try #require(actions.sent.first), 200), 10).names == ["response 200"])
    _ = alice.request(request, at: ms(10_000))
    var names: [String] = []
    while let deadline = alice.deadline { names += alice.timeout(at: deadline).names }
    #expect(names == ["response 408"])
    #expect(
      alice.request(
        SIPRequest(method: .invite, target: target, from: SIPNameAddress(uri: target), peer: bobPeer), at: .zero
      ).1.names == ["response 503"])
  }
}
