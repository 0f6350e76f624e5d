import FoundationEssentials
import GRDB
import NIOPosix

/// SQLite through GRDB. Reads run beside the one writer (WAL). Any thread.
public final class SQLiteDatabase: SQLDatabase {
  let writer: any DatabaseWriter

  public init(_ writer: any DatabaseWriter) { self.writer = writer }

  /// A database that lives in memory: for tests, and for a gateway that keeps nothing. It has the current schema.
  public static func inMemory() throws(StorageError) -> SQLiteDatabase { try inMemory(Schema.migrations) }

  static func inMemory(_ steps: [SQLMigration]) throws(StorageError) -> SQLiteDatabase {
    do {
      let database = SQLiteDatabase(try DatabaseQueue())
      try database.migrate(steps, nowMs: 0)
      return database
    } catch {
      throw StorageError(.cannotOpen, "a database in memory cannot be made: \(StorageError.reason(error))")
    }
  }

  /// Takes the steps that are missing. Waits for the disk.
  @discardableResult
  func migrate(_ steps: [SQLMigration], nowMs: Int64) throws -> MigrationReport {
    try writer.write { try Migrator(steps).migrate(SQLiteConnection(database: $0), nowMs: nowMs) }
  }

  /// The same as ``write(_:)``, for a start that has nothing else to do.
  func writeNow<T>(_ body: (any SQLConnection) throws -> T) throws -> T {
    try writer.write { try body(SQLiteConnection(database: $0)) }
  }

  func close() throws { try writer.close() }

  public var dialect: SQLDialect { .sqlite }

  public func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    // GRDB's own asynchronous read goes through three queues, each with a thread to wake, which costs more than most queries;
    // a thread that may block reads at once.
    try await StorageError.explained(.readFailed) { [writer] in
      try await NIOThreadPool.singleton.runIfActive {
        try writer.read { try body(SQLiteConnection(database: $0)) }
      }
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
    let columns = statement.columnNames
    let found = try Row.fetchCursor(statement, arguments: StatementArguments(arguments.map(\.databaseValue)))
    var rows: [SQLRow] = []
    while let row = try found.next() {
      rows.append(SQLRow(columns, columns.indices.map { SQLValue(row[$0] as DatabaseValue) }))
    }
    return rows
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
