extension Schema {
  /// Everything belongs to a tenant; what was there belongs to the gateway's owner. Numbers; and what several processes of
  /// one database know of each other.
  static let tenants = SQLMigration("3 tenants") { dialect in
    [
      "ALTER TABLE sessions ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default'",
      "ALTER TABLE sessions ADD COLUMN ended BIGINT NOT NULL DEFAULT 0",
      // The process that holds an open session.
      "ALTER TABLE sessions ADD COLUMN instance TEXT NOT NULL DEFAULT ''",
      "UPDATE sessions SET ended = 1 WHERE state = 'ended'",
      "DROP INDEX sessions_by_start",
      // A page of a list is one walk along one of these, whatever the filter.
      "CREATE INDEX sessions_by_start ON sessions (tenant, ended, started_at_ms, session_id)",
      "CREATE INDEX sessions_by_dialog ON sessions (tenant, ended, dialog_name, started_at_ms, session_id)",
      "CREATE INDEX sessions_by_caller ON sessions (tenant, ended, caller_id, started_at_ms, session_id)",
      "CREATE INDEX sessions_by_called ON sessions (tenant, ended, called_number, started_at_ms, session_id)",
      // For whoever cleans up: sessions that are open, and those that ended long ago.
      "CREATE INDEX sessions_by_end ON sessions (ended, ended_at_ms)",
      "CREATE INDEX events_by_tenant ON events (tenant, place)",
      "CREATE INDEX events_by_type ON events (type, timestamp_ms)",
      """
      CREATE TABLE tenant_versions (
        tenant TEXT NOT NULL,
        dialog TEXT NOT NULL,
        number BIGINT NOT NULL,
        digest TEXT NOT NULL,
        origin TEXT NOT NULL,
        author TEXT NOT NULL,
        note TEXT NOT NULL,
        created_at_ms BIGINT NOT NULL,
        published_at_ms BIGINT,
        PRIMARY KEY (tenant, dialog, number)
      )\(dialect.clustered)
      """,
      """
      INSERT INTO tenant_versions
      SELECT 'default', dialog, number, digest, origin, author, note, created_at_ms, published_at_ms FROM dialog_versions
      """,
      "DROP TABLE dialog_versions",
      "ALTER TABLE tenant_versions RENAME TO dialog_versions",
      "CREATE INDEX dialog_versions_by_digest ON dialog_versions (digest, created_at_ms)",
      """
      CREATE TABLE tenant_dialogs (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        published BIGINT,
        held_digest TEXT NOT NULL DEFAULT '',
        file TEXT NOT NULL DEFAULT '',
        state TEXT,
        served BIGINT,
        label TEXT NOT NULL DEFAULT '',
        description TEXT NOT NULL DEFAULT '',
        language TEXT NOT NULL DEFAULT '',
        diagnostics TEXT NOT NULL DEFAULT '[]',
        PRIMARY KEY (tenant, name)
      )\(dialect.clustered)
      """,
      """
      INSERT INTO tenant_dialogs
      SELECT 'default', name, published, held_digest, file, state, served, label, description, language, diagnostics
      FROM dialogs
      """,
      "DROP TABLE dialogs",
      "ALTER TABLE tenant_dialogs RENAME TO dialogs",
      // A number is one tenant's: who calls it cannot say which of two is meant.
      """
      CREATE TABLE numbers (
        number TEXT PRIMARY KEY NOT NULL,
        tenant TEXT NOT NULL,
        dialog TEXT NOT NULL,
        description TEXT NOT NULL,
        created_at_ms BIGINT NOT NULL,
        updated_at_ms BIGINT NOT NULL
      )\(dialect.clustered)
      """,
      "CREATE INDEX numbers_by_tenant ON numbers (tenant, number)",
      // Processes that share the database, and when each last said that it lives.
      "CREATE TABLE instances (id TEXT PRIMARY KEY NOT NULL, seen_at_ms BIGINT NOT NULL)",
      // Counts changes, so that other processes see in one row whether there is anything new.
      "CREATE TABLE revisions (name TEXT PRIMARY KEY NOT NULL, revision BIGINT NOT NULL)",
    ]
  }
}
