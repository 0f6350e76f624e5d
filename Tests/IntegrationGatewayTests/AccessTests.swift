import AsyncHTTPClient
import Base
import CallLink
import IntegrationGateway
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Settings
import Storage
import Telemetry
import Testing

/// Who may use the API, over a real socket.
@Suite struct AccessTests {
  /// Tokens and an audit log in a database in memory, and a clock that tests move.
  private struct Doorkeeper {
    let database: SQLiteDatabase
    let store: TokenStore
    let audit: AuditLog
    let nowMs = NIOLockedValueBox<Int64>(1_800_000_000_000)
    var access: APIAccess

    init(perSecond: Double = 0, burst: Int = 1) throws {
      database = try SQLiteDatabase.inMemory()
      store = TokenStore(database)
      let nowMs = nowMs
      let now: @Sendable () -> Int64 = { nowMs.withLockedValue { $0 } }
      audit = AuditLog(database, headFile: nil, now: now, logger: quiet)
      var rate = SecuritySettings.RateLimit()
      rate.requestsPerSecond = perSecond
      rate.burst = burst
      var owner = SecuritySettings.APIToken(token: Secret(Gateway.token))
      owner.name = "owner"
      access = APIAccess(tokens: [owner], rateLimit: rate)
      access.store = store
      access.audit = audit
      access.trail = AuditStore(database)
      access.nowMs = now
    }

    func token(_ roles: Role..., tenant: String = "default", expiresInMs: Int64? = nil) async throws -> String {
      let now = nowMs.withLockedValue { $0 }
      return try await store.make(
        TokenDraft(
          tenant: tenant, name: "test", roles: Set(roles), createdBy: "test", expiresAtMs: expiresInMs.map { now + $0 }),
        nowMs: now
      ).token
    }

    func trail(_ tenant: String = "default") async throws -> [AuditRecord] {
      await audit.flush()
      return try await AuditStore(database).records(AuditStore.Query(tenant: tenant), limit: 1000)
    }
  }

  private func make(_ gateway: Gateway, _ body: String, token: String = Gateway.token) async throws -> Answer {
    var request = gateway.request("/v1/tokens", method: .POST, token: token)
    request.headers.add(name: "Content-Type", value: "application/json")
    request.body = .bytes(ByteBuffer(string: body))
    return try await gateway.send(request)
  }

  private func status(_ gateway: Gateway, _ path: String, _ token: String?, _ method: HTTPMethod = .GET) async throws
    -> Int
  {
    try await gateway.send(gateway.request(path, method: method, token: token)).status
  }

  // MARK: Tokens

