import Logging
import Settings
import Storage
import Telemetry

/// What outlives the process, or nothing of it: the three stores of one database.
struct Stores: Sendable {
  var sessions: any SessionStore
  var dialogs: any DialogStore
  var documents: any DocumentStore
  var close: @Sendable () async -> Void

  /// Opens the database of the configuration.
  static func open(_ settings: StorageSettings, logger: Logger) throws(StorageError) -> Stores {
    guard let path = settings.databasePath else {
      let memory = MemoryStore()
      return Stores(
        sessions: memory, dialogs: try SQLiteDialogStore.inMemory(), documents: try SQLiteDocumentStore.inMemory(),
        close: { memory.close() })
    }
    let sqlite = try SQLiteStore(path: path, nowMs: WallClock.nowMilliseconds(), logger: logger)
    return Stores(
      sessions: sqlite, dialogs: sqlite.dialogs, documents: sqlite.documents, close: { await sqlite.close() })
  }
}
