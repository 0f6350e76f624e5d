import Base
import CallLink
import IntegrationGateway
import NIOConcurrencyHelpers
import NIOHTTP1
import NIOPosix
import ScriptedServers
import Settings
import Telemetry
import Testing

/// Hooks against a backend that misbehaves in every way it can.
@Suite struct HookTests {
  private static let quick: IntegrationSettings.Retry = {
    var retry = IntegrationSettings.Retry()
    retry.initialBackoff = .milliseconds(1)
    retry.maxBackoff = .milliseconds(2)
    return retry
  }()

  private static func perform(
    _ steps: [Backend.Step], _ change: (inout IntegrationSettings.Service) -> Void = { _ in },
    request: (inout HookRequest) -> Void = { _ in }, _ check: (HookOutcome, Backend, Gateway) throws -> Void
  ) async throws {
    let backend = Backend(steps)
    let port = try await backend.start()
    var service = IntegrationSettings.Service(url: "http://127.0.0.1:\(port)/base/")
    service.retry = quick
    change(&service)
    var settings = IntegrationSettings()
    settings.services = ["crm": service]
    try await Gateway.with(settings: settings) { gateway async throws in
      var hook = HookRequest(session: SessionID("S1"), service: "crm", body: ["transcript": "hello", "n": 1])
      request(&hook)
      try check(await gateway.service.hooks.perform(hook), backend, gateway)
    }
    try await backend.stop()
  }

  private struct Failed: Equatable {
    var error: String
    var status: Int
    var attempts: Int
    init(_ error: String, _ status: Int, _ attempts: Int) {
      self.error = error
      self.status = status
      self.attempts = attempts
    }
  }

  private static func failure(_ outcome: HookOutcome) -> Failed? {
    if case .failure(let error, let status, _, _, let attempts) = outcome {
      Failed(error, status, attempts)
    } else {
      nil
    }
  }

