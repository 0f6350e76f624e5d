import FoundationEssentials
import GRDB

extension SQLiteDatabase {
  /// Opens a file as it is, also while a gateway owns it: for commands that read or write a few rows. The schema is not touched.
  /// - Throws: ``StorageError`` `cannotOpen`: there is no file, or it has no tokens and no audit log yet.
  public static func beside(path: String) throws(StorageError) -> SQLiteDatabase {
    guard FileManager.default.fileExists(atPath: path) else {
      throw StorageError(.cannotOpen, "there is no database \(path); start the gateway once, it makes one")
    }
    var configuration = GRDB.Configuration()
    configuration.busyMode = .timeout(5)
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      guard try queue.read({ try $0.tableExists("tokens") && $0.tableExists("audit") }) else {
        throw StorageError(
          .cannotOpen, "the database \(path) is of an earlier version; start this version of the gateway once")
      }
      return SQLiteDatabase(queue)
    } catch let error as StorageError {
      throw error
    } catch {
      throw StorageError(.cannotOpen, "the database \(path) cannot be opened: \(StorageError.reason(error))")
    }
  }
}
