import Base

/// Decides when Kubernetes is told how many calls a pod holds (its annotation `controller.kubernetes.io/pod-deletion-cost`), so that
/// scaling down takes empty pods first. Pure: numbers, outcomes and `now` in, what to tell out; one request is under way at a time.
package struct DeletionCost: Sendable {
  /// Between two requests: the API server is everybody's, and whoever scales down looks less often.
  package static let interval: Duration = .seconds(10)
  /// After a failure; doubled for each that follows, up to ``longestPause``.
  package static let firstPause: Duration = .seconds(10)
  package static let longestPause: Duration = .seconds(300)

  /// What the annotation says; nil: nobody can tell. A container that is started anew in its pod finds the last one's number.
  private var told: Int?
  private var underWay: Int?
  private var notBefore: Instant?
  private var pause = Self.firstPause
  private var hasFailed = false

  package init() {}

  /// - Parameter count: calls that are here now.
  /// - Returns: what to tell at once; nil: nothing, for now. Each is to be followed by ``succeeded()`` or ``failed(at:)``.
  package mutating func calls(_ count: Int, at now: Instant) -> Int? {
    guard underWay == nil, count != told else { return nil }
    if let notBefore, now < notBefore { return nil }
    underWay = count
    notBefore = now + Self.interval
    return count
  }

  /// - Returns: whether that ends a streak of failures.
  package mutating func succeeded() -> Bool {
    told = underWay
    underWay = nil
    pause = Self.firstPause
    defer { hasFailed = false }
    return hasFailed
  }

  /// - Returns: whether that begins a streak of failures, to be warned of.
  package mutating func failed(at now: Instant) -> Bool {
    // It may have been written all the same: an answer can be lost.
    told = nil
    underWay = nil
    notBefore = now + pause
    pause = min(pause * 2, Self.longestPause)
    defer { hasFailed = true }
    return !hasFailed
  }
}
