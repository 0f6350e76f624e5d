import Base
import FoundationEssentials
import GRDB

/// The tables, their migrations in order, and every question that is asked of them.
enum Schema {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 record of sessions") { database in
      try database.execute(
        sql: """
          CREATE TABLE events (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id TEXT NOT NULL UNIQUE,
            session_id TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            type TEXT NOT NULL,
            timestamp_ms INTEGER NOT NULL,
            dialog_name TEXT NOT NULL,
            tenant TEXT NOT NULL,
            fields TEXT NOT NULL,
            UNIQUE (session_id, sequence)
          );
          CREATE TABLE sessions (
            session_id TEXT PRIMARY KEY NOT NULL,
            state TEXT NOT NULL,
            direction TEXT NOT NULL,
            caller_id TEXT NOT NULL,
            called_number TEXT NOT NULL,
            dialog_name TEXT NOT NULL,
            current_state TEXT NOT NULL,
            variables TEXT NOT NULL,
            started_at_ms INTEGER NOT NULL,
            answered_at_ms INTEGER,
            ended_at_ms INTEGER,
            end_reason TEXT,
            quality TEXT NOT NULL,
            latency TEXT NOT NULL
          ) WITHOUT ROWID;
          CREATE INDEX sessions_by_start ON sessions ((state = 'ended'), started_at_ms, session_id);
          """)
    }
    migrator.registerMigration("2 dialogs, snapshots, documents") { database in
      try database.execute(sql: sessionColumns + dialogTables + documentTables)
    }
    for migration in migrations {
      migrator.registerMigration(migration.name) { database in
        for statement in migration.statements(.sqlite) { try database.execute(sql: statement) }
      }
    }
    return migrator
  }

  /// Steps in the common language, in order.
  static let migrations: [SQLMigration] = [access]

  private static let sessionColumns = """
    ALTER TABLE sessions ADD COLUMN dialog_version TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN dialog_number INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN dialog_digest TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN outcome TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE snapshots (
      session_id TEXT PRIMARY KEY NOT NULL,
      sequence INTEGER NOT NULL,
      checksum INTEGER NOT NULL,
      data BLOB NOT NULL
    );

    """

  // MARK: Events

  static func insert(_ event: SessionEvent, _ database: Database) throws {
    let statement = try database.cachedStatement(
      sql: """
        INSERT INTO events (event_id, session_id, sequence, type, timestamp_ms, dialog_name, tenant, fields)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """)
    try statement.execute(arguments: [
      event.eventID, event.session.value, event.sequence, event.type, event.timestampMs, event.dialogName, event.tenant,
      JSON.encode(.map(event.fields)),
    ])
  }

  static func events(of session: SessionID, after sequence: Int64, limit: Int, _ database: Database) throws
    -> [SessionEvent]
  {
    let statement = try database.cachedStatement(
      sql: "SELECT * FROM events WHERE session_id = ? AND sequence > ? ORDER BY sequence LIMIT ?")
    return try Row.fetchAll(statement, arguments: [session.value, sequence, clamp(limit)]).map(event)
  }

  static func events(after eventID: String?, limit: Int, _ database: Database) throws -> [SessionEvent] {
    var place: Int64 = 0
    if let eventID {
      let known = try Int64.fetchOne(database, sql: "SELECT place FROM events WHERE event_id = ?", arguments: [eventID])
      if let known {
        place = known
      } else {
        // An event that is gone: from the first one that is younger by its name.
        let next = try Int64.fetchOne(
          database, sql: "SELECT MIN(place) FROM events WHERE event_id > ?", arguments: [eventID])
        guard let next else { return [] }
        place = next - 1
      }
    }
    let statement = try database.cachedStatement(sql: "SELECT * FROM events WHERE place > ? ORDER BY place LIMIT ?")
    return try Row.fetchAll(statement, arguments: [place, clamp(limit)]).map(event)
  }

  private static func event(_ row: Row) -> SessionEvent {
    SessionEvent(
      eventID: row["event_id"], type: row["type"], sequence: row["sequence"], session: SessionID(row["session_id"]),
      timestampMs: row["timestamp_ms"], dialogName: row["dialog_name"], tenant: row["tenant"],
      fields: String.fromDatabaseValue(row["fields"]).flatMap(map) ?? [SessionEvent.damaged: true])
  }

  // MARK: Sessions

  static func replace(_ summary: SessionSummary, _ database: Database) throws {
    let statement = try database.cachedStatement(
      sql: """
        INSERT OR REPLACE INTO sessions (
          session_id, state, direction, caller_id, called_number, dialog_name, dialog_version, dialog_number,
          dialog_digest, current_state, variables, started_at_ms, answered_at_ms, ended_at_ms, end_reason, quality, latency, outcome)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """)
    try statement.execute(arguments: [
      summary.session.value, summary.state.rawValue, summary.direction, summary.callerID, summary.calledNumber,
      summary.dialogName, summary.dialogVersion, summary.dialogNumber, summary.dialogDigest, summary.currentState,
      JSON.encode(.map(summary.variables)), summary.startedAtMs, summary.answeredAtMs, summary.endedAtMs,
      summary.endReason, JSON.encode(.map(summary.quality)),
      JSON.encode(.map(summary.latency)), JSON.encode(.map(summary.outcome)),
    ])
    if summary.state == .ended {
      try database.execute(sql: "DELETE FROM snapshots WHERE session_id = ?", arguments: [summary.session.value])
    }
  }

  static func openSessions(_ database: Database) throws -> [SessionSummary] {
    try Row.fetchAll(
      database, sql: "SELECT * FROM sessions WHERE (state = 'ended') = 0 ORDER BY started_at_ms, session_id"
    ).map(summary)
  }

  // MARK: Snapshots

  static func replace(_ snapshot: SessionSnapshot, _ database: Database) throws {
    // Neither after the end nor in the place of a newer one.
    let statement = try database.cachedStatement(
      sql: """
        INSERT INTO snapshots (session_id, sequence, checksum, data)
        SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE session_id = ?1 AND state = 'ended')
        ON CONFLICT (session_id) DO UPDATE
        SET sequence = excluded.sequence, checksum = excluded.checksum, data = excluded.data
        WHERE excluded.sequence >= snapshots.sequence
        """)
    try statement.execute(arguments: [
      snapshot.session.value, snapshot.sequence, checksum(snapshot.data), Data(snapshot.data),
    ])
  }

  /// nil: there is none; an empty optional: it is damaged.
  static func snapshot(of session: SessionID, _ database: Database) throws -> SessionSnapshot?? {
    let row = try Row.fetchOne(
      database, sql: "SELECT sequence, checksum, data FROM snapshots WHERE session_id = ?", arguments: [session.value])
    guard let row else { return .none }
    let bytes = [UInt8](row["data"] as Data)
    guard checksum(bytes) == row["checksum"] as Int64 else { return .some(nil) }
    return .some(SessionSnapshot(session: session, sequence: row["sequence"], data: bytes))
  }

  /// FNV-1a: tells damage, cheaply enough for every step of a call.
  private static func checksum(_ bytes: [UInt8]) -> Int64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int64(bitPattern: hash)
  }

  static func session(_ id: SessionID, _ database: Database) throws -> SessionSummary? {
    try Row.fetchOne(database, sql: "SELECT * FROM sessions WHERE session_id = ?", arguments: [id.value]).map(summary)
  }

  static func sessions(ended: Bool, limit: Int, cursor: SessionID?, _ database: Database) throws -> [SessionSummary] {
    var sql = "SELECT * FROM sessions WHERE (state = 'ended') = ?"
    var arguments: StatementArguments = [ended]
    if let cursor {
      let start = try Int64.fetchOne(
        database, sql: "SELECT started_at_ms FROM sessions WHERE session_id = ?", arguments: [cursor.value])
      guard let start else { throw StorageError(.unknownCursor, "no session \(cursor)") }
      sql += " AND (started_at_ms, session_id) < (?, ?)"
      arguments += [start, cursor.value]
    }
    sql += " ORDER BY started_at_ms DESC, session_id DESC LIMIT ?"
    arguments += [clamp(limit)]
    return try Row.fetchAll(database, sql: sql, arguments: arguments).map(summary)
  }

  private static func summary(_ row: Row) -> SessionSummary {
    let state: String = row["state"]
    return SessionSummary(
      session: SessionID(row["session_id"]), state: SessionSummary.State(rawValue: state) ?? .ended,
      direction: row["direction"], callerID: row["caller_id"], calledNumber: row["called_number"],
      dialogName: row["dialog_name"], dialogVersion: row["dialog_version"], dialogNumber: row["dialog_number"],
      dialogDigest: row["dialog_digest"],
      currentState: row["current_state"], variables: map(row["variables"]) ?? [:], startedAtMs: row["started_at_ms"],
      answeredAtMs: row["answered_at_ms"], endedAtMs: row["ended_at_ms"], endReason: row["end_reason"],
      quality: map(row["quality"]) ?? [:], latency: map(row["latency"]) ?? [:], outcome: map(row["outcome"]) ?? [:])
  }

  // MARK: After a crash

  /// Ends every session that is still open, in the directory and in its record; returns how many.
  static func endOpenSessions(_ database: Database, nowMs: Int64) throws -> Int {
    let rows = try Row.fetchAll(database, sql: "SELECT * FROM sessions WHERE state != 'ended'")
    var random = SeededRandom.fromSystem()
    for row in rows {
      var summary = summary(row)
      let last = try Row.fetchOne(
        database, sql: "SELECT * FROM events WHERE session_id = ? ORDER BY sequence DESC LIMIT 1",
        arguments: [summary.session.value]
      ).map(event)
      let wasTerminated = last?.type == "call_terminated"
      summary.state = .ended
      // The last sign of life is the best that is known of the end.
      summary.endedAtMs = last?.timestampMs ?? summary.startedAtMs
      summary.endReason = wasTerminated ? last?.fields["reason"]?.stringValue ?? "error" : "error"
      try replace(summary, database)
      if let last, !wasTerminated {
        let from = summary.answeredAtMs ?? summary.startedAtMs
        try insert(
          SessionEvent(
            eventID: ULID.make(unixMilliseconds: nowMs, using: &random), type: "call_terminated",
            sequence: last.sequence + 1, session: summary.session, timestampMs: nowMs, dialogName: summary.dialogName,
            tenant: last.tenant,
            fields: [
              "reason": "error", "duration_ms": .int(max(0, last.timestampMs - from)),
              "message": "the gateway stopped during the call",
            ]), database)
      }
    }
    try database.execute(sql: "DELETE FROM snapshots")
    return rows.count
  }

  /// nil: the row is damaged.
  private static func map(_ text: String) -> [String: Value]? {
    if case .map(let map)? = try? JSON.decode(text) { map } else { nil }
  }

  private static func clamp(_ limit: Int) -> Int { min(max(0, limit), StorageLimits.page) }
}
