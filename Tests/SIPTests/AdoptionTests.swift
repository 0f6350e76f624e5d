import Base
import SIP
import Testing

/// A call whose process is gone, and the endpoint that goes on with it.
@Suite struct AdoptionTests {
  private static let otherPeer = SIPPeer(.udp, host: "192.0.2.30", port: 5060)
  private var first = makeEndpoint { $0.tellsDialogs = true }
  private var second = makeEndpoint("192.0.2.30", seed: 7)
  private var script = Script(body: "offer")

  /// An answered call of the first endpoint: its handle, what is known of it, and the caller's next request.
  private mutating func established() throws -> (SIPCallHandle, SIPDialogState, Script) {
    let (call, _) = try #require(
      first.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let answered = first.answer(call, body: .sdp("answer"), at: .zero)
    let state = try #require(answered.dialogs.last)
    let answer = try #require(answered.sent.first)
    let within = script.with {
      $0.toTag = answer.to.tag
      $0.branch = "z9hG4bK-ack"
      $0.body = ""
      $0.uri = answer.contact?.uri.description ?? ""
    }
    _ = first.receive(datagram: within.request("ACK"), from: alicePeer, at: ms(10))
    return (
      call, state,
      within.with {
        $0.sequence = 2
        $0.branch = "z9hG4bK-2"
      }
    )
  }

  /// The call in the second endpoint, whose re-INVITE is on its way.
  private mutating func adopted() throws -> (SIPCallHandle, SIPMessage, Script) {
    let (_, state, caller) = try established()
    let restored = try SIPDialogState(try JSON.decode(JSON.encode(state.value)))
    #expect(restored == state)
    let adopted = second.adopt(restored)
    let call = try #require(adopted)
    let invite = try #require(second.reinvite(call, body: .sdp("here"), at: ms(100)).sent.first)
    return (call, invite, caller)
  }

  private mutating func receive(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    second.receive(datagram: bytes, from: alicePeer, at: ms(at))
  }

  @Test mutating func theSuccessorInvitesThePeerWithinTheDialog() throws {
    let (call, invite, caller) = try adopted()
    #expect(invite.method == .invite)
    #expect(invite.callID == "call-1@alice")
    #expect(invite.from.tag == caller.toTag)
    #expect(invite.to.tag == "alice-tag")
    #expect(invite.requestURIText == "sip:alice@192.0.2.10:5060")
    #expect(invite.contact?.uri.host == "192.0.2.30")
    #expect(invite.cseq.number > SIPDialogState.sequenceMargin)
    #expect(invite.body == .sdp("here"))
    let accepted = receive(reply(invite, 200, contact: "<sip:alice@192.0.2.77:5070>", body: "there"), 120)
    #expect(accepted.names == ["reinvite answered there"])
    let ack = try #require(accepted.sent.first)
    #expect(ack.method == .ack)
    #expect(ack.cseq.number == invite.cseq.number)
    #expect(ack.requestURIText == "sip:alice@192.0.2.77:5070")
    // The peer moved with its 200 (target refresh), and so does what we say next.
    let bye = second.hangup(call, at: ms(200))
    #expect(bye.sent.first?.requestURIText == "sip:alice@192.0.2.77:5070")
    #expect(bye.sent.first?.cseq.number == invite.cseq.number + 1)
  }

  @Test mutating func everyRepeatedAnswerIsAcknowledgedAgain() throws {
    let (_, invite, _) = try adopted()
    let answer = reply(invite, 200, contact: "<sip:alice@192.0.2.10>", body: "there")
    let first = receive(answer, 120)
    for at in [620, 1_620, 3_620] as [Int64] {
      let again = receive(answer, at)
      #expect(again.methods == ["ACK"])
      #expect(again.sent.first?.topVia?.branch == first.sent.first?.topVia?.branch)
      #expect(again.events.isEmpty)
    }
  }

  @Test mutating func thePeersRequestsFindTheDialog() throws {
    let (_, invite, caller) = try adopted()
    _ = receive(reply(invite, 200, contact: "<sip:alice@192.0.2.10>", body: "there"), 120)
    #expect(receive(caller.request("INFO"), 200).statuses == [200])
    let stale = caller.with {
      $0.sequence = 1
      $0.branch = "z9hG4bK-old"
    }
    #expect(receive(stale.request("BYE"), 210).statuses == [500])
    let change = caller.with {
      $0.sequence = 3
      $0.branch = "z9hG4bK-3"
      $0.body = "hold"
    }
    let offered = receive(change.request("INVITE"), 220)
    #expect(offered.names == ["reinvite hold"])
    let bye = caller.with {
      $0.sequence = 4
      $0.branch = "z9hG4bK-4"
    }
    let ended = receive(bye.request("BYE"), 300)
    #expect(ended.statuses.contains(200))
    #expect(ended.names == ["ended remote_hangup 0"])
  }

