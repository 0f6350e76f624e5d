import Base
import IntegrationGateway
import Logging
import Outbound
import Settings
import Storage
import Telemetry
import Worker

/// The worker role, put together: deliveries to webhooks, and the jobs that keep the database small.
struct WorkerRole: Sendable {
  /// What the API needs for webhooks.
  let desk: WebhookDesk
  private let deliverer: WebhookDeliverer
  private let jobs: JobRunner

  /// - Parameter jobs: beside those of the webhooks.
  init(
    settings: IntegrationSettings, database: any SQLDatabase, log: any EventLog, outbound: OutboundClient,
    jobs: [Job] = [], metrics: MetricsRegistry, logger: Logger
  ) {
    let webhooks = WebhookStore(database)
    let sender = WebhookSender(
      client: outbound, product: "Parley/\(Build.version)", nowMs: { WallClock.nowMilliseconds() })
    desk = WebhookDesk(
      store: webhooks, sender: sender, timeout: settings.webhooks.timeout,
      check: { (url) throws(OutboundError) in try OutboundClient.check(url, settings.outbound) })
    var random = SystemRandomNumberGenerator()
    let owner = ULID.make(unixMilliseconds: WallClock.nowMilliseconds(), using: &random)
    let metrics = WorkerMetrics(metrics)
    deliverer = WebhookDeliverer(
      database: database, store: webhooks, newEvents: { log.subscribe(bufferLimit: 4096) }, sender: sender,
      policy: DeliveryPolicy(
        maxAttempts: settings.webhooks.maxAttempts, backoffInitial: settings.webhooks.backoffInitial,
        backoffMax: settings.webhooks.backoffMax),
      timeout: settings.webhooks.timeout, owner: owner, metrics: metrics, logger: logger)
    let ledger = WebhookLedger(database)
    self.jobs = JobRunner(
      database: database,
      jobs: [Job("webhook-history", every: .seconds(60)) { try await ledger.clean(nowMs: $0) }] + jobs, owner: owner,
      metrics: metrics, logger: logger)
  }

  /// Works until the task is cancelled; what is under way then comes to its end.
  func start() -> Task<Void, Never> {
    Task {
      async let deliveries: Void = deliverer.run()
      await jobs.run()
      await deliveries
    }
  }
}
