import Base
import HTTPTypes
import Storage
import Telemetry

// Tokens by the API. Admins only; those of the tenant `default` may look after other tenants, which is how tenants come to be.

extension CallAPI {
  var tokenRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/tokens", summary: "The tokens of a tenant, oldest first", roles: [],
        query: [
          Self.limit,
          APIRoute.Field(name: "cursor", kind: .string, explanation: "The `next_cursor` of the page before"),
          Self.tenant,
        ], answer: "items, next_cursor", handle: listTokens),
      APIRoute(
        method: .post, path: "/v1/tokens", summary: "Make a token. It is shown this once", roles: [],
        body: [
          APIRoute.Field(
            name: "name", kind: .string,
            explanation: "What it is for, for people: 1 to \(TokenLimits.nameCharacters) characters", isRequired: true),
          APIRoute.Field(
            name: "roles", kind: .strings, explanation: "What it may do", isRequired: true,
            choices: Role.allCases.map(\.rawValue)),
          APIRoute.Field(
            name: "expires_in_seconds", kind: .integer, explanation: "Absent: it does not expire",
            range: 1...Double(TokenRoutes.longestSeconds)),
          Self.tenant,
        ], answer: "token, and what GET shows of it", statuses: [.created], hasSecret: true, handle: makeToken),
      APIRoute(
        method: .get, path: "/v1/tokens/{id}", summary: "One token, without itself", roles: [], query: [Self.tenant],
        answer: "id, name, tenant, roles, created_by, created_at, expires_at, last_used_at (to the hour), revoked_at",
        handle: showToken),
      APIRoute(
        method: .delete, path: "/v1/tokens/{id}", summary: "Refuse a token from now on", roles: [],
        query: [Self.tenant], answer: "the token", handle: revokeToken),
    ]
  }

  private static let tenant = APIRoute.Field(
    name: "tenant", kind: .string, explanation: "Another tenant than one's own; for admins of `default`")

  private func listTokens(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let records = try await tokenStore.tokens(
      tenant: try tenant(of: request), after: request.text("cursor"), limit: limit + 1)
    return page(
      records.prefix(limit).map { .map(TokenRoutes.value($0)) },
      next: records.count > limit ? records[limit - 1].id : nil)
  }

  private func makeToken(_ request: APIRequest) async throws -> APIAnswer {
    var roles: Set<Role> = []
    if case .list(let names)? = request.body["roles"] {
      roles = Set(names.compactMap { $0.stringValue.flatMap(Role.init) })
    }
    guard !roles.isEmpty else { throw APIProblem.badRequest("`roles` names at least one role") }
    let name = request.text("name") ?? ""
    guard (1...TokenLimits.nameCharacters).contains(name.count) else {
      throw APIProblem.badRequest("`name` has 1 to \(TokenLimits.nameCharacters) characters")
    }
    let nowMs = configuration.access.nowMs()
    let made = try await tokenStore.make(
      TokenDraft(
        tenant: try tenant(of: request), name: name, roles: roles, createdBy: request.principal.id,
        expiresAtMs: request.integer("expires_in_seconds").map { nowMs + Int64($0) * 1000 }), nowMs: nowMs)
    var members = TokenRoutes.value(made.record)
    members["token"] = .string(made.token)
    return .json(.map(members), status: .created, headers: [.location: "/v1/tokens/\(made.record.id)"])
  }

  private func showToken(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? ""
    guard let record = try await tokenStore.token(id, tenant: try tenant(of: request)) else { throw noToken(id) }
    return .json(.map(TokenRoutes.value(record)))
  }

  private func revokeToken(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? ""
    let record = try await tokenStore.revoke(
      id, tenant: try tenant(of: request), nowMs: configuration.access.nowMs())
    guard let record else { throw noToken(id) }
    return .json(.map(TokenRoutes.value(record)))
  }

  private var tokenStore: TokenStore {
    get throws {
      guard let store = configuration.access.store else {
        throw APIProblem(.conflict, "unsupported", "this gateway keeps no tokens; they stand in its configuration")
      }
      return store
    }
  }

  private func noToken(_ id: String) -> APIProblem {
    APIProblem(.notFound, "no_such_token", "there is no token `\(id)`")
  }

  /// The tenant that a request is about.
  private func tenant(of request: APIRequest) throws -> String {
    let own = request.principal.tenant
    guard let wanted = request.text("tenant"), wanted != own else { return own }
    guard own == Tenant.standard else {
      throw APIProblem(
        .forbidden, "forbidden", "only admins of the tenant `\(Tenant.standard)` look after other tenants")
    }
    guard Tenant.isName(wanted) else {
      throw APIProblem.badRequest(
        "`tenant` has 1 to 64 lower-case letters, digits, `-` and `_`, a letter or digit first")
    }
    return wanted
  }
}

enum TokenRoutes {
  /// Ten years.
  static let longestSeconds = 10 * 366 * 86_400

  static func value(_ record: TokenRecord) -> [String: Value] {
    func time(_ milliseconds: Int64?) -> Value {
      milliseconds.map { .string(WallClock.text(unixMilliseconds: $0)) } ?? .null
    }
    return [
      "id": .string(record.id), "name": .string(record.name), "tenant": .string(record.tenant),
      "roles": .list(Role.allCases.filter(record.roles.contains).map { .string($0.rawValue) }),
      "created_by": .string(record.createdBy), "created_at": time(record.createdAtMs),
      "expires_at": time(record.expiresAtMs), "last_used_at": time(record.lastUsedAtMs),
      "revoked_at": time(record.revokedAtMs),
    ]
  }
}
