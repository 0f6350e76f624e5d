import AsyncHTTPClient
import Base
import CallLink
import Logging
import NIOCore
import NIOHTTP1
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
  /// Connections to one host at once; more hooks wait for one within their timeout.
  static let connectionsPerHost = 64

  private let settings: IntegrationSettings
  private let client: HTTPClient
  private let metrics: VoiceMetrics
  private let logger: Logger

  static func makeHTTPClient(group: any EventLoopGroup) -> HTTPClient {
    var configuration = HTTPClient.Configuration()
    // An answer that leads elsewhere would carry the caller's data and our credentials there.
    configuration.redirectConfiguration = .disallow
    configuration.timeout = .init(connect: .seconds(10))
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHost
    // Attempts are counted and spaced here, so that their number and their time are those of the configuration.
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.httpVersion = .http1Only
    return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
  }

  init(settings: IntegrationSettings, client: HTTPClient, metrics: VoiceMetrics, logger: Logger) {
    self.settings = settings
    self.client = client
    self.metrics = metrics
    self.logger = logger
  }

  func perform(_ request: HookRequest) async -> HookOutcome {
    let start = Instant.monotonic()
    func failed(_ error: String, _ message: String) -> HookOutcome {
      .failure(error: error, status: 0, message: message, durationMs: elapsed(start), attempts: 0)
    }
    let target: HookTarget
    switch HookTarget.find(request, settings) {
    case .success(let found): target = found
    case .failure(let problem): return failed(problem.error, problem.message)
    }
    let attempts = target.service.retry.maxAttempts ?? settings.maxRetries + 1
    let attemptTimeout = request.timeout ?? target.service.timeout ?? settings.defaultTimeout
    // A dialog's own timeout is what its caller waits, retries included.
    let total = min(request.timeout ?? Self.totalLimit, Self.totalLimit)
    let end = start + total
    let body = JSON.encode(request.body)
    var random = SeededRandom.fromSystem()
    let key = random.token(24)
    var backoff = target.service.retry.initialBackoff

    var attempt = 0
    while true {
      attempt += 1
      let left = end - Instant.monotonic()
      guard left > .zero else { return timedOut(target, start, attempt - 1) }
      if attempt > 1 { metrics.integrationRetries.with(target.label).add() }
      let result = await tryOnce(target, body, session: request.session, key: key, timeout: min(attemptTimeout, left))
      switch result {
      case .answer(let value, let status):
        return .result(value, status: status, durationMs: elapsed(start), attempts: attempt)
      case .failure(let failure):
        logger.debug(
          "a hook failed",
          metadata: [
            "session_id": "\(request.session)", "service": "\(target.label)", "error": "\(failure.error)",
            "status": "\(failure.status)", "attempt": "\(attempt)",
          ])
        func giveUp() -> HookOutcome {
          .failure(
            error: failure.error, status: failure.status, message: failure.message, durationMs: elapsed(start),
            attempts: attempt)
        }
        guard failure.mayRetry, attempt < attempts, !Task.isCancelled else { return giveUp() }
        // Half of the wait is chance, so that calls that failed together do not come back together.
        let jittered = backoff * (0.5 + Double(random.next() >> 11) / Double(1 << 53) / 2)
        let wait = max(jittered, failure.retryAfter ?? .zero)
        guard wait <= Self.retryAfterLimit, Instant.monotonic() + wait < end else { return giveUp() }
        do { try await Task.sleep(for: wait) } catch { return giveUp() }
        backoff = min(backoff * target.service.retry.backoffMultiplier, target.service.retry.maxBackoff)
      }
    }
  }

  private func timedOut(_ target: HookTarget, _ start: Instant, _ attempts: Int) -> HookOutcome {
    .failure(
      error: "timeout", status: 0, message: "\(target.label) gave no answer in time", durationMs: elapsed(start),
      attempts: attempts)
  }

  private func elapsed(_ start: Instant) -> Int { Int((Instant.monotonic() - start).milliseconds) }

  // MARK: One attempt

  private struct Failure: Sendable {
    var error: String
    var status = 0
    var message: String
    var mayRetry = false
    var retryAfter: Duration?
  }

  private enum Attempt: Sendable {
    case answer(Value, status: Int)
    case failure(Failure)
  }

  private func tryOnce(
    _ target: HookTarget, _ body: String, session: SessionID, key: String, timeout: Duration
  ) async -> Attempt {
    let began = Instant.monotonic()
    let attempt: Attempt = await withTaskGroup(of: Attempt?.self) { group in
      group.addTask { await self.exchange(target, body, session: session, key: key, timeout: timeout) }
      group.addTask {
        do { try await Task.sleep(for: timeout) } catch { return nil }
        return .failure(Failure(error: "timeout", message: "\(target.label) gave no answer in time", mayRetry: true))
      }
      var first: Attempt?
      while first == nil, let next = await group.next() { first = next }
      group.cancelAll()
      return first ?? .failure(Failure(error: "timeout", message: "\(target.label) was not waited for"))
    }
    let status: Int
    switch attempt {
    case .answer(_, let answered): status = answered
    case .failure(let failure): status = failure.status
    }
    let method = target.service.method.rawValue
    metrics.integrationRequests.with(target.label, method, String(status)).add()
    metrics.integrationLatency.with(target.label, method).observe(Instant.monotonic() - began)
    return attempt
  }

  private func exchange(
    _ target: HookTarget, _ body: String, session: SessionID, key: String, timeout: Duration
  ) async -> Attempt {
    var request = HTTPClientRequest(url: target.url)
    request.method = HTTPMethod(rawValue: target.service.method.rawValue)
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "Accept", value: "application/json")
    request.headers.add(name: "User-Agent", value: "Parley")
    request.headers.add(name: "X-Parley-Session", value: session.value)
    // The same for every attempt: a backend that did act on one whose answer was lost can tell.
    request.headers.add(name: "Idempotency-Key", value: key)
    for (name, value) in target.service.headers { request.headers.replaceOrAdd(name: name, value: value.reveal()) }
    switch target.service.auth {
    case .none: break
    case .bearer(let token): request.headers.replaceOrAdd(name: "Authorization", value: "Bearer \(token.reveal())")
    case .apiKey(let header, let key): request.headers.replaceOrAdd(name: header, value: key.reveal())
    case .basic(let username, let password): request.setBasicAuth(username: username, password: password.reveal())
    }
    request.body = .bytes(ByteBuffer(string: body))
    do {
      let response = try await client.execute(request, timeout: .nanoseconds(timeout.nanoseconds))
      return try await read(response, target)
    } catch let error as HTTPClientError where Self.timeouts.contains(error) {
      return .failure(Failure(error: "timeout", message: "\(target.label) gave no answer in time", mayRetry: true))
    } catch let error as HTTPClientError where Self.refusals.contains(error) {
      return .failure(Failure(error: "refused", message: "\(target.label): \(error.shortDescription)"))
    } catch is CancellationError {
      return .failure(Failure(error: "timeout", message: "\(target.label) was not waited for"))
    } catch {
      return .failure(Failure(error: "unreachable", message: "\(target.label) cannot be reached", mayRetry: true))
    }
  }

  private static let timeouts: [HTTPClientError] = [
    .connectTimeout, .readTimeout, .writeTimeout, .deadlineExceeded, .getConnectionFromPoolTimeout,
    .tlsHandshakeTimeout,
  ]
  private static let refusals: [HTTPClientError] = [.invalidURL, .emptyHost, .emptyScheme, .alreadyShutdown]

  private func read(_ response: HTTPClientResponse, _ target: HookTarget) async throws -> Attempt {
    let status = Int(response.status.code)
    guard (200..<300).contains(status) else {
      let isBusy = status == 429 || status >= 500
      let seconds = response.headers.first(name: "Retry-After").flatMap { Int64($0) }.flatMap { $0 >= 0 ? $0 : nil }
      return .failure(
        Failure(
          error: "status", status: status, message: "\(target.label) answered \(status)", mayRetry: isBusy,
          retryAfter: isBusy ? seconds.map { .seconds(min($0, 86_400)) } : nil))
    }
    func invalid(_ error: String, _ message: String) -> Attempt {
      .failure(Failure(error: error, status: status, message: "\(target.label) \(message)"))
    }
    let tooLarge = "answered with more than \(Self.answerBytes) bytes"
    if let text = response.headers.first(name: "Content-Length"), let length = Int(text), length > Self.answerBytes {
      return invalid("too_large", tooLarge)
    }
    var bytes: [UInt8] = []
    for try await part in response.body {
      bytes += part.readableBytesView
      if bytes.count > Self.answerBytes { return invalid("too_large", tooLarge) }
    }
    if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }) {
      return .answer([:], status: status)
    }
    do {
      let value = try JSON.decode(bytes)
      guard case .map = value else { return invalid("invalid_answer", "answered JSON that is no object") }
      return .answer(value, status: status)
    } catch {
      return invalid("invalid_answer", "answered no JSON: \(error)")
    }
  }
}

