import Base
import NIOConcurrencyHelpers

/// Begins traces, names spans, and hands what is over to whoever exports it. One for the process. Any thread.
public final class Tracer: Sendable {
  /// Records nothing and adds nothing to requests.
  public static let disabled = Tracer(ratio: nil, directory: TraceDirectory()) { _ in }

  private let ratio: Double?
  private let directory: TraceDirectory
  private let record: @Sendable (Span) -> Void

  /// - Parameters:
  ///   - ratio: share of calls that are traced where nobody before us has decided, 0 to 1; nil: no tracing at all.
  ///   - directory: is told which trace a session belongs to, for log lines.
  ///   - record: takes a span that is over; must return at once.
  public init(
    ratio: Double?, directory: TraceDirectory = .shared, record: @escaping @Sendable (Span) -> Void
  ) {
    self.ratio = ratio
    self.directory = directory
    self.record = record
  }

  public var isEnabled: Bool { ratio != nil }

  /// The trace of a call; nil where tracing is off.
  /// - Parameters:
  ///   - headers: of the offer; a `traceparent` among them is gone on with, and its decision to sample is honoured.
  ///   - startedAtMs: wall-clock milliseconds of the offer.
  public func open(
    _ session: SessionID, headers: [(name: String, value: String)], dialogName: String, startedAtMs: Int64
  ) -> CallTracing? {
    guard let ratio else { return nil }
    let place = CallPlace(session, headers: headers, ratio: ratio)
    directory.put(session.value, place.root.traceID.description)
    let spans = CallSpans(
      place, session: session, dialogName: dialogName, startedAtMs: startedAtMs, random: .fromSystem())
    return CallTracing(spans: spans) { [self] in end($0) }
  }

  /// Completes the log lines of a call whose spans another process makes.
  /// - Parameter headers: see ``open(_:headers:dialogName:startedAtMs:)``.
  public func remember(_ session: SessionID, headers: [(name: String, value: String)]) {
    guard let ratio else { return }
    directory.put(session.value, CallPlace(session, headers: headers, ratio: ratio).root.traceID.description)
  }

  /// A place below `parent`: what a request that is made now carries.
  public func child(of parent: TraceContext) -> TraceContext {
    var child = parent
    if let id = SpanID(UInt64.random(in: 1...UInt64.max)) { child.spanID = id }
    return child
  }

  /// Records a span of a trace that is sampled; of others nothing is kept.
  public func end(_ span: Span) {
    if isEnabled, span.context.isSampled { record(span) }
  }
}

/// The place of a call in its trace. Made from what the call itself says, so that every role, and a process that takes the call
/// over from another, finds the same without being told.
public struct CallPlace: Sendable, Hashable {
  /// The span of the whole call.
  public let root: TraceContext
  /// The span of whoever called us; nil: the trace begins here.
  public let parent: SpanID?

  /// - Parameter ratio: see ``Tracer/init(ratio:directory:record:)``.
  public init(_ session: SessionID, headers: [(name: String, value: String)], ratio: Double) {
    func values(_ name: String) -> [String] {
      headers.filter { $0.name.lowercased() == name }.map(\.value)
    }
    let parents = values(TraceContext.parentHeader)
    // Two of them are none (section 3.2).
    let remote =
      parents.count == 1
      ? TraceContext(traceparent: parents[0], tracestate: values(TraceContext.stateHeader)) : nil
    let (trace, span) = Self.names(of: session)
    parent = remote?.spanID
    root = TraceContext(
      traceID: remote?.traceID ?? trace, spanID: span,
      isSampled: remote?.isSampled ?? Self.isSampled(trace, ratio: ratio), state: remote?.state ?? TraceState())
  }

  /// Of the record of a call: the trace by its name in the record, the span by the session's.
  public init?(_ session: SessionID, traceID: String) {
    guard let trace = TraceID(traceID) else { return nil }
    parent = nil
    root = TraceContext(traceID: trace, spanID: Self.names(of: session).span, isSampled: true)
  }

