import Base
import SIP
import Testing

/// Calls that take the place of others (RFC 3891), and the headers that say where they go on.
@Suite struct ReplacesTests {
  /// An INVITE of somebody else that names a dialog.
  private func replacing(_ value: String, extra: String = "") -> Script {
    Script(
      callID: "new", fromTag: "carol", branch: "z9hG4bK-new", extra: "Replaces: \(value)\n\(extra)", body: "offer")
  }

  @Test func theNewCallTakesThePlaceOfTheOld() throws {
    var call = try CallFixture.incoming()
    let tag = try #require(call.script.toTag)
    let script = replacing("call-1@alice;to-tag=\(tag);from-tag=alice-tag", extra: "Require: replaces\n")
    let offered = call.receive(script.request("INVITE"), 10)
    let (new, invite) = try #require(offered.incoming)
    #expect(invite.replaces == call.call)
    #expect(call.endpoint.callCount == 2)
    let answered = call.endpoint.answer(new, body: .sdp("answer"), at: ms(20))
    #expect(answered.statuses == [200])
    let bye = try #require(answered.sent.first { $0.method == .bye && $0.isRequest })
    #expect(bye.callID == "call-1@alice")
    #expect(call.receive(reply(bye, 200), 30).names == ["ended replaced 0"])
    #expect(call.endpoint.callCount == 1)
  }

  @Test func aRefusedCallReplacesNothing() throws {
    var call = try CallFixture.incoming()
    let tag = try #require(call.script.toTag)
    let offered = call.receive(replacing("call-1@alice;to-tag=\(tag);from-tag=alice-tag").request("INVITE"), 10)
    let new = try #require(offered.incoming?.0)
    let refused = call.endpoint.reject(new, status: 486, at: ms(20))
    #expect(refused.methods.isEmpty)
    #expect(call.endpoint.callCount == 1)
  }

