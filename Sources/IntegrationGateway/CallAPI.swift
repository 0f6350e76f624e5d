import Base
import CallLink
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
  let numbers: any NumberStore
  /// Dialogs that are being tried out now.
  let simulations = Places()
  /// The speech role, once it has started.
  let desk = NIOLockedValueBox<(any SpeechDesk)?>(nil)
  /// Files that are being received now.
  let uploads = Places()
  let logger: Logger
  let streams: EventStreams
  private let traffic: Traffic
  let gate: Gatekeeper
  private let trail: AccessTrail
  private let sockets = OpenSockets()
  private let origins: AllowedOrigins
  /// Made at the first request: the routes know this object.
  private let table = NIOLockedValueBox<RouteTable?>(nil)
  private let answers: AnswerStore

  init(
    configuration: IntegrationConfiguration, eventLog: any EventLog, directory: any SessionDirectory,
    commands: any CommandBus, dialogs: any DialogLibrary, numbers: any NumberStore, database: any SQLDatabase,
    webhooks: WebhookDesk? = nil, keys: JWTAuthority? = nil,
    logger: Logger
  ) {
    self.configuration = configuration
    self.eventLog = eventLog
    self.directory = directory
    self.commands = commands
    self.dialogs = dialogs
    self.webhooks = webhooks.map { WebhookRoutes(desk: $0) }
    self.numbers = numbers
    answers = AnswerStore(database)
    self.logger = logger
    traffic = Traffic()
    gate = Gatekeeper(configuration.access, keys: keys, logger: logger)
    trail = AccessTrail(configuration.access.audit)
    origins = AllowedOrigins(configuration.settings.cors.allowedOrigins)
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

  /// Every route of the API.
  var routes: [APIRoute] {
    callRoutes + dialogRoutes + numberRoutes + speechRoutes + tokenRoutes + auditRoutes + (webhooks?.routes ?? [])
      + gatewayRoutes
  }

  var routeTable: RouteTable {
    if let made = table.withLockedValue({ $0 }) { return made }
    let made = RouteTable(routes)
    table.withLockedValue { $0 = made }
    return made
  }

  func respond(to request: Request, channel: any Channel) async -> Response {
    let id = RequestID.of(request.headers)
    var response: Response
    if traffic.enter() {
      var visit = AccessTrail.Visit(
        method: request.method, path: request.uri.path, peer: Self.peer(channel), requestID: id)
      do {
        response = try await route(request, channel, &visit)
      } catch {
        response = OpenAIErrors.dressed(problem(of: error, request, id), path: request.uri.path).response
      }
      trail.note(visit, status: response.status)
      // A stream's body is written after this, and counts for itself.
      traffic.leave()
    } else {
      var problem = APIProblem(
        .serviceUnavailable, "stopping", "the gateway is stopping", headers: [.connection: "close"])
      problem.more["request_id"] = .string(id)
      response = problem.response
    }
    response.headers[.requestID] = id
    response.headers[.contentTypeOptions] = "nosniff"
    origins.allow(request.headers[.origin], &response.headers)
    return request.method == .head ? response.createHeadResponse() : response
  }

  /// What a client is told of an error.
  private func problem(of error: any Error, _ request: Request, _ id: String) -> APIProblem {
    var problem: APIProblem
    switch error {
    case let known as APIProblem: problem = known
    case let known as StorageError where known.isPassing:
      problem = APIProblem(
        .serviceUnavailable, "database_unavailable", known.description, headers: [.retryAfter: "5"])
    case let known as StorageError:
      switch known.code {
      case .unknownCursor:
        problem = APIProblem(.unprocessableContent, "unknown_cursor", "`cursor` names no call: \(known)")
      case .notFound: problem = APIProblem(.notFound, "not_found", known.description)
      case .conflict: problem = APIProblem(.conflict, "conflict", known.description)
      case .limit: problem = APIProblem(.unprocessableContent, "limit", known.description)
      default: problem = failed(error, request, id)
      }
    default: problem = failed(error, request, id)
    }
    problem.more["request_id"] = .string(id)
    return problem
  }

  private func failed(_ error: any Error, _ request: Request, _ id: String) -> APIProblem {
    logger.error(
      "a request failed", metadata: ["path": "\(request.uri.path)", "request_id": "\(id)", "error": "\(error)"])
    return APIProblem(.internalServerError, "internal", "the request failed; the log says why")
  }

  static func peer(_ channel: any Channel) -> String { channel.remoteAddress?.ipAddress ?? "" }

  private func route(
    _ request: Request, _ channel: any Channel, _ visit: inout AccessTrail.Visit
  ) async throws -> Response {
    let (place, path) = try await find(request, visit.peer)
    if request.method == .options { return try await options(request, place, visit.peer) }
    guard let route = place.route(request.method == .head ? .get : request.method) else {
      if !place.routes.allSatisfy(\.isOpen) { visit.principal = try await authorize(request, visit.peer) }
      let methods = place.methods
      throw APIProblem(
        .methodNotAllowed, "method_not_allowed", "\(request.uri.path) takes \(methods)", headers: [.allow: methods])
    }
    visit.route = route
    if route.socket != nil, request.headers[.upgrade]?.lowercased() == "websocket" {
      // The upgrade was refused, and this says why.
      _ = try await admit(request, channel: channel)
      throw APIProblem(
        .upgradeRequired, "websocket_handshake",
        "a WebSocket is opened by the first request of a connection, with `Sec-WebSocket-Key` and version 13",
        headers: [.upgrade: "websocket", .secWebSocketVersion: "13"])
    }
    var principal = Principal(id: "", tenant: Tenant.standard, roles: [])
    if !route.isOpen {
      principal = try await authorize(request, visit.peer)
      visit.principal = principal
      try Gatekeeper.require(route.roles, of: principal)
    }
    try MediaTypes.checkAccept(request.headers, of: route)
    let query = try APIInput.query(request.uri.query, route.query)
    var input = APIRequest(
      principal: principal, path: path, query: query, body: [:], headers: request.headers, channel: channel,
      upload: request.body, details: visit.details)
    if let time = route.answerTime {
      try await channel.triggerUserOutboundEvent(ConnectionGuard.AnswerTime(duration: time)).get()
    }
    if route.isStream, request.method == .head {
      return Response(status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"])
    }
    guard case .json = route.payload else {
      return Self.response(try await route.handle(input), route, request.headers)
    }
    let bytes = try await collect(request, limit: route.takesYAML ? APILimits.dialogBodyBytes : APILimits.bodyBytes)
    switch try MediaTypes.format(of: request.headers, isEmpty: bytes.isEmpty, route) {
    case .json: input.body = try APIInput.body(bytes, route.body)
    case .yaml: input.body = try APIInput.yaml(bytes, route.body)
    }
    let answer =
      if route.takesKey, let key = request.headers[.idempotencyKey] {
        try await once(key, request, bytes, input, route)
      } else {
        try await route.handle(input)
      }
    return Self.response(answer, route, request.headers)
  }

  /// Acts on a request with an `Idempotency-Key`, unless it came before: then its answer comes again.
  private func once(
    _ key: String, _ request: Request, _ bytes: [UInt8], _ input: APIRequest, _ route: APIRoute
  ) async throws -> APIAnswer {
    guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw APIProblem.badRequest("`Idempotency-Key` has 1 to 255 letters, digits and marks, no spaces")
    }
    let tenant = input.principal.tenant
    let digest = SHA256.hex(Array("\(request.uri.path)?\(request.uri.query ?? "")\n".utf8) + bytes)
    switch try await answers.begin(key, tenant: tenant, digest: digest, nowMs: WallClock.nowMilliseconds()) {
    case .new: break
    case .same(let value, let status): return .json(value, status: HTTPResponse.Status(code: status))
    case .underWay:
      throw APIProblem(
        .conflict, "in_progress", "a request with this Idempotency-Key is being answered", headers: [.retryAfter: "1"])
    case .unknown:
      throw APIProblem(
        .conflict, "outcome_unknown",
        "the gateway stopped while it acted on a request with this Idempotency-Key; look what became of it, and use another key"
      )
    case .different:
      throw APIProblem(
        .unprocessableContent, "idempotency_key_reused", "this Idempotency-Key belongs to another request")
    }
    let answer: APIAnswer
    do {
      answer = try await route.handle(input)
    } catch {
      // A request that failed did nothing, so it may be tried again with its key.
      try await answers.forget(key, tenant: tenant)
      throw error
    }
    do {
      if case .json(let value, let status, _) = answer {
        try await answers.finish(key, tenant: tenant, value, status: status.code)
      } else {
        try await answers.forget(key, tenant: tenant)
      }
    } catch {
      // It was done: the asker gets the answer, and the key stays taken, so that nobody does it again.
      logger.error("an answer could not be kept for its Idempotency-Key", metadata: ["error": "\(error)"])
    }
    return answer
  }

  /// What a path takes; and a browser's question whether a page may ask it (Fetch standard, section 3.2).
  private func options(_ request: Request, _ place: RouteTable.Place, _ peer: String) async throws -> Response {
    if origins.isAllowed(request.headers[.origin]), request.headers[.accessControlRequestMethod] != nil {
      return Response(
        status: .noContent,
        headers: [
          .accessControlAllowMethods: place.methods, .accessControlAllowHeaders: AllowedOrigins.headers,
          .accessControlMaxAge: "600",
        ])
    }
    if !place.routes.allSatisfy(\.isOpen) { _ = try await authorize(request, peer) }
    return Response(status: .noContent, headers: [.allow: place.methods])
  }

  private func authorize(_ request: Request, _ peer: String) async throws(APIProblem) -> Principal {
    try await gate.admit(request.headers[.authorization], peer: peer)
  }

  private func find(
    _ request: Request, _ peer: String
  ) async throws -> (place: RouteTable.Place, path: [String: String]) {
    let segments = try request.uri.path.split(separator: "/").map { segment in
      guard let text = APIInput.decode(segment, plusIsSpace: false) else {
        throw APIProblem.badRequest("the path is not percent-encoded UTF-8")
      }
      return text
    }
    guard let (place, path) = routeTable.find(segments) else {
      // Whoever has no token learns nothing, not even which paths there are.
      _ = try await authorize(request, peer)
      throw APIProblem(.notFound, "not_found", "there is no \(request.uri.path)")
    }
    return (place, path)
  }

  // MARK: WebSockets

  /// Whether a WebSocket may be opened: route, token, origin and query.
  func admit(_ request: Request, channel: any Channel) async throws -> SocketAdmission {
    let (place, path) = try await find(request, Self.peer(channel))
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
    var visit = AccessTrail.Visit(
      route: route, method: .get, path: request.uri.path, peer: Self.peer(channel),
      requestID: RequestID.of(request.headers))
    let principal: Principal
    do {
      principal = try await authorize(request, visit.peer)
      visit.principal = principal
      try Gatekeeper.require(route.roles, of: principal)
    } catch {
      trail.note(visit, status: error.status)
      throw error
    }
    guard
      origins.isAllowed(request.headers[.origin])
        || SocketHandshake.isOriginAllowed(request.headers[.origin], host: request.head.authority)
    else {
      throw APIProblem(.forbidden, "foreign_origin", "a page of this origin may not open a WebSocket here")
    }
    let input = APIRequest(
      principal: principal, path: path, query: try APIInput.query(request.uri.query, route.query), body: [:],
      headers: request.headers, channel: channel, upload: request.body, details: visit.details)
    return SocketAdmission(
      request: input, headers: SocketHandshake.answer(to: offered), visit: visit, serve: serve)
  }

  func serve(_ socket: APISocket, _ admission: SocketAdmission) async {
    guard traffic.enter(), sockets.enter(socket.channel, limit: configuration.limits.streams) else {
      return await socket.close(code: 1013, reason: "the gateway stops, or has as many WebSockets as it serves")
    }
    var status = HTTPResponse.Status.switchingProtocols
    defer {
      trail.note(admission.visit, status: status)
      sockets.leave(socket.channel)
      traffic.leave()
    }
    do {
      try await admission.serve(admission.request, socket)
      await socket.close()
    } catch let problem as APIProblem {
      status = problem.status
      await socket.close(code: problem.closeCode, reason: problem.detail)
    } catch is ChannelError, is CancellationError {
      return
    } catch {
      status = .internalServerError
      logger.error("a WebSocket failed", metadata: ["error": "\(error)"])
      await socket.close(code: 1011, reason: "the request failed; the log says why")
    }
    // Until the client has said goodbye, too; the machine gives it a few seconds.
    try? await socket.channel.closeFuture.get()
  }

  private static func response(_ answer: APIAnswer, _ route: APIRoute, _ asked: HTTPFields) -> Response {
    switch answer {
    case .json(let value, let status, let more):
      var bytes: [UInt8] = []
      bytes.reserveCapacity(2048)
      JSON.write(value, to: &bytes)
      var headers = more
      headers[.contentType] = "application/json"
      headers[.cacheControl] = "no-store"
      if route.hasTag {
        let tag = headers[.eTag] ?? EntityTag.of(bytes)
        headers[.eTag] = tag
        headers[.cacheControl] = "private, no-cache"
        if route.method == .get, let known = asked[.ifNoneMatch], EntityTag.names(known, tag, weakly: true) {
          headers[.contentType] = nil
          return Response(status: .notModified, headers: headers)
        }
      }
      return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    case .bytes(let bytes, let type):
      return Response(
        status: .ok, headers: [.contentType: type, .cacheControl: "no-store"], body: .init(byteBuffer: bytes))
    case .stream(let body, let type):
      return Response(
        status: .ok, headers: [.contentType: type, .cacheControl: "no-store", .accelBuffering: "no"], body: body)
    case .nothing: return Response(status: .noContent, headers: [.cacheControl: "no-store"])
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
  // swift-format-ignore: NeverForceUnwrap
  static let requestID = HTTPField.Name("X-Request-Id")!
  // swift-format-ignore: NeverForceUnwrap
  static let contentTypeOptions = HTTPField.Name("X-Content-Type-Options")!
}
