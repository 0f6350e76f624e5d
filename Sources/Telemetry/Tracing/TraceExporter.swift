import Base
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// Brings spans to an OTLP collector: owns the ``SpanBatcher``, its timer and the one request that is under way. Any thread.
public final class TraceExporter: Sendable {
  /// What came of one POST.
  public enum Answer: Sendable {
    case answered(status: Int, retryAfter: Duration?, body: [UInt8])
    /// None came; the sentence is for the log.
    case failed(String)
  }
  /// Posts a body of `application/json` to the collector.
  public typealias Post = @Sendable (_ body: [UInt8]) async -> Answer

  private struct State {
    var batcher: SpanBatcher
    var isFailing = false
    var timer: (at: Instant, scheduled: Scheduled<Void>)?
  }

  private let state: NIOLockedValueBox<State>
  private let resource: [String: Value]
  private let version: String
  private let post: Post
  private let eventLoop: any EventLoop
  private let logger: Logger
  private let exported: Counter
  private let dropped: [SpanBatcher.Loss: Counter]
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  /// - Parameters:
  ///   - resource: attributes of the process.
  ///   - eventLoop: carries the timer.
  public init(
    resource: [String: Value], version: String, metrics: VoiceMetrics, eventLoop: any EventLoop, logger: Logger,
    post: @escaping Post
  ) {
    state = NIOLockedValueBox(State(batcher: SpanBatcher(random: .fromSystem())))
    self.resource = resource
    self.version = version
    self.post = post
    self.eventLoop = eventLoop
    self.logger = logger
    exported = metrics.traceSpansExported.with()
    dropped = Dictionary(
      uniqueKeysWithValues: SpanBatcher.Loss.allCases.map { ($0, metrics.traceSpansDropped.with($0.rawValue)) })
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Takes one span in; returns at once, whatever the collector does.
  public func add(_ span: Span) {
    let now = Instant.monotonic()
    let isIn = state.withLockedValue { $0.batcher.add(span, at: now) }
    if !isIn { dropped[.queueFull]?.add() }
    wake.yield()
  }

  /// Works until ``close(limit:)``; to be run once, in a task of its own.
  public func run() async {
    for await _ in wakes {
      while let spans = next() { finish(spans, await post(OTLP.request(spans, resource: resource, version: version))) }
    }
  }

  /// Sends what is left, each batch once, and ends ``run()``.
  public func close() {
    state.withLockedValue { $0.batcher.close(at: .monotonic()) }
    wake.yield()
    wake.finish()
  }

  private func next() -> [Span]? {
    let now = Instant.monotonic()
    return state.withLockedValue { state in
      if let spans = state.batcher.next(at: now) { return spans }
      guard let deadline = state.batcher.deadline else { return nil }
      if let timer = state.timer, timer.at <= deadline, timer.at > now { return nil }
      state.timer?.scheduled.cancel()
      let wake = wake
      let delay = TimeAmount.nanoseconds(max(0, (deadline - now).nanoseconds))
      state.timer = (deadline, eventLoop.scheduleTask(in: delay) { _ = wake.yield() })
      return nil
    }
  }

  private func finish(_ spans: [Span], _ answer: Answer) {
    let outcome = Self.outcome(answer)
    let now = Instant.monotonic()
    let (loss, wasFailing) = state.withLockedValue { state in
      let was = state.isFailing
      if case .taken = outcome { state.isFailing = false } else { state.isFailing = true }
      return (state.batcher.finish(outcome, at: now), was)
    }
    if let loss { dropped[loss.1]?.add(loss.count) }
    if case .taken(let rejected) = outcome {
      exported.add(spans.count - min(rejected, spans.count))
      if wasFailing { logger.notice("the collector takes traces again") }
    } else if !wasFailing {
      logger.warning("traces cannot be delivered", metadata: ["reason": "\(Self.reason(answer))"])
    }
  }

  /// What OTLP/HTTP says of answers: these four statuses are worth another attempt, other errors are not.
  package static func outcome(_ answer: Answer) -> SpanBatcher.Outcome {
    switch answer {
    case .failed: .later(nil)
    case .answered(200..<300, _, let body): .taken(rejected: OTLP.rejectedSpans(body))
    case .answered(let status, let wait, _) where [429, 502, 503, 504].contains(status): .later(wait)
    case .answered: .refused
    }
  }

  private static func reason(_ answer: Answer) -> String {
    switch answer {
    case .failed(let sentence): sentence
    case .answered(let status, _, _): "the collector answered \(status)"
    }
  }
}
