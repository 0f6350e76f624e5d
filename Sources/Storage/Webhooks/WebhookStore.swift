import Base
import NIOConcurrencyHelpers
import Settings

/// The webhooks, for those who make and look at them. Any thread.
public final class WebhookStore: Sendable {
  private let database: any SQLDatabase
  private let signal = ChangeSignal()

  public init(_ database: any SQLDatabase) { self.database = database }

  /// An element for every change of a webhook in this process. Other processes' changes are not told.
  public var changes: AsyncStream<Void> { signal.listen() }

  // MARK: Webhooks

  /// Keeps a new webhook; it is told of events from now on.
  /// - Throws: ``StorageError`` `limit` where the tenant has too many.
  public func create(_ webhook: Webhook) async throws {
    try await database.write { database in
      let count = try database.row("SELECT COUNT(*) AS n FROM webhooks WHERE tenant = ?", [.text(webhook.tenant)])
      guard try count?.int("n") ?? 0 < WebhookLimits.perTenant else {
        throw StorageError(.limit, "there are \(WebhookLimits.perTenant) webhooks already; delete one")
      }
      try database.run(
        """
        INSERT INTO webhooks (
          tenant, url, event_types, session_id, dialog_name, description, enabled, disabled_reason, rate_per_second,
          secrets, updated_ms, revision, created_ms, id)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """, [.text(webhook.tenant)] + Self.values(webhook) + [.int(webhook.createdMs), .text(webhook.id)])
      let last = try database.row("SELECT COALESCE(MAX(place), 0) AS last FROM events")?.int("last") ?? 0
      try database.run(
        "INSERT INTO webhook_progress (webhook, reached, owner, beat, fence) VALUES (?, ?, '', 0, 0)",
        [.text(webhook.id), .int(last)])
    }
    signal.send()
  }

  public func webhook(_ id: String, tenant: String) async throws -> Webhook? {
    try await database.read { database in try Self.webhook(id, tenant, database) }
  }

  /// By their identifiers, which is the order in which they were made.
  public func webhooks(tenant: String, limit: Int, after: String) async throws -> [Webhook] {
    try await database.read { database in
      try database.rows(
        "SELECT * FROM webhooks WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?",
        [.text(tenant), .text(after), SQLValue(limit)]
      ).map(Self.webhook)
    }
  }

  /// Changes a webhook.
  /// - Parameters:
  ///   - skipsMissed: what is owed until now is not delivered any more.
  ///   - change: runs within the transaction, maybe more than once.
  /// - Returns: the webhook as it is now; nil: there is none.
  public func update(
    _ id: String, tenant: String, nowMs: Int64, skipsMissed: Bool = false,
    _ change: @escaping @Sendable (inout Webhook) throws -> Void
  ) async throws -> Webhook? {
    let changed = try await database.write { database -> Webhook? in
      guard var webhook = try Self.webhook(id, tenant, database) else { return nil }
      try change(&webhook)
      webhook.updatedMs = nowMs
      webhook.revision += 1
      try Self.replace(webhook, database)
      if webhook.isEnabled {
        // Failures of an earlier time do not count against whoever mended the receiver.
        try database.run(
          "UPDATE webhook_progress SET failing_since_ms = NULL WHERE webhook = ?", [.text(id)])
      }
      if skipsMissed {
        try database.run("DELETE FROM webhook_outbox WHERE webhook = ?", [.text(id)])
        // The fence tells the process that delivers that its picture is old.
        try database.run(
          """
          UPDATE webhook_progress SET reached = (SELECT COALESCE(MAX(place), 0) FROM events), fence = fence + 1, owner = ''
          WHERE webhook = ?
          """, [.text(id)])
      }
      return webhook
    }
    if changed != nil { signal.send() }
    return changed
  }

  /// Forgets a webhook and all that was kept for it; false: there is none.
  public func delete(_ id: String, tenant: String) async throws -> Bool {
    let isDeleted = try await database.write { database in
      let count = try database.run("DELETE FROM webhooks WHERE tenant = ? AND id = ?", [.text(tenant), .text(id)])
      guard count > 0 else { return false }
      for table in ["webhook_progress", "webhook_outbox", "webhook_deliveries", "webhook_dead_letters"] {
        try database.run("DELETE FROM \(table) WHERE webhook = ?", [.text(id)])
      }
      return true
    }
    if isDeleted { signal.send() }
    return isDeleted
  }

  public func progress(_ id: String) async throws -> WebhookProgress? {
    try await database.read { database in
      let row = try database.row(
        """
        SELECT succeeded_ms, failing_since_ms,
          (SELECT COUNT(*) FROM webhook_outbox o WHERE o.webhook = p.webhook) AS waiting,
          (SELECT COUNT(*) FROM webhook_dead_letters d WHERE d.webhook = p.webhook) AS dead
        FROM webhook_progress p WHERE p.webhook = ?
        """, [.text(id)])
      return try row.map { row in
        WebhookProgress(
          lastSuccessMs: try row.optionalInt("succeeded_ms"), failingSinceMs: try row.optionalInt("failing_since_ms"),
          waiting: Int(try row.int("waiting")), deadLetters: Int(try row.int("dead")))
      }
    }
  }

  // MARK: What became of events

