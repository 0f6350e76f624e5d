import Base
import CallLink
import IntegrationGateway
import ScriptedServers
import Settings
import Testing

/// Tools of MCP servers, good and bad.
@Suite struct MCPTests {
  private static let tools: [Value] = [
    [
      "name": "look_up", "description": "Finds a plan.",
      "inputSchema": ["type": "object", "properties": ["name": ["type": "string"]]],
    ],
    ["name": "ping", "title": "Says pong"],
    ["name": "no/good", "description": "Its name cannot be said by a model."],
  ]

  private static func with(_ server: ScriptedMCPServer, _ body: (Gateway) async throws -> Void) async throws {
    var service = IntegrationSettings.Service(url: try await server.start())
    service.type = .mcp
    service.auth = .bearer(token: Secret("abc"))
    service.headers = ["X-Team": Secret("voice")]
    service.timeout = .seconds(60)
    var settings = IntegrationSettings()
    settings.services = ["desk": service, "crm": IntegrationSettings.Service(url: "http://127.0.0.1:1")]
    try await Gateway.with(settings: settings) { try await body($0) }
    await server.stop()
  }

  private static func ask(_ gateway: Gateway, _ kind: HookRequest.Kind, service: String = "desk") async -> HookOutcome {
    await gateway.service.hooks.perform(HookRequest(session: SessionID("S1"), service: service, kind: kind, body: [:]))
  }

  private static func result(_ outcome: HookOutcome) -> Value? {
    if case .result(let value, 200, _, 1) = outcome { return value }
    Issue.record("\(outcome)")
    return nil
  }

  private static func failure(_ outcome: HookOutcome) -> [String]? {
    if case .failure(let error, let status, let message, _, _) = outcome {
      [error, String(status), message]
    } else {
      nil
    }
  }

