import Base
import HTTPTypes
import Storage
import Telemetry

// Which dialog answers at which number, and the trunks that calls come by.

extension CallAPI {
  var numberRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/numbers", summary: "The numbers, and the dialogs that answer there",
        query: [Self.limit, Self.cursor], answer: "A page of numbers", result: Self.page(of: Self.numberShape),
        handle: listNumbers),
      APIRoute(
        method: .get, path: "/v1/numbers/{number}", summary: "One number", answer: "The number",
        result: Self.numberShape, hasTag: true, handle: showNumber),
      APIRoute(
        method: .put, path: "/v1/numbers/{number}", summary: "Let a dialog answer at a number, from the next call on",
        roles: [.developer],
        body: [
          APIRoute.Field(
            name: "dialog", kind: .string, explanation: "A dialog of yours", isRequired: true, length: 1...64,
            syntax: .name, example: "helpdesk"),
          APIRoute.Field(
            name: "description", kind: .string, explanation: "For people", fallback: "", length: 0...200),
        ], answer: "The number", result: Self.numberShape, statuses: [.ok, .created], hasTag: true,
        isConditional: true, handle: putNumber),
      APIRoute(
        method: .delete, path: "/v1/numbers/{number}", summary: "Let nobody answer at a number", roles: [.developer],
        answer: "It is gone", statuses: [.noContent], isConditional: true, handle: deleteNumber),
      APIRoute(
        method: .get, path: "/v1/trunks", summary: "The trunks that calls come and go by",
        query: [Self.limit, Self.cursor], answer: "A page of trunks; this version has none",
        result: Self.page(
          of: .init(
            name: "Trunk", fields: [.init(name: "name", kind: .string, explanation: "Its name", isRequired: true)])),
        handle: { _ in Self.page([], next: nil) }),
    ]
  }

  private static let numberShape = APIRoute.Shape(
    name: "Number",
    fields: [
      .init(
        name: "number", kind: .string, explanation: "As calls name it", isRequired: true, example: "+4930123456"),
      .init(name: "dialog", kind: .string, explanation: "What answers", isRequired: true),
      .init(name: "description", kind: .string, explanation: "For people", isRequired: true),
      .init(name: "created_at", kind: .string, explanation: "When it was made", isRequired: true, syntax: .dateTime),
      .init(
        name: "updated_at", kind: .string, explanation: "When it was last changed", isRequired: true, syntax: .dateTime),
    ])

  private static func value(_ record: NumberRecord) -> Value {
    [
      "number": .string(record.number), "dialog": .string(record.dialog), "description": .string(record.description),
      "created_at": .time(record.createdAtMs),
      "updated_at": .time(record.updatedAtMs),
    ]
  }

  private func listNumbers(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let records = try await numbers.numbers(
      tenant: request.principal.tenant, limit: limit + 1, after: request.text("cursor"))
    return Self.page(
      records.prefix(limit).map(Self.value), next: records.count > limit ? records[limit - 1].number : nil)
  }

  private func number(_ request: APIRequest) async throws -> NumberRecord {
    let number = request.path["number"] ?? ""
    guard let record = try await numbers.number(number, tenant: request.principal.tenant) else {
      throw APIProblem(.notFound, "no_such_number", "there is no number `\(number)`")
    }
    return record
  }

  private func showNumber(_ request: APIRequest) async throws -> APIAnswer {
    .json(Self.value(try await number(request)))
  }

  private func putNumber(_ request: APIRequest) async throws -> APIAnswer {
    let number = request.path["number"] ?? "", tenant = request.principal.tenant
    let before = try await numbers.number(number, tenant: tenant)
    _ = try EntityTag.heedConditions(request.headers, tag: before.map { EntityTag.of(Self.value($0)) })
    let dialog = request.text("dialog") ?? ""
    guard try await dialogs.scoped(to: tenant).dialog(dialog) != nil else {
      throw APIProblem(.unprocessableContent, "no_such_dialog", "there is no dialog `\(dialog)` to answer there")
    }
    let record = try await numbers.put(
      number, tenant: tenant, dialog: dialog, description: request.text("description") ?? "",
      nowMs: WallClock.nowMilliseconds())
    return .json(Self.value(record), status: before == nil ? .created : .ok)
  }

  private func deleteNumber(_ request: APIRequest) async throws -> APIAnswer {
    let record = try await number(request)
    _ = try EntityTag.heedConditions(request.headers, tag: EntityTag.of(Self.value(record)))
    _ = try await numbers.remove(record.number, tenant: request.principal.tenant)
    return .nothing
  }
}
