import Base
import Testing

import SIP

/// Seeded mutations of what identity rests on: nothing crashes, nobody gets in, and nothing grows without limit.
@Suite struct IdentityFuzzTests {
  private func mutate(_ text: String, _ random: inout SeededRandom) -> [UInt8] {
    var out = Array(text.utf8)
    let interesting = Array("\t ,;:<>\"\\@=?[]%/.0913zé*-".utf8)
    for _ in 0...(random.next() % 4) {
      guard !out.isEmpty else { break }
      let at = Int(random.next() % UInt64(out.count))
      switch random.next() % 6 {
      case 0: out[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: out[at] = interesting[Int(random.next() % UInt64(interesting.count))]
      case 2: out.insert(interesting[Int(random.next() % UInt64(interesting.count))], at: at)
      case 3: out.removeSubrange(at..<min(out.count, at + 1 + Int(random.next() % 12)))
      case 4:
        let end = min(out.count, at + 1 + Int(random.next() % 40))
        out.insert(contentsOf: out[at..<end], at: Int(random.next() % UInt64(out.count)))
      default: out.insert(contentsOf: repeatElement(out[at], count: Int(random.next() % 100)), at: at)
      }
    }
    return out
  }

  private func request(_ method: String, _ number: Int, _ lines: [UInt8]) -> [UInt8] {
    let whole = Script(callID: "f\(number)", branch: "z9hG4bKf\(number)", sequence: number, extra: "@@\n").request(
      method)
    guard let mark = text(whole).firstRange(of: "@@\r\n") else { return whole }
    let string = text(whole)
    return Array(string[..<mark.lowerBound].utf8) + lines + [0x0D, 0x0A] + Array(string[mark.upperBound...].utf8)
  }

  @Test func nobodyGetsInWithoutAPassword() throws {
    var random = SeededRandom(seed: 20_261_001)
    var bob = makeEndpoint {
      $0.access = { _, _ in .challenge(realm: "r") }
      $0.authenticator = makeAuthenticator { $0.failuresPerSource = .max }
      $0.servedMethods = [.register]
    }
    for round in 1...1_500 {
      let answer = try #require(
        bob.receive(datagram: request("REGISTER", round, []), from: alicePeer, at: .zero).sent.first)
      let challenge = try #require(SIPDigestChallenge.list(answer[.wwwAuthenticate] ?? "").first)
      let wrong = SIPDigestCredentials(
        answering: challenge, user: "alice\(round)", key: .password(round % 2 == 0 ? "secret" : ""), count: 1,
        clientNonce: "c", method: .register, uri: "sip:bob@192.0.2.20", body: [], hash: plainHash)
      let line = mutate("Authorization: \(wrong.headerValue)", &random)
      let actions = bob.receive(datagram: request("REGISTER", round, line), from: alicePeer, at: .zero)
      for case .request(_, let served) in actions.events { Issue.record("round \(round): \(served.user ?? "-") is in") }
    }
    #expect(bob.transactionCount == 0)
  }

  @Test func mutatedChallengesNeverLoop() throws {
    var random = SeededRandom(seed: 20_261_002)
    let target = try #require(SIPURI("sip:192.0.2.20"))
    var request = SIPRequest(method: .options, target: target, from: SIPNameAddress(uri: target), peer: bobPeer)
    request.credentials = [SIPCredentials(user: "alice", password: "secret")]
    var retries = 0
    for round in 0..<800 {
      var alice = makeEndpoint("192.0.2.10", seed: UInt64(round)) { $0.digest = plainHash }
      var next = alice.request(request, at: .zero).1.sent.first
      var sent = 0
      while let message = next, sent < 50 {
        sent += 1
        let challenge =
          "Digest realm=\"r\(random.next() % 3)\", nonce=\"\(sent)\", qop=\"auth,auth-int\", algorithm=SHA-256, stale=true"
        let lines = mutate("WWW-Authenticate: \(challenge)\r\nProxy-Authenticate: \(challenge)", &random)
        let answer = text(reply(message, random.next() % 2 == 0 ? 401 : 407, extra: "@@\n"))
        guard let mark = answer.firstRange(of: "@@\r\n") else { return }
        let bytes =
          Array(answer[..<mark.lowerBound].utf8) + lines + [0x0D, 0x0A] + Array(answer[mark.upperBound...].utf8)
        next = alice.receive(datagram: bytes, from: bobPeer, at: ms(Int64(sent))).sent.first
        if next != nil { retries += 1 }
      }
      #expect(sent <= 5, "round \(round)")
    }
    #expect(retries > 800, "the challenges are mostly good enough to be answered")
  }

