import Base

/// What is asked of the tables of sessions.
enum SessionRows {
  // MARK: Events

  /// Writers of the log of several processes come one after the other, so that the places of events are the order of their
  /// commits: a reader that goes on after a place never misses an event that was written before.
  static func beginWriting(_ database: any SQLConnection) throws {
    if database.dialect == .postgres { _ = try database.rows("SELECT pg_advisory_xact_lock(7261648201)") }
  }

  /// - Parameter instance: the process that writes. What was ended by ``end(_:nowMs:_:)`` takes no more from processes that have a
  ///   name: one that took the call over later than anybody waits is too late for its record.
  /// - Returns: false where an event of that name is there already, or where the record is closed.
  static func insert(_ event: SessionEvent, instance: String, _ database: any SQLConnection) throws -> Bool {
    try database.run(
      """
      INSERT INTO events (event_id, session_id, sequence, type, timestamp_ms, dialog_name, tenant, fields)
      SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE ? = '' OR NOT EXISTS (
        SELECT 1 FROM sessions WHERE session_id = ? AND ended = 1 AND instance = '')
      ON CONFLICT (event_id) DO NOTHING
      """,
      [
        .text(event.eventID), .text(event.session.value), .int(event.sequence), .text(event.type),
        .int(event.timestampMs), .text(event.dialogName), .text(event.tenant), .text(JSON.encode(.map(event.fields))),
        .text(instance), .text(event.session.value),
      ]) > 0
  }

  static func events(
    of session: SessionID, tenant: String?, after sequence: Int64, limit: Int, _ database: any SQLConnection
  ) throws -> [SessionEvent] {
    try database.rows(
      "SELECT * FROM events WHERE session_id = ? AND sequence > ? ORDER BY sequence LIMIT ?",
      [.text(session.value), .int(sequence), clamp(limit)]
    ).map(event).filter { tenant == nil || $0.tenant == tenant }
  }

  static func events(
    tenant: String?, after eventID: String?, limit: Int, _ database: any SQLConnection
  ) throws -> [SessionEvent] {
    var place: Int64 = 0
    if let eventID {
      if let known = try database.row("SELECT place FROM events WHERE event_id = ?", [.text(eventID)]) {
        place = try known.int("place")
      } else {
        // An event that is gone: from the first one that is younger by its name.
        let next = try database.row("SELECT MIN(place) AS place FROM events WHERE event_id > ?", [.text(eventID)])
        guard let first = try next?.optionalInt("place") else { return [] }
        place = first - 1
      }
    }
    let rows =
      if let tenant {
        try database.rows(
          "SELECT * FROM events WHERE tenant = ? AND place > ? ORDER BY place LIMIT ?",
          [.text(tenant), .int(place), clamp(limit)])
      } else {
        try database.rows("SELECT * FROM events WHERE place > ? ORDER BY place LIMIT ?", [.int(place), clamp(limit)])
      }
    return try rows.map(event)
  }

  /// Of everybody, with their places.
  static func events(
    afterPlace place: Int64, limit: Int, _ database: any SQLConnection
  ) throws -> [(place: Int64, event: SessionEvent)] {
    try database.rows("SELECT * FROM events WHERE place > ? ORDER BY place LIMIT ?", [.int(place), clamp(limit)])
      .map { (try $0.int("place"), try event($0)) }
  }

  static func lastPlace(_ database: any SQLConnection) throws -> Int64 {
    try database.row("SELECT MAX(place) AS place FROM events")?.optionalInt("place") ?? 0
  }

  private static func event(_ row: SQLRow) throws -> SessionEvent {
    var fields: [String: Value]?
    if case .text(let text)? = row["fields"] { fields = map(text) }
    return SessionEvent(
      eventID: try row.text("event_id"), type: try row.text("type"), sequence: try row.int("sequence"),
      session: SessionID(try row.text("session_id")), timestampMs: try row.int("timestamp_ms"),
      dialogName: try row.text("dialog_name"), tenant: try row.text("tenant"),
      fields: fields ?? [SessionEvent.damaged: true])
  }

  // MARK: Sessions

  private static let columns = [
    "session_id", "tenant", "ended", "instance", "state", "direction", "caller_id", "called_number", "dialog_name",
    "dialog_version", "dialog_number", "dialog_digest", "current_state", "variables", "started_at_ms", "answered_at_ms",
    "ended_at_ms", "end_reason", "quality", "latency", "outcome",
  ]
  private static let upsert =
    "INSERT INTO sessions (\(columns.joined(separator: ", "))) VALUES "
    + "(\(columns.map { _ in "?" }.joined(separator: ", "))) ON CONFLICT (session_id) DO UPDATE SET "
    + columns.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
    + " WHERE sessions.ended = 0 OR sessions.instance <> '' OR excluded.instance = ''"

  /// Nothing where the record is closed to the process; see ``insert(_:instance:_:)``.
  static func replace(_ summary: SessionSummary, instance: String, _ database: any SQLConnection) throws {
    try database.run(
      upsert,
      [
        .text(summary.session.value), .text(summary.tenant), SQLValue(summary.state == .ended), .text(instance),
        .text(summary.state.rawValue), .text(summary.direction), .text(summary.callerID), .text(summary.calledNumber),
        .text(summary.dialogName), .text(summary.dialogVersion), SQLValue(summary.dialogNumber),
        .text(summary.dialogDigest), .text(summary.currentState), .text(JSON.encode(.map(summary.variables))),
        .int(summary.startedAtMs), SQLValue(summary.answeredAtMs), SQLValue(summary.endedAtMs),
        SQLValue(summary.endReason), .text(JSON.encode(.map(summary.quality))),
        .text(JSON.encode(.map(summary.latency))), .text(JSON.encode(.map(summary.outcome))),
      ])
  }

