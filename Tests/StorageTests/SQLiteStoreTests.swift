import Base
import FoundationEssentials
import Storage
import Testing

/// What only a store on disk can show: that the record outlives the process, and what is said when it cannot be opened.
@Suite struct SQLiteStoreTests {
  @Test func theRecordOutlivesTheProcess() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/deep/er/parley.db"
    let first = try SQLiteStore(path: path, nowMs: 1, logger: quiet)
    for i in 1...600 { first.append(event(i, session: "a")) }
    var call = summary("a", startedAtMs: 5)
    call.state = .ended
    call.endReason = "normal"
    first.put(call)
    await first.close()

    let second = try SQLiteStore(path: path, nowMs: 2, logger: quiet)
    #expect(try await second.events(of: SessionID("a"), after: 0, limit: 1000).count == 600)
    #expect(try await second.session(SessionID("a")) == call)
    second.append(event(601, session: "a"))
    await second.flush()
    #expect(try await second.events(after: event(600, session: "a").eventID, limit: 10).map(\.sequence) == [601])
    await second.close()
  }

  @Test func sessionsThatACrashLeftOpenAreEnded() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try SQLiteStore(path: path, nowMs: 1, logger: quiet)
    var call = summary("a", startedAtMs: 1000)
    call.answeredAtMs = 1001
    first.put(call)
    first.append(event(1, session: "a", type: "call_started"))
    first.append(event(2, session: "a", type: "speech_final"))
    first.put(summary("b", startedAtMs: 900))
    // "c" ended in its record, but its summary was not written any more.
    first.put(summary("c", startedAtMs: 800))
    var last = event(1, session: "c", type: "call_terminated")
    last.fields = ["reason": "caller"]
    first.append(last)
    await first.close()

    let second = try SQLiteStore(path: path, nowMs: 9000, logger: quiet)
    #expect(try await second.sessions(ended: false, limit: 10, cursor: nil).isEmpty)
    let ended = try await second.session(SessionID("a"))
    #expect(ended?.state == .ended)
    #expect(ended?.endReason == "error")
    #expect(ended?.endedAtMs == 1002, "the last sign of life")
    let record = try await second.events(of: SessionID("a"), after: 0, limit: 10)
    #expect(record.map(\.type) == ["call_started", "speech_final", "call_terminated"])
    #expect(record.map(\.sequence) == [1, 2, 3])
    #expect(record.last?.fields["reason"] == "error")
    #expect(try await second.session(SessionID("b"))?.endReason == "error")
    #expect(try await second.session(SessionID("c"))?.endReason == "caller")
    #expect(try await second.events(of: SessionID("c"), after: 0, limit: 10).count == 1)
    await second.close()
  }

  @Test func twoGatewaysCannotOwnOneDatabase() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try SQLiteStore(path: path, nowMs: 1, logger: quiet)
    let error = #expect(throws: StorageError.self) { try SQLiteStore(path: path, nowMs: 1, logger: quiet) }
    #expect(error?.code == .inUse)
    #expect(error?.description == "the database \(path) is in use by another gateway process")
    await first.close()
    let third = try SQLiteStore(path: path, nowMs: 1, logger: quiet)
    await third.close()
  }

  @Test func aFileThatIsNoDatabaseIsExplained() throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    try Data(String(repeating: "no database ", count: 500).utf8).write(to: URL(filePath: path))
    let error = #expect(throws: StorageError.self) { try SQLiteStore(path: path, nowMs: 1, logger: quiet) }
    #expect(error?.code == .cannotOpen)
    #expect(error?.description == "the database \(path) cannot be opened: file is not a database")
  }

  @Test func aFolderThatCannotBeMadeIsExplained() throws {
    let error = #expect(throws: StorageError.self) {
      try SQLiteStore(path: "/proc/nowhere/parley.db", nowMs: 1, logger: quiet)
    }
    #expect(error?.description.hasPrefix("the folder of the database /proc/nowhere/parley.db cannot be made") == true)
    #expect(error?.description.contains("\n") == false)
  }

  @Test func aWriteThatFailsTakesNoOtherWithIt() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let store = try SQLiteStore(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
    let stream = store.subscribe(bufferLimit: 10)
    store.append(event(1, session: "a"))
    store.append(event(1, session: "a"))
    store.append(event(2, session: "a"))
    await store.flush()
    #expect(store.lostWrites == 1)
    #expect(try await store.events(of: SessionID("a"), after: 0, limit: 10).map(\.sequence) == [1, 2])
    await store.close()
    var seen: [Int64] = []
    for await event in stream { seen.append(event.sequence) }
    #expect(seen == [1, 2])
  }

  @Test func whatComesAfterClosingIsCounted() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let store = try SQLiteStore(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
    await store.close()
    store.append(event(1, session: "a"))
    await store.flush()
    #expect(store.lostWrites == 1)
  }

  @Test func manyWritersKeepEachSessionsOrder() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let store = try SQLiteStore(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
    await withTaskGroup(of: Void.self) { group in
      for session in 0..<8 {
        group.addTask { for i in 1...400 { store.append(event(i, session: "s\(session)")) } }
      }
    }
    await store.flush()
    for session in 0..<8 {
      let events = try await store.events(of: SessionID("s\(session)"), after: 0, limit: 1000)
      #expect(events.map(\.sequence) == Array(1...400))
    }
    #expect(store.lostWrites == 0)
    await store.close()
  }
}
