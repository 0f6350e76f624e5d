import Base
import SIP
import Testing

/// One endpoint under test and a scripted peer, in an answered call of either side.
struct CallFixture {
  var endpoint: SIPEndpoint
  let call: SIPCallHandle
  /// The peer's next request within the call; count it on with ``next(_:_:)``.
  var script: Script
  let invite: SIPMessage

  /// The peer called us.
  static func incoming(
    _ endpoint: SIPEndpoint = makeEndpoint(), extra: String = "", callID: String = "call-1@alice",
    fromTag: String = "alice-tag"
  ) throws -> CallFixture {
    var endpoint = endpoint
    let script = Script(
      callID: callID, fromTag: fromTag, branch: "z9hG4bK-\(callID)", extra: extra, body: "offer")
    let offered = endpoint.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero)
    let (call, incoming) = try #require(offered.incoming)
    let answer = try #require(endpoint.answer(call, body: .sdp("answer"), at: .zero).sent.first)
    let within = script.with {
      $0.toTag = answer.to.tag; $0.branch = "z9hG4bK-ack-\(callID)"; $0.body = ""; $0.extra = ""
    }
    _ = endpoint.receive(datagram: within.request("ACK"), from: alicePeer, at: .zero)
    return CallFixture(endpoint: endpoint, call: call, script: within, invite: incoming.request)
  }

  /// We called the peer.
  static func outgoing(_ endpoint: SIPEndpoint = makeEndpoint("192.0.2.10"), extra: String = "") throws -> CallFixture {
    var endpoint = endpoint
    let target = try #require(SIPURI("sip:bob@192.0.2.20"))
    let (call, actions) = endpoint.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: alicePeer, body: .sdp("offer")), at: .zero)
    let invite = try #require(actions.sent.first)
    _ = endpoint.receive(datagram: reply(invite, 200, extra: extra, body: "answer"), from: alicePeer, at: .zero)
    let within = Script(
      callID: invite.callID, fromTag: "bob-tag", toTag: invite.from.tag, branch: "z9hG4bK-x", sequence: 0,
      uri: "sip:parley@192.0.2.10:5060")
    return CallFixture(endpoint: endpoint, call: call, script: within, invite: invite)
  }

  mutating func receive(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    endpoint.receive(datagram: bytes, from: alicePeer, at: ms(at))
  }

  /// The peer's next request, with the next CSeq and a branch of its own.
  mutating func next(_ method: String, _ change: (inout Script) -> Void = { _ in }) -> [UInt8] {
    script.sequence += 1
    script.branch = "z9hG4bK-n\(script.sequence)-\(script.callID)"
    return script.with(change).request(method)
  }

  /// Runs the timers up to a moment and gathers what they did.
  mutating func run(until end: Int64) -> [SIPAction] {
    var all: [SIPAction] = []
    var steps = 0
    while let deadline = endpoint.deadline, deadline <= ms(end), steps < 10_000 {
      all += endpoint.timeout(at: deadline)
      steps += 1
    }
    return all
  }
}