  @Test func aTokenIsMadeShownOnceUsedAndRevoked() async throws {
    let keeper = try Doorkeeper()
    try await Gateway.with(access: keeper.access) { gateway async throws in
      let made = try await make(gateway, #"{"name": "dashboard", "roles": ["viewer"], "expires_in_seconds": 3600}"#)
      #expect(made.status == 201)
      let token = try #require(made.json["token"]?.stringValue), id = try #require(made.json["id"]?.stringValue)
      #expect(made.headers.first(name: "Location") == "/v1/tokens/\(id)")
      #expect(made.json["roles"] == ["viewer"])
      #expect(made.json["tenant"] == "default")
      #expect(made.json["created_by"] == "owner")
      #expect(try await status(gateway, "/v1/calls", token) == 200)

      for shown in [try await gateway.get("/v1/tokens/\(id)"), try await gateway.get("/v1/tokens")] {
        #expect(shown.status == 200)
        #expect(!shown.text.contains(token) && !shown.text.contains(String(token.dropFirst(7))))
      }
      #expect(try await gateway.get("/v1/tokens").items.map { $0["id"] } == [.string(id)])

      let revoked = try await gateway.send(gateway.request("/v1/tokens/\(id)", method: .DELETE))
      #expect(revoked.status == 200 && revoked.json["revoked_at"] != .null)
      #expect(try await status(gateway, "/v1/calls", token) == 401, "at once")
    }
  }

  @Test func aTokenExpires() async throws {
    let keeper = try Doorkeeper()
    let token = try await keeper.token(.viewer, expiresInMs: 60_000)
    try await Gateway.with(access: keeper.access) { gateway async throws in
      #expect(try await status(gateway, "/v1/calls", token) == 200)
      keeper.nowMs.withLockedValue { $0 += 60_000 }
      #expect(try await status(gateway, "/v1/calls", token) == 401)
    }
  }

  @Test(arguments: [
    #"{"roles": ["viewer"]}"#, #"{"name": "x"}"#, #"{"name": "x", "roles": []}"#, #"{"name": "x", "roles": ["root"]}"#,
    #"{"name": "x", "roles": "viewer"}"#, #"{"name": "", "roles": ["viewer"]}"#,
    #"{"name": "x", "roles": ["viewer"], "tenant": "No Such"}"#,
    #"{"name": "x", "roles": ["viewer"], "expires_in_seconds": 0}"#,
  ])
  func aWrongDraftIsExplained(body: String) async throws {
    try await Gateway.with(access: try Doorkeeper().access) { gateway async throws in
      let answer = try await make(gateway, body)
      #expect(answer.status == 400, "\(body): \(answer.text)")
      #expect(try await gateway.get("/v1/tokens").items.isEmpty)
    }
  }

  @Test func whateverIsWrongWithATokenTheAnswerIsTheSame() async throws {
    let keeper = try Doorkeeper()
    let expired = try await keeper.token(.viewer, expiresInMs: 1), revoked = try await keeper.token(.viewer)
    let record = try #require(try await keeper.store.find(revoked, nowMs: 1_800_000_000_000))
    _ = try await keeper.store.revoke(record.id, tenant: "default", nowMs: 1)
    keeper.nowMs.withLockedValue { $0 += 10 }
    try await Gateway.with(access: keeper.access) { gateway async throws in
      var texts: Set<String> = []
      for token in [
        expired, revoked, "parley_" + String(repeating: "0", count: 64), "a.b.c", "x",
        String(repeating: "x", count: 9000),
      ] {
        let answer = try await gateway.send(gateway.request("/v1/calls", token: token))
        #expect(answer.status == 401)
        #expect(answer.headers.first(name: "WWW-Authenticate") == "Bearer realm=\"parley\", error=\"invalid_token\"")
        texts.insert(answer.json["detail"]?.stringValue ?? "")
      }
      #expect(texts.count == 1)
    }
  }

  @Test(.timeLimit(.minutes(1))) func anEventStreamEndsWithItsToken() async throws {
    let keeper = try Doorkeeper()
    let revoked = try await keeper.token(.viewer), expiring = try await keeper.token(.viewer, expiresInMs: 60_000)
    try await Gateway.with(access: keeper.access, keepAlive: .milliseconds(20)) { gateway async throws in
      let response = try await HTTPClient.shared.execute(
        gateway.request("/v1/calls/events", token: revoked), timeout: .seconds(60))
      let stream = EventReader(response.body)
      #expect(try await stream.untilLive().isEmpty)
      let socket = try await SocketPeer(gateway, "/v1/calls/events", token: expiring)
      #expect(await socket.message()?.text == "{\"control\":\"live\"}")

      let record = try #require(try await keeper.store.find(revoked, nowMs: keeper.nowMs.withLockedValue { $0 }))
      _ = try await keeper.store.revoke(record.id, tenant: "default", nowMs: 1)
      var last: String?
      while let block = try await stream.next() { last = block.comment }
      #expect(last == "the token is not valid any more")

      keeper.nowMs.withLockedValue { $0 += 60_000 }
      #expect(await socket.message()?.code == 1008)
    }
  }

  @Test(.timeLimit(.minutes(1))) func aStreamOfSoundEndsWithItsToken() async throws {
    let keeper = try Doorkeeper()
    let expiring = try await keeper.token(.developer, expiresInMs: 60_000)
    try await Gateway.with(access: keeper.access, keepAlive: .milliseconds(20)) { gateway async throws in
      gateway.service.connect(FakeDesk())
      let socket = try await SocketPeer(gateway, "/v1/speech/stream", token: expiring)
      try await socket.send("{}")
      #expect(await socket.message()?.text.contains("\"ready\"") == true)
      keeper.nowMs.withLockedValue { $0 += 60_000 }
      #expect(await socket.message()?.text.contains("not valid any more") == true)
      #expect(await socket.message()?.code == 1008)
    }
  }

  // MARK: Roles and tenants

  @Test func aRoleThatDoesNotDoIsNamed() async throws {
    let keeper = try Doorkeeper()
    let viewer = try await keeper.token(.viewer)
    try await Gateway.with(access: keeper.access) { gateway async throws in
      let answer = try await gateway.send(gateway.request("/v1/calls/S1/hangup", method: .POST, token: viewer))
      #expect(answer.status == 403)
      #expect(answer.json["detail"]?.stringValue?.contains("admin or operator") == true)
      #expect(answer.json["detail"]?.stringValue?.contains("viewer") == true)
      #expect(answer.headers.first(name: "WWW-Authenticate")?.contains("insufficient_scope") == true)
    }
  }

  @Test func ofAnotherTenantsTokensNothingIsSeen() async throws {
    let keeper = try Doorkeeper()
    let acme = try await keeper.token(.admin, tenant: "acme")
    try await Gateway.with(access: keeper.access) { gateway async throws in
      let own = try #require(
        try await make(gateway, #"{"name": "own", "roles": ["viewer"]}"#).json["id"]?.stringValue)
      #expect(try await gateway.send(gateway.request("/v1/tokens", token: acme)).items.map { $0["tenant"] } == ["acme"])
      #expect(try await status(gateway, "/v1/tokens/\(own)", acme) == 404)
      #expect(try await status(gateway, "/v1/tokens/\(own)", acme, .DELETE) == 404)
      #expect(try await status(gateway, "/v1/tokens?tenant=default", acme) == 403)
      let other = try await make(gateway, #"{"name": "x", "roles": ["viewer"], "tenant": "default"}"#, token: acme)
      #expect(other.status == 403)
      #expect(try await gateway.get("/v1/tokens/\(own)").json["revoked_at"] == .null)
    }
  }

  @Test func anAdminOfTheOwnersTenantMakesTenants() async throws {
    let keeper = try Doorkeeper()
    try await Gateway.with(access: keeper.access) { gateway async throws in
      let made = try await make(gateway, #"{"name": "first", "roles": ["admin"], "tenant": "acme"}"#)
      #expect(made.status == 201 && made.json["tenant"] == "acme")
      let id = try #require(made.json["id"]?.stringValue)
      #expect(try await gateway.get("/v1/tokens").items.isEmpty)
      #expect(try await gateway.get("/v1/tokens?tenant=acme").items.map { $0["id"] } == [.string(id)])
      #expect(try await status(gateway, "/v1/tokens/\(id)?tenant=acme", Gateway.token, .DELETE) == 200)
    }
  }

  // MARK: Limits

  @Test func whoAsksTooOftenIsToldWhen() async throws {
    let keeper = try Doorkeeper(perSecond: 0.001, burst: 2)
    let other = try await keeper.token(.viewer)
    try await Gateway.with(access: keeper.access) { gateway async throws in
      for _ in 1...2 { #expect(try await gateway.get("/v1/calls").status == 200) }
      let refused = try await gateway.get("/v1/calls")
      #expect(refused.status == 429)
      #expect(refused.headers.first(name: "Retry-After").flatMap { Int($0) } ?? 0 > 900)
      #expect(refused.headers.first(name: "RateLimit-Policy") == "\"token\";q=2;w=2000")
      #expect(refused.headers.first(name: "RateLimit")?.hasPrefix("\"token\";r=0;t=") == true)
      #expect(try await status(gateway, "/v1/calls", other) == 200, "each token has its own")
    }
  }

  @Test func whoGuessesTokensIsSlowedAndHoldsNobodyElse() async throws {
    let keeper = try Doorkeeper()
    let token = try await keeper.token(.viewer)
    try await Gateway.with(access: keeper.access) { gateway async throws in
      #expect(try await status(gateway, "/v1/calls", token) == 200)
      var seen: Set<Int> = []
      for i in 0..<300 where !seen.contains(429) {
        seen.insert(try await status(gateway, "/v1/calls", "guess-\(i)-xxxxxxxx"))
      }
      #expect(seen == [401, 429])
      // From the same address, with tokens that are right.
      #expect(try await status(gateway, "/v1/calls", Gateway.token) == 200)
      #expect(try await status(gateway, "/v1/calls", token) == 200)
    }
  }

  // MARK: The audit log

  @Test func changesAndDenialsAreKeptAndReadingIsNot() async throws {
    let keeper = try Doorkeeper()
    let viewer = try await keeper.token(.viewer)
    try await Gateway.with(access: keeper.access) { gateway async throws in
      _ = try await gateway.get("/v1/calls")
      _ = try await gateway.get("/v1/calls/S9")
      #expect(try await keeper.trail().isEmpty)
      _ = try await gateway.post("/v1/calls/S9/hangup", "{}")
      _ = try await gateway.send(
        gateway.request("/v1/calls/S9/hangup?access_token=hidden", method: .POST, token: viewer))
      _ = try await gateway.send(gateway.request("/v1/calls", token: "wrong-token-0123456789"))
      let answer = try await gateway.get("/v1/audit")
      #expect(answer.status == 200)
      let lines = answer.items.map { item in
        ["actor", "action", "object", "outcome"].map { item[$0]?.stringValue ?? "" }.joined(separator: " ")
      }
      let id = try #require(try await keeper.store.tokens(tenant: "default", limit: 1).first?.id)
      #expect(
        lines == [
          " GET /v1/calls /v1/calls denied", "\(id) POST /v1/calls/{id}/hangup /v1/calls/S9/hangup denied",
          "owner POST /v1/calls/{id}/hangup /v1/calls/S9/hangup failed",
        ])
      #expect(answer.items.allSatisfy { $0["peer"] == "127.0.0.1" })
      #expect(!answer.text.contains("hidden") && !answer.text.contains("wrong-token"))
      #expect(try await AuditStore(keeper.database).verify().isIntact)
    }
  }

  @Test func hooksAreKeptWithoutWhatIsSecretInTheirURLs() async throws {
    let keeper = try Doorkeeper()
    let backend = Backend([.answer(200, "{}"), .answer(500, "")])
    let port = try await backend.start()
    var service = IntegrationSettings.Service(url: "http://127.0.0.1:\(port)/base/")
    service.auth = .bearer(token: Secret("hidden-bearer"))
    service.retry.maxAttempts = 1
    var settings = IntegrationSettings()
    settings.services = ["crm": service]
    try await Gateway.with(settings: settings, access: keeper.access, redact: [.phone]) { gateway async throws in
      func ask(_ service: String, url: String = "", path: String = "/on-intent") async {
        let hook = HookRequest(
          session: SessionID("S7"), tenant: "acme", service: service, url: url, path: path, method: "PUT",
          headers: ["X-Key": "hidden-header"], body: ["transcript": "hidden-words"])
        _ = await gateway.service.hooks.perform(hook)
      }
      await ask("crm", path: "customers/+4915112345678/tickets?key=hidden-query#hidden-part")
      await ask("", url: "http://127.0.0.1:\(port)/direct?key=hidden-query")
      await ask("", url: "http://user:hidden-password@127.0.0.1:\(port)/direct?key=hidden-query#hidden-part")

      let kept = Array(try await keeper.trail("acme").reversed())
      #expect(kept.map(\.outcome) == [.ok, .failed, .denied])
      #expect(kept.map(\.status) == [200, 500, 0])
      #expect(
        kept.map(\.object) == [
          "http://127.0.0.1:\(port)/base/customers/[phone]/tickets", "http://127.0.0.1:\(port)/direct",
          "http://127.0.0.1:\(port)/direct",
        ])
      #expect(kept.allSatisfy { $0.actor == "gateway" && $0.action == "hook" && $0.tenant == "acme" })
      #expect(kept.map { $0.details["service"] } == ["crm", "", ""])
      #expect(kept.map { $0.details["error"] } == [nil, "status", "refused"])
      #expect(kept.allSatisfy { $0.details["session_id"] == "S7" && $0.details["method"] == "PUT" })
      #expect(!kept.contains { "\($0)".contains("hidden") })
      #expect(try await keeper.trail("default").isEmpty, "a tenant's hooks are its own")
    }
    try await backend.stop()
  }

  @Test func theAuditLogIsPagedFilteredAndOfOneTenant() async throws {
    let keeper = try Doorkeeper()
    let acme = try await keeper.token(.admin, tenant: "acme")
    try await Gateway.with(access: keeper.access) { gateway async throws in
      for i in 1...5 { _ = try await gateway.post("/v1/calls/S\(i)/hangup", "{}") }
      _ = try await gateway.send(gateway.request("/v1/calls/A1/hangup", method: .POST, token: acme))
      let first = try await gateway.get("/v1/audit?limit=3")
      #expect(
        first.items.map { $0["object"] } == ["/v1/calls/S5/hangup", "/v1/calls/S4/hangup", "/v1/calls/S3/hangup"])
      let cursor = try #require(first.json["next_cursor"]?.stringValue)
      let second = try await gateway.get("/v1/audit?limit=3&cursor=\(cursor)")
      #expect(second.items.map { $0["object"] } == ["/v1/calls/S2/hangup", "/v1/calls/S1/hangup"])
      #expect(second.json["next_cursor"] == .null)
      #expect(try await gateway.get("/v1/audit?outcome=denied").items.isEmpty)
      #expect(try await gateway.get("/v1/audit?from=2100-01-01T00:00:00Z").items.isEmpty)
      #expect(try await gateway.get("/v1/audit?to=2100-01-01T00:00:00Z").items.count == 5)
      for wrong in ["from=yesterday", "cursor=x", "outcome=fine"] {
        #expect(try await gateway.get("/v1/audit?\(wrong)").status == 400)
      }
      let theirs = try await gateway.send(gateway.request("/v1/audit", token: acme))
      #expect(theirs.items.map { $0["object"] } == ["/v1/calls/A1/hangup"])
    }
  }

  @Test func aFloodOfDenialsIsCounted() async throws {
    let keeper = try Doorkeeper()
    let viewer = try await keeper.token(.viewer)
    try await Gateway.with(access: keeper.access) { gateway async throws in
      for _ in 1...400 {
        #expect(try await status(gateway, "/v1/calls/S1/hangup", viewer, .POST) == 403)
      }
      let kept = try await keeper.trail()
      #expect(kept.count < 400)
      #expect(kept.count >= 100)
    }
  }
}
