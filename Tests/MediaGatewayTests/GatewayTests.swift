import Base
import CallLink
import Logging
import MediaGateway
import MediaIO
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import RTP
import SDP
import SIP
import Synchronization
import Testing

/// A gateway on loopback with a free SIP port and a corner of the port range of its own.
private struct Rig {
  let gateway: MediaGateway
  let speech: FakeSpeech
  let requests = NIOLockedValueBox<[String]>([])
  /// How many calls are live, whenever that changes.
  private let counts: AsyncStream<Int>
  static let nextRange = Atomic<Int>(21_000)

  init(
    answers: Bool = true, pairs: Int = 8, _ change: (inout MediaGatewayConfiguration) -> Void = { _ in }
  ) async throws {
    speech = FakeSpeech { call in
      guard answers else { return }
      call.tell(.ringing)
      call.tell(.answer)
    }
    var configuration = MediaGatewayConfiguration()
    configuration.host = "127.0.0.1"
    configuration.sipPort = 0
    let first = Self.nextRange.add(pairs * 2, ordering: .relaxed).oldValue
    configuration.rtpPorts = first...(first + pairs * 2 - 1)
    change(&configuration)
    var metrics = MediaMetrics()
    metrics.sipRequest = { [requests] method, status in requests.withLockedValue { $0.append("\(method) \(status)") } }
    let (counts, told) = AsyncStream.makeStream(of: Int.self)
    self.counts = counts
    metrics.activeCalls = { told.yield($0) }
    gateway = MediaGateway(
      configuration: configuration, speech: speech, group: MultiThreadedEventLoopGroup.singleton, metrics: metrics,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await gateway.start()
  }

  func address(_ transport: MediaGatewayConfiguration.SIPTransport = .udp) throws -> ListeningAddress {
    try #require(gateway.listeningAddresses.first { $0.transport == transport })
  }

  func phone(_ transport: SIPTransport = .udp) async throws -> Phone {
    try await Phone.make(transport: transport, server: try address(transport == .udp ? .udp : .tcp))
  }

  /// When a call has come and none is left. A peer hears of the end of its call before the gateway has forgotten it.
  func emptied() async {
    for await calls in counts where calls == 0 { return }
  }

  /// A phone in a call, and the call.
  func call(_ transport: SIPTransport = .udp) async throws -> (Phone, FakeCall) {
    let phone = try await phone(transport)
    try await phone.run { $0.dial() }
    let call = try #require(await speech.next())
    #expect(await phone.next { $0 == .answered } != nil)
    #expect(await call.next { if case .answered = $0 { true } else { false } } != nil)
    return (phone, call)
  }
}

private let loud = (0..<32_000).map { Int16($0 % 40 < 20 ? 9000 : -9000) }

@Suite(.timeLimit(.minutes(1))) struct GatewayTests {
  @Test func aCallIsAnsweredEchoesAndIsHungUpByTheCaller() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    #expect(call.info.callerID == "4930123")
    #expect(call.info.calledNumber == "helpdesk")
    #expect(call.info.direction == .inbound)
    #expect(call.info.headers.contains { $0 == ("X-Account", "77") })
    #expect(call.info.source.hasPrefix("127.0.0.1:"))
    #expect(rig.gateway.activeCalls == 1)
    call.tell(.play(PlaybackID(1)))
    call.echoes.store(true, ordering: .relaxed)
    try await phone.heard { !$0.headers.isEmpty }
    try await phone.run { $0.media.speak(500) }
    try await phone.heard { $0.levels.filter { $0 > 3000 }.count >= 20 }
    let headers = try await phone.run { $0.media.headers }
    for (a, b) in zip(headers, headers.dropFirst()) {
      #expect(b.sequence == a.sequence &+ 1)
      #expect(b.timestamp == a.timestamp &+ 160)
    }
    try await phone.run { $0.hangup() }
    let end = await call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .caller) } else { Issue.record("no end") }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.localHangup, status: 200))
    await phone.close()
    await rig.gateway.stop()
    #expect(rig.gateway.activeCalls == 0)
    #expect(rig.requests.withLockedValue { $0 }.sorted() == ["BYE 200", "INVITE 200"])
  }

  @Test func theSpeechRoleHangsUpAfterPlaying() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    call.say(1, Array(loud[..<9600]))
    #expect(await call.next { if case .playoutStarted = $0 { true } else { false } } != nil)
    #expect(await call.next { if case .playoutFinished = $0 { true } else { false } } != nil)
    call.tell(.hangup(.normal))
    let end = await call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .normal) } else { Issue.record("no end") }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    let loudPackets = try await phone.run { $0.media.levels.filter { $0 > 3000 }.count }
    #expect((29...31).contains(loudPackets), "600 ms are 30 packets, not \(loudPackets)")
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func aClearSilencesTheWireAndLaterPlaybacksAreHeard() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    call.say(1, loud)
    try await phone.heard { $0.levels.filter { $0 > 3000 }.count >= 10 }
    call.tell(.clear(nil))
    call.say(2, Array(loud[..<3200]))
    let cleared = await call.next { if case .playoutCleared = $0 { true } else { false } }
    guard case .playoutCleared(let id, let played) = cleared else {
      Issue.record("no clear")
      return
    }
    #expect(id == PlaybackID(1))
    #expect(played >= 3200 && played < 32_000)
    #expect(
      await call.next { if case .playoutFinished(PlaybackID(2)) = $0 { true } else { false } } != nil)
    try await phone.heard { media in media.levels.suffix(5).allSatisfy { $0 < 50 } }
    let loudPackets = try await phone.run { $0.media.levels.filter { $0 > 3000 }.count }
    // What was told as played, and the ten packets of the second playback.
    #expect(abs(loudPackets - (played / 320 + 10)) <= 1, "\(loudPackets) packets for \(played) samples")
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func keysTravelBothWays() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    try await phone.run { core in
      _ = core.media.leg?.sendDigits("5", durationMs: 120)
    }
    let digit = await call.next { if case .digit = $0 { true } else { false } }
    if case .digit(let key, let durationMs) = digit {
      #expect(key == "5" && durationMs == 120)
    } else {
      Issue.record("no digit")
    }
    call.tell(.sendDigits("#", durationMs: 100))
    #expect(await phone.next { if case .digit = $0 { true } else { false } } == .digit("#", durationMs: 100))
    await phone.close()
    await rig.gateway.stop()
  }

  /// Some phones send each key as INFO and as a telephone event: it is one key all the same.
  @Test func keysByINFOCountOnce() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    func heard() async -> Character? {
      if case .digit(let key, _) = await call.next({ if case .digit = $0 { true } else { false } }) { key } else { nil }
    }
    try await phone.run { $0.inform("7") }
    #expect(await heard() == "7")
    try await phone.run { $0.inform("8") }
    #expect(await heard() == "8")
    try await phone.run { _ = $0.media.leg?.sendDigits("78#", durationMs: 120) }
    #expect(await heard() == "#")
    try await phone.run { core in
      core.inform("9")
      _ = core.media.leg?.sendDigits("*", durationMs: 120)
    }
    #expect(await heard() == "*")
    await phone.close()
    await rig.gateway.stop()
  }

  @Test(arguments: [true, false]) func scannersHearNothingWhereThatIsWanted(drops: Bool) async throws {
    let rig = try await Rig { $0.access.dropsScanners = drops }
    let phone = try await rig.phone()
    let port = try rig.address().port
    try await phone.run { core in
      core.raw(
        Array(
          """
          OPTIONS sip:100@127.0.0.1:\(port) SIP/2.0\r
          Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKscan;rport\r
          From: "sipvicious"<sip:100@1.1.1.1>;tag=1\r
          To: <sip:100@127.0.0.1>\r
          Call-ID: scan\r
          CSeq: 1 OPTIONS\r
          Max-Forwards: 70\r
          User-Agent: friendly-scanner\r
          Content-Length: 0\r
          \r

          """.utf8))
      core.options()
    }
    #expect(await phone.next { if case .response = $0 { true } else { false } } == .response(200))
    let answers = try await phone.run { $0.arrived.count { $0.hasPrefix("SIP/2.0 200") } }
    #expect(answers == (drops ? 1 : 2))
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func overTCPItIsTheSame() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call(.tcp)
    call.say(1, Array(loud[..<6400]))
    try await phone.heard { $0.levels.filter { $0 > 3000 }.count >= 18 }
    call.tell(.hangup(.normal))
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func listeningEverywhereItTellsEachCallerTheAddressItReachesUsAt() async throws {
    let rig = try await Rig { $0.host = "0.0.0.0" }
    let port = try rig.address().port
    let phone = try await Phone.make(server: ListeningAddress(transport: .udp, host: "127.0.0.1", port: port))
    try await phone.run { $0.dial() }
    let call = try #require(await rig.speech.next())
    #expect(await call.next { if case .answered = $0 { true } else { false } } != nil)
    try await phone.heard { !$0.headers.isEmpty }
    #expect(try await phone.run { $0.media.leg?.format.remote?.host } == "127.0.0.1")
    #expect(try await phone.run { $0.contactHost } == "127.0.0.1")
    call.tell(.hangup(.normal))
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func holdAndResumeAreToldAndObeyed() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    try await phone.heard { !$0.headers.isEmpty }
    try await phone.run { $0.hold(.sendonly) }
    #expect(await call.next { if case .held = $0 { true } else { false } } != nil)
    #expect(await phone.next { $0 == .reinviteAnswered } != nil)
    // Ten beats of silence: what was under way when the hold began may still have come.
    let (before, beat) = try await phone.run { ($0.media.headers.count, $0.media.ticks) }
    try await phone.heard { $0.ticks >= beat + 10 }
    #expect(try await phone.run { $0.media.headers.count } <= before + 2)
    try await phone.run { $0.hold(.sendrecv) }
    #expect(await call.next { if case .resumed = $0 { true } else { false } } != nil)
    try await phone.heard { $0.headers.count > before + 5 }
    #expect(try await phone.run { $0.media.headers.dropFirst().contains { $0.marker } }, "the talkspurt after the hold")
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func aCallWithoutOfferIsOfferedOurs() async throws {
    let rig = try await Rig()
    let phone = try await rig.phone()
    try await phone.run { $0.dial(offers: false) }
    let call = try #require(await rig.speech.next())
    #expect(await call.next { if case .answered = $0 { true } else { false } } != nil)
    call.say(1, Array(loud[..<6400]))
    try await phone.heard { $0.levels.filter { $0 > 3000 }.count >= 18 }
    await phone.close()
    await rig.gateway.stop()
  }

  @Test(arguments: [
    (RejectReason.busy, 486), (.rejected, 603), (.notFound, 404), (.unavailable, 503), (.error, 500),
  ])
  func aRejectionBecomesItsStatus(reason: RejectReason, status: Int) async throws {
    let rig = try await Rig(answers: false)
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    let call = try #require(await rig.speech.next())
    call.tell(.ringing)
    #expect(await phone.next { $0 == .progress(180) } != nil)
    call.tell(.reject(reason))
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.refused, status: status))
    #expect(await call.next { if case .ended = $0 { true } else { false } } != nil)
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func aCallerThatGivesUpIsTold() async throws {
    let rig = try await Rig(answers: false)
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    let call = try #require(await rig.speech.next())
    call.tell(.ringing)
    #expect(await phone.next { $0 == .progress(180) } != nil)
    try await phone.run { $0.hangup() }
    let end = await call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .cancelled) } else { Issue.record("no end") }
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func nobodyAnsweringInTimeBecomes503() async throws {
    let rig = try await Rig(answers: false) { $0.answerTimeout = .milliseconds(50) }
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    #expect(await phone.next { $0 == .retryAfter(5) } != nil)
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.refused, status: 503))
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func noCommonCodecBecomes488AndNobodyIsAsked() async throws {
    let rig = try await Rig()
    let phone = try await rig.phone()
    try await phone.run { $0.dial(codecs: [.opus]) }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.refused, status: 488))
    await rig.emptied()
    #expect(rig.gateway.activeCalls == 0)
    #expect(rig.speech.opened == 0)
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func silenceOfTheCallerEndsTheCall() async throws {
    let rig = try await Rig { $0.reconnectionTimeout = .milliseconds(300) }
    let (phone, call) = try await rig.call()
    try await phone.heard { $0.headers.count > 3 }
    try await phone.run { $0.media.stopSending() }
    let end = await call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .mediaTimeout) } else { Issue.record("no end") }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func aStrangersPacketsAreNotHeard() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    try await phone.heard { $0.headers.count > 5 }
    let remote = try #require(try await phone.run { $0.media.leg?.remote })
    let stranger = try UDPSocket(host: "127.0.0.1", port: 0)
    let packet = [0x80, 0] + [UInt8](repeating: 1, count: 170)
    for _ in 0..<20 {
      packet.withUnsafeBytes {
        stranger.send($0, to: PeerAddress(high: remote.high, low: remote.low, port: remote.port))
      }
    }
    let before = try await phone.run { $0.media.headers.count }
    try await phone.heard { $0.headers.count > before + 5 }
    call.tell(.hangup(.normal))
    let quality = await call.next { if case .quality = $0 { true } else { false } }
    if case .quality(let quality) = quality {
      #expect(quality.packetsRejected == 20)
      #expect(quality.packetsReceived > 5)
    } else {
      Issue.record("no measurements at the end")
    }
    #expect(stranger.receive(into: DatagramBuffer(), limit: 10) { _ in } == 0, "nothing is sent to a stranger")
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func moreCallsThanPortsAreRefused() async throws {
    let rig = try await Rig(pairs: 1)
    let (first, call) = try await rig.call()
    let second = try await rig.phone()
    try await second.run { $0.dial() }
    #expect(await second.next { if case .ended = $0 { true } else { false } } == .ended(.refused, status: 503))
    call.tell(.hangup(.normal))
    #expect(await first.next { if case .ended = $0 { true } else { false } } != nil)
    await first.close()
    await second.close()
    await rig.gateway.stop()
  }

  @Test func moreCallsThanAllowedAreRefused() async throws {
    let rig = try await Rig { $0.maxCalls = 1 }
    let (first, _) = try await rig.call()
    let second = try await rig.phone()
    try await second.run { $0.dial() }
    #expect(await second.next { if case .ended = $0 { true } else { false } } == .ended(.refused, status: 503))
    await first.close()
    await second.close()
    await rig.gateway.stop()
  }

  @Test func garbageIsSurvived() async throws {
    let rig = try await Rig()
    let phone = try await rig.phone()
    var random = SeededRandom(seed: 5)
    for size in [0, 1, 4, 100, 1500, 60_000] {
      let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
      try await phone.run { $0.raw(bytes) }
    }
    try await phone.run { core in
      core.raw(Array("INVITE sip:x SIP/2.0\r\nVia: \0\r\nContent-Length: -5\r\n\r\n".utf8))
      core.raw(Array("OPTIONS sip:x SIP/2.0\r\n\(String(repeating: "X: y\r\n", count: 10_000))\r\n".utf8))
      core.options()
    }
    #expect(await phone.next { if case .response = $0 { true } else { false } } == .response(200))
    let (caller, call) = try await rig.call()
    call.tell(.hangup(.normal))
    #expect(await caller.next { if case .ended = $0 { true } else { false } } != nil)
    await phone.close()
    await caller.close()
    await rig.gateway.stop()
  }

  @Test func garbageOverTCPClosesOnlyThatConnection() async throws {
    let rig = try await Rig()
    let bad = try await rig.phone(.tcp)
    try await bad.run { $0.raw([UInt8](repeating: 0x41, count: 200_000)) }
    let (phone, call) = try await rig.call(.tcp)
    call.tell(.hangup(.normal))
    #expect(await phone.next { if case .ended = $0 { true } else { false } } != nil)
    await bad.close()
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func drainingRefusesNewCallsAndWaitsForTheOldOnes() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    async let drained: Void = rig.gateway.drain(limit: .seconds(30))
    let second = try await rig.phone()
    // Whether the drain has begun is only seen from outside: the first call that is refused.
    var refused = false
    while !refused {
      try await second.run { $0.dial() }
      let event = await second.next { event in
        switch event {
        case .ended, .answered: true
        default: false
        }
      }
      refused = event == .ended(.refused, status: 503)
      if event == .answered { try await second.run { $0.hangup() } }
    }
    #expect(refused)
    #expect(rig.gateway.activeCalls >= 1)
    call.tell(.hangup(.normal))
    await drained
    #expect(rig.gateway.activeCalls == 0)
    await phone.close()
    await second.close()
    await rig.gateway.stop()
  }

  @Test func callsThatOutliveTheDrainAreHungUp() async throws {
    let rig = try await Rig()
    let (phone, call) = try await rig.call()
    await rig.gateway.drain(limit: .milliseconds(50))
    let end = await call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .shutdown) } else { Issue.record("no end") }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    await phone.close()
    await rig.gateway.stop()
  }

  @Test func aTakenPortIsOneClearSentence() async throws {
    let rig = try await Rig()
    let port = try rig.address().port
    let error = await #expect(throws: MediaGatewayError.self) { try await Rig { $0.sipPort = port } }
    #expect(error?.code == .portInUse)
    #expect(error?.description.contains("port \(port) is in use") == true)
    await rig.gateway.stop()
  }

  @Test func badConfigurationIsRefusedWithItsKey() async throws {
    let blocks = await #expect(throws: MediaGatewayError.self) { try await Rig { $0.access.deny = ["10.0.0.0/99"] } }
    #expect(blocks?.description.contains("media.access.deny") == true)
    let range = await #expect(throws: MediaGatewayError.self) { try await Rig { $0.rtpPorts = 20_001...20_002 } }
    #expect(range?.description.contains("rtp_port_range") == true)
    let host = await #expect(throws: MediaGatewayError.self) { try await Rig { $0.host = "example.org" } }
    #expect(host?.code == .badAddress)
    let absent = await #expect(throws: MediaGatewayError.self) { try await Rig { $0.host = "192.0.2.1" } }
    #expect(absent?.code == .badAddress)
  }
}

@Suite struct AdmissionTests {
  @Test func onlySoManyCallsPerSecond() throws {
    var admission = try Admission(.init(maxCallsPerSecond: 5), maxCalls: 100)
    var now = Instant.zero
    let burst = (0..<8).map { _ in admission.admitCall(live: 0, at: now) }
    #expect(burst.filter { $0 == .admitted }.count == 5)
    #expect(burst.last == .tooFast)
    now += .milliseconds(200)
    #expect(admission.admitCall(live: 0, at: now) == .admitted)
    #expect(admission.admitCall(live: 0, at: now) == .tooFast)
    #expect(admission.admitCall(live: 100, at: now) == .tooManyCalls)
  }

  @Test func denyIsStrongerThanAllow() throws {
    let admission = try Admission(.init(allow: ["10.0.0.0/8"], deny: ["10.1.0.0/16"]), maxCalls: 1)
    #expect(admission.admits(try #require(PeerAddress("10.2.0.1", port: 1))))
    #expect(!admission.admits(try #require(PeerAddress("10.1.0.1", port: 1))))
    #expect(!admission.admits(try #require(PeerAddress("192.0.2.1", port: 1))))
  }
}
