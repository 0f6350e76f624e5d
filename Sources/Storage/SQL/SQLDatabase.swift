import Base

/// A relational database: SQLite inside the process, or PostgreSQL. Both are asked the same questions.
///
/// The common language is standard SQL with `?` for each argument. Columns are `TEXT`, `BIGINT`, `DOUBLE PRECISION` and bytes
/// (``SQLDialect/bytes``); truth is 0 or 1, times are milliseconds since 1970, structures are JSON text. What the two write
/// differently is in ``SQLDialect``.
public protocol SQLDatabase: Sendable {
  var dialect: SQLDialect { get }
  /// Runs `body` in one read-only transaction: it sees one state of the database.
  /// - Throws: what `body` throws; ``StorageError`` `readFailed` or `unavailable`.
  func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T
  /// Runs `body` in one transaction, durable when this returns and undone when it throws. On PostgreSQL `body` may run again
  /// after a conflict with another writer, so it must change nothing but the database.
  /// - Throws: what `body` throws; ``StorageError`` `writeFailed`, `unavailable` or `diskFull`.
  func write<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T
  /// Runs `body` in one transaction that no other process runs beside it, as long as it takes: for the steps of the schema.
  func alone<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T
}

extension SQLDatabase {
  /// Where nobody else can come between, a change is alone.
  public func alone<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await write(body)
  }
}

/// A database within one transaction. Not to be kept beyond it.
public protocol SQLConnection {
  var dialect: SQLDialect { get }
  /// All rows of a query. Statements are prepared once per connection and text: build texts from few pieces, never from
  /// values.
  func rows(_ sql: String, _ arguments: [SQLValue]) throws -> [SQLRow]
  /// Runs a statement; how many rows it changed.
  @discardableResult
  func run(_ sql: String, _ arguments: [SQLValue]) throws -> Int
}

extension SQLConnection {
  public func rows(_ sql: String) throws -> [SQLRow] { try rows(sql, []) }
  @discardableResult
  public func run(_ sql: String) throws -> Int { try run(sql, []) }
  public func row(_ sql: String, _ arguments: [SQLValue] = []) throws -> SQLRow? { try rows(sql, arguments).first }
}

/// What the databases write differently.
public enum SQLDialect: String, Sendable {
  case sqlite, postgres

  /// The type of a column of bytes.
  public var bytes: String { self == .sqlite ? "BLOB" : "BYTEA" }
  /// The type of a primary key that counts up by itself.
  public var counter: String {
    self == .sqlite ? "INTEGER PRIMARY KEY AUTOINCREMENT" : "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
  }
  /// At the end of a `CREATE TABLE` whose primary key finds every row: the rows lie in the order of the key.
  public var clustered: String { self == .sqlite ? " WITHOUT ROWID" : "" }
  /// At the end of a `SELECT`: locks its rows until the end of the transaction and leaves out those that others have locked.
  /// SQLite has one writer at a time, which says the same.
  public var skipLocked: String { self == .sqlite ? "" : " FOR UPDATE SKIP LOCKED" }
}

/// One argument of a statement, or one value of a row.
public enum SQLValue: Sendable, Hashable {
  case null
  case int(Int64)
  case real(Double)
  case text(String)
  case bytes([UInt8])

  public init(_ text: String?) { self = text.map { .text($0) } ?? .null }
  public init(_ number: Int64?) { self = number.map { .int($0) } ?? .null }
  public init(_ number: Int) { self = .int(Int64(number)) }
  public init(_ flag: Bool) { self = .int(flag ? 1 : 0) }
}

extension SQLValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByNilLiteral {
  public init(stringLiteral value: String) { self = .text(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(nilLiteral: ()) { self = .null }
}

/// One row, by the names of its columns. The rows of a query share the names.
public struct SQLRow: Sendable {
  private let columns: [String]
  /// In the order of the columns.
  public let values: [SQLValue]

  /// - Parameter columns: as many as `values`; of two with one name the first is found.
  init(_ columns: [String], _ values: [SQLValue]) {
    self.columns = columns
    self.values = values
  }

  /// nil where the row has no such column. A table has few columns: looking through them beats hashing their names.
  public subscript(column: String) -> SQLValue? { columns.firstIndex(of: column).map { values[$0] } }

  /// - Throws: ``StorageError`` `readFailed` where the column is missing, null, or no text.
  public func text(_ column: String) throws(StorageError) -> String {
    if case .text(let text)? = self[column] { return text }
    throw mismatch(column, "text")
  }
  public func int(_ column: String) throws(StorageError) -> Int64 {
    if case .int(let number)? = self[column] { return number }
    throw mismatch(column, "whole number")
  }
  public func real(_ column: String) throws(StorageError) -> Double {
    switch self[column] {
    case .real(let number)?: return number
    case .int(let number)?: return Double(number)
    default: throw mismatch(column, "number")
    }
  }
  public func bytes(_ column: String) throws(StorageError) -> [UInt8] {
    if case .bytes(let bytes)? = self[column] { return bytes }
    throw mismatch(column, "bytes")
  }
  public func bool(_ column: String) throws(StorageError) -> Bool { try int(column) != 0 }
  /// nil where the column is null.
  public func optionalText(_ column: String) throws(StorageError) -> String? {
    isNull(column) ? nil : try text(column)
  }
  public func optionalInt(_ column: String) throws(StorageError) -> Int64? { isNull(column) ? nil : try int(column) }
  public func isNull(_ column: String) -> Bool { self[column] == .null }

  private func mismatch(_ column: String, _ type: String) -> StorageError {
    StorageError(.readFailed, "the database is damaged: the column \(column) holds no \(type)")
  }
}

/// One step of the schema. Steps are only ever added: a database moves forward and never back.
public struct SQLMigration: Sendable {
  /// Begins with its number: `4 access`.
  public var name: String
  /// Statements, one each.
  public var statements: @Sendable (SQLDialect) -> [String]

  public init(_ name: String, _ statements: @escaping @Sendable (SQLDialect) -> [String]) {
    self.name = name
    self.statements = statements
  }
}
