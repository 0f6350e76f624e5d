import Logging
import Settings
import Storage
import Telemetry

extension DatabaseStores {
  /// Opens the database of the configuration.
  static func open(_ settings: StorageSettings, logger: Logger) async throws(StorageError) -> DatabaseStores {
    guard let path = settings.databasePath else { return try inMemory(logger: logger) }
    return try await sqlite(path: path, nowMs: WallClock.nowMilliseconds(), logger: logger)
  }
}
