extension Schema {
  /// Subscriptions, how far each has got, what each still owes, and what became of the rest.
  static let webhooks = SQLMigration("5 webhooks") { dialect in
    [
      """
      CREATE TABLE webhooks (
        id TEXT PRIMARY KEY NOT NULL,
        tenant TEXT NOT NULL,
        url TEXT NOT NULL,
        event_types TEXT NOT NULL,
        session_id TEXT NOT NULL,
        dialog_name TEXT NOT NULL,
        description TEXT NOT NULL,
        enabled BIGINT NOT NULL,
        disabled_reason TEXT NOT NULL,
        rate_per_second DOUBLE PRECISION,
        secrets TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL,
        revision BIGINT NOT NULL
      )
      """,
      "CREATE INDEX webhooks_by_tenant ON webhooks (tenant, id)",
      // Apart from the webhook, because this is written all the time. `owner`, `beat` and `fence` say which process delivers.
      """
      CREATE TABLE webhook_progress (
        webhook TEXT PRIMARY KEY NOT NULL,
        reached BIGINT NOT NULL,
        owner TEXT NOT NULL,
        beat BIGINT NOT NULL,
        fence BIGINT NOT NULL,
        succeeded_ms BIGINT,
        failing_since_ms BIGINT
      )
      """,
      // Events that are owed although `reached` lies behind them.
      """
      CREATE TABLE webhook_outbox (
        webhook TEXT NOT NULL,
        place BIGINT NOT NULL,
        session_id TEXT NOT NULL,
        timestamp_ms BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        begun_ms BIGINT,
        due_ms BIGINT,
        PRIMARY KEY (webhook, place)
      )
      """,
      """
      CREATE TABLE webhook_deliveries (
        id \(dialect.counter),
        webhook TEXT NOT NULL,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        session_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        attempt BIGINT NOT NULL,
        outcome TEXT NOT NULL,
        status BIGINT NOT NULL,
        error TEXT NOT NULL,
        response TEXT NOT NULL,
        duration_ms BIGINT NOT NULL,
        at_ms BIGINT NOT NULL
      )
      """,
      "CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, id)",
      // With the event itself: it outlives its place in the record.
      """
      CREATE TABLE webhook_dead_letters (
        id \(dialect.counter),
        webhook TEXT NOT NULL,
        tenant TEXT NOT NULL,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        session_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        timestamp_ms BIGINT NOT NULL,
        dialog_name TEXT NOT NULL,
        fields TEXT NOT NULL,
        attempts BIGINT NOT NULL,
        reason TEXT NOT NULL,
        died_ms BIGINT NOT NULL,
        UNIQUE (webhook, event_id)
      )
      """,
      "CREATE INDEX webhook_dead_letters_by_tenant ON webhook_dead_letters (tenant, id)",
      """
      CREATE TABLE jobs (
        name TEXT PRIMARY KEY NOT NULL,
        due_ms BIGINT NOT NULL,
        owner TEXT NOT NULL
      )
      """,
    ]
  }
}
