import Logging
import NIOCore
import NIOPosix
import Telemetry
import Testing

/// The four paths that operators and Kubernetes ask, over a real socket.
@Suite struct TelemetryServerTests {
  private static func withServer(_ body: (Int, VoiceMetrics, HealthState) async throws -> Void) async throws {
    let metrics = VoiceMetrics()
    let health = HealthState()
    let server = TelemetryServer(
      host: "127.0.0.1", port: 0, metricsPath: "/metrics", registry: metrics.registry, health: health,
      group: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let port = try await server.start()
    try await body(port, metrics, health)
    await server.stop()
  }

  /// Everything that the server answers until it closes.
  private static func ask(_ port: Int, _ text: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(string: text))
      var all = ""
      for try await part in inbound { all += String(buffer: part) }
      return all
    }
  }

  private static func get(_ port: Int, _ path: String) async throws -> String {
    try await ask(port, "GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
  }

  @Test func metricsAreServed() async throws {
    try await Self.withServer { port, metrics, _ async throws in
      metrics.bargeInTotal.with("speech").add(2)
      let answer = try await Self.get(port, "/metrics?x=1")
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(answer.contains("Content-Type: text/plain; version=0.0.4"))
      #expect(answer.contains("\nvg_barge_in_total{outcome=\"speech\"} 2\n"))
    }
  }

  @Test func healthFollowsTheProcess() async throws {
    try await Self.withServer { port, _, health async throws in
      func status(_ path: String) async throws -> String { String(try await Self.get(port, path).prefix(12)) }
      #expect(try await status("/livez") == "HTTP/1.1 200")
      #expect(try await status("/startupz") == "HTTP/1.1 503")
      #expect(try await status("/readyz") == "HTTP/1.1 503")
      health.started()
      #expect(try await status("/startupz") == "HTTP/1.1 200")
      #expect(try await status("/readyz") == "HTTP/1.1 200")
      health.addReadiness("speech") { "no decoder" }
      #expect(try await Self.get(port, "/readyz").hasSuffix("speech: no decoder\n"))
      health.draining()
      #expect(try await Self.get(port, "/readyz").contains("drain: "))
      #expect(try await status("/livez") == "HTTP/1.1 200")
    }
  }

  @Test func whatOnlyDegradesIsToldWithoutTakingThePodAway() async throws {
    try await Self.withServer { port, _, health async throws in
      health.started()
      health.addReadiness("database") { nil }
      health.addDegradation("redis") { "Redis at r:6379 cannot be reached" }
      let plain = try await Self.get(port, "/readyz")
      #expect(plain.hasPrefix("HTTP/1.1 200"))
      #expect(plain.hasSuffix("\r\n\r\nok\ndegraded: redis: Redis at r:6379 cannot be reached\n"))
      let verbose = try await Self.get(port, "/readyz?verbose")
      #expect(verbose.hasPrefix("HTTP/1.1 200"))
      #expect(
        verbose.hasSuffix(
          """
          [+]start ok
          [+]drain ok
          [+]database ok
          [!]redis degraded: Redis at r:6379 cannot be reached
          readyz check passed

          """))
      health.addReadiness("speech") { "no decoder" }
      let failed = try await Self.get(port, "/readyz?verbose")
      #expect(failed.hasPrefix("HTTP/1.1 503") && failed.contains("[-]speech failed: no decoder\n"))
      #expect(failed.hasSuffix("readyz check failed\n"))
    }
  }

  /// Whoever holds connections open and says nothing must not keep the probe away.
  @Test func idleConnectionsMakeRoom() async throws {
    try await Self.withServer { port, _, health async throws in
      health.started()
      var idle: [any Channel] = []
      for _ in 0..<(3 * TelemetryServer.connectionLimit) {
        idle.append(
          try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get())
      }
      #expect(try await Self.get(port, "/readyz").hasPrefix("HTTP/1.1 200"))
      for channel in idle { try? await channel.close() }
    }
  }

  @Test func theIdlestSeatIsGivenAway() {
    var seats = ConnectionSeats<String>(limit: 2)
    let a = seats.take("a"), b = seats.take("b")
    #expect(a.evicted == nil && b.evicted == nil)
    seats.used(a.seat)
    #expect(seats.take("c").evicted == "b")
    seats.leave(a.seat)
    #expect(seats.take("d").evicted == nil && seats.count == 2)
    // A seat that was given away is nobody's any more.
    seats.used(b.seat)
    #expect(seats.take("e").evicted == "c")
  }

  @Test func openMetricsIsSpokenWhereItIsAskedFor() async throws {
    try await Self.withServer { port, metrics, _ async throws in
      metrics.turnLatency.with("total").observe(0.42, trace: "4bf92f3577b34da6a3ce929d0e0e4736")
      func scrape(_ accept: String) async throws -> String {
        try await Self.ask(port, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: \(accept)\r\nConnection: close\r\n\r\n")
      }
      // As Prometheus asks.
      let open = try await scrape(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
      #expect(open.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"))
      #expect(open.hasSuffix("\n# EOF\n"))
      #expect(
        open.contains(
          "\nvg_turn_latency_seconds_bucket{stage=\"total\",le=\"0.45\"} 1 # "
            + "{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.42 "))
      #expect(open.contains("\n# TYPE vg_barge_in counter\n") && open.contains("le=\"1.0\""))
      for accept in [
        "*/*", "text/plain", "application/openmetrics-text;q=0", "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;q=0.2,text/plain;q=0.9", "", ";;;,q=,",
      ] {
        let classic = try await scrape(accept)
        #expect(classic.contains("Content-Type: text/plain; version=0.0.4"), "\(accept)")
        #expect(!classic.contains("trace_id") && !classic.contains("# EOF"), "\(accept)")
      }
    }
  }

  @Test func whatIsNotServedIsRefused() async throws {
    try await Self.withServer { port, _, _ async throws in
      #expect(try await Self.get(port, "/nothing").hasPrefix("HTTP/1.1 404"))
      let post = try await Self.ask(
        port, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
      #expect(post.hasPrefix("HTTP/1.1 405"))
      #expect(try await Self.ask(port, "nonsense\r\n\r\n").hasPrefix("HTTP/1.1 400"))
    }
  }

  @Test func aPortInUseIsOneSentence() async throws {
    try await Self.withServer { port, metrics, health async throws in
      let second = TelemetryServer(
        host: "127.0.0.1", port: port, metricsPath: nil, registry: metrics.registry, health: health,
        group: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      let error = await #expect(throws: TelemetryServer.StartError.self) { try await second.start() }
      #expect(error?.description == "metrics and health cannot listen on 127.0.0.1:\(port): Address already in use")
    }
  }
}
