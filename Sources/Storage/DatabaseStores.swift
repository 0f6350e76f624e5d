import Base
import FoundationEssentials
import GRDB
import Logging
import NIOConcurrencyHelpers

/// One database, brought to the current schema, and everything that is kept in it.
public struct DatabaseStores: Sendable {
  public var database: any SQLDatabase
  public var sessions: SQLSessionStore
  public var dialogs: SQLDialogLibrary
  public var numbers: SQLNumberStore
  public var documents: any DocumentStore
  /// Why the database cannot be used now, in one sentence; nil: it can. For readiness; answers at once.
  public var trouble: @Sendable () -> String?
  /// Writes what waits and gives the database up.
  public var close: @Sendable () async -> Void

  /// What to do with sessions that a crash left open.
  public enum OpenSessions: Sendable {
    /// The calls died with the process: their sessions are ended, in the directory and in their records.
    case end
    /// They stay open for whoever resumes them; see ``SessionStore/openSessions()``.
    case keep
  }

  /// A database in memory: nothing outlives the process.
  public static func inMemory(logger: Logger) throws(StorageError) -> DatabaseStores {
    let database = try SQLiteDatabase.inMemory()
    return DatabaseStores(database, SQLiteDocumentStore(database.writer), logger: logger) {}
  }

  /// One SQLite file, owned by one process; made where there is none.
  ///
  /// Reads run beside the writer (WAL). `synchronous` is NORMAL: nothing is lost when the process dies, and at most the last
  /// moments when the machine does, which spares every batch a wait for the disk.
  /// - Parameters:
  ///   - path: its folder is made where there is none, for the owner only.
  ///   - nowMs: wall-clock milliseconds, for the end of sessions that a crash left open.
  ///   - queueLimit: writes of the record that may wait for the disk.
  /// - Throws: one sentence that names the file.
  public static func sqlite(
    path: String, nowMs: Int64, openSessions: OpenSessions = .end, queueLimit: Int = StorageLimits.pendingWrites,
    logger: Logger
  ) async throws(StorageError) -> DatabaseStores {
    let file = try SQLiteFile(path: path)
    do {
      try file.database.migrate(Schema.migrations, nowMs: nowMs)
      if openSessions == .end {
        let ended = try file.database.writeNow { database in
          let open = try SessionRows.openSessions(database)
          try SessionRows.end(open, nowMs: nowMs, database)
          return open.count
        }
        if ended > 0 {
          logger.notice("ended the sessions that a crash left open", metadata: ["sessions": "\(ended)"])
        }
      }
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be opened: \(StorageError.reason(error))")
    }
    let stores = DatabaseStores(
      file.database, SQLiteDocumentStore(file.database.writer), queueLimit: queueLimit, logger: logger
    ) {
      do {
        try file.database.close()
      } catch {
        logger.warning("the database did not close", metadata: ["error": "\(error)"])
      }
      file.lock.release()
    }
    do {
      try await stores.numbers.reload()
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be read: \(error)")
    }
    return stores
  }

