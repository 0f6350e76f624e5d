import Base
import CallLink
import Foundation
import IntegrationGateway
import Settings
import Testing

/// examples/hooks/crm.py, asked by the gateway itself: the protocol of docs/api/hooks.md with the verification in Python.
@Suite(.timeLimit(.minutes(2))) struct ExampleBackendTests {
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(
    separator: "/")

  private static func with(_ secret: String, _ body: (Gateway) async throws -> Void) async throws {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "\(root)/examples/hooks/crm.py", "topsecret", "0"]
    process.standardOutput = pipe
    try process.run()
    // SIGTERM is blocked on the threads that tests run on, and so in what they start.
    defer { kill(process.processIdentifier, SIGKILL) }
    var said = ""
    while !said.contains("\n") {
      let chunk = pipe.fileHandleForReading.availableData
      if chunk.isEmpty { break }
      said += String(decoding: chunk, as: UTF8.self)
    }
    let url = try #require(said.split(separator: " ").last).trimmingCharacters(in: .whitespacesAndNewlines)
    var service = IntegrationSettings.Service(url: url)
    service.auth = .hmac(secrets: [Secret(secret)])
    service.retry.maxAttempts = 1
    var settings = IntegrationSettings()
    settings.services = ["crm": service]
    try await Gateway.with(settings: settings, body)
  }

  private static func ask(_ gateway: Gateway, _ path: String, _ body: Value) async -> HookOutcome {
    await gateway.service.hooks.perform(
      HookRequest(session: SessionID("S1"), service: "crm", path: path, body: body))
  }

  @Test func aSignedRequestIsAnswered() async throws {
    try await Self.with("topsecret") { gateway async throws in
      guard case .result(let start, 200, _, 1) = await Self.ask(gateway, "/on-call-start", ["caller_id": "4930123"])
      else {
        Issue.record("the start was not answered")
        return
      }
      #expect(start == ["variables": ["customer": "Ann", "tier": "gold"]])
      guard case .result(let intent, 200, _, 1) = await Self.ask(gateway, "/on-intent", ["transcript": "grüß Gott"])
      else {
        Issue.record("the intent was not answered")
        return
      }
      #expect(intent == ["data": ["heard": "grüß Gott"]])
      guard case .result([:], 204, _, 1) = await Self.ask(gateway, "/on-call-end", [:]) else {
        Issue.record("the end was not answered")
        return
      }
    }
  }

  @Test func anotherSecretIsRefused() async throws {
    try await Self.with("guessed") { gateway async throws in
      guard case .failure("status", 401, _, _, 1) = await Self.ask(gateway, "/on-intent", [:]) else {
        Issue.record("a wrong signature was taken")
        return
      }
    }
  }
}
