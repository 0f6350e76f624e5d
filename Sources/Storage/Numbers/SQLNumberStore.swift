import Base
import NIOConcurrencyHelpers

/// Numbers in a database, and in memory for the calls that come in. Any thread.
public final class SQLNumberStore: NumberStore {
  private struct Table {
    var records: [String: NumberRecord] = [:]
    /// Counts the changes of this process: what was read before one of them is stale.
    var change = 0
  }
  private let database: any SQLDatabase
  private let table = NIOLockedValueBox(Table())

  /// - Parameter database: has the schema already. Numbers are known after ``reload()``.
  public init(_ database: any SQLDatabase) { self.database = database }

  /// A store that lives in memory and forgets everything: for tests.
  public static func inMemory() throws(StorageError) -> SQLNumberStore { SQLNumberStore(try SQLiteDatabase.inMemory()) }

  /// Reads everything anew: at the start, and when another process has changed something.
  public func reload() async throws {
    while true {
      let before = table.withLockedValue { $0.change }
      let records = try await database.read { try $0.rows("SELECT * FROM numbers").map(Self.record) }
      let isFresh = table.withLockedValue { table in
        guard table.change == before else { return false }
        table.records = Dictionary(records.map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        return true
      }
      if isFresh { return }
    }
  }

  public func destination(of number: String) -> NumberRecord? { table.withLockedValue { $0.records[number] } }

  public func put(
    _ number: String, tenant: String, dialog: String, description: String, nowMs: Int64
  ) async throws -> NumberRecord {
    try Self.check(number, description)
    let record = try await database.write { database in
      let old = try database.row("SELECT * FROM numbers WHERE number = ?", [.text(number)]).map(Self.record)
      if let old, old.tenant != tenant {
        throw StorageError(.conflict, "the number \(number) is not free")
      }
      if old == nil {
        let count = try database.row("SELECT COUNT(*) AS n FROM numbers")?.int("n") ?? 0
        guard count < StorageLimits.numbers else {
          throw StorageError(.limit, "there are \(count) numbers; the limit is \(StorageLimits.numbers)")
        }
      }
      let record = NumberRecord(
        number: number, tenant: tenant, dialog: dialog, description: description,
        createdAtMs: old?.createdAtMs ?? nowMs, updatedAtMs: nowMs)
      try database.run(
        """
        INSERT INTO numbers (number, tenant, dialog, description, created_at_ms, updated_at_ms)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (number) DO UPDATE SET dialog = excluded.dialog, description = excluded.description,
        updated_at_ms = excluded.updated_at_ms
        """,
        [
          .text(number), .text(tenant), .text(dialog), .text(description), .int(record.createdAtMs), .int(nowMs),
        ])
      try Revision.numbers.bump(database)
      return record
    }
    changed(number, record)
    return record
  }

  public func remove(_ number: String, tenant: String) async throws -> Bool {
    let wasThere = try await database.write { database in
      try Revision.numbers.bump(database)
      return try database.run(
        "DELETE FROM numbers WHERE number = ? AND tenant = ?", [.text(number), .text(tenant)]) > 0
    }
    if wasThere { changed(number, nil) }
    return wasThere
  }

  public func number(_ number: String, tenant: String) async throws -> NumberRecord? {
    try await database.read {
      try $0.row("SELECT * FROM numbers WHERE number = ? AND tenant = ?", [.text(number), .text(tenant)])
        .map(Self.record)
    }
  }

  public func numbers(tenant: String, limit: Int, after cursor: String?) async throws -> [NumberRecord] {
    try await database.read {
      try $0.rows(
        "SELECT * FROM numbers WHERE tenant = ? AND number > ? ORDER BY number LIMIT ?",
        [.text(tenant), .text(cursor ?? ""), SQLValue(min(max(0, limit), StorageLimits.page))]
      ).map(Self.record)
    }
  }

  /// - Parameter record: nil: the number is free.
  private func changed(_ number: String, _ record: NumberRecord?) {
    table.withLockedValue { table in
      table.records[number] = record
      table.change += 1
    }
  }

  private static func record(_ row: SQLRow) throws -> NumberRecord {
    NumberRecord(
      number: try row.text("number"), tenant: try row.text("tenant"), dialog: try row.text("dialog"),
      description: try row.text("description"), createdAtMs: try row.int("created_at_ms"),
      updatedAtMs: try row.int("updated_at_ms"))
  }

  private static func check(_ number: String, _ description: String) throws {
    // What the user part of a SIP address can be without escapes, less what means something there (RFC 3261 section 25.1).
    let isFit =
      (1...StorageLimits.numberCharacters).contains(number.utf8.count)
      && number.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "+-_.*#~!'()".utf8.contains(byte)
        }
      }
    guard isFit else {
      throw StorageError(
        .limit,
        "a number has 1 to \(StorageLimits.numberCharacters) letters, digits and signs of `+-_.*#~!'()`")
    }
    guard description.count <= StorageLimits.noteCharacters else {
      throw StorageError(.limit, "a description has at most \(StorageLimits.noteCharacters) characters")
    }
  }
}
