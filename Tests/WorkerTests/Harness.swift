import Base
import Logging
import NIOHTTP1
import NIOPosix
import Outbound
import ScriptedServers
import Settings
import Storage
import Telemetry
import Testing
import Worker

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The databases that deliveries are shown on.
enum Backend: String, CaseIterable, Sendable {
  case sqlite, postgres
}

/// A record, webhooks, and one receiver that answers as a test says.
struct Site {
  /// The database as another process has it: with connections of its own where it is PostgreSQL.
  let openDatabase: @Sendable () -> any SQLDatabase
  let database: any SQLDatabase
  let store: WebhookStore
  let ledger: WebhookLedger
  let receiver: ScriptedHTTPServer
  let port: Int
  let metrics = WorkerMetrics(MetricsRegistry())

  /// Looks around often, so that tests need not wait for it.
  static let timing: DeliveryTiming = {
    var timing = DeliveryTiming()
    timing.look = .milliseconds(50)
    timing.renewal = .milliseconds(50)
    // However busy the machine is, nobody is taken for dead who lives.
    timing.validity = .seconds(60)
    return timing
  }()
  static let secret = Secret("whsec_test")
  static let outbound = OutboundClient(
    settings: OutboundSettings(allowPrivate: [OutboundRule("127.0.0.0/8")].compactMap { $0 }),
    group: MultiThreadedEventLoopGroup.singleton, logger: quiet)

  init(
    _ backend: Backend, _ answer: @escaping @Sendable (ScriptedHTTPServer.Request) -> [ScriptedHTTPServer.Step]
  ) async throws {
    switch backend {
    case .sqlite:
      let database = try SQLiteDatabase.inMemory()
      openDatabase = { database }
    case .postgres:
      let url = try PostgresServer.running().makeDatabase()
      _ = try await DatabaseStores.migrate(sqlite: nil, postgres: url, isDryRun: false, nowMs: 1)
      openDatabase = { PostgresDatabase(url: url) }
    }
    database = openDatabase()
    store = WebhookStore(database)
    ledger = WebhookLedger(database)
    receiver = ScriptedHTTPServer(answer)
    port = try await receiver.start()
  }

  func webhook(_ id: String = "W1", rate: Double? = nil) -> Webhook {
    Webhook(
      id: id, tenant: "default", url: "http://127.0.0.1:\(port)/in/\(id)", ratePerSecond: rate,
      secrets: [WebhookSecret(secret: Self.secret)], createdMs: 1, updatedMs: 1)
  }

  /// Writes events of a session to the record, without telling anybody.
  func record(_ session: String, _ sequences: ClosedRange<Int64>, type: String = "quality") async throws {
    try await database.write { database in
      for sequence in sequences {
        try database.run(
          """
          INSERT INTO events (event_id, session_id, sequence, type, timestamp_ms, dialog_name, tenant, fields)
          VALUES (?, ?, ?, ?, ?, 'helpdesk', 'default', '{"loss":0.5}')
          """,
          [.text("E-\(session)-\(sequence)"), .text(session), .int(sequence), .text(type), .int(1_700_000_000_000)])
      }
    }
  }

  /// A process that delivers while `body` runs.
  func delivering(
    policy: DeliveryPolicy = DeliveryPolicy(
      maxAttempts: 3, backoffInitial: .milliseconds(5), backoffMax: .milliseconds(20)),
    timeout: Duration = .seconds(5), _ body: () async throws -> Void
  ) async throws {
    let task = deliverer(policy: policy, timeout: timeout)
    do {
      try await body()
    } catch {
      task.cancel()
      await task.value
      throw error
    }
    task.cancel()
    await task.value
  }

  func deliverer(
    policy: DeliveryPolicy = DeliveryPolicy(), timeout: Duration = .seconds(5), timing: DeliveryTiming = Self.timing,
    owner: String = "P1"
  ) -> Task<Void, Never> {
    let deliverer = WebhookDeliverer(
      database: openDatabase(), store: store,
      newEvents: { AsyncStream { _ in } },
      sender: WebhookSender(client: Self.outbound, product: "test", nowMs: { WallClock.nowMilliseconds() }),
      policy: policy, timeout: timeout, timing: timing, owner: owner, metrics: metrics, logger: quiet)
    return Task { await deliverer.run() }
  }

  /// What the receiver was sent, as session and sequence.
  var received: [(session: String, sequence: Int64)] {
    receiver.requests.map { ($0.json["session_id"]?.stringValue ?? "", $0.json["sequence"]?.intValue ?? 0) }
  }
}

let ok = ScriptedHTTPServer.Step.answer(200, "thanks")
