import Base
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Settings
import Telemetry
import Testing

/// How spans are gathered, written and delivered.
@Suite struct TraceExportTests {
  private static func span(_ number: Int, _ attributes: [String: Value] = [:]) -> Span {
    guard let trace = TraceID(high: 1, low: 2), let id = SpanID(UInt64(number + 1)) else { preconditionFailure() }
    return Span(
      "s\(number)", context: TraceContext(traceID: trace, spanID: id, isSampled: true), parent: nil,
      startNs: 1_700_000_000_123_000_000, endNs: 1_700_000_000_456_000_000, attributes: attributes)
  }
  private static func at(_ ms: Int64) -> Instant { Instant(nanoseconds: ms * 1_000_000) }
  private static func batcher() -> SpanBatcher {
    var limits = SpanBatcher.Limits()
    limits.queue = 6
    limits.batch = 4
    limits.attempts = 3
    return SpanBatcher(limits, random: SeededRandom(seed: 1))
  }

  // MARK: The batcher

  @Test func spansWaitForCompanyButNotForLong() {
    var batcher = Self.batcher()
    #expect(batcher.deadline == nil && batcher.next(at: Self.at(0)) == nil)
    #expect(batcher.add(Self.span(0), at: Self.at(1_000)) == true)
    #expect(batcher.add(Self.span(1), at: Self.at(2_000)) == true)
    #expect(batcher.deadline == Self.at(6_000))
    #expect(batcher.next(at: Self.at(5_999)) == nil)
    #expect(batcher.next(at: Self.at(6_000))?.map(\.name) == ["s0", "s1"])
    // One request at a time.
    for i in 2..<6 { #expect(batcher.add(Self.span(i), at: Self.at(6_001)) == true) }
    #expect(batcher.deadline == nil && batcher.next(at: Self.at(9_000)) == nil)
    #expect(batcher.finish(.taken(rejected: 0), at: Self.at(9_000)) == nil)
    // A full batch does not wait.
    #expect(batcher.next(at: Self.at(9_000))?.count == 4)
    #expect(batcher.finish(.taken(rejected: 1), at: Self.at(9_100))?.count == 1)
    #expect(batcher.isEmpty)
  }

  @Test func aFullQueueTakesNothingMore() {
    var batcher = Self.batcher()
    #expect(
      (0..<8).map { batcher.add(Self.span($0), at: Self.at(0)) } == Array(repeating: true, count: 6) + [false, false])
  }

  @Test func aCollectorThatIsAwayIsAskedAgainWithMorePatience() throws {
    var batcher = Self.batcher()
    _ = batcher.add(Self.span(0), at: Self.at(0))
    #expect(batcher.next(at: Self.at(5_000))?.count == 1)
    #expect(batcher.finish(.later(nil), at: Self.at(5_000)) == nil)
    let first = try #require(batcher.deadline)
    #expect((Self.at(5_500)...Self.at(6_000)).contains(first))
    #expect(batcher.next(at: first + .milliseconds(-1)) == nil)
    #expect(batcher.next(at: first)?.first?.name == "s0")
    // What the collector asks for is waited for, within reason.
    #expect(batcher.finish(.later(.seconds(60)), at: first) == nil)
    #expect(batcher.deadline == first + .seconds(60))
    #expect(batcher.next(at: first + .seconds(60))?.count == 1)
    let loss = batcher.finish(.later(.seconds(1)), at: first + .seconds(61))
    #expect(loss?.count == 1 && loss?.1 == .notDelivered)
    #expect(batcher.isEmpty)
    _ = batcher.add(Self.span(1), at: first)
    #expect(batcher.next(at: first + .seconds(5))?.count == 1)
    #expect(batcher.finish(.later(.seconds(86_400)), at: first) == nil)
    #expect(batcher.deadline == first + .seconds(120))
  }

  @Test func whatIsRefusedIsLostAndTheRestGoesOn() {
    var batcher = Self.batcher()
    for i in 0..<5 { _ = batcher.add(Self.span(i), at: Self.at(0)) }
    #expect(batcher.next(at: Self.at(0))?.count == 4)
    let loss = batcher.finish(.refused, at: Self.at(1))
    #expect(loss?.count == 4 && loss?.1 == .rejected)
    #expect(batcher.next(at: Self.at(1) + .seconds(5))?.map(\.name) == ["s4"])
  }

  @Test func theEndSendsEverythingOnce() {
    var batcher = Self.batcher()
    for i in 0..<6 { _ = batcher.add(Self.span(i), at: Self.at(0)) }
    #expect(batcher.next(at: Self.at(0))?.count == 4)
    #expect(batcher.finish(.later(nil), at: Self.at(0)) == nil)
    batcher.close(at: Self.at(10))
    #expect(batcher.next(at: Self.at(10))?.count == 4)
    #expect(batcher.finish(.later(nil), at: Self.at(11))?.count == 4)
    #expect(batcher.next(at: Self.at(11))?.count == 2)
    #expect(batcher.finish(.taken(rejected: 0), at: Self.at(12)) == nil)
    #expect(batcher.isEmpty)
  }

