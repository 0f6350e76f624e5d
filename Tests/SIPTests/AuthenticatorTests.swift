import Base
import Testing

import SIP

/// A keyed hash that is good enough to tell signed nonces from others.
let testMAC: @Sendable ([UInt8]) -> [UInt8] = { SHA256.digest(Array("key".utf8) + $0) }

func makeAuthenticator(_ change: (inout SIPAuthenticator.Options) -> Void = { _ in }) -> SIPAuthenticator {
  var options = SIPAuthenticator.Options()
  change(&options)
  return SIPAuthenticator(options: options, hash: plainHash, mac: testMAC) { user, realm, algorithm in
    switch user {
    case "alice": .password("secret")
    case "carol": .ha1(SIPDigestKey.password("hidden").ha1("carol", realm, algorithm, plainHash))
    default: nil
    }
  }
}

/// Who may come in: the endpoint with a policy, and a scripted phone that knows digest.
@Suite struct AuthenticatorTests {
  private var bob = makeEndpoint { AuthenticatorTests.configure(&$0) }
  private var sequence = 0

  private static func configure(
    _ configuration: inout SIPConfiguration, _ change: (inout SIPAuthenticator.Options) -> Void = { _ in }
  ) {
    configuration.access = { request, peer in
      switch peer.host {
      case "198.51.100.1": .trusted
      case "198.51.100.2": .refuse
      case "198.51.100.3": .drop
      default: .challenge(realm: "example.org")
      }
    }
    configuration.servedMethods = [.register]
    configuration.authenticator = makeAuthenticator(change)
  }

  private func digest(
    _ response: SIPMessage, _ method: String, user: String = "alice", password: String = "secret", count: UInt32 = 1,
    uri: String = "sip:bob@192.0.2.20", challenge index: Int = 0
  ) throws -> String {
    let challenge = try #require(SIPDigestChallenge.list(response.lines(.wwwAuthenticate)[index]).first)
    return credentials(challenge, method, user: user, password: password, count: count, uri: uri)
  }

  private func credentials(
    _ challenge: SIPDigestChallenge, _ method: String, user: String = "alice", password: String = "secret",
    count: UInt32 = 1, uri: String = "sip:bob@192.0.2.20"
  ) -> String {
    let answer = SIPDigestCredentials(
      answering: challenge, user: user, key: .password(password), count: count, clientNonce: "cn",
      method: SIPMethod(method), uri: uri, body: [], hash: plainHash)
    return "Authorization: \(answer.headerValue)\n"
  }

  private mutating func send(
    _ method: String, _ extra: String = "", from peer: SIPPeer = alicePeer, at: Int64 = 0, uri: String? = nil
  ) -> [SIPAction] {
    sequence += 1
    let script = Script(
      callID: "c\(sequence)", branch: "z9hG4bK-\(sequence)", sequence: sequence, uri: uri ?? "sip:bob@192.0.2.20",
      extra: extra)
    return bob.receive(datagram: script.request(method), from: peer, at: ms(at))
  }

  private mutating func challenged(_ method: String = "INVITE", at: Int64 = 0) throws -> SIPMessage {
    try #require(send(method, at: at).sent.first)
  }

  @Test mutating func aCallShowsItsPassword() throws {
    let refused = send("INVITE")
    #expect(refused.statuses == [401])
    #expect(refused.events.isEmpty)
    #expect(bob.isIdle, "a challenge must not keep anything")
    let response = try #require(refused.sent.first)
    let challenges = response.lines(.wwwAuthenticate).flatMap { SIPDigestChallenge.list($0) }
    #expect(challenges.map(\.algorithm) == [.sha256, .md5])
    #expect(challenges.allSatisfy { $0.protections == [.auth] && !$0.isStale })
    #expect(response.to.tag != nil)
    // The ACK of the challenge meets nobody and is not challenged.
    #expect(send("ACK").isEmpty)
    let accepted = send("INVITE", try digest(response, "INVITE"))
    #expect(accepted.statuses == [100])
    #expect(accepted.incoming?.1.user == "alice")
    #expect(bob.counters.authenticated == 1)
  }

  @Test(arguments: [0, 1], ["alice", "carol"])
  mutating func bothAlgorithmsAndKindsOfKeys(_ index: Int, _ user: String) throws {
    let response = try challenged()
    let password = user == "alice" ? "secret" : "hidden"
    let line = try digest(response, "INVITE", user: user, password: password, challenge: index)
    #expect(send("INVITE", line).incoming?.1.user == user)
  }

