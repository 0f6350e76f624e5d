import Base
import SIP
import Testing

/// Reliable provisional responses and PRACK (RFC 3262), both sides.
@Suite struct ReliableTests {
  private var bob = makeEndpoint()
  private var alice = makeEndpoint("192.0.2.10")
  private var script = Script(extra: "Supported: 100rel\n", body: "offer")

  // MARK: As the called side

  private mutating func offered() throws -> SIPCallHandle {
    try #require(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming?.0)
  }

  private func prack(
    _ provisional: SIPMessage, _ sequence: Int = 2, rack: String? = nil, body: String = "", method: String = "PRACK"
  ) -> [UInt8] {
    let ack = rack ?? "\(provisional[.rseq] ?? "") 1 INVITE"
    return script.with {
      $0.toTag = provisional.to.tag; $0.branch = "z9hG4bK-p\(sequence)"; $0.sequence = sequence
      $0.extra = "RAck: \(ack)\n"; $0.body = body
    }.request(method)
  }

  private mutating func receive(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    bob.receive(datagram: bytes, from: alicePeer, at: ms(at))
  }

  @Test mutating func earlyMediaGoesOutReliably() throws {
    let call = try offered()
    let early = try #require(bob.ring(call, status: 183, body: .sdp("answer"), at: .zero).sent.first)
    #expect(early.values(.require) == ["100rel"])
    #expect(early[.rseq] != nil)
    #expect(early.body == .sdp("answer"))
    #expect(early.contact != nil)
    var moments: [Int64] = []
    while let deadline = bob.deadline, deadline < ms(20_000) {
      if bob.timeout(at: deadline).sent.first?.serialized() == early.serialized() {
        moments.append(deadline.nanoseconds / 1_000_000)
      }
    }
    // RFC 3262 3: doubling, without the bound of T2.
    #expect(moments == [500, 1_500, 3_500, 7_500, 15_500])
    let done = receive(prack(early), 20_000)
    #expect(done.statuses == [200])
    #expect(done.names == ["provisional acknowledged -"])
    #expect(receive(prack(early), 20_100).statuses == [200], "a retransmission of the same PRACK")
    let accepted = try #require(bob.answer(call, body: .sdp("answer"), at: ms(20_200)).sent.first)
    #expect(accepted.status == 200)
    #expect(accepted.body == nil, "the description that the 183 carried is not sent again")
    #expect(accepted[.rseq] == nil)
  }

  @Test(arguments: [
    // what the caller says, what we are told to do, the status, a body: whether it is reliable
    ("", SIPReliability.withBody, 183, true, false), ("", .always, 183, true, false),
    ("Supported: 100rel\n", .withBody, 180, false, false), ("Supported: 100rel\n", .withBody, 183, true, true),
    ("Supported: 100rel\n", .always, 180, false, true), ("Supported: 100rel\n", .never, 183, true, false),
    ("Require: 100rel\n", .withBody, 180, false, true), ("k: timer, 100REL\n", .withBody, 183, true, true),
  ])
  func onlyThoseWhoKnowItGetIt(
    _ extra: String, _ reliability: SIPReliability, _ status: Int, _ hasBody: Bool, _ isReliable: Bool
  ) throws {
    var bob = makeEndpoint { $0.reliability = reliability }
    let invite = script.with { $0.extra = extra }
    let call = try #require(bob.receive(datagram: invite.request("INVITE"), from: alicePeer, at: .zero).incoming?.0)
    let sent = bob.ring(call, status: status, body: hasBody ? .sdp("answer") : nil, at: .zero).sent.first
    #expect((sent?[.rseq] != nil) == isReliable)
    #expect((sent?.values(.require) == ["100rel"]) == isReliable)
  }

  @Test func whoeverRequiresItWhereWeDoNotOfferItIsRefused() {
    var bob = makeEndpoint { $0.reliability = .never }
    let invite = script.with { $0.extra = "Require: 100rel\n" }
    let refused = bob.receive(datagram: invite.request("INVITE"), from: alicePeer, at: .zero)
    #expect(refused.statuses == [420])
    #expect(refused.sent.first?[.unsupported] == "100rel")
  }

  @Test mutating func acknowledgementsThatMatchNothingAre481() throws {
    let call = try offered()
    let early = try #require(bob.ring(call, status: 183, body: .sdp("answer"), at: .zero).sent.first)
    let rseq = try #require(early[.rseq].flatMap { Int($0) })
    #expect(receive(prack(early, 2, rack: "\(rseq + 1) 1 INVITE"), 10).statuses == [481])
    #expect(receive(prack(early, 3, rack: "\(rseq) 2 INVITE"), 20).statuses == [481])
    #expect(receive(prack(early, 4, rack: "\(rseq) 1 BYE"), 30).statuses == [481])
    #expect(receive(prack(early, 5, rack: "nonsense"), 40).statuses == [400])
    #expect(receive(prack(early, 6, rack: "99999999999999999999 1 INVITE"), 50).statuses == [400])
    #expect(bob.timeout(at: ms(500)).statuses == [183], "still not acknowledged")
    #expect(receive(prack(early, 7), 600).statuses == [200])
    #expect(receive(prack(early, 8), 700).statuses == [481], "acknowledged already")
    let outside = script.with {
      $0.branch = "z9hG4bK-o"; $0.callID = "other"; $0.extra = "RAck: 1 1 INVITE\n"; $0.body = ""
    }
    #expect(receive(outside.request("PRACK"), 800).statuses == [481])
  }

