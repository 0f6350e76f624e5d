import Base
import SIP
import Testing

/// UPDATE (RFC 3311), both ways, before and after the call is answered.
@Suite struct UpdateTests {
  private var bob = makeEndpoint()
  private var alice = makeEndpoint("192.0.2.10")
  private let script = Script(extra: "Supported: 100rel\nAllow: INVITE, UPDATE, PRACK\n", body: "offer")

  private mutating func receive(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    bob.receive(datagram: bytes, from: alicePeer, at: ms(at))
  }

  /// A call of theirs, answered and acknowledged, and the caller's next request.
  private mutating func established() throws -> (SIPCallHandle, Script) {
    let call = try #require(receive(script.request("INVITE"), 0).incoming?.0)
    let answer = try #require(bob.answer(call, body: .sdp("answer"), at: .zero).sent.first)
    let next = script.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-a"; $0.body = ""; $0.extra = ""
    }
    _ = receive(next.request("ACK"), 1)
    return (
      call,
      next.with {
        $0.sequence = 2; $0.branch = "z9hG4bK-2"
      }
    )
  }

  /// A call of theirs with early media whose PRACK has come, and the caller's next request.
  private mutating func early() throws -> (SIPCallHandle, Script) {
    let call = try #require(receive(script.request("INVITE"), 0).incoming?.0)
    let ringing = try #require(bob.ring(call, status: 183, body: .sdp("answer"), at: .zero).sent.first)
    let next = script.with {
      $0.toTag = ringing.to.tag; $0.body = ""; $0.sequence = 2; $0.branch = "z9hG4bK-2"
      $0.extra = "RAck: \(ringing[.rseq] ?? "") 1 INVITE\n"
    }
    #expect(receive(next.request("PRACK"), 1).statuses == [200])
    return (
      call,
      next.with {
        $0.extra = ""; $0.sequence = 3; $0.branch = "z9hG4bK-3"
      }
    )
  }

  @Test mutating func anEmptyUpdateIsAnsweredByItself() throws {
    let (call, next) = try established()
    let moved = text(next.request("UPDATE")).replacing("alice@192.0.2.10:5060>", with: "alice@192.0.2.77:5070>")
    let answered = receive(Array(moved.utf8), 10)
    #expect(answered.statuses == [200])
    #expect(answered.events.isEmpty)
    #expect(answered.sent.first?.contact?.uri.host == "192.0.2.20")
    // It moved the target.
    #expect(bob.hangup(call, at: ms(20)).sent.first?.requestURIText == "sip:alice@192.0.2.77:5070")
  }

  @Test mutating func theirOfferIsAskedOfTheOwner() throws {
    let (call, next) = try established()
    let offered = receive(next.with { $0.body = "hold" }.request("UPDATE"), 10)
    #expect(offered.names == ["reinvite hold"])
    #expect(offered.statuses.isEmpty)
    let again = next.with {
      $0.body = "more"; $0.sequence = 3; $0.branch = "z9hG4bK-3"
    }
    let refused = receive(again.request("UPDATE"), 20)
    #expect(refused.statuses == [500])
    #expect((0...10).contains(refused.sent.first?.retryAfterSeconds ?? -1))
    let accepted = bob.answerReinvite(call, body: .sdp("held"), at: ms(30))
    #expect(accepted.statuses == [200])
    #expect(accepted.sent.first?.cseq.method == .update)
    #expect(accepted.sent.first?.body == .sdp("held"))
    #expect(receive(next.with { $0.body = "hold" }.request("UPDATE"), 40).statuses == [200], "the same once more")
    // There is no ACK: the next change may come at once.
    let third = next.with {
      $0.body = "resume"; $0.sequence = 4; $0.branch = "z9hG4bK-4"
    }
    #expect(receive(third.request("UPDATE"), 50).names == ["reinvite resume"])
    #expect(bob.rejectReinvite(call, at: ms(60)).statuses == [488])
  }

  @Test mutating func anOwnerThatSaysNothingIsAnsweredFor() throws {
    let (_, next) = try established()
    _ = receive(next.with { $0.body = "hold" }.request("UPDATE"), 10)
    var all: [SIPAction] = []
    while let deadline = bob.deadline, deadline < ms(40_000) { all += bob.timeout(at: deadline) }
    #expect(all.statuses == [504])
    #expect(bob.callCount == 1)
  }

  @Test mutating func updatesThatCrossAreGlare() throws {
    let (call, next) = try established()
    let ours = try #require(bob.update(call, body: .sdp("ours"), at: ms(10)).sent.first)
    #expect(ours.method == .update)
    #expect(receive(next.with { $0.body = "theirs" }.request("UPDATE"), 15).statuses == [491])
    // Theirs without an offer is no glare.
    let empty = next.with {
      $0.sequence = 3; $0.branch = "z9hG4bK-3"
    }
    #expect(receive(empty.request("UPDATE"), 16).statuses == [200])
    #expect(receive(reply(ours, 491, contact: nil), 20).isEmpty)
    let deadline = try #require(bob.deadline)
    #expect(deadline <= ms(2_020), "14.1: the Call-ID is theirs")
    let again = try #require(bob.timeout(at: deadline).sent.first)
    #expect(again.method == .update)
    #expect(again.body == .sdp("ours"))
    #expect(receive(reply(again, 200, body: "yes"), 3_000).names == ["reinvite answered yes"])
  }

  @Test mutating func ours500WithRetryAfterIsTriedAgain() throws {
    let (call, _) = try established()
    let ours = try #require(bob.update(call, body: .sdp("ours"), at: ms(10)).sent.first)
    #expect(receive(reply(ours, 500, contact: nil, extra: "Retry-After: 3\n"), 20).isEmpty)
    #expect(bob.timeout(at: ms(3_020)).methods == ["UPDATE"])
  }

  @Test mutating func withoutUpdateItIsAnInvite() throws {
    let (call, _) = try established()
    let ours = try #require(bob.update(call, body: .sdp("ours"), at: ms(10)).sent.first)
    let fallback = receive(reply(ours, 405, contact: nil, extra: "Allow: INVITE, BYE\n"), 20)
    #expect(fallback.methods == ["INVITE"])
    #expect(fallback.sent.first?.body == .sdp("ours"))
    let accepted = receive(reply(try #require(fallback.sent.first), 200, body: "yes"), 30)
    #expect(accepted.methods == ["ACK"])
    #expect(accepted.names == ["reinvite answered yes"])
    #expect(bob.update(call, body: .sdp("next"), at: ms(40)).methods == ["INVITE"], "it is remembered")
  }

  @Test mutating func anUpdateThatFindsNoDialogEndsTheCall() throws {
    let (call, _) = try established()
    let ours = try #require(bob.update(call, body: .sdp("ours"), at: ms(10)).sent.first)
    #expect(receive(reply(ours, 481, contact: nil), 20).methods == ["BYE"])
  }

  // MARK: Before the answer

  @Test mutating func earlySessionsAreUpdated() throws {
    let (call, next) = try early()
    #expect(receive(next.request("UPDATE"), 10).statuses == [200])
    let offer = next.with {
      $0.sequence = 4; $0.branch = "z9hG4bK-4"; $0.body = "second offer"
    }
    let offered = receive(offer.request("UPDATE"), 20)
    #expect(offered.names == ["reinvite second offer"])
    #expect(bob.answer(call, body: nil, at: ms(25)).isEmpty, "the 200 waits")
    let answered = bob.answerReinvite(call, body: .sdp("second answer"), at: ms(30))
    #expect(answered.statuses == [200, 200])
    #expect(answered.sent.map(\.cseq.method) == [.update, .invite])
  }

  @Test mutating func anOfferTooEarlyIsRefused() throws {
    let call = try #require(receive(script.request("INVITE"), 0).incoming?.0)
    let ringing = try #require(bob.ring(call, at: .zero).sent.first)
    let update = script.with {
      $0.toTag = ringing.to.tag; $0.sequence = 2; $0.branch = "z9hG4bK-2"; $0.body = "another"
    }
    // RFC 3311 5.2: the INVITE's own offer has no answer yet.
    let refused = receive(update.request("UPDATE"), 10)
    #expect(refused.statuses == [500])
    #expect(refused.sent.first?.retryAfterSeconds != nil)
    #expect(bob.update(call, body: .sdp("mine"), at: ms(20)).isEmpty)
  }

  @Test mutating func weUpdateAnEarlySession() throws {
    let (call, next) = try early()
    let ours = try #require(bob.update(call, body: .sdp("ours"), at: ms(10)).sent.first)
    #expect(ours.method == .update)
    let crossing = next.with { $0.body = "theirs" }
    #expect(receive(crossing.request("UPDATE"), 15).statuses == [491])
    #expect(bob.answer(call, body: nil, at: ms(20)).isEmpty)
    let answered = receive(reply(ours, 200, body: "yes"), 30)
    #expect(answered.names == ["reinvite answered yes"])
    #expect(answered.statuses == [200])
  }

  @Test mutating func earlyGlareIsTriedAgainEvenAcrossTheAnswer() throws {
    let (call, next) = try early()
    let ours = try #require(bob.update(call, body: .sdp("ours"), at: ms(10)).sent.first)
    #expect(receive(reply(ours, 491, contact: nil), 20).isEmpty)
    let deadline = try #require(bob.deadline)
    #expect(deadline <= ms(2_020))
    let again = try #require(bob.timeout(at: deadline).sent.first)
    #expect(again.method == .update)
    #expect(again.body == .sdp("ours"))
    #expect(receive(reply(again, 491, contact: nil), 2_030).isEmpty)
    let accepted = try #require(bob.answer(call, body: nil, at: ms(2_030)).sent.first)
    #expect(accepted.status == 200)
    let ack = next.with { $0.sequence = 1 }
    _ = receive(ack.request("ACK"), 2_031)
    var late: [SIPAction] = []
    while let deadline = bob.deadline, deadline <= ms(6_000) { late += bob.timeout(at: deadline) }
    #expect(late.methods.first == "UPDATE")
    #expect(late.sent.first?.body == .sdp("ours"))
  }

  @Test mutating func theCallersUpdateWaitsForItsPrack() throws {
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (call, actions) = alice.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: .sdp("offer")), at: .zero)
    let invite = try #require(actions.sent.first)
    let headers = "Require: 100rel\nRSeq: 4\nAllow: INVITE, UPDATE\n"
    func hear(_ alice: inout SIPEndpoint, _ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
      alice.receive(datagram: bytes, from: bobPeer, at: ms(at))
    }
    let prack = try #require(hear(&alice, reply(invite, 183, extra: headers, body: "answer"), 10).sent.first)
    #expect(alice.update(call, body: .sdp("second offer"), at: ms(20)).isEmpty)
    let update = try #require(hear(&alice, reply(prack, 200), 30).sent.first)
    #expect(update.method == .update)
    #expect(update.body == .sdp("second offer"))
    #expect(update.cseq.number == prack.cseq.number + 1)
    // Theirs now is glare; and it may still be under way when the call is answered.
    let theirs = Script(
      callID: invite.callID, fromTag: "bob-tag", toTag: invite.from.tag, branch: "z9hG4bK-u", sequence: 1,
      via: "192.0.2.20:5060", uri: "sip:parley@192.0.2.10:5060", body: "theirs")
    #expect(hear(&alice, theirs.request("UPDATE"), 40).statuses == [491])
    #expect(hear(&alice, reply(invite, 200), 50).names == ["answered"])
    #expect(hear(&alice, reply(update, 200, body: "yes"), 60).names == ["reinvite answered yes"])
  }

  @Test mutating func theCalleeUpdatesBeforeItAnswers() throws {
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (call, actions) = alice.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: .sdp("offer")), at: .zero)
    let invite = try #require(actions.sent.first)
    let theirs = Script(
      callID: invite.callID, fromTag: "bob-tag", toTag: invite.from.tag, branch: "z9hG4bK-u", sequence: 1,
      via: "192.0.2.20:5060", uri: "sip:parley@192.0.2.10:5060", body: "theirs")
    #expect(alice.receive(datagram: theirs.request("UPDATE"), from: bobPeer, at: ms(5)).statuses == [481])
    let headers = "Require: 100rel\nRSeq: 4\n"
    _ = alice.receive(datagram: reply(invite, 183, extra: headers, body: "answer"), from: bobPeer, at: ms(10))
    let offered = alice.receive(
      datagram: theirs.with {
        $0.branch = "z9hG4bK-v"; $0.sequence = 2
      }.request("UPDATE"), from: bobPeer, at: ms(20))
    #expect(offered.names == ["reinvite theirs"])
    let answered = alice.answerReinvite(call, body: .sdp("ours"), at: ms(30))
    #expect(answered.statuses == [200])
    #expect(answered.sent.first?.body == .sdp("ours"))
  }
}
