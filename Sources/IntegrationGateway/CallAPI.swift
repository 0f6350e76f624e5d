import Base
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Settings
import Storage
import Telemetry

/// Takes a request from the door to its route: stop, path, token, query, body, and back with an answer or a problem.
final class CallAPI: Sendable {
  let configuration: IntegrationConfiguration
  let eventLog: any EventLog
  let directory: any SessionDirectory
  let commands: any CommandBus
  let dialogs: any DialogLibrary
  let webhooks: WebhookRoutes?
  /// Dialogs that are being tried out now.
  let simulations = Places()
  let logger: Logger
  let streams: EventStreams
  private let traffic: Traffic
  private let sockets = OpenSockets()
  /// Made at the first request: the routes know this object.
  private let table = NIOLockedValueBox<RouteTable?>(nil)
  private let answers = RememberedAnswers(limit: APILimits.rememberedAnswers)

  init(
    configuration: IntegrationConfiguration, eventLog: any EventLog, directory: any SessionDirectory,
    commands: any CommandBus, dialogs: any DialogLibrary, webhooks: WebhookDesk? = nil,
    logger: Logger
  ) {
    self.configuration = configuration
    self.eventLog = eventLog
    self.directory = directory
    self.commands = commands
    self.dialogs = dialogs
    self.webhooks = webhooks.map { WebhookRoutes(desk: $0) }
    self.logger = logger
    traffic = Traffic()
    streams = EventStreams(
      log: eventLog,
      hub: EventHub(
        log: eventLog, keepAlive: configuration.keepAliveInterval, limit: configuration.streamBuffer,
        seats: configuration.limits.streams),
      traffic: traffic, logger: logger)
  }

  /// Refuses from now on, ends the streams, and waits for the answers that are under way.
  func stop(limit: Duration) async {
    traffic.close()
    streams.stop()
    sockets.stop()
    await traffic.empty(limit: limit)
    // The routes hold on to this object.
    table.withLockedValue { $0 = nil }
  }

  var routeTable: RouteTable {
    if let made = table.withLockedValue({ $0 }) { return made }
    let made = RouteTable(routes)
    table.withLockedValue { $0 = made }
    return made
  }

