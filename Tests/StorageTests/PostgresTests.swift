import Base
import ScriptedServers
import Settings
import Storage
import Testing

/// What is PostgreSQL's own: types, conflicts, several processes, and what is said when there is none.
@Suite struct PostgresTests {
  private func database() throws -> PostgresDatabase {
    PostgresDatabase(url: try PostgresServer.running().makeDatabase())
  }

  @Test(arguments: [Backend.sqlite, .postgres])
  func valuesComeBackAsTheyWere(backend: Backend) async throws {
    let stores = try await backend.open()
    _ = try await stores.database.alone { database in
      try database.run(
        "CREATE TABLE things (id BIGINT, t TEXT, r DOUBLE PRECISION, b \(database.dialect.bytes), n TEXT, k \(database.dialect.counter))"
      )
    }
    let values: [(String, SQLValue)] = [
      ("id", .int(Int64.min)), ("t", .text("naïve ? 'x' \u{1F600} \\ \"")), ("r", .real(0.1)),
      ("b", .bytes([0, 1, 0xFF, 0x27, 0x5C])), ("n", .null),
    ]
    _ = try await stores.database.write { database in
      try database.run("INSERT INTO things (id, t, r, b, n) VALUES (?, ?, ?, ?, ?)", values.map(\.1))
    }
    let row = try #require(
      try await stores.database.read { try $0.row("SELECT *, '?' AS q FROM things WHERE t = ?", [values[1].1]) })
    for (name, value) in values { #expect(row[name] == value, "\(name)") }
    #expect(row["q"] == .text("?"), "a question mark in a text is one")
    #expect(try row.int("k") == 1)
    let sums = try await stores.database.read {
      try $0.row("SELECT COUNT(*) AS n, SUM(id) AS s, MAX(r) AS r FROM things")
    }
    #expect(try sums?.int("n") == 1 && sums?.int("s") == Int64.min && sums?.real("r") == 0.1)
    await stores.close()
  }

  @Test func aTextWithAZeroCostsNoRow() async throws {
    let stores = try await Backend.postgres.open()
    var call = summary("s", startedAtMs: 1)
    call.callerID = "a\0b"
    stores.sessions.put(call)
    await stores.sessions.flush()
    #expect(try await stores.sessions.session(SessionID("s"), tenant: nil)?.callerID == "a\u{FFFD}b")
    #expect(stores.sessions.lostWrites == 0)
    await stores.close()
  }

