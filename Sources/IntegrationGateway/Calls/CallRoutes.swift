import Base
import HTTPTypes

// Calls: one declaration for each route, from which requests are checked and the description is made.

extension CallAPI {
  var callRoutes: [APIRoute] { readingRoutes + actingRoutes + laterRoutes }

  private var readingRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/calls", summary: "Active calls, newest first; or past ones",
        query: [
          Self.limit, Self.cursor,
          APIRoute.Field(
            name: "state", kind: .string, explanation: "Calls that live, or that have ended", fallback: "active",
            choices: ["active", "ended"]),
          APIRoute.Field(name: "dialog", kind: .string, explanation: "Only calls of this dialog", length: 1...64),
          APIRoute.Field(name: "caller", kind: .string, explanation: "Only calls of this caller", length: 1...256),
          APIRoute.Field(name: "called", kind: .string, explanation: "Only calls to this number", length: 1...256),
          APIRoute.Field(
            name: "from", kind: .string, explanation: "Only calls that began at this time or later", length: 1...64,
            syntax: .dateTime, example: "2026-01-31T00:00:00Z"),
          APIRoute.Field(
            name: "to", kind: .string, explanation: "Only calls that began before this time", length: 1...64,
            syntax: .dateTime, example: "2026-02-01T00:00:00Z"),
        ], answer: "A page of calls", result: Self.page(of: CallShape.shape), handle: listCalls),
      APIRoute(
        method: .get, path: "/v1/calls/events",
        summary: "Events as they happen: server-sent events, or a WebSocket for a request that asks for an upgrade",
        query: EventRoutes.stream, answer: "A stream of events; `Last-Event-ID` resumes it without loss",
        isStream: true,
        socket: serveEvents, handle: streamEvents),
      APIRoute(
        method: .get, path: "/v1/calls/{id}", summary: "One call", answer: "The call", result: CallShape.shape,
        hasTag: true, handle: showCall),
      APIRoute(
        method: .get, path: "/v1/calls/{id}/transcript", summary: "Who said what, and when",
        answer: "What was said, in order", result: Transcript.shape, hasTag: true, handle: showTranscript),
      APIRoute(
        method: .get, path: "/v1/calls/{id}/events", summary: "The record of a call",
        query: [
          Self.limit,
          APIRoute.Field(
            name: "cursor", kind: .integer, explanation: "Events after this sequence number",
            range: 0...Double(Int32.max)),
        ], answer: "A page of events", result: Self.page(of: EventShape.shape), handle: listEvents),
      APIRoute(
        method: .get, path: "/v1/calls/{id}/trace",
        summary: "What happened in a call, turn by turn, with the time that each step took",
        answer: "The turns of the call", result: CallTrace.shape, hasTag: true, handle: showTrace),
      APIRoute(
        method: .get, path: "/v1/calls/{id}/recording", summary: "The sound of a call",
        answer: "The recording", answerTypes: ["audio/wav"], handle: showRecording),
    ]
  }

  private var actingRoutes: [APIRoute] {
    [
      APIRoute(
        method: .post, path: "/v1/calls/{id}/hangup", summary: "End a call", roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "reason", kind: .string, explanation: "Why", fallback: "normal",
            choices: ["normal", "busy", "rejected", "error"])
        ], answer: "How long it was",
        result: .init(
          name: "HungUp",
          fields: [
            .init(
              name: "call_duration_seconds", kind: .number, explanation: "Since the answer", isRequired: true,
              example: 12.5)
          ]), handle: hangUp),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/tts", summary: "Say something to the caller",
        roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "text", kind: .string, explanation: "What to say", isRequired: true,
            length: 1...APILimits.speechCharacters, syntax: .words, example: "One moment, please."),
          APIRoute.Field(
            name: "voice", kind: .string, explanation: "Empty: the configured voice", fallback: "", length: 0...64),
          APIRoute.Field(
            name: "speed", kind: .number, explanation: "1 is the voice's own pace", fallback: .double(1), range: 0.5...2
          ),
          Self.bargeIn,
        ], answer: "What is being played", result: Self.playback, handle: say),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/play", summary: "Play a sound to the caller",
        roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "object", kind: .string, explanation: "A WAV file below `storage.objects`", length: 1...256,
            example: "music/hold.wav"),
          APIRoute.Field(
            name: "url", kind: .string, explanation: "Not in this version: put the file below `storage.objects`",
            length: 1...2048),
          Self.bargeIn,
        ], answer: "What is being played", result: Self.playback, handle: play),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/dtmf", summary: "Press keys", roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "digits", kind: .string, explanation: "`0-9 * # A-D`, in order", isRequired: true, length: 1...64,
            syntax: .digits, example: "1234#"),
          APIRoute.Field(
            name: "duration_ms", kind: .integer, explanation: "How long each key is held", fallback: 100,
            range: 40...2000),
        ], answer: "Whether it is done", result: Self.accepted, handle: sendDigits),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/event", summary: "Tell the dialog of a call that something happened",
        roles: [.operate, .developer, .ingest],
        body: [
          APIRoute.Field(
            name: "name", kind: .string, explanation: "The event that the dialog's transitions name", isRequired: true,
            length: 1...64, syntax: .eventName, example: "parcel_found"),
          APIRoute.Field(name: "data", kind: .any, explanation: "What the dialog sees as `data`"),
        ], answer: "Whether the dialog takes it", result: Self.accepted, handle: sendEvent),
    ]
  }

  /// What is declared, checked, and cannot be done yet.
  private var laterRoutes: [APIRoute] {
    [
      APIRoute(
        method: .post, path: "/v1/calls", summary: "Place a call", roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "to", kind: .string, explanation: "Whom to call", isRequired: true, length: 1...256,
            example: "+4930123456"),
          APIRoute.Field(
            name: "from", kind: .string, explanation: "The number that the other side sees", length: 1...256),
          APIRoute.Field(name: "trunk", kind: .string, explanation: "By which trunk", length: 1...64),
          APIRoute.Field(name: "dialog", kind: .string, explanation: "What talks", isRequired: true, length: 1...64),
          APIRoute.Field(name: "variables", kind: .object, explanation: "Values at the start of the call"),
          APIRoute.Field(name: "record", kind: .boolean, explanation: "Whether it is recorded", fallback: false),
          APIRoute.Field(
            name: "amd", kind: .boolean, explanation: "Whether to find out if a person answers", fallback: false),
          APIRoute.Field(
            name: "timeout", kind: .integer, explanation: "Seconds until the call is given up", fallback: 60,
            range: 1...600),
        ], answer: "The call", result: CallShape.shape, statuses: [.created],
        handle: Self.unsupported("this gateway has no trunk to place calls by; it only answers them")),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/transfer", summary: "Hand a call on", roles: [.operate, .developer],
        body: [
          APIRoute.Field(name: "target", kind: .string, explanation: "To whom", isRequired: true, length: 1...256),
          APIRoute.Field(
            name: "mode", kind: .string, explanation: "At once, or after a word with the target", fallback: "blind",
            choices: ["blind", "attended"]),
          APIRoute.Field(name: "headers", kind: .object, explanation: "SIP headers of the transfer"),
        ], answer: "The transfer",
        result: .init(
          name: "Transfer",
          fields: [.init(name: "transfer_id", kind: .string, explanation: "Names it in events", isRequired: true)]),
        handle: unsupportedForCall("calls cannot be transferred in this version")),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/hold", summary: "Hold a call", roles: [.operate, .developer],
        answer: "Whether it is done", result: Self.accepted,
        handle: unsupportedForCall("calls cannot be held from this side in this version")),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/unhold", summary: "Resume a call", roles: [.operate, .developer],
        answer: "Whether it is done", result: Self.accepted,
        handle: unsupportedForCall("calls cannot be held from this side in this version")),
      APIRoute(
        method: .post, path: "/v1/calls/{id}/record", summary: "Record a call", roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "action", kind: .string, explanation: "What to do", isRequired: true,
            choices: ["start", "stop", "pause"])
        ], answer: "Whether it is done", result: Self.accepted,
        handle: unsupportedForCall("calls cannot be recorded in this version")),
    ]
  }

  // MARK: What they share

  static let limit = APIRoute.Field(
    name: "limit", kind: .integer, explanation: "The longest page", fallback: .int(Int64(APILimits.defaultPage)),
    range: 1...Double(APILimits.page))
  static let cursor = APIRoute.Field(
    name: "cursor", kind: .string, explanation: "The `next_cursor` of the page before", length: 1...256)
  private static let bargeIn = APIRoute.Field(
    name: "barge_in", kind: .boolean, explanation: "Whether the caller may interrupt it", fallback: true)

  static let accepted = APIRoute.Shape(
    name: "Accepted",
    fields: [.init(name: "accepted", kind: .boolean, explanation: "Always true", isRequired: true)])

  private static let playback = APIRoute.Shape(
    name: "Playback",
    fields: [
      .init(
        name: "playback_id", kind: .string, explanation: "Names it in the call's events", isRequired: true,
        example: "p7"
      ),
      .init(name: "estimated_duration_ms", kind: .integer, explanation: "Of a text"),
    ])

  /// A list's answer.
  static func page(of shape: APIRoute.Shape) -> APIRoute.Shape {
    .init(
      name: "\(shape.name)Page",
      fields: [
        .init(name: "items", kind: .records(shape), explanation: "In order", isRequired: true),
        .init(
          name: "next_cursor", kind: .string, explanation: "The `cursor` of the next page; null: this is the last",
          isRequired: true, isNullable: true),
      ])
  }

  static func page(_ items: [Value], next: String?) -> APIAnswer {
    .json(["items": .list(items), "next_cursor": next.map { .string($0) } ?? .null])
  }

  private static func unsupported(_ sentence: String) -> @Sendable (APIRequest) async throws -> APIAnswer {
    { _ in throw APIProblem(.conflict, "unsupported", sentence) }
  }

  /// Says first whether there is such a call at all.
  private func unsupportedForCall(_ sentence: String) -> @Sendable (APIRequest) async throws -> APIAnswer {
    { [self] request in
      _ = try await call(request)
      throw APIProblem(.conflict, "unsupported", sentence)
    }
  }
}
