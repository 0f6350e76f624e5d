import Base
import Outbound
import Storage

/// Webhooks, their attempts and their dead letters as the API shows them. Secrets are shown once, by whoever made them.
enum WebhookShape {
  static func value(_ webhook: Webhook, progress: WebhookProgress? = nil, nowMs: Int64) -> [String: Value] {
    let previous = webhook.secrets.dropFirst().compactMap(\.validUntilMs).max()
    var members: [String: Value] = [
      "id": .string(webhook.id), "url": .string(webhook.url),
      "event_types": .list(webhook.eventTypes.map { .string($0) }), "session_id": .string(webhook.sessionID),
      "dialog_name": .string(webhook.dialogName), "description": .string(webhook.description),
      "enabled": .bool(webhook.isEnabled), "disabled_reason": .string(webhook.disabledReason),
      "rate_per_second": webhook.ratePerSecond.map { .double($0) } ?? .null,
      "previous_secret_valid_until": .time(previous.flatMap { $0 > nowMs ? $0 : nil }),
      "created_at": .time(webhook.createdMs), "updated_at": .time(webhook.updatedMs),
    ]
    if let progress {
      members["last_success_at"] = .time(progress.lastSuccessMs)
      members["failing_since"] = .time(progress.failingSinceMs)
      members["waiting"] = .int(Int64(progress.waiting))
      members["dead_letters"] = .int(Int64(progress.deadLetters))
    }
    return members
  }

  static func value(_ delivery: WebhookDelivery) -> Value {
    [
      "id": .int(delivery.id),
      "delivery_id": .string(WebhookSender.deliveryID(event: delivery.eventID, webhook: delivery.webhook)),
      "event_id": .string(delivery.eventID), "type": .string(delivery.type), "session_id": .string(delivery.session),
      "sequence": .int(delivery.sequence), "attempt": .int(Int64(delivery.attempt)),
      "outcome": .string(delivery.outcome), "status": delivery.status == 0 ? .null : .int(Int64(delivery.status)),
      "error": .string(delivery.error), "response": .string(delivery.response),
      "duration_ms": .int(Int64(delivery.durationMs)), "at": .time(delivery.atMs),
    ]
  }

  static func value(_ letter: WebhookDeadLetter) -> Value {
    [
      "id": .int(letter.id), "webhook_id": .string(letter.webhook), "event": letter.event.envelope,
      "attempts": .int(Int64(letter.attempts)), "reason": .string(letter.reason), "died_at": .time(letter.diedMs),
    ]
  }

  static func value(_ answer: WebhookSender.Answer, deliveryID: String) -> Value {
    [
      "delivered": .bool(answer.isDelivered), "delivery_id": .string(deliveryID),
      "status": answer.status == 0 ? .null : .int(Int64(answer.status)), "error": .string(answer.error),
      "response": .string(answer.excerpt), "duration_ms": .int(Int64(answer.durationMs)),
    ]
  }
}