  @Test mutating func withoutAnAcknowledgementTheCallIsRefused() throws {
    let call = try offered()
    _ = bob.ring(call, status: 183, body: .sdp("answer"), at: .zero)
    #expect(bob.answer(call, body: .sdp("answer"), at: ms(100)).isEmpty, "the 200 waits for the PRACK")
    var all: [SIPAction] = []
    while let deadline = bob.deadline, deadline <= ms(32_000) { all += bob.timeout(at: deadline) }
    #expect(all.statuses.filter { $0 == 183 }.count == 6)
    #expect(all.statuses.contains(504))
    #expect(all.names == ["ended acknowledgement_missing 504"])
  }

  @Test mutating func theAnswerFollowsTheAcknowledgementAtOnce() throws {
    let call = try offered()
    let early = try #require(bob.ring(call, status: 183, body: .sdp("answer"), at: .zero).sent.first)
    #expect(bob.answer(call, body: .sdp("answer"), at: ms(100)).isEmpty)
    #expect(bob.ring(call, at: ms(110)).isEmpty, "it has been answered")
    #expect(receive(prack(early), 200).statuses == [200, 200])
    #expect(bob.counters.served[.init(method: "INVITE", status: 200)] == 1)
  }

  @Test mutating func oneWaitsForTheOther() throws {
    script.extra = "Require: 100rel\n"
    let call = try offered()
    let ringing = try #require(bob.ring(call, at: .zero).sent.first)
    #expect(bob.ring(call, status: 182, at: ms(10)).isEmpty)
    #expect(bob.ring(call, status: 183, body: .sdp("answer"), at: ms(20)).isEmpty)
    let next = receive(prack(ringing), 100)
    #expect(next.statuses == [200, 183])
    let early = try #require(next.sent.last)
    #expect(early[.rseq].flatMap { Int($0) } == ringing[.rseq].flatMap { Int($0) }.map { $0 + 1 })
    #expect(early.body == .sdp("answer"))
    #expect(receive(prack(early, 3), 200).statuses == [200])
  }

  @Test mutating func ourOfferIsAnsweredInThePrack() throws {
    script.body = ""
    let call = try offered()
    let early = try #require(bob.ring(call, status: 183, body: .sdp("our offer"), at: .zero).sent.first)
    let done = receive(prack(early, body: "their answer"), 100)
    #expect(done.statuses == [200])
    #expect(done.names == ["provisional acknowledged their answer"])
    let accepted = try #require(bob.answer(call, body: .sdp("our offer"), at: ms(200)).sent.first)
    #expect(accepted.body == nil)
    let ack = script.with {
      $0.toTag = accepted.to.tag; $0.branch = "z9hG4bK-a"
    }
    #expect(receive(ack.request("ACK"), 300).names == ["acknowledged"])
  }

  @Test mutating func anOfferInThePrackIsAnsweredInItsResponse() throws {
    let call = try offered()
    let early = try #require(bob.ring(call, status: 183, body: .sdp("answer"), at: .zero).sent.first)
    let asked = receive(prack(early, body: "second offer"), 100)
    #expect(asked.statuses.isEmpty)
    #expect(asked.names == ["provisional acknowledged -", "reinvite second offer"])
    #expect(bob.answer(call, body: .sdp("x"), at: ms(110)).isEmpty, "not before the offer is answered")
    let answered = bob.answerReinvite(call, body: .sdp("second answer"), at: ms(120))
    #expect(answered.statuses == [200, 200])
    #expect(answered.sent.first?.cseq.method == .prack)
    #expect(answered.sent.first?.body == .sdp("second answer"))
    #expect(answered.sent.last?.body == nil)
  }

  @Test mutating func aCancelledCallRefusesWhatIsPending() throws {
    let call = try offered()
    let early = try #require(bob.ring(call, status: 183, body: .sdp("answer"), at: .zero).sent.first)
    _ = receive(prack(early, body: "second offer"), 100)
    let cancel = script.with {
      $0.body = ""; $0.extra = ""
    }
    let end = receive(cancel.request("CANCEL"), 200)
    #expect(end.statuses.sorted() == [200, 487, 487])
    #expect(end.names == ["ended remote_cancel 487"])
    _ = receive(cancel.with { $0.toTag = early.to.tag }.request("ACK"), 300)
    while let deadline = bob.deadline { _ = bob.timeout(at: deadline) }
    #expect(bob.isIdle)
    #expect(bob.answerReinvite(call, body: nil, at: ms(400)).isEmpty)
  }

