import Base
import Logging
import NIOCore
import Outbound
import Settings
import Telemetry

/// `observability.tracing`, put together: who makes spans, and how they reach the collector.
struct Tracing: Sendable {
  let tracer: Tracer
  /// Sends what is left, for a few seconds at most. Idempotent.
  let close: @Sendable () async -> Void

  /// Of one request to the collector.
  private static let timeout: Duration = .seconds(10)
  /// How long the stop waits for the last spans.
  private static let closing: Duration = .seconds(3)

  static func open(
    _ settings: ObservabilitySettings.TracingSettings, metrics: VoiceMetrics, group: any EventLoopGroup, logger: Logger
  ) -> Tracing {
    guard settings.enabled else { return Tracing(tracer: .disabled, close: {}) }
    let collector = ConfiguredServer(
      url: OTLP.url(endpoint: settings.otlpEndpoint), product: "Parley/\(Build.version)", group: group, logger: logger)
    var random = SystemRandomNumberGenerator()
    let exporter = TraceExporter(
      resource: [
        "service.name": "parley", "service.version": .string(Build.version),
        "service.instance.id": .string(ULID.make(unixMilliseconds: WallClock.nowMilliseconds(), using: &random)),
      ], version: Build.version, metrics: metrics, eventLoop: group.next(), logger: logger
    ) { body in
      let request = ConfiguredServer.Request(
        method: "POST", headers: [(name: "Content-Type", value: "application/json")], body: body)
      do throws(OutboundError) {
        let answer = try await collector.exchange(request, timeout: timeout)
        return .answered(status: answer.status, retryAfter: answer.retryAfter, body: answer.body ?? [])
      } catch {
        return .failed("\(error)")
      }
    }
    let work = Task { await exporter.run() }
    return Tracing(tracer: Tracer(ratio: settings.sampleRatio) { exporter.add($0) }) {
      exporter.close()
      // The request that is under way ends with its connection.
      let limit = Task {
        try await Task.sleep(for: closing)
        await collector.close()
      }
      await work.value
      limit.cancel()
      await collector.close()
    }
  }
}
