import Base
import FoundationEssentials
import ScriptedServers
import Storage
import TestKit
import Testing

/// The commands of docs/storage.md bring everything back.
@Suite struct BackupTests {
  /// Those that back up and restore, in the order of the page.
  private static func commands(_ word: String) throws -> [String] {
    var folder = URL(filePath: #filePath)
    for _ in 1...3 { folder.deleteLastPathComponent() }
    let page = try String(contentsOf: folder.appending(path: "docs/storage.md"), encoding: .utf8)
    return DocumentedPage(page).blocks.filter { $0.language == "console" }.flatMap { $0.commands.map(\.command) }
      .filter { $0.contains(word) }
  }

  private func fill(_ stores: DatabaseStores) async throws {
    stores.sessions.append(event(1, session: "a"))
    stores.sessions.put(summary("a", startedAtMs: 1))
    await stores.sessions.flush()
    _ = try await stores.numbers.put("1", tenant: "a", dialog: "menu", description: "", nowMs: 1)
  }

  private func expectWhole(_ stores: DatabaseStores) async throws {
    #expect(try await stores.sessions.events(tenant: nil, after: nil, limit: 9).first == event(1, session: "a"))
    #expect(stores.numbers.destination(of: "1")?.dialog == "menu")
    #expect(stores.numbers.destination(of: "2") == nil, "what came after the backup is gone")
    // The counters go on behind what was restored.
    stores.sessions.append(event(2, session: "a"))
    await stores.sessions.flush()
    #expect(stores.sessions.lostWrites == 0)
  }

  @Test func aSQLiteFileComesBack() async throws {
    let data = TemporaryFolder(), backup = TemporaryFolder()
    defer {
      data.remove()
      backup.remove()
    }
    try FileManager.default.createDirectory(atPath: backup.path, withIntermediateDirectories: true)
    func open() async throws -> DatabaseStores {
      try await DatabaseStores.sqlite(path: data.path + "/parley.db", nowMs: 1, openSessions: .keep, logger: quiet)
    }
    let commands = try Self.commands("$DATA/")
    try #require(commands.count == 3)
    let shell = try PostgresServer.running()
    func run(_ command: String) throws {
      try shell.tool("export DATA='\(data.path)' BACKUP='\(backup.path)'; \(command)")
    }
    var stores = try await open()
    try await fill(stores)
    try run(commands[0])
    _ = try await stores.numbers.put("2", tenant: "a", dialog: "menu", description: "", nowMs: 1)
    await stores.close()
    for command in commands[1...] { try run(command) }
    stores = try await open()
    try await expectWhole(stores)
    await stores.close()
  }

  @Test func aPostgresDatabaseComesBack() async throws {
    let server = try PostgresServer.running()
    let url = try server.makeDatabase()
    let folder = TemporaryFolder()
    defer { folder.remove() }
    func open() async throws -> DatabaseStores {
      try await DatabaseStores.postgres(url: url, documentsPath: folder.path + "/documents.db", nowMs: 1, logger: quiet)
    }
    let commands = try Self.commands("$DATABASE")
    try #require(commands.count == 2)
    func run(_ command: String) throws {
      try server.tool("export DATABASE='\(url)' BACKUP='\(folder.path)'; \(command)")
    }
    var stores = try await open()
    try await fill(stores)
    try run(commands[0])
    _ = try await stores.numbers.put("2", tenant: "a", dialog: "menu", description: "", nowMs: 1)
    await stores.close()
    try run(commands[1])
    stores = try await open()
    try await expectWhole(stores)
    await stores.close()
  }
}
