import Base
import SIP
import Testing

/// What is dropped before it is read, and that no answer is worth a forged request.
@Suite struct ScreenTests {
  private func screened(_ change: (inout SIPScreenSettings) -> Void = { _ in }) -> SIPEndpoint {
    var settings = SIPScreenSettings()
    change(&settings)
    return makeEndpoint { $0.screen = settings }
  }

  private func options(_ number: Int = 1, extra: String = "") -> [UInt8] {
    Script(callID: "c\(number)", branch: "z9hG4bK-\(number)", extra: extra).request("OPTIONS")
  }

  @Test(arguments: [
    "User-Agent: friendly-scanner\n", "user-agent:sipvicious 0.3\n", "USER-AGENT : Mozilla (SIPCLI/v1.8)\n",
    "User-Agent\t: sundayddr\n", "User-Agent: VaxSIPUserAgent/3.1\n", "User-Agent: iWar\n", "User-Agent: pplsip\n",
  ])
  func scannersHearNothing(_ header: String) {
    var bob = screened()
    for method in ["OPTIONS", "INVITE", "REGISTER", "FOO"] {
      let script = Script(extra: header, body: method == "INVITE" ? "offer" : "")
      #expect(bob.receive(datagram: script.request(method), from: alicePeer, at: .zero).isEmpty)
    }
    #expect(bob.counters.screened == [.scanner: 4])
    #expect(bob.isIdle)
  }

  @Test(arguments: [
    "User-Agent: Grandstream HT801\n", "User-Agent-Of: sipvicious\n", "Subject: friendly-scanner\n", "User-Agent:\n",
    "X: 1\n User-Agent: sipvicious\n",
  ])
  func othersAreHeard(_ header: String) {
    var bob = screened()
    #expect(bob.receive(datagram: options(extra: header), from: alicePeer, at: .zero).statuses == [200])
  }

  @Test func aBodyThatNamesAScannerIsOnlyABody() {
    var bob = screened()
    let script = Script(body: "v=0\nUser-Agent: sipvicious\n")
    #expect(bob.receive(datagram: script.request("INVITE"), from: alicePeer, at: .zero).statuses == [100])
  }

  @Test func oneSourceIsLimitedAndOthersAreNot() {
    var bob = screened {
      $0.requestsPerSecond = 10
      $0.requestBurst = 5
    }
    var answered = 0
    for number in 0..<100 {
      answered += bob.receive(datagram: options(number), from: alicePeer, at: .zero).statuses.count
    }
    #expect(answered == 5)
    #expect(bob.counters.screened == [.tooMany: 95])
    #expect(bob.receive(datagram: options(200), from: bobPeer, at: .zero).statuses == [200])
    // Another port of the same address is the same source; a tenth of a second brings one back.
    let other = SIPPeer(.udp, host: alicePeer.host, port: 9)
    #expect(bob.receive(datagram: options(201), from: other, at: .zero).isEmpty)
    #expect(bob.receive(datagram: options(202), from: other, at: ms(100)).statuses == [200])
    #expect(bob.receive(datagram: options(203), from: other, at: ms(100)).isEmpty)
  }

