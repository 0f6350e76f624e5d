import Base
import SIP
import Testing

/// REFER within calls and what is told of it (RFC 3515, 3892, 4488).
@Suite struct ReferTests {
  // MARK: Theirs

  private func referral(_ actions: [SIPAction]) -> SIPReferral? {
    for case .referred(_, let referral) in actions.events { return referral }
    return nil
  }

  @Test func aTransferIsAskedForAndTold() throws {
    var call = try CallFixture.incoming()
    let asked = call.receive(
      call.next("REFER") {
        $0.extra = "Refer-To: \"Carol\" <sip:carol@example.org;x=y>\nReferred-By: <sip:alice@192.0.2.10>\n"
      }, 10)
    #expect(asked.statuses.isEmpty)
    let refer = try #require(referral(asked))
    #expect(refer.target.uri.description == "sip:carol@example.org;x=y")
    #expect(refer.method == .invite)
    #expect(refer.replaces == nil)
    #expect(refer.referredBy?.uri.user == "alice")
    #expect(refer.wantsProgress)
    let accepted = call.endpoint.acceptRefer(refer.handle, at: ms(20))
    #expect(accepted.statuses == [202])
    #expect(accepted.methods == ["NOTIFY"])
    let first = try #require(accepted.sent.last)
    #expect(first[.event] == "refer;id=\(refer.request.cseq.number)")
    #expect(first.first("Subscription-State")?.hasPrefix("active;expires=") == true)
    #expect(first[.contentType] == "message/sipfrag;version=2.0")
    #expect(first.body?.text == "SIP/2.0 100 Trying\r\n")
    #expect(first.contact != nil)
    // While one is on its way the next waits, and only the newest is told.
    #expect(call.endpoint.notify(refer.handle, status: 180, at: ms(30)).isEmpty)
    #expect(call.endpoint.notify(refer.handle, status: 183, at: ms(40)).isEmpty)
    let second = try #require(call.receive(reply(first, 200), 50).sent.first)
    #expect(second.body?.text == "SIP/2.0 183 Session Progress\r\n")
    #expect(second.cseq.number == first.cseq.number + 1)
    #expect(call.receive(reply(second, 200), 60).isEmpty)
    let last = try #require(call.endpoint.notify(refer.handle, status: 486, at: ms(70)).sent.first)
    #expect(last.first("Subscription-State") == "terminated;reason=noresource")
    #expect(last.body?.text == "SIP/2.0 486 Busy Here\r\n")
    #expect(call.endpoint.notify(refer.handle, status: 200, at: ms(75)).isEmpty, "the end has been told")
    #expect(call.receive(reply(last, 200), 80).names == ["referral done"])
    #expect(call.endpoint.callCount == 1, "the call goes on")
  }

  @Test func anAttendedTransferNamesTheDialogToReplace() throws {
    var call = try CallFixture.incoming()
    let asked = call.receive(
      call.next("REFER") {
        $0.extra =
          "r: <sip:carol@example.org;method=INVITE?Subject=x&replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only>\n"
      }, 10)
    let refer = try #require(referral(asked))
    #expect(refer.replaces == SIPReplaces(callID: "a@b", toTag: "1", fromTag: "2", isEarlyOnly: true))
    #expect(refer.target.uri.description == "sip:carol@example.org")
    #expect(call.endpoint.rejectRefer(refer.handle, status: 403, at: ms(20)).statuses == [403])
    #expect(call.endpoint.acceptRefer(refer.handle, at: ms(30)).isEmpty)
  }

  @Test(arguments: [
    "", "Refer-To: <sip:a@b>\nRefer-To: <sip:c@d>\n", "Refer-To: <sip:a@b>, <sip:c@d>\n", "Refer-To: <>\n",
    "Refer-To: <sip:a@b?Replaces=nonsense>\n", "Refer-To: <sip:a@b?Replaces=%>\n",
  ])
  func exactlyOneReferToThatCanBeRead(_ extra: String) throws {
    var call = try CallFixture.incoming()
    let asked = call.receive(call.next("REFER") { $0.extra = extra }, 10)
    #expect(asked.statuses == [400])
    #expect(asked.events.isEmpty)
  }

