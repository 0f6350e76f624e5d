import Foundation
import Testing

/// Dialogs change under a gateway that serves, and every call knows which text it ran.
@Suite struct ReloadTests {
  private func dialog(_ reason: String) -> String {
    """
    name: versioned
    states:
      start:
        on_enter:
          - action: hangup
            reason: \(reason)
        terminal: true
    """
  }

  /// Looks at what the API says of the dialog until it fits.
  private func wait(_ gateway: Gateway, _ isMet: ([String: Any]) -> Bool) throws {
    // Each look takes as long as curl does: some twenty seconds in all.
    for _ in 0..<1_000 { if try isMet(gateway.json("/v1/dialogs/versioned")) { return } }
    Issue.record("the API never says so: \(try gateway.json("/v1/dialogs/versioned")) \(gateway.errors)")
  }

  /// Calls the dialog; returns its `place`th call as the API shows it.
  private func call(_ gateway: Gateway, _ place: Int) throws -> [String: Any] {
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("versioned"), "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    let ends = try gateway.terminations(place)
    let id = try #require(ends.last?["session_id"] as? String)
    return try gateway.json("/v1/calls/\(id)")
  }

  @Test func callsAreServedByTheTextOfTheirTime() throws {
    let gateway = try Gateway(dialogs: ["versioned.yaml": dialog("normal")])
    let file = URL(fileURLWithPath: "\(gateway.folder)/dialogs/versioned.yaml")
    let first = try call(gateway, 1)
    #expect(first["dialog_number"] as? Int == 1)

    try Data(dialog("busy").utf8).write(to: file)
    try wait(gateway) { $0["number"] as? Int == 2 }
    let second = try call(gateway, 2)
    #expect(second["dialog_number"] as? Int == 2)
    #expect(second["dialog_digest"] as? String != first["dialog_digest"] as? String)

    // A mistake changes nothing but what the API says. Who asks need not wait for two looks.
    try Data("name: versioned\nstates:\n  start: { on_entry: [] }\n".utf8).write(to: file)
    kill(gateway.pid, SIGHUP)
    try wait(gateway) { $0["status"] as? String == "broken" }
    let third = try call(gateway, 3)
    #expect(third["dialog_digest"] as? String == second["dialog_digest"] as? String)
    #expect(try gateway.metric("vg_dialogs{state=\"broken\"}") == 1)

    let back = try gateway.api("POST", "/v1/dialogs/versioned/rollback", body: "{}")
    #expect(back.status == 200, "\(back.text)")
    try wait(gateway) { $0["number"] as? Int == 1 }

    // The text of the second call is in no file any more, and yet it can be replayed.
    let replay = try Tools.run(
      Tools.parley, ["replay", try #require(second["id"] as? String)],
      environment: ["VG_STORAGE_DATABASE": "sqlite://\(gateway.folder)/parley.db"])
    #expect(replay.status == 0, "\(replay.output) \(replay.errors)")
    #expect(replay.output.contains("identical"))
  }
}
