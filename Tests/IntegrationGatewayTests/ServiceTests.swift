import Base
import CallLink
import IntegrationGateway
import NIOConcurrencyHelpers
import Outbound
import ScriptedServers
import Settings
import Telemetry
import Testing

/// What stands between a hook and its service: circuit breaker, rate limit, signatures, tokens.
@Suite struct ServiceTests {
  private static func with(
    _ backend: ScriptedHTTPServer, clock: @escaping @Sendable () -> Instant = Instant.monotonic,
    _ change: (inout IntegrationSettings.Service) -> Void, _ body: (Gateway) async throws -> Void
  ) async throws {
    let port = try await backend.start()
    var service = IntegrationSettings.Service(url: "http://127.0.0.1:\(port)")
    service.retry.maxAttempts = 1
    change(&service)
    var settings = IntegrationSettings()
    settings.services = ["crm": service]
    try await Gateway.with(settings: settings, clock: clock, body)
    await backend.stop()
  }

  private static func ask(_ gateway: Gateway, timeout: Duration? = nil) async -> HookOutcome {
    await gateway.service.hooks.perform(
      HookRequest(session: SessionID("S1"), service: "crm", timeout: timeout, body: ["n": 1]))
  }

  private static func error(_ outcome: HookOutcome) -> String? {
    if case .failure(let error, _, _, _, _) = outcome { error } else { nil }
  }

  private static func state(_ gateway: Gateway) -> String? {
    gateway.metrics.registry.exposition().split(separator: "\n")
      .first { $0.hasPrefix("vg_integration_circuit_breaker{service=\"crm\"}") }
      .flatMap { $0.split(separator: " ").last.map(String.init) }
  }

  // MARK: Circuit breaker

  @Test func aServiceThatFailsIsLeftAlone() async throws {
    let isUp = NIOLockedValueBox(false), now = NIOLockedValueBox(Instant.zero)
    let backend = ScriptedHTTPServer { _ in
      ScriptedHTTPServer.Step.answer(isUp.withLockedValue { $0 } ? 200 : 500, "{}")
    }
    try await Self.with(
      backend, clock: { now.withLockedValue { $0 } },
      {
        $0.circuitBreaker.threshold = 3
        $0.circuitBreaker.timeout = .seconds(30)
      }
    ) { gateway async throws in
      #expect(Self.state(gateway) == "0")
      for _ in 0..<3 { #expect(Self.error(await Self.ask(gateway)) == "status") }
      #expect(Self.state(gateway) == "1")
      guard case .failure("circuit_open", 0, let message, _, 0) = await Self.ask(gateway) else {
        Issue.record("the circuit is not open")
        return
      }
      #expect(message.hasPrefix("crm has failed too often and is left alone for 30 s"))
      isUp.withLockedValue { $0 = true }
      now.withLockedValue { $0 += .milliseconds(29_999) }
      #expect(Self.error(await Self.ask(gateway)) == "circuit_open")
      #expect(backend.requests.count == 3, "nobody is asked")
      now.withLockedValue { $0 += .milliseconds(1) }
      #expect(Self.error(await Self.ask(gateway)) == nil)
      #expect(Self.state(gateway) == "0")
      #expect(backend.requests.count == 4)
    }
  }

  @Test func whatIsTheCallersFaultDoesNotOpenIt() async throws {
    let backend = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(404, "{}") }
    try await Self.with(backend, { $0.circuitBreaker.threshold = 2 }) { gateway async throws in
      for _ in 0..<5 { #expect(Self.error(await Self.ask(gateway)) == "status") }
      #expect(backend.requests.count == 5)
      #expect(Self.state(gateway) == "0")
    }
  }

  @Test func retriesStopWhenItOpensAndTheLastFailureCounts() async throws {
    let backend = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(503, "") }
    try await Self.with(
      backend,
      {
        $0.circuitBreaker.threshold = 2
        $0.retry.maxAttempts = 5
        $0.retry.initialBackoff = .zero
      }
    ) { gateway async throws in
      guard case .failure("status", 503, _, _, 2) = await Self.ask(gateway) else {
        Issue.record("not the service's own failure")
        return
      }
      #expect(backend.requests.count == 2)
    }
  }

