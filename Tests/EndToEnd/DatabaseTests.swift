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
