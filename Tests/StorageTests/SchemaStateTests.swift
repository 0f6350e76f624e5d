import Base
import FoundationEssentials
import GRDB
import ScriptedServers
import Storage
import Testing

/// Whether a database has this version's schema, and the wait for it.
@Suite struct SchemaStateTests {
  private func at(_ seconds: Int) -> Instant { .zero + .seconds(seconds) }

  @Test func aFileIsLookedAtAndNotMade() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    guard case .behind(let all) = try await DatabaseStores.schema(sqlite: path, postgres: nil) else {
      Issue.record("a database that is not there lacks something")
      return
    }
    #expect(all.first == "1 record of sessions" && all.count > 5)
    #expect(!FileManager.default.fileExists(atPath: folder.path))
    // Also beside the gateway that owns it.
    let stores = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    #expect(try await DatabaseStores.schema(sqlite: path, postgres: nil) == .current)
    await stores.close()
    let queue = try DatabaseQueue(path: path)
    try await queue.write { try $0.execute(sql: "DELETE FROM schema_steps WHERE name = ?", arguments: [all.last]) }
    #expect(try await DatabaseStores.schema(sqlite: path, postgres: nil) == .behind([try #require(all.last)]))
    try await queue.write { try $0.execute(sql: "INSERT INTO schema_steps VALUES ('99 tomorrow', 'x', 1)") }
    guard case .foreign(let sentence) = try await DatabaseStores.schema(sqlite: path, postgres: nil) else {
      Issue.record("a newer schema is another's")
      return
    }
    #expect(sentence.contains("newer version") && sentence.contains("99 tomorrow"))
    try queue.close()
  }

  /// A user who may not make tables can serve where nothing is missing.
  @Test func aUserWithoutTheRightToMakeTablesServesOnACurrentSchema() async throws {
    let server = try PostgresServer.running()
    let url = try server.makeDatabase()
    let name = try #require(url.firstMatch(of: /localhost\/(\w+)/)?.output.1)
    let clerk = "clerk_\(name)"
    try server.tool(
      """
      psql -qd \(name) -c 'CREATE ROLE \(clerk) LOGIN' -c 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'
      """)
    let asClerk = url.replacing("parley@", with: "\(clerk)@")
    guard case .behind = try await DatabaseStores.schema(sqlite: nil, postgres: asClerk) else {
      Issue.record("an empty database lacks something")
      return
    }
    let refused = await #expect(throws: StorageError.self) {
      try await DatabaseStores.migrate(sqlite: nil, postgres: asClerk, isDryRun: false, nowMs: 1)
    }
    #expect(refused?.description.contains("permission denied") == true)
    _ = try await DatabaseStores.migrate(sqlite: nil, postgres: url, isDryRun: false, nowMs: 1)
    try server.tool(
      "psql -qd \(name) -c 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \(clerk)'")
    #expect(try await DatabaseStores.schema(sqlite: nil, postgres: asClerk) == .current)
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let stores = try await DatabaseStores.postgres(
      url: asClerk, documentsPath: folder.path + "/documents.db", nowMs: 2, logger: quiet)
    #expect(stores.trouble() == nil)
    await stores.close()
  }

  // MARK: Waiting

  @Test func whatIsWaitedForIsSaidEveryTenSeconds() {
    var wait = SchemaWait(limit: .seconds(300), at: at(0))
    var said: [(second: Int, sentence: String)] = []
    for second in 0..<40 {
      let sight: SchemaWait.Sight =
        second < 15 ? .unreachable("the database does not answer") : .seen(.behind(["7 sharing"]))
      guard case .wait(let sentence) = wait.receive(sight, at: at(second)) else {
        Issue.record("the wait ended after \(second) s")
        return
      }
      if let sentence { said.append((second, sentence)) }
    }
    #expect(said.map(\.second) == [0, 10, 20, 30])
    #expect(said[1].sentence == "the database does not answer (10 s of 300 s)")
    #expect(said[2].sentence == "the database lacks the step `7 sharing` of this version's schema (20 s of 300 s)")
    let end = wait.receive(.seen(.current), at: at(41))
    #expect(end == .done)
  }

  @Test func aNewerSchemaIsNotWaitedFor() {
    var wait = SchemaWait(limit: .seconds(300), at: at(0))
    let step = wait.receive(.seen(.foreign("made by a newer version")), at: at(1))
    #expect(step == .failed("made by a newer version"))
  }

  @Test func theWaitEndsWithWhatWasMissing() {
    var wait = SchemaWait(limit: .seconds(5), at: at(0))
    _ = wait.receive(.seen(.behind(["1 a", "2 b"])), at: at(0))
    let step = wait.receive(.seen(.behind(["1 a", "2 b"])), at: at(5))
    #expect(
      step == .failed("the database lacks 2 steps of this version's schema, from `1 a` on; it was waited for 5 s"))
    // Without time there is one look.
    var look = SchemaWait(limit: .zero, at: at(0))
    let first = look.receive(.unreachable("nobody answers"), at: at(0))
    #expect(first == .failed("nobody answers; it was waited for 0 s"))
  }
}