  /// PostgreSQL, shared by any number of processes.
  /// - Parameters:
  ///   - url: see ``PostgresDatabase/init(url:)``.
  ///   - bell: tells processes that share the database of new events; nil: each looks by itself, once a second.
  ///   - documentsPath: a SQLite file for the index of the documents: it is made of files, and each process has its own.
  /// - Throws: one sentence that names the server, without its password.
  public static func postgres(
    url: String, documentsPath: String, nowMs: Int64, queueLimit: Int = StorageLimits.pendingWrites,
    bell: (any ChangeBell)? = nil, logger: Logger
  ) async throws(StorageError) -> DatabaseStores {
    let database = PostgresDatabase(url: url)
    let documents = try SQLiteFile(path: documentsPath)
    do {
      try await database.check()
      _ = try await database.alone { try Migrator(Schema.migrations).migrate($0, nowMs: nowMs) }
      try documents.database.migrate([Schema.documents], nowMs: nowMs)
      let signals = NIOLockedValueBox<DatabaseStores?>(nil)
      let lease = InstanceLease(database, nowMs: nowMs, logger: logger) { name in
        guard let stores = signals.withLockedValue({ $0 }) else { return }
        switch Revision(rawValue: name) {
        case .dialogs?: stores.dialogs.signal.send()
        case .numbers?:
          do {
            try await stores.numbers.reload()
          } catch {
            logger.error("the numbers cannot be read", metadata: ["error": "\(error)"])
          }
        case nil: break
        }
      }
      var stores = DatabaseStores(
        database, SQLiteDocumentStore(documents.database.writer), instance: lease.id, queueLimit: queueLimit,
        logger: logger
      ) {
        await lease.stop()
        signals.withLockedValue { $0 = nil }
        database.close()
        do {
          try documents.database.close()
        } catch {
          logger.warning("the index of documents did not close", metadata: ["error": "\(error)"])
        }
        documents.lock.release()
      }
      let sessions = stores.sessions
      stores.trouble = { sessions.trouble ?? lease.trouble }
      try await stores.numbers.reload()
      try await sessions.follow(bell)
      try await lease.start()
      signals.withLockedValue { [stores] in $0 = stores }
      return stores
    } catch {
      database.close()
      throw StorageError(.cannotOpen, "the database \(database.place) cannot be opened: \(StorageError.reason(error))")
    }
  }

  /// Takes the steps of the schema that a database lacks, or (dry run) says which.
  /// - Parameters:
  ///   - sqlite: the path of a SQLite file.
  ///   - postgres: the address of a PostgreSQL database, where there is no such file.
  public static func migrate(
    sqlite: String?, postgres: String?, isDryRun: Bool, nowMs: Int64
  ) async throws(StorageError) -> MigrationReport {
    let migrator = Migrator(Schema.migrations)
    do {
      if let sqlite {
        if isDryRun, !FileManager.default.fileExists(atPath: sqlite) {
          return MigrationReport(taken: Schema.migrations.map(\.name))
        }
        let file = try SQLiteFile(path: sqlite)
        defer { file.lock.release() }
        if isDryRun { return try await file.database.read { try migrator.plan($0) } }
        let report = try file.database.migrate(Schema.migrations, nowMs: nowMs)
        try file.database.close()
        return report
      }
      guard let postgres else {
        throw StorageError(.cannotOpen, "a database in memory has no schema to bring forward (storage.database)")
      }
      let database = PostgresDatabase(url: postgres)
      defer { database.close() }
      try await database.check()
      if isDryRun { return try await database.read { try migrator.plan($0) } }
      return try await database.alone { try migrator.migrate($0, nowMs: nowMs) }
    } catch let error as StorageError {
      throw error
    } catch {
      throw StorageError(.cannotOpen, "the database cannot be brought forward: \(StorageError.reason(error))")
    }
  }

  init(
    _ database: any SQLDatabase, _ documents: any DocumentStore, instance: String = "",
    queueLimit: Int = StorageLimits.pendingWrites, logger: Logger, close: @escaping @Sendable () async -> Void
  ) {
    self.database = database
    self.documents = documents
    let sessions = SQLSessionStore(database, instance: instance, queueLimit: queueLimit, logger: logger)
    let dialogs = SQLDialogLibrary(database)
    self.sessions = sessions
    trouble = { sessions.trouble }
    self.dialogs = dialogs
    numbers = SQLNumberStore(database)
    self.close = {
      await sessions.close()
      dialogs.close()
      await close()
    }
  }
}

/// A SQLite file and its lock.
struct SQLiteFile: Sendable {
  let database: SQLiteDatabase
  let lock: FileLock

  init(path: String) throws(StorageError) {
    do {
      let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      if !folder.isEmpty, !FileManager.default.fileExists(atPath: folder) {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
      }
    } catch {
      throw StorageError(
        .cannotOpen, "the folder of the database \(path) cannot be made: \(StorageError.reason(error))")
    }
    lock = try FileLock(path: path + ".lock", what: path)
    var configuration = GRDB.Configuration()
    configuration.maximumReaderCount = 4
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { database in
      try database.execute(sql: "PRAGMA synchronous = NORMAL")
    }
    do {
      database = SQLiteDatabase(try DatabasePool(path: path, configuration: configuration))
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be opened: \(StorageError.reason(error))")
    }
  }
}
