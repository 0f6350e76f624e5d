import Base

/// Checkpoints in a database.
public struct SQLCheckpointStore: CheckpointStore {
  private let database: any SQLDatabase
  private let clock: SQLClock

  public init(_ database: any SQLDatabase, clock: SQLClock = .database) {
    self.database = database
    self.clock = clock
  }

  private struct Kept {
    var token: Int64
    var sequence: Int64
    /// nil: the session has ended, or nothing was written since it was handed over.
    var data: [UInt8]?
    var events: String
    var hasEnded: Bool
  }

  public func put(_ checkpoint: SessionCheckpoint, for lifetime: Duration) async throws {
    try Checkpoints.check(checkpoint)
    try await database.write { [clock] database in
      let snapshot = checkpoint.snapshot
      let now = try clock.nowMs(database)
      if let kept = try Self.kept(snapshot.session, now, database) {
        try Self.check(checkpoint.token, kept)
        if kept.token == checkpoint.token, kept.data != nil, kept.sequence > snapshot.sequence { return }
      }
      try Self.write(
        Kept(
          token: checkpoint.token, sequence: snapshot.sequence, data: snapshot.data,
          events: Self.lines(checkpoint.events), hasEnded: false),
        snapshot.session, until: now + lifetime.milliseconds, database)
    }
  }

  public func append(_ events: [SessionEvent], to session: SessionID, token: Int64) async throws {
    try Checkpoints.check(events)
    try await database.write { [clock] database in
      guard let kept = try Self.kept(session, try clock.nowMs(database), database) else {
        throw Checkpoints.none(session)
      }
      try Self.check(token, kept)
      guard kept.token == token, kept.data != nil else { throw Checkpoints.none(session) }
      let old = Checkpoints.events(Self.texts(kept.events), of: session) ?? []
      let last = old.last?.sequence ?? kept.sequence
      let new = events.filter { $0.sequence > last }
      guard old.count + new.count <= Checkpoints.events else { throw Checkpoints.full }
      try database.run(
        "UPDATE checkpoints SET events = ? WHERE session_id = ?",
        [.text(kept.events + Self.lines(new)), .text(session.value)])
    }
  }

  public func takeOver(_ session: SessionID, token: Int64) async throws -> SessionCheckpoint? {
    try await database.write { [clock] database in
      let now = try clock.nowMs(database)
      guard var kept = try Self.kept(session, now, database) else {
        let nothing = Kept(token: token, sequence: 0, data: nil, events: "", hasEnded: false)
        try Self.write(nothing, session, until: now + Checkpoints.remembered.milliseconds, database)
        return nil
      }
      if kept.hasEnded { return nil }
      try Self.check(token, kept)
      let writer = kept.token
      kept.token = token
      try database.run(
        "UPDATE checkpoints SET token = ? WHERE session_id = ?", [.int(token), .text(session.value)])
      guard let data = kept.data, let events = Checkpoints.events(Self.texts(kept.events), of: session) else {
        return nil
      }
      return SessionCheckpoint(
        SessionSnapshot(session: session, sequence: kept.sequence, data: data), events: events, token: writer)
    }
  }

  public func remove(_ session: SessionID, token: Int64) async throws {
    try await database.write { [clock] database in
      let now = try clock.nowMs(database)
      if let kept = try Self.kept(session, now, database) {
        guard kept.token <= token else { throw Checkpoints.overtaken }
      }
      try Self.write(
        Kept(token: token, sequence: 0, data: nil, events: "", hasEnded: true), session,
        until: now + Checkpoints.remembered.milliseconds, database)
      // Whatever ran out goes with the calls that end.
      try database.run(
        "DELETE FROM checkpoints WHERE session_id IN (SELECT session_id FROM checkpoints WHERE until_ms <= ? LIMIT 20)",
        [.int(now)])
    }
  }

  private static func check(_ token: Int64, _ kept: Kept) throws {
    guard kept.token <= token, !kept.hasEnded else { throw Checkpoints.overtaken }
  }

  private static func kept(_ session: SessionID, _ now: Int64, _ database: any SQLConnection) throws -> Kept? {
    let row = try database.row(
      "SELECT * FROM checkpoints WHERE session_id = ? AND until_ms > ?", [.text(session.value), .int(now)])
    return try row.map { row in
      Kept(
        token: try row.int("token"), sequence: try row.int("sequence"),
        data: row.isNull("data") ? nil : try row.bytes("data"), events: try row.text("events"),
        hasEnded: try row.bool("ended"))
    }
  }

  private static func write(
    _ kept: Kept, _ session: SessionID, until: Int64, _ database: any SQLConnection
  ) throws {
    try database.run(
      """
      INSERT INTO checkpoints (session_id, token, sequence, data, events, ended, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (session_id) DO UPDATE SET token = excluded.token, sequence = excluded.sequence, data = excluded.data,
        events = excluded.events, ended = excluded.ended, until_ms = excluded.until_ms
      """,
      [
        .text(session.value), .int(kept.token), .int(kept.sequence), kept.data.map { .bytes($0) } ?? .null,
        .text(kept.events), SQLValue(kept.hasEnded), .int(until),
      ])
  }

  /// One event a line: JSON has no line breaks.
  private static func lines(_ events: [SessionEvent]) -> String {
    events.map { Checkpoints.text($0) + "\n" }.joined()
  }

  private static func texts(_ lines: String) -> [String] { lines.split(separator: "\n").map(String.init) }
}
