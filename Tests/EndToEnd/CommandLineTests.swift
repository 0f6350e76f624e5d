import Foundation
import Testing

/// What goes wrong before the first call is one clear sentence on stderr and exit status 1.
@Suite(.serialized) struct CommandLineTests {
  private func serve(_ configuration: String, environment: [String: String] = [:]) throws -> ToolResult {
    let folder = try Tools.temporaryFolder()
    try Data(configuration.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.yaml"))
    let base = [
      "VG_MEDIA_SIP_PORT": "0", "VG_MEDIA_LISTEN_ADDRESS": "127.0.0.1", "VG_INTEGRATION_API_PORT": "0",
      "VG_OBSERVABILITY_METRICS_PORT": "0", "VG_STORAGE_DATABASE": "sqlite://\(folder)/parley.db",
      "VG_RUNTIME_DIALOG_DIR": "\(Tools.root)/examples/dialogs",
    ]
    return try Tools.run(
      Tools.parley, ["serve", "--config", "\(folder)/config.yaml"], environment: base.merging(environment) { $1 },
      limit: 20)
  }

  private func expectOneSentence(_ result: ToolResult, _ words: String...) {
    #expect(result.status == 1, "\(result.status): \(result.errors)")
    let errors = result.errors.split(separator: "\n").filter { $0.contains("error:") }
    #expect(errors.count == 1, "\(result.errors)")
    for word in words { #expect(result.errors.contains(word), "\(word) is not in: \(result.errors)") }
  }

  @Test func aWrongKeyNamesThePlaceAndTheNearestKey() throws {
    expectOneSentence(try serve("media:\n  sip_prt: 5060\n"), "sip_prt", "sip_port", ":2:3")
  }

  @Test func aPortInUseIsNamed() throws {
    let gateway = try Gateway()
    expectOneSentence(try serve("", environment: ["VG_MEDIA_SIP_PORT": "\(gateway.sipPort)"]), "\(gateway.sipPort)")
    expectOneSentence(
      try serve("", environment: ["VG_INTEGRATION_API_PORT": "\(gateway.apiPort)"]), "\(gateway.apiPort)")
  }

  @Test func aMissingModelIsNamed() throws {
    expectOneSentence(try serve("speech:\n  model_dir: /nowhere/models\n"), "/nowhere/models")
  }

  @Test func aMissingConfigurationIsNamed() throws {
    let result = try Tools.run(Tools.parley, ["serve", "--config", "/nowhere/config.yaml"], limit: 20)
    expectOneSentence(result, "/nowhere/config.yaml")
  }

  @Test func wrongUsageIsStatusTwo() throws {
    #expect(try Tools.run(Tools.parley, ["call"]).status == 2)
    #expect(try Tools.run(Tools.parley, ["no-such-command"]).status == 2)
  }

  @Test func theExamplesAreClean() throws {
    let result = try Tools.run(Tools.parley, ["dialog", "check", "\(Tools.root)/examples/dialogs"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  @Test func theReadmesDialogIsClean() throws {
    let readme = try String(contentsOfFile: "\(Tools.root)/README.md", encoding: .utf8)
    let block = try #require(
      readme.components(separatedBy: "```yaml\n").dropFirst().first?.components(separatedBy: "```").first)
    let file = try Tools.temporaryFolder() + "/echo.yaml"
    try Data(block.utf8).write(to: URL(fileURLWithPath: file))
    let check = try Tools.run(Tools.parley, ["dialog", "check", file])
    #expect(check.status == 0 && check.output.contains("0 errors, 0 warnings"), "\(check.output)\(check.errors)")
    let talk = try Tools.run(Tools.parley, ["dialog", "simulate", file], input: "yes\n")
    #expect(talk.output.contains("You said yes"), "\(talk.output)\(talk.errors)")
  }

  @Test func aDialogCanBeTriedInTheTerminal() throws {
    let result = try Tools.run(
      Tools.parley, ["dialog", "simulate", "\(Tools.root)/examples/dialogs/helpdesk.yaml"],
      input: "please reset my password\n")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("password"), "\(result.output)")
  }

  @Test func theDoctorFindsThisMachineWell() throws {
    let result = try Tools.run(Tools.parley, ["doctor"], limit: 30)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.lowercased().contains("silero"))
  }
}
