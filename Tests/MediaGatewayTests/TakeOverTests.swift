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

/// A media process of several, on a loopback address of its own.
private struct Pod {
  let gateway: MediaGateway
  let speech: KeptSpeech
  let outcomes = NIOLockedValueBox<[String]>([])
  static let nextRange = Atomic<Int>(26_000)

  init(
    _ host: String, answers: Bool = true, handled: CallPlace = CallPlace(), pairs: Int = 4,
    _ change: (inout MediaGatewayConfiguration) -> Void = { _ in }
  ) async throws {
    speech = KeptSpeech(answers: answers, handled: handled)
    var configuration = MediaGatewayConfiguration()
    configuration.host = host
    configuration.sipPort = 0
    let first = Self.nextRange.add(pairs * 2, ordering: .relaxed).oldValue
    configuration.rtpPorts = first...(first + pairs * 2 - 1)
    change(&configuration)
    var metrics = MediaMetrics()
    metrics.sessionResumed = { [outcomes] outcome in outcomes.withLockedValue { $0.append(outcome) } }
    gateway = MediaGateway(
      configuration: configuration, speech: speech, group: MultiThreadedEventLoopGroup.singleton, metrics: metrics,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await gateway.start()
  }

  var told: [String] { outcomes.withLockedValue { $0 } }

  func phone(_ transport: SIPTransport = .udp) async throws -> Phone {
    let address = gateway.listeningAddresses.first { $0.transport == (transport == .udp ? .udp : .tcp) }
    return try await Phone.make(transport: transport, server: try #require(address))
  }

  /// A phone in a live call, and what has been kept of it.
  func call(
    _ transport: SIPTransport = .udp
  ) async throws -> (Phone, KeptSpeech.Opened, FakeCustodian.Record) {
    let phone = try await phone(transport)
    try await phone.run { $0.dial() }
    let opened = try #require(await speech.next())
    #expect(!opened.resuming)
    #expect(await phone.next { $0 == .answered } != nil)
    let kept = try #require(await opened.custodian.next { $0.phase == "live" })
    return (phone, opened, kept)
  }

  /// As if killed: nothing is said to anybody.
  func die(with call: KeptSpeech.Opened) async {
    call.media.abandon()
    await gateway.stop()
  }
}

private let loud = (0..<32_000).map { Int16($0 % 40 < 20 ? 9000 : -9000) }

private func isEnd(_ message: MediaToSpeech) -> Bool { if case .ended = message { true } else { false } }

/// One media process dies in the middle of a call, another goes on with it.
@Suite(.timeLimit(.minutes(1))) struct TakeOverTests {
  /// A call of a process that has died, and the pod that is to have it.
  private func orphan(
    _ transport: SIPTransport = .udp, _ prepare: (Phone, KeptSpeech.Opened) async throws -> Void = { _, _ in }
  ) async throws -> (phone: Phone, info: CallInfo, state: [UInt8], successor: Pod) {
    let first = try await Pod("127.0.0.1")
    let (phone, opened, _) = try await first.call(transport)
    try await prepare(phone, opened)
    await first.die(with: opened)
    let kept = try #require(opened.custodian.records.last)
    return (phone, opened.call.info, kept.state, try await Pod("127.0.0.2", handled: kept.handled))
  }

  @Test(arguments: [true, false]) func theCallerHearsAndIsHeardAndHangsUp(byCaller: Bool) async throws {
    let (phone, info, state, second) = try await orphan { phone, _ in
      try await phone.heard { $0.headers.count > 5 }
    }
    let before = try await phone.run { $0.media.headers.last?.ssrc }
    async let taken = second.gateway.takeOver(info, state: state)
    let opened = try #require(await second.speech.next())
    #expect(opened.resuming)
    #expect(opened.call.info.session == info.session)
    #expect(await phone.next { $0 == .reinvited } != nil)
    #expect(await taken)
    #expect(second.told == ["resumed"])
    #expect(second.gateway.activeCalls == 1)
    #expect(try await phone.run { $0.media.leg?.format.remote?.host } == "127.0.0.2")
    let (told, asked) = try await phone.run { ($0.lastAnswer?.origin, $0.lastOffer?.origin) }
    #expect(asked?.sessionID == told?.sessionID && asked?.address == told?.address)
    #expect(try #require(asked).version > #require(told).version)

    // Both ways: what the phone says comes back.
    opened.call.tell(.play(PlaybackID(1)))
    opened.call.echoes.store(true, ordering: .relaxed)
    let heard = try await phone.run { $0.media.levels.count }
    try await phone.run { $0.media.speak(500) }
    try await phone.heard { $0.levels.dropFirst(heard).filter { $0 > 3000 }.count >= 20 }
    #expect(try await phone.run { $0.media.headers.last?.ssrc } != before, "the successor is another source")

    // Keys, both ways.
    try await phone.run { _ = $0.media.leg?.sendDigits("7", durationMs: 120) }
    let digit = await opened.call.next { if case .digit = $0 { true } else { false } }
    if case .digit(let key, _) = digit { #expect(key == "7") } else { Issue.record("no digit") }
    opened.call.tell(.sendDigits("#", durationMs: 100))
    #expect(await phone.next { if case .digit = $0 { true } else { false } } == .digit("#", durationMs: 100))

    if byCaller { try await phone.run { $0.hangup() } } else { opened.call.tell(.hangup(.normal)) }
    let end = await opened.call.next(isEnd)
    if case .ended(let reason) = end {
      #expect(reason == (byCaller ? .caller : .normal))
    } else {
      Issue.record("no end")
    }
    #expect(
      await phone.next { if case .ended = $0 { true } else { false } }
        == (byCaller ? .ended(.localHangup, status: 200) : .ended(.remoteHangup, status: 0)))
    await second.gateway.stop()
    await phone.close()
    #expect(opened.custodian.isFinished)
  }

  @Test func aCallIsTakenOverAgainAndAgain() async throws {
    var (phone, info, state, pod) = try await orphan()
    // The answer.
    var handled = CallPlace(right: 1)
    for host in ["127.0.0.3", "127.0.0.4", ""] {
      #expect(await pod.gateway.takeOver(info, state: state))
      let opened = try #require(await pod.speech.next())
      #expect(opened.custodian.handled == handled)
      opened.call.tell(.sendDigits("1", durationMs: 100))
      #expect(await phone.next { if case .digit = $0 { true } else { false } } == .digit("1", durationMs: 100))
      guard !host.isEmpty else {
        opened.call.tell(.hangup(.normal))
        break
      }
      await pod.die(with: opened)
      let kept = try #require(opened.custodian.records.last)
      #expect(kept.handled.right == handled.right + 1, "numbers go on across processes")
      (state, handled) = (kept.state, kept.handled)
      pod = try await Pod(host, handled: handled)
    }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    await pod.gateway.stop()
    await phone.close()
  }

  /// Whatever the dead process had come to with the answer, the speech role is told of it once.
  @Test(arguments: [("answered", true), ("answered", false), ("live", true)])
  func theAnswerIsToldOnce(phase: String, offers: Bool) async throws {
    let first = try await Pod("127.0.0.1")
    let phone = try await first.phone()
    try await phone.run { $0.dial(offers: offers) }
    let dead = try #require(await first.speech.next())
    #expect(await phone.next { $0 == .answered } != nil)
    #expect(await dead.custodian.next { $0.phase == "live" } != nil)
    await first.die(with: dead)
    let kept = try #require(dead.custodian.records.first { $0.phase == phase })
    let second = try await Pod("127.0.0.2", handled: kept.handled)
    #expect(await second.gateway.takeOver(dead.call.info, state: kept.state))
    let opened = try #require(await second.speech.next())
    opened.call.say(1, Array(loud[..<6_400]))
    try await phone.heard { $0.levels.filter { $0 > 3000 }.count >= 18 }
    opened.call.tell(.hangup(.normal))
    var answers = 0
    for await message in opened.call.messages { if case .answered = message.message { answers += 1 } }
    #expect(answers == (phase == "live" ? 0 : 1))
    await second.gateway.stop()
    await phone.close()
  }

  @Test func anAbandonedCallIsLeftWithoutAWord() async throws {
    let first = try await Pod("127.0.0.1")
    let (phone, opened, _) = try await first.call()
    try await phone.heard { $0.headers.count > 3 }
    let room = first.gateway.room
    await first.die(with: opened)
    #expect(first.gateway.activeCalls == 0)
    #expect(room == 3)
    #expect(!opened.custodian.isFinished)
    // The gateway has closed its sockets. What comes next is the successor's.
    let kept = try #require(opened.custodian.records.last)
    let second = try await Pod("127.0.0.2", handled: kept.handled)
    #expect(await second.gateway.takeOver(opened.call.info, state: kept.state))
    let arrived = try await phone.run { $0.arrived }
    #expect(arrived.filter { $0.hasPrefix("INVITE") }.count == 1)
    #expect(arrived.allSatisfy { !$0.hasPrefix("BYE") }, "\(arrived)")
    await second.gateway.stop()
    await phone.close()
  }

  @Test func glareIsTriedAgain() async throws {
    let (phone, info, state, second) = try await orphan { phone, _ in
      try await phone.run { $0.refusesReinvites = [491, 491] }
    }
    #expect(await second.gateway.takeOver(info, state: state))
    #expect(try await phone.run { $0.arrived.filter { $0.hasPrefix("INVITE") }.count } == 3)
    try await phone.heard { $0.headers.count > 10 }
    await second.gateway.stop()
    await phone.close()
  }

  @Test(arguments: [481, 488, 401, 603]) func aPeerThatDoesNotFollowEndsTheCall(status: Int) async throws {
    let (phone, info, state, second) = try await orphan { phone, _ in
      try await phone.run { $0.refusesReinvites = [status] }
    }
    #expect(await second.gateway.takeOver(info, state: state) == false)
    let opened = try #require(await second.speech.next())
    if case .ended(let reason) = await opened.call.next(isEnd) {
      #expect(reason == .error)
    } else {
      Issue.record("no end")
    }
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    #expect(second.told == ["refused"])
    await second.gateway.stop()
    await phone.close()
    #expect(opened.custodian.isFinished)
    #expect(second.gateway.activeCalls == 0)
  }

  @Test func aPhoneThatTakesNoConnectionsIsLost() async throws {
    let (phone, info, state, second) = try await orphan(.tcp)
    #expect(await second.gateway.takeOver(info, state: state) == false)
    let opened = try #require(await second.speech.next())
    if case .ended(let reason) = await opened.call.next(isEnd) {
      #expect(reason == .error)
    } else {
      Issue.record("no end")
    }
    #expect(second.told == ["refused"])
    await second.gateway.stop()
    await phone.close()
  }

  @Test func anACKThatIsLostIsSentAgain() async throws {
    let (phone, info, state, second) = try await orphan { phone, _ in
      try await phone.run { $0.losesACKs = 1 }
    }
    #expect(await second.gateway.takeOver(info, state: state))
    #expect(await phone.next { $0 == .acknowledged } != nil)
    #expect(try await phone.run { $0.arrived.filter { $0.hasPrefix("ACK") }.count } == 2)
    await second.gateway.stop()
    await phone.close()
  }

  @Test func whoHasPutUsOnHoldStillDoes() async throws {
    let (phone, info, state, second) = try await orphan { phone, opened in
      try await phone.run { $0.hold(.sendonly) }
      #expect(await opened.call.next { if case .held = $0 { true } else { false } } != nil)
      #expect(await opened.custodian.next { (try? JSON.decode($0.state))?["held"] == true } != nil)
      #expect(await phone.next { $0 == .reinviteAnswered } != nil)
    }
    let before = try await phone.run { $0.media.headers.count }
    #expect(await second.gateway.takeOver(info, state: state))
    let opened = try #require(await second.speech.next())
    let lines = try await phone.run { core in core.lastOffer?.media.first?.attributes.map(\.name) ?? [] }
    #expect(lines.contains("recvonly"), "an offer that asks for no more than held before: \(lines)")
    let beat = try await phone.run { $0.media.ticks }
    try await phone.heard { $0.ticks >= beat + 10 }
    #expect(try await phone.run { $0.media.headers.count } <= before + 2, "nothing is sent to who does not want it")
    try await phone.run { $0.hold(.sendrecv) }
    // The first thing that the speech role hears of hold is its end.
    let first = await opened.call.next {
      switch $0 {
      case .held, .resumed: true
      default: false
      }
    }
    if case .resumed = first {} else { Issue.record("\(String(describing: first))") }
    try await phone.heard { $0.headers.count > before + 5 }
    await second.gateway.stop()
    await phone.close()
  }

  @Test func aPlaybackOfThePredecessorIsClearedAndOpenedAgain() async throws {
    let (phone, info, state, second) = try await orphan { _, opened in
      opened.call.say(5, loud)
      #expect(await opened.call.next { if case .playoutProgress = $0 { true } else { false } } != nil)
    }
    #expect(await second.gateway.takeOver(info, state: state))
    let opened = try #require(await second.speech.next())
    opened.call.tell(.clear(PlaybackID(5)))
    let cleared = await opened.call.next { if case .playoutCleared = $0 { true } else { false } }
    guard case .playoutCleared(PlaybackID(5), playedSamples: 0) = cleared else {
      Issue.record("\(String(describing: cleared))")
      return
    }
    let before = try await phone.run { $0.media.levels.count }
    opened.call.say(5, Array(loud[..<6_400]))
    #expect(await opened.call.next { if case .playoutFinished(PlaybackID(5)) = $0 { true } else { false } } != nil)
    try await phone.heard { $0.levels.dropFirst(before).filter { $0 > 3000 }.count >= 18 }
    // It is through: a late clear is no news.
    opened.call.tell(.clear(PlaybackID(5)))
    opened.call.tell(.clear(PlaybackID(99)))
    let next = await opened.call.next { if case .playoutCleared = $0 { true } else { false } }
    if case .playoutCleared(PlaybackID(99), _) = next {} else { Issue.record("\(String(describing: next))") }
    await second.gateway.stop()
    await phone.close()
  }

  // MARK: What is kept

  @Test func theStateIsWrittenOnlyWhenItChanges() async throws {
    let pod = try await Pod("127.0.0.1")
    let (phone, opened, live) = try await pod.call()
    let phases = opened.custodian.records.compactMap(\.phase)
    #expect(
      phases.first == "offered", "so that the call is ended for the others where this process dies before its answer")
    opened.call.say(1, loud)
    #expect(await opened.call.next { if case .playoutFinished = $0 { true } else { false } } != nil)
    try await phone.run { _ = $0.media.leg?.sendDigits("12", durationMs: 120) }
    for _ in 0..<2 { _ = await opened.call.next { if case .digit = $0 { true } else { false } } }
    let last = try #require(await opened.custodian.next { $0.handled.right == 3 })
    #expect(last.state == live.state)
    let since = opened.custodian.records.drop { $0.phase != "live" }
    #expect(since.count > 15, "every message to the speech role is followed by a state")
    #expect(Set(since.map(\.address)).count == 1, "the same bytes, not written out again")
    try await phone.run { $0.hangup() }
    #expect(await opened.call.next(isEnd) != nil)
    await pod.gateway.stop()
    await phone.close()
    #expect(opened.custodian.isFinished)
  }

  @Test func whatCannotBeReadEndsTheCallPolitely() async throws {
    let (phone, info, state, second) = try await orphan()
    var foreign = info
    foreign.session = SessionID("01JD0000000000000000000001")
    let text = String(decoding: state, as: UTF8.self)
    let wrong: [(CallInfo, [UInt8])] = [
      (info, []), (info, Array("{}".utf8)), (info, Array(state.dropLast(3))), (foreign, state),
      (info, Array(text.replacing("\"phase\":\"live\"", with: "\"phase\":\"gone\"").utf8)),
      (info, Array(text.replacing("\"v\":1}", with: "\"v\":2}").utf8)),
      (info, [UInt8](repeating: 0x20, count: CallState.byteLimit + 1)),
      (info, [UInt8](repeating: UInt8(ascii: "["), count: 100_000)),
    ]
    for (call, bytes) in wrong {
      #expect(bytes != state || call.session != info.session)
      #expect(await second.gateway.takeOver(call, state: bytes) == false)
      let opened = try #require(await second.speech.next())
      #expect(opened.resuming)
      if case .ended(let reason) = await opened.call.next(isEnd) {
        #expect(reason == .error)
      } else {
        Issue.record("no end")
      }
      #expect(opened.custodian.isFinished)
    }
    #expect(second.told == wrong.map { _ in "damaged" })
    #expect(second.gateway.activeCalls == 0)
    // And what can be read goes on all the same.
    #expect(await second.gateway.takeOver(info, state: state))
    await second.gateway.stop()
    await phone.close()
  }

  @Test func noBytesHarmTheProcess() async throws {
    let (phone, info, state, second) = try await orphan()
    var random = SeededRandom(seed: 3)
    for _ in 0..<200 {
      var bytes = state
      for _ in 0...random.next() % 4 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() % 128) }
      guard bytes.contains(UInt8(ascii: "{")), (try? JSON.decode(bytes)) == nil else { continue }
      #expect(await second.gateway.takeOver(info, state: bytes) == false)
      _ = await second.speech.next()
    }
    await second.gateway.stop()
    await phone.close()
  }

  @Test func aCallThatWasNotAnsweredIsEnded() async throws {
    let first = try await Pod("127.0.0.1", answers: false)
    let phone = try await first.phone()
    try await phone.run { $0.dial() }
    let opened = try #require(await first.speech.next())
    opened.call.tell(.ringing)
    let kept = try #require(await opened.custodian.next { $0.handled.right == 1 })
    await first.die(with: opened)
    let second = try await Pod("127.0.0.2")
    #expect(await second.gateway.takeOver(opened.call.info, state: kept.state) == false)
    let resumed = try #require(await second.speech.next())
    if case .ended(let reason) = await resumed.call.next(isEnd) {
      #expect(reason == .error)
    } else {
      Issue.record("no end")
    }
    #expect(resumed.custodian.isFinished)
    #expect(second.told == ["unanswered"])
    await second.gateway.stop()
    await phone.close()
  }

  // MARK: Room, and leaving

  @Test func withoutRoomNothingIsTouched() async throws {
    let (phone, info, state, second) = try await orphan()
    let full = try await Pod("127.0.0.5") { $0.maxCalls = 1 }
    #expect(full.gateway.room == 1)
    let (other, opened, _) = try await full.call()
    #expect(full.gateway.room == 0)
    #expect(await full.gateway.takeOver(info, state: state) == false)
    #expect(full.told == ["unavailable"])
    #expect(full.gateway.activeCalls == 1)
    #expect(await second.gateway.takeOver(info, state: state))
    // One that lives here is not begun twice.
    #expect(await second.gateway.takeOver(info, state: state) == false)
    #expect(second.told == ["resumed", "unavailable"])
    #expect(second.gateway.activeCalls == 1)
    #expect(!opened.custodian.isFinished)
    await phone.close()
    await other.close()
    await second.gateway.stop()
    await full.gateway.stop()
    #expect(second.gateway.room == 0)
  }

  @Test func aDrainingProcessHandsItsCallsOver() async throws {
    let first = try await Pod("127.0.0.1")
    let (phone, opened, _) = try await first.call()
    async let drained: Void = first.gateway.drain(limit: .seconds(50))
    #expect(await first.gateway.handOver() == 1)
    #expect(await first.gateway.handOver() == 1)
    await opened.custodian.released()
    #expect(first.gateway.room == 0)
    // It is served until the successor has it.
    opened.call.say(1, Array(loud[..<6_400]))
    try await phone.heard { $0.levels.filter { $0 > 3000 }.count >= 18 }
    let kept = try #require(opened.custodian.records.last)
    let second = try await Pod("127.0.0.2", handled: kept.handled)
    async let taken = second.gateway.takeOver(opened.call.info, state: kept.state)
    let resumed = try #require(await second.speech.next())
    opened.media.abandon()
    #expect(await taken)
    await drained
    #expect(first.gateway.activeCalls == 0)
    #expect(opened.custodian.releases == 1)
    #expect(!opened.custodian.isFinished)
    let before = try await phone.run { $0.media.levels.count }
    resumed.call.say(2, Array(loud[..<6_400]))
    try await phone.heard { $0.levels.dropFirst(before).filter { $0 > 3000 }.count >= 18 }
    resumed.call.tell(.hangup(.normal))
    #expect(await phone.next { if case .ended = $0 { true } else { false } } == .ended(.remoteHangup, status: 0))
    await phone.close()
    await first.gateway.stop()
    await second.gateway.stop()
  }
}
