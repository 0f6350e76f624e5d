extension Schema {
  /// Tokens of the API, and the audit log. Neither a statement of ours nor one typed in by hand changes a line of the log:
  /// the database refuses it. Who drops the triggers first is found out by the chain (``AuditChain``).
  static let access = SQLMigration("4 access") { dialect in
    [
      """
      CREATE TABLE tokens (
        token_id TEXT PRIMARY KEY NOT NULL,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        hash \(dialect.bytes) NOT NULL UNIQUE,
        roles TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at_ms BIGINT NOT NULL,
        expires_at_ms BIGINT,
        last_used_at_ms BIGINT,
        revoked_at_ms BIGINT
      )
      """,
      "CREATE INDEX tokens_by_tenant ON tokens (tenant, token_id)",
      """
      CREATE TABLE audit (
        sequence BIGINT PRIMARY KEY NOT NULL,
        at_ms BIGINT NOT NULL,
        tenant TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        object TEXT NOT NULL,
        outcome TEXT NOT NULL,
        status BIGINT NOT NULL,
        peer TEXT NOT NULL,
        request_id TEXT NOT NULL,
        details TEXT NOT NULL,
        hash \(dialect.bytes) NOT NULL
      )
      """,
      "CREATE INDEX audit_by_tenant ON audit (tenant, sequence)",
    ] + guards(dialect)
  }

  private static func guards(_ dialect: SQLDialect) -> [String] {
    switch dialect {
    case .sqlite:
      ["UPDATE", "DELETE"].map { change in
        """
        CREATE TRIGGER audit_no_\(change.lowercased()) BEFORE \(change) ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
        """
      }
    case .postgres:
      [
        """
        CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
        """,
        """
        CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
        """,
      ]
    }
  }
}
