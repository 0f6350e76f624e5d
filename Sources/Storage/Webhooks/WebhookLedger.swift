import Base

/// How far deliveries have got, for the processes that deliver. One process at a time delivers for a webhook; every write
/// names the fence under which it began, so that one that was taken for dead changes nothing. Any thread.
public struct WebhookLedger: Sendable {
  /// An event that is owed although all around it is settled.
  public struct Parked: Sendable, Hashable {
    public var place: Int64
    public var session: String
    public var timestampMs: Int64
    public var attempts: Int
    /// Wall-clock milliseconds of the first attempt, and of the next.
    public var begunMs: Int64?
    public var dueMs: Int64?

    public init(
      place: Int64, session: String, timestampMs: Int64, attempts: Int, begunMs: Int64? = nil, dueMs: Int64? = nil
    ) {
      self.place = place
      self.session = session
      self.timestampMs = timestampMs
      self.attempts = attempts
      self.begunMs = begunMs
      self.dueMs = dueMs
    }
  }

  /// Who delivers for a webhook, and its last sign of life.
  public struct Standing: Sendable, Hashable {
    public var webhook: String
    /// The process; empty: nobody.
    public var owner: String
    public var beat: Int64
    public var fence: Int64
  }

  /// A webhook that is ours to deliver for.
  public struct Claim: Sendable {
    public var webhook: Webhook
    public var fence: Int64
    /// All events up to this place are settled, except for `parked`.
    public var reached: Int64
    public var failingSinceMs: Int64?
    /// In the order of the record.
    public var parked: [Parked]
  }

  /// What has become durable together, of one webhook.
  public struct Checkpoint: Sendable {
    public var webhook: String
    public var fence: Int64
    public var reached: Int64
    public var lastSuccessMs: Int64?
    public var failingSinceMs: Int64?
    public var parked: [Parked]
    /// Places whose rows go.
    public var settled: [Int64]
    public var dead: [(place: Int64, attempts: Int, reason: String)]
    public var deliveries: [WebhookDelivery]

    public init(
      webhook: String, fence: Int64, reached: Int64, lastSuccessMs: Int64?, failingSinceMs: Int64?, parked: [Parked],
      settled: [Int64], dead: [(place: Int64, attempts: Int, reason: String)], deliveries: [WebhookDelivery]
    ) {
      self.webhook = webhook
      self.fence = fence
      self.reached = reached
      self.lastSuccessMs = lastSuccessMs
      self.failingSinceMs = failingSinceMs
      self.parked = parked
      self.settled = settled
      self.dead = dead
      self.deliveries = deliveries
    }
  }

  /// An event and where it stands in the record.
  public struct PlacedEvent: Sendable {
    public var place: Int64
    public var event: SessionEvent
  }

  private let database: any SQLDatabase

  public init(_ database: any SQLDatabase) { self.database = database }

  /// Whether no other process can use the database.
  public var isExclusive: Bool { database.dialect == .sqlite }

  // MARK: Who delivers

  /// The webhooks that are on.
  public func webhooks() async throws -> [(webhook: Webhook, standing: Standing)] {
    try await database.read { database in
      try database.rows(
        """
        SELECT w.*, p.owner, p.beat, p.fence FROM webhooks w JOIN webhook_progress p ON p.webhook = w.id
        WHERE w.enabled = 1 ORDER BY w.id
        """
      ).map { row in
        let webhook = try WebhookStore.webhook(row)
        return (
          webhook,
          Standing(
            webhook: webhook.id, owner: try row.text("owner"), beat: try row.int("beat"), fence: try row.int("fence"))
        )
      }
    }
  }

  /// Takes a webhook for `owner`; nil: it is off, or somebody was faster, or its owner lives after all.
  public func take(_ standing: Standing, owner: String) async throws -> Claim? {
    try await database.write { database in
      let count = try database.run(
        """
        UPDATE webhook_progress SET owner = ?, beat = beat + 1, fence = fence + 1
        WHERE webhook = ? AND owner = ? AND beat = ? AND fence = ?
        """, [.text(owner), .text(standing.webhook), .text(standing.owner), .int(standing.beat), .int(standing.fence)])
      guard count == 1,
        let row = try database.row(
          """
          SELECT w.*, p.reached, p.fence, p.failing_since_ms FROM webhooks w JOIN webhook_progress p ON p.webhook = w.id
          WHERE w.id = ? AND w.enabled = 1
          """, [.text(standing.webhook)])
      else { return nil }
      let parked = try database.rows(
        "SELECT * FROM webhook_outbox WHERE webhook = ? ORDER BY place", [.text(standing.webhook)]
      ).map { row in
        Parked(
          place: try row.int("place"), session: try row.text("session_id"), timestampMs: try row.int("timestamp_ms"),
          attempts: Int(try row.int("attempts")), begunMs: try row.optionalInt("begun_ms"),
          dueMs: try row.optionalInt("due_ms"))
      }
      return Claim(
        webhook: try WebhookStore.webhook(row), fence: try row.int("fence"), reached: try row.int("reached"),
        failingSinceMs: try row.optionalInt("failing_since_ms"), parked: parked)
    }
  }

