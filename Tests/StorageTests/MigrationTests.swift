import Base
import FoundationEssentials
import GRDB
import ScriptedServers
import Storage
import Testing

/// Databases only move forward, and only along the steps that this version knows.
@Suite struct MigrationTests {
  /// The schema of the versions of November 2026, as they wrote it.
  private static let november = """
    CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
    INSERT INTO grdb_migrations VALUES ('1 record of sessions'), ('2 dialogs, snapshots, documents');
    CREATE TABLE events (
      place INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL,
      sequence INTEGER NOT NULL, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, dialog_name TEXT NOT NULL,
      tenant TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (session_id, sequence));
    CREATE TABLE sessions (
      session_id TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL, direction TEXT NOT NULL, caller_id TEXT NOT NULL,
      called_number TEXT NOT NULL, dialog_name TEXT NOT NULL, current_state TEXT NOT NULL, variables TEXT NOT NULL,
      started_at_ms INTEGER NOT NULL, answered_at_ms INTEGER, ended_at_ms INTEGER, end_reason TEXT,
      quality TEXT NOT NULL, latency TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX sessions_by_start ON sessions ((state = 'ended'), started_at_ms, session_id);
    ALTER TABLE sessions ADD COLUMN dialog_version TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN dialog_number INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN dialog_digest TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN outcome TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE snapshots (
      session_id TEXT PRIMARY KEY NOT NULL, sequence INTEGER NOT NULL, checksum INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE dialog_sources (digest TEXT PRIMARY KEY NOT NULL, source TEXT NOT NULL);
    CREATE TABLE dialog_versions (
      dialog TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, origin TEXT NOT NULL, author TEXT NOT NULL,
      note TEXT NOT NULL, created_at_ms INTEGER NOT NULL, published_at_ms INTEGER, PRIMARY KEY (dialog, number)
    ) WITHOUT ROWID;
    CREATE INDEX dialog_versions_by_digest ON dialog_versions (digest, created_at_ms);
    CREATE TABLE dialogs (
      name TEXT PRIMARY KEY NOT NULL, published INTEGER, held_digest TEXT NOT NULL DEFAULT '',
      file TEXT NOT NULL DEFAULT '', state TEXT, served INTEGER, label TEXT NOT NULL DEFAULT '',
      description TEXT NOT NULL DEFAULT '', language TEXT NOT NULL DEFAULT '',
      diagnostics TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;
    CREATE TABLE documents (name TEXT PRIMARY KEY NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE passages (
      id INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL);
    CREATE INDEX passages_by_document ON passages (document);
    CREATE VIRTUAL TABLE passage_index USING fts5(
      heading, text, content = 'passages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2');
    CREATE TABLE passage_vectors (
      passage INTEGER NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (passage, model)) WITHOUT ROWID;
    CREATE TRIGGER passage_added AFTER INSERT ON passages BEGIN
      INSERT INTO passage_index (rowid, heading, text) VALUES (new.id, new.heading, new.text);
    END;
    CREATE TRIGGER passage_removed AFTER DELETE ON passages BEGIN
      INSERT INTO passage_index (passage_index, rowid, heading, text) VALUES ('delete', old.id, old.heading, old.text);
      DELETE FROM passage_vectors WHERE passage = old.id;
    END;

    INSERT INTO events (event_id, session_id, sequence, type, timestamp_ms, dialog_name, tenant, fields)
    VALUES ('01E1', 's', 1, 'call_started', 5, 'menu', 'default', '{"n":1}');
    INSERT INTO sessions VALUES (
      's', 'ended', 'inbound', '1000', '2000', 'menu', 'bye', '{"k":"v"}', 5, 6, 7, 'caller', '{}', '{}', '1', 2, 'd', '{}');
    INSERT INTO dialog_sources VALUES ('d', 'name: menu');
    INSERT INTO dialog_versions VALUES ('menu', 2, 'd', 'api', 'ann', 'why', 3, 4);
    INSERT INTO dialogs (name, published) VALUES ('menu', 2);
    INSERT INTO documents VALUES ('faq', 'x');
    INSERT INTO passages (document, heading, text) VALUES ('faq', 'Hours', 'We open at nine.');
    """

  private func makeOld(_ folder: TemporaryFolder) throws -> String {
    try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    let path = folder.path + "/parley.db"
    let queue = try DatabaseQueue(path: path)
    try queue.write { try $0.execute(sql: Self.november) }
    try queue.close()
    return path
  }

