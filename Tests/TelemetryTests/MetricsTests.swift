import Base
import Logging
import NIOConcurrencyHelpers
import Settings
import Telemetry
import Testing

/// What Prometheus reads, and what a log line looks like.
@Suite struct MetricsTests {
  @Test func theTextIsWhatPrometheusReads() {
    let registry = MetricsRegistry()
    let requests = registry.counter("b_total", "Requests.\nAll of them.", labels: ["path"])
    requests.with("/a\"b\\c\nd").add(3)
    registry.gauge("a_now", "Now.").set(1.5)
    let times = registry.histogram("c_seconds", "Times.", labels: ["x"], buckets: [0.1, 1])
    times.with("y").observe(0.1)
    times.with("y").observe(0.5)
    times.with("y").observe(.seconds(2))
    times.with("y").observe(.nan)
    #expect(
      registry.exposition() == """
        # HELP a_now Now.
        # TYPE a_now gauge
        a_now 1.5
        # HELP b_total Requests.\\nAll of them.
        # TYPE b_total counter
        b_total{path="/a\\"b\\\\c\\nd"} 3
        # HELP c_seconds Times.
        # TYPE c_seconds histogram
        c_seconds_bucket{x="y",le="0.1"} 1
        c_seconds_bucket{x="y",le="1"} 2
        c_seconds_bucket{x="y",le="+Inf"} 3
        c_seconds_sum{x="y"} 2.6
        c_seconds_count{x="y"} 3

        """)
  }

  @Test func labelsFromOutsideCannotFillTheMemory() {
    let registry = MetricsRegistry()
    let family = registry.counter("x_total", "X.", labels: ["who"])
    for i in 0..<5000 { family.with("caller \(i)").add() }
    let lines = registry.exposition().split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(lines.count == MetricsRegistry.seriesLimit + 1)
    #expect(lines.contains("x_total{who=\"other\"} \(5000 - MetricsRegistry.seriesLimit)"))
  }

  @Test func nothingIsLostWhenManyThreadsCount() async {
    let registry = MetricsRegistry()
    let counter = registry.counter("x_total", "X.")
    let gauge = registry.gauge("y", "Y.")
    let histogram = registry.histogram("z", "Z.", buckets: [1])
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<1000 {
            counter.add()
            gauge.add(1)
            histogram.observe(0.5)
          }
        }
      }
    }
    let text = registry.exposition()
    #expect(text.contains("\nx_total 8000\n"))
    #expect(text.contains("\ny 8000\n"))
    #expect(text.contains("\nz_count 8000\n") && text.contains("\nz_sum 4000\n"))
  }

  @Test func theMetricsOfThisVersionAreThere() {
    let metrics = VoiceMetrics()
    metrics.callsTotal.with("helpdesk", "normal").add()
    let text = metrics.registry.exposition()
    for name in ["vg_calls_active", "vg_rtp_packets_lost_total", "vg_turn_latency_seconds", "vg_call_capacity"] {
      #expect(text.contains("# HELP \(name) "))
    }
    let described = metrics.registry.descriptions
    #expect(described.allSatisfy { text.contains("# TYPE \($0.name) \($0.kind)\n") })
    #expect(described.first { $0.name == "vg_calls_total" }?.labels == ["dialog", "status"])
    #expect(text.contains("vg_calls_total{dialog=\"helpdesk\",status=\"normal\"} 1\n"))
    let memory = text.split(separator: "\n").first { $0.hasPrefix("vg_memory_resident_bytes ") }
    #expect((memory.flatMap { Double($0.split(separator: " ")[1]) } ?? 0) > 1_000_000)
  }

  @Test func logLinesAreJSONWithTheirMetadata() throws {
    let lines = NIOLockedValueBox<[[UInt8]]>([])
    var logger = Logger(label: "x") { label in
      LineLogHandler(label: label, level: .info, format: .json) { line in lines.withLockedValue { $0.append(line) } }
    }
    logger[metadataKey: "session_id"] = "S1"
    logger.info("call\nended", metadata: ["fields": ["a": "b"], "list": ["1", "2"]])
    logger.debug("not shown")
    let all = lines.withLockedValue { $0 }
    #expect(all.count == 1)
    let line = try #require(all.first)
    #expect(line.last == 0x0A && line.filter { $0 == 0x0A }.count == 1)
    let value = try JSON.decode(line)
    #expect(value["message"] == "call\nended")
    #expect(value["level"] == "info")
    #expect(value["session_id"] == "S1")
    #expect(value["fields"] == ["a": "b"])
    #expect(value["time"]?.stringValue?.hasSuffix("Z") == true)
  }

  @Test func aTextLineIsOneLine() {
    let lines = NIOLockedValueBox<[[UInt8]]>([])
    let logger = Logger(label: "x") { label in
      LineLogHandler(label: label, level: .info, format: .text) { line in lines.withLockedValue { $0.append(line) } }
    }
    logger.warning("two\nlines", metadata: ["k": "v w"])
    let text = String(decoding: lines.withLockedValue { $0.joined() }, as: UTF8.self)
    #expect(text.hasSuffix(" warning two lines k=\"v w\"\n"))
  }
}
