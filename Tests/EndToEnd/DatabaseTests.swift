import Foundation
import ScriptedServers
import Testing

/// The whole gateway on PostgreSQL, and without it.
@Suite(.serialized) struct DatabaseTests {
  private func ready(_ gateway: Gateway) throws -> String {
    try Tools.run("curl", ["-s", "http://127.0.0.1:\(gateway.metricsPort)/readyz"]).output
  }

  @Test func aCallIsKeptInPostgresAndReplayed() throws {
    let gateway = try Gateway(database: try PostgresServer.running().makeDatabase())
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    // Reads the record back and makes the call again from it.
    #expect(try gateway.terminations(1).count == 1)
    #expect(try gateway.lastCall().states.contains("password"))
    let migrated = try Tools.run(
      Tools.parley, ["migrate", "--json"], environment: ["VG_STORAGE_DATABASE": gateway.database])
    #expect(migrated.output.contains("\"taken\":[]"), "\(migrated.output) \(migrated.errors)")
    #expect(gateway.stop() == 0)
  }

  /// What a pod does that starts beside the Job that migrates.
  @Test func theSchemaIsCheckedAndWaitedFor() throws {
    let server = try PostgresServer()
    let database = try server.makeDatabase()
    func migrate(_ arguments: String...) throws -> ToolResult {
      try Tools.run(Tools.parley, ["migrate"] + arguments, environment: ["VG_STORAGE_DATABASE": database])
    }
    let empty = try migrate("--check")
    #expect(empty.status == 1 && empty.output.isEmpty, "\(empty)")
    #expect(empty.errors.hasPrefix("error: the database lacks "), "\(empty)")
    #expect(empty.errors.split(separator: "\n").count == 1, "\(empty)")
    #expect(try server.tool("psql -d test1 -Atc \"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'\"") == "0")

    try server.crash()
    let waiting = Process(), errors = Pipe()
    waiting.executableURL = URL(fileURLWithPath: Tools.parley)
    waiting.arguments = ["migrate", "--wait", "5m"]
    waiting.environment = ProcessInfo.processInfo.environment.merging(["VG_STORAGE_DATABASE": database]) { $1 }
    waiting.standardError = errors
    waiting.standardOutput = FileHandle.nullDevice
    try waiting.run()
    defer { if waiting.isRunning { kill(waiting.processIdentifier, SIGKILL) } }
    let said = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
    #expect(said.contains("parley: waiting: the database does not answer"), "\(said)")
    try server.start()
    let steps = try migrate()
    #expect(steps.status == 0, "\(steps)")
    waiting.waitUntilExit()
    #expect(waiting.terminationStatus == 0)
    #expect(try migrate("--check").status == 0)
    #expect(try migrate("--check", "--json").output == "{\"current\":true,\"missing\":[]}\n")
    #expect(try migrate("--wait", "0s").status == 0)

    try server.tool("psql -qd test1 -c \"INSERT INTO schema_steps VALUES ('99 tomorrow', 'x', 1)\"")
    for arguments in [["--check"], ["--wait", "5m"]] {
      let newer = try Tools.run(
        Tools.parley, ["migrate"] + arguments, environment: ["VG_STORAGE_DATABASE": database])
      #expect(newer.status == 1 && newer.errors.contains("made by a newer version"), "\(newer)")
    }
    #expect(try migrate("--check", "--dry-run").status == 2)
  }

  @Test func callsGoOnWithoutTheDatabaseAndAreWrittenWhenItIsBack() throws {
    let server = try PostgresServer()
    let gateway = try Gateway(database: try server.makeDatabase())
    #expect(try gateway.api("GET", "/v1/calls").status == 200)
    try server.crash()
    let (result, json) = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(result.status == 0 && json["answered"] as? Bool == true, "\(result.errors) \(json)")
    let reason = try ready(gateway)
    #expect(reason.contains("database: the database does not answer"), "\(reason)")
    #expect(try gateway.api("GET", "/v1/calls").status == 503)
    #expect(try gateway.metric("vg_storage_writes_waiting") > 0)
    try server.start()
    let ended = try gateway.events("call_terminated")
    #expect(ended.count == 1, "\(gateway.errors)")
    #expect(try gateway.metric("vg_storage_writes_lost") == 0, "\(gateway.errors)")
    let states = try gateway.lastCall().states
    #expect(states.contains("password"), "\(states)")
    #expect(gateway.stop() == 0)
  }

  /// No file may grow any more: what SQLite meets on a disk without room.
  @Test func callsGoOnWhenFilesCannotGrowAndAreWrittenWhenTheyCan() throws {
    let gateway = try Gateway()
    func limitFiles(_ bytes: String) throws {
      let result = try Tools.run("prlimit", ["--pid", "\(gateway.pid)", "--fsize=\(bytes)"])
      #expect(result.status == 0, "\(result.errors)")
    }
    try limitFiles("4096:unlimited")
    let (result, json) = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(result.status == 0 && json["answered"] as? Bool == true, "\(result.errors) \(json)")
    let reason = try ready(gateway)
    #expect(reason.contains("database: the database cannot be written"), "\(reason)")
    #expect(try gateway.api("GET", "/v1/calls").status == 200, "what is on the disk can be read")
    #expect(try gateway.metric("vg_storage_writes_waiting") > 0)
    try limitFiles("unlimited")
    let ended = try gateway.events("call_terminated")
    #expect(ended.count == 1, "\(gateway.errors)")
    #expect(try gateway.metric("vg_storage_writes_lost") == 0, "\(gateway.errors)")
    let states = try gateway.lastCall().states
    #expect(states.contains("password"), "\(states)")
    #expect(gateway.stop() == 0)
  }
}