  @Test(arguments: [
    ("other;to-tag=TAG;from-tag=alice-tag", 481), ("call-1@alice;to-tag=TAG;from-tag=mallory", 481),
    ("call-1@alice;to-tag=guess;from-tag=alice-tag", 481),
    ("call-1@alice;to-tag=TAG;from-tag=alice-tag;early-only", 486),
    ("call-1@alice;to-tag=TAG", 400), ("", 400), (";to-tag=TAG;from-tag=alice-tag", 400),
    ("call-1@alice;to-tag=TAG;from-tag=alice-tag\nReplaces: call-1@alice;to-tag=TAG;from-tag=alice-tag", 400),
  ])
  func whatCannotBeReplacedIsRefused(_ value: String, _ status: Int) throws {
    var call = try CallFixture.incoming()
    let named = value.replacing("TAG", with: try #require(call.script.toTag))
    let refused = call.receive(replacing(named).request("INVITE"), 10)
    #expect(refused.statuses == [status])
    #expect(refused.events.isEmpty)
  }

  @Test func aCallThatIsEndingIsGone() throws {
    var call = try CallFixture.incoming()
    let tag = try #require(call.script.toTag)
    _ = call.endpoint.hangup(call.call, at: ms(5))
    let refused = call.receive(replacing("call-1@alice;to-tag=\(tag);from-tag=alice-tag").request("INVITE"), 10)
    #expect(refused.statuses == [603])
  }

  @Test func ourRingingCallIsWithdrawn() throws {
    var endpoint = makeEndpoint()
    let target = try #require(SIPURI("sip:bob@192.0.2.10"))
    let (_, actions) = endpoint.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: alicePeer, body: .sdp("o")), at: .zero)
    let invite = try #require(actions.sent.first)
    _ = endpoint.receive(datagram: reply(invite, 180), from: alicePeer, at: ms(5))
    let value = "\(invite.callID);to-tag=\(invite.from.tag ?? "");from-tag=bob-tag;early-only"
    let offered = endpoint.receive(datagram: replacing(value).request("INVITE"), from: alicePeer, at: ms(10))
    let new = try #require(offered.incoming?.0)
    let answered = endpoint.answer(new, body: .sdp("answer"), at: ms(20))
    #expect(answered.methods == ["CANCEL"])
    _ = endpoint.receive(datagram: reply(try #require(answered.sent.last), 200), from: alicePeer, at: ms(25))
    let end = endpoint.receive(datagram: reply(invite, 487), from: alicePeer, at: ms(30))
    #expect(end.names == ["ended replaced 487"])
  }

  @Test func theirRingingCallIsNotTaken() throws {
    var endpoint = makeEndpoint()
    let first = Script(body: "offer")
    let (call, _) = try #require(
      endpoint.receive(datagram: first.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let tag = try #require(endpoint.ring(call, at: .zero).sent.first?.to.tag)
    let value = "call-1@alice;to-tag=\(tag);from-tag=alice-tag"
    #expect(
      endpoint.receive(datagram: replacing(value).request("INVITE"), from: alicePeer, at: ms(5)).statuses == [481])
  }

  @Test func anAttendedTransferFromBothEnds() throws {
    // We hold a call with each of two others, and ask the first to take our place in the second.
    var first = try CallFixture.outgoing(makeEndpoint("192.0.2.10"))
    let target = try #require(SIPURI("sip:carol@192.0.2.30"))
    let (second, actions) = first.endpoint.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: alicePeer, body: .sdp("o")), at: .zero)
    let invite = try #require(actions.sent.first)
    _ = first.receive(reply(invite, 200, tag: "carol tag".replacing(" ", with: "-"), body: "a"), 5)
    let replaces = try #require(first.endpoint.replaces(for: second))
    #expect(replaces == SIPReplaces(callID: invite.callID, toTag: "carol-tag", fromTag: invite.from.tag ?? ""))
    let contact = try #require(first.endpoint.remoteTarget(of: second))
    let (_, asked) = first.endpoint.refer(
      first.call, to: SIPNameAddress(uri: contact), replacing: replaces, at: ms(10))
    let refer = try #require(asked.sent.first)
    // The other side reads it and calls accordingly.
    var other = try CallFixture.incoming()
    let heard = other.receive(other.next("REFER") { $0.extra = "Refer-To: \(refer[.referTo] ?? "")\n" }, 10)
    guard case .referred(_, let referral) = heard.events.first else {
      Issue.record("\(heard.names)")
      return
    }
    #expect(referral.replaces == replaces)
    let (_, placed) = other.endpoint.invite(
      SIPInvite(
        target: referral.target.uri, from: SIPNameAddress(uri: target), peer: bobPeer, body: .sdp("o"),
        replaces: referral.replaces), at: ms(20))
    #expect(placed.sent.first?[.replaces] == replaces.description)
    #expect(placed.sent.first?.values(.require) == ["replaces"])
    #expect(placed.sent.first?.requestURIText == "sip:bob@192.0.2.20:5060")
  }

  @Test func noBytesHarmTheReader() {
    var random = SeededRandom(seed: 3)
    let whole = Array("a@b;to-tag=1;from-tag=2;early-only".utf8)
    var read = 0
    for _ in 0..<5_000 {
      var bytes = whole
      for _ in 0...random.next() % 3 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() % 256) }
      guard let replaces = SIPReplaces(text(bytes)) else { continue }
      read += 1
      #expect(SIPReplaces(replaces.description) == replaces)
    }
    #expect(read > 100)
  }

  // MARK: Where calls go on, and why they end

  private func placed() throws -> (SIPEndpoint, SIPMessage) {
    var endpoint = makeEndpoint("192.0.2.10")
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (_, actions) = endpoint.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: .sdp("o")), at: .zero)
    return (endpoint, try #require(actions.sent.first))
  }

  @Test func redirectionsComeInTheirOrder() throws {
    var (endpoint, invite) = try placed()
    let contacts =
      "<sip:c@x>;q=0.2, <sip:a@x>\nContact: <sip:b@x>;q=0.25, <sip:d@x>;q=0.2, <sip:z@x>;q=nonsense, <sip:e@x>;q=1.0"
    let end = try #require(
      endpoint.receive(datagram: reply(invite, 302, contact: contacts), from: bobPeer, at: ms(10)).ends.first)
    #expect(end.cause == .redirected)
    #expect(end.redirections.map(\.uri.user) == ["a", "e", "b", "c", "d", "z"])
  }

  @Test func refusalsSayHowLongToWait() throws {
    var (endpoint, invite) = try placed()
    let refusal = reply(invite, 503, contact: "<sip:a@x>", extra: "Retry-After: 120 (maintenance)\n")
    let end = try #require(endpoint.receive(datagram: refusal, from: bobPeer, at: ms(10)).ends.first)
    #expect(end.retryAfterSeconds == 120)
    #expect(end.redirections.isEmpty)
    #expect(end.reasons.isEmpty)
  }

  @Test func theReasonOfAHangUpIsRead() throws {
    var call = try CallFixture.incoming()
    let bye = call.next("BYE") {
      $0.extra = "Reason: Q.850;cause=16;text=\"Normal, clearing\", SIP ;cause=200\nReason: junk;;\n"
    }
    let end = try #require(call.receive(bye, 10).ends.first)
    #expect(end.reasons.map(\.protocolName) == ["Q.850", "SIP"])
    #expect(end.reasons.map(\.cause) == [16, 200])
    #expect(end.reasons.first?.text == "Normal, clearing")
    var endpoint = makeEndpoint()
    let script = Script(body: "offer")
    _ = endpoint.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero)
    let cancel = script.with {
      $0.body = ""; $0.extra = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n"
    }
    let cancelled = endpoint.receive(datagram: cancel.request("CANCEL"), from: alicePeer, at: ms(5)).ends.first
    #expect(cancelled?.reasons.first?.text == "Call completed elsewhere")
  }

  @Test func aHangUpIsTakenHoweverFarItCame() throws {
    var call = try CallFixture.incoming()
    let bye = text(call.next("BYE")).replacing("Max-Forwards: 70", with: "Max-Forwards: 0")
    #expect(call.receive(Array(bye.utf8), 10).statuses == [200])
  }

  @Test func ourOwnInviteThatComesBackIsRefused() throws {
    var (endpoint, invite) = try placed()
    let via = try #require(invite[.via])
    let looped = Script(branch: "z9hG4bK-proxy", extra: "Via: \(via)\n", body: "offer")
    let refused = endpoint.receive(datagram: looped.request("INVITE"), from: alicePeer, at: ms(10))
    #expect(refused.statuses == [482])
    #expect(refused.events.isEmpty)
    #expect(endpoint.counters.looped == 1)
    let strange = Script(
      callID: "2", branch: "z9hG4bK-p2", extra: "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-other\n", body: "offer")
    #expect(endpoint.receive(datagram: strange.request("INVITE"), from: alicePeer, at: ms(20)).statuses == [100])
  }
}
