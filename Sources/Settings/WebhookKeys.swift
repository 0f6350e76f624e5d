import Base

/// `integration.webhooks`: how events are delivered to the webhooks of the API.
public struct WebhookSettings: Sendable, Hashable {
  /// For one request and its answer.
  public var timeout: Duration = .seconds(10)
  /// Attempts at one event, the first included.
  public var maxAttempts = 8
  public var backoffInitial: Duration = .seconds(1)
  public var backoffMax: Duration = .seconds(300)

  public init() {}
}

enum WebhookKeys {
  static let webhooks: [Field<WebhookSettings>] = [
    .key(
      "timeout", \.timeout, .duration(.milliseconds(100), .seconds(30)), "One request of a webhook and its answer."),
    .key(
      "max_attempts", \.maxAttempts, .int(1...50),
      "Attempts at one event, the first included; then it is a dead letter."),
    .key(
      "backoff_initial", \.backoffInitial, .duration(.milliseconds(10), .seconds(60)),
      "The longest wait after the first failed attempt; it doubles with every further one, and chance shortens it."),
    .key(
      "backoff_max", \.backoffMax, .duration(.milliseconds(10), .seconds(3600)), "The longest wait of all."),
  ]
}

extension Decoding {
  mutating func check(_ webhooks: WebhookSettings) {
    if webhooks.backoffInitial > webhooks.backoffMax {
      together("integration.webhooks: backoff_initial is longer than backoff_max")
    }
  }
}