  @Test func outsideOfCallsItIsRefused() throws {
    var endpoint = makeEndpoint()
    let outside = Script(extra: "Refer-To: <sip:a@b>\n")
    #expect(endpoint.receive(datagram: outside.request("REFER"), from: alicePeer, at: .zero).statuses == [403])
    let notify = outside.with {
      $0.branch = "z9hG4bK-2"; $0.extra = "Event: refer\nSubscription-State: active\n"
    }
    #expect(endpoint.receive(datagram: notify.request("NOTIFY"), from: alicePeer, at: .zero).statuses == [481])
    let early = Script(callID: "early", branch: "z9hG4bK-3", body: "offer")
    let (call, _) = try #require(
      endpoint.receive(datagram: early.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let ringing = try #require(endpoint.ring(call, at: .zero).sent.first)
    let refer = early.with {
      $0.toTag = ringing.to.tag; $0.sequence = 2; $0.branch = "z9hG4bK-4"; $0.body = ""
      $0.extra = "Refer-To: <sip:a@b>\n"
    }
    #expect(endpoint.receive(datagram: refer.request("REFER"), from: alicePeer, at: .zero).statuses == [403])
  }

  @Test func whoeverWantsNoProgressGetsNone() throws {
    var call = try CallFixture.incoming()
    let asked = call.receive(
      call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\nRequire: norefersub\nRefer-Sub: false\n" }, 10)
    let refer = try #require(referral(asked))
    #expect(!refer.wantsProgress)
    let accepted = call.endpoint.acceptRefer(refer.handle, at: ms(20))
    #expect(accepted.statuses == [202])
    #expect(accepted.sent.first?.first("Refer-Sub") == "false")
    #expect(accepted.methods.isEmpty)
    #expect(accepted.names == ["referral over"])
  }

  @Test func anOwnerThatSaysNothingDeclines() throws {
    var call = try CallFixture.incoming()
    _ = call.receive(call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\n" }, 10)
    let later = call.run(until: 40_000)
    #expect(later.statuses == [603])
    #expect(later.names == ["referral over"])
  }

  @Test func progressThatNeverComesExpires() throws {
    var call = try CallFixture.incoming()
    let refer = try #require(referral(call.receive(call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\n" }, 10)))
    let first = try #require(call.endpoint.acceptRefer(refer.handle, at: ms(20)).sent.last)
    _ = call.receive(reply(first, 200), 30)
    let last = try #require(call.run(until: 200_020).sent.first)
    #expect(last.first("Subscription-State") == "terminated;reason=timeout")
    #expect(call.receive(reply(last, 200), 200_030).names == ["referral over"])
  }

  @Test(arguments: [481, 489, 408]) func aPeerThatWantsNoNotifyIsLeftAlone(_ status: Int) throws {
    var call = try CallFixture.incoming()
    let refer = try #require(referral(call.receive(call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\n" }, 10)))
    let first = try #require(call.endpoint.acceptRefer(refer.handle, at: ms(20)).sent.last)
    #expect(call.receive(reply(first, status), 30).names == ["referral over"])
    #expect(call.endpoint.notify(refer.handle, status: 200, at: ms(40)).isEmpty)
    #expect(call.endpoint.callCount == 1)
  }

  @Test func progressIsToldWhenTheCallIsOver() throws {
    var call = try CallFixture.incoming()
    let refer = try #require(referral(call.receive(call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\n" }, 10)))
    let first = try #require(call.endpoint.acceptRefer(refer.handle, at: ms(20)).sent.last)
    _ = call.receive(reply(first, 200), 30)
    // The one who transfers hangs up at once, as most phones do.
    #expect(call.receive(call.next("BYE"), 40).names == ["ended remote_hangup 0"])
    let last = try #require(call.endpoint.notify(refer.handle, status: 200, at: ms(50)).sent.first)
    #expect(last.method == .notify)
    #expect(last.cseq.number == first.cseq.number + 1)
    #expect(last.callID == first.callID)
    #expect(call.receive(reply(last, 200), 60).names == ["referral done"])
    _ = call.run(until: 100_000)
    #expect(call.endpoint.isIdle)
  }

  @Test func anUnansweredReferEndsWithItsCall() throws {
    var call = try CallFixture.incoming()
    let refer = try #require(referral(call.receive(call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\n" }, 10)))
    let end = call.receive(call.next("BYE"), 20)
    #expect(end.statuses.sorted() == [200, 487])
    #expect(end.names == ["referral over", "ended remote_hangup 0"])
    #expect(call.endpoint.acceptRefer(refer.handle, at: ms(30)).isEmpty)
    _ = call.run(until: 100_000)
    #expect(call.endpoint.isIdle)
  }

  @Test func howManyAreOpenIsBounded() throws {
    var call = try CallFixture.incoming()
    var statuses: [Int] = []
    for _ in 0..<6 {
      statuses += call.receive(call.next("REFER") { $0.extra = "Refer-To: <sip:a@b>\n" }, 10).statuses
    }
    #expect(statuses == [500, 500])
  }

  // MARK: Ours

  private func refer(_ call: inout CallFixture) throws -> (SIPReferralHandle, SIPMessage) {
    let carol = SIPNameAddress(uri: try #require(SIPURI("sip:carol@example.org")))
    let (handle, actions) = call.endpoint.refer(call.call, to: carol, referredBy: carol, at: ms(10))
    return (handle, try #require(actions.sent.first))
  }

  private func notify(_ call: inout CallFixture, _ state: String, _ fragment: String, event: String = "refer")
    -> [UInt8]
  {
    call.next("NOTIFY") {
      $0.extra = "Event: \(event)\nSubscription-State: \(state)\n"; $0.body = fragment
      $0.contentType = "message/sipfrag;version=2.0"
    }
  }

  @Test func whatTheyTellIsToldOn() throws {
    var call = try CallFixture.outgoing()
    let (_, refer) = try refer(&call)
    #expect(refer.method == .refer)
    #expect(refer[.referTo] == "<sip:carol@example.org>")
    #expect(refer[.referredBy] == "<sip:carol@example.org>")
    #expect(refer.contact != nil)
    #expect(call.receive(reply(refer, 202), 20).names == ["referral accepted"])
    let id = "refer;id=\(refer.cseq.number)"
    let trying = call.receive(notify(&call, "active;expires=60", "SIP/2.0 100 Trying", event: id), 30)
    #expect(trying.statuses == [200])
    #expect(trying.names == ["referral 100 Trying"])
    let done = call.receive(notify(&call, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n"), 40)
    #expect(done.statuses == [200])
    #expect(done.names == ["referral 200 OK", "referral done"])
    #expect(call.receive(notify(&call, "terminated", "SIP/2.0 200 OK"), 50).statuses == [481])
    #expect(call.endpoint.callCount == 1)
  }

  @Test func nonsenseInNotifyIsRefusedOrPassedOver() throws {
    var call = try CallFixture.outgoing()
    let (_, refer) = try refer(&call)
    _ = call.receive(reply(refer, 202), 20)
    #expect(call.receive(notify(&call, "active", "SIP/2.0 100 T", event: "presence"), 30).statuses == [489])
    #expect(call.receive(notify(&call, "active", "SIP/2.0 100 T", event: "refer;id=99"), 40).statuses == [481])
    for fragment in ["", "SIP/2.0", "SIP/2.0 99 No", "HTTP/1.1 200 OK", "SIP/2.0 99999999999999999999 X"] {
      let heard = call.receive(notify(&call, "active", fragment), 50)
      #expect(heard.statuses == [200])
      #expect(heard.events.isEmpty, "\(fragment)")
    }
  }

  @Test(arguments: [403, 405, 603]) func refusalsAreTold(_ status: Int) throws {
    var call = try CallFixture.outgoing()
    let (_, refer) = try refer(&call)
    #expect(call.receive(reply(refer, status, contact: nil), 20).names == ["referral refused \(status)"])
    _ = call.run(until: 300_000)
    #expect(call.endpoint.deadline == nil)
  }

  @Test func aNotifyMayOvertakeThe202() throws {
    var call = try CallFixture.outgoing()
    let (_, refer) = try refer(&call)
    let early = call.receive(notify(&call, "active", "SIP/2.0 100 Trying"), 15)
    #expect(early.names == ["referral accepted", "referral 100 Trying"])
    #expect(call.receive(reply(refer, 202), 20).events.isEmpty)
  }

  @Test func silenceEndsIt() throws {
    var call = try CallFixture.outgoing()
    let (_, first) = try refer(&call)
    _ = call.receive(reply(first, 202), 20)
    #expect(call.run(until: 300_000).names == ["referral over"])
    var lost = try CallFixture.outgoing()
    _ = try refer(&lost)
    #expect(lost.run(until: 300_000).names == ["referral refused 408"])
    var final = try CallFixture.outgoing()
    let (_, third) = try refer(&final)
    _ = final.receive(reply(third, 202), 20)
    _ = final.receive(notify(&final, "active", "SIP/2.0 200 OK"), 30)
    #expect(
      final.run(until: 32_030).names == ["referral done"], "a final status is an end even where they forget to say so")
  }

  @Test func theyMayWantToTellNothing() throws {
    var call = try CallFixture.outgoing()
    let (_, refer) = try refer(&call)
    let accepted = call.receive(reply(refer, 202, extra: "Refer-Sub: false\n"), 20)
    #expect(accepted.names == ["referral accepted quietly", "referral over"])
  }

  @Test func theRestIsHeardAfterTheCall() throws {
    var call = try CallFixture.outgoing()
    let (_, refer) = try refer(&call)
    _ = call.receive(reply(refer, 202), 20)
    let bye = try #require(call.endpoint.hangup(call.call, at: ms(30)).sent.first)
    #expect(call.receive(notify(&call, "active", "SIP/2.0 100 Trying"), 35).statuses == [200])
    #expect(call.receive(reply(bye, 200), 40).names == ["ended local_hangup 200"])
    let done = call.receive(notify(&call, "terminated", "SIP/2.0 503 Nobody"), 50)
    #expect(done.statuses == [200])
    #expect(done.names == ["referral 503 Nobody", "referral done"])
    #expect(call.receive(notify(&call, "terminated", "SIP/2.0 200 OK"), 60).statuses == [481])
    _ = call.run(until: 100_000)
    #expect(call.endpoint.isIdle)
  }

  @Test func anAbandonedCallTakesItsReferralsAlong() throws {
    var call = try CallFixture.outgoing()
    _ = try refer(&call)
    #expect(call.endpoint.abandon(call.call, at: ms(20)).isEmpty)
    #expect(call.run(until: 300_000).isEmpty)
    #expect(call.endpoint.isIdle)
  }
}
