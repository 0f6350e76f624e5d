import AsyncHTTPClient
import Base
import CallLink
import Logging
import NIOCore
import NIOHTTP1
import Outbound
import Settings
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
  private let client: OutboundClient
  private let metrics: VoiceMetrics
  private let logger: Logger
  private let tools: MCPClient

  init(settings: IntegrationSettings, client: OutboundClient, metrics: VoiceMetrics, logger: Logger) {
    self.settings = settings
    self.client = client
    self.metrics = metrics
    self.logger = logger
    tools = MCPClient(client: client, metrics: metrics, logger: logger)
  }

  func perform(_ request: HookRequest) async -> HookOutcome {
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
      switch await tools.perform(request, target, timeout: limit) {
      case .success(let value): return .result(value, status: 200, durationMs: elapsed(start), attempts: 1)
      case .failure(let failure):
        log(failure, request, target, attempt: 1)
        return failed(failure, attempts: 1)
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
    while true {
      attempt += 1
      let left = end - Instant.monotonic()
      guard left > .zero else {
        return failed(HookFailure("timeout", "\(target.label) gave no answer in time"), attempts: attempt - 1)
      }
      if attempt > 1 { metrics.integrationRetries.with(target.label).add() }
      switch await tryOnce(target, message, timeout: min(attemptTimeout, left)) {
      case .success((let value, let status)):
        return .result(value, status: status, durationMs: elapsed(start), attempts: attempt)
      case .failure(let failure):
        log(failure, request, target, attempt: attempt)
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
    _ target: HookTarget, _ message: Message, timeout: Duration
  ) async -> Result<(Value, Int), HookFailure> {
    let began = Instant.monotonic()
    let attempt = await within(timeout, target.label) {
      try await self.exchange(target, message, timeout: timeout)
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
    _ target: HookTarget, _ message: Message, timeout: Duration
  ) async throws -> (Value, Int) {
    var request = HTTPClientRequest(url: target.url)
    request.method = HTTPMethod(rawValue: message.method)
    request.headers.add(name: "Accept", value: "application/json")
    request.headers.add(name: "User-Agent", value: "Parley")
    request.headers.add(name: "X-Parley-Session", value: message.session.value)
    request.headers.add(name: "Idempotency-Key", value: message.key)
    // GET and DELETE ask by their path alone (RFC 9110, sections 9.3.1 and 9.3.5).
    if message.method != "GET", message.method != "DELETE" {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: message.body))
    }
    request.authorize(as: target.service)
    for (name, value) in message.headers { request.headers.replaceOrAdd(name: name, value: value) }
    let response = try await client.execute(request, timeout: timeout)
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

/// Where a hook goes.
struct HookTarget: Sendable {
  var service: IntegrationSettings.Service
  var url: String
  /// The service's name in metrics and sentences; `url` for a full URL.
  var label: String

  static func find(_ request: HookRequest, _ settings: IntegrationSettings) -> Result<HookTarget, HookFailure> {
    if let problem = headerProblem(request.headers) { return .failure(HookFailure("refused", problem)) }
    let isFull = request.url.hasPrefix("http://") || request.url.hasPrefix("https://")
    if isFull, request.service.isEmpty {
      return .success(HookTarget(service: .init(url: request.url), url: request.url, label: "url"))
    }
    guard !isFull else {
      return .failure(HookFailure("refused", "a hook takes a service or a full URL, not both"))
    }
    guard let service = settings.services[request.service] else {
      let near = nearest(to: request.service, in: settings.services.keys.sorted()).map { "; did you mean `\($0)`?" }
      return .failure(
        HookFailure(
          "unknown_service",
          request.service.isEmpty
            ? "the hook names no service" : "there is no service `\(request.service)`" + (near ?? "")))
    }
    switch (request.kind, service.type) {
    case (.http, .http): break
    case (.listTools, .mcp), (.callTool, .mcp):
      return .success(HookTarget(service: service, url: service.url, label: request.service))
    case (.http, .mcp):
      return .failure(HookFailure("refused", "`\(request.service)` is a server of tools, not a backend for hooks"))
    case (.listTools, .http), (.callTool, .http):
      return .failure(HookFailure("refused", "`\(request.service)` is no server of tools (type mcp)"))
    }
    let path = request.url.isEmpty ? request.path : request.url
    guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      return .failure(HookFailure("refused", "the hook's path holds characters that no URL has"))
    }
    // A path must stay below the service's URL.
    guard !path.split(separator: "/").contains("..") else {
      return .failure(HookFailure("refused", "the hook's path leaves the service"))
    }
    var base = Substring(service.url)
    while base.hasSuffix("/") { base.removeLast() }
    let url = path.isEmpty ? String(base) : path.hasPrefix("/") ? base + path : "\(base)/\(path)"
    return .success(HookTarget(service: service, url: url, label: request.service))
  }

  /// A dialog may add headers, but not frame the message, pretend to be another session, or break out of its line.
  private static func headerProblem(_ headers: [String: String]) -> String? {
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) {
      guard IntegrationSettings.isHeaderName(name), !reserved.contains(name.lowercased()) else {
        return "a hook cannot set the header `\(name)`"
      }
      guard IntegrationSettings.isHeaderValue(value) else { return "the hook's header `\(name)` has no valid value" }
    }
    return nil
  }

  private static let reserved: Set<String> = ["x-parley-session", "idempotency-key", "mcp-session-id"]
}