  /// A session's name holds 80 random bits, so what is made of it is as good as drawn by lot.
  private static func names(of session: SessionID) -> (trace: TraceID, span: SpanID) {
    let digest = SHA256.digest(Array(session.value.utf8))
    func word(_ from: Int) -> UInt64 { digest[from..<from + 8].reduce(0) { $0 << 8 | UInt64($1) } }
    // Zero is nobody's name; a digest that is all zero is not known to exist, 1 stands in for it.
    let trace = TraceID(high: word(0), low: word(8) | 1), span = SpanID(word(16) | 1)
    // Cannot happen: nothing from outside is in it, and both were made odd in the line above.
    guard let trace, let span else { preconditionFailure("a number with its lowest bit set is not zero") }
    return (trace, span)
  }

  private static func isSampled(_ trace: TraceID, ratio: Double) -> Bool {
    Double(trace.high >> 8) < ratio * Double(1 << 56)
  }
}

/// The trace of one call as its session holds it: makes spans of the session's own record. Confined to the session.
public struct CallTracing: Sendable {
  /// The field of an event that names its trace.
  public static let field = "trace_id"

  private var spans: CallSpans
  private let record: @Sendable (Span) -> Void

  init(spans: CallSpans, record: @escaping @Sendable (Span) -> Void) {
    self.spans = spans
    self.record = record
  }

  /// What a request that is made now belongs to: the turn under way, else the call.
  public var context: TraceContext { spans.current }

  /// The trace's name where it is recorded; nil where nobody would find it.
  public var recordedID: String? { spans.root.isSampled ? spans.root.traceID.description : nil }

  /// One line of the session's record was written.
  /// - Parameter atMs: whole milliseconds since the session began.
  public mutating func observe(_ type: String, _ fields: [String: Value], atMs: Int64) {
    for span in spans.observe(type, fields, atMs: atMs) { record(span) }
  }
}

/// A request to another server as a span of its own: made before it is sent, ended when its answer is known.
public struct OutgoingSpan: Sendable {
  private let tracer: Tracer
  private let context: TraceContext
  private let parent: TraceContext
  private let name: String
  private let startedMs: Int64
  private let began: Instant
  private var attributes: [String: Value]
  private var status = Span.Status.unset

  /// - Parameter attributes: neither what was said nor who the parties are.
  public init(_ name: String, below parent: TraceContext, _ tracer: Tracer, _ attributes: [String: Value]) {
    self.tracer = tracer
    self.parent = parent
    context = tracer.child(of: parent)
    self.name = name
    self.attributes = attributes
    startedMs = WallClock.nowMilliseconds()
    began = .monotonic()
  }

  /// What the request carries.
  public var headers: [(name: String, value: String)] {
    guard tracer.isEnabled else { return [] }
    let state = context.state.isEmpty ? [] : [(TraceContext.stateHeader, context.state.description)]
    return [(TraceContext.parentHeader, context.traceparent)] + state
  }

  /// An answer came, with this HTTP status.
  public mutating func answered(_ code: Int) {
    attributes["http.response.status_code"] = .int(Int64(code))
    status = (200..<400).contains(code) ? .ok : .error("status")
  }

  /// No usable answer; `error` is a word of a closed list.
  public mutating func failed(_ error: String) {
    attributes["error.type"] = .string(error)
    status = .error(error)
  }

  public func end() {
    let startNs = startedMs * 1_000_000
    tracer.end(
      Span(
        name, context: context, parent: parent.spanID, kind: .client, startNs: startNs,
        endNs: startNs + (Instant.monotonic() - began).nanoseconds, attributes: attributes, status: status))
  }
}

/// Which trace each session belongs to, so that every log line with a `session_id` can name its trace. The newest sessions are
/// remembered. Any thread.
public final class TraceDirectory: Sendable {
  /// The one that log lines are completed from.
  public static let shared = TraceDirectory()
  /// Sessions remembered; a few megabytes.
  package static let limit = 32_768

  private struct State {
    var traces: [String: String] = [:]
    var order: [String] = []
    var oldest = 0
  }
  private let state = NIOLockedValueBox(State())

  public init() {}

  package func put(_ session: String, _ trace: String) {
    state.withLockedValue { state in
      guard state.traces.updateValue(trace, forKey: session) == nil else { return }
      if state.order.count < Self.limit {
        state.order.append(session)
      } else {
        state.traces[state.order[state.oldest]] = nil
        state.order[state.oldest] = session
        state.oldest = (state.oldest + 1) % Self.limit
      }
    }
  }

  /// The name of the session's trace; nil where it is not known.
  public func trace(of session: String) -> String? { state.withLockedValue { $0.traces[session] } }
}
