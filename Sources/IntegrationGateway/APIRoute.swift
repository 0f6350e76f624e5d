import Base
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

/// One path and method of the API: what it takes, what it answers, and what does it. `GET /openapi.json` is made of these.
struct APIRoute: Sendable {
  enum Kind: Sendable {
    case string, integer, number, boolean, strings
    /// A JSON object.
    case object
    /// Any JSON.
    case any
  }

  /// A value in the query or the body.
  struct Field: Sendable {
    var name: String
    var kind: Kind
    var explanation: String
    var isRequired = false
    var fallback: Value?
    /// The only values there are; empty: any.
    var choices: [String] = []
    var range: ClosedRange<Double>?
  }

  /// What the body is.
  enum Payload: Sendable {
    /// A JSON object, checked against ``body``.
    case json
    /// A file, and nothing is read before the route does it (``APIRequest/upload``): a form (`multipart/form-data`) with the file
    /// in the part of this name and the fields of ``body`` in the others, or the file alone, as one of `types`.
    case file(part: String, types: [String], limit: Int)
  }

  var method: HTTPRequest.Method
  /// `/v1/calls/{id}`: a segment in braces takes any text.
  var path: String
  var summary: String
  var isOpen = false
  /// Who may use it, beside admins.
  var roles: Set<Role> = [.operate, .developer, .viewer]
  var query: [Field] = []
  var body: [Field] = []
  var payload = Payload.json
  /// Whether the body may also be YAML (`application/yaml` and its older names): the field `source` then, and no other.
  var takesYAML = false
  /// Names of the answer's members, for the description.
  var answer: String
  /// Media types of the answer, the usual one first.
  var answerTypes = ["application/json"]
  var isStream = false
  /// Serves a WebSocket that a GET has opened; when this returns, the socket is closed. A problem that is thrown is the
  /// reason of the close frame.
  var socket: (@Sendable (APIRequest, APISocket) async throws -> Void)?
  var handle: @Sendable (APIRequest) async throws -> APIAnswer = { _ in throw APIProblem.onlyWebSocket }

  var takesFile: Bool { if case .file = payload { true } else { false } }
}

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

  var session: SessionID { SessionID(path["id"] ?? "") }
  func text(_ name: String) -> String? { (body[name] ?? query[name])?.stringValue }
  func integer(_ name: String) -> Int? { (body[name] ?? query[name])?.intValue.map { Int($0) } }
}

/// What a route gives back.
enum APIAnswer: Sendable {
  case json(Value, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:])
  case bytes(ByteBuffer, type: String)
  case stream(ResponseBody, type: String = "text/event-stream")
}

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
    return Response(status: status, headers: headers, body: .init(byteBuffer: body))
  }
}

