import AsyncHTTPClient
import Base
import CallLink
import Logging
import NIOCore
import NIOHTTP1
import Outbound
import Settings
import Storage
import Telemetry

/// Asks the customer's backends: one POST per attempt, JSON in and out, with the service's timeout, retries and credentials.
final class HookClient: IntegrationHop {
  /// The largest answer that is read.
  static let answerBytes = 1 << 20
  /// The longest that one hook may take with all its attempts: nobody waits longer on a phone.
  static let totalLimit: Duration = .seconds(120)
  /// The longest `Retry-After` that is waited for.
  static let retryAfterLimit: Duration = .seconds(30)

  private let settings: IntegrationSettings
  private let client: ServiceClient
  private let gate: ServiceGate
  private let metrics: VoiceMetrics
  private let logger: Logger
  private let tools: MCPClient
  private let audit: AuditLog?
  private let redactor: Redactor
  private let tracer: Tracer

  /// - Parameters:
  ///   - audit: is told of every hook, without secrets; nil: nobody is.
  ///   - redactor: of what the audit log is told.
  init(
    settings: IntegrationSettings, outbound: OutboundClient, audit: AuditLog?, redactor: Redactor,
    clock: @escaping @Sendable () -> Instant, metrics: VoiceMetrics, tracer: Tracer, logger: Logger
  ) {
    self.tracer = tracer
    self.settings = settings
    self.audit = audit
    self.redactor = redactor
    self.metrics = metrics
    self.logger = logger
    client = ServiceClient(outbound: outbound, wallClock: WallClock.nowMilliseconds)
    gate = ServiceGate(settings, metrics: metrics, clock: clock)
    tools = MCPClient(client: client, metrics: metrics, logger: logger)
  }

  func services(toldOf moment: CallMoment) -> [CallMomentService] {
    let event: IntegrationSettings.CallEvent =
      switch moment {
      case .start: .callStart
      case .end: .callEnd
      }
    return settings.services.filter { $0.value.events.contains(event) }.sorted { $0.key < $1.key }.map {
      CallMomentService(name: $0.key, timeout: $0.value.timeout ?? settings.defaultTimeout)
    }
  }

  func perform(_ request: HookRequest) async -> HookOutcome {
    let outcome = await ask(request)
    audit?.record(
      AuditRecord(request, outcome, settings, redactor: redactor, atMs: WallClock.nowMilliseconds()))
    return outcome
  }

  private func ask(_ request: HookRequest) async -> HookOutcome {
    let start = Instant.monotonic()
    func failed(_ failure: HookFailure, attempts: Int = 0) -> HookOutcome {
      .failure(
        error: failure.error, status: failure.status, message: failure.message, durationMs: elapsed(start),
        attempts: attempts)
    }
    let target: HookTarget
    switch HookTarget.find(request, settings) {
    case .success(let found): target = found
    case .failure(let problem): return failed(problem)
    }
    let attemptTimeout = request.timeout ?? target.service.timeout ?? settings.defaultTimeout
    if target.service.type == .mcp {
      let limit = min(attemptTimeout, Self.totalLimit)
      let outcome = await passing(target, limit: limit) { limit in
        await self.traced(request, target, attempt: 1) { _ in
          await self.tools.perform(request, target, timeout: limit).map { ($0, 200) }
        }.map(\.0)
      }
      switch outcome {
      case .success(let value): return .result(value, status: 200, durationMs: elapsed(start), attempts: 1)
      case .failure(let failure):
        log(failure, request, target, attempt: 1)
        return failed(failure, attempts: failure.wasSent ? 1 : 0)
      }
    }
    let attempts = target.service.retry.maxAttempts ?? settings.maxRetries + 1
    // A dialog's own timeout is what its caller waits, retries included.
    let total = min(request.timeout ?? Self.totalLimit, Self.totalLimit)
    let end = start + total
    let message = Message(request, target)
    var random = SeededRandom.fromSystem()
    var backoff = target.service.retry.initialBackoff

    var attempt = 0
    var earlier: HookFailure?
    while true {
      attempt += 1
      let left = end - Instant.monotonic()
      guard left > .zero else {
        return failed(HookFailure("timeout", "\(target.label) gave no answer in time"), attempts: attempt - 1)
      }
      let number = attempt
      let outcome = await passing(target, limit: min(attemptTimeout, left)) { limit in
        if number > 1 { self.metrics.integrationRetries.with(target.label).add() }
        return await self.traced(request, target, attempt: number) { headers in
          await self.tryOnce(target, message, trace: headers, timeout: limit)
        }
      }
      switch outcome {
      case .success((let value, let status)):
        return .result(value, status: status, durationMs: elapsed(start), attempts: attempt)
      case .failure(let failure):
        log(failure, request, target, attempt: attempt)
        // What the service itself did wrong says more than that it is not asked any more.
        guard failure.wasSent else { return failed(earlier ?? failure, attempts: attempt - 1) }
        earlier = failure
        guard failure.mayRetry, attempt < attempts, !Task.isCancelled else { return failed(failure, attempts: attempt) }
        // Half of the wait is chance, so that calls that failed together do not come back together.
        let jittered = backoff * (0.5 + Double(random.next() >> 11) / Double(1 << 53) / 2)
        let wait = max(jittered, failure.retryAfter ?? .zero)
        guard wait <= Self.retryAfterLimit, Instant.monotonic() + wait < end else {
          return failed(failure, attempts: attempt)
        }
        do { try await Task.sleep(for: wait) } catch { return failed(failure, attempts: attempt) }
        backoff = min(backoff * target.service.retry.backoffMultiplier, target.service.retry.maxBackoff)
      }
    }
  }