  /// Shows that `owner` lives; the webhooks that are still its own, with their fences.
  public func renew(owner: String) async throws -> [String: Int64] {
    try await database.write { database in
      try database.run("UPDATE webhook_progress SET beat = beat + 1 WHERE owner = ?", [.text(owner)])
      let rows = try database.rows("SELECT webhook, fence FROM webhook_progress WHERE owner = ?", [.text(owner)])
      return Dictionary(
        try rows.map { (try $0.text("webhook"), try $0.int("fence")) }, uniquingKeysWith: { first, _ in first })
    }
  }

  /// Leaves webhooks to whoever comes next.
  /// - Parameter webhook: only this one.
  public func release(owner: String, webhook: String? = nil) async throws {
    _ = try await database.write { database in
      try database.run(
        "UPDATE webhook_progress SET owner = '' WHERE owner = ?" + (webhook == nil ? "" : " AND webhook = ?"),
        [.text(owner)] + (webhook.map { [.text($0)] } ?? []))
    }
  }

  /// Turns a webhook off because of its receiver, unless another process delivers for it meanwhile.
  public func disable(_ webhook: String, fence: Int64, reason: String, nowMs: Int64) async throws {
    try await database.write { database in
      try database.run(
        """
        UPDATE webhooks SET enabled = 0, disabled_reason = ?, updated_ms = ?, revision = revision + 1
        WHERE id = ? AND EXISTS (SELECT 1 FROM webhook_progress WHERE webhook = ? AND fence = ?)
        """, [.text(reason), .int(nowMs), .text(webhook), .text(webhook), .int(fence)])
      try database.run(
        "UPDATE webhook_progress SET owner = '' WHERE webhook = ? AND fence = ?", [.text(webhook), .int(fence)])
    }
  }

  // MARK: The record

  /// Events after a place, in the order of the record.
  public func events(after place: Int64, limit: Int) async throws -> [PlacedEvent] {
    try await database.read { database in
      try database.rows(
        "SELECT * FROM events WHERE place > ? ORDER BY place LIMIT ?", [.int(place), SQLValue(limit)]
      ).map { PlacedEvent(place: try $0.int("place"), event: try Self.event($0)) }
    }
  }

  /// One event; nil: the record does not hold it any more.
  public func event(at place: Int64) async throws -> SessionEvent? {
    try await database.read { database in
      try database.row("SELECT * FROM events WHERE place = ?", [.int(place)]).map(Self.event)
    }
  }

  static func event(_ row: SQLRow) throws -> SessionEvent {
    let fields: [String: Value]
    if case .map(let map)? = try? JSON.decode(try row.text("fields")) {
      fields = map
    } else {
      fields = [SessionEvent.damaged: true]
    }
    return SessionEvent(
      eventID: try row.text("event_id"), type: try row.text("type"), sequence: try row.int("sequence"),
      session: SessionID(try row.text("session_id")), timestampMs: try row.int("timestamp_ms"),
      dialogName: try row.text("dialog_name"), tenant: try row.text("tenant"), fields: fields)
  }

  // MARK: Checkpoints

  /// Keeps the checkpoints of many webhooks in one transaction.
  /// - Returns: webhooks that another process has taken meanwhile, or that are gone: of those nothing was kept.
  public func keep(_ checkpoints: [Checkpoint], nowMs: Int64) async throws -> Set<String> {
    try await database.write { database in
      var lost: Set<String> = []
      for checkpoint in checkpoints where try !Self.keep(checkpoint, nowMs, database) {
        lost.insert(checkpoint.webhook)
      }
      return lost
    }
  }

