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
        #expect(!answer.text.contains("`S1`") && !answer.text.contains("helpdesk"))
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
        .refused("\(command)")
      }
      let answer = try await gateway.post("/v1/calls/S%201%2F%C3%A9/tts", "{\"text\": \"Hello\", \"barge_in\": false}")
      #expect(answer.json["detail"] == "say(text: \"Hello\", voice: \"\", speed: 1.0, bargeIn: false)")
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

  @Test func aRequestWhoseAnswerCannotBeKeptActsOnceAllTheSame() async throws {
    try await Gateway.with { gateway async throws in
      let (commands, seen) = AsyncStream<CallCommand>.makeStream()
      _ = gateway.bus.register(SessionID("S1"), tenant: Tenant.standard) { command in
        seen.yield(command)
        return .done(fields: ["playback_id": "p9"])
      }
      _ = try await gateway.database.write { database in
        try database.run(
          """
          CREATE TRIGGER full BEFORE UPDATE ON remembered_answers
          BEGIN SELECT RAISE(ABORT, 'the disk is full'); END
          """)
      }
      let key = [("Idempotency-Key", "k-1")]
      let first = try await gateway.post("/v1/calls/S1/tts", "{\"text\":\"one\"}", headers: key)
      #expect(first.status == 200)
      let again = try await gateway.post("/v1/calls/S1/tts", "{\"text\":\"one\"}", headers: key)
      #expect(again.status == 409)
      seen.finish()
      var count = 0
      for await _ in commands { count += 1 }
      #expect(count == 1)
    }
  }

  // MARK: Wrong requests

  @Test(arguments: [
    ("GET", "/v1/nothing", "", 404, "there is no /v1/nothing"),
    ("DELETE", "/v1/calls", "", 405, "/v1/calls takes GET, POST, HEAD, OPTIONS"),
    ("GET", "/v1/calls/S1/hangup", "", 405, "/v1/calls/S1/hangup takes POST, OPTIONS"),
    ("GET", "/v1/calls?limit=0", "", 400, "`limit` must lie between 1 and 500"),
    ("GET", "/v1/calls?limit=many", "", 400, "`limit` must be a whole number"),
    ("GET", "/v1/calls?limit=1&limit=2", "", 400, "the query parameter `limit` stands twice"),
    ("GET", "/v1/calls?limti=5", "", 400, "unknown query parameter `limti`; did you mean `limit`?"),
    ("GET", "/v1/calls?state=endet", "", 400, "`state`: `endet` is unknown; did you mean `ended`?"),
    ("GET", "/v1/calls?cursor=nobody", "", 422, "`cursor` names no call: no session nobody"),
    ("GET", "/v1/calls?cursor=%FF", "", 400, "the query is not percent-encoded UTF-8"),
    (
      "GET", "/v1/calls/events?event_types=speech_finale", "", 400,
      "`event_types`: `speech_finale` is unknown; did you mean `speech_final`?"
    ),
    ("POST", "/v1/calls/S1/tts", "{}", 400, "`text` is missing"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": \" \"}", 400, "`text` must be a text that is not empty"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": 5}", 400, "`text` must be a text"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": \"a\", \"speed\": 9}", 400, "`speed` must lie between 0.5 and 2"),
    ("POST", "/v1/calls/S1/tts", "{\"text\": \"a\", \"spead\": 1}", 400, "unknown key `spead`; did you mean `speed`?"),
    ("POST", "/v1/calls/S1/tts", "[1]", 400, "the body must be a JSON object"),
    ("POST", "/v1/calls/S1/tts", "{", 400, "the body is invalid JSON at byte 1: expected a key"),
    ("POST", "/v1/calls/S1/event", "{\"data\": 1}", 400, "`name` is missing"),
    (
      "POST", "/v1/calls/S1/event", "{\"name\": \"a\", \"name\": \"b\"}", 400,
      "the body is invalid JSON at byte 22: the key \"name\" stands twice"
    ),
    ("POST", "/v1/calls/S1/event", "{\"name\": null}", 400, "`name` must be a text"),
    ("POST", "/v1/calls/S1/dtmf", "{\"digits\": \"12x\"}", 400, "`digits` must be keys of a telephone: 0-9 * # A-D"),
    (
      "POST", "/v1/calls/S1/dtmf", "{\"digits\": \"1\", \"duration_ms\": 1.5}", 400,
      "`duration_ms` must be a whole number"
    ),
    ("POST", "/v1/calls/S1/play", "{}", 422, "`object` is missing"),
    ("POST", "/v1/calls/S1/transfer", "{\"target\": \"x\"}", 404, "there is no call `S1`"),
    (
      "POST", "/v1/calls", "{\"to\": \"1\", \"dialog\": \"menu\"}", 409,
      "this gateway has no trunk to place calls by; it only answers them"
    ),
    ("GET", "/v1/calls?from=yesterday", "", 400, "`from` must be a time like 2026-01-31T23:59:59Z (RFC 3339)"),
    ("GET", "/v1/calls?dialog=", "", 400, "`dialog` has 1 to 64 characters"),
    (
      "GET", "/v1/webhooks/dead-letters?cursor=9007199254740993", "", 400,
      "`cursor` must lie between 1 and 9007199254740992"
    ),
    ("GET", "/v1/numbers/1", "", 404, "there is no number `1`"),
    (
      "POST", "/v1/calls/S1/event", "{\"name\": \"9a\"}", 400,
      "`name` must be letters, digits, `_`, `-` and `.`, a letter first"
    ),
    (
      "POST", "/v1/calls/S1/event", "{\"name\": \"hangup\"}", 422,
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

  @Test(arguments: [
    ("Content-Type", "text/plain", 415), ("Content-Type", "application/json; charset=latin1", 415),
    ("Content-Type", "application/merge-patch+json; charset=UTF-8", 404), ("Accept", "text/html", 406),
    ("Accept", "application/json;q=0, text/*", 406), ("Accept", "text/html, */*;q=0.1", 404),
    ("Accept", "application/*", 404),
  ])
  func whatABodyAndAnAnswerAreMadeOfIsChecked(name: String, value: String, status: Int) async throws {
    try await Gateway.with { gateway async throws in
      let answer = try await gateway.post("/v1/calls/S1/hangup", "{}", headers: [(name, value)])
      #expect(answer.status == status)
    }
  }

  @Test func requestsAreNamed() async throws {
    try await Gateway.with { gateway async throws in
      var request = gateway.request("/v1/calls/X")
      let made = try await gateway.send(request)
      #expect(made.headers.first(name: "X-Request-Id")?.utf8.count == 26)
      #expect(made.json["request_id"]?.stringValue == made.headers.first(name: "X-Request-Id"))
      request.headers.add(name: "X-Request-Id", value: "mine-1")
      #expect(try await gateway.send(request).json["request_id"] == "mine-1")
      request.headers.replaceOrAdd(name: "X-Request-Id", value: "not; mine")
      #expect(try await gateway.send(request).json["request_id"] != "not; mine")
    }
  }

  @Test func headAndOptionsSayWhatThereIs() async throws {
    try await Gateway.with { gateway async throws in
      gateway.store.put(call("E1", ended: true))
      let get = try await gateway.get("/v1/calls/E1")
      let head = try await gateway.send(gateway.request("/v1/calls/E1", method: .HEAD))
      #expect(head.status == 200 && head.text.isEmpty)
      #expect(head.headers.first(name: "Content-Length") == String(get.text.utf8.count))
      let options = try await gateway.send(gateway.request("/v1/calls/E1", method: .OPTIONS))
      #expect(options.status == 204)
      #expect(options.headers.first(name: "Allow") == "GET, HEAD, OPTIONS")
      #expect(try await gateway.send(gateway.request("/v1/calls/E1", method: .OPTIONS, token: nil)).status == 401)
    }
  }

  @Test func whatTheClientHasIsNotSentAgain() async throws {
    try await Gateway.with { gateway async throws in
      gateway.store.put(call("E1", ended: true))
      var request = gateway.request("/v1/calls/E1")
      let tag = try #require(try await gateway.send(request).headers.first(name: "ETag"))
      request.headers.add(name: "If-None-Match", value: "\"other\", W/\(tag)")
      let again = try await gateway.send(request)
      #expect(again.status == 304 && again.text.isEmpty)
      #expect(again.headers.first(name: "ETag") == tag)
    }
  }

  @Test func pagesOfOtherOriginsNeedLeave() async throws {
    var settings = IntegrationSettings()
    settings.cors.allowedOrigins = ["https://console.example.com"]
    try await Gateway.with(settings: settings) { gateway async throws in
      for (origin, isAllowed) in [("https://console.example.com", true), ("https://evil.example", false)] {
        var preflight = gateway.request("/v1/calls", method: .OPTIONS, token: nil)
        preflight.headers.add(name: "Origin", value: origin)
        preflight.headers.add(name: "Access-Control-Request-Method", value: "GET")
        let answer = try await gateway.send(preflight)
        #expect(answer.status == (isAllowed ? 204 : 401))
        #expect(answer.headers.first(name: "Access-Control-Allow-Origin") == (isAllowed ? origin : nil))
        #expect(answer.headers.first(name: "Vary") == "Origin")
        var request = gateway.request("/v1/calls")
        request.headers.add(name: "Origin", value: origin)
        #expect(
          try await gateway.send(request).headers.first(name: "Access-Control-Allow-Origin")
            == (isAllowed ? origin : nil))
      }
    }
  }

  @Test func callsAreFiltered() async throws {
    try await Gateway.with { gateway async throws in
      for i in 1...4 {
        var summary = call("S\(i)", startedAtMs: 1_700_000_000_000 + Int64(i) * 1000)
        summary.callerID = i % 2 == 0 ? "even" : "odd"
        summary.dialogName = i == 4 ? "echo" : "helpdesk"
        gateway.store.put(summary)
      }
      func ids(_ query: String) async throws -> [Value?] {
        try await gateway.get("/v1/calls?\(query)").items.map { $0["id"] }
      }
      #expect(try await ids("caller=even") == ["S4", "S2"])
      #expect(try await ids("dialog=helpdesk&caller=odd") == ["S3", "S1"])
      #expect(try await ids("from=2023-11-14T22:13:22Z&to=2023-11-14T23:13:24%2B01:00") == ["S3", "S2"])
    }
  }

  @Test func aTraceShowsTheTurns() async throws {
    try await Gateway.with { gateway async throws in
      let record: [(String, [String: Value])] = [
        ("call_started", ["dialog_name": "helpdesk"]), ("tts_started", ["text": "Hello"]),
        ("speech_final", ["transcript": "printer", "confidence": 0.9]),
        ("state_transition", ["from_state": "a", "to_state": "b", "trigger": "speech"]),
        ("turn_latency", ["endpoint_ms": 300, "total_ms": 420]), ("dtmf_received", ["digit": "1"]),
        ("call_terminated", ["reason": "caller"]),
      ]
      for (i, (type, fields)) in record.enumerated() { gateway.store.append(event(i + 1, type: type, fields: fields)) }
      let trace = try await gateway.get("/v1/calls/S1/trace").json
      guard case .list(let turns)? = trace["turns"] else { return #expect(Bool(false), "no turns") }
      #expect(turns.map { $0["input"]?["text"] } == [nil, "printer", "1"])
      #expect(turns[1]["latency"]?["total_ms"] == 420)
      #expect(turns[1]["at_ms"] == 2000)
      #expect(trace["summary"]?["worst_latency_ms"] == 420)
      guard case .list(let steps)? = turns[1]["steps"] else { return #expect(Bool(false), "no steps") }
      #expect(steps.map { $0["text"] } == ["caller: printer", "a -> b (speech)"])
    }
  }

  @Test func numbersAreKept() async throws {
    try await Gateway.with { gateway async throws in
      func put(_ body: String, _ headers: [(String, String)] = []) async throws -> Answer {
        var request = gateway.request("/v1/numbers/+4930123456", method: .PUT)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(string: body))
        return try await gateway.send(request)
      }
      #expect(try await put("{\"dialog\": \"nobody\"}").status == 422)
      _ = try await gateway.dialogs.keep(
        [DialogDraft(dialog: "menu", source: "x", origin: .api)], publish: false, expecting: nil, nowMs: 0)
      let made = try await put("{\"dialog\": \"menu\"}")
      #expect(made.status == 201 && made.json["number"] == "+4930123456")
      let tag = try #require(made.headers.first(name: "ETag"))
      #expect(try await put("{\"dialog\": \"menu\"}", [("If-None-Match", "*")]).status == 412)
      #expect(try await put("{\"dialog\": \"menu\", \"description\": \"x\"}", [("If-Match", tag)]).status == 200)
      #expect(try await put("{\"dialog\": \"menu\"}", [("If-Match", tag)]).status == 412)
      // A weak tag says only that two things mean the same (RFC 9110 section 13.1.1): not enough to change one.
      let now = try #require(try await gateway.get("/v1/numbers/+4930123456").headers.first(name: "ETag"))
      #expect(try await put("{\"dialog\": \"menu\"}", [("If-Match", "W/\(now)")]).status == 412)
      #expect(try await gateway.get("/v1/numbers").items.map { $0["description"] } == ["x"])
      let gone = try await gateway.send(gateway.request("/v1/numbers/+4930123456", method: .DELETE))
      #expect(gone.status == 204 && gone.text.isEmpty)
      #expect(try await gateway.get("/v1/numbers/+4930123456").status == 404)
      #expect(try await gateway.get("/v1/trunks").items.isEmpty)
    }
  }

  @Test func aBodyThatIsTooLargeIsRefused() async throws {
    try await Gateway.with { gateway async throws in
      let answer = try await gateway.post(
        "/v1/calls/S1/tts", "{\"text\": \"\(String(repeating: "a", count: 70_000))\"}")
      #expect(answer.status == 413)
    }
  }

  // MARK: The server

  @Test func aPortInUseIsOneSentence() async throws {
    try await Gateway.with { gateway async throws in
      var settings = IntegrationConfiguration(settings: .init(), tokens: [])
      settings.settings.listenAddress = "127.0.0.1"
      settings.settings.apiPort = gateway.port
      let second = IntegrationService(
        configuration: settings, eventLog: gateway.store, directory: gateway.store, commands: gateway.bus,
        dialogs: gateway.library, numbers: gateway.numbers, database: try SQLiteDatabase.inMemory(),
        outbound: .loopback, metrics: .init(), group: HTTPClient.defaultEventLoopGroup,
        logger: quiet)
      let error = await #expect(throws: IntegrationError.self) { try await second.start() }
      #expect(error?.description == "the API cannot listen on 127.0.0.1:\(gateway.port): Address already in use")
      await second.stop()
    }
  }
}
