import Foundation
import ScriptedServers
import Testing

/// What goes wrong before the first call is one clear sentence on stderr and exit status 1.
@Suite(.serialized) struct CommandLineTests {
  private func serve(
    _ configuration: String, environment: [String: String] = [:], arguments: [String] = []
  ) throws -> ToolResult {
    let folder = try Tools.temporaryFolder()
    try Data(configuration.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.yaml"))
    let base = [
      "VG_MEDIA_SIP_PORT": "0", "VG_MEDIA_LISTEN_ADDRESS": "127.0.0.1", "VG_INTEGRATION_API_PORT": "0",
      "VG_OBSERVABILITY_METRICS_PORT": "0", "VG_STORAGE_DATABASE": "sqlite://\(folder)/parley.db",
      "VG_RUNTIME_DIALOG_DIR": "\(Tools.root)/examples/dialogs",
    ]
    return try Tools.run(
      Tools.parley, ["serve", "--config", "\(folder)/config.yaml"] + arguments,
      environment: base.merging(environment) { $1 }, limit: 20)
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

  @Test func keysAboutOtherProcessesAreNamedWhereThereAreNone() throws {
    let configuration = "cluster:\n  speech: [\"speech:50051\"]\n  drain_handover_after: 3s\n"
    let words = "cluster.speech: without effect"
    #expect(try Gateway(configuration: configuration).errors.contains(words))
    #expect(try !Gateway(configuration: "cluster:\n  drain_handover_after: 3s\n").errors.contains("without effect"))
    // Whoever has a part of the roles heeds them; this one lacks a store that others could read.
    let split = try serve(configuration, arguments: ["--role", "media"])
    #expect(split.status == 1 && !split.errors.contains(words), "\(split.errors)")
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

  @Test func instancesHaveTheirOwnPorts() throws {
    let ports = "rtp_ports_per_instance: 100"
    let gateway = try Gateway(
      configuration: "media: { \(ports) }", rtpPorts: 33_000...33_999, environment: ["VG_MEDIA_INSTANCE": "media-3"])
    let ready = try String(contentsOfFile: "\(gateway.folder)/ready.json", encoding: .utf8)
    #expect(ready.contains("\"rtp_ports\":\"33300-33399\""), "\(ready)")
    expectOneSentence(try serve("media: { \(ports) }"), "media.instance", "VG_MEDIA_INSTANCE")
    expectOneSentence(
      try serve("media: { \(ports) }", environment: ["VG_MEDIA_INSTANCE": "media-500"]), "outside media.rtp_port_range")
    let idle = try Gateway(environment: ["VG_MEDIA_INSTANCE": "media-3"])
    #expect(idle.errors.contains("media.instance: without effect"), "\(idle.errors)")
  }

  @Test func theDoctorAsksAnAPI() async throws {
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog])
    let token = "\(gateway.folder)/token"
    try Data("end-to-end-token\n".utf8).write(to: URL(fileURLWithPath: token))
    func doctor(_ address: String, _ file: String?, _ more: String...) throws -> ToolResult {
      try Tools.run(
        Tools.parley, ["doctor", "--api", address] + (file.map { ["--token-file", $0] } ?? []) + more, limit: 30)
    }
    let address = "http://127.0.0.1:\(gateway.apiPort)"
    let well = try doctor(address, token)
    #expect(
      well.status == 0 && well.output == "ok   API: \(address) answers, the token is accepted, 0 calls are active\n",
      "\(well)")
    let call = try LiveCalls(gateway, count: 1)
    #expect(try doctor(address + "/", token).output.contains("1 call is active"))
    #expect(try doctor(address, token, "--json").output.contains("\"ok\":true"))
    call.stop()

    func expectFailure(_ result: ToolResult, _ words: String) {
      #expect(result.status == 1, "\(result)")
      #expect(result.output.hasPrefix("fail API: "), "\(result)")
      #expect(result.output.contains(words), "\(words) is not in: \(result)")
    }
    let wrong = "\(gateway.folder)/wrong"
    try Data("a-token-of-nobody".utf8).write(to: URL(fileURLWithPath: wrong))
    expectFailure(try doctor(address, wrong), "the token in \(wrong) is not accepted (401)")
    expectFailure(try doctor(address, nil), "--token-file")
    expectFailure(try doctor(address, "/nowhere/token"), "/nowhere/token cannot be read")
    expectFailure(try doctor("http://127.0.0.1:\(gateway.metricsPort)", token), "there is no /v1/calls (404)")
    #expect(gateway.stop() == 0)
    expectFailure(try doctor(address, token), "cannot be reached")
    expectFailure(try doctor("http://gateway.invalid:8080", token), "gateway.invalid has no address")
    expectFailure(try doctor("gateway:8080", token), "is not an http or https URL")

    let silent = ScriptedHTTPServer { _ in [.hang] }
    expectFailure(
      try doctor("http://127.0.0.1:\(try await silent.start())", token, "--timeout", "300ms"), "no answer within 300ms")
    await silent.stop()
    let broken = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(503, #"{"detail":"the database is away"}"#) }
    let port = try await broken.start()
    expectFailure(try doctor("http://127.0.0.1:\(port)", token), "it answers 503: the database is away")
    #expect(broken.requests.first?.header("Authorization") == "Bearer end-to-end-token")
    await broken.stop()
    #expect(try Tools.run(Tools.parley, ["doctor", "--token-file", token]).status == 2)
  }

  @Test func theDoctorFindsThisMachineWell() throws {
    let result = try Tools.run(Tools.parley, ["doctor"], limit: 30)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.lowercased().contains("silero"))
  }
}