  @Test(arguments: [
    ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true), ("2001:db8:1:2::1", "2001:DB8:0001:2::", true),
    ("2001:db8:1:2::1", "2001:db8:1:3::1", false), ("::ffff:192.0.2.1", "192.0.2.1", true),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false), ("192.0.2.1", "192.0.2.2", false), ("::1", "::2", true),
    ("fe80::1%eth0", "fe80::2", true), ("::1", "0.0.0.0", false), ("1:2:3:4:5:6:7:8", "1:2:3:4::", true),
    ("nowhere", ":::::", true),
  ])
  func sourcesAreCountedByAddressOrPrefix(_ one: String, _ other: String, _ isSame: Bool) {
    var bob = screened {
      $0.requestsPerSecond = 1
      $0.requestBurst = 1
    }
    #expect(bob.receive(datagram: options(1), from: SIPPeer(.udp, host: one, port: 1), at: .zero).statuses == [200])
    let second = bob.receive(datagram: options(2), from: SIPPeer(.udp, host: other, port: 1), at: .zero)
    #expect(second.isEmpty == isSame)
  }

  @Test func nonsenseMutesItsSourceForAWhile() {
    var bob = screened { $0.requestsPerSecond = nil }
    let junk = bytes("OPTIONS sip:bob@192.0.2.20 SIP/2.0\nVia: rubbish\n\n")
    for _ in 0..<1_000 { _ = bob.receive(datagram: junk, from: alicePeer, at: .zero) }
    // 20 at once, and the one that was too many.
    #expect(bob.counters.malformed.values.reduce(0, +) == 21)
    #expect(bob.counters.screened == [.muted: 979])
    #expect(bob.receive(datagram: options(1), from: alicePeer, at: ms(59_999)).isEmpty)
    #expect(bob.receive(datagram: options(2), from: bobPeer, at: ms(59_999)).statuses == [200])
    #expect(bob.receive(datagram: options(3), from: alicePeer, at: ms(60_000)).statuses == [200])
  }

  @Test func trustedPeersAreNeverDroppedAndDeniedOnesAlways() {
    var bob = screened {
      $0.requestBurst = 1
      $0.malformedBurst = 1
      $0.standing = { $0.host == alicePeer.host ? .trusted : $0.host == bobPeer.host ? .denied : .stranger }
    }
    // Somebody forges the trunk's address.
    for _ in 0..<100 { _ = bob.receive(datagram: bytes("junk\n\n"), from: alicePeer, at: .zero) }
    let own = options(1, extra: "User-Agent: sipcli\n")
    #expect(bob.receive(datagram: own, from: alicePeer, at: .zero).statuses == [200])
    for number in 2..<50 {
      #expect(bob.receive(datagram: options(number), from: alicePeer, at: .zero).statuses == [200])
    }
    #expect(bob.receive(datagram: options(90), from: bobPeer, at: .zero).isEmpty)
    #expect(bob.counters.screened == [.denied: 1])
  }

  @Test func aFloodOfForgedSourcesGrowsNothing() {
    var bob = screened { $0.sources = 64 }
    var random = SeededRandom(seed: 5)
    var answers = 0
    for round in 0..<20_000 {
      let junk = (0..<40).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let host = "198.51.\(random.next() % 256).\(random.next() % 256)"
      let message = round % 3 == 0 ? junk : bytes("BYE sip:x SIP/2.0\nTo: \(round)\n\n")
      answers +=
        bob.receive(datagram: message, from: SIPPeer(.udp, host: host, port: 5060), at: ms(Int64(round))).count
    }
    #expect(answers == 0)
    #expect(bob.isIdle)
    #expect(bob.deadline == nil)
    #expect(bob.receive(datagram: options(1), from: alicePeer, at: ms(20_000)).statuses == [200])
  }

  @Test func callsGoOnUnderAFlood() throws {
    var bob = screened()
    let (call, _) = try #require(
      bob.receive(datagram: Script(body: "offer").request("INVITE"), from: alicePeer, at: .zero).incoming)
    let tag = bob.answer(call, body: .sdp("a"), at: .zero).sent.first?.to.tag
    for number in 0..<5_000 {
      let host = "198.51.100.\(number % 200)"
      _ = bob.receive(datagram: options(number), from: SIPPeer(.udp, host: host, port: 5060), at: .zero)
    }
    let ack = Script(toTag: tag, branch: "z9hG4bK-a").request("ACK")
    #expect(bob.receive(datagram: ack, from: alicePeer, at: ms(10)).names == ["acknowledged"])
  }

  // MARK: Amplification

  /// The smallest that a forger can send, by method, and what all of it brings to its victim in a minute.
  @Test(arguments: ["OPTIONS", "INVITE", "REGISTER", "BYE", "CANCEL", "INFO", "FOO", "SUBSCRIBE", "ACK"])
  func noAnswerIsWorthAForgedRequest(_ method: String) {
    let variants = [
      ("SIP/2.0", "sip:b", ""), ("SIP/3.0", "sip:b", ""), ("SIP/2.0", "x:b", ""), ("SIP/2.0", "<>", ""),
      ("SIP/2.0", "sip:b", "Require: a\n"), ("SIP/2.0", "sip:b", "l: 9\n"), ("SIP/2.0", "sip:b", "e: x\n"),
    ]
    for (version, uri, extra) in variants {
      var bob = makeEndpoint {
        $0.optionsBody = .sdp(String(repeating: "v", count: 600))
        $0.supported = ["timer", "100rel", "replaces"]
      }
      let request = bytes(
        """
        \(method) \(uri) \(version)
        v: SIP/2.0/UDP h;branch=z9hG4bKx
        f: <sip:a>;tag=1
        t: <sip:b>
        i: 1
        CSeq: 1 \(method)
        \(extra)

        """)
      var actions = bob.receive(datagram: request, from: alicePeer, at: .zero)
      while let deadline = bob.deadline { actions += bob.timeout(at: deadline) }
      let sent = actions.reduce(0) { if case .send(let bytes, _) = $1 { $0 + bytes.count } else { $0 } }
      #expect(sent <= request.count * 3, "\(method) \(uri) \(version) \(extra): \(sent) for \(request.count)")
      #expect(actions.events.isEmpty)
    }
  }

  @Test func refusedInvitesAreRepeatedOnlyForWhoRepeats() {
    var bob = makeEndpoint()
    let request = Script(uri: "http://x/").request("INVITE")
    #expect(bob.receive(datagram: request, from: alicePeer, at: .zero).statuses == [416])
    #expect(bob.timeout(at: ms(500)).isEmpty)
    #expect(bob.receive(datagram: request, from: alicePeer, at: ms(600)).statuses == [416])
  }

  @Test func anOptionsAnswerHasABodyForWhoAsks() {
    var bob = makeEndpoint { $0.optionsBody = .sdp("v=0") }
    #expect(bob.receive(datagram: options(1), from: alicePeer, at: .zero).sent.first?.body == nil)
    let asked = options(2, extra: "Accept: application/sdp\n")
    #expect(bob.receive(datagram: asked, from: alicePeer, at: .zero).sent.first?.body?.text == "v=0")
  }
}
