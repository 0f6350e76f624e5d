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