/// Checks what came in the query and the body against what a route declares.
enum APIInput {
  static func query(_ text: String?, _ fields: [APIRoute.Field]) throws(APIProblem) -> [String: Value] {
    var values: [String: Value] = [:]
    for pair in (text ?? "").split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decode(parts[0]), let value = decode(parts.count > 1 ? parts[1] : "") else {
        throw .badRequest("the query is not percent-encoded UTF-8")
      }
      let field = try field(named: name, in: fields, place: "query parameter")
      guard values[name] == nil else { throw .badRequest("the query parameter `\(name)` stands twice") }
      values[name] = try check(typed(value, field), field)
    }
    return try complete(values, fields)
  }

  /// What a text in a query or a form stands for; a text that does not fit stays one, and the check finds it.
  static func typed(_ text: String, _ field: APIRoute.Field) -> Value {
    switch field.kind {
    case .string, .object, .any: .string(text)
    case .strings: .list(text.split(separator: ",").map { .string(String($0)) })
    case .integer: Int64(text).map { .int($0) } ?? .string(text)
    case .number: Double(text).map { .double($0) } ?? .string(text)
    case .boolean: text == "true" ? .bool(true) : text == "false" ? .bool(false) : .string(text)
    }
  }

  /// The body as YAML: what a dialog's author has at hand.
  static func yaml(_ bytes: [UInt8], _ fields: [APIRoute.Field]) throws(APIProblem) -> [String: Value] {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .badRequest("the body is not UTF-8") }
    return try complete(["source": .string(text)], fields)
  }

  static func body(_ bytes: [UInt8], _ fields: [APIRoute.Field]) throws(APIProblem) -> [String: Value] {
    let value: Value
    if bytes.isEmpty {
      value = [:]
    } else {
      do { value = try JSON.decode(bytes) } catch { throw .badRequest("the body is \(error)") }
    }
    guard case .map(let map) = value else { throw .badRequest("the body must be a JSON object") }
    var values: [String: Value] = [:]
    for name in map.keys.sorted() {
      let field = try field(named: name, in: fields, place: "key")
      guard let value = map[name], value != .null else { continue }
      values[name] = try check(value, field)
    }
    return try complete(values, fields)
  }

  static func field(
    named name: String, in fields: [APIRoute.Field], place: String
  ) throws(APIProblem) -> APIRoute.Field {
    if let field = fields.first(where: { $0.name == name }) { return field }
    let near = nearest(to: name, in: fields.map(\.name))
    let known = fields.isEmpty ? "there are none here" : "known: " + fields.map(\.name).joined(separator: ", ")
    throw .badRequest("unknown \(place) `\(name)`; " + (near.map { "did you mean `\($0)`?" } ?? known))
  }

  static func check(_ value: Value, _ field: APIRoute.Field) throws(APIProblem) -> Value {
    let fits: Bool
    switch (field.kind, value) {
    case (.string, .string), (.boolean, .bool), (.number, .double), (.number, .int), (.integer, .int): fits = true
    case (.object, .map), (.any, _): fits = true
    case (.strings, .list(let items)): fits = items.allSatisfy { $0.stringValue != nil }
    default: fits = false
    }
    guard fits else { throw .badRequest("`\(field.name)` must be \(field.kind.words)") }
    if let number = value.doubleValue, let range = field.range, !range.contains(number) {
      throw .badRequest("`\(field.name)` must lie between \(words(range.lowerBound)) and \(words(range.upperBound))")
    }
    if !field.choices.isEmpty {
      let given: [String]
      if case .list(let items) = value {
        given = items.compactMap(\.stringValue)
      } else {
        given = [value.stringValue ?? ""]
      }
      for word in given where !field.choices.contains(word) {
        let near = nearest(to: word, in: field.choices).map { "did you mean `\($0)`?" }
        throw .badRequest(
          "`\(field.name)`: `\(word)` is unknown; " + (near ?? "it is one of \(field.choices.joined(separator: ", "))"))
      }
    }
    return value
  }

  static func complete(
    _ values: [String: Value], _ fields: [APIRoute.Field]
  ) throws(APIProblem) -> [String: Value] {
    var values = values
    for field in fields where values[field.name] == nil {
      if field.isRequired { throw .badRequest("`\(field.name)` is missing") }
      if let fallback = field.fallback { values[field.name] = fallback }
    }
    return values
  }

  /// Percent-decoding (RFC 3986 section 2.1), with `+` for a space as forms write it; nil for what is no UTF-8.
  static func decode(_ text: Substring, plusIsSpace: Bool = true) -> String? {
    var out: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      switch byte {
      case UInt8(ascii: "+") where plusIsSpace: out.append(0x20)
      case UInt8(ascii: "%"):
        guard let high = bytes.next().flatMap(hex), let low = bytes.next().flatMap(hex) else { return nil }
        out.append(high << 4 | low)
      default: out.append(byte)
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
  }

  private static func words(_ number: Double) -> String { Int(exactly: number).map { String($0) } ?? "\(number)" }
}

extension APIRoute.Kind {
  var words: String {
    switch self {
    case .string: "a text"
    case .integer: "a whole number"
    case .number: "a number"
    case .boolean: "true or false"
    case .strings: "a list of texts"
    case .object: "an object"
    case .any: "a value"
    }
  }
}
