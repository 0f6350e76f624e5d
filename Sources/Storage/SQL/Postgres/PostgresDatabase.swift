import Base
import NIOConcurrencyHelpers

/// PostgreSQL through libpq: a bounded number of connections, opened when they are needed and again after a loss. Any thread.
public final class PostgresDatabase: SQLDatabase {
  /// Connections of one process. A server takes a hundred by default.
  public static let connections = 8
  /// Questions that may wait for one of them, and how long each waits.
  static let waiting = 2_000
  static let patience: Duration = .seconds(10)
  /// Tries of one change that always meets others.
  private static let attempts = 30

  private struct Pool {
    var idle: [PostgresConnection] = []
    var count = 0
    var next = 0
    var waiters: [(id: Int, continuation: CheckedContinuation<PostgresConnection, any Error>)] = []
    var isClosed = false
  }

  private let url: String
  private let pool = NIOLockedValueBox(Pool())
  /// For sentences: without user and password.
  let place: String

  /// Opens nothing yet.
  /// - Parameter url: `postgres://user:password@host:port/database?sslmode=verify-full`, with any parameter of libpq.
  public init(url: String) {
    self.url = url
    place = Self.place(of: url)
  }

  public var dialect: SQLDialect { .postgres }

  public func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await transaction(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"], .readFailed, body)
  }

  public func write<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await transaction(["BEGIN ISOLATION LEVEL SERIALIZABLE"], .writeFailed, body)
  }

  public func alone<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await transaction(
      [
        "BEGIN", "SET LOCAL statement_timeout = 0", "SET LOCAL lock_timeout = 0",
        "SELECT pg_advisory_xact_lock(7261648202)",
      ], .writeFailed, body)
  }

  /// Whether the server can be worked with at all.
  func check() async throws {
    let (version, encoding) = try await read { database in
      (
        try database.row("SHOW server_version_num")?.text("server_version_num") ?? "",
        try database.row("SHOW server_encoding")?.text("server_encoding") ?? ""
      )
    }
    guard Int(version) ?? 0 >= 120_000 else {
      throw StorageError(.cannotOpen, "PostgreSQL 12 or newer is needed; the server is \(version)")
    }
    guard encoding == "UTF8" else {
      throw StorageError(.cannotOpen, "its encoding is \(encoding), not UTF8: make it with `ENCODING 'UTF8'`")
    }
  }

  /// Closes the connections that nobody uses now; the others when their questions are answered.
  public func close() {
    let (idle, waiters) = pool.withLockedValue { pool in
      pool.isClosed = true
      defer {
        pool.idle = []
        pool.waiters = []
      }
      return (pool.idle, pool.waiters)
    }
    for connection in idle { connection.close() }
    for waiter in waiters { waiter.continuation.resume(throwing: Self.closed) }
  }

  private func transaction<T: Sendable>(
    _ begin: [String], _ code: StorageError.Code, _ body: @escaping @Sendable (any SQLConnection) throws -> T
  ) async throws -> T {
    var attempt = 0
    while true {
      let connection = try await lease()
      let outcome: Result<T, any Error>
      do {
        outcome = .success(try await connection.transaction(begin, body))
      } catch {
        outcome = .failure(error)
      }
      giveBack(connection)
      attempt += 1
      switch outcome {
      case .success(let value): return value
      case .failure(let failure as PostgresFailure):
        guard failure.mayRepeat, attempt < Self.attempts else { throw failure.explained(code) }
        // Those that met each other come again at different moments.
        try await Task.sleep(for: .milliseconds(Int64.random(in: 0...min(50, 2 << min(attempt, 5)))))
      case .failure(let error): throw error
      }
    }
  }

  // MARK: The connections

  private static let closed = StorageError(.closed, "the database was closed")

  private func lease() async throws -> PostgresConnection {
    enum Answer {
      case connection(PostgresConnection)
      case wait
    }
    let timer = NIOLockedValueBox<Task<Void, Never>?>(nil)
    defer { timer.withLockedValue { $0 }?.cancel() }
    return try await withCheckedThrowingContinuation { continuation in
      let outcome: Result<Answer, StorageError> = pool.withLockedValue { pool in
        if pool.isClosed { return .failure(Self.closed) }
        // The last one used has its plans at hand.
        if let connection = pool.idle.popLast() { return .success(.connection(connection)) }
        if pool.count < Self.connections {
          pool.count += 1
          return .success(.connection(PostgresConnection(url: url)))
        }
        guard pool.waiters.count < Self.waiting else {
          return .failure(StorageError(.unavailable, "too many questions wait for the database"))
        }
        pool.next += 1
        let id = pool.next
        pool.waiters.append((id, continuation))
        timer.withLockedValue { $0 = Task { await self.expire(id) } }
        return .success(.wait)
      }
      switch outcome {
      case .success(.connection(let connection)): continuation.resume(returning: connection)
      case .success(.wait): break
      case .failure(let error): continuation.resume(throwing: error)
      }
    }
  }

  private func expire(_ id: Int) async {
    do { try await Task.sleep(for: Self.patience) } catch { return }
    let waiter = pool.withLockedValue { pool in
      pool.waiters.firstIndex { $0.id == id }.map { pool.waiters.remove(at: $0) }
    }
    waiter?.continuation.resume(
      throwing: StorageError(.unavailable, "the database is too slow: every connection is in use"))
  }

  private func giveBack(_ connection: PostgresConnection) {
    let next = pool.withLockedValue { pool -> CheckedContinuation<PostgresConnection, any Error>? in
      if pool.isClosed {
        connection.close()
        return nil
      }
      if pool.waiters.isEmpty {
        pool.idle.append(connection)
        return nil
      }
      return pool.waiters.removeFirst().continuation
    }
    next?.resume(returning: connection)
  }

  private static func place(of url: String) -> String {
    let rest = url.split(separator: "://", maxSplits: 1).last ?? ""
    let path = rest.prefix { $0 != "?" }
    return "postgres://" + (path.split(separator: "@").last.map(String.init) ?? "")
  }
}