  @Test(arguments: ["OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE", "REFER", "NOTIFY", "PUBLISH", "INFO", "BYE", "FOO"])
  mutating func everyMethodOutsideOfADialogIsAsked(_ method: String) throws {
    let response = try challenged(method)
    #expect(response.status == 401)
    let after = send(method, try digest(response, method))
    #expect(after.statuses != [401])
  }

  @Test mutating func withinADialogNobodyIsAsked() throws {
    let invite = send("INVITE", try digest(try challenged(), "INVITE"))
    let (call, _) = try #require(invite.incoming)
    let number = sequence
    let answer = try #require(bob.answer(call, body: .sdp("x"), at: ms(1)).sent.first)
    let within = Script(callID: "c\(number)", toTag: answer.to.tag, branch: "z9hG4bK-w", sequence: number)
    #expect(bob.receive(datagram: within.request("ACK"), from: alicePeer, at: ms(2)).names == ["acknowledged"])
    let bye = within.with {
      $0.sequence += 1; $0.branch = "z9hG4bK-x"
    }.request("BYE")
    #expect(bob.receive(datagram: bye, from: alicePeer, at: ms(3)).statuses == [200])
  }

  @Test mutating func aCopyOverAnotherPathIsMergedAndNoReplay() throws {
    let invite = send("INVITE", try digest(try challenged(), "INVITE"))
    #expect(invite.statuses == [100])
    let line = try #require(invite.incoming?.1.request.first("Authorization"))
    let copy = Script(
      callID: "c\(sequence)", branch: "z9hG4bK-copy", sequence: sequence, extra: "Authorization: \(line)\n")
    #expect(bob.receive(datagram: copy.request("INVITE"), from: alicePeer, at: ms(5)).statuses == [482])
  }

  @Test mutating func aCancelIsNotAsked() throws {
    _ = send("INVITE", try digest(try challenged(), "INVITE"))
    let cancel = Script(callID: "c\(sequence)", branch: "z9hG4bK-\(sequence)", sequence: sequence).request("CANCEL")
    #expect(bob.receive(datagram: cancel, from: alicePeer, at: ms(5)).statuses == [200, 487])
  }

  @Test mutating func thePolicyIsFollowed() {
    func peer(_ last: Int) -> SIPPeer { SIPPeer(.udp, host: "198.51.100.\(last)", port: 5_060) }
    #expect(send("OPTIONS", from: peer(1)).statuses == [200])
    #expect(send("OPTIONS", from: peer(2)).statuses == [403])
    #expect(send("OPTIONS", from: peer(3)).isEmpty)
    #expect(send("CANCEL", from: peer(3)).isEmpty)
    #expect(bob.receive(datagram: Script(toTag: "x").request("BYE"), from: peer(3), at: .zero).isEmpty)
    let broken = text(Script().request("OPTIONS")).replacing("Max-Forwards: 70", with: "Max-Forwards: many")
    #expect(bob.receive(datagram: Array(broken.utf8), from: peer(3), at: .zero).isEmpty)
    #expect(bob.receive(datagram: Array(broken.utf8), from: peer(1), at: .zero).statuses == [400])
    #expect(bob.counters.unwanted == 4)
    #expect(bob.receive(datagram: Script(toTag: "x").request("BYE"), from: alicePeer, at: .zero).statuses == [481])
  }

  @Test mutating func aRequestThatIsRepeatedIsRefusedAsReplay() throws {
    let response = try challenged("OPTIONS")
    let line = try digest(response, "OPTIONS")
    #expect(send("OPTIONS", line).statuses == [200])
    let replay = send("OPTIONS", line)
    #expect(replay.statuses == [401])
    #expect(replay.sent.first?[.wwwAuthenticate]?.contains("stale=true") == true)
    #expect(replay.events.isEmpty, "a replay is no wrong password")
    #expect(send("OPTIONS", try digest(response, "OPTIONS", count: 3)).statuses == [200])
    #expect(send("OPTIONS", try digest(response, "OPTIONS", count: 2)).statuses == [200], "overtaken is not replayed")
    #expect(send("OPTIONS", try digest(response, "OPTIONS", count: 2)).statuses == [401])
    #expect(send("OPTIONS", try digest(response, "OPTIONS", count: 200)).statuses == [200])
    #expect(send("OPTIONS", try digest(response, "OPTIONS", count: 100)).statuses == [401], "too old to tell")
  }

