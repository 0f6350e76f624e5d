extension Schema {
  /// What several processes know of each other's calls.
  static let sharing = SQLMigration("7 shared calls") { dialect in
    [
      """
      CREATE TABLE call_leases (
        role TEXT NOT NULL,
        session_id TEXT NOT NULL,
        instance TEXT NOT NULL,
        address TEXT NOT NULL,
        token BIGINT NOT NULL,
        until_ms BIGINT NOT NULL,
        PRIMARY KEY (role, session_id)
      )\(dialect.clustered)
      """,
      "CREATE INDEX call_leases_by_end ON call_leases (role, until_ms)",
      // One row.
      "CREATE TABLE call_tokens (last BIGINT NOT NULL)",
      "INSERT INTO call_tokens (last) VALUES (0)",
      """
      CREATE TABLE call_places (
        counter TEXT NOT NULL,
        place TEXT NOT NULL,
        until_ms BIGINT NOT NULL,
        PRIMARY KEY (counter, place)
      )\(dialect.clustered)
      """,
      """
      CREATE TABLE checkpoints (
        session_id TEXT PRIMARY KEY NOT NULL,
        token BIGINT NOT NULL,
        sequence BIGINT NOT NULL,
        data \(dialect.bytes),
        events TEXT NOT NULL,
        ended BIGINT NOT NULL,
        until_ms BIGINT NOT NULL
      )
      """,
      "CREATE INDEX checkpoints_by_end ON checkpoints (until_ms)",
    ]
  }
}
