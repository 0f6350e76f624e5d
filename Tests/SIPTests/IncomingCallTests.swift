import Base
import SIP
import Testing

/// The endpoint as the called side, against a scripted caller.
@Suite struct IncomingCallTests {
  private var bob = makeEndpoint()
  private var script = Script(body: "offer")

  /// An answered and acknowledged call; returns its handle and the caller's script for requests within the dialog.
  private mutating func established() throws -> (SIPCallHandle, Script) {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let answer = try #require(bob.answer(call, body: .sdp("answer"), at: .zero).sent.first)
    let within = script.with {
      $0.toTag = answer.to.tag
      $0.branch = "z9hG4bK-ack"
      $0.body = ""
      $0.uri = answer.contact?.uri.description ?? ""
    }
    #expect(bob.receive(datagram: within.request("ACK"), from: alicePeer, at: ms(10)).names == ["acknowledged"])
    return (
      call,
      within.with {
        $0.sequence = 2; $0.branch = "z9hG4bK-2"
      }
    )
  }

  @Test mutating func anInviteIsTriedRungAndAnswered() throws {
    let offered = bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero)
    #expect(offered.statuses == [100])
    let (call, invite) = try #require(offered.incoming)
    #expect(invite.offer == .sdp("offer"))
    #expect(invite.from.uri.user == "alice")
    #expect(invite.requestURI.user == "bob")
    let ringing = try #require(bob.ring(call, at: ms(10)).sent.first)
    #expect(ringing.status == 180)
    #expect(ringing.to.tag != nil)
    let answer = try #require(bob.answer(call, body: .sdp("answer"), at: ms(20)).sent.first)
    #expect(answer.status == 200)
    #expect(answer.to.tag == ringing.to.tag)
    #expect(answer.body == .sdp("answer"))
    #expect(answer.contact?.uri.host == "192.0.2.20")
    #expect(answer[.allow]?.contains("BYE") == true)
    #expect(bob.counters.served[.init(method: "INVITE", status: 200)] == 1)
  }

  @Test mutating func repeatedRequestsGetTheSameAnswer() throws {
    let first = bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero)
    let again = bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: ms(500))
    #expect(again.statuses == [100])
    #expect(again.events.isEmpty)
    let (call, _) = try #require(first.incoming)
    let refused = bob.reject(call, status: 486, at: ms(600))
    #expect(refused.names == ["ended rejected 486"])
    let copy = bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: ms(700))
    #expect(copy.sent.first?.to.tag == refused.sent.first?.to.tag)
    #expect(copy.statuses == [486])
    #expect(bob.counters.retransmissionsReceived == 2)
    _ = bob.receive(
      datagram: script.with { $0.toTag = copy.sent.first?.to.tag }.request("ACK"), from: alicePeer, at: ms(800))
    #expect(bob.timeout(at: ms(5_800)).isEmpty)
    #expect(bob.isIdle)
  }

  @Test mutating func anAcceptanceIsRepeatedUntilItsAck() throws {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let answer = try #require(bob.answer(call, body: .sdp("answer"), at: .zero).sent.first)
    var moments: [Int64] = []
    while let deadline = bob.deadline, deadline < ms(12_000) {
      if bob.timeout(at: deadline).statuses == [200] { moments.append(deadline.nanoseconds / 1_000_000) }
    }
    #expect(moments == [500, 1_500, 3_500, 7_500, 11_500])
    let ack = script.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-a"; $0.body = ""
    }
    #expect(bob.receive(datagram: ack.with { $0.sequence = 9 }.request("ACK"), from: alicePeer, at: ms(12_000)).isEmpty)
    #expect(bob.receive(datagram: ack.request("ACK"), from: alicePeer, at: ms(12_000)).names == ["acknowledged"])
    #expect(bob.receive(datagram: ack.request("ACK"), from: alicePeer, at: ms(12_001)).isEmpty)
    #expect(bob.timeout(at: ms(31_000)).isEmpty)
    #expect(bob.callCount == 1)
  }

  @Test mutating func aMissingAckEndsTheCallWithBye() throws {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    _ = bob.answer(call, body: .sdp("answer"), at: .zero)
    var all: [SIPAction] = []
    while let deadline = bob.deadline { all += bob.timeout(at: deadline) }
    #expect(all.methods.first == "BYE")
    #expect(all.statuses.filter { $0 == 200 }.count == 10)
    #expect(all.names == ["ended acknowledgement_missing 0"])
    #expect(bob.isIdle)
  }

  @Test mutating func hangingUpWaitsForTheAck() throws {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let answer = try #require(bob.answer(call, body: .sdp("answer"), at: .zero).sent.first)
    #expect(bob.hangup(call, at: ms(10)).isEmpty)
    let ack = script.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-a"; $0.body = ""
    }
    let actions = bob.receive(datagram: ack.request("ACK"), from: alicePeer, at: ms(20))
    #expect(actions.methods == ["BYE"])
    let bye = try #require(actions.sent.first)
    #expect(bye.requestURIText == "sip:alice@192.0.2.10:5060")
    #expect(bye.from.tag == answer.to.tag)
    #expect(bob.receive(datagram: reply(bye, 200), from: alicePeer, at: ms(30)).names == ["ended local_hangup 200"])
    #expect(bob.hangup(call, at: ms(40)).isEmpty)
    #expect(bob.counters.commandsIgnored == 1)
  }

  @Test mutating func delayedOffersCarryTheAnswerInTheAck() throws {
    let offered = bob.receive(datagram: script.with { $0.body = "" }.request("INVITE"), from: alicePeer, at: .zero)
    let (call, invite) = try #require(offered.incoming)
    #expect(invite.offer == nil)
    let answer = try #require(bob.answer(call, body: .sdp("our offer"), at: .zero).sent.first)
    let ack = script.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-a"; $0.body = "their answer"
    }
    #expect(
      bob.receive(datagram: ack.request("ACK"), from: alicePeer, at: ms(5)).names == ["acknowledged their answer"])
  }

  @Test mutating func theirByeEndsTheCallOnce() throws {
    let (_, within) = try established()
    let actions = bob.receive(datagram: within.request("BYE"), from: alicePeer, at: ms(50))
    #expect(actions.statuses == [200])
    #expect(actions.names == ["ended remote_hangup 0"])
    let copy = bob.receive(datagram: within.request("BYE"), from: alicePeer, at: ms(550))
    #expect(copy.statuses == [200])
    #expect(copy.events.isEmpty)
    let late = bob.receive(
      datagram: within.with {
        $0.branch = "z9hG4bK-9"; $0.sequence = 3
      }.request("BYE"), from: alicePeer, at: ms(600))
    #expect(late.statuses == [481])
  }

  @Test mutating func cancelBeforeTheAnswerEndsWith487() throws {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let actions = bob.receive(datagram: script.with { $0.body = "" }.request("CANCEL"), from: alicePeer, at: ms(100))
    #expect(actions.statuses == [200, 487])
    #expect(actions.sent[0].method == .cancel)
    #expect(actions.sent[0].to.tag == actions.sent[1].to.tag)
    #expect(actions.names == ["ended remote_cancel 487"])
    #expect(bob.answer(call, body: .sdp("late"), at: ms(110)).isEmpty)
    let copy = bob.receive(datagram: script.with { $0.body = "" }.request("CANCEL"), from: alicePeer, at: ms(600))
    #expect(copy.statuses == [200])
  }

  @Test mutating func cancelAfterTheAnswerChangesNothing() throws {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    _ = bob.answer(call, body: .sdp("answer"), at: ms(50))
    let actions = bob.receive(datagram: script.with { $0.body = "" }.request("CANCEL"), from: alicePeer, at: ms(100))
    #expect(actions.statuses == [200])
    #expect(actions.events.isEmpty)
    #expect(bob.callCount == 1)
  }

  @Test mutating func cancelOfNothingIs481() {
    #expect(bob.receive(datagram: script.request("CANCEL"), from: alicePeer, at: .zero).statuses == [481])
  }

  @Test mutating func byeBeforeTheAnswerEndsTheInviteToo() throws {
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let tag = bob.ring(call, at: .zero).sent.first?.to.tag
    let bye = script.with {
      $0.toTag = tag; $0.branch = "z9hG4bK-b"; $0.sequence = 2; $0.body = ""
    }
    let actions = bob.receive(datagram: bye.request("BYE"), from: alicePeer, at: ms(10))
    #expect(actions.statuses == [200, 487])
    #expect(actions.names == ["ended remote_hangup 0"])
  }

  @Test mutating func reinvitesAreAnsweredByTheOwner() throws {
    let (call, within) = try established()
    let hold = within.with { $0.body = "hold" }
    let actions = bob.receive(datagram: hold.request("INVITE"), from: alicePeer, at: ms(100))
    #expect(actions.statuses == [100])
    #expect(actions.names == ["reinvite hold"])
    let second = within.with {
      $0.body = "x"; $0.sequence = 3; $0.branch = "z9hG4bK-3"
    }
    let busy = bob.receive(datagram: second.request("INVITE"), from: alicePeer, at: ms(110))
    #expect(busy.statuses == [500])
    #expect(busy.sent.first?.retryAfterSeconds.map { $0 <= 10 } == true)
    let answer = bob.answerReinvite(call, body: .sdp("held"), at: ms(120))
    #expect(answer.sent.first?.body == .sdp("held"))
    let ack = within.with {
      $0.branch = "z9hG4bK-ack2"; $0.body = ""
    }
    #expect(bob.receive(datagram: ack.request("ACK"), from: alicePeer, at: ms(130)).names == ["acknowledged"])
  }

  @Test mutating func reinvitesCanBeRefusedAndWithdrawn() throws {
    let (call, within) = try established()
    _ = bob.receive(datagram: within.with { $0.body = "x" }.request("INVITE"), from: alicePeer, at: ms(100))
    #expect(bob.rejectReinvite(call, at: ms(110)).statuses == [488])
    let again = within.with {
      $0.body = "y"; $0.sequence = 3; $0.branch = "z9hG4bK-3"
    }
    _ = bob.receive(datagram: again.request("INVITE"), from: alicePeer, at: ms(200))
    let cancel = bob.receive(datagram: again.with { $0.body = "" }.request("CANCEL"), from: alicePeer, at: ms(210))
    #expect(cancel.statuses == [200, 487])
    #expect(cancel.names == ["reinvite cancelled"])
    #expect(bob.callCount == 1)
  }

  @Test mutating func oldSequenceNumbersAreRefused() throws {
    let (_, within) = try established()
    #expect(
      bob.receive(datagram: within.with { $0.sequence = 7 }.request("OPTIONS"), from: alicePeer, at: ms(100)).statuses
        == [200])
    let old = within.with {
      $0.sequence = 6; $0.branch = "z9hG4bK-old"
    }
    let actions = bob.receive(datagram: old.request("BYE"), from: alicePeer, at: ms(110))
    #expect(actions.statuses == [500])
    #expect(actions.events.isEmpty)
  }

  @Test mutating func requestsWithinACallThatWeDoNotTake() throws {
    let (_, within) = try established()
    func status(_ method: String, _ n: Int, _ body: String = "") -> Int? {
      let request = within.with {
        $0.sequence = n; $0.branch = "z9hG4bK-n\(n)"; $0.body = body; $0.contentType = "text/plain"
      }
      return bob.receive(datagram: request.request(method), from: alicePeer, at: ms(Int64(n))).statuses.first
    }
    #expect(status("INFO", 10) == 200)
    #expect(status("INFO", 11, "Signal=1") == 415)
    #expect(status("SUBSCRIBE", 12) == 405)
    #expect(status("MESSAGE", 13) == 405)
    #expect(status("FROBNICATE", 14) == 501)
    #expect(status("INVITE", 15, "x") == 415)
    #expect(bob.callCount == 1)
  }

  @Test mutating func aWrongTagIsNobodysCall() throws {
    let (_, within) = try established()
    let strangers = [
      within.with {
        $0.fromTag = "mallory"; $0.branch = "z9hG4bK-m1"
      },
      within.with {
        $0.toTag = "mallory"; $0.branch = "z9hG4bK-m2"
      },
      within.with {
        $0.callID = "other"; $0.branch = "z9hG4bK-m3"
      },
    ]
    for stranger in strangers {
      #expect(bob.receive(datagram: stranger.request("BYE"), from: alicePeer, at: ms(60)).statuses == [481])
    }
    #expect(bob.callCount == 1)
  }

  @Test mutating func mergedRequestsAre482() {
    #expect(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).statuses == [100])
    let merged = bob.receive(
      datagram: script.with { $0.branch = "z9hG4bK-other" }.request("INVITE"), from: alicePeer, at: ms(5))
    #expect(merged.statuses == [482])
    #expect(merged.events.isEmpty)
    #expect(bob.counters.merged == 1)
  }

  @Test(arguments: [
    // the method, what is replaced in its request, by what, the status, a header that the answer must have
    ("FOO", "", "", 501, "Via"), ("MESSAGE", "", "", 405, "Allow"), ("REGISTER", "", "", 405, "Allow"),
    ("INVITE", "INVITE sip:bob@192.0.2.20", "INVITE http://example.com/", 416, "Via"),
    ("INVITE", "Contact:", "Require: precondition, timer\r\nContact:", 420, "Unsupported"),
    ("INVITE", "application/sdp", "text/plain", 415, "Accept"),
    ("INVITE", "Contact:", "Content-Encoding: gzip\r\nContact:", 415, "Accept-Encoding"),
    ("INVITE", "Contact:", "Max-Forwards: 1\r\nContact:", 400, "Warning"),
    ("INVITE", "Contact:", "X-Contact:", 400, "Via"),
    ("INVITE", "Contact:", "Accept: text/plain\r\nContact:", 406, "Warning"),
    ("INVITE", "Contact:", "Accept:\r\nContact:", 406, "Warning"),
    ("INVITE", "To: <sip:bob@192.0.2.20>", "To: <sip:bob@192.0.2.20>;tag=gone", 481, "Via"),
    ("BYE", "", "", 481, "Via"), ("OPTIONS", "", "", 200, "Allow"),
  ])
  func answers(_ method: String, _ from: String, _ to: String, _ status: Int, _ header: String) throws {
    var bob = makeEndpoint()
    let request = text(script.request(method))
    let changed = from.isEmpty ? request : request.replacing(from, with: to)
    let actions = bob.receive(datagram: Array(changed.utf8), from: alicePeer, at: .zero)
    #expect(actions.statuses == [status])
    #expect(actions.sent.first?.first(header) != nil)
    #expect(actions.events.isEmpty)
  }

  @Test func theLastHopIsNoHopTooMany() throws {
    // Only who forwards counts (RFC 3261 16.3); whom the request has reached takes it.
    var bob = makeEndpoint()
    let request = text(script.request("INVITE")).replacing("Max-Forwards: 70", with: "Max-Forwards: 0")
    #expect(bob.receive(datagram: Array(request.utf8), from: alicePeer, at: .zero).statuses == [100])
  }

  @Test func drainingAndFullEndpointsSay503() throws {
    var draining = makeEndpoint()
    draining.isDraining = true
    for method in ["INVITE", "OPTIONS"] {
      let actions = draining.receive(datagram: script.request(method), from: alicePeer, at: .zero)
      #expect(actions.statuses == [503])
      #expect(actions.sent.first?.retryAfterSeconds == 5)
    }
    var full = makeEndpoint { $0.limits.calls = 1 }
    #expect(full.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).statuses == [100])
    let second = script.with {
      $0.callID = "2"; $0.branch = "z9hG4bK-second"
    }
    #expect(full.receive(datagram: second.request("INVITE"), from: alicePeer, at: .zero).statuses == [503])
    var tiny = makeEndpoint { $0.limits.transactions = 1 }
    _ = tiny.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero)
    let refused = tiny.receive(datagram: second.request("INVITE"), from: alicePeer, at: .zero)
    let again = tiny.receive(datagram: second.request("INVITE"), from: alicePeer, at: ms(500))
    #expect(refused.statuses == [503])
    #expect(refused.sent.first?.to.tag == again.sent.first?.to.tag)
    #expect(tiny.counters.overloaded == 2)
  }

  @Test func repliesGoWhereViaAndRportSay() throws {
    let source = SIPPeer(.udp, host: "203.0.113.7", port: 61_000)
    for (via, port, added) in [
      ("192.0.2.10:5070", 5_070, ";received=203.0.113.7"), ("192.0.2.10", 5_060, ";received=203.0.113.7"),
      ("192.0.2.10:5070;rport", 61_000, ";received=203.0.113.7;rport=61000"), ("203.0.113.7:5070", 5_070, ""),
    ] {
      var bob = makeEndpoint()
      let request = script.with {
        $0.via = via.replacing(";rport", with: ""); $0.branch = "z9hG4bK1" + (via.contains("rport") ? ";rport" : "")
      }
      let actions = bob.receive(datagram: request.request("OPTIONS"), from: source, at: .zero)
      #expect(actions.peers == [SIPPeer(.udp, host: "203.0.113.7", port: port)])
      #expect(actions.sent.first?[.via]?.hasSuffix("branch=z9hG4bK1" + added) == true)
    }
  }

  @Test func callersOfRFC2543AreServed() throws {
    var bob = makeEndpoint()
    let old = script.with { $0.branch = "1" }
    let (call, _) = try #require(bob.receive(datagram: old.request("INVITE"), from: alicePeer, at: .zero).incoming)
    #expect(bob.receive(datagram: old.request("INVITE"), from: alicePeer, at: ms(500)).events.isEmpty)
    let refusal = try #require(bob.reject(call, status: 486, at: ms(600)).sent.first)
    let ack = old.with {
      $0.toTag = refusal.to.tag; $0.body = ""
    }
    #expect(bob.receive(datagram: ack.request("ACK"), from: alicePeer, at: ms(700)).isEmpty)
    // Acknowledged: nothing is repeated any more.
    #expect(bob.timeout(at: ms(1_200)).isEmpty)
    #expect(bob.timeout(at: ms(6_000)).isEmpty)
    #expect(bob.isIdle)
  }

  @Test func unansweredCallsRefreshAndExpire() throws {
    var bob = makeEndpoint()
    let (call, _) = try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    _ = bob.ring(call, at: .zero)
    #expect(bob.timeout(at: ms(60_000)).statuses == [180])
    let end = bob.timeout(at: ms(300_000))
    #expect(end.statuses.last == 480)
    #expect(end.names == ["ended timeout 480"])
    let hurried = script.with {
      $0.extra = "Expires: 20\n"; $0.callID = "h"; $0.branch = "z9hG4bK-h"
    }
    _ = bob.receive(datagram: hurried.request("INVITE"), from: alicePeer, at: ms(300_000))
    #expect(bob.timeout(at: ms(320_000)).names == ["ended timeout 487"])
  }

  @Test func malformedRequestsAreCountedAndAnswered() {
    var bob = makeEndpoint()
    let broken = text(script.request("INVITE")).replacing("CSeq: 1 INVITE", with: "CSeq: 1 BYE")
    #expect(bob.receive(datagram: Array(broken.utf8), from: alicePeer, at: .zero).statuses == [400])
    #expect(bob.receive(datagram: Array("garbage\r\n\r\n".utf8), from: alicePeer, at: .zero).isEmpty)
    #expect(bob.receive(datagram: [0, 0, 0, 0], from: alicePeer, at: .zero).isEmpty)
    #expect(bob.counters.malformed == [.cseq: 1, .startLine: 1])
    #expect(bob.counters.keepAlives == 1)
    #expect(bob.counters.served[.init(method: "INVITE", status: 400)] == 1)
    #expect(bob.isIdle)
  }

  @Test func streamCallsOutliveTheirConnection() throws {
    var bob = makeEndpoint()
    let peer = SIPPeer(.tcp, host: "192.0.2.10", port: 40_000, connection: 1)
    let tcp = script.with { $0.transport = "TCP" }
    let (call, _) = try #require(bob.receive(stream: tcp.request("INVITE"), from: peer, at: .zero).incoming)
    let answer = try #require(bob.answer(call, body: .sdp("a"), at: .zero).sent.first)
    #expect(answer.contact?.uri.transportName == "tcp")
    let ack = tcp.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-a"; $0.body = ""
    }
    _ = bob.receive(stream: ack.request("ACK"), from: peer, at: .zero)
    #expect(bob.connectionClosed(1, at: ms(10)).isEmpty)
    let bye = bob.hangup(call, at: ms(20))
    #expect(bye.methods == ["BYE"])
    #expect(bye.peers == [SIPPeer(.tcp, host: "192.0.2.10", port: 5_060)])
    #expect(bob.sendFailed(to: bye.peers[0], at: ms(30)).names == ["ended local_hangup 0"])
  }
}