/// Where a hook goes.
struct HookTarget: Sendable {
  /// Why there is nowhere to go.
  struct Problem: Error, Sendable {
    var error: String
    var message: String
  }

  var service: IntegrationSettings.Service
  var url: String
  /// The service's name in metrics and sentences; `url` for a full URL.
  var label: String

  static func find(_ request: HookRequest, _ settings: IntegrationSettings) -> Result<HookTarget, Problem> {
    let isFull = request.url.hasPrefix("http://") || request.url.hasPrefix("https://")
    if isFull, request.service.isEmpty {
      return .success(HookTarget(service: .init(url: request.url), url: request.url, label: "url"))
    }
    guard !isFull else {
      return .failure(Problem(error: "refused", message: "a hook takes a service or a full URL, not both"))
    }
    guard let service = settings.services[request.service] else {
      let near = nearest(to: request.service, in: settings.services.keys.sorted()).map { "; did you mean `\($0)`?" }
      return .failure(
        Problem(
          error: "unknown_service",
          message: request.service.isEmpty
            ? "the hook names no service" : "there is no service `\(request.service)`" + (near ?? "")))
    }
    let path = request.url.isEmpty ? request.path : request.url
    guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      return .failure(Problem(error: "refused", message: "the hook's path holds characters that no URL has"))
    }
    // A path must stay below the service's URL.
    guard !path.split(separator: "/").contains("..") else {
      return .failure(Problem(error: "refused", message: "the hook's path leaves the service"))
    }
    var base = Substring(service.url)
    while base.hasSuffix("/") { base.removeLast() }
    let url = path.isEmpty ? String(base) : path.hasPrefix("/") ? base + path : "\(base)/\(path)"
    return .success(HookTarget(service: service, url: url, label: request.service))
  }
}
