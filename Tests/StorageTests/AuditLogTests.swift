import Base
import FoundationEssentials
import NIOConcurrencyHelpers
import Storage
import Testing

@Suite struct AuditLogTests {
  private func record(_ number: Int, tenant: String = "default") -> AuditRecord {
    AuditRecord(
      atMs: Int64(number) * 1000, tenant: tenant, actor: "token\(number % 2)", action: "POST /v1/calls/{id}/hangup",
      object: "/v1/calls/S\(number)", status: 200, peer: "192.0.2.1", details: ["n": .int(Int64(number))])
  }

  /// Runs `body` on a log of so many records.
  private func with(
    _ backend: Backend, _ count: Int, _ body: (any SQLDatabase, AuditStore, AuditHead) async throws -> Void
  ) async throws {
    let stores = try await backend.open()
    let store = AuditStore(stores.database)
    try await body(stores.database, store, try await store.append((1...count).map { record($0) }))
    await stores.close()
  }

  /// What an intruder does who has the database and knows of the triggers.
  private func tamper(_ database: any SQLDatabase, _ statements: String..., arguments: [SQLValue] = []) async throws {
    try await database.write { connection in
      let triggers =
        switch connection.dialect {
        case .sqlite: ["audit_no_update", "audit_no_delete"]
        case .postgres: ["audit_no_change ON audit"]
        }
      for trigger in triggers { try connection.run("DROP TRIGGER \(trigger)") }
      for statement in statements { try connection.run(statement, arguments) }
    }
  }

  @Test(arguments: Backend.allCases)
  func anUntouchedLogIsIntact(backend: Backend) async throws {
    try await with(backend, 1500) { _, store, head async throws in
      let verdict = try await store.verify(against: [head])
      #expect(verdict.isIntact)
      #expect(verdict.records == 1500)
      #expect(verdict.head == head)
    }
  }

  @Test(arguments: Backend.allCases)
  func theDatabaseItselfRefusesChanges(backend: Backend) async throws {
    try await with(backend, 3) { database, store, head async throws in
      for statement in ["UPDATE audit SET actor = 'x' WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 3"] {
        await #expect(throws: StorageError.self) { try await database.write { try $0.run(statement) } }
      }
      #expect(try await store.verify(against: [head]).isIntact)
    }
  }

  @Test(
    arguments: Backend.allCases,
    [
      ("tenant", "x"), ("actor", "x"), ("action", "x"), ("object", "x"), ("outcome", "denied"), ("status", 403),
      ("peer", ""), ("request_id", "x"), ("details", "{}"), ("at_ms", 5001), ("hash", .bytes([0])),
      ("hash", .bytes([UInt8](repeating: 0, count: 32))),
    ] as [(String, SQLValue)])
  func aChangeIsFound(backend: Backend, change: (column: String, value: SQLValue)) async throws {
    try await with(backend, 9) { database, store, _ async throws in
      try await tamper(
        database, "UPDATE audit SET \(change.column) = ? WHERE sequence = 5", arguments: [change.value])
      let findings = try await store.verify().findings
      #expect(findings.first == .init(.changed, 5, 5))
    }
  }

  @Test(arguments: Backend.allCases)
  func recordsThatAreMissingAreFound(backend: Backend) async throws {
    try await with(backend, 9) { database, store, head async throws in
      try await tamper(database, "DELETE FROM audit WHERE sequence IN (3, 4)")
      #expect(try await store.verify(against: [head]).findings == [.init(.missing, 3, 4)])
      try await database.write { _ = try $0.run("DELETE FROM audit WHERE sequence = 1") }
      #expect(try await store.verify(against: [head]).findings.first == .init(.missing, 1, 1))
    }
  }

  @Test(arguments: Backend.allCases)
  func recordsThatWereSwappedAreFound(backend: Backend) async throws {
    try await with(backend, 9) { database, store, head async throws in
      try await tamper(
        database, "UPDATE audit SET sequence = 100 WHERE sequence = 4",
        "UPDATE audit SET sequence = 4 WHERE sequence = 6",
        "UPDATE audit SET sequence = 6 WHERE sequence = 100")
      let changed = try await store.verify(against: [head]).findings.map(\.first)
      #expect(changed.contains(4) && changed.contains(6))
    }
  }

  @Test(arguments: Backend.allCases)
  func anEndThatIsMissingIsFoundByTheHead(backend: Backend) async throws {
    try await with(backend, 9) { database, store, head async throws in
      try await tamper(database, "DELETE FROM audit WHERE sequence > 7")
      #expect(try await store.verify().isIntact, "the chain alone cannot know")
      #expect(try await store.verify(against: [head]).findings == [.init(.truncated, 8, 9)])
      try await database.write { _ = try $0.run("DELETE FROM audit") }
      #expect(try await store.verify(against: [head]).findings == [.init(.truncated, 1, 9)])
    }
  }