  @Test func mutatedContactsStayWithinLimits() {
    var random = SeededRandom(seed: 20_261_003)
    var options = SIPRegistrar.Options()
    options.contactsPerAddress = 5
    var registrar = SIPRegistrar(options: options, random: SeededRandom(seed: 1))
    var good = 0
    for round in 1...5_000 {
      let line = """
        Contact: "A" <sip:a\(random.next() % 9)@192.0.2.1:5060;transport=udp>;q=0.7;expires=\(60 + random.next() % 99);\
        +sip.instance="<urn:uuid:\(random.next() % 4)>";reg-id=\(1 + random.next() % 3)\r\nSupported: outbound, gruu, path\r\n\
        Path: <sip:edge;lr;ob>\r\nExpires: 60
        """
      let now = ms(Int64(round) * 50)
      guard let message = try? SIPMessage.parse(request("REGISTER", round, mutate(line, &random))) else { continue }
      if registrar.register(message, user: nil, from: alicePeer, at: now).status == 200 { good += 1 }
      for target in registrar.bindings(of: "bob@192.0.2.20") {
        _ = registrar.targets(for: target.contact, at: now)
      }
      if round % 100 == 0 { _ = registrar.timeout(at: now) }
      #expect(registrar.bindings(of: "bob@192.0.2.20").count <= 5)
      #expect(registrar.temporaries.count <= 5 * SIPRegistrar.temporaryLimit)
    }
    #expect(good > 1_000)
    while let deadline = registrar.deadline { _ = registrar.timeout(at: deadline) }
    #expect(registrar.count == 0 && registrar.temporaries.isEmpty && registrar.connections.isEmpty)
  }

  @Test func mutatedGrantsOfARegistrar() throws {
    var random = SeededRandom(seed: 20_261_004)
    let address = SIPNameAddress(uri: try #require(SIPURI("sip:a@e.org")))
    let options = SIPRegistration.Options(
      registrar: try #require(SIPURI("sip:e.org")), address: address,
      contact: try #require(SIPURI("sip:a@192.0.2.10")), peer: bobPeer)
    var registration = SIPRegistration(options, random: SeededRandom(seed: 1))
    var now = Instant.zero
    _ = registration.start(at: now)
    for round in 1...3_000 {
      let line = """
        Contact: <sip:a@192.0.2.10>;expires=\(random.next() % 4_000);pub-gruu="sip:a@e.org;gr=1"\r\nExpires: 99999999\r\n\
        Service-Route: <sip:x;lr>,<sip:y>\r\nFlow-Timer: 99999999\r\nRetry-After: 99999999\r\nMin-Expires: 70
        """
      let status = [200, 200, 423, 503, 439][Int(random.next() % 5)]
      let head =
        "SIP/2.0 \(status) X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
      let bytes =
        Array(head.utf8) + Array("Call-ID: c\r\nCSeq: \(round) REGISTER\r\n".utf8) + mutate(line, &random)
        + Array("\r\nContent-Length: 0\r\n\r\n".utf8)
      let message = try? SIPMessage.parse(bytes)
      _ = registration.receive(SIPResponseOutcome(status: status, reason: "X", message: message), at: now)
      guard let deadline = registration.deadline else { continue }
      #expect(deadline >= now && deadline <= now + .seconds(604_800), "round \(round)")
      now = deadline
      _ = registration.timeout(at: now)
    }
  }
}