  @Test mutating func glareIsTriedAgainForAsLongAsThePeersOwnInviteCanWait() throws {
    var (_, invite, _) = try adopted()
    var at: Int64 = 120
    var sequences = [invite.cseq.number]
    for _ in 0..<20 {
      #expect(receive(reply(invite, 491, contact: nil), at).methods == ["ACK"])
      let deadline = try #require(second.deadline)
      let wait = (deadline - ms(at)).nanoseconds / 1_000_000
      // 14.1: up to two seconds in steps of ten milliseconds, because the Call-ID is the peer's.
      #expect((0...2_000).contains(wait) && wait % 10 == 0)
      at += wait
      invite = try #require(second.timeout(at: ms(at)).sent.first { $0.method == .invite })
      #expect(invite.body == .sdp("here"))
      sequences.append(invite.cseq.number)
    }
    #expect(Set(sequences).count == 21)
    #expect(receive(reply(invite, 200, body: "there"), at + 10).names == ["reinvite answered there"])
  }

  @Test mutating func aPeerThatHasLostTheDialogEndsTheCall() throws {
    let (_, invite, _) = try adopted()
    let refused = receive(reply(invite, 481, contact: nil), 120)
    #expect(refused.methods == ["ACK", "BYE"])
    #expect(refused.events.isEmpty)
    let bye = try #require(refused.sent.last)
    #expect(receive(reply(bye, 481, contact: nil), 140).names == ["ended dialog_lost 0"])
  }

  @Test mutating func aPeerThatIsGoneEndsTheCall() throws {
    _ = try adopted()
    var all: [SIPAction] = []
    while let deadline = second.deadline { all += second.timeout(at: deadline) }
    #expect(all.methods.filter { $0 == "INVITE" }.count == 6, "retransmissions of timer A")
    #expect(all.methods.contains("BYE"))
    #expect(all.names == ["ended dialog_lost 0"])
    #expect(second.isIdle)
  }

  @Test(arguments: [401, 407, 486, 488, 500, 603])
  func otherRefusalsLeaveTheDialogAsItWas(_ status: Int) throws {
    var test = AdoptionTests()
    let (call, invite, caller) = try test.adopted()
    #expect(test.receive(reply(invite, status, contact: nil), 120).names == ["reinvite failed \(status)"])
    #expect(test.receive(caller.request("INFO"), 200).statuses == [200])
    let again = try #require(test.second.reinvite(call, body: .sdp("again"), at: ms(300)).sent.first)
    #expect(again.cseq.number == invite.cseq.number + 1)
    #expect(test.receive(reply(again, 200, body: "there"), 320).names == ["reinvite answered there"])
  }

