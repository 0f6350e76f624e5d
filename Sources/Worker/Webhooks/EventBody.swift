import Base
import NIOConcurrencyHelpers
import Outbound
import Storage
import Telemetry

/// An event on its way to webhooks. Its JSON is made once, by whoever needs it first.
final class EventBody: Sendable {
  let place: Int64
  let event: SessionEvent
  private let encoded = NIOLockedValueBox<[UInt8]?>(nil)

  init(place: Int64, event: SessionEvent) {
    self.place = place
    self.event = event
  }

  func isFor(_ webhook: Webhook) -> Bool {
    webhook.takes(type: event.type, session: event.session.value, dialog: event.dialogName, tenant: event.tenant)
  }

  var bytes: [UInt8] {
    encoded.withLockedValue { encoded in
      if let encoded { return encoded }
      var bytes: [UInt8] = []
      JSON.write(event.envelope, to: &bytes)
      encoded = bytes
      return bytes
    }
  }

  func message(to webhook: Webhook) -> WebhookSender.Message {
    var message = WebhookSender.Message(
      url: webhook.url, secrets: webhook.signingSecrets(atMs: WallClock.nowMilliseconds()), type: event.type,
      deliveryID: WebhookSender.deliveryID(event: event.eventID, webhook: webhook.id), body: bytes)
    if let trace = event.fields[CallTracing.field]?.stringValue,
      let place = CallPlace(event.session, traceID: trace)
    {
      message.traceparent = place.root.traceparent
    }
    return message
  }
}

extension WebhookSender.Answer {
  var outcome: DeliveryMachine.Outcome {
    if isDelivered { return .delivered }
    if isGone { return .gone }
    if isDeferred { return .deferred(retryAfter) }
    return .failed(reason: error)
  }
}

extension DeliveryMachine.Outcome {
  /// For the history and the metrics.
  var name: String {
    switch self {
    case .delivered: "delivered"
    case .failed: "failed"
    case .deferred: "deferred"
    case .gone: "gone"
    case .missing: "missing"
    }
  }
}
