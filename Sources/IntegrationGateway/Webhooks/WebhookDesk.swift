import Outbound
import Storage

/// What the API needs for webhooks.
public struct WebhookDesk: Sendable {
  public var store: WebhookStore
  /// For what is sent by hand: tests and replays.
  public var sender: WebhookSender
  /// For one request.
  public var timeout: Duration
  /// Whether a URL may be asked at all.
  public var check: @Sendable (String) throws(OutboundError) -> Void

  public init(
    store: WebhookStore, sender: WebhookSender, timeout: Duration,
    check: @escaping @Sendable (String) throws(OutboundError) -> Void
  ) {
    self.store = store
    self.sender = sender
    self.timeout = timeout
    self.check = check
  }
}
