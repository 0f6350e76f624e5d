import Base
import NIOConcurrencyHelpers
import Settings
import Telemetry

/// What stands before a service's attempts: its circuit breaker and its rate limit. One for all calls. Safe to use from any
/// thread.
final class ServiceGate: Sendable {
  /// That one attempt may be made; to be handed back with its outcome.
  struct Pass: Sendable {
    fileprivate var service: String
    fileprivate var permit: CircuitBreaker.Permit?
  }

  private struct Service {
    var breaker: CircuitBreaker?
    var bucket: TokenBucket?
  }

  private let services: NIOLockedValueBox<[String: Service]>
  private let metrics: VoiceMetrics
  private let clock: @Sendable () -> Instant

  init(_ settings: IntegrationSettings, metrics: VoiceMetrics, clock: @escaping @Sendable () -> Instant) {
    self.metrics = metrics
    self.clock = clock
    var services: [String: Service] = [:]
    for (name, service) in settings.services {
      let breaker = service.circuitBreaker, limit = service.rateLimit
      var gate = Service()
      if breaker.threshold > 0 {
        gate.breaker = CircuitBreaker(
          threshold: breaker.threshold, timeout: breaker.timeout, halfOpenRequests: breaker.halfOpenRequests)
        metrics.integrationCircuitBreaker.with(name).set(0)
      }
      if limit.requestsPerSecond > 0 {
        let burst = limit.burst ?? Int(limit.requestsPerSecond.rounded(.up))
        gate.bucket = TokenBucket(perSecond: limit.requestsPerSecond, burst: burst)
      }
      services[name] = gate
    }
    self.services = NIOLockedValueBox(services)
  }

  /// Waits for the rate limit, at most `limit`.
  /// - Throws: `circuit_open`, at once, or `rate_limited`.
  func enter(_ service: String, limit: Duration) async throws(HookFailure) -> Pass {
    let start = clock()
    let permit: CircuitBreaker.Permit? = try change(service) { gate, now throws(HookFailure) in
      guard gate.breaker != nil else { return nil }
      if let permit = gate.breaker?.admit(at: now) { return permit }
      let seconds = ((gate.breaker?.untilTrial(at: now) ?? .zero).milliseconds + 999) / 1000
      throw HookFailure(
        "circuit_open", "\(service) has failed too often and is left alone\(seconds > 0 ? " for \(seconds) s" : "")")
    }
    let pass = Pass(service: service, permit: permit)
    while true {
      let wait = change(service) { gate, now in gate.bucket?.take(at: now) }
      guard let wait else { return pass }
      do {
        guard clock() + wait - start <= limit else {
          throw HookFailure("rate_limited", "\(service) is asked more often than its rate_limit allows")
        }
        try await Task.sleep(for: wait)
      } catch {
        leave(pass, .neither)
        throw error as? HookFailure ?? HookFailure("timeout", "\(service) was not waited for")
      }
    }
  }

  func leave(_ pass: Pass, _ outcome: CircuitBreaker.Outcome) {
    guard let permit = pass.permit else { return }
    change(pass.service) { gate, now in gate.breaker?.settle(permit, outcome, at: now) }
  }

  private func change<Result, Failure: Error>(
    _ service: String, _ body: (inout Service, Instant) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let now = clock()
    let (result, state) = services.withLockedValue {
      services -> (Swift.Result<Result, Failure>, changed: CircuitBreaker.State?) in
      var gate = services[service] ?? Service()
      let before = gate.breaker?.state
      let result: Swift.Result<Result, Failure>
      do throws(Failure) { result = .success(try body(&gate, now)) } catch { result = .failure(error) }
      if services[service] != nil { services[service] = gate }
      return (result, gate.breaker?.state == before ? nil : gate.breaker?.state)
    }
    if let state { metrics.integrationCircuitBreaker.with(service).set(state.rawValue) }
    return try result.get()
  }
}
