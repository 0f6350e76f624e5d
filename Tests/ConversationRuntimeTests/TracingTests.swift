import Base
import CallLink
import ConversationRuntime
import Dialogs
import Logging
import ScriptedServers
import Settings
import Storage
import Telemetry
import Testing

/// What a call leaves in its trace, and what it tells others of it.
@Suite(.timeLimit(.minutes(1))) struct TracingTests {
  private static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  /// A call with one turn and one hook in it.
  private func call(_ headers: [(name: String, value: String)], _ tracer: Tracer) async throws
    -> (hook: HookRequest, events: [SessionEvent])
  {
    let bench = Bench([try dialog(helpdesk)], tracer: tracer)
    let call = bench.dial(headers: headers)
    try await call.answer()
    await call.hearOut(try await call.speech.nextSay(), for: .milliseconds(1_000))
    call.say("my printer is broken")
    await call.pass(.milliseconds(250))
    let hook = try await bench.backend.answer(
      .result(["data": ["ticket_id": "4711"]], status: 200, durationMs: 12, attempts: 1))
    let ticket = try await call.speech.nextSay()
    // The speech ended 1.7 s after the answer by the speech role's clock.
    call.send(.playbackStarted(ticket.id, atMs: 2_450))
    call.send(.playbackFinished(ticket.id))
    await call.hearOut(try await call.speech.nextSay(), for: .milliseconds(600))
    await call.end(.normal)
    return (hook, try await bench.events())
  }

  @Test func aCallIsOneTraceBelowWhoeverCalled() async throws {
    let spans = Locked<[Span]>([])
    let tracer = Tracer(ratio: 0, directory: TraceDirectory()) { span in spans.with { $0.append(span) } }
    let (hook, events) = try await call([("traceparent", Self.parent), ("tracestate", "v=1")], tracer)
    let all = spans.with { $0 }
    #expect(all.map(\.name) == ["setup", "endpoint", "recognize", "think", "synthesize", "turn", "call"])
    let root = try #require(all.last), turn = all[5]
    #expect(root.context.traceID.description == "4bf92f3577b34da6a3ce929d0e0e4736")
    #expect(root.parent?.description == "00f067aa0ba902b7")
    #expect(turn.parent == root.context.spanID)
    // The hook was asked in the middle of the turn.
    #expect(hook.traceparent == turn.context.traceparent && hook.tracestate == "v=1")
    #expect(events.allSatisfy { $0.text("trace_id") == root.context.traceID.description })
    // A replay sees the same call as without the trace.
    let outcome = try SessionReplay.run(
      events.map(RecordedLine.init), session: SessionID("S1"), dialog: try dialog(helpdesk))
    #expect(outcome.difference == nil, "\(outcome.difference?.lines ?? [])")
  }

  @Test func whatIsNotSampledLeavesNoSpanAndStillTravels() async throws {
    let spans = Locked<[Span]>([])
    let tracer = Tracer(ratio: 1, directory: TraceDirectory()) { span in spans.with { $0.append(span) } }
    let (hook, events) = try await call([("traceparent", Self.parent.dropLast(2) + "00")], tracer)
    #expect(spans.with { $0.isEmpty })
    #expect(hook.traceparent.hasPrefix("00-4bf92f3577b34da6a3ce929d0e0e4736-") && hook.traceparent.hasSuffix("-00"))
    #expect(events.allSatisfy { $0.fields["trace_id"] == nil })
  }

  @Test func withoutTracingNothingIsToldToAnybody() async throws {
    let (hook, events) = try await call([("traceparent", Self.parent)], .disabled)
    #expect(hook.traceparent.isEmpty && hook.tracestate.isEmpty)
    #expect(events.allSatisfy { $0.fields["trace_id"] == nil })
  }

  @Test func aRefusedCallIsATraceToo() async throws {
    let spans = Locked<[Span]>([])
    let tracer = Tracer(ratio: 1, directory: TraceDirectory()) { span in spans.with { $0.append(span) } }
    let bench = Bench([try dialog(helpdesk)], tracer: tracer)
    bench.service.drain()
    _ = bench.dial()
    let all = spans.with { $0 }
    #expect(all.map(\.name) == ["setup", "call"])
    #expect(all.last?.attributes["end_reason"] == "unavailable")
  }

  /// Both ends of a turn are the line's: what the ways between the roles cost is not lost.
  @Test func aTurnIsMeasuredOnTheWire() async throws {
    let (_, events) = try await call([], .disabled)
    let turn = try #require(events.first { $0.type == "turn_latency" })
    #expect(turn.number("total_ms") == 750)
    #expect(turn.number("endpoint_ms") == 300 && turn.number("recognize_ms") == 40)
    #expect(turn.number("think_ms") == 250 && turn.number("synthesize_ms") == 160)
  }

  @Test func aQuestionToAModelCarriesTheTrace() async throws {
    let server = ScriptedModelServer([.says("Hello.", tokens: 1)])
    var settings = LanguageModelSettings()
    settings.url = try await server.start()
    settings.model = "m0"
    let spans = Locked<[Span]>([])
    let tracer = Tracer(ratio: 1, directory: TraceDirectory()) { span in spans.with { $0.append(span) } }
    let service = OpenAIModelService(
      settings: settings, outbound: .loopback, tracer: tracer,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let place = CallPlace(SessionID("S1"), headers: [], ratio: 1)
    let question = ModelRequest(token: ModelToken(1), messages: [.user("Hello?")])
    for await _ in service.answer(question, session: SessionID("S1"), trace: place.root) {}
    let seen = try #require(server.http.requests.first)
    let context = try #require(TraceContext(traceparent: seen.header("traceparent") ?? ""))
    #expect(context.traceID == place.root.traceID && context.spanID != place.root.spanID && context.isSampled)
    await server.stop()
  }
}
