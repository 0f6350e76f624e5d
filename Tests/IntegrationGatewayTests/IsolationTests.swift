import AsyncHTTPClient
import Base
import FoundationEssentials
import IntegrationGateway
import NIOCore
import NIOHTTP1
import Settings
import Storage
import Telemetry
import Testing

/// What every route owes to its callers, whatever it does. The routes are those of `GET /openapi.json`, so that one that is added
/// later is tested without a word here; where its path names a new kind of thing, the test asks for one.
@Suite struct IsolationTests {
  private struct Operation: CustomStringConvertible {
    var method: HTTPMethod
    var path: String
    /// nil: everybody, without a token.
    var roles: Set<Role>?
    var body: Value?
    var isStream: Bool
    var description: String { "\(method.rawValue) \(path)" }
    var hasParameters: Bool { path.contains("{") }
  }

  /// Found in everything that belongs to the tenant `acme`.
  private static let mark = "ACMEONLY"
  private static let call = "01\(mark)CALL"
  private static let number = "+49309999"
  private static let dialog = "\(mark)-dialog"

  /// A gateway with two tenants; `acme` has one of everything.
  private func with(
    _ body: (Gateway, [Operation], _ token: (String, Role) -> String, _ things: [String: String]) async throws -> Void
  ) async throws {
    let database = try SQLiteDatabase.inMemory()
    let store = TokenStore(database)
    var access = APIAccess(rateLimit: SecuritySettings.RateLimit())
    access.rateLimit.requestsPerSecond = 0
    access.store = store
    let audit = AuditLog(database, headFile: nil, now: { 1 }, logger: quiet)
    access.audit = audit
    access.trail = AuditStore(database)
    var tokens: [String: String] = [:]
    for tenant in ["acme", "rival"] {
      for role in Role.allCases {
        tokens["\(tenant) \(role)"] = try await store.make(
          TokenDraft(
            tenant: tenant, name: tenant == "acme" ? Self.mark : "other", roles: [role], createdBy: "test"),
          nowMs: WallClock.nowMilliseconds()
        ).token
      }
    }
    let tokenID = try #require(try await store.tokens(tenant: "acme", limit: 1).first?.id)
    audit.record(tenant: "acme", actor: Self.mark, action: "test")
    let found = tokens
    try await Gateway.with(access: access) { gateway async throws in
      var summary = IntegrationGatewayTests.call(Self.call)
      summary.tenant = "acme"
      summary.variables = ["secret": .string(Self.mark)]
      gateway.store.put(summary)
      summary.session = SessionID(Self.call + "2")
      summary.state = .ended
      gateway.store.put(summary)
      for number in 1...3 {
        var event = event(number, session: Self.call, type: "speech_final", fields: ["transcript": .string(Self.mark)])
        event.tenant = "acme"
        gateway.store.append(event)
      }
      await gateway.store.flush()
      let admin = try #require(found["acme admin"])
      var put = gateway.request("/v1/dialogs/\(Self.dialog)", method: .PUT, token: admin)
      put.headers.add(name: "Content-Type", value: "application/json")
      put.body = .bytes(ByteBuffer(string: JSON.encode(["source": .string(Self.source)])))
      #expect(try await gateway.send(put).status == 201)
      var hook = gateway.request("/v1/webhooks", method: .POST, token: admin)
      hook.headers.add(name: "Content-Type", value: "application/json")
      hook.body = .bytes(
        ByteBuffer(string: JSON.encode(["url": "http://127.0.0.1:9/", "description": .string(Self.mark)])))
      let webhook = try await gateway.send(hook)
      var number = gateway.request("/v1/numbers/\(Self.number)", method: .PUT, token: admin)
      number.headers.add(name: "Content-Type", value: "application/json")
      number.body = .bytes(
        ByteBuffer(string: JSON.encode(["dialog": .string(Self.dialog), "description": .string(Self.mark)])))
      #expect(try await gateway.send(number).status == 201)
      gateway.service.connect(FakeDesk())
      let webhookID = try #require(webhook.json["id"]?.stringValue, "\(webhook.text)")
      try await body(
        gateway, try operations(try await gateway.get("/openapi.json").json), { found["\($0) \($1)"] ?? "" },
        [
          "calls": Self.call, "dialogs": Self.dialog, "tokens": tokenID, "webhooks": webhookID, "dead-letters": "1",
          // Models are everybody's; one that does not exist is as good as another's.
          "numbers": Self.number, "models": "none-such",
        ])
    }
  }

  private static let source = """
    name: \(dialog)
    states:
      start:
        on_enter: [ { action: play_tts, text: "\(mark)" } ]
        end: true
    """

  // MARK: The rules