  func respond(to request: Request, channel: any Channel) async -> Response {
    guard traffic.enter() else {
      return APIProblem(.serviceUnavailable, "stopping", "the gateway is stopping", headers: [.connection: "close"])
        .response
    }
    let response: Response
    do {
      response = try await route(request, channel)
    } catch let problem as APIProblem {
      response = problem.response
    } catch let error as StorageError where error.code == .unknownCursor {
      response = APIProblem.badRequest("`cursor` names no call: \(error)").response
    } catch let error as StorageError where error.code == .notFound {
      response = APIProblem(.notFound, "not_found", error.description).response
    } catch let error as StorageError where error.code == .conflict {
      response = APIProblem(.conflict, "conflict", error.description).response
    } catch let error as StorageError where error.isPassing {
      response =
        APIProblem(
          .serviceUnavailable, "database_unavailable", error.description, headers: [.retryAfter: "5"]
        ).response
    } catch let error as StorageError where error.code == .limit {
      response = APIProblem(.unprocessableContent, "limit", error.description).response
    } catch {
      logger.error("a request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
      response = APIProblem(.internalServerError, "internal", "the request failed; the log says why").response
    }
    // A stream's body is written after this, and counts for itself.
    traffic.leave()
    return response
  }

  private func route(_ request: Request, _ channel: any Channel) async throws -> Response {
    let (place, path) = try find(request)
    guard let route = place.route(request.method) else {
      if !place.routes.allSatisfy(\.isOpen) { _ = try authorize(request) }
      let methods = place.methods.map(\.rawValue).joined(separator: ", ")
      throw APIProblem(
        .methodNotAllowed, "method_not_allowed", "\(request.uri.path) takes \(methods)", headers: [.allow: methods])
    }
    if route.socket != nil, request.headers[.upgrade]?.lowercased() == "websocket" {
      // The upgrade was refused, and this says why.
      _ = try await admit(request, channel: channel)
      throw APIProblem(
        .upgradeRequired, "websocket_handshake",
        "a WebSocket is opened by the first request of a connection, with `Sec-WebSocket-Key` and version 13",
        headers: [.upgrade: "websocket", .secWebSocketVersion: "13"])
    }
    let principal =
      route.isOpen ? Principal(id: "", tenant: Principal.defaultTenant, roles: []) : try authorize(request)
    let query = try APIInput.query(request.uri.query, route.query)
    var input = APIRequest(
      principal: principal, path: path, query: query, body: [:], headers: request.headers, channel: channel,
      upload: request.body)
    guard case .json = route.payload else { return Self.response(try await route.handle(input)) }
    let bytes = try await collect(request, limit: route.takesYAML ? APILimits.dialogBodyBytes : APILimits.bodyBytes)
    let isYAML = route.takesYAML && Self.isYAML(request.headers[.contentType])
    let body = isYAML ? try APIInput.yaml(bytes, route.body) : try APIInput.body(bytes, route.body)
    input.body = body
    guard route.method == .post, let key = request.headers[.idempotencyKey] else {
      return Self.response(try await route.handle(input))
    }
    guard !key.isEmpty, key.utf8.count <= 255 else {
      throw APIProblem.badRequest("`Idempotency-Key` has 1 to 255 characters")
    }
    switch answers.begin(key, "\(request.uri.path)\n\(JSON.encode(.map(body)))") {
    case .new: break
    case .same(let value, let status): return Self.response(.json(value, status: status))
    case .underWay:
      throw APIProblem(.conflict, "in_progress", "a request with this Idempotency-Key is being answered")
    case .different:
      throw APIProblem(
        .unprocessableContent, "idempotency_key_reused", "this Idempotency-Key belongs to another request")
    }
    do {
      let answer = try await route.handle(input)
      if case .json(let value, let status, _) = answer {
        answers.finish(key, value, status)
      } else {
        answers.forget(key)
      }
      return Self.response(answer)
    } catch {
      // A request that failed did nothing, so it may be tried again with its key.
      answers.forget(key)
      throw error
    }
  }

  private func find(_ request: Request) throws -> (place: RouteTable.Place, path: [String: String]) {
    let segments = try request.uri.path.split(separator: "/").map { segment in
      guard let text = APIInput.decode(segment, plusIsSpace: false) else {
        throw APIProblem.badRequest("the path is not percent-encoded UTF-8")
      }
      return text
    }
    guard let (place, path) = routeTable.find(segments) else {
      // Whoever has no token learns nothing, not even which paths there are.
      _ = try authorize(request)
      throw APIProblem(.notFound, "not_found", "there is no \(request.uri.path)")
    }
    return (place, path)
  }

  // MARK: WebSockets

  /// Whether a WebSocket may be opened: route, token, origin and query.
  func admit(_ request: Request, channel: any Channel) async throws -> SocketAdmission {
    let (place, path) = try find(request)
    guard let route = place.route(.get), let serve = route.socket else {
      throw APIProblem(.badRequest, "no_websocket", "\(request.uri.path) is no WebSocket")
    }
    var request = request
    let offered = SocketHandshake.protocols(request.headers)
    if request.headers[.authorization] == nil, let token = SocketHandshake.token(in: offered) {
      var head = request.head
      head.headerFields[.authorization] = "Bearer \(token)"
      request = Request(head: head, body: request.body)
    }
    let principal = try authorize(request)
    guard SocketHandshake.isOriginAllowed(request.headers[.origin], host: request.head.authority) else {
      throw APIProblem(.forbidden, "foreign_origin", "a page of this origin may not open a WebSocket here")
    }
    let input = APIRequest(
      principal: principal, path: path, query: try APIInput.query(request.uri.query, route.query), body: [:],
      headers: request.headers, channel: channel, upload: request.body)
    return SocketAdmission(
      request: input, headers: SocketHandshake.answer(to: offered), serve: serve)
  }

  func serve(_ socket: APISocket, _ admission: SocketAdmission) async {
    guard traffic.enter(), sockets.enter(socket.channel, limit: configuration.limits.streams) else {
      return await socket.close(code: 1013, reason: "the gateway stops, or has as many WebSockets as it serves")
    }
    defer {
      sockets.leave(socket.channel)
      traffic.leave()
    }
    do {
      try await admission.serve(admission.request, socket)
      await socket.close()
    } catch let problem as APIProblem {
      await socket.close(code: 1008, reason: problem.detail)
    } catch is ChannelError, is CancellationError {
      return
    } catch {
      logger.error("a WebSocket failed", metadata: ["error": "\(error)"])
      await socket.close(code: 1011, reason: "the request failed; the log says why")
    }
    // Until the client has said goodbye, too; the machine gives it a few seconds.
    try? await socket.channel.closeFuture.get()
  }

  private static func response(_ answer: APIAnswer) -> Response {
    switch answer {
    case .json(let value, let status, let more):
      var headers = more
      headers[.contentType] = "application/json"
      headers[.cacheControl] = "no-store"
      return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: JSON.encode(value))))
    case .bytes(let bytes, let type):
      return Response(
        status: .ok, headers: [.contentType: type, .cacheControl: "no-store"], body: .init(byteBuffer: bytes))
    case .stream(let body, let type):
      return Response(
        status: .ok, headers: [.contentType: type, .cacheControl: "no-store", .accelBuffering: "no"], body: body)
    }
  }

  private func collect(_ request: Request, limit: Int) async throws -> [UInt8] {
    let tooLarge = APIProblem(.contentTooLarge, "too_large", "a body has at most \(limit) bytes here")
    if let text = request.headers[.contentLength], let length = Int(text), length > limit { throw tooLarge }
    var bytes: [UInt8] = []
    for try await part in request.body {
      bytes += part.readableBytesView
      if bytes.count > limit { throw tooLarge }
    }
    return bytes
  }

  /// RFC 9512, and the names from before it.
  private static func isYAML(_ type: String?) -> Bool {
    let name = type?.split(separator: ";").first?.lowercased().filter { !$0.isWhitespace } ?? ""
    return ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"].contains(name)
  }

  // MARK: Tokens

  private func authorize(_ request: Request) throws(APIProblem) -> Principal {
    let challenge: HTTPFields = [.wwwAuthenticate: "Bearer realm=\"parley\""]
    guard let header = request.headers[.authorization] else {
      throw APIProblem(.unauthorized, "unauthorized", "send `Authorization: Bearer <token>`", headers: challenge)
    }
    let parts = header.split(separator: " ", maxSplits: 1)
    var isKnown = false
    if parts.count == 2, parts[0].lowercased() == "bearer" {
      let given = Array(parts[1].drop { $0 == " " }.utf8)
      // Every token is compared in full, whatever matched before.
      for token in configuration.tokens where Self.isEqual(given, Array(token.reveal().utf8)) { isKnown = true }
    }
    guard isKnown else {
      throw APIProblem(
        .unauthorized, "unauthorized", "the token is not known",
        headers: [.wwwAuthenticate: "Bearer realm=\"parley\", error=\"invalid_token\""])
    }
    return Principal(id: "configured", tenant: Principal.defaultTenant, roles: [.admin])
  }

  /// Takes as long for the first byte that differs as for the last; only the length can be learnt.
  private static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard !b.isEmpty, a.count == b.count else { return false }
    var difference: UInt8 = 0
    for i in a.indices { difference |= a[i] ^ b[i] }
    return difference == 0
  }
}

