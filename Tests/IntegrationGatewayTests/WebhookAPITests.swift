import AsyncHTTPClient
import Base
import IntegrationGateway
import NIOCore
import NIOHTTP1
import Outbound
import ScriptedServers
import Settings
import Storage
import Telemetry
import Testing

extension WebhookDesk {
  /// Webhooks in memory that may reach the loopback.
  static func forTests() throws -> WebhookDesk {
    let settings = OutboundSettings(allowPrivate: [OutboundRule("127.0.0.0/8")].compactMap { $0 })
    return WebhookDesk(
      store: WebhookStore(try SQLiteDatabase.inMemory()),
      sender: WebhookSender(client: .loopback, product: "Parley/test", nowMs: { WallClock.nowMilliseconds() }),
      timeout: .seconds(5), check: { (url) throws(OutboundError) in try OutboundClient.check(url, settings) })
  }
}

@Suite struct WebhookAPITests {
  private func call(_ gateway: Gateway, _ method: HTTPMethod, _ path: String, _ body: String = "") async throws
    -> Answer
  {
    var request = gateway.request(path, method: method)
    if !body.isEmpty {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: body))
    }
    return try await gateway.send(request)
  }

  private func make(_ gateway: Gateway, _ url: String) async throws -> Answer {
    try await call(gateway, .POST, "/v1/webhooks", #"{"url":"\#(url)","event_types":["call_terminated"]}"#)
  }

  @Test func aWebhookIsMadeShownChangedAndForgotten() async throws {
    try await Gateway.with { gateway in
      let made = try await make(gateway, "http://127.0.0.1:9/in")
      #expect(made.status == 201, "\(made.text)")
      let id = made.json["id"]?.stringValue ?? ""
      #expect(made.headers.first(name: "Location") == "/v1/webhooks/\(id)")
      #expect(made.json["secret"]?.stringValue?.hasPrefix("whsec_") == true)
      #expect(made.json["secret"]?.stringValue?.utf8.count == 70)

      let shown = try await gateway.get("/v1/webhooks/\(id)")
      #expect(shown.status == 200 && shown.json["secret"] == nil, "the secret is shown once")
      #expect(!shown.text.contains("whsec_"))
      #expect(shown.json["event_types"] == ["call_terminated"] && shown.json["waiting"] == 0)

      let changed = try await call(
        gateway, .PATCH, "/v1/webhooks/\(id)",
        #"{"event_types":[],"dialog_name":"helpdesk","rate_per_second":5,"enabled":false}"#)
      #expect(changed.status == 200, "\(changed.text)")
      #expect(changed.json["event_types"] == [] && changed.json["rate_per_second"]?.doubleValue == 5)
      #expect(changed.json["enabled"] == false && changed.json["url"] == "http://127.0.0.1:9/in")
      let unlimited = try await call(gateway, .PATCH, "/v1/webhooks/\(id)", #"{"rate_per_second":0,"dialog_name":""}"#)
      #expect(unlimited.json["rate_per_second"] == .null && unlimited.json["dialog_name"] == "")

      #expect(try await call(gateway, .DELETE, "/v1/webhooks/\(id)").status == 200)
      for path in ["", "/deliveries", "/dead-letters"] {
        #expect(try await gateway.get("/v1/webhooks/\(id)\(path)").status == 404)
      }
      for path in ["/rotate-secret", "/test", "/dead-letters/1/replay"] {
        #expect(try await gateway.post("/v1/webhooks/\(id)\(path)", "").status == 404)
      }
      #expect(try await call(gateway, .DELETE, "/v1/webhooks/\(id)").status == 404)
      #expect(try await call(gateway, .PATCH, "/v1/webhooks/\(id)", #"{"enabled":true}"#).status == 404)
    }
  }

  @Test(arguments: [
    (#"{}"#, 400, "`url` is missing"), (#"{"url":"ftp://example.com/"}"#, 422, "url"),
    (#"{"url":"http://10.1.2.3/"}"#, 422, "allow_private"), (#"{"url":"http://169.254.169.254/"}"#, 422, "url"),
    (#"{"url":"http://user:pw@example.com/"}"#, 422, "url"),
    (#"{"url":"https://example.com/","event_types":["call_endet"]}"#, 400, "unknown"),
    (#"{"url":"https://example.com/","rate_per_second":-1}"#, 400, "between"),
    (#"{"url":"https://example.com/","description":"\u0000"}"#, 422, "description"),
    (#"{"url":"https://example.com/","secret":"mine"}"#, 400, "unknown key"),
    (#"{"url":"\#(String(repeating: "x", count: 3000))"}"#, 400, "at most 2048"),
  ]) func whatCannotBeAWebhookIsRefused(_ body: String, _ status: Int, _ word: String) async throws {
    try await Gateway.with { gateway in
      let answer = try await gateway.post("/v1/webhooks", body)
      #expect(answer.status == status && answer.text.contains(word), "\(answer.status) \(answer.text)")
      #expect(try await gateway.get("/v1/webhooks").items.isEmpty)
    }
  }

  @Test func pagesHoldEveryWebhookOnce() async throws {
    try await Gateway.with { gateway in
      for number in 0..<5 { _ = try await make(gateway, "http://127.0.0.1:9/\(number)") }
      var urls: [String] = []
      var cursor: String?
      repeat {
        let page = try await gateway.get("/v1/webhooks?limit=2" + (cursor.map { "&cursor=\($0)" } ?? ""))
        urls += page.items.compactMap { $0["url"]?.stringValue }
        cursor = page.json["next_cursor"]?.stringValue
      } while cursor != nil
      #expect(Set(urls).count == 5 && urls.count == 5)
    }
  }

  @Test func aTestReachesTheReceiverOnceAndSaysWhatCameBack() async throws {
    let receiver = ScriptedHTTPServer { request in
      request.uri == "/bad"
        ? ScriptedHTTPServer.Step.answer(500, "out of order") : ScriptedHTTPServer.Step.answer(200, "fine")
    }
    let port = try await receiver.start()
    try await Gateway.with { gateway in
      let good = try await make(gateway, "http://127.0.0.1:\(port)/good")
      let bad = try await make(gateway, "http://127.0.0.1:\(port)/bad")
      func test(_ made: Answer) async throws -> Answer {
        try await gateway.post("/v1/webhooks/\(made.json["id"]?.stringValue ?? "")/test", "")
      }
      let first = try await test(good)
      #expect(
        first.status == 200 && first.json["delivered"] == true && first.json["response"] == "fine", "\(first.text)")
      let second = try await test(bad)
      #expect(second.status == 200 && second.json["delivered"] == false && second.json["status"] == 500)
      #expect(second.json["response"] == "out of order")
      #expect(receiver.requests.map(\.uri) == ["/good", "/bad"], "no other webhook, and no second attempt")

      let request = try #require(receiver.requests.first)
      let secret = Secret(good.json["secret"]?.stringValue ?? "")
      let stamp = request.header("X-Parley-Timestamp").flatMap { Int64($0) } ?? 0
      let signature = request.header(PayloadSignature.header) ?? ""
      #expect(PayloadSignature(secrets: [secret]).accepts(signature, body: Array(request.body.utf8), now: stamp))
      #expect(request.header("X-Parley-Event") == "webhook_test" && request.json["type"] == "webhook_test")

      let history = try await gateway.get("/v1/webhooks/\(bad.json["id"]?.stringValue ?? "")/deliveries").items
      #expect(history.count == 1 && history.first?["status"] == 500 && history.first?["outcome"] == "failed")
    }
    await receiver.stop()
  }

  @Test func rotationKeepsTheOldSecretForAsLongAsAskedFor() async throws {
    let receiver = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "") }
    let port = try await receiver.start()
    try await Gateway.with { gateway in
      let made = try await make(gateway, "http://127.0.0.1:\(port)/")
      let id = made.json["id"]?.stringValue ?? ""
      let rotated = try await gateway.post("/v1/webhooks/\(id)/rotate-secret", #"{"overlap_seconds":600}"#)
      #expect(
        rotated.status == 200 && rotated.json["previous_secret_valid_until"]?.stringValue != nil, "\(rotated.text)")
      _ = try await gateway.post("/v1/webhooks/\(id)/test", "")
      let last = try await gateway.post("/v1/webhooks/\(id)/rotate-secret", #"{"overlap_seconds":0}"#)
      #expect(last.json["previous_secret_valid_until"] == .null)
      _ = try await gateway.post("/v1/webhooks/\(id)/test", "")
      func accepted(_ number: Int, _ made: Answer) -> Bool {
        let request = receiver.requests[number]
        return PayloadSignature(secrets: [Secret(made.json["secret"]?.stringValue ?? "")]).accepts(
          request.header(PayloadSignature.header) ?? "", body: Array(request.body.utf8),
          now: request.header("X-Parley-Timestamp").flatMap { Int64($0) } ?? 0)
      }
      #expect(receiver.requests.count == 2)
      #expect(accepted(0, made) && accepted(0, rotated) && !accepted(0, last))
      #expect(!accepted(1, made) && !accepted(1, rotated) && accepted(1, last))
      #expect(try await gateway.post("/v1/webhooks/\(id)/rotate-secret", #"{"overlap_seconds":9999999}"#).status == 400)
    }
    await receiver.stop()
  }
}
