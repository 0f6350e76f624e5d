import Base
import FoundationEssentials
import Logging
import ScriptedServers
import Storage

/// The databases that every store is shown on.
enum Backend: String, CaseIterable, Sendable {
  case memory, sqlite, postgres

  /// An empty database, and the way out.
  func open(queueLimit: Int = StorageLimits.pendingWrites) async throws -> DatabaseStores {
    let folder = TemporaryFolder()
    var stores: DatabaseStores
    switch self {
    case .memory: return try DatabaseStores.inMemory(logger: quiet)
    case .sqlite:
      stores = try await DatabaseStores.sqlite(
        path: folder.path + "/parley.db", nowMs: 1, queueLimit: queueLimit, logger: quiet)
    case .postgres:
      stores = try await DatabaseStores.postgres(
        url: try PostgresServer.running().makeDatabase(), documentsPath: folder.path + "/documents.db", nowMs: 1,
        queueLimit: queueLimit, logger: quiet)
    }
    let close = stores.close
    stores.close = {
      await close()
      folder.remove()
    }
    return stores
  }
}
