import Base

/// Deletes what is older than it may be. Harmless to run at any time, by any number of processes.
public struct RetentionJob: Sendable {
  /// Rows of one transaction: some milliseconds, so that calls never wait for it.
  private static let batch = 500

  /// What one run has deleted.
  public struct Report: Sendable, Hashable {
    public var events = 0
    public var sessions = 0

    public init() {}
  }

  private let database: any SQLDatabase
  private let policy: RetentionPolicy
  private let isBounded: Bool

  /// - Parameter isBounded: whether only the newest events and sessions stay, as in memory: ``StorageLimits``.
  public init(_ database: any SQLDatabase, policy: RetentionPolicy, isBounded: Bool = false) {
    self.database = database
    self.policy = policy
    self.isBounded = isBounded
  }

  /// Deletes what is due, a few rows at a time; ends early when its task is cancelled.
  /// - Parameter nowMs: wall-clock milliseconds.
  public func run(nowMs: Int64) async throws -> Report {
    let plan = RetentionPlan(policy, nowMs: nowMs)
    var report = Report()
    // What a webhook is still owed stays.
    let owed = try await database.read { try WebhookLedger.firstOwedPlace($0) } ?? Int64.max
    // One look per type, however many events there are.
    var type = ""
    while let next = try await nextType(after: type) {
      type = next
      if let border = plan.border(of: type) {
        report.events += try await delete(
          """
          DELETE FROM events WHERE place IN (
            SELECT place FROM events WHERE type = ? AND timestamp_ms < ? AND place < ? ORDER BY timestamp_ms LIMIT ?)
          """, [.text(type), .int(border), .int(owed)])
      }
    }
    if let border = plan.sessionsBeforeMs {
      report.sessions += try await delete(
        """
        DELETE FROM sessions WHERE session_id IN (
          SELECT session_id FROM sessions WHERE ended = 1 AND ended_at_ms < ? ORDER BY ended_at_ms LIMIT ?)
        """, [.int(border)])
    }
    if isBounded { try await keepNewest(&report) }
    return report
  }

  private func nextType(after type: String) async throws -> String? {
    try await database.read {
      try $0.row("SELECT MIN(type) AS type FROM events WHERE type > ?", [.text(type)])?.optionalText("type")
    }
  }

  private func keepNewest(_ report: inout Report) async throws {
    let (last, sessions) = try await database.read { database in
      (
        try database.row("SELECT MAX(place) AS place FROM events")?.optionalInt("place") ?? 0,
        try database.row("SELECT COUNT(*) AS n FROM sessions WHERE ended = 1")?.int("n") ?? 0
      )
    }
    report.events += try await delete(
      "DELETE FROM events WHERE place IN (SELECT place FROM events WHERE place <= ? ORDER BY place LIMIT ?)",
      [.int(last - Int64(StorageLimits.eventsInMemory))])
    var surplus = Int(sessions) - StorageLimits.sessionsInMemory
    while surplus > 0, !Task.isCancelled {
      let count = min(surplus, Self.batch)
      report.sessions += try await database.write {
        try $0.run(
          """
          DELETE FROM sessions WHERE session_id IN (
            SELECT session_id FROM sessions WHERE ended = 1 ORDER BY ended_at_ms LIMIT ?)
          """, [SQLValue(count)])
      }
      surplus -= count
    }
  }

  private func delete(_ sql: String, _ arguments: [SQLValue]) async throws -> Int {
    var total = 0
    while !Task.isCancelled {
      let count = try await database.write { try $0.run(sql, arguments + [SQLValue(Self.batch)]) }
      total += count
      if count < Self.batch { break }
      await Task.yield()
    }
    return total
  }
}
