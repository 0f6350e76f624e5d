import CPostgreSQL
import Dispatch

/// One connection to a server. libpq waits for the network, so everything happens on the connection's own queue and never on
/// Swift's threads.
// `@unchecked Sendable`: all but `queue` is touched on `queue` alone; the initialiser touches nothing but constants.
final class PostgresConnection: @unchecked Sendable {
  private struct Plan: Hashable {
    var sql: String
    var types: [UInt32]
  }

  /// Plans that one connection keeps. The questions of this program are some hundred.
  private static let planLimit = 500

  private let url: String
  private let queue = DispatchQueue(label: "parley.storage.postgres")
  /// `PGconn`; nil before the first use and after a loss.
  private var connection: OpaquePointer?
  private var plans: [Plan: String] = [:]

  init(url: String) { self.url = url }

  deinit { if let connection { PQfinish(connection) } }

  func close() { queue.async { self.finish() } }

  /// Runs `body` in one transaction that `begin` opens.
  /// - Throws: what `body` throws; ``PostgresFailure``.
  func transaction<T: Sendable>(
    _ begin: [String], _ body: @escaping @Sendable (any SQLConnection) throws -> T
  ) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try self.perform(begin, body) }) }
    }
  }

  private func perform<T>(_ begin: [String], _ body: (any SQLConnection) throws -> T) throws -> T {
    do {
      try open()
      for command in begin { _ = try send(command, []) }
    } catch let failure as PostgresFailure where failure.isLost {
      // The server may have been started anew since the last question: nothing was done, so it may be asked again.
      try open()
      for command in begin { _ = try send(command, []) }
    }
    do {
      let value = try body(Session(connection: self))
      let end = try send("COMMIT", [])
      // A transaction in which a statement failed is undone, whatever it is told.
      guard end.command == "COMMIT" else {
        throw PostgresFailure(code: "25P02", message: "a statement of the transaction failed", isLost: false)
      }
      return value
    } catch {
      if let failure = error as? PostgresFailure, failure.code == "0A000" || failure.code == "26000" {
        plans = [:]
        _ = try? send("ROLLBACK", [])
        _ = try? send("DEALLOCATE ALL", [])
      } else if connection != nil {
        _ = try? send("ROLLBACK", [])
      }
      throw error
    }
  }

  // MARK: Opening

  private func open() throws {
    if let connection {
      if PQstatus(connection) == CONNECTION_OK { return }
      finish()
    }
    // What the address says of these counts more: it comes last.
    let settings = [
      ("fallback_application_name", "parley"), ("connect_timeout", "5"), ("client_encoding", "UTF8"),
      ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
      ("tcp_user_timeout", "15000"), ("options", "-c statement_timeout=30000 -c lock_timeout=20000"),
      ("dbname", url),
    ]
    let made = withTexts(settings.map(\.0)) { keys in withTexts(settings.map(\.1)) { PQconnectdbParams(keys, $0, 1) } }
    guard let made else { throw PostgresFailure(code: "", message: "out of memory", isLost: true) }
    guard PQstatus(made) == CONNECTION_OK else {
      let message = Self.line(PQerrorMessage(made))
      PQfinish(made)
      throw PostgresFailure(code: "", message: message, isLost: true)
    }
    // Notices of the server ("already exists, skipping") are nobody's.
    PQsetNoticeProcessor(made, { _, _ in }, nil)
    connection = made
    plans = [:]
  }

  private func finish() {
    if let connection { PQfinish(connection) }
    connection = nil
    plans = [:]
  }

  /// C strings with a null at the end, for the length of `body`.
  private func withTexts<T>(
    _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> T
  ) -> T {
    var bytes: [CChar] = []
    var places: [Int] = []
    for text in texts {
      places.append(bytes.count)
      bytes += text.utf8CString
    }
    return bytes.withUnsafeBufferPointer { bytes in
      var pointers: [UnsafePointer<CChar>?] = places.map { place in bytes.baseAddress.map { $0 + place } }
      pointers.append(nil)
      return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }
  }

  // MARK: Statements

  struct Answer {
    var rows: [SQLRow] = []
    var changed = 0
    /// What was done: `COMMIT`, `INSERT 0 1`.
    var command = ""
  }

  func send(_ sql: String, _ arguments: [SQLValue]) throws -> Answer {
    guard let connection else { throw PostgresFailure(code: "", message: "the connection is lost", isLost: true) }
    let parameters = Parameters(arguments)
    let isKept = PostgresStatement.isKept(sql)
    let plan = isKept ? try prepare(sql, parameters.types) : ""
    let result = parameters.use { values, lengths, formats in
      isKept
        ? PQexecPrepared(connection, plan, Int32(arguments.count), values, lengths, formats, 0)
        : PQexecParams(
          connection, PostgresStatement.text(sql), Int32(arguments.count), parameters.types, values, lengths, formats, 0
        )
    }
    defer { PQclear(result) }
    return try read(result)
  }

  private func prepare(_ sql: String, _ types: [UInt32]) throws -> String {
    let plan = Plan(sql: sql, types: types)
    if let name = plans[plan] { return name }
    if plans.count >= Self.planLimit {
      let result = PQexec(connection, "DEALLOCATE ALL")
      PQclear(result)
      plans = [:]
    }
    let name = "p\(plans.count)"
    let result = PQprepare(connection, name, PostgresStatement.text(sql), Int32(types.count), types)
    defer { PQclear(result) }
    _ = try read(result)
    plans[plan] = name
    return name
  }

  private func read(_ result: OpaquePointer?) throws -> Answer {
    let status = PQresultStatus(result)
    guard status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK else {
      let code = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) } ?? ""
      // What has no code was not said by the server. After a write that failed libpq calls the connection good for a while yet.
      let isLost = PQstatus(connection) != CONNECTION_OK || code.isEmpty
      let message = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) }
      let failure = PostgresFailure(
        code: code, message: message ?? Self.line(PQerrorMessage(connection)), isLost: isLost)
      if isLost { finish() }
      throw failure
    }
    var answer = Answer()
    if let text = PQcmdStatus(result) { answer.command = String(cString: text) }
    if let text = PQcmdTuples(result) { answer.changed = Int(String(cString: text)) ?? 0 }
    guard status == PGRES_TUPLES_OK else { return answer }
    let fields = 0..<PQnfields(result)
    let columns = fields.map { PQfname(result, $0).map { String(cString: $0) } ?? "" }
    let types = fields.map { PQftype(result, $0) }
    answer.rows = (0..<PQntuples(result)).map { row in
      SQLRow(
        columns,
        fields.map { column in
          guard PQgetisnull(result, row, column) == 0, let text = PQgetvalue(result, row, column) else { return .null }
          let count = Int(PQgetlength(result, row, column))
          return text.withMemoryRebound(to: UInt8.self, capacity: count) {
            PostgresType.value(UnsafeBufferPointer(start: $0, count: count), type: types[Int(column)])
          }
        })
    }
    return answer
  }

  /// The first line of what libpq says: one sentence, without the address's password, which it never repeats.
  private static func line(_ message: UnsafeMutablePointer<CChar>?) -> String {
    guard let message else { return "no reason is given" }
    return String(cString: message).split(separator: "\n").map(String.init).first ?? "no reason is given"
  }

  /// The connection within one transaction.
  private struct Session: SQLConnection {
    let connection: PostgresConnection

    var dialect: SQLDialect { .postgres }

    func rows(_ sql: String, _ arguments: [SQLValue]) throws -> [SQLRow] { try connection.send(sql, arguments).rows }

    func run(_ sql: String, _ arguments: [SQLValue]) throws -> Int { try connection.send(sql, arguments).changed }
  }
}

