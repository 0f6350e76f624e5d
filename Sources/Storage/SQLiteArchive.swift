import Base
import FoundationEssentials
import GRDB

/// The record of sessions in one SQLite file, to be looked into and not changed, also while a gateway owns it. Any thread.
public final class SQLiteArchive: Sendable {
  private let queue: DatabaseQueue
  private let path: String

  /// - Throws: one sentence that names the file.
  public init(path: String) throws(StorageError) {
    self.path = path
    guard FileManager.default.fileExists(atPath: path) else {
      throw StorageError(.cannotOpen, "there is no database \(path)")
    }
    var configuration = GRDB.Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(5)
    do {
      queue = try DatabaseQueue(path: path, configuration: configuration)
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be opened: \(error)")
    }
  }

  /// The whole record of a session, in order; empty where there is none.
  public func events(of session: SessionID) throws(StorageError) -> [SessionEvent] {
    var events: [SessionEvent] = []
    while true {
      let after = events.last?.sequence ?? 0
      let page = try read { try Schema.events(of: session, after: after, limit: StorageLimits.page, $0) }
      events += page
      if page.count < StorageLimits.page { return events }
    }
  }

  /// Every session that has ended, newest first.
  public func endedSessions() throws(StorageError) -> [SessionID] {
    try read {
      try String.fetchAll(
        $0,
        sql: "SELECT session_id FROM sessions WHERE state = 'ended' ORDER BY started_at_ms DESC, session_id DESC"
      ).map { SessionID($0) }
    }
  }

  /// The dialog's source with that digest; nil where it is not kept.
  public func dialog(digest: String) throws(StorageError) -> DialogVersion? {
    try read { database in
      guard try database.tableExists("dialog_sources") else { return nil }
      return try SQLiteDialogStore.version(digest: digest, database)
    }
  }

  private func read<T>(_ body: (Database) throws -> T) throws(StorageError) -> T {
    do {
      return try queue.read(body)
    } catch {
      throw StorageError(.readFailed, "the database \(path) cannot be read: \(error)")
    }
  }
}
