import Base
import Dialogs
import HTTPTypes
import Settings
import Storage
import Telemetry

// The routes of the API: one declaration each, from which requests are checked and the description is made.

extension CallAPI {
  var routes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/calls", summary: "Active calls, newest first; or past ones",
        query: [
          Self.limit, Self.cursor,
          APIRoute.Field(
            name: "state", kind: .string, explanation: "Calls that live, or that have ended", fallback: "active",
            choices: ["active", "ended"]),
        ], answer: "items, next_cursor", handle: listCalls),
      APIRoute(
        method: .get, path: "/v1/calls/events", summary: "Events as they happen (server-sent events)",
        query: EventRoutes.stream, answer: "a stream of events; `Last-Event-ID` resumes it without loss",
        isStream: true,
        socket: serveEvents, handle: streamEvents),
      APIRoute(
        method: .get, path: "/v1/calls/{id}", summary: "One call", answer: "the call", handle: showCall),
      APIRoute(
        method: .get, path: "/v1/calls/{id}/transcript", summary: "Who said what, and when",
        answer: "session_id, items of role, text, at", handle: showTranscript),
      APIRoute(
        method: .get, path: "/v1/calls/{id}/events", summary: "The record of a call",
        query: [Self.limit, Self.cursor], answer: "items, next_cursor", handle: listEvents),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/hangup", summary: "End a call",
        body: [
          APIRoute.Field(
            name: "reason", kind: .string, explanation: "Why", fallback: "normal",
            choices: ["normal", "busy", "rejected", "error"])
        ], answer: "call_duration_seconds", handle: hangUp),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/tts", summary: "Say something to the caller",
        body: [
          APIRoute.Field(
            name: "text", kind: .string, explanation: "1 to \(APILimits.speechCharacters) characters", isRequired: true),
          APIRoute.Field(name: "voice", kind: .string, explanation: "Empty: the configured voice", fallback: ""),
          APIRoute.Field(
            name: "speed", kind: .number, explanation: "1 is the voice's own pace", fallback: .double(1), range: 0.5...2
          ),
          APIRoute.Field(
            name: "barge_in", kind: .boolean, explanation: "Whether the caller may interrupt it", fallback: true),
        ], answer: "playback_id, estimated_duration_ms", handle: say),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/event", summary: "Tell the dialog of a call that something happened",
        body: [
          APIRoute.Field(
            name: "name", kind: .string,
            explanation: "The event that the dialog's transitions name: a letter, then letters, digits, `_`, `-`, `.`",
            isRequired: true),
          APIRoute.Field(name: "data", kind: .any, explanation: "What the dialog sees as `data`"),
        ], answer: "accepted", handle: sendEvent),
      APIRoute(
        method: .get, path: "/openapi.json", summary: "This description", isOpen: true, answer: "OpenAPI 3.1",
        handle: { [self] _ in .json(openAPI) }),
    ] + dialogRoutes + (webhooks?.routes ?? [])
  }

  static let limit = APIRoute.Field(
    name: "limit", kind: .integer, explanation: "The longest page", fallback: .int(Int64(APILimits.defaultPage)),
    range: 1...Double(APILimits.page))
  private static let cursor = APIRoute.Field(
    name: "cursor", kind: .string, explanation: "The `next_cursor` of the page before")

  // MARK: Reading

  private func listCalls(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    // One more than asked for tells whether there is another page.
    let calls = try await directory.sessions(
      SessionQuery(
        tenant: request.principal.tenant, ended: request.text("state") == "ended", limit: limit + 1,
        cursor: request.text("cursor").map { SessionID($0) }))
    return page(
      calls.prefix(limit).map { CallShape.value($0, nowMs: WallClock.nowMilliseconds()) },
      next: calls.count > limit ? calls[limit - 1].session.value : nil)
  }

  private func showCall(_ request: APIRequest) async throws -> APIAnswer {
    .json(CallShape.value(try await call(request), nowMs: WallClock.nowMilliseconds()))
  }

  private func showTranscript(_ request: APIRequest) async throws -> APIAnswer {
    let session = request.session
    // A call that is over must show its last words.
    await eventLog.flush()
    var transcript = Transcript()
    var last: Int64 = 0
    while true {
      let events = try await eventLog.events(
        of: session, tenant: request.principal.tenant, after: last, limit: 1000)
      for event in events { transcript.add(event) }
      guard let end = events.last else { break }
      last = end.sequence
    }
    if last == 0 { _ = try await call(request) }
    return .json(["session_id": .string(session.value), "items": .list(transcript.items)])
  }

  private func listEvents(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    var after: Int64 = 0
    if let cursor = request.text("cursor") {
      guard let sequence = Int64(cursor), sequence >= 0 else {
        throw APIProblem.badRequest("`cursor` is a sequence number")
      }
      after = sequence
    }
    await eventLog.flush()
    let events = try await eventLog.events(
      of: request.session, tenant: request.principal.tenant, after: after, limit: limit + 1)
    if events.isEmpty, after == 0 { _ = try await call(request) }
    return page(
      events.prefix(limit).map(EventShape.value),
      next: events.count > limit ? String(events[limit - 1].sequence) : nil)
  }

  func page(_ items: [Value], next: String?) -> APIAnswer {
    .json(["items": .list(items), "next_cursor": next.map { .string($0) } ?? .null])
  }

  private func call(_ request: APIRequest) async throws -> SessionSummary {
    guard let call = try await directory.session(request.session, tenant: request.principal.tenant) else {
      throw APIProblem(.notFound, "no_such_call", "there is no call `\(request.session)`")
    }
    return call
  }

  // MARK: Acting

  private func hangUp(_ request: APIRequest) async throws -> APIAnswer {
    try await send(.hangup(reason: request.text("reason") ?? "normal"), to: request)
  }

  private func say(_ request: APIRequest) async throws -> APIAnswer {
    let text = request.text("text") ?? ""
    guard text.contains(where: { !$0.isWhitespace }), text.count <= APILimits.speechCharacters else {
      throw APIProblem.badRequest("`text` has 1 to \(APILimits.speechCharacters) characters")
    }
    return try await send(
      .say(
        text: text, voice: request.text("voice") ?? "", speed: request.body["speed"]?.doubleValue ?? 1,
        bargeIn: request.body["barge_in"]?.boolValue ?? true),
      to: request)
  }

  private func sendEvent(_ request: APIRequest) async throws -> APIAnswer {
    let name = request.text("name") ?? ""
    let isFit =
      name.utf8.count <= 64 && name.utf8.first.map { $0 < 0x80 && Character(Unicode.Scalar($0)).isLetter } == true
      && name.utf8.allSatisfy { byte in
        byte < 0x80 && (Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber)
          || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
      }
    guard isFit else {
      throw APIProblem.badRequest("`name` has 1 to 64 letters, digits, `_`, `-` and `.`, a letter first")
    }
    // Nobody may pretend that the caller spoke or hung up.
    guard !DialogLanguage.events.contains(name) else {
      throw APIProblem.badRequest("`\(name)` is an event of the gateway itself; give yours another name")
    }
    return try await send(.event(name: name, data: request.body["data"] ?? .null), to: request)
  }

  private func send(_ command: CallCommand, to request: APIRequest) async throws -> APIAnswer {
    let session = request.session, tenant = request.principal.tenant
    switch await commands.send(command, to: session, tenant: tenant) {
    case .done(let fields): return .json(.map(fields))
    case .refused(let sentence): throw APIProblem(.conflict, "refused", sentence)
    case .noSuchSession:
      if let summary = try await directory.session(session, tenant: tenant) {
        throw APIProblem(
          .conflict, "call_ended",
          summary.state == .ended ? "the call has ended" : "no runtime holds the call; it is about to end")
      }
      throw APIProblem(.notFound, "no_such_call", "there is no call `\(session)`")
    }
  }
}