  @Test(arguments: Backend.allCases)
  func aLogThatWasWrittenAnewIsFoundByTheHead(backend: Backend) async throws {
    try await with(backend, 9) { database, store, head async throws in
      try await tamper(database, "DELETE FROM audit")
      _ = try await store.append((1...12).map { record($0 + 1) })
      #expect(try await store.verify().isIntact)
      #expect(try await store.verify(against: [head]).findings == [.init(.replaced, 9, 9)])
    }
  }

  @Test(arguments: Backend.allCases)
  func aCutIsNotHealedByGoingOn(backend: Backend) async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    let file = folder.path + "/audit-head"
    let stores = try await backend.open(), database = stores.database
    let first = AuditLog(database, headFile: file, now: { 1 }, logger: quiet)
    for i in 1...5 { first.record(record(i)) }
    await first.close()
    #expect(AuditLog.readHead(file)?.sequence == 5)
    try await tamper(database, "DELETE FROM audit WHERE sequence > 3")

    let second = AuditLog(database, headFile: file, now: { 2 }, logger: quiet)
    await second.start()
    second.record(record(6))
    await second.close()
    let verdict = try await AuditStore(database).verify(against: [try #require(AuditLog.readHead(file))])
    #expect(verdict.findings == [.init(.missing, 4, 5)])
    #expect(verdict.head.sequence == 6)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func recordsKeepTheirOrderWhoeverWritesThem(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    let log = AuditLog(database, headFile: nil, now: { 1 }, logger: quiet)
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          for number in 0..<250 { log.record(tenant: "t\(writer)", actor: "a", action: "n\(number)") }
        }
      }
    }
    await log.flush()
    let store = AuditStore(database)
    #expect(try await store.verify().records == 1000)
    for writer in 0..<4 {
      let actions = try await store.records(AuditStore.Query(tenant: "t\(writer)"), limit: 1000).map(\.action)
      #expect(actions == (0..<250).reversed().map { "n\($0)" })
    }
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func recordsWaitForADatabaseThatIsGone(backend: Backend) async throws {
    let stores = try await backend.open()
    let database = Flaky(stores.database)
    database.isGone.withLockedValue { $0 = true }
    let log = AuditLog(database, headFile: nil, retryInterval: .milliseconds(1), now: { 7 }, logger: quiet)
    for i in 1...AuditLimits.pending + 5 { log.record(record(i)) }
    #expect(log.waiting <= AuditLimits.pending)
    database.isGone.withLockedValue { $0 = false }
    await log.flush()
    let store = AuditStore(database)
    let verdict = try await store.verify()
    #expect(verdict.isIntact)
    var query = AuditStore.Query(tenant: "default")
    query.action = "audit.dropped"
    let dropped = try await store.records(query, limit: 1).first
    // What was under way when the queue was full does not count, so a few more than the limit may be kept.
    let lost = try #require(dropped?.details["records"]?.intValue)
    #expect(verdict.records == Int64(AuditLimits.pending) + 5 - lost + 1)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func pagesAreOfOneTenantAndFiltered(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    let store = AuditStore(database)
    _ = try await store.append((1...10).map { record($0, tenant: $0 <= 6 ? "acme" : "rival") })
    var query = AuditStore.Query(tenant: "acme")
    let first = try await store.records(query, limit: 4)
    #expect(first.map(\.sequence) == [6, 5, 4, 3])
    #expect(try await store.records(query, before: 3, limit: 4).map(\.sequence) == [2, 1])
    query.actor = "token1"
    #expect(try await store.records(query, limit: 10).map(\.sequence) == [5, 3, 1])
    query.fromMs = 3000
    query.toMs = 5000
    #expect(try await store.records(query, limit: 10).map(\.sequence) == [3])
    query = AuditStore.Query(tenant: "acme")
    query.outcome = .denied
    #expect(try await store.records(query, limit: 10).isEmpty)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func whatIsTooLongIsCut(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = AuditStore(stores.database)
    var long = record(1)
    long.object = String(repeating: "é", count: 5000)
    long.details = ["x": .string(String(repeating: "y", count: 100_000))]
    _ = try await store.append([long])
    let kept = try await store.records(AuditStore.Query(tenant: "default"), limit: 1)[0]
    #expect(kept.object.utf8.count <= 520)
    #expect(kept.details == ["left_out": "too large"])
    #expect(try await store.verify().isIntact)
    await stores.close()
  }
}

/// A database that is gone while somebody says so.
private final class Flaky: SQLDatabase {
  let isGone = NIOLockedValueBox(false)
  private let real: any SQLDatabase

  init(_ real: any SQLDatabase) { self.real = real }

  var dialect: SQLDialect { real.dialect }

  func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await real.read(body)
  }

  func write<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    if isGone.withLockedValue({ $0 }) { throw StorageError(.unavailable, "gone") }
    return try await real.write(body)
  }
}