  @Test mutating func noncesExpireAndBelongToOneAddress() throws {
    let response = try challenged("OPTIONS")
    let late = send("OPTIONS", try digest(response, "OPTIONS"), at: 301_000)
    #expect(late.sent.first?[.wwwAuthenticate]?.contains("stale=true") == true)
    let fresh = try digest(try challenged("OPTIONS"), "OPTIONS")
    let stolen = send("OPTIONS", fresh, from: SIPPeer(.udp, host: "203.0.113.66", port: 5_060))
    #expect(stolen.statuses == [401])
    #expect(stolen.sent.first?[.wwwAuthenticate]?.contains("stale=true") == true)
    let forged = SIPDigestChallenge(
      realm: "example.org", nonce: "0.1.\(String(repeating: "0", count: 32))", algorithm: .md5)
    #expect(send("OPTIONS", credentials(forged, "OPTIONS", password: "wrong")).events.isEmpty)
    #expect(bob.counters.wrongPasswords == 0)
  }

  @Test mutating func olderCredentialsServeOnce() throws {
    let response = try challenged("OPTIONS")
    var challenge = try #require(SIPDigestChallenge.list(response.lines(.wwwAuthenticate)[1]).first)
    challenge.protections = []
    #expect(send("OPTIONS", credentials(challenge, "OPTIONS")).statuses == [200])
    #expect(send("OPTIONS", credentials(challenge, "OPTIONS")).statuses == [401])
  }

  @Test mutating func credentialsForAnotherNumberAreRefused() throws {
    let line = try digest(try challenged(), "INVITE", uri: "sip:0900@192.0.2.20")
    #expect(send("INVITE", line).statuses == [400])
    // A proxy may have written another host.
    let moved = try digest(try challenged(), "INVITE", uri: "sip:bob@proxy.example.org")
    #expect(send("INVITE", moved).statuses == [100])
    // Another method's credentials are a wrong password.
    #expect(send("INVITE", try digest(try challenged(), "OPTIONS")).names == ["wrong password of alice"])
  }

