import Base

/// The directory in a database.
public struct SQLCallDirectory: CallDirectory {
  private let database: any SQLDatabase
  private let clock: SQLClock

  public init(_ database: any SQLDatabase, clock: SQLClock = .database) {
    self.database = database
    self.clock = clock
  }

  public func claim(_ seat: CallSeat, by holder: CallHolder, for duration: Duration) async throws -> CallLease {
    try await database.write { [clock] database in
      let now = try clock.nowMs(database)
      let held = try Self.row(seat, database)
      let isMine = held?.lease.holder.instance == holder.instance
      if let held, held.untilMs > now, !isMine { return held.lease }
      let token = if let held, held.untilMs > now { held.lease.token } else { try Self.nextToken(database) }
      try database.run(
        """
        INSERT INTO call_leases (role, session_id, instance, address, token, until_ms) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (role, session_id) DO UPDATE
        SET instance = excluded.instance, address = excluded.address, token = excluded.token, until_ms = excluded.until_ms
        """,
        [
          .text(seat.role), .text(seat.session.value), .text(holder.instance), .text(holder.address), .int(token),
          .int(now + duration.milliseconds),
        ])
      return CallLease(seat: seat, holder: holder, token: token)
    }
  }

  public func renew(_ leases: [CallLease], for duration: Duration) async throws -> [CallLease] {
    var lost: [CallLease] = []
    for piece in leases.pieces(of: CallLeases.batch) {
      lost += try await database.write { [clock] database in
        let until = try clock.nowMs(database) + duration.milliseconds
        return try piece.filter { lease in
          try database.run(
            "UPDATE call_leases SET until_ms = ? WHERE role = ? AND session_id = ? AND token = ?",
            [.int(until), .text(lease.seat.role), .text(lease.seat.session.value), .int(lease.token)]) == 0
        }
      }
    }
    return lost
  }

  public func release(_ lease: CallLease) async throws {
    try await database.write { [clock] database in
      try database.run(
        "DELETE FROM call_leases WHERE role = ? AND session_id = ? AND token = ?",
        [.text(lease.seat.role), .text(lease.seat.session.value), .int(lease.token)])
      // Orphans that nobody wanted.
      try database.run(
        "DELETE FROM call_leases WHERE role = ? AND until_ms < ?",
        [.text(lease.seat.role), .int(try clock.nowMs(database) - CallLeases.orphanMs)])
    }
  }

  public func lease(of seat: CallSeat) async throws -> CallLease? {
    try await database.read { [clock] database in
      guard let held = try Self.row(seat, database), held.untilMs > (try clock.nowMs(database)) else { return nil }
      return held.lease
    }
  }

  public func orphans(role: String, limit: Int) async throws -> CallOrphans {
    try await database.read { [clock] database in
      let now = try clock.nowMs(database)
      let rows = try database.rows(
        "SELECT * FROM call_leases WHERE role = ? AND until_ms <= ? ORDER BY until_ms, session_id LIMIT ?",
        [.text(role), .int(now), SQLValue(min(max(0, limit), StorageLimits.page))])
      return CallOrphans(try rows.map(Self.lease), clockMs: now)
    }
  }

  private static func row(
    _ seat: CallSeat, _ database: any SQLConnection
  ) throws -> (lease: CallLease, untilMs: Int64)? {
    let row = try database.row(
      "SELECT * FROM call_leases WHERE role = ? AND session_id = ?", [.text(seat.role), .text(seat.session.value)])
    return try row.map { (try lease($0), try $0.int("until_ms")) }
  }

  private static func lease(_ row: SQLRow) throws -> CallLease {
    CallLease(
      seat: CallSeat(SessionID(try row.text("session_id")), role: try row.text("role")),
      holder: CallHolder(instance: try row.text("instance"), address: try row.text("address")),
      token: try row.int("token"))
  }

  /// One count for all seats: nothing has to be remembered of those that are gone.
  private static func nextToken(_ database: any SQLConnection) throws -> Int64 {
    try database.run("UPDATE call_tokens SET last = last + 1")
    return try database.row("SELECT last FROM call_tokens")?.int("last") ?? 0
  }
}

/// By which clock something in a database runs out.
public enum SQLClock: Sendable {
  /// The database's own: the clocks of processes may differ.
  case database
  /// A database in memory has one process. Milliseconds that never go back.
  case own(@Sendable () -> Int64)

  func nowMs(_ database: any SQLConnection) throws -> Int64 {
    switch (self, database.dialect) {
    case (.own(let now), _): now()
    case (.database, .sqlite):
      try database.row("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now")?.int("now") ?? 0
    case (.database, .postgres):
      try database.row("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now")?.int("now") ?? 0
    }
  }
}
