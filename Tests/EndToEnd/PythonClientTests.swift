import Foundation
import Testing

/// The Python client of clients/python against a gateway.
@Suite(.serialized) struct PythonClientTests {
  private static let folder = "\(Tools.root)/clients/python"

  /// What is generated is what this gateway describes.
  @Test func itsOperationsAreThoseOfTheGateway() throws {
    let gateway = try Gateway()
    let description = "\(gateway.folder)/openapi.json"
    try Data(try gateway.api("GET", "/openapi.json", token: nil).text.utf8).write(
      to: URL(fileURLWithPath: description))
    let result = try Tools.run(Tools.python("python"), ["\(Self.folder)/generate.py", description, "--check"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  /// Its own tests, and every example of its README, with a call that is over and one that is up.
  @Test func itWorksAsItsReadmeSays() throws {
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog])
    let ended = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(ended.result.status == 0, "\(ended.result.errors)")
    let calls = try LiveCalls(gateway, count: 1)
    defer { calls.stop() }
    let result = try Tools.run(
      Tools.python("python"), ["-m", "unittest", "discover", "-s", "\(Self.folder)/tests"],
      environment: [
        "PYTHONPATH": "\(Self.folder)/src", "PARLEY_URL": "http://127.0.0.1:\(gateway.apiPort)",
        "PARLEY_TOKEN": "end-to-end-token", "PYTHONDONTWRITEBYTECODE": "1",
      ])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }
}
