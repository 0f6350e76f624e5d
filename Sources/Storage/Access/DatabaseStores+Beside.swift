import FoundationEssentials
import GRDB

extension DatabaseStores {
  /// Opens a database as it is, also while gateways use it: for commands that read or write a few rows. The schema is not touched.
  /// - Parameters:
  ///   - sqlite: the path of a file; nil: `postgres` counts.
  ///   - postgres: see ``PostgresDatabase/init(url:)``.
  /// - Throws: ``StorageError`` `cannotOpen`: there is none, or it has no tokens and no audit log yet.
  public static func beside(sqlite: String?, postgres: String?) async throws(StorageError) -> any SQLDatabase {
    let (database, place) = try opened(sqlite, postgres)
    let isCurrent: Bool
    do {
      isCurrent = try await database.read { try Migrator.hasTable("tokens", $0) && Migrator.hasTable("audit", $0) }
    } catch {
      throw StorageError(.cannotOpen, "the database \(place) cannot be opened: \(StorageError.reason(error))")
    }
    guard isCurrent else {
      throw StorageError(
        .cannotOpen, "the database \(place) is empty or of an earlier version; start this version of the gateway once")
    }
    return database
  }

  static func opened(
    _ sqlite: String?, _ postgres: String?
  ) throws(StorageError) -> (database: any SQLDatabase, place: String) {
    if let postgres {
      let database = PostgresDatabase(url: postgres)
      return (database, database.place)
    }
    guard let sqlite else {
      throw StorageError(.cannotOpen, "a database in memory is the gateway's alone (storage.database)")
    }
    guard FileManager.default.fileExists(atPath: sqlite) else {
      throw StorageError(.cannotOpen, "there is no database \(sqlite); start the gateway once, it makes one")
    }
    var configuration = GRDB.Configuration()
    configuration.busyMode = .timeout(5)
    do {
      return (SQLiteDatabase(try DatabaseQueue(path: sqlite, configuration: configuration)), sqlite)
    } catch {
      throw StorageError(.cannotOpen, "the database \(sqlite) cannot be opened: \(StorageError.reason(error))")
    }
  }
}
