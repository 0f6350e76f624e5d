import ArgumentParser
import Base
import FoundationEssentials
import Logging
import Settings
import Storage
import Telemetry

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The database of the configuration, beside a gateway that may be running on it.
struct AccessDatabase {
  let database: any SQLDatabase
  let configuration: Configuration

  init(config: String?) async throws(CommandFailure) {
    // The same choices as 'parley serve' makes, so that both mean the same database.
    configuration = try ServePlan.make(config: config, environment: environmentVariables()).configuration
    let storage = configuration.storage
    do {
      database = try await DatabaseStores.beside(sqlite: storage.databasePath, postgres: storage.postgresURL?.reveal())
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// Tells the audit log what was done here, and by which user of this machine.
  func record(_ action: String, tenant: String, object: String, details: [String: Value]) async {
    guard configuration.security.auditEnabled else { return }
    let quiet = Logger(label: "parley") { _ in SwiftLogNoOpLogHandler() }
    let audit = AuditLog(
      database, headFile: configuration.storage.auditHeadFile, now: WallClock.nowMilliseconds, logger: quiet)
    var details = details
    details["uid"] = .int(Int64(getuid()))
    audit.record(tenant: tenant, actor: "command line", action: action, object: object, details: details)
    await audit.close()
  }
}

extension StorageSettings {
  /// Where the head of the audit log is kept beside the database; nil for a database in memory.
  var auditHeadFile: String? {
    if let path = databasePath { return "\(path)-audit-head" }
    return database == "memory:" ? nil : "\(dataDir)/audit-head"
  }
}