  static func session(_ id: SessionID, tenant: String?, _ database: any SQLConnection) throws -> SessionSummary? {
    try database.row("SELECT * FROM sessions WHERE session_id = ?", [.text(id.value)]).map(summary)
      .flatMap { tenant == nil || $0.tenant == tenant ? $0 : nil }
  }

  static func openSessions(_ database: any SQLConnection) throws -> [SessionSummary] {
    try database.rows("SELECT * FROM sessions WHERE ended = 0 ORDER BY started_at_ms, session_id").map(summary)
  }

  /// One walk along an index that begins with the tenant: its cost is the page, not the table.
  static func sessions(_ query: SessionQuery, _ database: any SQLConnection) throws -> [SessionSummary] {
    let (sql, arguments) = try statement(query, database)
    return try database.rows(sql, arguments).map(summary)
  }

  static func statement(_ query: SessionQuery, _ database: any SQLConnection) throws -> (String, [SQLValue]) {
    var sql = "SELECT * FROM sessions WHERE tenant = ? AND ended = ?"
    var arguments: [SQLValue] = [.text(query.tenant), SQLValue(query.ended)]
    func narrow(_ condition: String, _ values: SQLValue...) {
      sql += " AND " + condition
      arguments += values
    }
    if let dialog = query.dialog { narrow("dialog_name = ?", .text(dialog)) }
    if let caller = query.callerID { narrow("caller_id = ?", .text(caller)) }
    if let called = query.calledNumber { narrow("called_number = ?", .text(called)) }
    if let from = query.startedFromMs { narrow("started_at_ms >= ?", .int(from)) }
    if let before = query.startedBeforeMs { narrow("started_at_ms < ?", .int(before)) }
    if let cursor = query.cursor {
      let start = try database.row(
        "SELECT started_at_ms FROM sessions WHERE session_id = ? AND tenant = ?",
        [.text(cursor.value), .text(query.tenant)])
      guard let start else { throw StorageError(.unknownCursor, "no session \(cursor)") }
      narrow("(started_at_ms, session_id) < (?, ?)", .int(try start.int("started_at_ms")), .text(cursor.value))
    }
    return (sql + " ORDER BY started_at_ms DESC, session_id DESC LIMIT ?", arguments + [clamp(query.limit)])
  }

  private static func summary(_ row: SQLRow) throws -> SessionSummary {
    // What is damaged in one call hides neither the rest of it nor another.
    func members(_ column: String) -> [String: Value] {
      if case .text(let text)? = row[column] { map(text) ?? [:] } else { [:] }
    }
    return SessionSummary(
      session: SessionID(try row.text("session_id")), tenant: try row.text("tenant"),
      state: SessionSummary.State(rawValue: try row.text("state")) ?? .ended, direction: try row.text("direction"),
      callerID: try row.text("caller_id"), calledNumber: try row.text("called_number"),
      dialogName: try row.text("dialog_name"), dialogVersion: try row.text("dialog_version"),
      dialogNumber: Int(try row.int("dialog_number")), dialogDigest: try row.text("dialog_digest"),
      currentState: try row.text("current_state"), variables: members("variables"),
      startedAtMs: try row.int("started_at_ms"), answeredAtMs: try row.optionalInt("answered_at_ms"),
      endedAtMs: try row.optionalInt("ended_at_ms"), endReason: try row.optionalText("end_reason"),
      quality: members("quality"), latency: members("latency"), outcome: members("outcome"))
  }

  /// Those whose process has given no word since `border` by the database's clock.
  static func openSessions(
    outsideOf border: Int64, limit: Int, _ database: any SQLConnection
  ) throws -> [SessionSummary] {
    try database.rows(
      """
      SELECT * FROM sessions WHERE ended = 0
      AND instance NOT IN (SELECT id FROM instances WHERE seen_at_ms >= ?) LIMIT ?
      """, [.int(border), clamp(limit)]
    ).map(summary)
  }

  // MARK: After a crash

  /// Ends these sessions in the directory and in their records, because nobody holds them any more.
  static func end(_ sessions: [SessionSummary], nowMs: Int64, _ database: any SQLConnection) throws {
    var random = SeededRandom.fromSystem()
    for var summary in sessions {
      let last = try database.row(
        "SELECT * FROM events WHERE session_id = ? ORDER BY sequence DESC LIMIT 1", [.text(summary.session.value)]
      ).map(event)
      let wasTerminated = last?.type == "call_terminated"
      summary.state = .ended
      // The last sign of life is the best that is known of the end.
      summary.endedAtMs = last?.timestampMs ?? summary.startedAtMs
      summary.endReason = wasTerminated ? last?.fields["reason"]?.stringValue ?? "error" : "error"
      try replace(summary, instance: "", database)
      guard let last, !wasTerminated else { continue }
      let from = summary.answeredAtMs ?? summary.startedAtMs
      _ = try insert(
        SessionEvent(
          eventID: ULID.make(unixMilliseconds: nowMs, using: &random), type: "call_terminated",
          sequence: last.sequence + 1, session: summary.session, timestampMs: nowMs, dialogName: summary.dialogName,
          tenant: last.tenant,
          fields: [
            "reason": "error", "duration_ms": .int(max(0, last.timestampMs - from)),
            "message": "the gateway stopped during the call",
          ]), instance: "", database)
    }
  }

  /// nil: the row is damaged.
  private static func map(_ text: String) -> [String: Value]? {
    if case .map(let map)? = try? JSON.decode(text) { map } else { nil }
  }

  private static func clamp(_ limit: Int) -> SQLValue { SQLValue(min(max(0, limit), StorageLimits.page)) }
}