  @Test mutating func aCallOfOursIsToldAndAdopted() throws {
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (_, actions) = first.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: .sdp("offer")), at: .zero)
    let invite = try #require(actions.sent.first)
    let route = "Record-Route: <sip:edge.example.org;lr>, <sip:198.51.100.4;lr>\n"
    let accepted = first.receive(datagram: reply(invite, 200, extra: route, body: "answer"), from: bobPeer, at: ms(20))
    let state = try #require(accepted.dialogs.first)
    #expect(accepted.names.first == "dialog 0", "before the owner acts on the answer")
    let adopted = second.adopt(try SIPDialogState(try JSON.decode(JSON.encode(state.value))))
    let call = try #require(adopted)
    let change = try #require(second.reinvite(call, body: .sdp("here"), at: ms(100)).sent.first)
    #expect(change.values(.route) == ["<sip:198.51.100.4;lr>", "<sip:edge.example.org;lr>"])
    #expect(change.cseq.number == 1 + SIPDialogState.sequenceMargin + 1)
    // 14.1: whoever owns the Call-ID waits longer.
    _ = second.receive(datagram: reply(change, 491, contact: nil), from: bobPeer, at: ms(120))
    let wait = try #require(second.deadline) - ms(120)
    #expect(wait >= .milliseconds(2_100) && wait <= .seconds(4))
  }

  @Test mutating func whatTheOwnerIsToldFollowsTheDialog() throws {
    let (call, answered, caller) = try established()
    #expect(answered.remoteSequence == 1)
    #expect(first.receive(datagram: caller.request("INFO"), from: alicePeer, at: ms(20)).dialogs.isEmpty)
    let change = caller.with {
      $0.sequence = 3
      $0.branch = "z9hG4bK-3"
      $0.body = "hold"
    }
    _ = first.receive(datagram: change.request("INVITE"), from: alicePeer, at: ms(30))
    let told = try #require(first.answerReinvite(call, body: .sdp("yes"), at: ms(40)).dialogs.first)
    #expect(told.remoteSequence == 3)
    #expect(first.dialog(of: call) == told)
    var quiet = makeEndpoint()
    let (other, _) = try #require(
      quiet.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    #expect(quiet.answer(other, body: .sdp("answer"), at: .zero).events.isEmpty, "only to owners that want to know")
  }

  @Test mutating func aDialogLivesOnceAndNeedsItsTransport() throws {
    let (_, state, _) = try established()
    var streams = makeEndpoint { $0.localAddresses[.udp] = nil }
    var full = makeEndpoint { $0.limits.calls = 0 }
    let adopted = [
      first.adopt(state), second.adopt(state), second.adopt(state), streams.adopt(state), full.adopt(state),
    ]
    #expect(adopted.map { $0 != nil } == [false, true, false, false, false])
  }

  @Test mutating func anAbandonedCallSaysNothingMore() throws {
    let (call, _, caller) = try established()
    _ = first.reinvite(call, body: .sdp("mine"), at: ms(50))
    #expect(first.abandon(call, at: ms(60)).isEmpty)
    #expect(first.callCount == 0)
    var later: [SIPAction] = []
    while let deadline = first.deadline, deadline < ms(20_000) { later += first.timeout(at: deadline) }
    #expect(later.isEmpty, "no retransmission, no BYE, no event")
    #expect(first.abandon(call, at: ms(70)).isEmpty)
    // Until the successor has told the peer where it is: nothing that makes the peer give the dialog up.
    func ask(_ method: String, _ number: Int, _ at: Int64) -> [Int] {
      first.receive(
        datagram: caller.with {
          $0.sequence = number
          $0.branch = "z9hG4bK-x\(number)"
        }.request(method), from: alicePeer, at: ms(at)
      ).statuses
    }
    #expect(ask("INVITE", 5, 20_000) == [491])
    #expect(ask("INFO", 6, 20_000) == [500])
    #expect(ask("BYE", 7, 20_000) == [200])
    #expect(ask("INFO", 8, 40_000) == [481])
  }

  @Test mutating func anOfferedCallCanBeAbandoned() throws {
    let (call, _) = try #require(
      first.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    #expect(first.abandon(call, at: ms(10)).isEmpty)
    #expect(first.answer(call, body: .sdp("answer"), at: ms(20)).isEmpty)
    #expect(first.deadline == nil)
    #expect(first.isIdle)
  }

  // MARK: What is kept

  @Test mutating func damagedStatesAreRefused() throws {
    let (_, state, _) = try established()
    guard case .map(let whole) = state.value else {
      Issue.record("no map")
      return
    }
    let wrong: [String: [Value]] = [
      "v": [2, 0, "1", .null], "call_id": ["", 7, .string(String(repeating: "x", count: 9_000))],
      "local_tag": ["", "other"], "remote_tag": ["other", 1], "local": ["nonsense", "<sip:bob@192.0.2.20>"],
      "remote": ["<sip:alice@192.0.2.10>;tag=stranger", ""], "local_cseq": [-1, 0x7FFF_FFFF, 1.5, "4"],
      "remote_cseq": [-1, 0x8000_0000, "4"], "target": ["", "no uri", "<sip:x@y>"], "routes": [.null, "r", [1]],
      "transport": ["sctp", ""], "host": ["", 5], "port": [0, 65_536, "5060"], "ours": [1, .null],
    ]
    #expect(Set(wrong.keys).isSuperset(of: whole.keys))
    for (key, values) in wrong {
      for value in values {
        var map = whole
        map[key] = value
        #expect(throws: ValueFields.Fault.self, "\(key) as \(JSON.encode(value))") { try SIPDialogState(.map(map)) }
      }
      guard key != "remote_cseq" else { continue }
      var map = whole
      map[key] = nil
      #expect(throws: ValueFields.Fault.self, "without \(key)") { try SIPDialogState(.map(map)) }
    }
    #expect(throws: ValueFields.Fault.self) { try SIPDialogState([]) }
    var newer = whole
    newer["of_a_later_version"] = 1
    #expect(try SIPDialogState(.map(newer)) == state)
  }

  @Test mutating func noBytesHarmTheReader() throws {
    let (_, state, _) = try established()
    let whole = Array(JSON.encode(state.value).utf8)
    var random = SeededRandom(seed: 11)
    for _ in 0..<20_000 {
      var bytes = whole
      for _ in 0...random.next() % 3 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() % 256) }
      guard let value = try? JSON.decode(bytes), let read = try? SIPDialogState(value) else { continue }
      var endpoint = makeEndpoint("192.0.2.30")
      if let call = endpoint.adopt(read) { _ = endpoint.reinvite(call, body: .sdp("here"), at: .zero) }
    }
  }
}

extension [SIPAction] {
  var dialogs: [SIPDialogState] {
    events.compactMap { if case .dialogChanged(_, let state) = $0 { state } else { nil } }
  }
}
