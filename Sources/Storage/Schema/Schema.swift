/// The tables. Each step is written once for every database; the questions to the tables stand with the stores.
enum Schema {
  /// In order. A step that was released never changes: its checksum is in every database.
  static let migrations: [SQLMigration] = [
    record, dialogsAndDocuments, tenants, access, webhooks, rememberedAnswers, sharing, withoutSnapshots,
  ]

  static let record = SQLMigration("1 record of sessions") { dialect in
    [
      """
      CREATE TABLE events (
        place \(dialect.counter),
        event_id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        type TEXT NOT NULL,
        timestamp_ms BIGINT NOT NULL,
        dialog_name TEXT NOT NULL,
        tenant TEXT NOT NULL,
        fields TEXT NOT NULL,
        UNIQUE (session_id, sequence)
      )
      """,
      """
      CREATE TABLE sessions (
        session_id TEXT PRIMARY KEY NOT NULL,
        state TEXT NOT NULL,
        direction TEXT NOT NULL,
        caller_id TEXT NOT NULL,
        called_number TEXT NOT NULL,
        dialog_name TEXT NOT NULL,
        current_state TEXT NOT NULL,
        variables TEXT NOT NULL,
        started_at_ms BIGINT NOT NULL,
        answered_at_ms BIGINT,
        ended_at_ms BIGINT,
        end_reason TEXT,
        quality TEXT NOT NULL,
        latency TEXT NOT NULL
      )\(dialect.clustered)
      """,
      "CREATE INDEX sessions_by_start ON sessions ((state = 'ended'), started_at_ms, session_id)",
    ]
  }

  static let dialogsAndDocuments = SQLMigration("2 dialogs, snapshots, documents") { dialect in
    [
      "ALTER TABLE sessions ADD COLUMN dialog_version TEXT NOT NULL DEFAULT ''",
      "ALTER TABLE sessions ADD COLUMN dialog_number BIGINT NOT NULL DEFAULT 0",
      "ALTER TABLE sessions ADD COLUMN dialog_digest TEXT NOT NULL DEFAULT ''",
      "ALTER TABLE sessions ADD COLUMN outcome TEXT NOT NULL DEFAULT '{}'",
      """
      CREATE TABLE snapshots (
        session_id TEXT PRIMARY KEY NOT NULL,
        sequence BIGINT NOT NULL,
        checksum BIGINT NOT NULL,
        data \(dialect.bytes) NOT NULL
      )
      """,
      "CREATE TABLE dialog_sources (digest TEXT PRIMARY KEY NOT NULL, source TEXT NOT NULL)",
      """
      CREATE TABLE dialog_versions (
        dialog TEXT NOT NULL,
        number BIGINT NOT NULL,
        digest TEXT NOT NULL,
        origin TEXT NOT NULL,
        author TEXT NOT NULL,
        note TEXT NOT NULL,
        created_at_ms BIGINT NOT NULL,
        published_at_ms BIGINT,
        PRIMARY KEY (dialog, number)
      )\(dialect.clustered)
      """,
      "CREATE INDEX dialog_versions_by_digest ON dialog_versions (digest, created_at_ms)",
      """
      CREATE TABLE dialogs (
        name TEXT PRIMARY KEY NOT NULL,
        published BIGINT,
        held_digest TEXT NOT NULL DEFAULT '',
        file TEXT NOT NULL DEFAULT '',
        state TEXT,
        served BIGINT,
        label TEXT NOT NULL DEFAULT '',
        description TEXT NOT NULL DEFAULT '',
        language TEXT NOT NULL DEFAULT '',
        diagnostics TEXT NOT NULL DEFAULT '[]'
      )\(dialect.clustered)
      """,
      // Documents are an index of files. It is SQLite's own, beside whichever database keeps the rest.
    ] + (dialect == .sqlite ? documentTables : [])
  }

  /// What a session has to remember is kept in `checkpoints`.
  static let withoutSnapshots = SQLMigration("8 no snapshots") { _ in ["DROP TABLE snapshots"] }

  /// The documents alone, for a file of their own.
  static let documents = SQLMigration("1 documents") { _ in documentTables }
}
