import AsyncHTTPClient
import Base
import IntegrationGateway
import NIOCore
import NIOHTTP1
import Settings
import Storage
import Telemetry
import Testing

/// The API as a client meets it, over a real socket.
@Suite struct CallAPITests {
  // MARK: Tokens

  @Test func withoutATokenNothingIsTold() async throws {
    try await Gateway.with { gateway async throws in
      gateway.store.put(call("S1"))
      for (path, token) in [
        ("/v1/calls", nil), ("/v1/calls/S1", nil), ("/v1/calls/events", nil), ("/nothing", nil), ("/v1/calls", "wrong"),
        ("/v1/calls", Gateway.token + "x"), ("/v1/calls", String(Gateway.token.dropLast())),
      ] as [(String, String?)] {
        let answer = try await gateway.send(gateway.request(path, token: token))
        #expect(answer.status == 401, "\(path)")
        #expect(answer.headers.first(name: "WWW-Authenticate")?.hasPrefix("Bearer") == true)
        #expect(answer.headers.first(name: "Content-Type") == "application/problem+json")
        #expect(answer.json["status"] == 401)
        #expect(!answer.text.contains("S1"))
      }
    }
  }

  @Test func everyConfiguredTokenOpens() async throws {
    try await Gateway.with { gateway async throws in
      for token in [Gateway.token, "other-token-01234567"] {
        #expect(try await gateway.send(gateway.request("/v1/calls", token: token)).status == 200)
      }
      var basic = gateway.request("/v1/calls", token: nil)
      basic.setBasicAuth(username: "x", password: Gateway.token)
      #expect(try await gateway.send(basic).status == 401)
    }
  }

  // MARK: Reading

  @Test func callsAreListedNewestFirstInPages() async throws {
    try await Gateway.with { gateway async throws in
      for i in 1...5 { gateway.store.put(call("S\(i)", startedAtMs: Int64(i) * 1000)) }
      gateway.store.put(call("E1", ended: true))
      let first = try await gateway.get("/v1/calls?limit=2")
      #expect(first.items.map { $0["id"] } == ["S5", "S4"])
      let cursor = try #require(first.json["next_cursor"]?.stringValue)
      let second = try await gateway.get("/v1/calls?limit=3&cursor=\(cursor)")
      #expect(second.items.map { $0["id"] } == ["S3", "S2", "S1"])
      #expect(second.json["next_cursor"] == .null)
      let ended = try await gateway.get("/v1/calls?state=ended")
      #expect(ended.items.map { $0["id"] } == ["E1"])
      #expect(ended.items[0]["end_reason"] == "caller")
    }
  }

  @Test func aCallShowsWhatIsKnownOfIt() async throws {
    try await Gateway.with { gateway async throws in
      gateway.store.put(call("E1", ended: true))
      let answer = try await gateway.get("/v1/calls/E1")
      #expect(answer.status == 200)
      #expect(answer.json["state"] == "ended")
      #expect(answer.json["caller_id"] == "1000")
      #expect(answer.json["called_number"] == "2000")
      #expect(answer.json["dialog_name"] == "helpdesk")
      #expect(answer.json["variables"] == ["issue": "printer"])
      #expect(answer.json["started_at"] == "2023-11-14T22:13:20.000Z")
      #expect(answer.json["duration_ms"] == 60_500)
      #expect(answer.json["talk_duration_ms"] == 60_000)
    }
  }