  @Test func changesThatMeetAreMadeOneAfterTheOther() async throws {
    let database = try database()
    try await database.alone { database in
      try database.run("CREATE TABLE counters (n BIGINT)")
      try database.run("INSERT INTO counters VALUES (0)")
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 1...40 {
        group.addTask {
          try await database.write { database in
            let n = try database.row("SELECT n FROM counters")?.int("n") ?? 0
            try database.run("UPDATE counters SET n = ?", [.int(n + 1)])
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await database.read { try $0.row("SELECT n FROM counters")?.int("n") } == 40)
  }

  @Test func aChangeThatFailsIsUndoneAndTheConnectionGoesOn() async throws {
    let database = try database()
    _ = try await database.alone { try $0.run("CREATE TABLE names (name TEXT PRIMARY KEY NOT NULL)") }
    let error = await #expect(throws: StorageError.self) {
      try await database.write { database in
        try database.run("INSERT INTO names VALUES ('a')")
        try database.run("INSERT INTO names VALUES ('a')")
      }
    }
    #expect(error?.code == .writeFailed)
    #expect(try await database.read { try $0.rows("SELECT name FROM names").count } == 0)
    let read = await #expect(throws: StorageError.self) {
      try await database.read { _ = try $0.run("INSERT INTO names VALUES ('a')") }
    }
    #expect(read != nil, "a question changes nothing")
  }

  @Test func aServerThatIsNotThereIsOneSentenceWithoutThePassword() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let error = await #expect(throws: StorageError.self) {
      _ = try await DatabaseStores.postgres(
        url: "postgres://ann:hunter22@127.0.0.1:1/parley?sslmode=disable", documentsPath: folder.path + "/d.db",
        nowMs: 1, logger: quiet)
    }
    let text = error?.description ?? ""
    #expect(error?.code == .cannotOpen)
    #expect(text.hasPrefix("the database postgres://127.0.0.1:1/parley cannot be opened: "), "\(text)")
    #expect(text.contains("Connection refused") && !text.contains("hunter22") && !text.contains("\n"), "\(text)")
  }

  // MARK: Several processes

  @Test func sessionsOfALivingProcessAreNotEnded() async throws {
    let server = try PostgresServer.running()
    let url = try server.makeDatabase()
    let folder = TemporaryFolder()
    defer { folder.remove() }
    func open(_ name: String) async throws -> DatabaseStores {
      try await DatabaseStores.postgres(
        url: url, documentsPath: "\(folder.path)/\(name).db", nowMs: 1, logger: quiet)
    }
    let first = try await open("first")
    first.sessions.put(summary("a", startedAtMs: 1))
    await first.sessions.flush()
    let second = try await open("second")
    #expect(try await second.sessions.openSessions().map(\.session.value) == ["a"])
    await first.close()
    await second.close()
  }

  @Test func whatOneProcessChangesTheOtherHears() async throws {
    let url = try PostgresServer.running().makeDatabase()
    let folder = TemporaryFolder()
    defer { folder.remove() }
    func open(_ name: String) async throws -> DatabaseStores {
      try await DatabaseStores.postgres(
        url: url, documentsPath: "\(folder.path)/\(name).db", nowMs: 1, logger: quiet)
    }
    let first = try await open("first"), second = try await open("second")
    var changes = second.dialogs.changes().makeAsyncIterator()
    _ = try await first.numbers.put("100", tenant: "a", dialog: "menu", description: "", nowMs: 1)
    let draft = DialogDraft(dialog: "menu", source: "x", origin: .api)
    _ = try await first.dialogs.scoped(to: "a").keep([draft], publish: true, expecting: nil, nowMs: 1)
    #expect(await changes.next() != nil)
    // Numbers are read in the same look, before or after: all of it is done when the next look finds something.
    _ = try await first.dialogs.scoped(to: "b").keep([draft], publish: true, expecting: nil, nowMs: 1)
    #expect(await changes.next() != nil)
    #expect(second.numbers.destination(of: "100")?.dialog == "menu")
    await first.close()
    await second.close()
  }

  /// Every process streams the calls of all, in the one order of the log.
  @Test(arguments: [false, true])
  func whatHappensInOneProcessStreamsFromTheOther(hasRedis: Bool) async throws {
    let url = try PostgresServer.running().makeDatabase()
    let redis = hasRedis ? try RedisServer.makeDatabase() : nil
    let client = try redis.map { try redisClient($0) }
    let folder = TemporaryFolder()
    defer { folder.remove() }
    func open(_ name: String) async throws -> DatabaseStores {
      let bell = try client.map { RedisBell($0, database: try RedisAddress(redis ?? "").database) }
      return try await DatabaseStores.postgres(
        url: url, documentsPath: "\(folder.path)/\(name).db", nowMs: 1, bell: bell, logger: quiet)
    }
    let first = try await open("first"), second = try await open("second")
    let streams = [first, second].map { $0.sessions.subscribe(bufferLimit: 10_000) }
    await withTaskGroup(of: Void.self) { group in
      for (name, stores) in [("a", first), ("b", second)] {
        group.addTask {
          for i in 1...300 {
            stores.sessions.append(event(i, session: name))
            if i % 10 == 0 { await stores.sessions.flush() }
          }
        }
      }
    }
    var seen: [[String]] = []
    for stream in streams {
      var events: [String] = []
      for await event in stream {
        events.append(event.eventID)
        if events.count == 600 { break }
      }
      seen.append(events)
    }
    #expect(seen[0] == seen[1] && Set(seen[0]).count == 600)
    #expect(try await second.sessions.events(tenant: nil, after: nil, limit: 1_000).map(\.eventID) == seen[0])
    await first.close()
    await second.close()
    await client?.close()
  }

  @Test func aBellIsHeardByTheOthers() async throws {
    let url = try RedisServer.makeDatabase()
    let database = try RedisAddress(url).database
    let clients = try (0..<2).map { _ in try redisClient(url) }
    let bells = clients.map { RedisBell($0, database: database) }
    let (rings, continuation) = AsyncStream<Void>.makeStream()
    bells[1].listen { continuation.yield() }
    var heard = rings.makeAsyncIterator()
    // Once when it begins to listen, and once for the ring.
    #expect(await heard.next() != nil)
    bells[0].ring()
    #expect(await heard.next() != nil)
    for bell in bells { await bell.close() }
    for client in clients { await client.close() }
  }

  /// Writers of several processes: a reader that goes on after what it has seen misses nothing.
  @Test func theLogHasOneOrderForAllProcesses() async throws {
    let url = try PostgresServer.running().makeDatabase()
    _ = try await DatabaseStores.migrate(sqlite: nil, postgres: url, isDryRun: false, nowMs: 1)
    let writers = (0..<4).map { SQLSessionStore(PostgresDatabase(url: url), instance: "\($0)", logger: quiet) }
    let reader = SQLSessionStore(PostgresDatabase(url: url), logger: quiet)
    let total = 4 * 500
    // Says that something was committed; ends when everything is.
    let (commits, committed) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    async let seen: [String] = {
      var seen: [String] = []
      func readOn() async throws {
        while true {
          let page = try await reader.events(tenant: nil, after: seen.last, limit: 100)
          seen += page.map(\.eventID)
          if page.isEmpty { return }
        }
      }
      for await _ in commits { try await readOn() }
      try await readOn()
      return seen
    }()
    await withTaskGroup(of: Void.self) { group in
      for (number, writer) in writers.enumerated() {
        group.addTask {
          for i in 1...500 {
            writer.append(event(i, session: "w\(number)"))
            guard i % 7 == 0 || i == 500 else { continue }
            await writer.flush()
            committed.yield()
          }
        }
      }
    }
    committed.finish()
    let all = try await seen
    #expect(all.count == total && Set(all).count == total)
    for writer in writers {
      #expect(writer.lostWrites == 0)
      await writer.close()
    }
  }
}