/// The arguments of one statement as libpq wants them: one block of bytes and where each begins.
private struct Parameters {
  let types: [UInt32]
  private var bytes: [CChar] = []
  private var places: [Int?] = []
  private var lengths: [Int32] = []
  /// 0: text, 1: bytes as they are.
  private var formats: [Int32] = []

  init(_ values: [SQLValue]) {
    types = values.map(PostgresType.number)
    for value in values {
      let start = bytes.count
      switch value {
      case .null: break
      case .int(let number): bytes += String(number).utf8CString
      case .real(let number): bytes += String(number).utf8CString
      // PostgreSQL has no text with a zero in it; what a caller's phone sends must not cost the row.
      case .text(let text):
        bytes += (text.utf8.contains(0) ? text.replacing("\0", with: "\u{FFFD}") : text).utf8CString
      case .bytes(let raw): bytes += raw.map { CChar(bitPattern: $0) } + [0]
      }
      places.append(value == .null ? nil : start)
      lengths.append(Int32(max(0, bytes.count - start - 1)))
      if case .bytes = value { formats.append(1) } else { formats.append(0) }
    }
  }

  func use<T>(
    _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> T
  ) -> T {
    bytes.withUnsafeBufferPointer { bytes in
      let values: [UnsafePointer<CChar>?] = places.map { place in
        place.flatMap { place in bytes.baseAddress.map { $0 + place } }
      }
      return values.withUnsafeBufferPointer { values in
        lengths.withUnsafeBufferPointer { lengths in
          formats.withUnsafeBufferPointer { formats in
            body(values.baseAddress, lengths.baseAddress, formats.baseAddress)
          }
        }
      }
    }
  }
}