  private static func keep(_ checkpoint: Checkpoint, _ nowMs: Int64, _ database: any SQLConnection) throws -> Bool {
    let webhook = SQLValue.text(checkpoint.webhook)
    let count = try database.run(
      """
      UPDATE webhook_progress SET reached = ?, succeeded_ms = COALESCE(?, succeeded_ms), failing_since_ms = ?
      WHERE webhook = ? AND fence = ?
      """,
      [
        .int(checkpoint.reached), SQLValue(checkpoint.lastSuccessMs), SQLValue(checkpoint.failingSinceMs), webhook,
        .int(checkpoint.fence),
      ])
    guard count == 1 else { return false }
    for row in checkpoint.parked {
      try database.run(
        """
        INSERT INTO webhook_outbox (webhook, place, session_id, timestamp_ms, attempts, begun_ms, due_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (webhook, place) DO UPDATE
        SET attempts = excluded.attempts, begun_ms = excluded.begun_ms, due_ms = excluded.due_ms
        """,
        [
          webhook, .int(row.place), .text(row.session), .int(row.timestampMs), SQLValue(row.attempts),
          SQLValue(row.begunMs), SQLValue(row.dueMs),
        ])
    }
    for dead in checkpoint.dead {
      try database.run(
        """
        INSERT INTO webhook_dead_letters (
          webhook, tenant, event_id, type, session_id, sequence, timestamp_ms, dialog_name, fields, attempts, reason, died_ms)
        SELECT ?, tenant, event_id, type, session_id, sequence, timestamp_ms, dialog_name, fields, CAST(? AS BIGINT), ?,
          CAST(? AS BIGINT)
        FROM events WHERE place = ?
        ON CONFLICT (webhook, event_id) DO UPDATE
        SET attempts = excluded.attempts, reason = excluded.reason, died_ms = excluded.died_ms
        """, [webhook, SQLValue(dead.attempts), .text(dead.reason), .int(nowMs), .int(dead.place)])
    }
    for place in checkpoint.settled {
      try database.run("DELETE FROM webhook_outbox WHERE webhook = ? AND place = ?", [webhook, .int(place)])
    }
    for delivery in checkpoint.deliveries { try insert(delivery, database) }
    return true
  }

  static func insert(_ delivery: WebhookDelivery, _ database: any SQLConnection) throws {
    try database.run(
      """
      INSERT INTO webhook_deliveries (
        webhook, event_id, type, session_id, sequence, attempt, outcome, status, error, response, duration_ms, at_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .text(delivery.webhook), .text(delivery.eventID), .text(delivery.type), .text(delivery.session),
        .int(delivery.sequence), SQLValue(delivery.attempt), .text(delivery.outcome), SQLValue(delivery.status),
        .text(delivery.error), .text(delivery.response), SQLValue(delivery.durationMs), .int(delivery.atMs),
      ])
  }

  // MARK: Retention

  /// The oldest place of the record that a webhook that is on may still be owed: what stands before it may be deleted.
  /// nil: nothing is owed.
  public static func firstOwedPlace(_ database: any SQLConnection) throws -> Int64? {
    try database.row(
      """
      SELECT MIN(place) AS place FROM (
        SELECT MIN(p.reached) + 1 AS place FROM webhook_progress p JOIN webhooks w ON w.id = p.webhook WHERE w.enabled = 1
        UNION ALL
        SELECT MIN(o.place) AS place FROM webhook_outbox o JOIN webhooks w ON w.id = o.webhook WHERE w.enabled = 1
      ) AS owed
      """)?.optionalInt("place")
  }

  /// Deletes attempts and dead letters that are too old or too many, in small transactions.
  public func clean(nowMs: Int64) async throws {
    let webhooks = try await database.read { try $0.rows("SELECT id FROM webhooks").map { try $0.text("id") } }
    for webhook in webhooks {
      try await clean(
        "webhook_deliveries", "at_ms", webhook, WebhookLimits.deliveries, nowMs - WebhookLimits.deliveryAgeMs)
      try await clean(
        "webhook_dead_letters", "died_ms", webhook, WebhookLimits.deadLetters, nowMs - WebhookLimits.deadLetterAgeMs)
    }
  }

  private func clean(_ table: String, _ time: String, _ webhook: String, _ count: Int, _ oldest: Int64) async throws {
    while true {
      let deleted = try await database.write { database in
        try database.run(
          """
          DELETE FROM \(table) WHERE id IN (
            SELECT id FROM \(table) WHERE webhook = ? AND (
              \(time) < ? OR id <= COALESCE((
                SELECT id FROM \(table) WHERE webhook = ? ORDER BY id DESC LIMIT 1 OFFSET \(count)), 0))
            ORDER BY id LIMIT 500)
          """, [.text(webhook), .int(oldest), .text(webhook)])
      }
      if deleted < 500 { return }
    }
  }
}
