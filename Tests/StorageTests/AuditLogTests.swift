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

  private func filled(_ count: Int) async throws -> (SQLiteDatabase, AuditStore, AuditHead) {
    let database = try SQLiteDatabase.inMemory()
    let store = AuditStore(database)
    let head = try await store.append((1...count).map { record($0) })
    return (database, store, head)
  }

  /// What an intruder does who has the file and knows of the triggers.
  private func tamper(_ database: SQLiteDatabase, _ statements: String...) async throws {
    try await database.write { connection in
      for trigger in ["audit_no_update", "audit_no_delete"] { try connection.run("DROP TRIGGER \(trigger)") }
      for statement in statements { try connection.run(statement) }
    }
  }

  @Test func anUntouchedLogIsIntact() async throws {
    let (_, store, head) = try await filled(1500)
    let verdict = try await store.verify(against: [head])
    #expect(verdict.isIntact)
    #expect(verdict.records == 1500)
    #expect(verdict.head == head)
  }

  @Test func theDatabaseItselfRefusesChanges() async throws {
    let (database, store, head) = try await filled(3)
    for statement in ["UPDATE audit SET actor = 'x' WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 3"] {
      await #expect(throws: StorageError.self) { try await database.write { try $0.run(statement) } }
    }
    #expect(try await store.verify(against: [head]).isIntact)
  }

  @Test(arguments: [
    "tenant = 'x'", "actor = 'x'", "action = 'x'", "object = 'x'", "outcome = 'denied'", "status = 403", "peer = ''",
    "request_id = 'x'", "details = '{}'", "at_ms = at_ms + 1", "hash = x'00'", "hash = zeroblob(32)",
  ])
  func aChangeIsFound(_ change: String) async throws {
    let (database, store, _) = try await filled(9)
    try await tamper(database, "UPDATE audit SET \(change) WHERE sequence = 5")
    let findings = try await store.verify().findings
    #expect(findings.first == .init(.changed, 5, 5))
  }

  @Test func recordsThatAreMissingAreFound() async throws {
    let (database, store, head) = try await filled(9)
    try await tamper(database, "DELETE FROM audit WHERE sequence IN (3, 4)")
    #expect(try await store.verify(against: [head]).findings == [.init(.missing, 3, 4)])
    try await database.write { _ = try $0.run("DELETE FROM audit WHERE sequence = 1") }
    #expect(try await store.verify(against: [head]).findings.first == .init(.missing, 1, 1))
  }

  @Test func recordsThatWereSwappedAreFound() async throws {
    let (database, store, head) = try await filled(9)
    try await tamper(
      database, "UPDATE audit SET sequence = 100 WHERE sequence = 4",
      "UPDATE audit SET sequence = 4 WHERE sequence = 6",
      "UPDATE audit SET sequence = 6 WHERE sequence = 100")
    let changed = try await store.verify(against: [head]).findings.map(\.first)
    #expect(changed.contains(4) && changed.contains(6))
  }

  @Test func anEndThatIsMissingIsFoundByTheHead() async throws {
    let (database, store, head) = try await filled(9)
    try await tamper(database, "DELETE FROM audit WHERE sequence > 7")
    #expect(try await store.verify().isIntact, "the chain alone cannot know")
    #expect(try await store.verify(against: [head]).findings == [.init(.truncated, 8, 9)])
    try await database.write { _ = try $0.run("DELETE FROM audit") }
    #expect(try await store.verify(against: [head]).findings == [.init(.truncated, 1, 9)])
  }

  @Test func aLogThatWasWrittenAnewIsFoundByTheHead() async throws {
    let (_, _, head) = try await filled(9)
    let forged = AuditStore(try SQLiteDatabase.inMemory())
    _ = try await forged.append((1...12).map { record($0 + 1) })
    #expect(try await forged.verify().isIntact)
    #expect(try await forged.verify(against: [head]).findings == [.init(.replaced, 9, 9)])
  }

  @Test func aCutIsNotHealedByGoingOn() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    let file = folder.path + "/audit-head"
    let database = try SQLiteDatabase.inMemory()
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
  }

  @Test func recordsKeepTheirOrderWhoeverWritesThem() async throws {
    let database = try SQLiteDatabase.inMemory()
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
  }

  @Test func recordsWaitForADatabaseThatIsGone() async throws {
    let database = Flaky(try SQLiteDatabase.inMemory())
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
  }

  @Test func pagesAreOfOneTenantAndFiltered() async throws {
    let database = try SQLiteDatabase.inMemory()
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
  }

  @Test func whatIsTooLongIsCut() async throws {
    let store = AuditStore(try SQLiteDatabase.inMemory())
    var long = record(1)
    long.object = String(repeating: "é", count: 5000)
    long.details = ["x": .string(String(repeating: "y", count: 100_000))]
    _ = try await store.append([long])
    let kept = try await store.records(AuditStore.Query(tenant: "default"), limit: 1)[0]
    #expect(kept.object.utf8.count <= 520)
    #expect(kept.details == ["left_out": "too large"])
    #expect(try await store.verify().isIntact)
  }
}

/// A database that is gone while somebody says so.
private final class Flaky: SQLDatabase {
  let isGone = NIOLockedValueBox(false)
  private let real: SQLiteDatabase

  init(_ real: SQLiteDatabase) { self.real = real }

  var dialect: SQLDialect { real.dialect }

  func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    try await real.read(body)
  }

  func write<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
    if isGone.withLockedValue({ $0 }) { throw StorageError(.unavailable, "gone") }
    return try await real.write(body)
  }
}