  @Test func aDatabaseOfAnEarlierVersionMovesForward() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = try makeOld(folder)
    // The second time, the steps are known by their checksums.
    for _ in 1...2 {
      let stores = try await DatabaseStores.sqlite(path: path, nowMs: 9, logger: quiet)
      let call = try #require(try await stores.sessions.session(SessionID("s"), tenant: Tenant.standard))
      #expect(call.variables == ["k": "v"] && call.endReason == "caller" && call.dialogNumber == 2)
      let ended = SessionQuery(tenant: Tenant.standard, ended: true, limit: 10)
      #expect(try await stores.sessions.sessions(ended) == [call])
      #expect(
        try await stores.sessions.events(tenant: Tenant.standard, after: nil, limit: 9).map(\.eventID) == ["01E1"])
      let version = try await stores.dialogs.scoped(to: Tenant.standard).published()
      #expect(version.map(\.source) == ["name: menu"] && version.map(\.number) == [2])
      let answer = try await stores.documents.search("when do you open", vector: nil, documents: [], limit: 3)
      #expect(answer.passages.map(\.text) == ["We open at nine."])
      await stores.close()
    }
  }

  @Test func aDryRunSaysWhatItWouldDoAndDoesNothing() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = try makeOld(folder)
    func migrate(isDryRun: Bool) async throws -> MigrationReport {
      try await DatabaseStores.migrate(sqlite: path, postgres: nil, isDryRun: isDryRun, nowMs: 1)
    }
    let first = try await migrate(isDryRun: true)
    #expect(first.present == ["1 record of sessions", "2 dialogs, snapshots, documents"])
    #expect(first.taken.first == "3 tenants")
    #expect(try await migrate(isDryRun: true) == first)
    #expect(try await migrate(isDryRun: false).taken == first.taken)
    #expect(try await migrate(isDryRun: false).taken == [])
  }

  @Test(arguments: [Backend.sqlite, .postgres])
  func aDatabaseOfAnotherFutureIsRefused(backend: Backend) async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let url = backend == .postgres ? try PostgresServer.running().makeDatabase() : ""
    func open() async throws -> DatabaseStores {
      backend == .sqlite
        ? try await DatabaseStores.sqlite(path: folder.path + "/parley.db", nowMs: 1, logger: quiet)
        : try await DatabaseStores.postgres(
          url: url, documentsPath: folder.path + "/documents.db", nowMs: 1, logger: quiet)
    }
    var stores = try await open()
    _ = try await stores.database.write { database in
      try database.run("INSERT INTO schema_steps (name, checksum, taken_at_ms) VALUES ('99 future', 'x', 1)")
    }
    await stores.close()
    var error = await #expect(throws: StorageError.self) { _ = try await open() }
    #expect(error?.code == .cannotOpen)
    #expect(error?.description.contains("newer version") == true, "\(error?.description ?? "")")

    // Mended, then changed in a step that was taken.
    let mend = "DELETE FROM schema_steps WHERE name = '99 future'"
    let bend = "UPDATE schema_steps SET checksum = 'other' WHERE name = '3 tenants'"
    if backend == .sqlite {
      let queue = try DatabaseQueue(path: folder.path + "/parley.db")
      try await queue.write { try $0.execute(sql: mend + ";" + bend) }
      try queue.close()
    } else {
      try await PostgresDatabase(url: url).write { database in
        try database.run(mend)
        try database.run(bend)
      }
    }
    error = await #expect(throws: StorageError.self) { _ = try await open() }
    #expect(error?.description.contains("`3 tenants`") == true, "\(error?.description ?? "")")
    stores = try DatabaseStores.inMemory(logger: quiet)
  }

  @Test func manyProcessesMayStartAtOnceOnAnEmptyServer() async throws {
    let url = try PostgresServer.running().makeDatabase()
    try await withThrowingTaskGroup(of: MigrationReport.self) { group in
      for _ in 1...6 {
        group.addTask { try await DatabaseStores.migrate(sqlite: nil, postgres: url, isDryRun: false, nowMs: 1) }
      }
      var takers = 0
      for try await report in group where !report.taken.isEmpty { takers += 1 }
      #expect(takers == 1)
    }
  }
}