  @Test func withoutATokenNothingOpens() async throws {
    try await with { gateway, operations, _, things async throws in
      for operation in operations where operation.roles != nil {
        for token in [nil, "parley_" + String(repeating: "0", count: 64)] {
          let answer = try await gateway.send(request(gateway, operation, things, token: token))
          #expect([401, 429].contains(answer.status), "\(operation)")
          #expect(!answer.text.contains(Self.mark), "\(operation)")
        }
      }
    }
  }

  @Test func everyRouteTakesItsRolesAndNoOther() async throws {
    try await with { gateway, operations, token, things async throws in
      for operation in operations {
        guard let roles = operation.roles else { continue }
        #expect(roles.contains(.admin), "\(operation)")
        for role in Role.allCases {
          let status = try await status(gateway, request(gateway, operation, things, token: token("rival", role)))
          if roles.contains(role) {
            #expect(status != 401 && status != 403, "\(operation) refuses \(role.rawValue): \(status)")
          } else {
            #expect(status == 403, "\(operation) lets \(role.rawValue) in: \(status)")
          }
        }
      }
    }
  }

  @Test func whatBelongsToAnotherTenantDoesNotExist() async throws {
    try await with { gateway, operations, token, things async throws in
      // A name is free in every tenant: putting one makes a thing of one's own, so that comes last.
      let puts = operations.filter { $0.hasParameters && $0.method == .PUT }
      for operation in operations where operation.hasParameters && operation.method != .PUT {
        let answer = try await gateway.send(request(gateway, operation, things, token: token("rival", .admin)))
        let nowhere = try await gateway.send(
          request(gateway, operation, things.mapValues { _ in "0" }, token: token("rival", .admin)))
        // Or the request is refused before anything is looked for.
        #expect((400..<500).contains(answer.status), "\(operation): \(answer.status) \(answer.text)")
        #expect(answer.status == nowhere.status, "\(operation): a thing of another tenant is told from nothing")
        #expect(!answer.text.replacing(things).contains(Self.mark), "\(operation): \(answer.text)")
      }
      for operation in puts {
        let answer = try await gateway.send(request(gateway, operation, things, token: token("rival", .admin)))
        #expect(!answer.text.replacing(things).contains(Self.mark), "\(operation): \(answer.text)")
      }
      // And nothing of it was touched.
      for path in ["/v1/calls/\(Self.call)", "/v1/dialogs/\(Self.dialog)", "/v1/tokens/\(things["tokens"] ?? "")"] {
        let own = try await gateway.send(gateway.request(path, token: token("acme", .admin)))
        #expect(own.status == 200 && own.text.contains(Self.mark), "\(path): \(own.text)")
      }
      #expect(
        try await gateway.send(gateway.request("/v1/calls", token: token("acme", .viewer))).items.count == 1)
    }
  }

  @Test func listsHoldNothingOfAnotherTenant() async throws {
    try await with { gateway, operations, token, things async throws in
      for operation in operations
      where operation.method == .GET && !operation.hasParameters && operation.roles != nil && !operation.isStream {
        for query in ["", "?state=ended"] where query.isEmpty || operation.path == "/v1/calls" {
          var request = try request(gateway, operation, things, token: token("rival", .admin))
          request.url += query
          let answer = try await gateway.send(request)
          #expect(!answer.text.contains(Self.mark), "\(operation): \(answer.text)")
        }
      }
      // The same lists do hold it for its owner, or they would prove nothing.
      for path in [
        "/v1/calls", "/v1/calls?state=ended", "/v1/dialogs", "/v1/tokens", "/v1/audit", "/v1/webhooks", "/v1/numbers",
      ] {
        let own = try await gateway.send(gateway.request(path, token: token("acme", .admin)))
        #expect(own.text.contains(Self.mark), "\(path)")
      }
    }
  }

  @Test func theEventStreamHoldsNothingOfAnotherTenant() async throws {
    try await with { gateway, _, token, _ async throws in
      for (tenant, count) in [("rival", 0), ("acme", 3)] {
        let request = gateway.request("/v1/calls/events?include_history=true", token: token(tenant, .viewer))
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        let events = try await EventReader(response.body).untilLive()
        #expect(events.filter { $0.data?.contains(Self.mark) == true }.count == count, "\(tenant)")
      }
    }
  }

  @Test func anAnswerThatIsRememberedIsOfItsAskerAlone() async throws {
    try await with { gateway, _, token, _ async throws in
      for (tenant, status) in [("acme", 200), ("rival", 404), ("acme", 200)] {
        var request = gateway.request("/v1/dialogs/\(Self.dialog)/check", method: .POST, token: token(tenant, .admin))
        request.headers.add(name: "Idempotency-Key", value: "the-same")
        let answer = try await gateway.send(request)
        #expect(answer.status == status, "\(tenant): \(answer.text)")
      }
    }
  }

  /// The table of docs/api/access.md. `PARLEY_WRITE_REFERENCE=1` writes it anew.
  @Test func theTableOfRolesIsWhatTheRoutesSay() async throws {
    try await with { _, operations, _, _ async throws in
      var table = "| route | " + Role.allCases.dropFirst().map(\.rawValue).joined(separator: " | ") + " |\n"
      table += "|---|" + Role.allCases.dropFirst().map { _ in "---|" }.joined() + "\n"
      for operation in operations.sorted(by: { ($0.path, $0.method.rawValue) < ($1.path, $1.method.rawValue) }) {
        guard let roles = operation.roles else { continue }
        let marks = Role.allCases.dropFirst().map { roles.contains($0) ? "yes" : "" }
        table += "| \(operation.method.rawValue) `\(operation.path)` | " + marks.joined(separator: " | ") + " |\n"
      }
      let path =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        + "/docs/api/access.md"
      let page = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
      let start = try #require(page.firstRange(of: "<!-- roles -->\n")).upperBound
      let end = try #require(page.firstRange(of: "<!-- /roles -->")).lowerBound
      if ProcessInfo.processInfo.environment["PARLEY_WRITE_REFERENCE"] == "1" {
        try Data((page[..<start] + table + page[end...]).utf8).write(to: URL(filePath: path))
      } else {
        #expect(String(page[start..<end]) == table, "run `make reference`")
      }
    }
  }

  // MARK: Requests made of the description

  private func operations(_ description: Value) throws -> [Operation] {
    guard case .map(let paths)? = description["paths"] else { return [] }
    var found: [Operation] = []
    for (path, methods) in paths.sorted(by: { $0.key < $1.key }) {
      guard case .map(let methods) = methods else { continue }
      for (method, operation) in methods.sorted(by: { $0.key < $1.key }) {
        let isOpen = operation["security"] == .list([])
        var roles: Set<Role>?
        if !isOpen {
          guard case .list(let names)? = operation["x-roles"] else {
            Issue.record("\(method) \(path) names no roles")
            continue
          }
          roles = Set(names.compactMap { $0.stringValue.flatMap(Role.init) })
        }
        let content = operation["responses"]?["200"]?["content"]
        found.append(
          Operation(
            method: HTTPMethod(rawValue: method.uppercased()), path: path, roles: roles,
            body: operation["requestBody"]?["content"]?["application/json"]?["schema"],
            isStream: content?["text/event-stream"] != nil))
      }
    }
    #expect(found.count > 15)
    return found
  }

  private func request(
    _ gateway: Gateway, _ operation: Operation, _ things: [String: String], token: String?
  ) throws -> HTTPClientRequest {
    let segments = operation.path.split(separator: "/").map(String.init)
    var path = ""
    for (i, segment) in segments.enumerated() {
      guard segment.hasPrefix("{") else {
        path += "/\(segment)"
        continue
      }
      let kind = segments[i - 1]
      path += "/" + (try #require(things[kind], "make a thing of `acme` for \(operation.path), under the name \(kind)"))
    }
    var request = gateway.request(path, method: operation.method, token: token)
    if let schema = operation.body {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: JSON.encode(Self.example(schema))))
    }
    return request
  }

  /// The smallest value that a schema takes.
  private static func example(_ schema: Value) -> Value {
    if case .list(let choices)? = schema["enum"], let first = choices.first { return first }
    if let example = schema["example"] { return example }
    if case .list(let examples)? = schema["examples"], let first = examples.first { return first }
    switch schema["type"]?.stringValue {
    case "string": return .string(String(repeating: "x", count: Int(schema["minLength"]?.intValue ?? 1)))
    case "integer", "number": return schema["minimum"] ?? 1
    case "boolean": return true
    case "array": return .list([example(schema["items"] ?? ["type": "string"])])
    case "object":
      var members: [String: Value] = [:]
      if case .list(let names)? = schema["required"] {
        for name in names.compactMap(\.stringValue) {
          members[name] = example(schema["properties"]?[name] ?? [:])
        }
      }
      return .map(members)
    default: return .string("x")
    }
  }

  /// The status alone: a stream has no end.
  private func status(_ gateway: Gateway, _ request: HTTPClientRequest) async throws -> Int {
    Int(try await HTTPClient.shared.execute(request, timeout: .seconds(30)).status.code)
  }
}

extension String {
  /// Without the names that the request itself held.
  fileprivate func replacing(_ things: [String: String]) -> String {
    things.values.filter { $0.utf8.count > 8 }.reduce(self) { text, name in
      text.split(separator: name, omittingEmptySubsequences: false).joined()
    }
  }
}
