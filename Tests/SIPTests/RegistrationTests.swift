import Base
import Testing

import SIP

/// A registration of ours through an endpoint of its own, against a scripted registrar.
@Suite struct RegistrationTests {
  private var endpoint = makeEndpoint("192.0.2.10") { $0.digest = plainHash }
  private var registration: SIPRegistration
  private var states: [SIPRegistration.State] = []

  init() throws { registration = try RegistrationTests.make() }

  private static func make(_ change: (inout SIPRegistration.Options) -> Void = { _ in }) throws -> SIPRegistration {
    var options = SIPRegistration.Options(
      registrar: try #require(SIPURI("sip:example.org")),
      address: SIPNameAddress(uri: try #require(SIPURI("sip:alice@example.org"))),
      contact: try #require(SIPURI("sip:alice@192.0.2.10:5060")), peer: bobPeer)
    change(&options)
    return SIPRegistration(options, random: SeededRandom(seed: 7))
  }

  /// What the registration sends, through the endpoint.
  private mutating func perform(_ actions: [SIPRegistration.Action], _ at: Int64) -> SIPMessage? {
    var sent: SIPMessage?
    for action in actions {
      switch action {
      case .changed(let state): states.append(state)
      case .send(let request): sent = endpoint.request(request, at: ms(at)).1.sent.first
      }
    }
    return sent
  }

  /// Gives the endpoint a response, and its outcome to the registration. Returns what is sent next.
  private mutating func answer(
    _ request: SIPMessage?, _ status: Int, contact: String? = nil, extra: String = "", _ at: Int64
  ) throws -> SIPMessage? {
    let bytes = reply(try #require(request), status, contact: contact, extra: extra)
    let actions = endpoint.receive(datagram: bytes, from: bobPeer, at: ms(at))
    for case .response(_, let outcome) in actions.events {
      return perform(registration.receive(outcome, at: ms(at)), at)
    }
    return actions.sent.first
  }

  private mutating func start() -> SIPMessage? { perform(registration.start(at: .zero), 0) }

  private mutating func wake() -> SIPMessage? {
    guard let deadline = registration.deadline else { return nil }
    let at = deadline.nanoseconds / 1_000_000
    _ = endpoint.timeout(at: deadline)
    return perform(registration.timeout(at: deadline), at)
  }

  private var deadlineSeconds: Double { Double(registration.deadline?.nanoseconds ?? -1) / 1e9 }

  @Test mutating func aBindingIsMadeRefreshedAndTakenBack() throws {
    let request = try #require(start())
    #expect(request.method == .register)
    #expect(request.requestURIText == "sip:example.org")
    #expect(request.to.uri.description == "sip:alice@example.org" && request.to.tag == nil)
    #expect(request.values(.contact) == ["<sip:alice@192.0.2.10:5060>;expires=3600"])
    #expect(request[.supported] == "path")
    let granted = """
      Contact: <sip:other@192.0.2.99>;expires=9, <sip:alice@192.0.2.10:5060>;expires=600
      Service-Route: <sip:p1.example.org;lr>, <sip:p2.example.org;lr>
      Expires: 10

      """
    #expect(try answer(request, 200, extra: granted, 100) == nil)
    #expect(states == [.registering, .registered])
    #expect(registration.binding?.until == ms(600_100))
    #expect(registration.binding?.serviceRoutes == ["<sip:p1.example.org;lr>", "<sip:p2.example.org;lr>"])
    #expect((300...450.2).contains(deadlineSeconds), "refreshed at \(deadlineSeconds)")
    let refresh = try #require(wake())
    #expect(refresh.callID == request.callID)
    #expect(refresh.cseq.number == 2)
    #expect(try answer(refresh, 200, extra: "Expires: 60\n", 460_000) == nil)
    #expect(registration.binding?.until == ms(520_000))
    let last = perform(registration.stop(at: ms(461_000)), 461_000)
    #expect(last?.values(.contact) == ["<sip:alice@192.0.2.10:5060>;expires=0"])
    #expect(last?[.expires] == "0")
    #expect(try answer(last, 200, 461_100) == nil)
    #expect(states == [.registering, .registered, .unregistering, .stopped])
    #expect(registration.deadline == nil)
    #expect(registration.binding == nil)
  }

  @Test mutating func challengesCostANumber() throws {
    registration = try RegistrationTests.make { $0.credentials = [SIPCredentials(user: "alice", password: "secret")] }
    let second = try answer(
      start(), 401, extra: "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\n", 10)
    #expect(second?.cseq.number == 2)
    #expect(second?[.authorization] != nil)
    #expect(try answer(second, 200, 20) == nil)
    #expect(wake()?.cseq.number == 3)
  }

  @Test mutating func tooBriefAsksForMore() throws {
    registration = try RegistrationTests.make { $0.expires = 60 }
    let second = try answer(start(), 423, extra: "Min-Expires: 1800\n", 10)
    #expect(second?[.expires] == "1800")
    #expect(try answer(second, 423, extra: "Min-Expires: 1800\n", 20) == nil, "the same again is a failure")
    #expect(registration.failures == 1)
    var other = try RegistrationTests.make()
    let message = try SIPMessage.parse(
      reply(try #require(perform(other.start(at: .zero), 0)), 423, extra: "Min-Expires: 4000000000\n"))
    _ = other.receive(SIPResponseOutcome(status: 423, reason: "", message: message), at: ms(1))
    #expect(other.failures == 1)
  }

  @Test mutating func failuresWaitLongerAndAreTold() throws {
    var request = start()
    var waits: [Double] = []
    var at: Int64 = 0
    for _ in 0..<10 {
      at += 100
      #expect(try answer(request, 503, at) == nil)
      waits.append(deadlineSeconds - Double(at) / 1000)
      at = (registration.deadline?.nanoseconds ?? 0) / 1_000_000
      request = wake()
    }
    for (n, wait) in waits.enumerated() {
      let whole = min(30 * Double(1 << n), 1_800)
      #expect((whole / 2...whole).contains(wait), "wait \(n) is \(wait)")
    }
    #expect(states == [.registering, .failed(status: 503, reason: "Whatever")])
    #expect(try answer(request, 200, at + 1) == nil)
    #expect(states.last == .registered)
    #expect(registration.failures == 0)
  }

  @Test mutating func retryAfterIsObeyed() throws {
    #expect(try answer(start(), 503, extra: "Retry-After: 900 (maintenance)\n", 0) == nil)
    #expect(deadlineSeconds == 900)
    _ = wake()
  }

  @Test mutating func aRefreshThatFailsKeepsTheBindingForItsTime() throws {
    #expect(try answer(start(), 200, extra: "Expires: 100\n", 0) == nil)
    let refresh = wake()
    #expect(try answer(refresh, 500, 60_000) == nil)
    #expect(states == [.registering, .registered])
    let again = wake()
    #expect(try answer(again, 500, 100_001) == nil)
    #expect(states.last == .registering)
    #expect(registration.binding == nil)
  }

  @Test mutating func aWrongPasswordIsAFailureThatIsTried() throws {
    #expect(try answer(start(), 403, 10) == nil)
    #expect(try answer(wake(), 403, 40_000) == nil)
    #expect(try answer(wake(), 403, 140_000) == nil)
    #expect(states.last == .failed(status: 403, reason: "Whatever"))
    #expect(registration.deadline != nil)
  }

  @Test mutating func outboundAndItsRefusal() throws {
    registration = try RegistrationTests.make {
      $0.instance = "urn:uuid:00000000-0000-1000-8000-000A95A0E128"
      $0.routes = ["<sip:edge.example.org;lr>"]
    }
    let request = try #require(start())
    #expect(request[.supported] == "path, gruu, outbound")
    #expect(request.values(.route) == ["<sip:edge.example.org;lr>"])
    #expect(
      request.contact?.parameters.first(named: "+sip.instance")?.value
        == "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>")
    #expect(request.contact?.parameters.first(named: "reg-id")?.value == "1")
    let plain = try #require(try answer(request, 439, 10))
    #expect(plain[.supported] == "path, gruu")
    #expect(plain.contact?.parameters.first(named: "reg-id") == nil)
    let granted = """
      Contact: <sip:alice@10.0.0.1>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";\
      pub-gruu="sip:alice@example.org;gr=x";temp-gruu="sip:t@example.org;gr";expires=50
      Require: outbound
      Flow-Timer: 120

      """
    #expect(try answer(plain, 200, extra: granted, 20) == nil)
    #expect(registration.binding?.publicGRUU == "sip:alice@example.org;gr=x")
    #expect(registration.binding?.temporaryGRUU == "sip:t@example.org;gr")
    #expect(registration.binding?.isOutbound == true)
    #expect(registration.binding?.keepAlive == .seconds(120))
    #expect(perform(registration.flowLost(at: ms(1_000)), 1_000) == nil)
    #expect(states.last == .registering)
    #expect((1...3.01).contains(deadlineSeconds))
    #expect(wake()?.method == .register)
  }

  @Test mutating func aGrantOfNothingIsAFailure() throws {
    #expect(try answer(start(), 200, contact: "<sip:alice@192.0.2.10:5060>;expires=0", 10) == nil)
    #expect(registration.failures == 1)
    let others = "<sip:x@192.0.2.3>;expires=60, <sip:y@192.0.2.4>;expires=60"
    #expect(try answer(wake(), 200, contact: others, 40_000) == nil)
    #expect(registration.failures == 2)
  }

  @Test mutating func stoppingWaitsForWhatIsOnItsWay() throws {
    let request = start()
    #expect(perform(registration.stop(at: ms(5)), 5) == nil)
    let last = try answer(request, 200, 10)
    #expect(last?[.expires] == "0")
    #expect(try answer(last, 481, 20) == nil)
    #expect(states == [.registering, .unregistering, .stopped])
    // And it can begin again.
    #expect(perform(registration.start(at: ms(30)), 30)?.cseq.number == 3)
  }
}
