import Base

/// Gathers spans and decides what is sent when, again or not at all. Pure: spans and `now` in, batches out; one batch is under
/// way at a time.
package struct SpanBatcher {
  package struct Limits: Sendable {
    /// Spans that wait. A turn makes about six, so this is the talk of some minutes of a busy gateway.
    package var queue = 4_096
    /// Spans of one request: a few hundred kilobytes of JSON.
    package var batch = 512
    /// How long a span waits for company.
    package var interval: Duration = .seconds(5)
    package var backoffInitial: Duration = .seconds(1)
    package var backoffMax: Duration = .seconds(30)
    /// A collector that asks for more patience than this is asked again after it all the same.
    package var retryAfterMax: Duration = .seconds(120)
    package var attempts = 6
    package init() {}
  }

  /// What became of a request.
  package enum Outcome: Sendable, Hashable {
    /// Taken, except for so many spans.
    case taken(rejected: Int)
    /// The collector, or the way to it, wants another attempt.
    case later(Duration?)
    /// It will never be taken.
    case refused
  }

  /// Why spans were lost: the `reason` label of `vg_trace_spans_dropped_total`.
  package enum Loss: String, CaseIterable {
    case queueFull = "queue_full"
    case rejected
    case notDelivered = "not_delivered"
  }

  private struct Batch {
    var spans: [Span]
    var attempt = 1
    /// nil while the request is under way.
    var due: Instant?
  }

  private let limits: Limits
  private var random: SeededRandom
  private var waiting: [Span] = []
  /// When the oldest of them has waited long enough.
  private var flushAt: Instant?
  private var batch: Batch?
  private var isClosing = false

  package init(_ limits: Limits = Limits(), random: SeededRandom) {
    self.limits = limits
    self.random = random
  }

  /// - Returns: whether it was taken in; false: the queue is full.
  package mutating func add(_ span: Span, at now: Instant) -> Bool {
    guard waiting.count < limits.queue else { return false }
    waiting.append(span)
    if flushAt == nil { flushAt = now + limits.interval }
    return true
  }

  /// When ``next(at:)`` has something to give; nil: not before something happens.
  package var deadline: Instant? {
    if let batch { return batch.due }
    return isClosing && !waiting.isEmpty || waiting.count >= limits.batch ? .zero : flushAt
  }

  /// The spans of a request that is to be made now.
  package mutating func next(at now: Instant) -> [Span]? {
    guard let deadline, deadline <= now else { return nil }
    if batch == nil {
      let count = min(limits.batch, waiting.count)
      guard count > 0 else { return nil }
      batch = Batch(spans: Array(waiting.prefix(count)))
      waiting.removeFirst(count)
      flushAt = waiting.isEmpty ? nil : now + limits.interval
    }
    batch?.due = nil
    return batch?.spans
  }

  /// - Returns: spans that are lost, and why.
  package mutating func finish(_ outcome: Outcome, at now: Instant) -> (count: Int, Loss)? {
    guard var batch, batch.due == nil else { return nil }
    self.batch = nil
    switch outcome {
    case .taken(let rejected): return rejected > 0 ? (min(rejected, batch.spans.count), .rejected) : nil
    case .refused: return (batch.spans.count, .rejected)
    case .later(let wish):
      guard batch.attempt < limits.attempts, !isClosing else { return (batch.spans.count, .notDelivered) }
      var wait = limits.backoffInitial
      for _ in 1..<batch.attempt where wait < limits.backoffMax { wait = wait * 2 }
      wait = min(wait, limits.backoffMax)
      // Half of it is chance, so that many gateways do not come back together.
      let jittered = wait * (0.5 + Double(random.next() >> 11) / Double(1 << 53) / 2)
      batch.due = now + max(jittered, min(wish ?? .zero, limits.retryAfterMax))
      batch.attempt += 1
      self.batch = batch
      return nil
    }
  }

  /// Everything that waits goes out at once from now on, each batch with one attempt.
  package mutating func close(at now: Instant) {
    isClosing = true
    if batch?.due != nil { batch?.due = now }
  }

  package var isEmpty: Bool { waiting.isEmpty && batch == nil }
}
