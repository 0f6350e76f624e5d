import Base

extension Schema {
  /// Answers by `Idempotency-Key`. `status` is null while the gateway acts on the request.
  static let rememberedAnswers = SQLMigration("6 remembered answers") { _ in
    [
      """
      CREATE TABLE remembered_answers (
        tenant TEXT NOT NULL,
        idempotency_key TEXT NOT NULL,
        digest TEXT NOT NULL,
        created_at_ms BIGINT NOT NULL,
        status BIGINT,
        answer TEXT,
        PRIMARY KEY (tenant, idempotency_key)
      )
      """,
      "CREATE INDEX remembered_answers_by_age ON remembered_answers (created_at_ms)",
    ]
  }
}

/// Answers by `Idempotency-Key`, so that a client that never saw its answer can ask again without acting twice, after a restart
/// as well.
public final class AnswerStore: Sendable {
  public enum Beginning: Sendable, Hashable {
    /// Nobody acted on it yet; the key is taken now.
    case new
    case same(Value, status: Int)
    case underWay
    /// The gateway stopped while it acted on it.
    case unknown
    /// The key came before, with another request.
    case different
  }

  /// How long an answer is kept.
  public static let keptMs: Int64 = 24 * 3600 * 1000
  /// No request takes this long: one that is still under way then will never be answered.
  public static let longestMs: Int64 = 120_000

  private let database: any SQLDatabase

  public init(_ database: any SQLDatabase) { self.database = database }

  /// Takes the key, durably, before anything is done.
  /// - Parameters:
  ///   - digest: names the request.
  ///   - nowMs: wall-clock milliseconds.
  public func begin(_ key: String, tenant: String, digest: String, nowMs: Int64) async throws -> Beginning {
    try await database.write { database in
      try database.run("DELETE FROM remembered_answers WHERE created_at_ms < ?", [.int(nowMs - Self.keptMs)])
      let taken = try database.run(
        """
        INSERT INTO remembered_answers (tenant, idempotency_key, digest, created_at_ms) VALUES (?, ?, ?, ?)
        ON CONFLICT (tenant, idempotency_key) DO NOTHING
        """, [.text(tenant), .text(key), .text(digest), .int(nowMs)])
      if taken > 0 { return .new }
      guard
        let row = try database.row(
          "SELECT digest, created_at_ms, status, answer FROM remembered_answers WHERE tenant = ? AND idempotency_key = ?",
          [.text(tenant), .text(key)])
      else { return .underWay }
      guard try row.text("digest") == digest else { return .different }
      guard let status = try row.optionalInt("status") else {
        return nowMs - (try row.int("created_at_ms")) > Self.longestMs ? .unknown : .underWay
      }
      do {
        return .same(try JSON.decode(row.text("answer")), status: Int(status))
      } catch is JSON.ParseError {
        throw StorageError(.readFailed, "the database is damaged: a remembered answer is no JSON")
      }
    }
  }

  /// Keeps the answer.
  public func finish(_ key: String, tenant: String, _ answer: Value, status: Int) async throws {
    let text = JSON.encode(answer)
    try await database.write { database in
      _ = try database.run(
        "UPDATE remembered_answers SET status = ?, answer = ? WHERE tenant = ? AND idempotency_key = ?",
        [.int(Int64(status)), .text(text), .text(tenant), .text(key)])
    }
  }

  /// Nothing was done: the key is free again.
  public func forget(_ key: String, tenant: String) async throws {
    try await database.write { database in
      _ = try database.run(
        "DELETE FROM remembered_answers WHERE tenant = ? AND idempotency_key = ? AND status IS NULL",
        [.text(tenant), .text(key)])
    }
  }
}
