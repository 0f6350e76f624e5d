import Base
import NIOConcurrencyHelpers
import ScriptedServers
import Storage
import Testing

/// The database takes nothing for a while: calls go on, and nothing is lost.
@Suite struct OutageTests {
  @Test func aFullDiskIsWaitedFor() async throws {
    let stores = try await Backend.sqlite.open()
    let store = stores.sessions
    store.append(event(1, session: "a"))
    await store.flush()
    try await stores.database.write { database in
      let pages = try database.row("PRAGMA page_count")?.int("page_count") ?? 0
      _ = try database.rows("PRAGMA max_page_count = \(pages + 20)")
    }
    let live = store.subscribe(bufferLimit: 10_000)
    for i in 2...3_000 { store.append(event(i, session: "a")) }
    await store.flush()
    #expect(store.trouble?.contains("no space left") == true, "\(store.trouble ?? "")")
    #expect(store.waitingWrites > 0)
    // What the API asks is answered all the same.
    #expect(try await store.events(of: SessionID("a"), tenant: nil, after: 0, limit: 1).count == 1)

    try await raise(stores.database)
    for await event in live where event.sequence == 3_000 { break }
    await store.flush()
    #expect(store.trouble == nil && store.waitingWrites == 0 && store.lostWrites == 0)
    #expect(try await sequences(store, "a") == Array(1...3_000))
    await stores.close()
  }

  @Test func whatWaitsIsBoundedAndTheRestIsCounted() async throws {
    let stores = try await Backend.sqlite.open(queueLimit: 100)
    let store = stores.sessions
    try await stores.database.write { database in
      let pages = try database.row("PRAGMA page_count")?.int("page_count") ?? 0
      _ = try database.rows("PRAGMA max_page_count = \(pages)")
    }
    var large = event(1, session: "a")
    large.fields = ["pad": .string(String(repeating: "x", count: 100_000))]
    let live = store.subscribe(bufferLimit: 10_000)
    store.append(large)
    await store.flush()
    #expect(store.trouble != nil)
    for i in 2...400 { store.append(event(i, session: "a")) }
    #expect(store.waitingWrites == 100)
    #expect(store.lostWrites == 300)
    // Summaries take the place of older ones, so they do not push events out.
    try await raise(stores.database)
    for await event in live where event.sequence == 100 { break }
    #expect(try await sequences(store, "a") == Array(1...100))
    await stores.close()
  }

  @Test func aStoreThatClosesGivesUpAfterAWhile() async throws {
    let stores = try await Backend.sqlite.open()
    try await stores.database.write { database in
      let pages = try database.row("PRAGMA page_count")?.int("page_count") ?? 0
      _ = try database.rows("PRAGMA max_page_count = \(pages)")
    }
    for i in 1...2_000 { stores.sessions.append(event(i, session: "a")) }
    await stores.close()
    #expect(stores.sessions.lostWrites > 0)
    #expect(stores.sessions.waitingWrites == 0)
  }

  /// The server dies under load and comes back, twice.
  @Test func aServerThatDiesIsWaitedFor() async throws {
    let server = try PostgresServer()
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let stores = try await DatabaseStores.postgres(
      url: try server.makeDatabase(), documentsPath: folder.path + "/documents.db", nowMs: 1, logger: quiet)
    let store = stores.sessions
    let live = store.subscribe(bufferLimit: 100_000)
    let rounds = 3, each = 400
    for round in 0..<rounds {
      await withTaskGroup(of: Void.self) { group in
        for session in 0..<6 {
          group.addTask {
            for i in 1...each {
              store.append(event(round * each + i, session: "s\(session)"))
              store.put(summary("s\(session)", startedAtMs: Int64(round * each + i)))
              if i % 50 == 0 { await Task.yield() }
            }
          }
        }
        if round < rounds - 1 {
          group.addTask { do { try server.crash() } catch { Issue.record("\(error)") } }
        }
      }
      if round < rounds - 1 {
        // A call that goes on meanwhile; its events find nobody.
        store.append(event(round + 1, session: "between"))
        await store.flush()
        #expect(stores.trouble()?.contains("the database does not answer") == true, "\(stores.trouble() ?? "")")
        await #expect(throws: StorageError.self) { _ = try await store.session(SessionID("s1"), tenant: nil) }
        try server.start()
      }
    }
    var seen: [String: [Int64]] = [:]
    for await event in live {
      seen[event.session.value, default: []].append(event.sequence)
      if seen.values.map(\.count).reduce(0, +) == 6 * rounds * each + rounds - 1 { break }
    }
    await store.flush()
    #expect(store.lostWrites == 0 && store.waitingWrites == 0)
    for session in 0..<6 {
      #expect(seen["s\(session)"] == (1...Int64(rounds * each)).map { $0 })
      #expect(try await sequences(store, "s\(session)") == Array(1...rounds * each))
      #expect(try await store.session(SessionID("s\(session)"), tenant: nil)?.startedAtMs == Int64(rounds * each))
    }
    await stores.close()
  }

  private func raise(_ database: any SQLDatabase) async throws {
    // The writer's connection has the limit; a transaction on it lifts it.
    try await database.write { _ = try $0.rows("PRAGMA max_page_count = 1000000") }
  }

  private func sequences(_ store: SQLSessionStore, _ session: String) async throws -> [Int] {
    var all: [Int] = []
    while true {
      let page = try await store.events(of: SessionID(session), tenant: nil, after: Int64(all.last ?? 0), limit: 1000)
      all += page.map { Int($0.sequence) }
      if page.count < 1000 { return all }
    }
  }
}
