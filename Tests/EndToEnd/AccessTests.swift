import Foundation
import ScriptedServers
import Testing

/// Tokens and the audit log as people use them: on the command line, beside a gateway that runs.
@Suite(.serialized) struct AccessTests {
  private func parley(_ gateway: Gateway, _ arguments: String...) throws -> ToolResult {
    try Tools.run(
      Tools.parley, arguments,
      environment: [
        "VG_STORAGE_DATABASE": gateway.database, "VG_STORAGE_DATA_DIR": gateway.folder,
        "PARLEY_CONFIG": "\(gateway.folder)/config.yaml",
      ])
  }

  @Test(arguments: Database.allCases)
  func aTokenOfTheCommandLineOpensTheAPIOfItsTenantUntilItIsRevoked(database: Database) throws {
    let gateway = try Gateway(database: try database.address())
    let made = try parley(
      gateway, "token", "create", "board", "--role", "viewer", "--tenant", "acme", "--expires", "1h")
    #expect(made.status == 0, "\(made.errors)")
    let token = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(try gateway.api("GET", "/v1/calls", token: token).status == 200)
    #expect(try gateway.api("GET", "/v1/dialogs", token: token).text.contains("\"items\":[]"), "those are of `default`")
    #expect(try gateway.api("POST", "/v1/calls/x/hangup", body: "{}", token: token).status == 403)

    let list = try parley(gateway, "token", "list", "--tenant", "acme", "--json")
    let record = try #require(
      try JSONSerialization.jsonObject(with: Data(list.output.utf8)) as? [String: Any], "\(list.output)")
    #expect(!list.output.contains(token))
    let id = try #require(record["id"] as? String)
    #expect(try parley(gateway, "token", "revoke", id).status == 1, "of another tenant")
    #expect(try parley(gateway, "token", "revoke", id, "--tenant", "acme").status == 0)
    // The gateway may remember the token for a few seconds.
    var status = 200
    let end = Date().addingTimeInterval(30)
    while status == 200, Date() < end { status = try gateway.api("GET", "/v1/calls", token: token).status }
    #expect(status == 401)
    #expect(try parley(gateway, "token", "create", "x").status == 2, "no role")
    gateway.stop()
  }

  @Test(arguments: Database.allCases)
  func anAuditLogThatSomebodyWroteInIsFoundOut(database: Database) throws {
    let gateway = try Gateway(database: try database.address())
    for _ in 1...3 { _ = try gateway.api("POST", "/v1/calls/x/hangup", body: "{}") }
    _ = try gateway.api("GET", "/v1/calls", token: "wrong-token-0123456789")
    let listed = try gateway.api("GET", "/v1/audit")
    #expect(listed.text.contains("configuration") && listed.text.contains("denied"), "\(listed.text)")
    #expect(gateway.stop() == 0)
    let intact = try parley(gateway, "audit", "verify")
    #expect(intact.status == 0 && intact.output.contains("intact"), "\(intact.output)\(intact.errors)")

    let guards =
      switch database {
      case .sqlite: ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"]
      case .postgres: ["DROP TRIGGER audit_no_change ON audit"]
      }
    try database.run(guards, on: gateway)
    for (statement, word) in [
      ("UPDATE audit SET actor = 'nobody' WHERE sequence = 2", "changed"),
      ("DELETE FROM audit WHERE sequence = 3", "record 3: missing"),
      ("DELETE FROM audit WHERE sequence > 3", "missing at the end"),
    ] {
      try database.run([statement], on: gateway)
      let verdict = try parley(gateway, "audit", "verify")
      #expect(verdict.status == 3 && verdict.output.contains(word), "\(verdict.output)\(verdict.errors)")
    }
  }

  @Test func aDatabaseThatCannotBeOpenedIsOneSentence() throws {
    let empty = try PostgresServer.running().makeDatabase()
    for (database, word) in [
      ("memory:", "in memory"), ("sqlite:///nowhere/parley.db", "there is no database /nowhere/parley.db"),
      (empty, "start this version of the gateway once"),
      ("postgres://ann:hunter22@127.0.0.1:1/parley?sslmode=disable", "Connection refused"),
    ] {
      let result = try Tools.run(
        Tools.parley, ["token", "list"], environment: ["VG_STORAGE_DATABASE": database, "PARLEY_CONFIG": "/dev/null"])
      #expect(result.status == 1 && result.errors.contains(word), "\(result.errors)")
      #expect(
        result.errors.split(separator: "\n").count == 1 && !result.errors.contains("hunter22"), "\(result.errors)")
    }
  }
}
