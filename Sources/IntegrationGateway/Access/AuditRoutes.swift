import Base
import HTTPTypes
import Storage

extension CallAPI {
  var auditRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/audit", summary: "Who did what, newest first", roles: [],
        query: [
          Self.limit,
          APIRoute.Field(
            name: "cursor", kind: .integer, explanation: "The `next_cursor` of the page before",
            range: 1...9_007_199_254_740_991),
          APIRoute.Field(name: "actor", kind: .string, explanation: "Only what this token or subject did"),
          APIRoute.Field(
            name: "action", kind: .string, explanation: "Only this: `POST /v1/calls/{id}/hangup`, `hook`"),
          APIRoute.Field(
            name: "outcome", kind: .string, explanation: "Only what came out so",
            choices: AuditRecord.Outcome.allCases.map(\.rawValue)),
          APIRoute.Field(
            name: "from", kind: .string, explanation: "Not before this time (RFC 3339)", syntax: .dateTime),
          APIRoute.Field(name: "to", kind: .string, explanation: "Before this time (RFC 3339)", syntax: .dateTime),
        ],
        answer: "A page of what was done", result: Self.page(of: AuditShape.record), handle: listAudit)
    ]
  }

  private func listAudit(_ request: APIRequest) async throws -> APIAnswer {
    guard let trail = configuration.access.trail else {
      throw APIProblem(.conflict, "unsupported", "this gateway keeps no audit log (security.audit.enabled)")
    }
    // Whoever did something and then looks must find it.
    await configuration.access.audit?.flush()
    var query = AuditStore.Query(tenant: request.principal.tenant)
    query.actor = request.text("actor") ?? ""
    query.action = request.text("action") ?? ""
    query.outcome = request.text("outcome").flatMap(AuditRecord.Outcome.init)
    query.fromMs = request.text("from").flatMap(Timestamp.milliseconds(rfc3339:))
    query.toMs = request.text("to").flatMap(Timestamp.milliseconds(rfc3339:))
    let before = request.integer("cursor").map { Int64($0) }
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let records = try await trail.records(query, before: before, limit: limit + 1)
    return Self.page(
      records.prefix(limit).map(Self.value), next: records.count > limit ? String(records[limit - 1].sequence) : nil)
  }

  private static func value(_ record: AuditRecord) -> Value {
    [
      "sequence": .int(record.sequence), "at": .time(record.atMs),
      "actor": .string(record.actor), "tenant": .string(record.tenant), "action": .string(record.action),
      "object": .string(record.object), "outcome": .string(record.outcome.rawValue),
      "status": .int(Int64(record.status)), "peer": .string(record.peer), "request_id": .string(record.requestID),
      "details": .map(record.details),
    ]
  }
}

enum AuditShape {
  static let record = APIRoute.Shape(
    name: "AuditRecord",
    fields: [
      .init(name: "sequence", kind: .integer, explanation: "From 1 without gaps, over all tenants", isRequired: true),
      .init(name: "at", kind: .string, explanation: "When", isRequired: true, syntax: .dateTime),
      .init(name: "actor", kind: .string, explanation: "The token or subject", isRequired: true),
      .init(name: "tenant", kind: .string, explanation: "Whose thing it was done to", isRequired: true),
      .init(name: "action", kind: .string, explanation: "Method and route, or what else it was", isRequired: true),
      .init(name: "object", kind: .string, explanation: "What it was done to", isRequired: true),
      .init(
        name: "outcome", kind: .string, explanation: "What came of it", isRequired: true,
        choices: AuditRecord.Outcome.allCases.map(\.rawValue)),
      .init(name: "status", kind: .integer, explanation: "Of the answer; 0: there was none", isRequired: true),
      .init(name: "peer", kind: .string, explanation: "The address it came from", isRequired: true),
      .init(name: "request_id", kind: .string, explanation: "`X-Request-Id`", isRequired: true),
      .init(name: "details", kind: .object, explanation: "More, without secrets", isRequired: true),
    ])
}
