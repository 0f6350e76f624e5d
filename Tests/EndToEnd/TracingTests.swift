import Base
import Foundation
import ScriptedServers
import Testing

/// One trace per call, as a collector gets it over OTLP/HTTP.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TracingTests {
  private static let dialog = """
    name: traced
    routing: { match: [{ sip_to: "sip:traced@*" }] }
    states:
      start:
        on_enter: [{ action: play_tts, text: "Say yes or no." }]
        listen: { hints: [yes, no] }
        transitions: [{ event: speech, target: ask }]
      ask:
        on_enter: [{ action: call_hook, service: crm, payload: { a: 1 } }]
        transitions:
          - { event: hook_result, target: thanks }
          - { event: hook_error, target: thanks }
      thanks:
        on_enter: [{ action: play_tts, text: "Thank you. Goodbye." }]
        terminal: true
    """

  /// One span as it stands on the wire.
  private struct Seen {
    var trace = "", id = "", parent = "", name = "", state = ""
    var start = 0, end = 0
    var attributes: [String: String] = [:]

    init(_ value: Value) {
      func text(_ key: String) -> String { value[key]?.stringValue ?? "" }
      trace = text("traceId")
      id = text("spanId")
      parent = text("parentSpanId")
      name = text("name")
      state = text("traceState")
      start = Int(text("startTimeUnixNano")) ?? 0
      end = Int(text("endTimeUnixNano")) ?? 0
      if case .list(let pairs)? = value["attributes"] {
        for pair in pairs {
          let any = pair["value"]
          attributes[pair["key"]?.stringValue ?? ""] = any?["stringValue"]?.stringValue ?? any?["intValue"]?.stringValue
        }
      }
    }
  }

  private static func items(_ value: Value?) -> [Value] { if case .list(let items)? = value { items } else { [] } }

  private static func spans(_ requests: [ScriptedHTTPServer.Request]) -> [Seen] {
    requests.flatMap { request in
      items(request.json["resourceSpans"]).flatMap { items($0["scopeSpans"]) }.flatMap { items($0["spans"]) }
        .map(Seen.init)
    }
  }

  private static func configuration(_ collector: Int, _ backend: Int) -> String {
    """
    observability: { tracing: { enabled: true, otlp_endpoint: "http://127.0.0.1:\(collector)" }, log: { level: info } }
    integration:
      outbound: { allow_private: ["127.0.0.1"] }
      max_retries: 1
      services: { crm: { url: "http://127.0.0.1:\(backend)", retry: { initial_backoff: 10ms } } }
    """
  }

  @Test func aCollectorGetsTheTreeOfACall() async throws {
    let collector = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "{}") }
    let others = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "{}") }
    let port = try await collector.start(), backend = try await others.start()
    let gateway = try Gateway(
      dialogs: ["traced.yaml": Self.dialog], configuration: Self.configuration(port, backend),
      environment: ["VG_OBSERVABILITY_LOG_FORMAT": "json", "VG_OBSERVABILITY_LOG_LEVEL": "debug"])
    let made = try gateway.api(
      "POST", "/v1/webhooks", body: #"{"url":"http://127.0.0.1:\#(backend)/webhook","event_types":["call_terminated"]}"#
    )
    #expect(made.status == 201, "\(made.text)")
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("traced"), "--say", "yes", "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    let id = try gateway.lastCall().id
    let record = try gateway.recordedEvents(of: id)
    let totalMs = try #require(record.first { $0["type"] as? String == "turn_latency" }?["total_ms"] as? Int)
    _ = await others.requests(2)
    // The last spans go out with the end of the process.
    #expect(gateway.stop() == 0)

    let requests = collector.requests
    #expect(requests.allSatisfy { $0.method == "POST" && $0.uri == "/v1/traces" })
    #expect(requests.allSatisfy { $0.header("Content-Type") == "application/json" })
    let resource = requests.first?.json["resourceSpans"].map(Self.items)?.first?["resource"]
    #expect("\(resource ?? .null)".contains("service.name"))
    let spans = Self.spans(requests)
    func named(_ name: String) -> [Seen] { spans.filter { $0.name == name } }
    let call = try #require(named("call").first, "\(spans.map(\.name))")
    let setup = try #require(named("setup").first), turn = try #require(named("turn").first)
    let hook = try #require(named("hook").first)
    #expect(call.parent.isEmpty && setup.parent == call.id && turn.parent == call.id && hook.parent == turn.id)
    let stages = ["endpoint", "recognize", "think", "synthesize"].flatMap(named)
    #expect(stages.count == 4 && stages.allSatisfy { $0.parent == turn.id }, "\(spans.map(\.name))")
    #expect(Set(spans.map(\.trace)).count == 1 && call.trace.count == 32 && Set(spans.map(\.id)).count == spans.count)
    for span in spans {
      #expect(span.start <= span.end && span.start >= call.start - 1_000_000, "\(span)")
      #expect(span.attributes["session_id"] == id && span.attributes["dialog_name"] == "traced", "\(span)")
    }
    // What the record says of the turn is what the trace shows.
    #expect(turn.end - turn.start == totalMs * 1_000_000)

    // The backend and the webhook's receiver can hang their own spans below ours.
    let asked = others.requests
    let onIntent = try #require(asked.first { $0.uri == "/on-intent" }?.header("traceparent"))
    #expect(onIntent == "00-\(call.trace)-\(hook.id)-01")
    let told = try #require(asked.first { $0.uri == "/webhook" })
    #expect(told.header("traceparent") == "00-\(call.trace)-\(call.id)-01")
    #expect(told.json["trace_id"]?.stringValue == call.trace)

    // A person who looks at a log line finds the trace.
    let lines = gateway.errors.split(separator: "\n").compactMap { try? JSON.decode(String($0)) }
    let ofCall = lines.filter { $0["session_id"]?.stringValue == id }
    #expect(!ofCall.isEmpty && ofCall.allSatisfy { $0["trace_id"]?.stringValue == call.trace }, "\(ofCall)")
    // Neither what was said nor who called is in any span.
    #expect(requests.allSatisfy { !$0.body.contains("Thank you") && !$0.body.contains("127.0.0.1:") })
    await collector.stop()
    await others.stop()
  }

  /// SIPp's offer brings a trace of its own.
  @Test func theTraceOfTheCallerGoesOn() async throws {
    let collector = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "{}") }
    let port = try await collector.start()
    let gateway = try Gateway(configuration: Self.configuration(port, 1))
    let folder = try Tools.temporaryFolder()
    let result = try Tools.run(
      "sipp",
      [
        "127.0.0.1:\(gateway.sipPort)", "-sf", "\(Tools.scenarios)/uac-traced.xml", "-s", "echo", "-m", "1", "-i",
        "127.0.0.1", "-t", "u1", "-timeout", "40", "-timeout_error", "-nostdin",
      ], in: folder)
    #expect(result.status == 0, "\(result.output.suffix(1000))")
    #expect(try gateway.lastCall().reason == "caller")
    #expect(gateway.stop() == 0)
    let spans = Self.spans(collector.requests)
    let call = try #require(spans.first { $0.name == "call" })
    #expect(call.trace == "4bf92f3577b34da6a3ce929d0e0e4736" && call.parent == "00f067aa0ba902b7")
    #expect(spans.allSatisfy { $0.trace == call.trace && $0.state == "vendor=opaque" })
    await collector.stop()
  }

  /// A collector that is away costs spans and nothing else.
  @Test func aCollectorThatIsAwayDoesNotDisturbCalls() throws {
    let gateway = try Gateway(configuration: Self.configuration(1, 1))
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("echo"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    _ = try gateway.lastCall()
    #expect(gateway.stop() == 0)
    #expect(gateway.errors.contains("traces cannot be delivered"), "\(gateway.errors)")
  }
}
