import Base
import HTTPTypes
import Storage
import Telemetry

extension CallAPI {
  var auditRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/audit", summary: "Who did what, newest first", roles: [],
        query: [
          Self.limit,
          APIRoute.Field(name: "cursor", kind: .string, explanation: "The `next_cursor` of the page before"),
          APIRoute.Field(name: "actor", kind: .string, explanation: "Only what this token or subject did"),
          APIRoute.Field(
            name: "action", kind: .string, explanation: "Only this: `POST /v1/calls/{id}/hangup`, `hook`"),
          APIRoute.Field(
            name: "outcome", kind: .string, explanation: "Only what came out so",
            choices: AuditRecord.Outcome.allCases.map(\.rawValue)),
          APIRoute.Field(name: "from", kind: .string, explanation: "Not before this time (RFC 3339)"),
          APIRoute.Field(name: "to", kind: .string, explanation: "Before this time (RFC 3339)"),
        ],
        answer:
          "items of sequence, at, actor, tenant, action, object, outcome, status, peer, request_id, details; next_cursor",
        handle: listAudit)
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
    query.fromMs = try time("from", request)
    query.toMs = try time("to", request)
    var before: Int64?
    if let cursor = request.text("cursor") {
      before = Int64(cursor)
      guard before != nil else { throw APIProblem.badRequest("`cursor` is no `next_cursor` of this list") }
    }
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let records = try await trail.records(query, before: before, limit: limit + 1)
    return page(
      records.prefix(limit).map(Self.value), next: records.count > limit ? String(records[limit - 1].sequence) : nil)
  }

  private func time(_ name: String, _ request: APIRequest) throws -> Int64? {
    guard let text = request.text(name) else { return nil }
    guard let milliseconds = RFC3339.unixMilliseconds(text) else {
      throw APIProblem.badRequest("`\(name)` is no time in UTC such as 2026-01-31T23:59:59Z")
    }
    return milliseconds
  }

  private static func value(_ record: AuditRecord) -> Value {
    [
      "sequence": .int(record.sequence), "at": .string(WallClock.text(unixMilliseconds: record.atMs)),
      "actor": .string(record.actor), "tenant": .string(record.tenant), "action": .string(record.action),
      "object": .string(record.object), "outcome": .string(record.outcome.rawValue),
      "status": .int(Int64(record.status)), "peer": .string(record.peer), "request_id": .string(record.requestID),
      "details": .map(record.details),
    ]
  }
}
