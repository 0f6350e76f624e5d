import Base
import SIP
import Testing

/// Session timers (RFC 4028): both sides of the INVITE, both refresher roles, and sessions that nobody refreshes.
@Suite struct SessionTimerTests {
  private var local = makeEndpoint("192.0.2.10")

  private mutating func receive(_ bytes: [UInt8], _ at: Instant) -> [SIPAction] {
    local.receive(datagram: bytes, from: bobPeer, at: at)
  }

  private static func seconds(_ count: Int64) -> Instant { .zero + .seconds(count) }

  /// Runs the timers up to a moment and gathers what they did.
  private mutating func run(until end: Instant) -> [SIPAction] {
    var all: [SIPAction] = []
    var steps = 0
    while let deadline = local.deadline, deadline <= end, steps < 1_000 {
      all += local.timeout(at: deadline)
      steps += 1
    }
    return all
  }

  private mutating func place() throws -> (SIPCallHandle, SIPMessage) {
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (call, actions) = local.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: .sdp("offer")), at: .zero)
    return (call, try #require(actions.sent.first))
  }

  /// Our call, answered at once with these headers.
  private mutating func placed(_ extra: String) throws -> (SIPCallHandle, SIPMessage) {
    let (call, invite) = try place()
    #expect(receive(reply(invite, 200, extra: extra, body: "answer"), .zero).names.last == "answered")
    return (call, invite)
  }

  /// A request of the callee within our call.
  private func within(_ invite: SIPMessage, _ method: String, _ sequence: Int, extra: String = "", body: String = "")
    -> [UInt8]
  {
    Script(
      callID: invite.callID, fromTag: "bob-tag", toTag: invite.from.tag, branch: "z9hG4bK-b\(sequence)",
      sequence: sequence, via: "192.0.2.20:5060", uri: "sip:parley@192.0.2.10:5060", extra: extra, body: body
    ).request(method)
  }

  @Test mutating func anInviteAsksForATimer() throws {
    let (_, invite) = try place()
    #expect(invite[.sessionExpires] == "1800")
    #expect(invite.values(.supported).contains("timer"))
    #expect(invite.values(.allow).contains("UPDATE"))
    var without = makeEndpoint { $0.sessionExpires = 0 }
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (_, actions) = without.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: bobPeer, body: nil), at: .zero)
    #expect(actions.sent.first?[.sessionExpires] == nil)
    #expect(actions.sent.first?.values(.supported).contains("timer") == false)
  }

  @Test mutating func theRefresherUpdatesAtHalfTheInterval() throws {
    _ = try placed("Session-Expires: 600;refresher=uac\nRequire: timer\nAllow: INVITE, UPDATE\n")
    #expect(run(until: Self.seconds(299)).sent.isEmpty)
    for half in 1...3 as ClosedRange<Int64> {
      let at = Self.seconds(300 * half)
      let update = try #require(local.timeout(at: at).sent.first)
      #expect(update.method == .update)
      #expect(update.body == nil)
      #expect(update[.sessionExpires] == "600;refresher=uac")
      #expect(update.contact != nil)
      let answer = reply(update, 200, extra: "Session-Expires: 600;refresher=uac\n")
      #expect(receive(answer, at).events.isEmpty, "the owner hears nothing")
    }
    #expect(run(until: Self.seconds(1_199)).sent.isEmpty)
    #expect(local.callCount == 1)
  }

  @Test mutating func withoutUpdateTheUnchangedDescriptionIsInvitedAgain() throws {
    let (_, first) = try placed("Session-Expires: 600;refresher=uac\nRequire: timer\nAllow: INVITE, BYE\n")
    let invite = try #require(run(until: Self.seconds(300)).sent.first)
    #expect(invite.method == .invite)
    #expect(invite.body == .sdp("offer"), "the description that was agreed on, byte for byte")
    #expect(invite.cseq.number == first.cseq.number + 1)
    let accepted = receive(reply(invite, 200, extra: "Session-Expires: 600;refresher=uac\n"), Self.seconds(300))
    #expect(accepted.methods == ["ACK"])
    #expect(accepted.events.isEmpty)
    #expect(run(until: Self.seconds(599)).sent.isEmpty)
    #expect(local.timeout(at: Self.seconds(600)).methods == ["INVITE"])
  }

  @Test mutating func anUpdateThatIsNotTakenBecomesAnInvite() throws {
    _ = try placed("Session-Expires: 600;refresher=uac\nAllow: INVITE, UPDATE\n")
    let update = try #require(run(until: Self.seconds(300)).sent.first)
    let fallback = receive(reply(update, 405, contact: nil), Self.seconds(300))
    #expect(fallback.methods == ["INVITE"])
    #expect(fallback.sent.first?.body == .sdp("offer"))
  }

  @Test mutating func theOtherSideRefreshesOrTheCallEnds() throws {
    let (_, invite) = try placed("Session-Expires: 600;refresher=uas\nAllow: INVITE, UPDATE\n")
    let update = within(
      invite, "UPDATE", 1, extra: "Supported: timer\nSession-Expires: 600;refresher=uac\n")
    let refreshed = receive(update, Self.seconds(300))
    #expect(refreshed.statuses == [200])
    #expect(refreshed.sent.first?[.sessionExpires] == "600;refresher=uac")
    #expect(refreshed.sent.first?.values(.require) == ["timer"])
    #expect(refreshed.events.isEmpty)
    // min(32, 600 / 3) seconds before 300 + 600.
    #expect(run(until: Self.seconds(867)).sent.isEmpty)
    let end = local.timeout(at: Self.seconds(868))
    #expect(end.methods == ["BYE"])
    #expect(end.sent.first?[.reason]?.contains("cause=408") == true)
    let bye = try #require(end.sent.first)
    #expect(receive(reply(bye, 200), Self.seconds(869)).names == ["ended session_expired 0"])
  }

  @Test mutating func shortSessionsEndAThirdBeforeTheirTime() throws {
    local = makeEndpoint("192.0.2.10") { $0.minSE = 30 }
    _ = try placed("Session-Expires: 60;refresher=uas\n")
    #expect(run(until: Self.seconds(39)).sent.isEmpty)
    #expect(local.timeout(at: Self.seconds(40)).methods == ["BYE"])
  }

  @Test mutating func aCalleeWithoutTimersHasNone() throws {
    _ = try placed("")
    #expect(run(until: Self.seconds(100_000)).sent.isEmpty)
    #expect(local.deadline == nil)
  }

  @Test mutating func refusedRefreshesAreTriedAgainUntilTheSessionEnds() throws {
    _ = try placed("Session-Expires: 600;refresher=uac\nAllow: INVITE, UPDATE\n")
    var tries = 0
    var end: [SIPAction] = []
    while let deadline = local.deadline, deadline <= Self.seconds(600), tries < 1_000 {
      for message in local.timeout(at: deadline).sent where message.isRequest {
        if message.method == .update {
          tries += 1
          _ = receive(reply(message, 500, contact: nil), deadline)
        } else {
          end += receive(reply(message, 200), deadline)
        }
      }
    }
    #expect((3...100).contains(tries), "\(tries) tries in 268 seconds")
    #expect(end.names == ["ended session_expired 0"])
  }

  @Test(arguments: [408, 481]) func aRefreshThatFindsNoDialogEndsTheCall(_ status: Int) throws {
    var test = SessionTimerTests()
    _ = try test.placed("Session-Expires: 600;refresher=uac\nAllow: UPDATE\n")
    let update = try #require(test.run(until: Self.seconds(300)).sent.first)
    let gone = test.receive(reply(update, status, contact: nil), Self.seconds(300))
    #expect(gone.methods == ["BYE"])
    let bye = try #require(gone.sent.first)
    #expect(test.receive(reply(bye, 481), Self.seconds(301)).names == ["ended dialog_lost 0"])
  }

  @Test mutating func aSmallerIntervalThanTheyTakeIsAskedForAgain() throws {
    let (call, invite) = try place()
    let again = receive(reply(invite, 422, contact: nil, extra: "Min-SE: 3600\n"), ms(10))
    #expect(again.methods == ["ACK", "INVITE"])
    #expect(again.events.isEmpty)
    let second = try #require(again.sent.last)
    #expect(second[.sessionExpires] == "3600")
    #expect(second[.minSE] == "3600")
    #expect(second.callID == invite.callID)
    #expect(second.from.tag == invite.from.tag)
    #expect(second.cseq.number == invite.cseq.number + 1)
    #expect(second.body == invite.body)
    #expect(second.topVia?.branch != invite.topVia?.branch)
    let answer = reply(second, 200, extra: "Session-Expires: 3600;refresher=uac\nAllow: UPDATE\n")
    #expect(receive(answer, ms(20)).names == ["answered"])
    // In the call what is asked for is not below it either.
    #expect(local.reinvite(call, body: .sdp("new"), at: ms(30)).sent.first?[.minSE] == "3600")
  }

  @Test(arguments: ["", "Min-SE: 60\n", "Min-SE: x\n"])
  func a422WithoutAGreaterMinimumEndsTheCall(_ extra: String) throws {
    var test = SessionTimerTests()
    let (_, invite) = try test.place()
    #expect(test.receive(reply(invite, 422, contact: nil, extra: extra), ms(10)).names == ["ended refused 422"])
  }

  @Test mutating func a422WithoutEndIsGivenUp() throws {
    var (_, invite) = try place()
    var asked = 0
    var end: [String] = []
    for round in 1...20 as ClosedRange<Int64> {
      let again = receive(reply(invite, 422, contact: nil, extra: "Min-SE: \(2_000 + round)\n"), ms(round))
      end += again.names
      guard let next = again.sent.first(where: { $0.method == .invite }) else { break }
      invite = next
      asked += 1
    }
    #expect((1...10).contains(asked))
    #expect(end == ["ended refused 422"])
  }

  @Test mutating func aReinviteRaisesTheIntervalToo() throws {
    let (call, _) = try placed("Session-Expires: 600;refresher=uac\n")
    let change = try #require(local.reinvite(call, body: .sdp("new"), at: ms(50)).sent.first)
    let again = receive(reply(change, 422, contact: nil, extra: "Min-SE: 1000\n"), ms(60))
    #expect(again.methods == ["ACK", "INVITE"])
    #expect(again.sent.last?[.sessionExpires] == "1000;refresher=uac")
    #expect(again.events.isEmpty)
  }

  // MARK: Their calls

  private mutating func answered(_ extra: String) throws -> (SIPCallHandle, SIPMessage) {
    let script = Script(extra: extra, body: "offer")
    let (call, _) = try #require(local.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).incoming)
    let answer = try #require(local.answer(call, body: .sdp("answer"), at: .zero).sent.first)
    let ack = script.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-a"; $0.body = ""
    }
    _ = local.receive(datagram: ack.request("ACK"), from: alicePeer, at: .zero)
    return (call, answer)
  }

  @Test(arguments: [
    // what the INVITE says, what our 200 says, whether it requires the extension
    ("Supported: timer\nSession-Expires: 600\n", "600;refresher=uac", true),
    ("Supported: timer\nSession-Expires: 600;refresher=uas\n", "600;refresher=uas", false),
    ("Supported: timer\nx: 3600;refresher=uac\n", "1800;refresher=uac", true),
    ("Supported: timer\nSession-Expires: 3600\nMin-SE: 2700\n", "2700;refresher=uac", true),
    ("Supported: timer\n", "1800;refresher=uac", true), ("Session-Expires: 600\n", "600;refresher=uas", false),
    ("Session-Expires: 20\n", "90;refresher=uas", false), ("Require: timer\n", "1800;refresher=uac", true),
    ("", nil, false), ("Session-Expires: soon\n", nil, false),
  ])
  func theAnswerSaysWhoRefreshes(_ extra: String, _ expires: String?, _ required: Bool) throws {
    var test = SessionTimerTests()
    let (_, answer) = try test.answered(extra)
    #expect(answer[.sessionExpires] == expires)
    #expect(answer.values(.require) == (required ? ["timer"] : []))
    #expect(answer[.minSE] == nil)
  }

  @Test func tooSmallAnIntervalIsRefused() throws {
    var bob = makeEndpoint { $0.minSE = 120 }
    let small = Script(extra: "Supported: timer\nSession-Expires: 100\n", body: "offer")
    let refused = bob.receive(datagram: small.request("INVITE"), from: alicePeer, at: .zero)
    #expect(refused.statuses == [422])
    #expect(refused.sent.first?[.minSE] == "120")
    #expect(refused.events.isEmpty)
  }

  @Test mutating func ourTurnAsTheCalledSide() throws {
    _ = try answered("Supported: timer\nAllow: INVITE\nSession-Expires: 200;refresher=uas\n")
    let invite = try #require(run(until: Self.seconds(100)).sent.first { $0.method == .invite })
    #expect(invite.body == .sdp("answer"))
    #expect(invite[.sessionExpires] == "200;refresher=uac")
  }

  @Test mutating func aSuccessorKnowsTheTerms() throws {
    local = makeEndpoint("192.0.2.10") { $0.tellsDialogs = true }
    let (call, _) = try placed("Session-Expires: 600;refresher=uac\nAllow: INVITE, UPDATE\n")
    let state = try #require(local.dialog(of: call))
    var successor = makeEndpoint("192.0.2.30")
    let restored = try SIPDialogState(try JSON.decode(JSON.encode(state.value)))
    #expect(restored == state)
    #expect(restored.sessionTimer == state.sessionTimer && state.sessionTimer != nil)
    let found = successor.adopt(restored)
    let adopted = try #require(found)
    let invite = try #require(successor.reinvite(adopted, body: .sdp("here"), at: ms(100)).sent.first)
    #expect(invite[.sessionExpires] == "600;refresher=uac")
    // Where its re-INVITE is refused, the session still ends when nobody refreshes it.
    _ = successor.receive(datagram: reply(invite, 488, contact: nil), from: bobPeer, at: ms(110))
    let deadline = try #require(successor.deadline)
    #expect(deadline <= Self.seconds(301))
    // States of before there were timers are still read.
    guard case .map(var old) = state.value else { return }
    old["timer"] = nil
    old["update"] = nil
    #expect(try SIPDialogState(.map(old)).sessionTimer == nil)
    for damaged in [7, ["seconds": 0, "ours": true, "min": 90], ["seconds": 90, "min": 90]] as [Value] {
      var map = old
      map["timer"] = damaged
      #expect(throws: ValueFields.Fault.self) { try SIPDialogState(.map(map)) }
    }
  }
}