  // MARK: The wire

  @Test func aRequestIsWhatTheProtocolSays() throws {
    var span = Self.span(
      9, ["text": "a \"quote\"", "number": 42, "share": 0.5, "yes": true, "list": ["a", 1], "map": ["k": "v"]])
    span.parent = SpanID(0xabc)
    span.context.state = try #require(TraceState(parsing: ["a=1"]))
    span.kind = .client
    span.status = .error("timeout")
    let body = OTLP.request([span], resource: ["service.name": "parley"], version: "9.9")
    let value = try JSON.decode(body)
    #expect(
      value == [
        "resourceSpans": [
          [
            "resource": ["attributes": [["key": "service.name", "value": ["stringValue": "parley"]]]],
            "scopeSpans": [
              [
                "scope": ["name": "parley", "version": "9.9"],
                "spans": [
                  [
                    "traceId": "00000000000000010000000000000002", "spanId": "000000000000000a",
                    "parentSpanId": "0000000000000abc", "traceState": "a=1", "flags": 1, "name": "s9", "kind": 3,
                    "startTimeUnixNano": "1700000000123000000", "endTimeUnixNano": "1700000000456000000",
                    "status": ["code": 2, "message": "timeout"],
                    "attributes": [
                      ["key": "list", "value": ["arrayValue": ["values": [["stringValue": "a"], ["intValue": "1"]]]]],
                      [
                        "key": "map",
                        "value": ["kvlistValue": ["values": [["key": "k", "value": ["stringValue": "v"]]]]],
                      ],
                      ["key": "number", "value": ["intValue": "42"]], ["key": "share", "value": ["doubleValue": 0.5]],
                      ["key": "text", "value": ["stringValue": "a \"quote\""]],
                      ["key": "yes", "value": ["boolValue": true]],
                    ],
                  ]
                ],
              ]
            ],
          ]
        ]
      ])
    #expect(OTLP.url(endpoint: "http://c:4318/") == "http://c:4318/v1/traces")
    #expect(OTLP.url(endpoint: "http://c:4318/v1/traces") == "http://c:4318/v1/traces")
    #expect(OTLP.url(endpoint: "https://c/otlp") == "https://c/otlp/v1/traces")
  }

  @Test func attributesAreBounded() {
    var many: [String: Value] = [:]
    for i in 0..<100 { many["k\(i)"] = .string(String(repeating: "x", count: 5_000)) }
    let span = Self.span(0, many)
    #expect(span.attributes.count == Span.attributeLimit)
    #expect(span.attributes.values.allSatisfy { ($0.stringValue?.utf8.count ?? 0) <= Span.textLimit })
  }

  @Test func answersOfACollectorAreUnderstood() {
    func outcome(_ status: Int, _ body: String = "", wait: Duration? = nil) -> SpanBatcher.Outcome {
      TraceExporter.outcome(.answered(status: status, retryAfter: wait, body: Array(body.utf8)))
    }
    #expect(outcome(200, "{}") == .taken(rejected: 0))
    #expect(outcome(200, "not json") == .taken(rejected: 0))
    #expect(outcome(200, #"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#) == .taken(rejected: 3))
    #expect(outcome(200, #"{"partialSuccess":{"rejectedSpans":2}}"#) == .taken(rejected: 2))
    #expect(outcome(200, #"{"partialSuccess":{"rejectedSpans":"-3"}}"#) == .taken(rejected: 0))
    for status in [429, 502, 503, 504] { #expect(outcome(status, wait: .seconds(7)) == .later(.seconds(7))) }
    for status in [300, 400, 401, 404, 413, 500, 501] { #expect(outcome(status) == .refused) }
    #expect(TraceExporter.outcome(.failed("no route")) == .later(nil))
  }

  @Test func theExporterDeliversCountsAndEnds() async {
    let metrics = VoiceMetrics()
    let bodies = NIOLockedValueBox<[[UInt8]]>([])
    let exporter = TraceExporter(
      resource: [:], version: "1", metrics: metrics, eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { body in
      let number = bodies.withLockedValue { bodies in
        bodies.append(body)
        return bodies.count
      }
      return .answered(status: number == 1 ? 200 : 500, retryAfter: nil, body: [])
    }
    let work = Task { await exporter.run() }
    for i in 0..<700 { exporter.add(Self.span(i)) }
    exporter.close()
    await work.value
    #expect(bodies.withLockedValue { $0.count } == 2)
    let text = metrics.registry.exposition()
    #expect(text.contains("vg_trace_spans_exported_total 512\n"), "\(text)")
    #expect(text.contains("vg_trace_spans_dropped_total{reason=\"rejected\"} 188\n"))
  }

  // MARK: The spans of a call

  private static let session = SessionID("01JDB4N8V3ZJ6YQ5M0T7W2X9CR")

  private static func call(_ lines: [(String, [String: Value], Int64)]) -> [Span] {
    var spans = CallSpans(
      CallPlace(session, headers: [], ratio: 1), session: session, dialogName: "desk", startedAtMs: 1_000_000,
      random: SeededRandom(seed: 3))
    return lines.flatMap { spans.observe($0.0, $0.1, atMs: $0.2) }
  }

  @Test func aTurnIsDividedIntoItsStages() throws {
    let spans = Self.call([
      ("call_started", ["direction": "inbound", "caller_id": "+49301234567"], 0), ("call_answered", [:], 40),
      ("speech_final", ["transcript": "my card is 4111", "endpoint_ms": 300, "recognize_ms": 50], 2_000),
      ("state_transition", ["to_state": "x"], 2_001),
      (
        "turn_latency",
        ["endpoint_ms": 300, "recognize_ms": 50, "think_ms": 100, "synthesize_ms": 60, "total_ms": 510], 2_165
      ),
      ("call_terminated", ["reason": "caller"], 3_000), ("call_terminated", ["reason": "again"], 3_100),
    ])
    #expect(
      spans.map(\.name) == ["setup", "endpoint", "recognize", "think", "synthesize", "turn", "call"])
    let call = try #require(spans.last), turn = spans[5]
    #expect(call.parent == nil && call.kind == .server && turn.parent == call.context.spanID)
    #expect(spans[1...4].allSatisfy { $0.parent == turn.context.spanID })
    #expect(Set(spans.map(\.context.spanID)).count == 7 && Set(spans.map(\.context.traceID)).count == 1)
    #expect(call.startNs == 1_000_000_000_000 && call.endNs == 1_003_000_000_000)
    // End to end, without a gap, from the end of the caller's speech.
    #expect(turn.startNs == 1_001_650_000_000 && turn.endNs == 1_002_160_000_000)
    #expect(spans[1].startNs == turn.startNs && spans[4].endNs == turn.endNs)
    for (stage, next) in zip(spans[1...3], spans[2...4]) { #expect(stage.endNs == next.startNs) }
    for span in spans {
      #expect(span.attributes["session_id"] == .string(Self.session.value) && span.attributes["dialog_name"] == "desk")
      #expect(!"\(span)".contains("4111") && !"\(span)".contains("4930"), "\(span)")
    }
  }

  @Test func aTurnWithoutAnAnswerAndACallWithoutATurnAreTold() {
    let spans = Self.call([
      ("call_answered", [:], 10), ("speech_final", ["endpoint_ms": 300, "recognize_ms": 50], 2_000),
      ("speech_started", [:], 2_500), ("call_terminated", ["reason": "error"], 3_000),
    ])
    #expect(spans.map(\.name) == ["setup", "endpoint", "recognize", "turn", "call"])
    #expect(spans[3].attributes["outcome"] == "no_answer" && spans[4].status == .error("error"))
    #expect(Self.call([("call_terminated", ["reason": "busy"], 5)]).map(\.name) == ["setup", "call"])
  }

  @Test func linesOfASessionNameItsTrace() throws {
    let directory = TraceDirectory()
    let tracer = Tracer(ratio: 1, directory: directory) { _ in }
    let tracing = tracer.open(Self.session, headers: [], dialogName: "d", startedAtMs: 0)
    let lines = NIOLockedValueBox<[[UInt8]]>([])
    let logger = Logger(label: "x") { label in
      LineLogHandler(label: label, level: .info, format: .json, traces: directory) { line in
        lines.withLockedValue { $0.append(line) }
      }
    }
    logger.info("known", metadata: ["session_id": "\(Self.session)"])
    logger.info("unknown", metadata: ["session_id": "S2"])
    logger.info("none")
    let values = try lines.withLockedValue { $0 }.map { try JSON.decode($0) }
    #expect(values.map { $0["trace_id"]?.stringValue } == [tracing?.context.traceID.description, nil, nil])
    // A process that makes no spans of the call says the same of it.
    let elsewhere = TraceDirectory()
    Tracer(ratio: 1, directory: elsewhere) { _ in }.remember(Self.session, headers: [])
    #expect(elsewhere.trace(of: Self.session.value) == tracing?.context.traceID.description)
    for i in 0..<TraceDirectory.limit { directory.put("s\(i)", "t") }
    #expect(directory.trace(of: Self.session.value) == nil && directory.trace(of: "s0") == "t")
  }

  @Test func withoutTracingNothingIsMade() {
    #expect(Tracer.disabled.open(Self.session, headers: [], dialogName: "d", startedAtMs: 0) == nil)
    let place = CallPlace(Self.session, headers: [], ratio: 1)
    #expect(OutgoingSpan("hook", below: place.root, .disabled, [:]).headers.isEmpty)
  }
}
