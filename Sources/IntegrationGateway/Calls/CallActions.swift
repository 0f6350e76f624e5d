import Base
import Dialogs
import HTTPTypes
import Storage

// What the API does to calls: commands to whichever runtime holds them.

extension CallAPI {
  func hangUp(_ request: APIRequest) async throws -> APIAnswer {
    try await send(.hangup(reason: request.text("reason") ?? "normal"), to: request)
  }

  func say(_ request: APIRequest) async throws -> APIAnswer {
    try await send(
      .say(
        text: request.text("text") ?? "", voice: request.text("voice") ?? "",
        speed: request.body["speed"]?.doubleValue ?? 1, bargeIn: request.body["barge_in"]?.boolValue ?? true),
      to: request)
  }

  func play(_ request: APIRequest) async throws -> APIAnswer {
    if request.body["url"] != nil {
      throw APIProblem(
        .conflict, "unsupported", "sounds of other servers cannot be played in this version; name an `object`")
    }
    guard let object = request.text("object") else {
      throw APIProblem(.unprocessableContent, "nothing_to_play", "`object` is missing")
    }
    return try await send(.play(object: object, bargeIn: request.body["barge_in"]?.boolValue ?? true), to: request)
  }

  func sendDigits(_ request: APIRequest) async throws -> APIAnswer {
    try await send(
      .digits((request.text("digits") ?? "").uppercased(), durationMs: request.integer("duration_ms") ?? 100),
      to: request)
  }

  func sendEvent(_ request: APIRequest) async throws -> APIAnswer {
    let name = request.text("name") ?? ""
    // Nobody may pretend that the caller spoke or hung up.
    guard !DialogLanguage.events.contains(name) else {
      throw APIProblem(
        .unprocessableContent, "reserved_name", "`\(name)` is an event of the gateway itself; give yours another name")
    }
    let data = request.body["data"] ?? .null
    guard data.fits(size: APILimits.objectSize, depth: APILimits.objectDepth) else {
      throw APIProblem(
        .unprocessableContent, "too_large",
        "`data` is larger than \(APILimits.objectSize) bytes or deeper than \(APILimits.objectDepth)")
    }
    return try await send(.event(name: name, data: data), to: request)
  }

  private func send(_ command: CallCommand, to request: APIRequest) async throws -> APIAnswer {
    let session = request.session, tenant = request.principal.tenant
    switch await commands.send(command, to: session, tenant: tenant) {
    case .done(let fields): return .json(.map(fields))
    case .refused(let sentence): throw APIProblem(.conflict, "refused", sentence)
    case .unreachable(let sentence): throw APIProblem(.serviceUnavailable, "unreachable", sentence)
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
