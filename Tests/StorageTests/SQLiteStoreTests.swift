import Base
import Dispatch
import FoundationEssentials
import GRDB
import Storage
import Testing

/// What only a store on disk can show: that the record outlives the process, and what is said when it cannot be opened.
@Suite struct SQLiteFileTests {
  @Test func theRecordOutlivesTheProcess() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/deep/er/parley.db"
    let first = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    for i in 1...600 { first.sessions.append(event(i, session: "a")) }
    var call = summary("a", startedAtMs: 5)
    call.state = .ended
    call.endReason = "normal"
    first.sessions.put(call)
    await first.close()

    let second = try await DatabaseStores.sqlite(path: path, nowMs: 2, logger: quiet)
    #expect(try await second.sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 1000).count == 600)
    #expect(try await second.sessions.session(SessionID("a"), tenant: nil) == call)
    second.sessions.append(event(601, session: "a"))
    await second.sessions.flush()
    #expect(
      try await second.sessions.events(tenant: nil, after: event(600, session: "a").eventID, limit: 10).map(\.sequence)
        == [601])
    await second.close()
  }

  @Test func sessionsThatACrashLeftOpenAreEnded() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    var call = summary("a", startedAtMs: 1000)
    call.answeredAtMs = 1001
    first.sessions.put(call)
    first.sessions.append(event(1, session: "a", type: "call_started"))
    first.sessions.append(event(2, session: "a", type: "speech_final"))
    first.sessions.put(summary("b", startedAtMs: 900))
    // "c" ended in its record, but its summary was not written any more.
    first.sessions.put(summary("c", startedAtMs: 800))
    var last = event(1, session: "c", type: "call_terminated")
    last.fields = ["reason": "caller"]
    first.sessions.append(last)
    await first.close()

    let second = try await DatabaseStores.sqlite(path: path, nowMs: 9000, logger: quiet)
    #expect(
      try await second.sessions.sessions(SessionQuery(tenant: Tenant.standard, ended: false, limit: 10, cursor: nil))
        .isEmpty)
    let ended = try await second.sessions.session(SessionID("a"), tenant: nil)
    #expect(ended?.state == .ended)
    #expect(ended?.endReason == "error")
    #expect(ended?.endedAtMs == 1002, "the last sign of life")
    let record = try await second.sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 10)
    #expect(record.map(\.type) == ["call_started", "speech_final", "call_terminated"])
    #expect(record.map(\.sequence) == [1, 2, 3])
    #expect(record.last?.fields["reason"] == "error")
    #expect(try await second.sessions.session(SessionID("b"), tenant: nil)?.endReason == "error")
    #expect(try await second.sessions.session(SessionID("c"), tenant: nil)?.endReason == "caller")
    #expect(try await second.sessions.events(of: SessionID("c"), tenant: nil, after: 0, limit: 10).count == 1)
    await second.close()
  }

  @Test func twoGatewaysCannotOwnOneDatabase() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    let error = await #expect(throws: StorageError.self) {
      try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    }
    #expect(error?.code == .inUse)
    #expect(error?.description == "the database \(path) is in use by another gateway process")
    await first.close()
    let third = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    await third.close()
  }

  @Test func aFileThatIsNoDatabaseIsExplained() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    try Data(String(repeating: "no database ", count: 500).utf8).write(to: URL(filePath: path))
    let error = await #expect(throws: StorageError.self) {
      try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    }
    #expect(error?.code == .cannotOpen)
    #expect(error?.description == "the database \(path) cannot be opened: file is not a database")
  }

  @Test func aFolderThatCannotBeMadeIsExplained() async throws {
    let error = await #expect(throws: StorageError.self) {
      try await DatabaseStores.sqlite(path: "/proc/nowhere/parley.db", nowMs: 1, logger: quiet)
    }
    #expect(error?.description.hasPrefix("the folder of the database /proc/nowhere/parley.db cannot be made") == true)
    #expect(error?.description.contains("\n") == false)
  }

  @Test func aWriteThatFailsTakesNoOtherWithIt() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let store = try await DatabaseStores.sqlite(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
    let stream = store.sessions.subscribe(bufferLimit: 10)
    store.sessions.append(event(1, session: "a"))
    store.sessions.append(event(1, session: "a"))
    store.sessions.append(event(2, session: "a"))
    await store.sessions.flush()
    #expect(store.sessions.lostWrites == 1)
    #expect(
      try await store.sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 10).map(\.sequence) == [1, 2])
    await store.close()
    var seen: [Int64] = []
    for await event in stream { seen.append(event.sequence) }
    #expect(seen == [1, 2])
  }

  @Test func whatComesAfterClosingIsCounted() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let store = try await DatabaseStores.sqlite(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
    await store.close()
    store.sessions.append(event(1, session: "a"))
    await store.sessions.flush()
    #expect(store.sessions.lostWrites == 1)
  }

  @Test func manyWritersKeepEachSessionsOrder() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let store = try await DatabaseStores.sqlite(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
    await withTaskGroup(of: Void.self) { group in
      for session in 0..<8 {
        group.addTask { for i in 1...400 { store.sessions.append(event(i, session: "s\(session)")) } }
      }
    }
    await store.sessions.flush()
    for session in 0..<8 {
      let events = try await store.sessions.events(of: SessionID("s\(session)"), tenant: nil, after: 0, limit: 1000)
      #expect(events.map(\.sequence) == Array(1...400))
    }
    #expect(store.sessions.lostWrites == 0)
    await store.close()
  }

  // MARK: After a crash

  @Test func whoeverResumesFindsTheSessionsThatACrashLeft() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    first.sessions.put(summary("a", startedAtMs: 5))
    for i in 1...3 { first.sessions.append(event(i, session: "a")) }
    await first.close()

    let second = try await DatabaseStores.sqlite(path: path, nowMs: 9, openSessions: .keep, logger: quiet)
    #expect(try await second.sessions.openSessions().map(\.session.value) == ["a"])
    let rest = try await second.sessions.events(of: SessionID("a"), tenant: nil, after: 2, limit: 10)
    #expect(rest.map(\.sequence) == [3])
    await second.close()

    let third = try await DatabaseStores.sqlite(path: path, nowMs: 9, logger: quiet)
    #expect(try await third.sessions.openSessions().isEmpty)
    await third.close()
  }

  /// The process dies in the middle of a write: what is on disk is the database and a log whose end is torn.
  @Test func aTornEndLosesOnlyTheEnd() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let store = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    for i in 1...40 {
      store.sessions.append(event(i, session: "a"))
      store.sessions.put(summary("a", startedAtMs: Int64(i)))
      await store.sessions.flush()
    }
    let log = try Data(contentsOf: URL(filePath: path + "-wal"))
    var kept: [Int] = []
    for cut in stride(from: 100, to: min(log.count - 5000, 60_000), by: 3700) {
      let copy = folder.path + "/copy-\(cut)/parley.db"
      try FileManager.default.createDirectory(atPath: folder.path + "/copy-\(cut)", withIntermediateDirectories: true)
      try Data(contentsOf: URL(filePath: path)).write(to: URL(filePath: copy))
      try log.dropLast(cut).write(to: URL(filePath: copy + "-wal"))
      let reopened = try await DatabaseStores.sqlite(path: copy, nowMs: 2, openSessions: .keep, logger: quiet)
      let record = try await reopened.sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 100).map(
        \.sequence)
      #expect(record == Array(1...Int64(max(1, record.count))), "no gap")
      let seen = try await reopened.sessions.session(SessionID("a"), tenant: nil)?.startedAtMs
      #expect(seen ?? 0 <= record.last ?? 0, "a summary is never ahead of the record")
      kept.append(record.count)
      reopened.sessions.append(event(record.count + 1, session: "a"))
      await reopened.sessions.flush()
      #expect(reopened.sessions.lostWrites == 0)
      await reopened.close()
    }
    #expect(kept == kept.sorted(by: >))
    #expect((kept.last ?? 40) < 40, "something was torn off")
    #expect((kept.first ?? 0) > 1)
    await store.close()
  }

  @Test func oneDamagedRowHidesNoOther() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    for i in 1...3 { first.sessions.append(event(i, session: "a")) }
    first.sessions.put(summary("a", startedAtMs: 1))
    await first.close()
    let database = try DatabaseQueue(path: path)
    try await database.write { database in
      try database.execute(sql: "UPDATE events SET fields = '{\"n\": ' WHERE sequence = 2")
      try database.execute(sql: "UPDATE events SET fields = x'FF00' WHERE sequence = 3")
      try database.execute(sql: "UPDATE sessions SET variables = 'no json', state = 'odd'")
    }
    try database.close()

    let second = try await DatabaseStores.sqlite(path: path, nowMs: 2, openSessions: .keep, logger: quiet)
    let record = try await second.sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 10)
    #expect(record.map(\.sequence) == [1, 2, 3])
    #expect(record[0].fields == ["n": 1])
    #expect(record[1].fields == [SessionEvent.damaged: true])
    #expect(record[2].fields == [SessionEvent.damaged: true])
    #expect(try await second.sessions.session(SessionID("a"), tenant: nil)?.variables == [:])
    await second.close()
  }

  // MARK: A slow disk

  @Test func aFullQueueDropsCountsAndGoesOn() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let store = try await DatabaseStores.sqlite(path: path, nowMs: 1, queueLimit: 10, logger: quiet)
    // Somebody else holds the database: nothing can be committed meanwhile.
    let holder = try DatabaseQueue(path: path)
    let (held, holding) = AsyncStream<Void>.makeStream()
    let gate = DispatchSemaphore(value: 0)
    let other = Task.detached {
      try await holder.writeWithoutTransaction { database in
        try database.execute(sql: "BEGIN IMMEDIATE")
        holding.finish()
        gate.wait()
        try database.execute(sql: "ROLLBACK")
      }
    }
    for await _ in held {}
    for i in 1...100 { store.sessions.append(event(i, session: "a")) }
    let lost = store.sessions.lostWrites
    #expect(lost == 90, "ten wait, those on their way to the disk among them")
    gate.signal()
    try await other.value
    await store.sessions.flush()
    let record = try await store.sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 1000).map(\.sequence)
    #expect(record.count + lost == 100)
    #expect(record == record.sorted())
    #expect(record.first == 1, "the oldest are kept, and the numbers show the hole")
    store.sessions.append(event(101, session: "a"))
    await store.sessions.flush()
    #expect(try await store.sessions.events(of: SessionID("a"), tenant: nil, after: 100, limit: 10).count == 1)
    #expect(store.sessions.lostWrites == lost)
    try holder.close()
    await store.close()
  }
}
