import NIOConcurrencyHelpers

/// What Kubernetes asks: has it started, is it alive, may calls be sent to it. Shared by the roles; any thread.
public final class HealthState: Sendable {
  /// Why something is not ready; nil when it is.
  public typealias Check = @Sendable () -> String?

  private struct State {
    var isStarted = false
    var isDraining = false
    var checks: [(name: String, check: Check)] = []
  }
  private let state = NIOLockedValueBox(State())

  public init() {}

  /// Everything listens; until then `/startupz` and `/readyz` answer 503.
  public func started() { state.withLockedValue { $0.isStarted = true } }

  /// No new calls, please: `/readyz` answers 503 from now on while `/livez` still says yes.
  public func draining() { state.withLockedValue { $0.isDraining = true } }

  /// Adds a condition of readiness. `check` must return at once.
  public func addReadiness(_ name: String, _ check: @escaping Check) {
    state.withLockedValue { $0.checks.append((name, check)) }
  }

  /// Whether ``started()`` was called.
  public var isStarted: Bool { state.withLockedValue { $0.isStarted } }

  /// `name: sentence` for everything that is not ready; empty: ready.
  public var notReady: [String] {
    let state = state.withLockedValue { $0 }
    var reasons: [String] = []
    if !state.isStarted { reasons.append("start: not complete") }
    if state.isDraining { reasons.append("drain: the process is stopping") }
    for (name, check) in state.checks {
      if let reason = check() { reasons.append("\(name): \(reason)") }
    }
    return reasons
  }
}
