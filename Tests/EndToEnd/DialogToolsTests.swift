import Foundation
import Testing

/// `parley dialog test`, `graph`, `explore` and `parley replay` as people run them.
@Suite(.serialized) struct DialogToolsTests {
  private static let dialog = """
    name: door
    states:
      start:
        on_enter: [{ action: play_tts, text: "Who is there?" }]
        listen: { hints: [postman] }
        transitions:
          - { event: speech, when: "transcript == 'postman'", target: in }
          - { event: dtmf, digits: "9", target: broken }
          - { event: no_input, target: in }
          - { event: no_match, target: in }
      in: { on_enter: [{ action: play_tts, text: "Come in." }], terminal: true }
      broken: { on_enter: [{ action: set_variable, n: "1 / 0 * len(caller_id)" }], terminal: true }
    variables: { n: 0 }
    """

  private func folder(_ files: [String: String]) throws -> String {
    let folder = try Tools.temporaryFolder()
    for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
    return folder
  }

  /// Every command of docs/dialogs/testing.md, after a real call that `replay` can look at.
  @Test func theGuidesCommandsWork() throws {
    let gateway = try Gateway()
    _ = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    let call = try gateway.lastCall()
    let folder = try Tools.temporaryFolder()
    try FileManager.default.createSymbolicLink(
      atPath: "\(folder)/examples", withDestinationPath: "\(Tools.root)/examples")
    let guide = try String(contentsOfFile: "\(Tools.root)/docs/dialogs/testing.md", encoding: .utf8)
    let commands = guide.split(separator: "\n").filter { $0.hasPrefix("$ parley ") }
    #expect(commands.count >= 10)
    for command in commands {
      let line = command.replacingOccurrences(of: "01K9ZC7M5S3QK3W1T0V6B8XJ4N", with: call.id)
        .replacingOccurrences(of: "/etc/voice-gateway/config.yaml", with: "\(gateway.folder)/config.yaml")
      let result = try Tools.run(
        Tools.parley, line.split(separator: " ").dropFirst(2).map(String.init), in: folder,
        environment: ["VG_STORAGE_DATABASE": "sqlite://\(gateway.folder)/parley.db"])
      #expect(result.status == 0, "\(line): \(result.output)\(result.errors)")
      #expect(!result.output.isEmpty || line.contains("--output"), "\(line) printed nothing")
    }
    let svg = try String(contentsOfFile: "\(folder)/helpdesk.svg", encoding: .utf8)
    #expect(svg.contains("<svg") && svg.contains("password"))
    #expect(try String(contentsOfFile: "\(folder)/results.xml", encoding: .utf8).contains("<testsuites"))
    // What became of the call is a test that passes.
    let test = try Tools.run(
      Tools.parley, ["dialog", "test", "session.test.yaml", "--dialogs", "examples/dialogs"], in: folder)
    #expect(test.status == 0 && test.output.contains("ok 1 - session \(call.id)"), "\(test.output)\(test.errors)")
  }

  @Test func aChangedDialogIsADifferentCall() throws {
    let gateway = try Gateway(dialogs: ["door.yaml": Self.dialog])
    _ = try Tools.parleyJSON(["call", gateway.uri("door"), "--dtmf", "9", "--hangup", "--deaf"])
    let call = try gateway.lastCall()
    let environment = ["VG_STORAGE_DATABASE": "sqlite://\(gateway.folder)/parley.db"]
    let same = try Tools.run(Tools.parley, ["replay", call.id], environment: environment)
    #expect(same.status == 0 && same.output.contains("identical"), "\(same.output)\(same.errors)")
    let folder = try folder(["door.yaml": Self.dialog.replacingOccurrences(of: "Who is there?", with: "Who's there?")])
    let changed = try Tools.run(
      Tools.parley, ["replay", call.id, "--dialog", "\(folder)/door.yaml"], environment: environment)
    #expect(changed.status == 3, "\(changed.output)\(changed.errors)")
    #expect(changed.output.contains("first difference at line") && changed.output.contains("Who's there?"))
  }

  @Test func failuresAndMistakesHaveTheirExitStatus() throws {
    let folder = try folder([
      "door.yaml": Self.dialog,
      "door.test.yaml": """
      cases:
        - { name: opens, steps: [{ say: postman }, { heard: Come in }] }
        - { name: "stays <shut>", steps: [{ say: postman }, { heard: Go away }] }
      """,
      "wrong.test.yaml": "dialog: door\ncases: [{ name: a, steps: [{ state: strat }] }]\n",
    ])
    let failed = try Tools.run(
      Tools.parley, ["dialog", "test", "door.test.yaml", "--coverage", "--junit", "out.xml"], in: folder)
    #expect(failed.status == 3, "\(failed.errors)")
    #expect(failed.output.contains("ok 1 - opens\nnot ok 2 - stays <shut>"), "\(failed.output)")
    #expect(failed.output.contains("- expected: \"Go away\"\n    + heard: Come in."), "\(failed.output)")
    #expect(failed.output.contains("# door.yaml:8:") || failed.output.contains("./door.yaml:8:"), "\(failed.output)")
    #expect(
      failed.output.contains("never taken: start -[dtmf]-> broken") && failed.output.contains("# 1 passed, 1 failed"))
    #expect(try String(contentsOfFile: "\(folder)/out.xml", encoding: .utf8).contains("name=\"stays &lt;shut&gt;\""))
    let filtered = try Tools.run(
      Tools.parley, ["dialog", "test", "door.test.yaml", "--filter", "OPENS", "--repeat", "100"], in: folder)
    #expect(filtered.status == 0 && filtered.output.contains("1..1"), "\(filtered.output)")
    let wrong = try Tools.run(Tools.parley, ["dialog", "test", folder], in: folder)
    #expect(wrong.status == 1 && wrong.errors.contains("T009") && wrong.errors.contains("did you mean `start`?"))
    let found = try Tools.run(Tools.parley, ["dialog", "explore", "door.yaml", "--sessions", "20"], in: folder)
    #expect(found.status == 3 && found.output.contains("error expression in `broken`"), "\(found.output)")
    let nothing = try Tools.run(Tools.parley, ["replay", "nothing.jsonl"], in: folder)
    #expect(nothing.status == 1 && nothing.errors.contains("there is no file nothing.jsonl"), "\(nothing.errors)")
    #expect(try Tools.run(Tools.parley, ["replay"], in: folder).status == 2)
  }
}
