import Base
import FoundationEssentials
import GRDB

/// The record of sessions in a database, to be looked into and not changed, also while a gateway owns it. Any thread.
public final class SessionArchive: Sendable {
  private let database: any SQLDatabase

  init(_ database: any SQLDatabase) { self.database = database }

  /// - Throws: one sentence that names the file.
  public convenience init(path: String) throws(StorageError) {
    guard FileManager.default.fileExists(atPath: path) else {
      throw StorageError(.cannotOpen, "there is no database \(path)")
    }
    var configuration = GRDB.Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(5)
    do {
      self.init(SQLiteDatabase(try DatabaseQueue(path: path, configuration: configuration)))
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be opened: \(StorageError.reason(error))")
    }
  }

  /// - Parameter url: see ``PostgresDatabase/init(url:)``.
  public convenience init(postgres url: String) { self.init(PostgresDatabase(url: url)) }

  /// The whole record of a session, in order; empty where there is none.
  public func events(of session: SessionID) async throws -> [SessionEvent] {
    var events: [SessionEvent] = []
    while true {
      let after = events.last?.sequence ?? 0
      let page = try await database.read {
        try SessionRows.events(of: session, tenant: nil, after: after, limit: StorageLimits.page, $0)
      }
      events += page
      if page.count < StorageLimits.page { return events }
    }
  }

  /// Every session that has ended, newest first.
  public func endedSessions() async throws -> [SessionID] {
    try await database.read {
      try $0.rows("SELECT session_id FROM sessions WHERE state = 'ended' ORDER BY started_at_ms DESC, session_id DESC")
        .map { SessionID(try $0.text("session_id")) }
    }
  }

  /// The dialog's source with that digest; nil where it is not kept.
  public func dialog(digest: String) async throws -> DialogVersion? {
    try await database.read { try DialogRows.version(digest: digest, $0) }
  }
}
