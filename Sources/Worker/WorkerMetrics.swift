import Telemetry

/// The worker role's measurements.
public struct WorkerMetrics: Sendable {
  public let queueDepth: GaugeFamily
  public let oldestOwed: GaugeFamily
  public let deliveries: CounterFamily
  public let deliverySeconds: HistogramFamily
  public let deadLetters: CounterFamily
  public let jobs: CounterFamily

  public init(_ registry: MetricsRegistry) {
    queueDepth = registry.gauge(
      "vg_jobs_queue_depth", "Work that was taken up and is not done, by queue.", labels: ["queue"])
    oldestOwed = registry.gauge(
      "vg_webhooks_oldest_undelivered_seconds", "The age of the oldest event that a webhook is still owed.")
    deliveries = registry.counter(
      "vg_webhook_deliveries_total", "Attempts to deliver events, by outcome.", labels: ["outcome"])
    deliverySeconds = registry.histogram(
      "vg_webhook_delivery_seconds", "One attempt to deliver an event.", buckets: VoiceMetrics.latencyBuckets)
    deadLetters = registry.counter("vg_webhook_dead_letters_total", "Events that were given up.")
    jobs = registry.counter("vg_jobs_total", "Runs of periodic jobs, by outcome.", labels: ["job", "outcome"])
    queueDepth.with("webhooks").set(0)
  }
}
