import Base
import HTTPTypes
import Outbound
import Settings
import Storage
import Telemetry

// What the API does with webhooks. The worker role delivers; here they are made, looked at, and tried by hand.

/// Limits of webhooks in the API.
enum WebhookBounds {
  static let urlCharacters = 2048
  static let descriptionCharacters = 1000
  static let filterCharacters = 128
  /// Requests that are made by hand at once: each waits for somebody else's server.
  static let byHand = 16
  /// How long an old secret may go on signing beside the new one.
  static let overlapSeconds: ClosedRange<Double> = 0...604_800
  static let defaultOverlapSeconds: Int64 = 86_400
  /// For what is sent by hand: the longest timeout of a webhook, and some.
  static let answerTime: Duration = .seconds(35)
  static let ratePerSecond: ClosedRange<Double> = 0...1000
}

struct WebhookRoutes: Sendable {
  let desk: WebhookDesk
  /// Requests that are being made by hand.
  let places = Places()

  private static let reading: Set<Role> = [.developer, .operate]
  private static let writing: Set<Role> = [.developer]

  var routes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/webhooks", summary: "The webhooks, oldest first", roles: Self.reading,
        query: [CallAPI.limit, Self.cursor], answer: "A page of webhooks",
        result: CallAPI.page(of: WebhookShape.webhook), handle: list),
      APIRoute(
        method: .post, path: "/v1/webhooks", summary: "Be told of events: from now on they are sent to a URL",
        roles: Self.writing, body: Self.fields(isNew: true),
        answer: "the webhook, and its `secret`, which is shown this once", result: WebhookShape.webhookWithSecret,
        statuses: [.created], hasSecret: true, handle: create),
      APIRoute(
        method: .get, path: "/v1/webhooks/{id}", summary: "One webhook, and how its deliveries go", roles: Self.reading,
        answer: "The webhook", result: WebhookShape.webhookWithProgress, handle: show),
      APIRoute(
        method: .patch, path: "/v1/webhooks/{id}",
        summary: "Change a webhook: what is left out stays as it is, an empty text is no filter",
        roles: Self.writing, body: Self.fields(isNew: false), answer: "The webhook", result: WebhookShape.webhook,
        handle: change),
      APIRoute(
        method: .delete, path: "/v1/webhooks/{id}", summary: "Forget a webhook and all that is kept of it",
        roles: Self.writing, answer: "It is gone", result: WebhookShape.deleted, handle: delete),
      APIRoute(
        method: .post, path: "/v1/webhooks/{id}/rotate-secret",
        summary: "Sign with a new secret; the old one signs too for a while", roles: Self.writing,
        body: [
          APIRoute.Field(
            name: "overlap_seconds", kind: .integer, explanation: "How long both sign; 0: the old one ends at once",
            fallback: .int(WebhookBounds.defaultOverlapSeconds), range: WebhookBounds.overlapSeconds)
        ], answer: "the webhook, and its new `secret`, which is shown this once",
        result: WebhookShape.webhookWithSecret, hasSecret: true, handle: rotate),
      APIRoute(
        method: .post, path: "/v1/webhooks/{id}/test",
        summary: "Send one event of type `webhook_test` to this webhook alone, now and once", roles: Self.writing,
        answer: "What came back", result: WebhookShape.byHand, answerTime: WebhookBounds.answerTime, handle: test),
      APIRoute(
        method: .get, path: "/v1/webhooks/{id}/deliveries", summary: "The latest attempts, newest first",
        roles: Self.reading, query: [CallAPI.limit, Self.numberCursor], answer: "A page of attempts",
        result: CallAPI.page(of: WebhookShape.delivery),
        handle: deliveries),
      APIRoute(
        method: .get, path: "/v1/webhooks/{id}/dead-letters",
        summary: "Events that this webhook never took, newest first", roles: Self.reading,
        query: [CallAPI.limit, Self.numberCursor], answer: "A page of dead letters",
        result: CallAPI.page(of: WebhookShape.deadLetter), handle: deadLetters),
      APIRoute(
        method: .get, path: "/v1/webhooks/dead-letters", summary: "Events that no attempt could deliver, newest first",
        roles: Self.reading, query: [CallAPI.limit, Self.numberCursor], answer: "A page of dead letters",
        result: CallAPI.page(of: WebhookShape.deadLetter),
        handle: deadLetters),
      APIRoute(
        method: .post, path: "/v1/webhooks/{id}/dead-letters/{letter}/replay",
        summary: "Send a dead letter once more, now; delivered, it is gone", roles: Self.writing,
        answer: "What came back", result: WebhookShape.byHand, answerTime: WebhookBounds.answerTime, handle: replay),
      APIRoute(
        method: .post, path: "/v1/webhooks/dead-letters/{letter}/replay",
        summary: "The same, without the name of the webhook", roles: Self.writing,
        answer: "What came back", result: WebhookShape.byHand, answerTime: WebhookBounds.answerTime, handle: replay),
    ]
  }

  private static let cursor = APIRoute.Field(
    name: "cursor", kind: .string, explanation: "The `next_cursor` of the page before")
  private static let numberCursor = APIRoute.Field(
    name: "cursor", kind: .integer, explanation: "The `next_cursor` of the page before",
    range: 1...Double(1 << 53))

  private static func fields(isNew: Bool) -> [APIRoute.Field] {
    var fields = [
      APIRoute.Field(
        name: "url", kind: .string,
        explanation: "Where events are posted to: http or https, at most \(WebhookBounds.urlCharacters) characters",
        isRequired: isNew, length: 0...WebhookBounds.urlCharacters),
      APIRoute.Field(
        name: "event_types", kind: .strings, explanation: "Only these types; empty: all", choices: EventShape.types),
      APIRoute.Field(
        name: "session_id", kind: .string, explanation: "Only this call; empty: all",
        length: 0...WebhookBounds.filterCharacters),
      APIRoute.Field(
        name: "dialog_name", kind: .string, explanation: "Only calls of this dialog; empty: all",
        length: 0...WebhookBounds.filterCharacters),
      APIRoute.Field(
        name: "description", kind: .string, explanation: "For people", length: 0...WebhookBounds.descriptionCharacters),
      APIRoute.Field(
        name: "rate_per_second", kind: .number, explanation: "The most requests per second; 0: no limit",
        range: WebhookBounds.ratePerSecond),
      APIRoute.Field(name: "enabled", kind: .boolean, explanation: "Whether it is told of anything"),
    ]
    if !isNew {
      fields.append(
        APIRoute.Field(
          name: "skip_missed", kind: .boolean, explanation: "Leave out what it was not told of until now",
          fallback: false))
    }
    return fields
  }

  // MARK: Reading

  private func list(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let found = try await desk.store.webhooks(
      tenant: request.principal.tenant, limit: limit + 1, after: request.text("cursor") ?? "")
    let nowMs = WallClock.nowMilliseconds()
    return CallAPI.page(
      found.prefix(limit).map { .map(WebhookShape.value($0, nowMs: nowMs)) },
      next: found.count > limit ? found[limit - 1].id : nil)
  }

  private func show(_ request: APIRequest) async throws -> APIAnswer {
    let webhook = try await webhook(request)
    let progress = try await desk.store.progress(webhook.id)
    return .json(.map(WebhookShape.value(webhook, progress: progress, nowMs: WallClock.nowMilliseconds())))
  }

  private func deliveries(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let found = try await desk.store.deliveries(
      of: try await webhook(request).id, limit: limit + 1, before: request.integer("cursor").map { Int64($0) })
    return CallAPI.page(
      found.prefix(limit).map(WebhookShape.value), next: found.count > limit ? String(found[limit - 1].id) : nil)
  }

  private func deadLetters(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let webhook = request.path["id"] == nil ? nil : try await webhook(request).id
    let found = try await desk.store.deadLetters(
      tenant: request.principal.tenant, webhook: webhook, limit: limit + 1,
      before: request.integer("cursor").map { Int64($0) })
    return CallAPI.page(
      found.prefix(limit).map(WebhookShape.value), next: found.count > limit ? String(found[limit - 1].id) : nil)
  }

  private func webhook(_ request: APIRequest) async throws -> Webhook {
    let id = request.path["id"] ?? ""
    guard let webhook = try await desk.store.webhook(id, tenant: request.principal.tenant) else { throw missing(id) }
    return webhook
  }

  private func missing(_ id: String) -> APIProblem {
    APIProblem(.notFound, "no_such_webhook", "there is no webhook `\(id)`")
  }

  // MARK: Changing

  private func create(_ request: APIRequest) async throws -> APIAnswer {
    let nowMs = WallClock.nowMilliseconds()
    var random = SystemRandomNumberGenerator()
    let secret = Self.newSecret()
    var webhook = Webhook(
      id: ULID.make(unixMilliseconds: nowMs, using: &random), tenant: request.principal.tenant, url: "",
      secrets: [WebhookSecret(secret: secret)], createdMs: nowMs, updatedMs: nowMs)
    let apply = try changes(request)
    apply(&webhook)
    try await desk.store.create(webhook)
    var members = WebhookShape.value(webhook, nowMs: nowMs)
    members["secret"] = .string(secret.reveal())
    return .json(
      .map(members), status: .created, headers: [.location: "/v1/webhooks/\(webhook.id)", .cacheControl: "no-store"])
  }

  private func change(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? "", nowMs = WallClock.nowMilliseconds()
    // Whose webhook it is comes before what is wrong with the change.
    _ = try await webhook(request)
    let apply = try changes(request)
    let changed = try await desk.store.update(
      id, tenant: request.principal.tenant, nowMs: nowMs, skipsMissed: request.body["skip_missed"]?.boolValue ?? false
    ) { webhook in
      apply(&webhook)
      if webhook.isEnabled { webhook.disabledReason = "" }
    }
    guard let changed else { throw missing(id) }
    return .json(.map(WebhookShape.value(changed, nowMs: nowMs)))
  }

  private func delete(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? ""
    guard try await desk.store.delete(id, tenant: request.principal.tenant) else { throw missing(id) }
    return .json(["deleted": true])
  }

  private func rotate(_ request: APIRequest) async throws -> APIAnswer {
    let id = request.path["id"] ?? "", nowMs = WallClock.nowMilliseconds()
    let secret = Self.newSecret()
    let overlapMs = Int64(request.integer("overlap_seconds") ?? 0) * 1000
    let changed = try await desk.store.update(id, tenant: request.principal.tenant, nowMs: nowMs) { webhook in
      let old = webhook.secrets.first.map { WebhookSecret(secret: $0.secret, validUntilMs: nowMs + overlapMs) }
      webhook.secrets = [WebhookSecret(secret: secret)] + (overlapMs > 0 ? [old].compactMap { $0 } : [])
    }
    guard let changed else { throw missing(id) }
    var members = WebhookShape.value(changed, nowMs: nowMs)
    members["secret"] = .string(secret.reveal())
    return .json(.map(members), headers: [.cacheControl: "no-store"])
  }

  /// What the body changes, checked.
  private func changes(_ request: APIRequest) throws -> @Sendable (inout Webhook) -> Void {
    let body = request.body
    let url = try text(body, "url", limit: WebhookBounds.urlCharacters)
    if let url {
      do { try desk.check(url) } catch {
        throw APIProblem(.unprocessableContent, "url_refused", "`url`: \(error)")
      }
    }
    let session = try text(body, "session_id", limit: WebhookBounds.filterCharacters)
    let dialog = try text(body, "dialog_name", limit: WebhookBounds.filterCharacters)
    let description = try text(body, "description", limit: WebhookBounds.descriptionCharacters)
    var types: [String]?
    if case .list(let items)? = body["event_types"] {
      types = []
      for type in items.compactMap(\.stringValue) where types?.contains(type) == false { types?.append(type) }
    }
    return { [types] webhook in
      if let url { webhook.url = url }
      if let types { webhook.eventTypes = types }
      if let session { webhook.sessionID = session }
      if let dialog { webhook.dialogName = dialog }
      if let description { webhook.description = description }
      if let rate = body["rate_per_second"]?.doubleValue { webhook.ratePerSecond = rate > 0 ? rate : nil }
      if let isEnabled = body["enabled"]?.boolValue { webhook.isEnabled = isEnabled }
    }
  }

  private func text(_ body: [String: Value], _ name: String, limit: Int) throws -> String? {
    guard let text = body[name]?.stringValue else { return nil }
    guard text.unicodeScalars.count <= limit else {
      throw APIProblem.badRequest("`\(name)` has at most \(limit) characters")
    }
    // PostgreSQL keeps no such text.
    guard !text.utf8.contains(0) else { throw APIProblem.badRequest("`\(name)` holds a character that no text has") }
    return text
  }

  /// 256 random bits, under a prefix that scanners of repositories can know.
  private static func newSecret() -> Secret {
    var random = SystemRandomNumberGenerator()
    return Secret("whsec_" + (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }.hexadecimal)
  }

  // MARK: By hand

  private func test(_ request: APIRequest) async throws -> APIAnswer {
    let webhook = try await webhook(request)
    let nowMs = WallClock.nowMilliseconds()
    var random = SystemRandomNumberGenerator()
    let event = SessionEvent(
      eventID: ULID.make(unixMilliseconds: nowMs, using: &random), type: "webhook_test", sequence: 0,
      session: SessionID(""), timestampMs: nowMs, dialogName: "", tenant: webhook.tenant,
      fields: ["message": "a test of this webhook; nothing has happened"])
    let (answer, delivery) = try await send(event, to: webhook, attempt: 1)
    try await desk.store.keep(delivery)
    return .json(WebhookShape.value(answer, deliveryID: deliveryID(event, webhook)))
  }

  private func replay(_ request: APIRequest) async throws -> APIAnswer {
    let tenant = request.principal.tenant
    let name = request.path["letter"] ?? ""
    let missing = APIProblem(.notFound, "no_such_dead_letter", "there is no dead letter `\(name)`")
    if request.path["id"] != nil { _ = try await webhook(request) }
    guard let id = Int64(name), let letter = try await desk.store.deadLetter(id, tenant: tenant),
      request.path["id"].map({ $0 == letter.webhook }) ?? true,
      let webhook = try await desk.store.webhook(letter.webhook, tenant: tenant)
    else { throw missing }
    let (answer, delivery) = try await send(letter.event, to: webhook, attempt: letter.attempts + 1)
    try await desk.store.replayed(letter, delivery, isDelivered: answer.isDelivered)
    return .json(WebhookShape.value(answer, deliveryID: deliveryID(letter.event, webhook)))
  }

  private func deliveryID(_ event: SessionEvent, _ webhook: Webhook) -> String {
    WebhookSender.deliveryID(event: event.eventID, webhook: webhook.id)
  }

  private func send(
    _ event: SessionEvent, to webhook: Webhook, attempt: Int
  ) async throws -> (WebhookSender.Answer, WebhookDelivery) {
    guard places.enter(limit: WebhookBounds.byHand) else {
      throw APIProblem(
        .serviceUnavailable, "busy", "\(WebhookBounds.byHand) requests are being made by hand already",
        headers: [.retryAfter: "1"])
    }
    defer { places.leave() }
    var body: [UInt8] = []
    JSON.write(event.envelope, to: &body)
    let answer = await desk.sender.send(
      WebhookSender.Message(
        url: webhook.url, secrets: webhook.signingSecrets(atMs: WallClock.nowMilliseconds()), type: event.type,
        deliveryID: deliveryID(event, webhook), body: body), timeout: desk.timeout)
    return (
      answer,
      WebhookDelivery(
        webhook: webhook.id, eventID: event.eventID, type: event.type, session: event.session.value,
        sequence: event.sequence, attempt: attempt, outcome: answer.isDelivered ? "delivered" : "failed",
        status: answer.status, error: answer.error, response: answer.excerpt, durationMs: answer.durationMs,
        atMs: WallClock.nowMilliseconds())
    )
  }
}
