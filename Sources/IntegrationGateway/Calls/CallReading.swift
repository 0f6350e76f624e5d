import Base
import HTTPTypes
import Storage
import Telemetry

// What the API shows of calls: summaries of the directory, and what is made of the record.

extension CallAPI {
  func listCalls(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    // One more than asked for tells whether there is another page.
    let calls = try await directory.sessions(
      SessionQuery(
        tenant: request.principal.tenant, ended: request.text("state") == "ended", dialog: request.text("dialog"),
        callerID: request.text("caller"), calledNumber: request.text("called"),
        startedFromMs: request.text("from").flatMap(Timestamp.milliseconds(rfc3339:)),
        startedBeforeMs: request.text("to").flatMap(Timestamp.milliseconds(rfc3339:)), limit: limit + 1,
        cursor: request.text("cursor").map { SessionID($0) }))
    let now = WallClock.nowMilliseconds()
    return Self.page(
      calls.prefix(limit).map { CallShape.value($0, nowMs: now) },
      next: calls.count > limit ? calls[limit - 1].session.value : nil)
  }

  func showCall(_ request: APIRequest) async throws -> APIAnswer {
    .json(CallShape.value(try await call(request), nowMs: WallClock.nowMilliseconds()))
  }

  func showTranscript(_ request: APIRequest) async throws -> APIAnswer {
    var transcript = Transcript()
    try await readRecord(request) { transcript.add($0) }
    return .json(["session_id": .string(request.session.value), "items": .list(transcript.items)])
  }

  func showTrace(_ request: APIRequest) async throws -> APIAnswer {
    var trace = CallTrace()
    try await readRecord(request) { trace.add($0) }
    return .json(trace.value(of: request.session))
  }

  func listEvents(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let after = Int64(request.integer("cursor") ?? 0)
    await eventLog.flush()
    let events = try await eventLog.events(
      of: request.session, tenant: request.principal.tenant, after: after, limit: limit + 1)
    if events.isEmpty, after == 0 { _ = try await call(request) }
    return Self.page(
      events.prefix(limit).map(EventShape.value),
      next: events.count > limit ? String(events[limit - 1].sequence) : nil)
  }

  func showRecording(_ request: APIRequest) async throws -> APIAnswer {
    _ = try await call(request)
    throw APIProblem(.notFound, "no_recording", "the call was not recorded")
  }

  func call(_ request: APIRequest) async throws -> SessionSummary {
    guard let call = try await directory.session(request.session, tenant: request.principal.tenant) else {
      throw APIProblem(.notFound, "no_such_call", "there is no call `\(request.session)`")
    }
    return call
  }

  /// All events of a call, in order. A call that is over shows its last words.
  private func readRecord(_ request: APIRequest, _ take: (SessionEvent) -> Void) async throws {
    await eventLog.flush()
    var last: Int64 = 0
    while true {
      let events = try await eventLog.events(
        of: request.session, tenant: request.principal.tenant, after: last, limit: 1000)
      for event in events { take(event) }
      guard let end = events.last else { break }
      last = end.sequence
    }
    if last == 0 { _ = try await call(request) }
  }
}
