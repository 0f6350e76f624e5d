import Base
import HTTPTypes
import HummingbirdCore
import NIOCore

/// An answer that is an error (RFC 9457).
struct APIProblem: Error, Sendable {
  var status: HTTPResponse.Status
  /// The last part of the problem's type.
  var code: String
  /// One sentence for this occurrence.
  var detail: String
  var headers: HTTPFields = [:]
  /// Members beside those of the RFC.
  var more: [String: Value] = [:]

  init(
    _ status: HTTPResponse.Status, _ code: String, _ detail: String, headers: HTTPFields = [:],
    more: [String: Value] = [:]
  ) {
    self.status = status
    self.code = code
    self.detail = detail
    self.headers = headers
    self.more = more
  }

  static let onlyWebSocket = APIProblem(
    .upgradeRequired, "websocket_only", "this is a WebSocket: ask for an upgrade",
    headers: [.upgrade: "websocket", .secWebSocketVersion: "13"])

  static func badRequest(_ detail: String) -> APIProblem { APIProblem(.badRequest, "invalid_request", detail) }

  /// What closes a WebSocket for it (RFC 6455 section 7.4.1, and IANA's registry for 1013).
  var closeCode: Int {
    switch status {
    case .tooManyRequests, .serviceUnavailable: 1013
    case .contentTooLarge: 1009
    case .internalServerError: 1011
    default: 1008
    }
  }

  /// The document.
  var body: ByteBuffer {
    var members = more
    members["type"] = .string("urn:parley:problem:\(code)")
    members["title"] = .string(status.reasonPhrase)
    members["status"] = .int(Int64(status.code))
    members["detail"] = .string(detail)
    return ByteBuffer(string: JSON.encode(.map(members)))
  }

  var response: Response {
    var headers = headers
    headers[.contentType] = "application/problem+json"
    headers[.cacheControl] = "no-store"
    return Response(status: status, headers: headers, body: .init(byteBuffer: body))
  }

  static let shape = APIRoute.Shape(
    name: "Problem", explanation: "What is wrong (RFC 9457).",
    fields: [
      .init(
        name: "type", kind: .string, explanation: "Names the kind of problem; stable", isRequired: true,
        example: "urn:parley:problem:no_such_call"),
      .init(name: "title", kind: .string, explanation: "The status in words", isRequired: true),
      .init(name: "status", kind: .integer, explanation: "The status", isRequired: true, range: 400...599),
      .init(
        name: "detail", kind: .string, explanation: "One sentence for a person", isRequired: true, length: 0...16_384),
      .init(name: "request_id", kind: .string, explanation: "Finds the request in the log"),
    ], isOpen: true)
}
