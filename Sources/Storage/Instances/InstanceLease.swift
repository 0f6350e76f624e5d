import Base
import Logging
import NIOConcurrencyHelpers

/// Says in the database that this process lives, and ends the sessions of processes that no longer do.
///
/// Several processes may share a PostgreSQL database. Each says every five seconds that it is there; one that has said
/// nothing for thirty is taken for dead. After a time without the database nobody is: a process judges others only after its
/// own word has stood without a gap for as long, so that all have had the time to come back.
public final class InstanceLease: Sendable {
  static let interval: Duration = .seconds(5)
  public static let length: Duration = .seconds(30)
  /// Sessions of one transaction.
  private static let batch = 100

  /// A ULID.
  public let id: String
  private struct State {
    var task: Task<Void, Never>?
    /// Since when the word of this process has stood without a gap, and when it was last given.
    var since: Instant?
    var last: Instant?
    var trouble: String?
    var revisions: [String: Int64] = [:]
  }
  private let state = NIOLockedValueBox(State())
  private let database: any SQLDatabase
  private let logger: Logger
  private let onChange: @Sendable (_ name: String) async -> Void

  /// - Parameter onChange: another process, or this one, has changed what ``Revision`` names.
  public init(
    _ database: any SQLDatabase, nowMs: Int64, logger: Logger,
    onChange: @escaping @Sendable (_ name: String) async -> Void = { _ in }
  ) {
    self.database = database
    self.logger = logger
    self.onChange = onChange
    var random = SeededRandom.fromSystem()
    id = ULID.make(unixMilliseconds: nowMs, using: &random)
  }

  /// Why the database does not answer; nil: it does.
  var trouble: String? { state.withLockedValue { $0.trouble } }

  /// Gives the first word, then goes on by itself.
  func start() async throws {
    try await beat(at: .monotonic())
    try await lookForChanges(isFirst: true)
    let task = Task {
      var untilBeat = Self.interval
      while !Task.isCancelled {
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
        untilBeat -= .seconds(1)
        do {
          try await lookForChanges(isFirst: false)
          if untilBeat <= .zero {
            untilBeat = Self.interval
            try await beat(at: .monotonic())
          }
          state.withLockedValue { $0.trouble = nil }
        } catch {
          state.withLockedValue { $0.trouble = "\(error)" }
        }
      }
    }
    state.withLockedValue { $0.task = task }
  }

  /// Takes the word back: what this process left open may be ended at once.
  func stop() async {
    let task = state.withLockedValue { $0.task }
    task?.cancel()
    await task?.value
    _ = try? await database.write { [id] in try $0.run("DELETE FROM instances WHERE id = ?", [.text(id)]) }
  }

  /// Gives the word, and ends what the dead have left.
  /// - Parameter now: monotonic.
  public func beat(at now: Instant) async throws {
    let mayJudge = state.withLockedValue { state in
      if let last = state.last, now - last <= Self.length, let since = state.since { return now - since >= Self.length }
      state.since = now
      return false
    }
    let ended = try await database.write { [id] database in
      let clock = try SQLClock.database.nowMs(database)
      try database.run(
        """
        INSERT INTO instances (id, seen_at_ms) VALUES (?, ?)
        ON CONFLICT (id) DO UPDATE SET seen_at_ms = excluded.seen_at_ms
        """, [.text(id), .int(clock)])
      return mayJudge ? try Self.endLost(clock, database) : 0
    }
    state.withLockedValue { $0.last = now }
    if ended > 0 {
      logger.notice("ended the sessions of a process that is gone", metadata: ["sessions": "\(ended)"])
    }
  }

  private static func endLost(_ clock: Int64, _ database: any SQLConnection) throws -> Int {
    let border = clock - length.milliseconds
    let lost = try SessionRows.openSessions(outsideOf: border, limit: batch, database)
    if !lost.isEmpty {
      try SessionRows.beginWriting(database)
      try SessionRows.end(lost, nowMs: clock, database)
    }
    try database.run("DELETE FROM instances WHERE seen_at_ms < ?", [.int(border)])
    return lost.count
  }

  private func lookForChanges(isFirst: Bool) async throws {
    let revisions = try await database.read { try Revision.all($0) }
    let before = state.withLockedValue { state in
      defer { state.revisions = revisions }
      return state.revisions
    }
    if isFirst { return }
    for (name, revision) in revisions where before[name] != revision { await onChange(name) }
  }
}

/// Counts changes that other processes must see. Bumped in the transaction of the change.
enum Revision: String {
  case dialogs, numbers

  func bump(_ database: any SQLConnection) throws {
    try database.run(
      """
      INSERT INTO revisions (name, revision) VALUES (?, 1)
      ON CONFLICT (name) DO UPDATE SET revision = revisions.revision + 1
      """, [.text(rawValue)])
  }

  static func all(_ database: any SQLConnection) throws -> [String: Int64] {
    try Dictionary(
      database.rows("SELECT name, revision FROM revisions").map { (try $0.text("name"), try $0.int("revision")) },
      uniquingKeysWith: { first, _ in first })
  }
}
