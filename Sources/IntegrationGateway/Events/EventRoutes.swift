import Base
import HTTPTypes
import Storage

/// What a reader of events may ask for.
enum EventRoutes {
  static let filters = [
    APIRoute.Field(
      name: "event_types", kind: .strings, explanation: "Only these types, with commas between them",
      choices: EventShape.types),
    APIRoute.Field(name: "session_id", kind: .string, explanation: "Only this call"),
    APIRoute.Field(name: "dialog_name", kind: .string, explanation: "Only calls of this dialog"),
  ]

  static let stream =
    filters + [
      APIRoute.Field(
        name: "include_history", kind: .boolean, explanation: "Begin with the events that are on record",
        fallback: false),
      APIRoute.Field(
        name: "last_event_id", kind: .string,
        explanation: "Resume after this event, where the header `Last-Event-ID` cannot be sent"),
    ]

  static func filter(_ members: [String: Value], tenant: String) -> EventFilter {
    var filter = EventFilter(tenant: tenant)
    if case .list(let items)? = members["event_types"] { filter.types = Set(items.compactMap(\.stringValue)) }
    filter.session = members["session_id"]?.stringValue.map { SessionID($0) }
    filter.dialogName = members["dialog_name"]?.stringValue
    return filter
  }

  static func start(_ request: APIRequest) throws(APIProblem) -> EventStreams.Start {
    let id = request.headers[.lastEventID].flatMap { $0.isEmpty ? nil : $0 } ?? request.text("last_event_id")
    if let id {
      guard (1...64).contains(id.utf8.count) else { throw APIProblem.badRequest("`Last-Event-ID` is no event's id") }
      return .after(id)
    }
    return request.query["include_history"] == .bool(true) ? .beginning : .now
  }
}

extension CallAPI {
  func streamEvents(_ request: APIRequest) async throws -> APIAnswer {
    .stream(
      try await streams.open(
        EventRoutes.filter(request.query, tenant: request.principal.tenant), start: try EventRoutes.start(request),
        channel: request.channel, isWelcome: isWelcome(request)))
  }

  func serveEvents(_ request: APIRequest, _ socket: APISocket) async throws {
    try await streams.serve(
      EventRoutes.filter(request.query, tenant: request.principal.tenant), start: try EventRoutes.start(request),
      socket: socket, isWelcome: isWelcome(request))
  }

  /// Whether the token that opened a stream is still good.
  func isWelcome(_ request: APIRequest) -> @Sendable () async -> Bool {
    let token = request.headers[.authorization], peer = Self.peer(request.channel)
    return { [gate] in await gate.stillAdmits(token, peer: peer) }
  }
}