  @Test func anAnswerComesBackWithItsFields() async throws {
    try await Self.perform([.answer(200, "{\"variables\":{\"a\":1},\"next_state\":\"done\"}")]) {
      outcome, backend, gateway in
      guard case .result(let value, 200, _, 1) = outcome else { return #expect(Bool(false), "\(outcome)") }
      #expect(value == ["variables": ["a": 1], "next_state": "done"])
      let seen = try #require(backend.seen.first)
      #expect(seen.method == "POST")
      #expect(seen.uri == "/base/on-intent")
      #expect(seen.json == ["transcript": "hello", "n": 1])
      #expect(seen.headers.first(name: "Content-Type") == "application/json")
      #expect(seen.headers.first(name: "X-Parley-Session") == "S1")
      let metrics = gateway.metrics.registry.exposition()
      #expect(metrics.contains("vg_integration_requests_total{service=\"crm\",method=\"POST\",status=\"200\"} 1\n"))
      #expect(metrics.contains("vg_integration_latency_seconds_count{service=\"crm\",method=\"POST\"} 1\n"))
    }
  }

  @Test func everyAttemptIsAPlaceInTheTrace() async throws {
    try await Self.perform(
      [.answer(503, ""), .answer(200, "{}")],
      request: { $0.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }
    ) { _, backend, gateway in
      let sent = backend.seen.compactMap { $0.headers.first(name: "traceparent") }
      #expect(sent.count == 2 && Set(sent).count == 2, "\(sent)")
      #expect(sent.allSatisfy { $0.hasPrefix("00-4bf92f3577b34da6a3ce929d0e0e4736-") })
      let spans = gateway.spans.withLockedValue { $0 }
      #expect(spans.map(\.name) == ["hook", "hook"] && spans.map(\.context.traceparent) == sent)
      #expect(spans.allSatisfy { $0.parent?.description == "00f067aa0ba902b7" && $0.kind == .client })
      #expect(spans.map { $0.attributes["http.response.status_code"] } == [503, 200])
      #expect(spans.map { $0.attributes["attempt"] } == [1, 2])
      #expect(spans.map(\.status) == [.error("status"), .ok])
    }
    try await Self.perform([.answer(200, "{}")]) { _, backend, gateway in
      #expect(backend.seen.first?.headers.first(name: "traceparent") == nil)
      #expect(gateway.spans.withLockedValue { $0.isEmpty })
    }
  }

  @Test func anEmptyAnswerIsAnEmptyObject() async throws {
    try await Self.perform([.answer(204, "")]) { outcome, _, _ in
      guard case .result([:], 204, _, 1) = outcome else { return #expect(Bool(false), "\(outcome)") }
    }
  }

  @Test func whatMayPassIsTriedAgain() async throws {
    let steps: [Backend.Step] = [.answer(503, ""), .close, .answer(429, ""), .answer(200, "{\"ok\":true}")]
    try await Self.perform(steps) { outcome, backend, gateway in
      guard case .result(["ok": true], 200, _, 4) = outcome else { return #expect(Bool(false), "\(outcome)") }
      #expect(Set(backend.seen.compactMap { $0.headers.first(name: "Idempotency-Key") }).count == 1)
      #expect(gateway.metrics.registry.exposition().contains("vg_integration_retries_total{service=\"crm\"} 3\n"))
    }
  }

  @Test func attemptsAreCounted() async throws {
    try await Self.perform([.answer(500, "")]) { outcome, backend, _ in
      #expect(Self.failure(outcome) == Failed("status", 500, 4), "three retries by default")
      #expect(backend.seen.count == 4)
    }
    try await Self.perform([.answer(500, "")], { $0.retry.maxAttempts = 2 }) { outcome, backend, _ in
      #expect(Self.failure(outcome) == Failed("status", 500, 2))
      #expect(backend.seen.count == 2)
    }
  }

  private static let hopeless: [(Backend.Step, String, Int)] = [
    (.answer(404, "{}"), "status", 404),
    (.answer(302, "", headers: [("Location", "http://127.0.0.1:1/")]), "status", 302),
    (.answer(200, "[1]"), "invalid_answer", 200), (.answer(200, "<html>"), "invalid_answer", 200),
    (.answer(200, "{\"a\":\"" + String(repeating: "x", count: 1 << 20) + "\"}"), "too_large", 200),
  ]

  @Test(arguments: hopeless)
  func whatWillNotPassIsNotTriedAgain(step: Backend.Step, error: String, status: Int) async throws {
    try await Self.perform([step]) { outcome, backend, _ in
      #expect(Self.failure(outcome) == Failed(error, status, 1))
      #expect(backend.seen.count == 1)
    }
  }

  @Test func aBackendThatHangsIsATimeout() async throws {
    try await Self.perform(
      [.hang],
      {
        $0.timeout = .milliseconds(20); $0.retry.maxAttempts = 2
      }
    ) { outcome, _, gateway in
      #expect(Self.failure(outcome) == Failed("timeout", 0, 2))
      #expect(
        gateway.metrics.registry.exposition().contains(
          "vg_integration_requests_total{service=\"crm\",method=\"POST\",status=\"0\"} 2\n"))
    }
  }

  @Test func theDialogsTimeoutBoundsAllAttempts() async throws {
    try await Self.perform(
      [.hang], { $0.retry.maxAttempts = 10 }, request: { $0.timeout = .milliseconds(30) }
    ) { outcome, _, _ in
      #expect(Self.failure(outcome) == Failed("timeout", 0, 1))
    }
  }

  @Test func retryAfterIsHonouredWithinBounds() async throws {
    let soon: [Backend.Step] = [.answer(429, "", headers: [("Retry-After", "0")]), .answer(200, "{}")]
    try await Self.perform(soon) { outcome, _, _ in
      guard case .result(_, 200, _, 2) = outcome else { return #expect(Bool(false), "\(outcome)") }
    }
    // Nobody waits an hour on a phone.
    try await Self.perform([.answer(503, "", headers: [("Retry-After", "3600")])]) { outcome, backend, _ in
      #expect(Self.failure(outcome) == Failed("status", 503, 1))
      #expect(backend.seen.count == 1)
    }
  }

  @Test func aBackendThatIsNotThereIsUnreachable() async throws {
    try await Self.perform(
      [.answer(200, "{}")],
      {
        $0.url = "http://127.0.0.1:1"; $0.retry.maxAttempts = 2
      }
    ) { outcome, _, _ in
      #expect(Self.failure(outcome) == Failed("unreachable", 0, 2))
    }
  }

  @Test func credentialsAreSent() async throws {
    let cases: [(IntegrationSettings.Authentication, String, String)] = [
      (.bearer(token: Secret("abc")), "Authorization", "Bearer abc"),
      (.apiKey(header: "X-Key", key: Secret("k")), "X-Key", "k"),
      (.basic(username: "u", password: Secret("p")), "Authorization", "Basic dTpw"),
    ]
    for (auth, header, value) in cases {
      try await Self.perform(
        [.answer(200, "{}")],
        {
          $0.auth = auth
          $0.method = .put
          $0.headers = ["X-Team": Secret("voice")]
        }
      ) { _, backend, _ in
        #expect(backend.seen.first?.headers.first(name: header) == value)
        #expect(backend.seen.first?.headers.first(name: "X-Team") == "voice")
        #expect(backend.seen.first?.method == "PUT")
      }
    }
  }

  @Test func theTargetIsResolved() async throws {
    try await Self.perform([.answer(200, "{}")], request: { $0.url = "/lookup?x=1" }) { _, backend, _ in
      #expect(backend.seen.first?.uri == "/base/lookup?x=1")
    }
    try await Self.perform([.answer(200, "{}")], request: { $0.service = "crn" }) { outcome, backend, _ in
      guard case .failure("unknown_service", 0, let message, _, 0) = outcome else {
        return #expect(Bool(false), "\(outcome)")
      }
      #expect(message == "there is no service `crn`; did you mean `crm`?")
      #expect(backend.seen.isEmpty)
    }
    try await Self.perform([.answer(200, "{}")], request: { $0.path = "/../admin" }) { outcome, backend, _ in
      #expect(Self.failure(outcome)?.error == "refused")
      #expect(backend.seen.isEmpty)
    }
  }

  @Test func aHookMayNameItsMethodAndHeaders() async throws {
    try await Self.perform(
      [.answer(200, "{}")], { $0.headers = ["X-Team": Secret("voice")] },
      request: {
        $0.method = "GET"
        $0.headers = ["X-Team": "sales", "X-Case": "4711"]
      }
    ) { _, backend, gateway in
      let seen = try #require(backend.seen.first)
      #expect(seen.method == "GET" && seen.body.isEmpty)
      #expect(seen.headers.first(name: "X-Team") == "sales" && seen.headers.first(name: "X-Case") == "4711")
      #expect(
        gateway.metrics.registry.exposition().contains(
          "vg_integration_requests_total{service=\"crm\",method=\"GET\",status=\"200\"} 1\n"))
    }
    try await Self.perform([.answer(200, "{}")], request: { $0.method = "DELETE" }) { _, backend, _ in
      #expect(backend.seen.first?.method == "DELETE")
    }
  }

  private static let forbidden = [
    ("Content-Length", "5"), ("Host", "elsewhere"), ("X-Parley-Session", "S2"), ("Mcp-Session-Id", "x"),
    ("Bad Name", "x"),
    ("X-Fine", "two\r\nX-Lines: 1"),
  ]

  @Test(arguments: forbidden)
  func aHookCannotSetEveryHeader(name: String, value: String) async throws {
    try await Self.perform([.answer(200, "{}")], request: { $0.headers = [name: value] }) { outcome, backend, _ in
      #expect(Self.failure(outcome)?.error == "refused")
      #expect(backend.seen.isEmpty)
    }
  }

  @Test(arguments: [
    "/../admin", "..", "/a/..", "/..?x=1", "/..#x", "/%2e%2e/admin", "/.%2E/admin", "/a%2f..%2Fadmin", "/..;x=1/admin",
    "/..%3b/admin", "/..%5cadmin", "/..\\admin",
  ])
  func aHookStaysBelowItsService(path: String) async throws {
    try await Self.perform([.answer(200, "{}")], request: { $0.path = path }) { outcome, backend, _ in
      #expect(Self.failure(outcome)?.error == "refused")
      #expect(backend.seen.isEmpty)
    }
  }

  @Test(arguments: ["/a..b", "/...", "/v1..2/x", "/search?q=/../", "/%2e"])
  func dotsThatLeadNowhereAreFine(path: String) async throws {
    try await Self.perform([.answer(200, "{}")], request: { $0.path = path }) { _, backend, _ in
      #expect(backend.seen.first?.uri == "/base\(path)")
    }
  }

  @Test func aFullURLNeedsNoService() async throws {
    let backend = Backend([.answer(200, "{\"x\":1}")])
    let port = try await backend.start()
    try await Gateway.with { gateway async throws in
      let outcome = await gateway.service.hooks.perform(
        HookRequest(session: SessionID("S1"), service: "", url: "http://127.0.0.1:\(port)/direct", body: [:]))
      guard case .result(["x": 1], 200, _, 1) = outcome else { return #expect(Bool(false), "\(outcome)") }
      #expect(backend.seen.first?.uri == "/direct")
    }
    try await backend.stop()
  }
}