  @Test mutating func wrongPasswordsAreCountedAndLockOut() throws {
    for i in 1...5 {
      let tried = send("INVITE", try digest(try challenged(), "INVITE", password: "guess"))
      #expect(tried.statuses == [401])
      #expect(tried.names == ["wrong password of alice\(i == 5 ? ", blocked" : "")"])
    }
    let right = try digest(try challenged(), "INVITE")
    #expect(send("INVITE", right).statuses == [403], "locked out, whatever the password")
    // Another user of the same office is not.
    #expect(
      send("INVITE", try digest(try challenged(), "INVITE", user: "carol", password: "hidden")).statuses == [100])
    #expect(send("INVITE", try digest(try challenged(at: 59_000), "INVITE"), at: 59_000).statuses == [403])
    #expect(send("INVITE", try digest(try challenged(at: 61_000), "INVITE"), at: 61_000).statuses == [100])
    // The next time takes longer.
    for _ in 1...5 {
      _ = send("INVITE", try digest(try challenged(at: 62_000), "INVITE", password: "guess"), at: 62_000)
    }
    #expect(send("INVITE", try digest(try challenged(at: 170_000), "INVITE"), at: 170_000).statuses == [403])
    #expect(send("INVITE", try digest(try challenged(at: 183_000), "INVITE"), at: 183_000).statuses == [100])
  }

  @Test mutating func anUnknownUserHasNoPassword() throws {
    for password in ["", "secret"] {
      let tried = send("OPTIONS", try digest(try challenged("OPTIONS"), "OPTIONS", user: "mallory", password: password))
      #expect(tried.statuses == [401])
      #expect(tried.names == ["wrong password of mallory"])
    }
  }

  @Test mutating func whomWeCallMayAnswerAndHangUp() throws {
    let peer = SIPPeer(.udp, host: "198.51.100.3", port: 5_060)
    let target = try #require(SIPURI("sip:x@198.51.100.3"))
    let placed = bob.invite(
      SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: peer, body: .sdp("offer")), at: .zero)
    let invite = try #require(placed.1.sent.first)
    _ = bob.receive(datagram: reply(invite, 200, body: "answer"), from: peer, at: ms(10))
    let bye = Script(callID: invite.callID, fromTag: "bob-tag", toTag: invite.from.tag, branch: "z9hG4bK-y")
    let ended = bob.receive(datagram: bye.request("BYE"), from: peer, at: ms(20))
    #expect(ended.statuses == [200])
    #expect(ended.names == ["ended remote_hangup 0"])
  }

  @Test mutating func unknownUsersCountForTheirSource() throws {
    for i in 0..<50 {
      let tried = send("REGISTER", try digest(try challenged("REGISTER"), "REGISTER", user: "u\(i)", password: "x"))
      #expect(tried.statuses == [401])
    }
    let any = send("REGISTER")
    #expect(any.statuses == [403])
    #expect(any.sent.first?[.wwwAuthenticate] == nil)
    let other = SIPPeer(.udp, host: "203.0.113.5", port: 5_060)
    #expect(send("REGISTER", from: other).statuses == [401])
  }

  @Test func whatIsRememberedIsBounded() throws {
    var authenticator = makeAuthenticator {
      $0.nonceLimit = 4
      $0.failureLimit = 4
    }
    func request(_ header: String) throws -> SIPMessage {
      try SIPMessage.parse(Script(extra: header).request("OPTIONS"))
    }
    func answer(_ header: SIPHeaderField, password: String = "secret") throws -> SIPMessage {
      let challenge = try #require(SIPDigestChallenge.list(header.value).first)
      return try request(credentials(challenge, "OPTIONS", password: password))
    }
    let first = try #require(authenticator.challenges(realm: "r", for: alicePeer, at: .zero).first)
    for _ in 0..<6 {
      let next = try #require(authenticator.challenges(realm: "r", for: alicePeer, at: .zero).first)
      #expect(authenticator.check(try answer(next), realm: "r", from: alicePeer, at: .zero) == .accepted(user: "alice"))
      // Whatever was forgotten is not taken twice.
      #expect(authenticator.check(try answer(next), realm: "r", from: alicePeer, at: .zero) == .stale)
    }
    #expect(authenticator.check(try answer(first), realm: "r", from: alicePeer, at: .zero) == .stale)
  }

  @Test mutating func theOwnerServesWhatItAskedFor() throws {
    let line = try digest(try challenged("REGISTER"), "REGISTER")
    let served = send("REGISTER", line + "Require: outbound\n")
    #expect(served.names == ["request REGISTER alice"])
    #expect(served.sent.isEmpty)
    guard case .request(let handle, _) = served.events.first else { return }
    let extra = [SIPHeaderField("Contact", "<sip:a@h>;expires=60")]
    let done = bob.respond(to: handle, status: 200, headers: extra, at: ms(1))
    #expect(done.statuses == [200])
    #expect(done.sent.first?[.contact] == "<sip:a@h>;expires=60")
    #expect(bob.respond(to: handle, status: 200, at: ms(2)).isEmpty)
    // An owner that forgets is answered for.
    _ = send("REGISTER", try digest(try challenged("REGISTER"), "REGISTER"))
    #expect(bob.timeout(at: ms(16_000)).statuses == [500])
    while let deadline = bob.deadline { _ = bob.timeout(at: deadline) }
    #expect(bob.isIdle)
    let peer = SIPPeer(.udp, host: "198.51.100.1", port: 5_060)
    #expect(send("OPTIONS", from: peer).sent.first?[.allow]?.hasSuffix("REGISTER") == true)
  }

  @Test mutating func withoutAnAuthenticatorNobodyGetsIn() {
    var bob = makeEndpoint { $0.access = { _, _ in .challenge(realm: "r") } }
    #expect(bob.receive(datagram: Script().request("INVITE"), from: alicePeer, at: .zero).statuses == [403])
  }

  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8:0:0::/64"), ("2001:DB8:0:0:5::9", "2001:db8:0:0::/64"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("::ffff:c000:201", "192.0.2.1"), ("1:2", "1:2"), ("::", "0:0:0:0::/64"),
    ("1::2::3", "1::2::3"), ("1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:9"), ("1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:"),
    ("1.2.3.256", "1.2.3.256"), ("Host", "host"), ("1:2:3:4:5:6:7:8", "1:2:3:4::/64"), ("fe80::", "fe80:0:0:0::/64"),
    ("1:2:3:4:5:6:7::8", "1:2:3:4:5:6:7::8"), (":1:2:3:4:5:6:7", ":1:2:3:4:5:6:7"),
  ])
  func sourcesAreSubscribers(_ host: String, _ source: String) { #expect(SIPIPAddress.source(host) == source) }
}