  @Test func theTranscriptComesFromTheRecordAlone() async throws {
    try await Gateway.with { gateway async throws in
      let record: [(String, [String: Value])] = [
        ("call_started", [:]),
        ("tts_started", ["playback_id": "p1", "text": "Welcome. What is wrong?"]),
        ("tts_completed", ["playback_id": "p1"]),
        ("speech_final", ["transcript": "my printer is broken", "confidence": 0.9]),
        ("tts_started", ["playback_id": "p2", "text": "I will send somebody. Is there more?"]),
        ("tts_interrupted", ["playback_id": "p2", "heard_text": "I will send"]),
        ("speech_final", ["transcript": "", "confidence": 0.0]),
        ("tts_started", ["playback_id": "p3", "text": "Never heard"]),
        ("speech_final", ["transcript": "thank you", "confidence": 0.8]),
        ("tts_interrupted", ["playback_id": "p3", "heard_text": ""]),
        ("call_terminated", ["reason": "caller"]),
      ]
      for (i, (type, fields)) in record.enumerated() { gateway.store.append(event(i + 1, type: type, fields: fields)) }
      let answer = try await gateway.get("/v1/calls/S1/transcript")
      #expect(answer.json["session_id"] == "S1")
      #expect(answer.items.map { $0["role"] } == ["gateway", "caller", "gateway", "caller"])
      #expect(
        answer.items.map { $0["text"] } == [
          "Welcome. What is wrong?", "my printer is broken", "I will send", "thank you",
        ])
      #expect(answer.items[0]["at"] == "2023-11-14T22:13:22.000Z", "when it began to speak")
      #expect(answer.items[1]["confidence"] == 0.9)
      #expect(answer.items[2]["interrupted"] == true)
    }
  }

  @Test func theRecordIsPaged() async throws {
    try await Gateway.with { gateway async throws in
      for i in 1...7 { gateway.store.append(event(i, fields: ["n": .int(Int64(i))])) }
      let first = try await gateway.get("/v1/calls/S1/events?limit=5")
      #expect(first.items.map { $0["sequence"] } == [1, 2, 3, 4, 5])
      #expect(first.items[0]["type"] == "quality")
      #expect(first.items[0]["n"] == 1)
      let second = try await gateway.get(
        "/v1/calls/S1/events?limit=5&cursor=\(first.json["next_cursor"]?.stringValue ?? "")")
      #expect(second.items.map { $0["sequence"] } == [6, 7])
      #expect(second.json["next_cursor"] == .null)
    }
  }

  // MARK: Acting

  @Test func hangingUpReachesTheCall() async throws {
    try await Gateway.with { gateway async throws in
      _ = gateway.bus.register(SessionID("S1"), tenant: Tenant.standard) { command in
        command == .hangup(reason: "busy") ? .done(fields: ["call_duration_seconds": 12]) : .refused("\(command)")
      }
      let answer = try await gateway.post("/v1/calls/S1/hangup", "{\"reason\": \"busy\"}")
      #expect(answer.status == 200)
      #expect(answer.json == ["call_duration_seconds": 12])
      #expect(try await gateway.post("/v1/calls/S1/hangup", "").status == 409, "the default reason is another one")
    }
  }

  @Test func speakingReachesTheCallWithItsDefaults() async throws {
    try await Gateway.with { gateway async throws in
      _ = gateway.bus.register(SessionID("S 1/é"), tenant: Tenant.standard) { command in
        .done(fields: ["heard": .string("\(command)")])
      }
      let answer = try await gateway.post("/v1/calls/S%201%2F%C3%A9/tts", "{\"text\": \"Hello\", \"barge_in\": false}")
      #expect(answer.json["heard"] == "say(text: \"Hello\", voice: \"\", speed: 1.0, bargeIn: false)")
    }
  }

  @Test func anEventReachesTheDialogOfTheCall() async throws {
    try await Gateway.with { gateway async throws in
      _ = gateway.bus.register(SessionID("S1"), tenant: Tenant.standard) { command in
        command == .event(name: "parcel.found", data: ["n": 3]) || command == .event(name: "bare", data: .null)
          ? .done(fields: ["accepted": true]) : .refused("\(command)")
      }
      let answer = try await gateway.post(
        "/v1/calls/S1/event", "{\"name\": \"parcel.found\", \"data\": {\"n\": 3}}")
      #expect(answer.status == 200 && answer.json == ["accepted": true])
      #expect(try await gateway.post("/v1/calls/S1/event", "{\"name\": \"bare\"}").status == 200)
      #expect(try await gateway.post("/v1/calls/S2/event", "{\"name\": \"bare\"}").status == 404)
    }
  }

  @Test func aCallThatIsGoneIsToldApartFromOneThatNeverWas() async throws {
    try await Gateway.with { gateway async throws in
      gateway.store.put(call("E1", ended: true))
      let gone = try await gateway.post("/v1/calls/E1/hangup", "{}")
      #expect(gone.status == 409)
      #expect(gone.json["detail"] == "the call has ended")
      let never = try await gateway.post("/v1/calls/X/hangup", "{}")
      #expect(never.status == 404)
      #expect(never.json["type"] == "urn:parley:problem:no_such_call")
      for path in ["/v1/calls/X", "/v1/calls/X/transcript", "/v1/calls/X/events"] {
        #expect(try await gateway.get(path).status == 404, "\(path)")
      }
    }
  }

  @Test func aRequestWithAKeyActsOnce() async throws {
    try await Gateway.with { gateway async throws in
      let (commands, seen) = AsyncStream<CallCommand>.makeStream()
      _ = gateway.bus.register(SessionID("S1"), tenant: Tenant.standard) { command in
        seen.yield(command)
        return .done(fields: ["playback_id": "p9"])
      }
      let key = [("Idempotency-Key", "k-1")]
      let first = try await gateway.post("/v1/calls/S1/tts", "{\"text\":\"one\"}", headers: key)
      let again = try await gateway.post("/v1/calls/S1/tts", "{\"text\":\"one\"}", headers: key)
      #expect(first.json == again.json && again.status == 200)
      let other = try await gateway.post("/v1/calls/S1/tts", "{\"text\":\"two\"}", headers: key)
      #expect(other.status == 422)
      seen.finish()
      var count = 0
      for await _ in commands { count += 1 }
      #expect(count == 1)
    }
  }

  // MARK: Wrong requests

  @Test(arguments: [
    ("GET", "/v1/nothing", "", 404, "there is no /v1/nothing"),
    ("DELETE", "/v1/calls", "", 405, "/v1/calls takes GET"),
    ("GET", "/v1/calls/S1/hangup", "", 405, "/v1/calls/S1/hangup takes POST"),
    ("GET", "/v1/calls?limit=0", "", 400, "`limit` must lie between 1 and 500"),
    ("GET", "/v1/calls?limit=many", "", 400, "`limit` must be a whole number"),
    ("GET", "/v1/calls?limit=1&limit=2", "", 400, "the query parameter `limit` stands twice"),
    ("GET", "/v1/calls?limti=5", "", 400, "unknown query parameter `limti`; did you mean `limit`?"),
    ("GET", "/v1/calls?state=endet", "", 400, "`state`: `endet` is unknown; did you mean `ended`?"),
    ("GET", "/v1/calls?cursor=nobody", "", 400, "`cursor` names no call: no session nobody"),
    ("GET", "/v1/calls?cursor=%FF", "", 400, "the query is not percent-encoded UTF-8"),
    (
      "GET", "/v1/calls/events?event_types=speech_finale", "", 400,
      "`event_types`: `speech_finale` is unknown; did you mean `speech_final`?"
    ),
    ("POST", "/v1/calls/S1/tts", "{}", 400, "`text` is missing"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": \" \"}", 400, "`text` has 1 to 4096 characters"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": 5}", 400, "`text` must be a text"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": \"a\", \"speed\": 9}", 400, "`speed` must lie between 0.5 and 2"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": \"a\", \"spead\": 1}", 400, "unknown key `spead`; did you mean `speed`?"),
    ("POST", "/v1/calls/S1/tts", "[1]", 400, "the body must be a JSON object"),
    ("POST", "/v1/calls/S1/tts", "{", 400, "the body is invalid JSON at byte 1: expected a key"),
    ("POST", "/v1/calls/S1/event", "{\"data\": 1}", 400, "`name` is missing"),
    (
      "POST", "/v1/calls/S1/event", "{\"name\": \"9a\"}", 400,
      "`name` has 1 to 64 letters, digits, `_`, `-` and `.`, a letter first"
    ),
    (
      "POST", "/v1/calls/S1/event", "{\"name\": \"hangup\"}", 400,
      "`hangup` is an event of the gateway itself; give yours another name"
    ),
    (
      "POST", "/v1/calls/S1/hangup", "{\"reason\": \"angry\"}", 400,
      "`reason`: `angry` is unknown; it is one of normal, busy, rejected, error"
    ),
  ])
  func aWrongRequestIsExplained(method: String, path: String, body: String, status: Int, detail: String) async throws {
    try await Gateway.with { gateway async throws in
      var request = gateway.request(path, method: .init(rawValue: method))
      if !body.isEmpty { request.body = .bytes(ByteBuffer(string: body)) }
      let answer = try await gateway.send(request)
      #expect(answer.status == status)
      #expect(answer.headers.first(name: "Content-Type") == "application/problem+json")
      #expect(answer.json["detail"]?.stringValue == detail)
    }
  }

  @Test func aBodyThatIsTooLargeIsRefused() async throws {
    try await Gateway.with { gateway async throws in
      let answer = try await gateway.post(
        "/v1/calls/S1/tts", "{\"text\": \"\(String(repeating: "a", count: 70_000))\"}")
      #expect(answer.status == 413)
    }
  }

  // MARK: The description and the server

  @Test func theDescriptionNamesWhatIsServed() async throws {
    try await Gateway.with { gateway async throws in
      let answer = try await gateway.send(gateway.request("/openapi.json", token: nil))
      #expect(answer.json["openapi"] == "3.1.0")
      guard case .map(let paths)? = answer.json["paths"] else { return #expect(Bool(false), "no paths") }
      #expect(paths["/v1/calls/{id}/hangup"]?["post"]?["requestBody"] != nil)
      let schema = paths["/v1/calls/{id}/tts"]?["post"]?["requestBody"]?["content"]?["application/json"]?["schema"]
      #expect(schema?["required"] == ["text"])
      #expect(schema?["properties"]?["speed"]?["maximum"] == 2.0)
      // Every path that is described answers something else than 404 for lack of a route.
      for path in paths.keys where path != "/v1/calls/events" {
        let real = path.split(separator: "/").map { $0 == "{id}" ? "S1" : $0 == "{name}" ? "menu" : String($0) }.joined(
          separator: "/")
        let asked = try await gateway.get("/" + real)
        #expect(asked.json["type"] != "urn:parley:problem:not_found", "\(path)")
      }
    }
  }

  @Test func aPortInUseIsOneSentence() async throws {
    try await Gateway.with { gateway async throws in
      var settings = IntegrationConfiguration(settings: .init(), tokens: [])
      settings.settings.listenAddress = "127.0.0.1"
      settings.settings.apiPort = gateway.port
      let second = IntegrationService(
        configuration: settings, eventLog: gateway.store, directory: gateway.store, commands: gateway.bus,
        dialogs: gateway.library, outbound: .loopback, metrics: .init(), group: HTTPClient.defaultEventLoopGroup,
        logger: quiet)
      let error = await #expect(throws: IntegrationError.self) { try await second.start() }
      #expect(error?.description == "the API cannot listen on 127.0.0.1:\(gateway.port): Address already in use")
      await second.stop()
    }
  }
}
