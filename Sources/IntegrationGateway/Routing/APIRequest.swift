import Base
import HTTPTypes
import HummingbirdCore
import NIOConcurrencyHelpers
import NIOCore

/// A request that has passed its checks.
struct APIRequest: Sendable {
  /// Who asks; on an open route, nobody with no roles.
  var principal: Principal
  var path: [String: String]
  var query: [String: Value]
  var body: [String: Value]
  var headers: HTTPFields
  var channel: any Channel
  /// What a route whose payload is a file reads for itself.
  var upload: RequestBody
  /// What the audit log tells of it beside who and what, where it has a line there; no contents, no secrets.
  var details = NIOLockedValueBox<[String: Value]>([:])

  var session: SessionID { SessionID(path["id"] ?? "") }
  func text(_ name: String) -> String? { (body[name] ?? query[name])?.stringValue }
  func integer(_ name: String) -> Int? { (body[name] ?? query[name])?.intValue.map { Int($0) } }
}

/// What a route gives back.
enum APIAnswer: Sendable {
  case json(Value, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:])
  case bytes(ByteBuffer, type: String)
  case stream(ResponseBody, type: String = "text/event-stream")
  /// 204.
  case nothing
}
