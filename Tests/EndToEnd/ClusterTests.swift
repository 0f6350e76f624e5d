import Foundation
import ScriptedServers
import Testing

/// Several gateways that share a database and a Redis are one to whoever asks their APIs.
@Suite(.serialized) struct ClusterTests {
  @Test func aCallIsSteeredAndSeenThroughAnotherGateway() throws {
    let database = try PostgresServer.running().makeDatabase(), redis = try RedisServer()
    func gateway() throws -> Gateway {
      try Gateway(
        dialogs: ["waiting.yaml": LiveCalls.dialog], configuration: "storage: { redis: \"\(redis.url)\" }",
        database: database)
    }
    let first = try gateway(), second = try gateway()
    let calls = try LiveCalls(first, count: 2)
    defer { calls.stop() }
    let id = calls.ids[0], other = calls.ids[1]
    // What happens on one gateway streams from the other.
    let stream = Process(), output = Pipe()
    stream.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    stream.arguments = [
      "curl", "-sN", "-H", "Authorization: Bearer end-to-end-token",
      "http://127.0.0.1:\(second.apiPort)/v1/calls/events?session_id=\(id)&include_history=true",
    ]
    stream.standardOutput = output
    try stream.run()
    defer { kill(stream.processIdentifier, SIGKILL) }

    let hangup = try second.api("POST", "/v1/calls/\(id)/hangup", body: "{\"reason\":\"normal\"}")
    #expect(hangup.status == 200, "\(hangup)")
    var seen = ""
    while !seen.contains("call_terminated") {
      let chunk = output.fileHandleForReading.availableData
      if chunk.isEmpty { break }
      seen += String(decoding: chunk, as: UTF8.self)
    }
    #expect(seen.contains("event: call_terminated"), "\(seen)")
    #expect(try second.api("POST", "/v1/calls/\(id)/hangup", body: "{\"reason\":\"normal\"}").status == 409)
    #expect(try second.metric("vg_redis_up") == 1)

    // Calls need no Redis; only what goes from one gateway to the other does.
    try redis.crash()
    #expect(try second.api("POST", "/v1/calls/\(other)/hangup", body: "{\"reason\":\"normal\"}").status == 503)
    // It is told where a person looks, and no pod is taken away for it.
    let ready = try Tools.run("curl", ["-sS", "-w", "%{http_code}", "http://127.0.0.1:\(second.metricsPort)/readyz"])
    #expect(ready.output.hasPrefix("ok\ndegraded: redis: ") && ready.output.hasSuffix("200"), "\(ready.output)")
    #expect(try first.api("POST", "/v1/calls/\(other)/hangup", body: "{\"reason\":\"normal\"}").status == 200)
    #expect(first.stop() == 0)
    #expect(second.stop() == 0)
  }

  @Test func aRedisThatIsNotThereIsSaidAtTheStart() throws {
    let error = #expect(throws: Gateway.Failed.self) {
      _ = try Gateway(configuration: "storage: { redis: \"redis://ann:hunter22@127.0.0.1:1\" }")
    }
    let text = error?.description ?? ""
    #expect(
      text.contains("error: Redis at 127.0.0.1:1 cannot be reached: Connection refused (storage.redis)"), "\(text)")
    #expect(!text.contains("hunter22"))
  }
}
