import GRDB

extension StorageError {
  /// Runs a question to the database; its errors become sentences.
  static func explained<T>(_ code: Code, _ body: () async throws -> T) async throws -> T {
    do {
      return try await body()
    } catch let error as StorageError {
      throw error
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      let found = Self.code(error) ?? code
      let sentence =
        switch found {
        case .diskFull: "no space left on the disk of the database"
        case .readFailed: "the database cannot be read: \(reason(error))"
        default: "the database cannot be written: \(reason(error))"
        }
      throw StorageError(found, sentence)
    }
  }

  /// What may pass by itself; nil: anything else.
  private static func code(_ error: any Error) -> Code? {
    switch (error as? DatabaseError)?.resultCode {
    case .SQLITE_FULL?: .diskFull
    case .SQLITE_BUSY?, .SQLITE_LOCKED?, .SQLITE_IOERR?, .SQLITE_CANTOPEN?, .SQLITE_READONLY?: .unavailable
    default: nil
    }
  }

  static func reason(_ error: any Error) -> String {
    if let error = error as? DatabaseError { return error.message ?? "\(error.resultCode)" }
    return "\(error)"
  }
}
