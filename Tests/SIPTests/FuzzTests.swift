import Base
import SIP
import Testing

/// Seeded mutations of good messages: reading never crashes, and what is read is written and read again as the same.
@Suite struct FuzzTests {
  private static let seeds: [[UInt8]] = [
    bytes(MessageTests.torturous), bytes(MessageTests.good),
    Script(toTag: "x", extra: "Record-Route: <sip:p;lr>, <sip:q;lr>\nSupported: a, b\n", body: "v=0\n").request(
      "INVITE"),
    bytes(
      """
      SIP/2.0 183 Session Progress
      v: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;received=10.0.0.1;rport=5061
      f: "A \\"quoted\\" name" <sips:a:b@[::1]:5061;transport=tcp?x=y>;tag=1;p="q;r"
      t: sip:bob@example.com;tag=2
      i: a84b4c76e66710@pc33
      CSeq: 314159 INVITE
      m: <sip:b@[2001:db8::2]>;expires=3600, <tel:+1212;ext=1>
      WWW-Authenticate: Digest realm="x", nonce="y",
       algorithm=MD5
      l: 3

      abc
      """),
  ]

  private func mutate(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var out = bytes
    let interesting = Array("\r\n\0\t ,;:<>\"\\@=?[]%/.0913zé".utf8)
    for _ in 0...(random.next() % 4) {
      guard !out.isEmpty else { break }
      let at = Int(random.next() % UInt64(out.count))
      switch random.next() % 7 {
      case 0: out[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: out[at] = interesting[Int(random.next() % UInt64(interesting.count))]
      case 2: out.insert(interesting[Int(random.next() % UInt64(interesting.count))], at: at)
      case 3: out.removeSubrange(at..<min(out.count, at + 1 + Int(random.next() % 12)))
      case 4:
        let end = min(out.count, at + 1 + Int(random.next() % 40))
        out.insert(contentsOf: out[at..<end], at: Int(random.next() % UInt64(out.count)))
      case 5: out.removeSubrange(at...)
      default: out.insert(contentsOf: repeatElement(out[at], count: Int(random.next() % 300)), at: at)
      }
    }
    return out
  }

  @Test func mutatedMessagesAreReadTheSameTwiceOrRefused() {
    var random = SeededRandom(seed: 20_260_101)
    var good = 0
    for round in 0..<20_000 {
      let input = mutate(Self.seeds[round % Self.seeds.count], &random)
      guard let message = try? SIPMessage.parse(input) else { continue }
      good += 1
      // Touch everything that is read lazily.
      _ = (
        message.contacts, message.requestURI?.decodedUser, message.retryAfterSeconds,
        SIPHeaderFilter().incoming(message)
      )
      let written = message.serialized()
      guard let again = try? SIPMessage.parse(written, framing: .stream) else {
        Issue.record("round \(round): written but not read: \(text(written))")
        return
      }
      let same =
        again.status == message.status && again.reason == message.reason && again.method == message.method
        && again.requestURIText == message.requestURIText && again.callID == message.callID
        && again.cseq == message.cseq && again.from == message.from && again.to == message.to
        && again.topVia == message.topVia && again.body?.bytes == message.body?.bytes
        && again.headers.filter { $0.name != "Content-Length" }
          == message.headers.filter { $0.name != "Content-Length" }
      if !same {
        Issue.record("round \(round): \(text(input)) became \(text(written))")
        return
      }
    }
    // The mutations must not be so wild that nothing is tested.
    #expect(good > 2_000)
  }

  @Test func mutatedMessagesNeverUpsetAnEndpoint() {
    var random = SeededRandom(seed: 7)
    var endpoint = makeEndpoint { $0.limits.calls = 50 }
    var now = Instant.zero
    var handles: [SIPCallHandle] = []
    var referrals: [SIPReferralHandle] = []
    var alive: Set<SIPCallHandle> = []
    // What the endpoint has called itself: now and then a message belongs to a dialog.
    var tags: [String: String] = [:]
    var rseqs: [String: String] = [:]
    func check(_ actions: [SIPAction]) {
      for event in actions.events {
        switch event {
        case .incoming(let call, _):
          #expect(alive.insert(call).inserted)
          handles.append(call)
        case .referred(_, let referral): referrals.append(referral.handle)
        case .ended(let call, _): #expect(alive.remove(call) != nil)
        default: break
        }
      }
      for message in actions.sent where !message.isRequest && message.cseq.method == .invite {
        tags[message.callID] = message.to.tag
        if let rseq = message.first("RSeq") { rseqs[message.callID] = rseq }
      }
      // Whatever is sent can be read, but for the answers that repeat the damage of a request.
      for case .send(let bytes, _) in actions where bytes.count > 4 {
        if text(bytes).contains("Warning: 399 parley") { continue }
        if (try? SIPMessage.parse(bytes)) == nil { Issue.record("sent nonsense: \(text(bytes))") }
      }
    }
    for round in 0..<5_000 {
      var script = Script()
      script.branch = "z9hG4bK-\(random.next() % 50)"
      script.callID = "c\(random.next() % 20)"
      script.sequence = Int(random.next() % 4)
      if random.next() % 3 == 0 { script.toTag = "t\(random.next() % 3)" }
      if random.next() % 3 != 0 {
        script.toTag = tags[script.callID]
        script.branch += "-\(round)"
        script.sequence = round
      }
      if random.next() % 2 == 0 { script.body = "v=0\r\n" }
      let methods = [
        "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "FOO", "UPDATE", "PRACK", "REFER", "NOTIFY", "INVITE",
      ]
      let method = methods[Int(random.next() % UInt64(methods.count))]
      let extras = [
        "", "Supported: 100rel, timer\n", "Require: 100rel\n", "Session-Expires: 91;refresher=uas\nSupported: timer\n",
        "RAck: \(rseqs[script.callID] ?? "1") 1 INVITE\n",
        "Refer-To: <sip:a@b?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>\n",
        "Event: refer;id=1\nSubscription-State: active\n", "Min-SE: 90\n", "Refer-Sub: false\nRefer-To: <sip:a@b>\n",
        "Replaces: c\(random.next() % 20);to-tag=\(tags["c1"] ?? "x");from-tag=alice-tag\n",
        "Allow: UPDATE\nSupported: 100rel\n",
      ]
      script.extra = extras[Int(random.next() % UInt64(extras.count))]
      let message = random.next() % 3 == 0 ? mutate(script.request(method), &random) : script.request(method)
      check(endpoint.receive(datagram: message, from: alicePeer, at: now))
      if round % 3 == 0, let call = handles.randomElement(using: &random) {
        switch random.next() % 12 {
        case 0, 1: check(endpoint.answer(call, body: .sdp("a"), at: now))
        case 2: check(endpoint.ring(call, at: now))
        case 3: check(endpoint.ring(call, status: 183, body: .sdp("e"), at: now))
        case 4: check(endpoint.reject(call, status: 486, at: now))
        case 5: check(endpoint.reinvite(call, body: .sdp("b"), at: now))
        case 6: check(endpoint.update(call, body: .sdp("c"), at: now))
        case 7: check(endpoint.answerReinvite(call, body: .sdp("d"), at: now))
        case 8: check(endpoint.inform(call, body: SIPDigit("1").body, at: now))
        case 9:
          if let uri = SIPURI("sip:x@y") { check(endpoint.refer(call, to: SIPNameAddress(uri: uri), at: now).1) }
        case 10:
          if let referral = referrals.randomElement(using: &random) {
            check(endpoint.acceptRefer(referral, at: now))
            check(endpoint.notify(referral, status: 200, at: now))
          }
        default: check(endpoint.hangup(call, at: now))
        }
      }
      now += .milliseconds(Int64(random.next() % 400))
      if let deadline = endpoint.deadline, deadline <= now { check(endpoint.timeout(at: now)) }
    }
    for call in handles where alive.contains(call) { check(endpoint.hangup(call, at: now)) }
    var steps = 0
    while let deadline = endpoint.deadline, steps < 100_000 {
      steps += 1
      now = max(now, deadline)
      check(endpoint.timeout(at: now))
    }
    #expect(endpoint.isIdle)
    #expect(alive.isEmpty)
  }
}