  private func log(_ failure: HookFailure, _ request: HookRequest, _ target: HookTarget, attempt: Int) {
    logger.debug(
      "a hook failed",
      metadata: [
        "session_id": "\(request.session)", "service": "\(target.label)", "error": "\(failure.error)",
        "status": "\(failure.status)", "attempt": "\(attempt)",
      ])
  }

  private func elapsed(_ start: Instant) -> Int { Int((Instant.monotonic() - start).milliseconds) }

  // MARK: One attempt

  /// One attempt, where the service's circuit breaker and rate limit let it pass.
  private func passing<Answer: Sendable>(
    _ target: HookTarget, limit: Duration,
    _ attempt: @Sendable (_ limit: Duration) async -> Result<Answer, HookFailure>
  ) async -> Result<Answer, HookFailure> {
    let start = Instant.monotonic()
    let pass: ServiceGate.Pass
    do { pass = try await gate.enter(target.label, limit: limit) } catch { return .failure(error) }
    let outcome = await attempt(max(.milliseconds(1), limit - (Instant.monotonic() - start)))
    switch outcome {
    case .success: gate.leave(pass, .success)
    case .failure(let failure): gate.leave(pass, failure.evidence)
    }
    return outcome
  }

  /// One attempt as a span of the call's trace, where it has one.
  private func traced(
    _ request: HookRequest, _ target: HookTarget, attempt: Int,
    _ body: @Sendable (_ headers: [(name: String, value: String)]) async -> Result<(Value, Int), HookFailure>
  ) async -> Result<(Value, Int), HookFailure> {
    guard let parent = TraceContext(traceparent: request.traceparent, tracestate: [request.tracestate]) else {
      return await body([])
    }
    var span = OutgoingSpan(
      "hook", below: parent, tracer,
      [
        "session_id": .string(request.session.value), "service": .string(target.label), "attempt": .int(Int64(attempt)),
        "dialog_name": request.body["dialog_name"] ?? "",
      ])
    defer { span.end() }
    let outcome = await body(span.headers)
    switch outcome {
    case .success((_, let status)): span.answered(status)
    case .failure(let failure):
      if failure.status > 0 { span.answered(failure.status) }
      span.failed(failure.error)
    }
    return outcome
  }

  /// What every attempt sends alike.
  private struct Message: Sendable {
    var method: String
    var body: String
    var headers: [String: String]
    var session: SessionID
    /// A backend that did act on an attempt whose answer was lost can tell.
    var key: String

    init(_ request: HookRequest, _ target: HookTarget) {
      method = request.method.isEmpty ? target.service.method.rawValue : request.method
      body = JSON.encode(request.body)
      headers = request.headers
      session = request.session
      var random = SeededRandom.fromSystem()
      key = random.token(24)
    }
  }

  private func tryOnce(
    _ target: HookTarget, _ message: Message, trace: [(name: String, value: String)], timeout: Duration
  ) async -> Result<(Value, Int), HookFailure> {
    let began = Instant.monotonic()
    let attempt = await within(timeout, target.label) {
      try await self.exchange(target, message, trace: trace, timeout: timeout)
    }
    let status: Int
    switch attempt {
    case .success((_, let answered)): status = answered
    case .failure(let failure): status = failure.status
    }
    metrics.integrationRequests.with(target.label, message.method, String(status)).add()
    metrics.integrationLatency.with(target.label, message.method).observe(Instant.monotonic() - began)
    return attempt
  }

  private func exchange(
    _ target: HookTarget, _ message: Message, trace: [(name: String, value: String)], timeout: Duration
  ) async throws -> (Value, Int) {
    var request = HTTPClientRequest(url: target.url)
    request.method = HTTPMethod(rawValue: message.method)
    request.headers.add(name: "Accept", value: "application/json")
    request.headers.add(name: "User-Agent", value: "Parley")
    request.headers.add(name: "X-Parley-Session", value: message.session.value)
    request.headers.add(name: "Idempotency-Key", value: message.key)
    for (name, value) in trace { request.headers.add(name: name, value: value) }
    // GET and DELETE ask by their path alone (RFC 9110, sections 9.3.1 and 9.3.5).
    let hasBody = message.method != "GET" && message.method != "DELETE"
    if hasBody { request.headers.add(name: "Content-Type", value: "application/json") }
    let response = try await client.send(
      request, body: hasBody ? message.body : nil, headers: message.headers, to: target, timeout: timeout)
    let status = Int(response.status.code)
    guard (200..<300).contains(status) else { throw HookFailure(response, target.label) }
    let bytes = try await response.bytes(upTo: Self.answerBytes, target.label)
    if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }) { return ([:], status) }
    do {
      let value = try JSON.decode(bytes)
      if case .map = value { return (value, status) }
    } catch {
      throw HookFailure("invalid_answer", status: status, "\(target.label) answered no JSON: \(error)")
    }
    throw HookFailure("invalid_answer", status: status, "\(target.label) answered JSON that is no object")
  }
}
