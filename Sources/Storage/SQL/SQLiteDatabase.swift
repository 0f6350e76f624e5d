import FoundationEssentials
import GRDB

/// SQLite through GRDB. Reads run beside the one writer (WAL). Any thread.
public final class SQLiteDatabase: SQLDatabase {
  let writer: any DatabaseWriter

  public init(_ writer: any DatabaseWriter) { self.writer = writer }

  /// A database that lives in memory: for tests, and for a gateway that keeps nothing. It has the current schema.
  public static func inMemory() throws(StorageError) -> SQLiteDatabase { SQLiteDatabase(try Schema.inMemory()) }

  public var dialect: SQLDialect { .sqlite }

  public func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await StorageError.explained(.readFailed) { [writer] in
      try await writer.read { try body(SQLiteConnection(database: $0)) }
    }
  }

  public func write<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await StorageError.explained(.writeFailed) { [writer] in
      try await writer.write { try body(SQLiteConnection(database: $0)) }
    }
  }
}

struct SQLiteConnection: SQLConnection {
  let database: Database

  var dialect: SQLDialect { .sqlite }

  func rows(_ sql: String, _ arguments: [SQLValue]) throws -> [SQLRow] {
    let statement = try database.cachedStatement(sql: sql)
    return try Row.fetchAll(statement, arguments: StatementArguments(arguments.map(\.databaseValue))).map { row in
      SQLRow(
        Dictionary(
          row.map { ($0.0, SQLValue($0.1)) }, uniquingKeysWith: { first, _ in first }))
    }
  }

  func run(_ sql: String, _ arguments: [SQLValue]) throws -> Int {
    let statement = try database.cachedStatement(sql: sql)
    try statement.execute(arguments: StatementArguments(arguments.map(\.databaseValue)))
    return database.changesCount
  }
}

extension SQLValue {
  fileprivate var databaseValue: DatabaseValue {
    switch self {
    case .null: .null
    case .int(let number): number.databaseValue
    case .real(let number): number.databaseValue
    case .text(let text): text.databaseValue
    case .bytes(let bytes): Data(bytes).databaseValue
    }
  }

  fileprivate init(_ value: DatabaseValue) {
    switch value.storage {
    case .null: self = .null
    case .int64(let number): self = .int(number)
    case .double(let number): self = .real(number)
    case .string(let text): self = .text(text)
    case .blob(let data): self = .bytes([UInt8](data))
    }
  }
}
