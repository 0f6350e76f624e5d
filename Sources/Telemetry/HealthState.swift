import NIOConcurrencyHelpers

/// What Kubernetes asks: has it started, is it alive, may calls be sent to it. Shared by the roles; any thread.
public final class HealthState: Sendable {
  /// Why something is not as it should be; nil when it is.
  public typealias Check = @Sendable () -> String?

  /// How one condition stands.
  public struct Condition: Sendable, Hashable {
    public var name: String
    /// nil: all is well.
    public var reason: String?
    /// Whether calls must not be sent here while it is not well. Where not, calls go on and only something beside them is missing.
    public var isVital: Bool
  }

  private struct State {
    var isStarted = false
    var isDraining = false
    var checks: [(name: String, isVital: Bool, check: Check)] = []
  }
  private let state = NIOLockedValueBox(State())

  public init() {}

  /// Everything listens; until then `/startupz` and `/readyz` answer 503.
  public func started() { state.withLockedValue { $0.isStarted = true } }

  /// No new calls, please: `/readyz` answers 503 from now on while `/livez` still says yes.
  public func draining() { state.withLockedValue { $0.isDraining = true } }

  /// Adds a condition of readiness. `check` must return at once.
  public func addReadiness(_ name: String, _ check: @escaping Check) {
    state.withLockedValue { $0.checks.append((name, true, check)) }
  }

  /// Adds a condition that is told and does not make the process unready: calls go on without it. `check` must return at once.
  public func addDegradation(_ name: String, _ check: @escaping Check) {
    state.withLockedValue { $0.checks.append((name, false, check)) }
  }

  /// Whether ``started()`` was called.
  public var isStarted: Bool { state.withLockedValue { $0.isStarted } }

  /// Whether ``draining()`` was called.
  public var isDraining: Bool { state.withLockedValue { $0.isDraining } }

  /// Everything that was ever asked for, in the order in which it was added.
  public var conditions: [Condition] {
    let state = state.withLockedValue { $0 }
    return [
      Condition(name: "start", reason: state.isStarted ? nil : "not complete", isVital: true),
      Condition(name: "drain", reason: state.isDraining ? "the process is stopping" : nil, isVital: true),
    ]
      + state.checks.map { Condition(name: $0.name, reason: $0.check(), isVital: $0.isVital) }
  }

  /// `name: sentence` for everything that is not ready; empty: ready.
  public var notReady: [String] {
    conditions.compactMap { condition in condition.isVital ? condition.reason.map { "\(condition.name): \($0)" } : nil }
  }

  /// What `/readyz` answers.
  /// - Parameter isVerbose: every condition has a line, as Kubernetes' own `?verbose` has.
  /// - Returns: a first line `ok`, or one line for each reason why not; then what only degrades.
  func readiness(isVerbose: Bool) -> (isReady: Bool, text: String) {
    let conditions = conditions
    let isReady = !conditions.contains { $0.isVital && $0.reason != nil }
    var lines: [String] = []
    if isVerbose {
      lines = conditions.map { condition in
        guard let reason = condition.reason else { return "[+]\(condition.name) ok" }
        return condition.isVital ? "[-]\(condition.name) failed: \(reason)" : "[!]\(condition.name) degraded: \(reason)"
      }
      lines.append(isReady ? "readyz check passed" : "readyz check failed")
    } else {
      let reasons = conditions.filter { $0.isVital }.compactMap { condition in
        condition.reason.map { "\(condition.name): \($0)" }
      }
      let degraded = conditions.filter { !$0.isVital }.compactMap { condition in
        condition.reason.map { "degraded: \(condition.name): \($0)" }
      }
      lines = (isReady ? ["ok"] : reasons) + degraded
    }
    return (isReady, lines.joined(separator: "\n") + "\n")
  }
}
