import Base
import HTTPTypes
import Storage

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
        ], answer: "A page of tokens", result: Self.page(of: TokenShape.token), handle: listTokens),
      APIRoute(
        method: .post, path: "/v1/tokens", summary: "Make a token. It is shown this once", roles: [],
        body: [
          APIRoute.Field(
            name: "name", kind: .string,
            explanation: "What it is for, for people", isRequired: true, length: 1...TokenLimits.nameCharacters),
          APIRoute.Field(
            name: "roles", kind: .strings, explanation: "What it may do", isRequired: true,
            choices: Role.allCases.map(\.rawValue), count: 1...Role.allCases.count),
          APIRoute.Field(
            name: "expires_in_seconds", kind: .integer, explanation: "Absent: it does not expire",
            range: 1...Double(TokenRoutes.longestSeconds)),
          Self.tenant,
        ], answer: "The token itself, and what GET shows of it", result: TokenShape.newToken, statuses: [.created],
        hasSecret: true, handle: makeToken),
      APIRoute(
        method: .get, path: "/v1/tokens/{id}", summary: "One token, without itself", roles: [], query: [Self.tenant],
        answer: "The token, without itself", result: TokenShape.token, handle: showToken),
      APIRoute(
        method: .delete, path: "/v1/tokens/{id}", summary: "Refuse a token from now on", roles: [],
        query: [Self.tenant], answer: "The token, revoked", result: TokenShape.token, handle: revokeToken),
    ]
  }

  private static let tenant = APIRoute.Field(
    name: "tenant", kind: .string, explanation: "Another tenant than one's own; for admins of `default`",
    length: 1...64,
    syntax: APIRoute.Syntax(
      pattern: "^[a-z0-9][a-z0-9_-]*$", words: "lower-case letters, digits, `-` and `_`, a letter or digit first",
      fits: Tenant.isName))

  private func listTokens(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let records = try await tokenStore.tokens(
      tenant: try tenant(of: request), after: request.text("cursor"), limit: limit + 1)
    return Self.page(
      records.prefix(limit).map { .map($0.shown) },
      next: records.count > limit ? records[limit - 1].id : nil)
  }

  private func makeToken(_ request: APIRequest) async throws -> APIAnswer {
    var roles: Set<Role> = []
    if case .list(let names)? = request.body["roles"] {
      roles = Set(names.compactMap { $0.stringValue.flatMap(Role.init) })
    }
    let name = request.text("name") ?? ""
    let nowMs = configuration.access.nowMs()
    let made = try await tokenStore.make(
      TokenDraft(
        tenant: try tenant(of: request), name: name, roles: roles, createdBy: request.principal.id,
        expiresAtMs: request.integer("expires_in_seconds").map { nowMs + Int64($0) * 1000 }), nowMs: nowMs)
    var members = made.record.shown
    members["token"] = .string(made.token)
    return .json(.map(members), status: .created, headers: [.location: "/v1/tokens/\(made.record.id)"])
  }

  private func showToken(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? ""
    guard let record = try await tokenStore.token(id, tenant: try tenant(of: request)) else { throw noToken(id) }
    return .json(.map(record.shown))
  }

  private func revokeToken(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? ""
    let record = try await tokenStore.revoke(
      id, tenant: try tenant(of: request), nowMs: configuration.access.nowMs())
    guard let record else { throw noToken(id) }
    return .json(.map(record.shown))
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
    return wanted
  }
}

enum TokenRoutes {
  /// Ten years.
  static let longestSeconds = 10 * 366 * 86_400
}

enum TokenShape {
  static let token = APIRoute.Shape(name: "Token", fields: fields)
  static let newToken = APIRoute.Shape(
    name: "NewToken",
    fields: [.init(name: "token", kind: .string, explanation: "The token, shown this once", isRequired: true)] + fields)

  private static let fields: [APIRoute.Field] = [
    .init(name: "id", kind: .string, explanation: "Its name in paths and in the audit log", isRequired: true),
    .init(name: "name", kind: .string, explanation: "What it is for", isRequired: true),
    .init(name: "tenant", kind: .string, explanation: "Whose it is", isRequired: true),
    .init(
      name: "roles", kind: .strings, explanation: "What it may do", isRequired: true,
      choices: Role.allCases.map(\.rawValue)),
    .init(name: "created_by", kind: .string, explanation: "Who made it", isRequired: true),
    .init(
      name: "created_at", kind: .string, explanation: "When", isRequired: true, syntax: .dateTime, isNullable: true),
    .init(
      name: "expires_at", kind: .string, explanation: "null: never", isRequired: true, syntax: .dateTime,
      isNullable: true),
    .init(
      name: "last_used_at", kind: .string, explanation: "To the hour; null: never", isRequired: true,
      syntax: .dateTime, isNullable: true),
    .init(
      name: "revoked_at", kind: .string, explanation: "null: it was not", isRequired: true, syntax: .dateTime,
      isNullable: true),
  ]
}
