import Base
import Logging
import Settings
import Storage
import Telemetry

extension DatabaseStores {
  /// Opens the database of the configuration.
  /// - Parameter bell: see ``DatabaseStores/postgres(url:documentsPath:nowMs:queueLimit:bell:logger:)``.
  static func open(
    _ settings: StorageSettings, bell: (any ChangeBell)? = nil, logger: Logger
  ) async throws(StorageError) -> DatabaseStores {
    let nowMs = WallClock.nowMilliseconds()
    if let path = settings.databasePath { return try await sqlite(path: path, nowMs: nowMs, logger: logger) }
    if let url = settings.postgresURL {
      return try await postgres(
        url: url.reveal(), documentsPath: settings.dataDir + "/documents.db", nowMs: nowMs, bell: bell,
        logger: logger)
    }
    return try inMemory(logger: logger)
  }
}