  // MARK: As the calling side

  private mutating func place(_ body: SIPBody? = .sdp("offer")) throws -> (SIPCallHandle, SIPMessage) {
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (call, actions) = alice.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: body), at: .zero)
    return (call, try #require(actions.sent.first))
  }

  private mutating func hear(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    alice.receive(datagram: bytes, from: bobPeer, at: ms(at))
  }

  private func reliable(_ rseq: UInt32) -> String { "Require: 100rel\nRSeq: \(rseq)\nAllow: INVITE, UPDATE\n" }

  @Test mutating func theirReliableResponsesAreAcknowledgedInOrder() throws {
    let (call, invite) = try place()
    #expect(invite.values(.supported).contains("100rel"))
    let early = hear(reply(invite, 183, extra: reliable(7), body: "answer"), 10)
    #expect(early.methods == ["PRACK"])
    #expect(early.names == ["progress 183"])
    let prack = try #require(early.sent.first)
    #expect(prack[.rack] == "7 \(invite.cseq.number) INVITE")
    #expect(prack.requestURIText == "sip:bob@192.0.2.20:5060")
    #expect(prack.to.tag == "bob-tag")
    #expect(prack.cseq.number == invite.cseq.number + 1)
    #expect(hear(reply(invite, 183, extra: reliable(7), body: "answer"), 20).isEmpty, "a copy")
    #expect(hear(reply(invite, 180, extra: reliable(9)), 30).isEmpty, "one is missing between")
    #expect(alice.timeout(at: ms(510)).methods == ["PRACK"], "the PRACK repeats itself")
    #expect(hear(reply(prack, 200), 520).isEmpty)
    let next = hear(reply(invite, 180, extra: reliable(8)), 600)
    #expect(next.methods == ["PRACK"])
    #expect(next.names == ["progress 180"])
    #expect(next.sent.first?[.rack] == "8 \(invite.cseq.number) INVITE")
    let answered = hear(reply(invite, 200), 700)
    guard case .answered(_, let answer) = answered.events.first else {
      Issue.record("\(answered.names)")
      return
    }
    #expect(answer.isEarly)
    #expect(answer.body == .sdp("answer"))
    #expect(!answer.needsAnswer)
    // The PRACKs have used numbers of the dialog.
    #expect(alice.hangup(call, at: ms(800)).sent.first?.cseq.number == invite.cseq.number + 3)
  }

  @Test mutating func theirOfferIsAnsweredInOurPrack() throws {
    let (call, invite) = try place(nil)
    let early = hear(reply(invite, 183, extra: reliable(1), body: "their offer"), 10)
    #expect(early.methods.isEmpty)
    guard case .progress(_, let progress) = early.events.first else {
      Issue.record("\(early.names)")
      return
    }
    #expect(progress.needsAnswer && progress.isReliable)
    let prack = try #require(alice.acknowledge(call, body: .sdp("our answer"), at: ms(20)).sent.first)
    #expect(prack.method == .prack)
    #expect(prack.body == .sdp("our answer"))
    #expect(prack[.rack] == "1 1 INVITE")
    #expect(alice.acknowledge(call, body: .sdp("again"), at: ms(25)).isEmpty)
    let answered = hear(reply(invite, 200), 30)
    #expect(answered.names == ["answered"])
    #expect(answered.methods == ["ACK"])
    #expect(answered.sent.first?.body == nil)
  }

  @Test mutating func everyForkCountsForItself() throws {
    let (_, invite) = try place()
    let first = hear(reply(invite, 183, tag: "one", extra: reliable(100), body: "a"), 10)
    let second = hear(reply(invite, 183, tag: "two", extra: reliable(5), body: "b"), 20)
    #expect(first.sent.first?[.rack] == "100 1 INVITE")
    #expect(second.sent.first?[.rack] == "5 1 INVITE")
    #expect(second.sent.first?.to.tag == "two")
    _ = hear(reply(invite, 200, tag: "two"), 30)
    // The other fork answers too late: its BYE comes after its PRACK.
    let late = hear(reply(invite, 200, tag: "one"), 40)
    #expect(late.methods == ["ACK", "BYE"])
    #expect(late.sent.last?.cseq.number == 3)
  }

  @Test mutating func nonsenseIsNotAcknowledged() throws {
    let (_, invite) = try place()
    for extra in ["Require: 100rel\nRSeq: x\n", "Require: 100rel\n", "RSeq: 5\n"] {
      let heard = hear(reply(invite, 183, extra: extra, body: "answer"), 10)
      #expect(heard.methods.isEmpty, "\(extra)")
    }
    // Nobody to send it to.
    #expect(hear(reply(invite, 183, tag: nil, extra: reliable(1)), 20).isEmpty)
  }
}
