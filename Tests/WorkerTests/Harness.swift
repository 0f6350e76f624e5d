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

/// A database that says of itself that other processes use it too.
struct SharedDatabase: SQLDatabase {
  let database: SQLiteDatabase
  var dialect: SQLDialect { .postgres }

  func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await database.read(body)
  }
  func write<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await database.write(body)
  }
}

/// A record, webhooks, and one receiver that answers as a test says.
struct Site {
  let database: SQLiteDatabase
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
    timing.validity = .milliseconds(2000)
    return timing
  }()
  static let secret = Secret("whsec_test")
  static let outbound = OutboundClient(
    settings: OutboundSettings(allowPrivate: [OutboundRule("127.0.0.0/8")].compactMap { $0 }),
    group: MultiThreadedEventLoopGroup.singleton, logger: quiet)

  init(_ answer: @escaping @Sendable (ScriptedHTTPServer.Request) -> [ScriptedHTTPServer.Step]) async throws {
    database = try SQLiteDatabase.inMemory()
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
    timeout: Duration = .seconds(5), shared: Bool = false, _ body: () async throws -> Void
  ) async throws {
    let task = deliverer(policy: policy, timeout: timeout, shared: shared)
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
    policy: DeliveryPolicy = DeliveryPolicy(), timeout: Duration = .seconds(5), shared: Bool = false,
    owner: String = "P1"
  ) -> Task<Void, Never> {
    let deliverer = WebhookDeliverer(
      database: shared ? SharedDatabase(database: database) : database, store: store,
      newEvents: { AsyncStream { _ in } },
      sender: WebhookSender(client: Self.outbound, product: "test", nowMs: { WallClock.nowMilliseconds() }),
      policy: policy, timeout: timeout, timing: Self.timing, owner: owner, metrics: metrics, logger: quiet)
    return Task { await deliverer.run() }
  }

  /// Waits until something holds, half a minute at most.
  func eventually(_ what: String, _ isMet: () async throws -> Bool) async throws {
    let end = Instant.monotonic() + .seconds(30)
    while try await !isMet() {
      guard Instant.monotonic() < end else {
        Issue.record("never: \(what)")
        return
      }
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  /// What the receiver was sent, as session and sequence.
  var received: [(session: String, sequence: Int64)] {
    receiver.requests.map { ($0.json["session_id"]?.stringValue ?? "", $0.json["sequence"]?.intValue ?? 0) }
  }
}

let ok = ScriptedHTTPServer.Step.answer(200, "thanks")
