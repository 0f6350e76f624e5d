import Base
import IntegrationGateway
import Storage
import Testing

/// Clients that are slow, silent, many or wrong, on real sockets with small limits.
@Suite struct ConnectionTests {
  private static let authorization = "Authorization: Bearer \(Gateway.token)\r\n"

  @Test func aSlowHeadEndsTheConnection() async throws {
    try await Gateway.with(limits: { $0.headTime = .milliseconds(50) }) { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      try await wire.send("GET /v1/calls HTTP/1.1\r\nHost: x\r\n")
      #expect(await wire.readAll() == "")
      #expect(try await gateway.get("/v1/calls").status == 200)
    }
  }

  @Test func aSlowBodyIsTold() async throws {
    try await Gateway.with(limits: { $0.bodyTime = .milliseconds(50) }) { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      try await wire.send(
        "POST /v1/calls/S1/tts HTTP/1.1\r\nHost: x\r\n\(Self.authorization)Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"text\""
      )
      let answer = await wire.readAll()
      #expect(answer.hasPrefix("HTTP/1.1 408 "))
      #expect(answer.contains("urn:parley:problem:slow_request"))
    }
  }

  @Test func anAnswerThatDoesNotComeIsTold() async throws {
    try await Gateway.with(limits: { $0.answerTime = .milliseconds(50) }) { gateway async throws in
      let (stream, release) = AsyncStream<Void>.makeStream()
      _ = gateway.bus.register(SessionID("S1"), tenant: "default") { _ in
        for await _ in stream {}
        return .done(fields: [:])
      }
      let answer = try await gateway.post("/v1/calls/S1/hangup", "{}")
      #expect(answer.status == 504)
      #expect(answer.json["type"] == "urn:parley:problem:slow_answer")
      release.finish()
    }
  }

  @Test func anIdleConnectionEnds() async throws {
    try await Gateway.with(limits: { $0.idleTime = .milliseconds(50) }) { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      try await wire.send("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
      let answer = await wire.readAll()
      #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.hasSuffix("}"))
    }
  }

  @Test func whoOnlyHoldsConnectionsKeepsNobodyOut() async throws {
    try await Gateway.with(limits: {
      $0.connections = 24
      $0.idleConnections = 8
    }) { gateway async throws in
      var held: [Wire] = []
      for _ in 0..<60 { held.append(try await Wire(port: gateway.port)) }
      #expect(try await gateway.get("/v1/calls").status == 200)
      // The first were closed to make room for the last.
      #expect(await held[0].readAll() == "")
      for wire in held { await wire.close() }
    }
  }

  @Test func requestsThatComeTogetherAreAnsweredInOrder() async throws {
    try await Gateway.with { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      let one = "GET /v1/calls/%d HTTP/1.1\r\nHost: x\r\n\(Self.authorization)\r\n"
      try await wire.send((1...100).map { one.split(separator: "%d").joined(separator: "X\($0)") }.joined())
      for i in 1...100 {
        #expect(await wire.read(until: "there is no call `X\(i)`") != nil)
      }
      await wire.close()
    }
  }

  @Test(arguments: [
    ("NONSENSE\r\n\r\n", "400"), ("GET /openapi.json HTTP/1.1\r\nA\0b: c\r\n\r\n", "400"),
    ("GET /openapi.json HTTP/1.1\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n", "431"),
    ("GET /openapi.json HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 200))\r\n", "431"),
    ("POST /v1/calls/S1/tts HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST /v1/calls/S1/tts HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "400"),
  ])
  func whatIsNoHTTPIsTold(bytes: String, status: String) async throws {
    try await Gateway.with { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      try await wire.send(bytes)
      let answer = await wire.readAll()
      #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer.prefix(80))")
      #expect(answer.contains("application/problem+json"))
    }
  }

  @Test func aClientMayAskBeforeItSends() async throws {
    try await Gateway.with { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      try await wire.send(
        "POST /v1/calls/S1/hangup HTTP/1.1\r\nHost: x\r\n\(Self.authorization)Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
      )
      #expect(await wire.read(until: "\r\n\r\n")?.hasPrefix("HTTP/1.1 100 ") == true)
      try await wire.send("{}")
      #expect(await wire.read(until: "\r\n")?.hasPrefix("HTTP/1.1 404 ") == true)
      await wire.close()
    }
  }
}
