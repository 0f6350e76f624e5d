import AsyncHTTPClient
import Base
import CallLink
import NIOCore
import NIOHTTP1
import Outbound
import Settings

/// Why one attempt at a hook gave no usable answer.
struct HookFailure: Error, Sendable {
  /// A code of ``HookOutcome``.
  var error: String
  var status = 0
  var message: String
  var mayRetry = false
  var retryAfter: Duration?

  init(_ error: String, status: Int = 0, _ message: String, mayRetry: Bool = false, retryAfter: Duration? = nil) {
    self.error = error
    self.status = status
    self.message = message
    self.mayRetry = mayRetry
    self.retryAfter = retryAfter
  }

  /// What an error of the HTTP client means for the service `label`.
  init(_ error: any Error, _ label: String) {
    if let failure = error as? HookFailure {
      self = failure
      return
    }
    let failure = OutboundError(error, host: label)
    switch failure.kind {
    case .timeout: self.init("timeout", "\(label) gave no answer in time", mayRetry: true)
    case .cancelled: self.init("timeout", "\(label) was not waited for")
    case .invalidURL, .refused, .failed, .untrusted: self.init("refused", "\(label): \(failure)")
    case .unresolved, .unreachable, .closed:
      self.init("unreachable", "\(label) cannot be reached: \(failure)", mayRetry: true)
    }
  }

  /// An answer of another status than 2xx.
  init(_ response: HTTPClientResponse, _ label: String) {
    let status = Int(response.status.code)
    let isBusy = status == 429 || status >= 500
    let seconds = response.headers.first(name: "Retry-After").flatMap { Int64($0) }.flatMap { $0 >= 0 ? $0 : nil }
    self.init(
      "status", status: status, "\(label) answered \(status)", mayRetry: isBusy,
      retryAfter: isBusy ? seconds.map { .seconds(min($0, 86_400)) } : nil)
  }
}

extension HookFailure {
  /// Whether an attempt was made at all.
  var wasSent: Bool { error != "circuit_open" && error != "rate_limited" }

  /// What the failure says about the service. What cannot be passed is our own affair; a backend that says no is alive.
  var evidence: CircuitBreaker.Outcome {
    switch error {
    case "timeout", "unreachable": mayRetry ? .failure : .neither
    case "status": status >= 500 ? .failure : status == 429 ? .neither : .success
    case "invalid_answer", "too_large", "tool_error": .success
    default: .neither
    }
  }
}

extension HTTPClientResponse {
  /// The whole body, which must not be larger than `limit`.
  func bytes(upTo limit: Int, _ label: String) async throws -> [UInt8] {
    let tooLarge = HookFailure(
      "too_large", status: Int(status.code), "\(label) answered with more than \(limit) bytes")
    if let text = headers.first(name: "Content-Length"), let length = Int(text), length > limit { throw tooLarge }
    var bytes: [UInt8] = []
    for try await part in body {
      bytes += part.readableBytesView
      if bytes.count > limit { throw tooLarge }
    }
    return bytes
  }
}

/// Waits for `body` no longer than `limit`; then it is cancelled.
func within<Answer: Sendable>(
  _ limit: Duration, _ label: String, _ body: @escaping @Sendable () async throws -> Answer
) async -> Result<Answer, HookFailure> {
  await withTaskGroup(of: Result<Answer, HookFailure>?.self) { group in
    group.addTask {
      do { return .success(try await body()) } catch { return .failure(HookFailure(error, label)) }
    }
    group.addTask {
      do { try await Task.sleep(for: limit) } catch { return nil }
      return .failure(HookFailure("timeout", "\(label) gave no answer in time", mayRetry: true))
    }
    var first: Result<Answer, HookFailure>?
    while first == nil, let next = await group.next() { first = next }
    group.cancelAll()
    return first ?? .failure(HookFailure("timeout", "\(label) was not waited for"))
  }
}