  @Test(arguments: [ScriptedMCPServer.Style.json, .events])
  func toolsAreListedAndCalled(style: ScriptedMCPServer.Style) async throws {
    let server = ScriptedMCPServer(tools: Self.tools, pageSize: 2, style: style) { name, arguments in
      name == "ping" ? .text("pong") : .structure(["found": arguments["name"] ?? .null])
    }
    try await Self.with(server) { gateway in
      let listed: Value = [
        "tools": [
          [
            "name": "look_up", "description": "Finds a plan.",
            "parameters": ["type": "object", "properties": ["name": ["type": "string"]]],
          ],
          ["name": "ping", "description": "Says pong", "parameters": ["type": "object"]],
        ]
      ]
      #expect(Self.result(await Self.ask(gateway, .listTools)) == listed)
      #expect(Self.result(await Self.ask(gateway, .callTool(name: "ping", arguments: [:]))) == ["text": "pong"])
      #expect(
        Self.result(await Self.ask(gateway, .callTool(name: "look_up", arguments: ["name": "gold"])))
          == ["found": "gold"])
      #expect(
        server.methods == [
          "initialize", "notifications/initialized", "tools/list", "tools/list", "tools/call", "tools/call",
        ])
      let requests = server.http.requests
      #expect(requests.allSatisfy { $0.header("Authorization") == "Bearer abc" && $0.header("X-Team") == "voice" })
      #expect(requests.allSatisfy { $0.header("Accept") == "application/json, text/event-stream" })
      #expect(
        requests[0].header("Mcp-Session-Id") == nil && requests[0].json["params"]?["protocolVersion"] == "2025-06-18")
      #expect(requests.dropFirst().allSatisfy { $0.header("Mcp-Session-Id") == "session-1" })
      #expect(requests.dropFirst().allSatisfy { $0.header("MCP-Protocol-Version") == "2025-06-18" })
    }
  }

  @Test func aLostSessionIsBegunAnew() async throws {
    let server = ScriptedMCPServer(tools: Self.tools) { _, _ in .text("pong") }
    try await Self.with(server) { gateway in
      #expect(Self.result(await Self.ask(gateway, .callTool(name: "ping", arguments: [:]))) == ["text": "pong"])
      server.forgetSessions()
      #expect(Self.result(await Self.ask(gateway, .callTool(name: "ping", arguments: [:]))) == ["text": "pong"])
      #expect(server.http.requests.last?.header("Mcp-Session-Id") == "session-2")
    }
  }

  @Test func callsAtOnceShareOneSession() async throws {
    let server = ScriptedMCPServer(tools: Self.tools) { _, _ in .text("pong") }
    try await Self.with(server) { gateway in
      await withTaskGroup(of: Value?.self) { group in
        for _ in 0..<20 {
          group.addTask { Self.result(await Self.ask(gateway, .callTool(name: "ping", arguments: [:]))) }
        }
        for await value in group { #expect(value == ["text": "pong"]) }
      }
      #expect(server.methods.count { $0 == "initialize" } == 1)
    }
  }

  @Test func aToolThatFailsTellsTheModel() async throws {
    let server = ScriptedMCPServer(tools: Self.tools) { _, _ in .failed("no such plan") }
    try await Self.with(server) { gateway in
      #expect(
        Self.result(await Self.ask(gateway, .callTool(name: "look_up", arguments: [:])))
          == ["text": "no such plan", "is_error": true])
    }
  }

  private static let bad: [(ScriptedMCPServer.Outcome, [String])] = [
    (
      .refused(code: -32602, message: "unknown tool"), ["tool_error", "200", "desk refused `tools/call`: unknown tool"]
    ),
    (.steps(ScriptedHTTPServer.Step.answer(503, "")), ["status", "503", "desk answered 503"]),
    (.steps(ScriptedHTTPServer.Step.answer(401, "")), ["status", "401", "desk answered 401"]),
    (.steps(ScriptedHTTPServer.Step.answer(200, "{}")), ["invalid_answer", "200", "desk did not answer `tools/call`"]),
    (
      .steps(ScriptedHTTPServer.Step.answer(200, "<html>")),
      ["invalid_answer", "200", "desk answered no JSON: invalid JSON at byte 0: unexpected character"]
    ),
    (
      .steps([.head(200, [("Content-Type", "text/event-stream")]), .text(": nothing\n\n")]),
      ["invalid_answer", "200", "desk did not answer `tools/call`"]
    ),
    (
      .steps([
        .head(200, [("Content-Type", "text/event-stream")]), .text("data: " + String(repeating: "x", count: 1 << 20)),
        .hang,
      ]), ["too_large", "200", "desk answered with more than 1048576 bytes"]
    ),
    (
      .steps(ScriptedHTTPServer.Step.answer(200, String(repeating: " ", count: (1 << 20) + 1))),
      ["too_large", "200", "desk answered with more than 1048576 bytes"]
    ),
    (.steps([.close]), ["unreachable", "0", "desk cannot be reached: 127.0.0.1 closed the connection"]),
  ]

  @Test(arguments: bad.indices)
  func aServerThatMisbehavesIsAFailure(at: Int) async throws {
    let (outcome, expected) = Self.bad[at]
    let server = ScriptedMCPServer(tools: Self.tools) { _, _ in outcome }
    try await Self.with(server) { gateway in
      let failure = Self.failure(await Self.ask(gateway, .callTool(name: "ping", arguments: [:])))
      #expect(failure == expected)
      #expect(server.methods.count { $0 == "tools/call" } == 1, "a tool may have acted: it is not called twice")
    }
  }

  @Test func aServerThatHangsIsATimeout() async throws {
    let server = ScriptedMCPServer(tools: Self.tools) { _, _ in .steps([.hang]) }
    try await Self.with(server) { gateway in
      _ = await Self.ask(gateway, .listTools)
      let call = HookRequest(
        session: SessionID("S1"), service: "desk", kind: .callTool(name: "ping", arguments: [:]),
        timeout: .milliseconds(50), body: [:])
      #expect(
        Self.failure(await gateway.service.hooks.perform(call)) == ["timeout", "0", "desk gave no answer in time"])
    }
  }

  @Test func anotherRevisionIsRefusedAndAskedAgainLater() async throws {
    let server = ScriptedMCPServer(tools: Self.tools, revision: "1999-01-01") { _, _ in .text("pong") }
    try await Self.with(server) { gateway in
      for _ in 0..<2 {
        #expect(
          Self.failure(await Self.ask(gateway, .listTools))
            == ["invalid_answer", "200", "desk speaks another revision of the protocol (1999-01-01)"])
      }
      #expect(server.methods == ["initialize", "initialize"], "a beginning that failed is not kept")
    }
  }

  @Test func listsAreBounded() async throws {
    let many = (0..<200).map { Value.map(["name": .string("tool\($0)")]) }
    for size in [100, 1] {
      let server = ScriptedMCPServer(tools: many, pageSize: size) { _, _ in .text("") }
      try await Self.with(server) { gateway in
        #expect(Self.failure(await Self.ask(gateway, .listTools))?.first == "too_large")
      }
    }
  }

  @Test func theKindOfServiceMustFit() async throws {
    let server = ScriptedMCPServer(tools: Self.tools) { _, _ in .text("") }
    try await Self.with(server) { gateway in
      #expect(
        Self.failure(await Self.ask(gateway, .http))
          == ["refused", "0", "`desk` is a server of tools, not a backend for hooks"])
      #expect(
        Self.failure(await Self.ask(gateway, .listTools, service: "crm"))
          == ["refused", "0", "`crm` is no server of tools (type mcp)"])
      #expect(server.methods.isEmpty)
    }
  }
}
