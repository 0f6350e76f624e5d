import Base

/// The counters in a database.
public struct SQLConcurrencyCounters: ConcurrencyCounters {
  private let database: any SQLDatabase
  private let clock: SQLClock

  public init(_ database: any SQLDatabase, clock: SQLClock = .database) {
    self.database = database
    self.clock = clock
  }

  public func acquire(_ place: String, in limits: [CounterLimit], for duration: Duration) async throws -> Admission {
    try await database.write { [clock] database in
      let now = try clock.nowMs(database)
      for limit in limits {
        try database.run(
          "DELETE FROM call_places WHERE counter = ? AND until_ms <= ?", [.text(limit.counter), .int(now)])
        let taken = try database.row(
          "SELECT COUNT(*) AS n, MAX(CASE WHEN place = ? THEN 1 ELSE 0 END) AS own FROM call_places WHERE counter = ?",
          [.text(place), .text(limit.counter)])
        if try taken?.optionalInt("own") != 1, try taken?.int("n") ?? 0 >= limit.limit {
          return .full(counter: limit.counter)
        }
      }
      for limit in limits { try Self.put(CounterPlace(limit.counter, place), now + duration.milliseconds, database) }
      return .admitted
    }
  }

  public func renew(_ places: [CounterPlace], for duration: Duration) async throws {
    for piece in places.pieces(of: CallLeases.batch) {
      try await database.write { [clock] database in
        let until = try clock.nowMs(database) + duration.milliseconds
        for place in piece { try Self.put(place, until, database) }
      }
    }
  }

  public func release(_ places: [CounterPlace]) async throws {
    try await database.write { database in
      for place in places {
        try database.run(
          "DELETE FROM call_places WHERE counter = ? AND place = ?", [.text(place.counter), .text(place.place)])
      }
    }
  }

  public func count(_ counter: String) async throws -> Int {
    try await database.read { [clock] database in
      let row = try database.row(
        "SELECT COUNT(*) AS n FROM call_places WHERE counter = ? AND until_ms > ?",
        [.text(counter), .int(try clock.nowMs(database))])
      return Int(try row?.int("n") ?? 0)
    }
  }

  private static func put(_ place: CounterPlace, _ untilMs: Int64, _ database: any SQLConnection) throws {
    try database.run(
      """
      INSERT INTO call_places (counter, place, until_ms) VALUES (?, ?, ?)
      ON CONFLICT (counter, place) DO UPDATE SET until_ms = excluded.until_ms
      """, [.text(place.counter), .text(place.place), .int(untilMs)])
  }
}
