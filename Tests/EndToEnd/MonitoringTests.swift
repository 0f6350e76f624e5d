import Foundation
import ScriptedServers
import Testing

/// What operators are given to watch the gateway with: rules, dashboards and documents name what is really there.
@Suite(.serialized, .timeLimit(.minutes(3))) struct MonitoringTests {
  private static let folder = "\(Tools.root)/deploy/observability"

  /// Every metric of a gateway that shares a Redis: name to type and help.
  private static let metrics: [String: (type: String, help: String)] = {
    guard let redis = try? RedisServer(),
      let gateway = try? Gateway(configuration: "storage: { redis: \"\(redis.url)\" }"),
      let text = try? Tools.run("curl", ["-sS", "http://127.0.0.1:\(gateway.metricsPort)/metrics"]).output
    else { return [:] }
    var found: [String: (type: String, help: String)] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3).map(String.init)
      guard words.count == 4, words[0] == "#" else { continue }
      if words[1] == "HELP" { found[words[2]] = ("", words[3]) } else { found[words[2]]?.type = words[3] }
    }
    return found
  }()

  /// Names of metrics in a text; `_bucket`, `_sum` and `_count` are a histogram's.
  private static func names(in text: String) -> Set<String> {
    var names: Set<String> = []
    for match in text.matches(of: /\bvg_[a-z0-9_]+/) {
      var name = String(match.output)
      for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
        let base = String(name.dropLast(suffix.count))
        if metrics[base]?.type == "histogram" { name = base }
      }
      names.insert(name)
    }
    return names
  }

  private static func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  private static let dashboards = ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/grafana")) ?? [])
    .filter { $0.hasSuffix(".json") }.sorted()

  private static func expressions(_ file: String) throws -> [String] {
    let json = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(fileURLWithPath: "\(folder)/grafana/\(file)")))
    let panels = (json as? [String: Any])?["panels"] as? [[String: Any]] ?? []
    return panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }.compactMap { $0["expr"] as? String }
  }

  // MARK: The contract

  /// The names that dashboards of before know; `vg_asr_gpu_utilization` belongs to engines that this version does not have.
  @Test func everyPromisedMetricIsThere() {
    let promised = [
      "vg_calls_active", "vg_calls_total", "vg_call_duration_seconds", "vg_call_state_transitions_total",
      "vg_asr_latency_seconds", "vg_asr_transcriptions_total", "vg_asr_workers_active", "vg_asr_queue_depth",
      "vg_asr_confidence", "vg_rtp_packets_received_total", "vg_rtp_packets_lost_total", "vg_rtp_jitter_ms",
      "vg_sip_requests_total", "vg_audio_buffer_underruns_total", "vg_integration_requests_total",
      "vg_integration_latency_seconds", "vg_integration_retries_total", "vg_integration_circuit_breaker",
      "vg_uptime_seconds", "vg_memory_resident_bytes", "vg_turn_latency_seconds", "vg_tts_first_audio_seconds",
      "vg_barge_in_seconds", "vg_barge_in_total", "vg_mos", "vg_rtp_packets_rejected_total",
      "vg_sessions_resumed_total", "vg_event_loop_lag_seconds", "vg_jobs_queue_depth", "vg_call_capacity",
      "vg_draining",
    ]
    #expect(promised.filter { Self.metrics[$0] == nil }.isEmpty, "\(promised.filter { Self.metrics[$0] == nil })")
  }

  /// One call feeds what a call can feed, in both languages of Prometheus.
  @Test func aCallIsCounted() throws {
    let gateway = try Gateway(
      configuration: "observability: { tracing: { enabled: true, otlp_endpoint: \"http://127.0.0.1:1\" } }")
    _ = try Tools.parleyJSON(
      ["call", gateway.uri("echo"), "--say", "one", "--say", "two", "--hangup", "--deaf"])
    _ = try gateway.lastCall()
    for name in [
      "vg_calls_total{dialog=\"echo\"", "vg_call_duration_seconds_count", "vg_call_state_transitions_total",
      "vg_turn_latency_seconds_count{stage=\"total\"}", "vg_asr_latency_seconds_count", "vg_asr_confidence_count",
      "vg_tts_first_audio_seconds_count", "vg_rtp_packets_received_total", "vg_mos_count", "vg_rtp_jitter_ms_count",
      "vg_sip_requests_total{method=\"INVITE\",status=\"200\"}", "vg_event_loop_lag_seconds_count", "vg_call_capacity",
    ] { #expect(try gateway.metric(name) > 0, "\(name) stays at zero") }
    // A quiet line between two processes of one machine is as good as G.711 gets.
    #expect(try gateway.metric("vg_mos_sum") / gateway.metric("vg_mos_count") > 4)

    let url = "http://127.0.0.1:\(gateway.metricsPort)/metrics"
    let classic = try Tools.run("curl", ["-sS", url]).output
    let check = try Tools.run(Tools.promtool, ["check", "metrics"], input: classic)
    // One name is the contract's: its unit is abbreviated.
    let complaints = check.errors.split(separator: "\n").filter { !$0.hasPrefix("vg_rtp_jitter_ms ") }
    #expect(complaints.isEmpty && check.output.isEmpty, "\(check)")
    let open = try Tools.run("curl", ["-sS", "-H", "Accept: application/openmetrics-text; version=1.0.0", url]).output
    #expect(open.hasSuffix("# EOF\n"))
    let exemplars = open.split(separator: "\n").filter { $0.contains(" # {trace_id=\"") }
    #expect(!exemplars.isEmpty && exemplars.allSatisfy { $0.hasPrefix("vg_turn_latency_seconds_bucket{") })
    // A reader that nobody here wrote.
    let script = """
      import sys
      from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
      found = [(s.labels["stage"], s.exemplar.labels["trace_id"]) for f in read(sys.stdin.read()) for s in f.samples if s.exemplar]
      print(len(set(trace for _, trace in found)), *sorted(set(stage for stage, _ in found)))
      """
    let read = try Tools.run(Tools.python("python"), ["-c", script], input: open)
    #expect(read.output == "1 endpoint recognize synthesize think total\n", "\(read)")
  }

  // MARK: Rules and dashboards

  @Test func theRulesAreRightAndDoWhatTheySay() throws {
    for arguments in [["check", "rules", "parley.rules.yml"], ["test", "rules", "parley.test.yml"]] {
      let result = try Tools.run(Tools.promtool, arguments, in: "\(Self.folder)/prometheus")
      #expect(result.status == 0, "\(result.output)\(result.errors)")
    }
  }

  @Test func everyAlertIsTestedAndHasItsRunbook() throws {
    let rules = try Self.text("\(Self.folder)/prometheus/parley.rules.yml")
    let tests = try Self.text("\(Self.folder)/prometheus/parley.test.yml")
    let runbooks = try Self.text("\(Self.folder)/runbooks.md")
    let alerts = rules.matches(of: /- alert: ([A-Za-z]+)\n/).map { String($0.1) }
    #expect(alerts.count > 10)
    for alert in alerts {
      #expect(tests.contains("alertname=\"\(alert)\""), "\(alert) has no test")
      #expect(runbooks.contains("\n## \(alert)\n"), "\(alert) has no runbook")
      #expect(rules.contains("runbook_url: \"runbooks.md#\(alert.lowercased())\""), "\(alert) names no runbook")
    }
    #expect(runbooks.components(separatedBy: "\n## ").count - 1 == alerts.count, "a runbook without its alert")
    #expect(Self.unknown(rules).isEmpty && Self.unknown(tests).isEmpty && Self.unknown(runbooks).isEmpty)
  }

  private static func unknown(_ text: String) -> [String] { names(in: text).filter { metrics[$0] == nil }.sorted() }

  @Test(arguments: dashboards) func aDashboardAsksForWhatIsThere(_ file: String) throws {
    let expressions = try Self.expressions(file)
    #expect(expressions.count > 5)
    #expect(Self.unknown(expressions.joined(separator: "\n")).isEmpty, "\(file): \(Self.unknown("\(expressions)"))")
    // Grafana puts these in before it asks.
    var rules = "groups:\n  - name: dashboard\n    rules:\n"
    for (number, expression) in expressions.enumerated() {
      let asked = expression.replacingOccurrences(of: "$__rate_interval", with: "5m")
        .replacingOccurrences(of: "$instance", with: ".*").replacingOccurrences(of: "'", with: "''")
      rules += "      - record: panel:number\(number)\n        expr: '\(asked)'\n"
    }
    let path = "\(try Tools.temporaryFolder())/panels.yml"
    try Data(rules.utf8).write(to: URL(fileURLWithPath: path))
    let result = try Tools.run(Tools.promtool, ["check", "rules", path])
    #expect(result.status == 0, "\(file): \(result.errors)")
  }

  @Test func theDashboardsShowEveryMetric() throws {
    let shown = try Self.dashboards.reduce(into: Set<String>()) {
      $0.formUnion(Self.names(in: try Self.text("\(Self.folder)/grafana/\($1)")))
    }
    #expect(Self.metrics.keys.filter { !shown.contains($0) }.sorted().isEmpty)
  }

  // MARK: The document

  /// `docs/operations/observability.md` has one row for every metric, in order, with what the gateway says of it.
  @Test func theDocumentListsEveryMetric() throws {
    let page = try Self.text("\(Tools.root)/docs/operations/observability.md")
    let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `vg_") }.map(String.init)
    let written = rows.map { $0.replacing(/\{[a-z, ]+\}/, with: "") }
    let expected = Self.metrics.sorted { $0.key < $1.key }.map { "| `\($0)` | \($1.type) | \($1.help) |" }
    #expect(written == expected, "the table should be\n\(expected.joined(separator: "\n"))")
    #expect(Self.unknown(page) == ["vg_asr_gpu_utilization"])
  }
}