extension HTTPField.Name {
  // The names are tokens, which is all that the initialiser asks for.
  // swift-format-ignore: NeverForceUnwrap
  static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
  // swift-format-ignore: NeverForceUnwrap
  static let lastEventID = HTTPField.Name("Last-Event-ID")!
  // swift-format-ignore: NeverForceUnwrap
  /// Tells nginx not to hold an event stream back.
  static let accelBuffering = HTTPField.Name("X-Accel-Buffering")!
}

/// Counts what is under way and may not be more than a few.
final class Places: Sendable {
  private let taken = NIOLockedValueBox(0)

  func enter(limit: Int) -> Bool {
    taken.withLockedValue { taken in
      if taken >= limit { return false }
      taken += 1
      return true
    }
  }

  func leave() { taken.withLockedValue { $0 -= 1 } }
}

/// Counts the requests that are being answered, and the streams that are open.
final class Traffic: Sendable {
  private struct State {
    var count = 0
    var isClosed = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = NIOLockedValueBox(State())

  func enter() -> Bool {
    state.withLockedValue { state in
      if !state.isClosed { state.count += 1 }
      return !state.isClosed
    }
  }

  func leave() {
    let waiting = state.withLockedValue { state in
      state.count -= 1
      guard state.count == 0 else { return [CheckedContinuation<Void, Never>]() }
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func close() { state.withLockedValue { $0.isClosed = true } }

  /// Waits until nothing is under way, at most `limit`.
  func empty(limit: Duration) async {
    let timer = Task {
      do { try await Task.sleep(for: limit) } catch { return }
      release()
    }
    await withCheckedContinuation { continuation in
      let isEmpty = state.withLockedValue { state in
        if state.count > 0 { state.waiting.append(continuation) }
        return state.count == 0
      }
      if isEmpty { continuation.resume() }
    }
    timer.cancel()
  }

  private func release() {
    let waiting = state.withLockedValue { state in
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// Answers by `Idempotency-Key`, so that a client that never saw its answer can ask again without acting twice.
private final class RememberedAnswers: Sendable {
  enum Beginning: Sendable {
    case new
    case same(Value, HTTPResponse.Status)
    case underWay
    /// The key came before, with another path or body.
    case different
  }
  private struct State {
    var entries: [String: (request: String, answer: (Value, HTTPResponse.Status)?)] = [:]
    var order: [String] = []
  }
  private let state = NIOLockedValueBox(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  func begin(_ key: String, _ request: String) -> Beginning {
    state.withLockedValue { state in
      if let entry = state.entries[key] {
        guard entry.request == request else { return .different }
        return entry.answer.map { .same($0.0, $0.1) } ?? .underWay
      }
      state.entries[key] = (request, nil)
      state.order.append(key)
      if state.order.count > limit { state.entries[state.order.removeFirst()] = nil }
      return .new
    }
  }

  func finish(_ key: String, _ value: Value, _ status: HTTPResponse.Status) {
    state.withLockedValue { $0.entries[key]?.answer = (value, status) }
  }

  func forget(_ key: String) {
    state.withLockedValue { state in
      state.entries[key] = nil
      state.order.removeAll { $0 == key }
    }
  }
}
