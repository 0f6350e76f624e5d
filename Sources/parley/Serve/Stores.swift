import Base
import Logging
import Settings
import Storage
import Telemetry

extension DatabaseStores {
  /// Opens the database of the configuration.
  static func open(_ settings: StorageSettings, logger: Logger) async throws(StorageError) -> DatabaseStores {
    let nowMs = WallClock.nowMilliseconds()
    if let path = settings.databasePath { return try await sqlite(path: path, nowMs: nowMs, logger: logger) }
    if let url = settings.postgresURL {
      return try await postgres(
        url: url.reveal(), documentsPath: settings.dataDir + "/documents.db", nowMs: nowMs, logger: logger)
    }
    return try inMemory(logger: logger)
  }
}
