import Base
import Testing

import SIP

/// The endpoint as a client with credentials, against a scripted server that checks them.
@Suite struct ChallengedRequestTests {
  private var alice = makeEndpoint("192.0.2.10") { $0.digest = plainHash }
  private let credentials = [SIPCredentials(user: "alice", password: "secret")]

  private func call(_ credentials: [SIPCredentials]) throws -> SIPInvite {
    SIPInvite(
      target: try #require(SIPURI("sip:bob@192.0.2.20")),
      from: SIPNameAddress(uri: try #require(SIPURI("sip:alice@192.0.2.10"))), peer: bobPeer, body: .sdp("offer"),
      headers: [SIPHeaderField("X-Trace", "1")], credentials: credentials)
  }

  private func challenge(
    _ nonce: String, realm: String = "r", stale: Bool = false, proxy: Bool = false, algorithm: String = "SHA-256"
  ) -> String {
    "\(proxy ? "Proxy" : "WWW")-Authenticate: Digest realm=\"\(realm)\", nonce=\"\(nonce)\", qop=\"auth\", "
      + "algorithm=\(algorithm)\(stale ? ", stale=true" : "")\n"
  }

  /// The credentials of a request, where they are right for this password.
  private func verified(
    _ request: SIPMessage, _ header: SIPHeaderName = .authorization, password: String = "secret"
  ) -> SIPDigestCredentials? {
    guard let line = request[header], let given = SIPDigestCredentials.list(line).first,
      given.uri == request.requestURIText
    else { return nil }
    let ha1 = SIPDigestKey.password(password).ha1(given.user, given.realm, given.algorithm, plainHash)
    let digest = given.digest(ha1: ha1, method: request.method, body: request.bodyBytes, hash: plainHash)
    return digest == given.response ? given : nil
  }

  private func first(_ actions: [SIPAction]) throws -> SIPMessage { try #require(actions.sent.first) }

  private mutating func receive(_ bytes: [UInt8], _ at: Int64) -> [SIPAction] {
    alice.receive(datagram: bytes, from: bobPeer, at: ms(at))
  }

  @Test mutating func aChallengedCallIsPlacedAgainByItself() throws {
    let (handle, actions) = alice.invite(try call(credentials), at: .zero)
    let first = try #require(actions.sent.first)
    #expect(first[.authorization] == nil)
    let again = receive(reply(first, 401, extra: challenge("n1")), 10)
    #expect(again.methods == ["ACK", "INVITE"])
    #expect(again.events.isEmpty)
    let second = try #require(again.sent.last)
    #expect(second.callID == first.callID)
    #expect(second.from.tag == first.from.tag)
    #expect(second.to.tag == nil)
    #expect(second.cseq.number == 2)
    #expect(second.topVia?.branch != first.topVia?.branch)
    #expect(second.values(.via).count == 1)
    #expect(second.body == .sdp("offer"))
    #expect(second.first("X-Trace") == "1")
    let given = try #require(verified(second))
    #expect(given.nonce == "n1" && given.count == 1 && given.user == "alice")
    // The refusal comes again: its ACK goes out again, and nothing else.
    #expect(receive(reply(first, 401, extra: challenge("n1")), 500).methods == ["ACK"])
    let answered = receive(reply(second, 200, body: "answer"), 600)
    #expect(answered.names == ["answered"])
    let ack = try #require(answered.sent.first)
    #expect(ack.cseq.number == 2)
    #expect(ack[.authorization] == second[.authorization], "13.2.2.4: the ACK carries the INVITE's credentials")
    // Requests in the call carry the nonce with a rising count, unasked.
    let change = try #require(alice.reinvite(handle, body: .sdp("hold"), at: ms(700)).sent.first)
    #expect(change.cseq.number == 3)
    #expect(verified(change)?.count == 2)
    let held = receive(reply(change, 200, body: "held"), 710)
    #expect(held.methods == ["ACK"])
    let bye = try #require(alice.hangup(handle, at: ms(800)).sent.first)
    #expect(verified(bye)?.count == 3)
    // A stale nonce is replaced and the BYE sent again.
    let fresh = try #require(receive(reply(bye, 401, extra: challenge("n2", stale: true)), 810).sent.first)
    #expect(fresh.cseq.number == bye.cseq.number + 1)
    #expect(verified(fresh)?.nonce == "n2")
    #expect(verified(fresh)?.count == 1)
    #expect(receive(reply(fresh, 200), 820).names == ["ended local_hangup 200"])
    while let deadline = alice.deadline { #expect(alice.timeout(at: deadline).events.isEmpty) }
    #expect(alice.isIdle)
  }

  @Test mutating func aWrongPasswordIsTriedOnce() throws {
    let (_, actions) = alice.invite(try call(credentials), at: .zero)
    let refusal = reply(try first(actions), 401, extra: challenge("n1"))
    let second = try #require(receive(refusal, 10).sent.last)
    let refused = receive(reply(second, 401, extra: challenge("n2")), 20)
    #expect(refused.methods == ["ACK"])
    #expect(refused.names == ["ended challenged 401"])
    // And it is not offered unasked to the next call.
    let next = alice.invite(try call(credentials), at: ms(30)).1.sent
    #expect(next.first?[.authorization] == nil)
  }

  /// A callee whose Contact we send to must not get digests for a realm of its choice: it could try passwords on them.
  @Test(arguments: [nil, "r"] as [String?])
  mutating func withinACallOnlyKnownRealmsAreAnswered(_ realm: String?) throws {
    let mine = [SIPCredentials(user: "alice", password: "secret", realm: realm)]
    let (handle, actions) = alice.invite(try call(mine), at: .zero)
    let refusal = reply(try first(actions), 401, extra: challenge("n1"))
    let second = try #require(receive(refusal, 10).sent.last)
    _ = receive(reply(second, 200, body: "answer"), 20)
    let bye = try #require(alice.hangup(handle, at: ms(30)).sent.first)
    let end = receive(reply(bye, 401, extra: challenge("x", realm: "evil")), 40)
    #expect(end.sent.isEmpty)
    #expect(end.names == ["ended local_hangup 401"])
  }

  @Test mutating func aServerThatAlwaysSaysStaleIsGivenUp() throws {
    let (_, actions) = alice.invite(try call(credentials), at: .zero)
    var last = try #require(actions.sent.first)
    var tries = 1
    for i in 0..<20 {
      let next = receive(reply(last, 401, extra: challenge("n\(i)", stale: true)), Int64(i) * 10)
      guard let invite = next.sent.last(where: { $0.method == .invite }) else {
        #expect(next.names == ["ended challenged 401"])
        break
      }
      last = invite
      tries += 1
    }
    #expect(tries == 5)
  }

  @Test mutating func proxiesAndServersAreAnsweredTogether() throws {
    let pair = [
      SIPCredentials(user: "proxyuser", password: "p2", realm: "edge"),
      SIPCredentials(user: "alice", password: "secret"),
    ]
    let (_, actions) = alice.invite(try call(pair), at: .zero)
    let first = try #require(actions.sent.first)
    let second = try #require(
      receive(reply(first, 407, extra: challenge("p", realm: "edge", proxy: true)), 10).sent.last)
    #expect(verified(second, .proxyAuthorization, password: "p2")?.user == "proxyuser")
    let third = try #require(receive(reply(second, 401, extra: challenge("s", realm: "home")), 20).sent.last)
    #expect(third.cseq.number == 3)
    #expect(verified(third, .proxyAuthorization, password: "p2")?.count == 2)
    #expect(verified(third)?.user == "alice")
    #expect(receive(reply(third, 180), 30).names == ["progress 180"])
  }

  @Test mutating func withoutCredentialsThingsStayAsTheyWere() throws {
    let (_, actions) = alice.invite(try call([]), at: .zero)
    let end = receive(reply(try first(actions), 401, extra: challenge("n")), 10)
    #expect(end.names == ["ended challenged 401"])
    // Nor with credentials of another realm, or for an algorithm that nobody knows.
    for extra in [challenge("n", realm: "other"), challenge("n", realm: "home", algorithm: "SHA-1024")] {
      let home = [SIPCredentials(user: "a", password: "b", realm: "home")]
      let (_, actions) = alice.invite(try call(home), at: .zero)
      let end = receive(reply(try first(actions), 401, extra: extra), 10)
      #expect(end.names == ["ended challenged 401"])
    }
  }

  @Test mutating func aCallThatIsNotWantedAnyMoreIsNotPlacedAgain() throws {
    let (handle, actions) = alice.invite(try call(credentials), at: .zero)
    _ = alice.cancel(handle, at: ms(5))
    let end = receive(reply(try first(actions), 401, extra: challenge("n")), 10)
    #expect(end.methods == ["ACK"])
    #expect(end.names == ["ended local_cancel 401"])
  }

  @Test mutating func requestsOutsideOfCallsAndOverStreams() throws {
    let tcp = SIPPeer(.tcp, host: "192.0.2.20", port: 5_060, connection: 4)
    let target = try #require(SIPURI("sip:192.0.2.20"))
    var request = SIPRequest(method: .options, target: target, from: SIPNameAddress(uri: target), peer: tcp)
    request.credentials = credentials
    let first = try #require(alice.request(request, at: .zero).1.sent.first)
    let second = try #require(
      alice.receive(stream: reply(first, 401, extra: challenge("n", algorithm: "MD5")), from: tcp, at: ms(5)).sent.first
    )
    #expect(verified(second)?.algorithm == .md5)
    #expect(alice.receive(stream: reply(second, 200), from: tcp, at: ms(9)).names == ["response 200"])
    #expect(alice.isIdle)
    let next = try #require(alice.request(request, at: ms(20)).1.sent.first)
    #expect(verified(next)?.count == 2)
  }

  @Test func boundedTablesForgetTheOldest() {
    var table = SIPBoundedTable<Int, Int>(limit: 3)
    for i in 0..<3 { table[i] = i }
    table[0] = 10
    #expect(table.set(3, for: 3)?.key == 0)
    table[1] = nil
    table[4] = 4
    #expect(table.count == 3)
    #expect(table.set(5, for: 5)?.key == 2)
    for i in 0..<10_000 {
      table[7] = i
      table[7] = nil
    }
    #expect(table[5] == 5 && table.count == 2)
  }
}