  /// Attempts, the newest first.
  public func deliveries(of webhook: String, limit: Int, before: Int64?) async throws -> [WebhookDelivery] {
    try await database.read { database in
      try database.rows(
        "SELECT * FROM webhook_deliveries WHERE webhook = ? AND id < ? ORDER BY id DESC LIMIT ?",
        [.text(webhook), .int(before ?? .max), SQLValue(limit)]
      ).map { row in
        var delivery = WebhookDelivery(
          webhook: try row.text("webhook"), eventID: try row.text("event_id"), type: try row.text("type"),
          session: try row.text("session_id"), sequence: try row.int("sequence"), attempt: Int(try row.int("attempt")),
          outcome: try row.text("outcome"), status: Int(try row.int("status")), error: try row.text("error"),
          response: try row.text("response"), durationMs: Int(try row.int("duration_ms")), atMs: try row.int("at_ms"))
        delivery.id = try row.int("id")
        return delivery
      }
    }
  }

  /// Dead letters of a tenant, the newest first.
  /// - Parameter webhook: only of this one.
  public func deadLetters(
    tenant: String, webhook: String? = nil, limit: Int, before: Int64?
  ) async throws -> [WebhookDeadLetter] {
    try await database.read { database in
      let filter = webhook == nil ? "" : "webhook = ? AND"
      return try database.rows(
        "SELECT * FROM webhook_dead_letters WHERE \(filter) tenant = ? AND id < ? ORDER BY id DESC LIMIT ?",
        (webhook.map { [.text($0)] } ?? []) + [.text(tenant), .int(before ?? .max), SQLValue(limit)]
      ).map(Self.deadLetter)
    }
  }

  public func deadLetter(_ id: Int64, tenant: String) async throws -> WebhookDeadLetter? {
    try await database.read { database in
      try database.row("SELECT * FROM webhook_dead_letters WHERE tenant = ? AND id = ?", [.text(tenant), .int(id)])
        .map(Self.deadLetter)
    }
  }

  /// Keeps what became of a dead letter that was sent again: delivered, it is gone; else its attempts are counted.
  public func replayed(_ letter: WebhookDeadLetter, _ delivery: WebhookDelivery, isDelivered: Bool) async throws {
    try await database.write { database in
      if isDelivered {
        try database.run("DELETE FROM webhook_dead_letters WHERE id = ?", [.int(letter.id)])
      } else {
        try database.run(
          "UPDATE webhook_dead_letters SET attempts = attempts + 1, reason = ? WHERE id = ?",
          [.text(delivery.error), .int(letter.id)])
      }
      try WebhookLedger.insert(delivery, database)
    }
  }

  /// Keeps an attempt that was made by hand.
  public func keep(_ delivery: WebhookDelivery) async throws {
    try await database.write { database in try WebhookLedger.insert(delivery, database) }
  }

  // MARK: Rows

  static func webhook(_ id: String, _ tenant: String, _ database: any SQLConnection) throws -> Webhook? {
    try database.row("SELECT * FROM webhooks WHERE tenant = ? AND id = ?", [.text(tenant), .text(id)]).map(webhook)
  }

  static func webhook(_ row: SQLRow) throws -> Webhook {
    var types: [Value] = []
    if case .list(let items)? = try? JSON.decode(try row.text("event_types")) { types = items }
    return Webhook(
      id: try row.text("id"), tenant: try row.text("tenant"), url: try row.text("url"),
      eventTypes: types.compactMap(\.stringValue), sessionID: try row.text("session_id"),
      dialogName: try row.text("dialog_name"), description: try row.text("description"),
      isEnabled: try row.bool("enabled"), disabledReason: try row.text("disabled_reason"),
      ratePerSecond: row.isNull("rate_per_second") ? nil : try row.real("rate_per_second"),
      secrets: WebhookSecret.decode(try row.text("secrets")), createdMs: try row.int("created_ms"),
      updatedMs: try row.int("updated_ms"), revision: try row.int("revision"))
  }

  private static func replace(_ webhook: Webhook, _ database: any SQLConnection) throws {
    try database.run(
      """
      UPDATE webhooks SET
        url = ?, event_types = ?, session_id = ?, dialog_name = ?, description = ?, enabled = ?, disabled_reason = ?,
        rate_per_second = ?, secrets = ?, updated_ms = ?, revision = ?
      WHERE id = ?
      """, values(webhook) + [.text(webhook.id)])
  }

  private static func values(_ webhook: Webhook) -> [SQLValue] {
    [
      .text(webhook.url), .text(JSON.encode(.list(webhook.eventTypes.map { .string($0) }))), .text(webhook.sessionID),
      .text(webhook.dialogName), .text(webhook.description), SQLValue(webhook.isEnabled),
      .text(webhook.disabledReason), webhook.ratePerSecond.map { .real($0) } ?? .null,
      .text(WebhookSecret.encode(webhook.secrets)), .int(webhook.updatedMs), .int(webhook.revision),
    ]
  }

  private static func deadLetter(_ row: SQLRow) throws -> WebhookDeadLetter {
    WebhookDeadLetter(
      id: try row.int("id"), webhook: try row.text("webhook"), event: try WebhookLedger.event(row),
      attempts: Int(try row.int("attempts")), reason: try row.text("reason"), diedMs: try row.int("died_ms"))
  }
}
