import Base
import Settings

/// Somebody else's URL that is told of events.
public struct Webhook: Sendable, Hashable {
  /// A ULID.
  public var id: String
  public var tenant: String
  public var url: String
  /// Only these types; empty: all.
  public var eventTypes: [String]
  /// Only this session; empty: all.
  public var sessionID: String
  /// Only calls of this dialog; empty: all.
  public var dialogName: String
  public var description: String
  public var isEnabled: Bool
  /// Why it is off although nobody turned it off; else empty.
  public var disabledReason: String
  /// Requests per second; nil: as fast as it answers.
  public var ratePerSecond: Double?
  /// The newest first; the second signs too while a secret is exchanged.
  public var secrets: [WebhookSecret]
  public var createdMs: Int64
  public var updatedMs: Int64
  /// Counts the changes.
  public var revision: Int64

  public init(
    id: String, tenant: String, url: String, eventTypes: [String] = [], sessionID: String = "", dialogName: String = "",
    description: String = "", isEnabled: Bool = true, disabledReason: String = "", ratePerSecond: Double? = nil,
    secrets: [WebhookSecret], createdMs: Int64, updatedMs: Int64, revision: Int64 = 1
  ) {
    self.id = id
    self.tenant = tenant
    self.url = url
    self.eventTypes = eventTypes
    self.sessionID = sessionID
    self.dialogName = dialogName
    self.description = description
    self.isEnabled = isEnabled
    self.disabledReason = disabledReason
    self.ratePerSecond = ratePerSecond
    self.secrets = secrets
    self.createdMs = createdMs
    self.updatedMs = updatedMs
    self.revision = revision
  }

  /// Whether the webhook is told of this event.
  public func takes(type: String, session: String, dialog: String, tenant: String) -> Bool {
    tenant == self.tenant && (eventTypes.isEmpty || eventTypes.contains(type))
      && (sessionID.isEmpty || sessionID == session) && (dialogName.isEmpty || dialogName == dialog)
  }

  /// What requests are signed with at this time.
  public func signingSecrets(atMs nowMs: Int64) -> [Secret] {
    secrets.filter { $0.validUntilMs.map { $0 > nowMs } ?? true }.map(\.secret)
  }
}

/// A key that requests are signed with. Stored as it is: whoever signs must know it.
public struct WebhookSecret: Sendable, Hashable {
  public var secret: Secret
  /// Wall-clock milliseconds; nil: until it is exchanged.
  public var validUntilMs: Int64?

  public init(secret: Secret, validUntilMs: Int64? = nil) {
    self.secret = secret
    self.validUntilMs = validUntilMs
  }

  static func encode(_ secrets: [WebhookSecret]) -> String {
    JSON.encode(
      .list(
        secrets.map { secret in
          ["secret": .string(secret.secret.reveal()), "valid_until_ms": secret.validUntilMs.map { .int($0) } ?? .null]
        }))
  }

  static func decode(_ text: String) -> [WebhookSecret] {
    guard case .list(let items)? = try? JSON.decode(text) else { return [] }
    return items.compactMap { item in
      guard let secret = item["secret"]?.stringValue else { return nil }
      return WebhookSecret(secret: Secret(secret), validUntilMs: item["valid_until_ms"]?.intValue)
    }
  }
}

/// How deliveries to a webhook go.
public struct WebhookProgress: Sendable, Hashable {
  public var lastSuccessMs: Int64?
  /// Since when nothing was delivered although it was tried.
  public var failingSinceMs: Int64?
  /// Events that wait for another attempt, or behind one that does.
  public var waiting: Int
  public var deadLetters: Int
}

/// One attempt at one event.
public struct WebhookDelivery: Sendable, Hashable {
  /// 0 before it is stored.
  public var id: Int64 = 0
  public var webhook: String
  public var eventID: String
  public var type: String
  public var session: String
  public var sequence: Int64
  /// From 1.
  public var attempt: Int
  /// `delivered`, `failed`, `deferred` or `gone`.
  public var outcome: String
  /// 0: no answer came.
  public var status: Int
  public var error: String
  /// The beginning of the answer's body.
  public var response: String
  public var durationMs: Int
  /// Wall-clock milliseconds of the answer.
  public var atMs: Int64

  public init(
    webhook: String, eventID: String, type: String, session: String, sequence: Int64, attempt: Int, outcome: String,
    status: Int, error: String, response: String, durationMs: Int, atMs: Int64
  ) {
    self.webhook = webhook
    self.eventID = eventID
    self.type = type
    self.session = session
    self.sequence = sequence
    self.attempt = attempt
    self.outcome = outcome
    self.status = status
    self.error = error
    self.response = response
    self.durationMs = durationMs
    self.atMs = atMs
  }
}

/// An event that could not be delivered, kept so that it can be sent again by hand.
public struct WebhookDeadLetter: Sendable, Hashable {
  public var id: Int64
  public var webhook: String
  public var event: SessionEvent
  public var attempts: Int
  public var reason: String
  public var diedMs: Int64
}

/// Limits of what is kept for webhooks.
public enum WebhookLimits {
  /// Webhooks of one tenant: each may hold some requests and half a megabyte.
  public static let perTenant = 100
  /// Attempts that are remembered, per webhook, and for how long.
  public static let deliveries = 1_000
  public static let deliveryAgeMs: Int64 = 7 * 86_400_000
  /// Dead letters that are kept, per webhook, and for how long. They hold what was said in calls.
  public static let deadLetters = 10_000
  public static let deadLetterAgeMs: Int64 = 30 * 86_400_000
  /// Secrets that sign at once: the new one and the one that it replaces.
  public static let secrets = 2
}