  @Test func withoutAThresholdNothingOpens() async throws {
    let backend = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(500, "") }
    try await Self.with(backend, { $0.circuitBreaker.threshold = 0 }) { gateway async throws in
      for _ in 0..<20 { #expect(Self.error(await Self.ask(gateway)) == "status") }
      #expect(Self.state(gateway) == nil)
    }
  }

  // MARK: Rate limit

  @Test func whoCannotWaitIsToldSo() async throws {
    let backend = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "{}") }
    try await Self.with(
      backend,
      {
        $0.rateLimit.requestsPerSecond = 0.01
        $0.rateLimit.burst = 2
      }
    ) { gateway async throws in
      #expect(Self.error(await Self.ask(gateway)) == nil)
      #expect(Self.error(await Self.ask(gateway)) == nil)
      guard case .failure("rate_limited", 0, _, _, 0) = await Self.ask(gateway, timeout: .seconds(2)) else {
        Issue.record("more was let through than allowed")
        return
      }
      #expect(backend.requests.count == 2)
    }
  }

  @Test func whoCanWaitWaits() async throws {
    let backend = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "{}") }
    try await Self.with(
      backend,
      {
        $0.rateLimit.requestsPerSecond = 100
        $0.rateLimit.burst = 1
      }
    ) { gateway async throws in
      for _ in 0..<5 { #expect(Self.error(await Self.ask(gateway)) == nil) }
      #expect(backend.requests.count == 5)
    }
  }

  // MARK: Credentials

  @Test func requestsAreSigned() async throws {
    let backend = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "{}") }
    try await Self.with(backend, { $0.auth = .hmac(secrets: [Secret("new"), Secret("old")]) }) { gateway async throws in
      #expect(Self.error(await Self.ask(gateway)) == nil)
      let seen = try #require(backend.requests.first)
      let value = try #require(seen.header("X-Parley-Signature-256"))
      let timestamp = try #require(seen.header("X-Parley-Timestamp").flatMap { Int64($0) })
      #expect(value.hasPrefix("t=\(timestamp),v1="))
      for secret in ["new", "old"] {
        #expect(
          PayloadSignature(secrets: [Secret(secret)]).accepts(value, body: Array(seen.body.utf8), now: timestamp))
      }
      #expect(
        !PayloadSignature(secrets: [Secret("wrong")]).accepts(value, body: Array(seen.body.utf8), now: timestamp))
    }
  }

  /// An authorization server and a service in one; the service takes the tokens that `accepts` names.
  private static func tokenServer(
    expiresIn: Value = 3600, status: Int = 200, accepts: @escaping @Sendable (String) -> Bool = { _ in true }
  ) -> ScriptedHTTPServer {
    let count = NIOLockedValueBox(0)
    return ScriptedHTTPServer { request in
      guard request.uri == "/token" else {
        let token = request.header("Authorization") ?? ""
        return ScriptedHTTPServer.Step.answer(accepts(token) ? 200 : 401, "{}")
      }
      guard status == 200 else { return ScriptedHTTPServer.Step.answer(status, "{\"error\":\"invalid_client\"}") }
      let number = count.withLockedValue { count in
        count += 1
        return count
      }
      let answer: Value = [
        "access_token": .string("t\(number)"), "token_type": "Bearer", "expires_in": expiresIn,
      ]
      return ScriptedHTTPServer.Step.answer(200, JSON.encode(answer))
    }
  }

  private static func oauth2(_ service: inout IntegrationSettings.Service, post: Bool = false) {
    var oauth2 = IntegrationSettings.OAuth2()
    oauth2.tokenURL = service.url + "/token"
    oauth2.clientID = "me&you"
    oauth2.clientSecret = Secret("p=ss w")
    oauth2.scopes = ["read", "write:all"]
    oauth2.audience = "crm"
    oauth2.clientAuthentication = post ? .post : .basic
    service.auth = .oauth2(oauth2)
  }

  @Test func oneTokenServesAllHooks() async throws {
    let backend = Self.tokenServer()
    try await Self.with(backend, { Self.oauth2(&$0) }) { gateway async throws in
      await withTaskGroup { group in
        for _ in 0..<20 { group.addTask { #expect(Self.error(await Self.ask(gateway)) == nil) } }
      }
      #expect(Self.error(await Self.ask(gateway)) == nil)
      let asked = backend.requests.filter { $0.uri == "/token" }
      #expect(asked.count == 1, "all wait for one request")
      #expect(
        asked.first?.body == "grant_type=client_credentials&scope=read+write%3Aall&audience=crm")
      // me%26you:p%3Dss+w (RFC 6749 section 2.3.1)
      #expect(asked.first?.header("Authorization") == "Basic bWUlMjZ5b3U6cCUzRHNzK3c=")
      let hooks = backend.requests.filter { $0.uri == "/on-intent" }
      #expect(hooks.count == 21)
      #expect(hooks.allSatisfy { $0.header("Authorization") == "Bearer t1" })
    }
  }

  @Test func theSecretMayStandInTheForm() async throws {
    let backend = Self.tokenServer()
    try await Self.with(backend, { Self.oauth2(&$0, post: true) }) { gateway async throws in
      #expect(Self.error(await Self.ask(gateway)) == nil)
      let asked = try #require(backend.requests.first)
      #expect(asked.header("Authorization") == nil)
      #expect(asked.body.hasSuffix("&client_id=me%26you&client_secret=p%3Dss+w"))
    }
  }

  @Test func aTokenThatIsNotTakenIsReplacedOnce() async throws {
    let backend = Self.tokenServer(accepts: { $0 != "Bearer t1" })
    try await Self.with(backend, { Self.oauth2(&$0) }) { gateway async throws in
      guard case .result(_, 200, _, 1) = await Self.ask(gateway) else {
        Issue.record("the hook failed")
        return
      }
      #expect(backend.requests.map(\.uri) == ["/token", "/on-intent", "/token", "/on-intent"])
    }
    let never = Self.tokenServer(accepts: { _ in false })
    try await Self.with(never, { Self.oauth2(&$0) }) { gateway async throws in
      guard case .failure("status", 401, _, _, 1) = await Self.ask(gateway) else {
        Issue.record("not the service's answer")
        return
      }
      #expect(never.requests.count == 4, "once, not for ever")
    }
  }

  @Test func tokensThatEndAtOnceAreFetchedAgain() async throws {
    let backend = Self.tokenServer(expiresIn: "0")
    try await Self.with(backend, { Self.oauth2(&$0) }) { gateway async throws in
      // A second is the least; a token of it serves for 0.8 s, so it may or may not be fetched again: both are right.
      #expect(Self.error(await Self.ask(gateway)) == nil)
      #expect(Self.error(await Self.ask(gateway)) == nil)
      #expect((1...2).contains(backend.requests.count { $0.uri == "/token" }))
    }
  }

  @Test func aTokenServerThatSaysNoIsNamed() async throws {
    let backend = Self.tokenServer(status: 400)
    try await Self.with(backend, { Self.oauth2(&$0) }) { gateway async throws in
      guard case .failure("unauthorized", 400, let message, _, 1) = await Self.ask(gateway) else {
        Issue.record("no word of the token")
        return
      }
      #expect(message == "the token server of crm answered 400 (invalid_client)")
      #expect(backend.requests.count == 1, "asking again would not help")
      #expect(Self.state(gateway) == "0", "it is not the service that failed")
    }
  }

  @Test func servicesAreToldOfMoments() async throws {
    var settings = IntegrationSettings()
    for (name, events) in [("b", [IntegrationSettings.CallEvent.callStart]), ("a", [.callStart, .callEnd]), ("c", [])] {
      var service = IntegrationSettings.Service(url: "http://127.0.0.1:1")
      service.events = events
      if name == "a" { service.timeout = .seconds(1) }
      settings.services[name] = service
    }
    try await Gateway.with(settings: settings) { gateway async throws in
      #expect(
        gateway.service.hooks.services(toldOf: .start) == [
          CallMomentService(name: "a", timeout: .seconds(1)), CallMomentService(name: "b", timeout: .seconds(5)),
        ])
      #expect(gateway.service.hooks.services(toldOf: .end).map(\.name) == ["a"])
    }
  }
}
