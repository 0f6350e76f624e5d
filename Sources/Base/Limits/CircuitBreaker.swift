/// Leaves a server alone that has failed many times in a row, and finds out carefully whether it is back. Pure.
///
/// Closed: everything may pass, and failures in a row are counted. Open: nothing may, until `timeout` has passed. Half open: a
/// few requests may try; when all of them succeed it closes, when one fails it opens again.
public struct CircuitBreaker: Sendable, Hashable {
  /// The values that the metric has.
  public enum State: Int, Sendable, Hashable, CaseIterable { case closed = 0, open = 1, halfOpen = 2 }

  public enum Outcome: Sendable, Hashable {
    case success, failure
    /// It says nothing about the server: the caller hung up, the server asked for patience.
    case neither
  }

  /// That one request may be made; to be handed back with its outcome, once.
  public struct Permit: Sendable, Hashable {
    fileprivate var era: UInt64
  }

  private enum Phase: Hashable {
    case closed(failures: Int)
    case open(until: Instant)
    case halfOpen(trying: Int, succeeded: Int)
  }

  private let threshold: Int
  private let timeout: Duration
  private let trials: Int
  private var phase = Phase.closed(failures: 0)
  /// Counts the changes of phase: the outcome of a request that was let through before the last one says nothing new.
  private var era: UInt64 = 0

  /// - Parameters:
  ///   - threshold: failures in a row that open it; at least 1.
  ///   - timeout: how long it stays open.
  ///   - halfOpenRequests: requests that have to succeed before it closes, and that may try at once; at least 1.
  public init(threshold: Int, timeout: Duration, halfOpenRequests: Int) {
    self.threshold = max(1, threshold)
    self.timeout = timeout
    trials = max(1, halfOpenRequests)
  }

  public var state: State {
    switch phase {
    case .closed: .closed
    case .open: .open
    case .halfOpen: .halfOpen
    }
  }

  /// nil: the request must not be made.
  public mutating func admit(at now: Instant) -> Permit? {
    switch phase {
    case .closed: break
    case .open(let until):
      guard now >= until else { return nil }
      change(to: .halfOpen(trying: 1, succeeded: 0))
    case .halfOpen(let trying, let succeeded):
      guard trying + succeeded < trials else { return nil }
      phase = .halfOpen(trying: trying + 1, succeeded: succeeded)
    }
    return Permit(era: era)
  }

  /// What came of the request.
  public mutating func settle(_ permit: Permit, _ outcome: Outcome, at now: Instant) {
    guard permit.era == era else { return }
    switch (phase, outcome) {
    case (.closed, .success): phase = .closed(failures: 0)
    case (.closed(let failures), .failure):
      if failures + 1 >= threshold {
        change(to: .open(until: now + timeout))
      } else {
        phase = .closed(failures: failures + 1)
      }
    case (.halfOpen(let trying, let succeeded), .success):
      if succeeded + 1 >= trials {
        change(to: .closed(failures: 0))
      } else {
        phase = .halfOpen(trying: trying - 1, succeeded: succeeded + 1)
      }
    case (.halfOpen, .failure): change(to: .open(until: now + timeout))
    case (.halfOpen(let trying, let succeeded), .neither): phase = .halfOpen(trying: trying - 1, succeeded: succeeded)
    case (.closed, .neither), (.open, _): break
    }
  }

  /// How long until a request may try again; zero where one may now.
  public func untilTrial(at now: Instant) -> Duration {
    if case .open(let until) = phase { max(.zero, until - now) } else { .zero }
  }

  private mutating func change(to next: Phase) {
    phase = next
    era &+= 1
  }
}
