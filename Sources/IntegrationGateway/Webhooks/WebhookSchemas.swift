import Base

/// What the routes of webhooks answer, for the description and its checks.
extension WebhookShape {
  typealias Field = APIRoute.Field

  private static func time(_ name: String, _ explanation: String, nullable: Bool = true) -> Field {
    Field(
      name: name, kind: .string, explanation: explanation, isRequired: true, syntax: .dateTime, isNullable: nullable)
  }

  private static func text(_ name: String, _ explanation: String, example: Value? = nil) -> Field {
    Field(name: name, kind: .string, explanation: explanation, isRequired: true, example: example)
  }

  private static func count(_ name: String, _ explanation: String) -> Field {
    Field(name: name, kind: .integer, explanation: explanation, isRequired: true)
  }

  private static let status = Field(
    name: "status", kind: .integer, explanation: "The HTTP status that came back; null: none did", isRequired: true,
    isNullable: true)

  private static let members: [Field] = [
    text("id", "Names it", example: "01M81M9SCEQ6WX0SPGPJG9RM2N"),
    text("url", "Where events are posted to", example: "https://crm.example.com/parley"),
    Field(name: "event_types", kind: .strings, explanation: "Only these types; empty: all", isRequired: true),
    text("session_id", "Only this call; empty: all"),
    text("dialog_name", "Only calls of this dialog; empty: all"),
    text("description", "For people"),
    Field(name: "enabled", kind: .boolean, explanation: "Whether it is told of anything", isRequired: true),
    text("disabled_reason", "Why it is off although nobody turned it off; else empty"),
    Field(
      name: "rate_per_second", kind: .number, explanation: "The most requests per second; null: no limit",
      isRequired: true, isNullable: true),
    time("previous_secret_valid_until", "Until when the secret before signs too"),
    time("created_at", "When it was made", nullable: false),
    time("updated_at", "When it was last changed", nullable: false),
  ]

  static let webhook = APIRoute.Shape(name: "Webhook", fields: members)

  static let webhookWithSecret = APIRoute.Shape(
    name: "WebhookWithSecret",
    fields: members + [text("secret", "What requests are signed with: shown this once")])

  static let webhookWithProgress = APIRoute.Shape(
    name: "WebhookWithProgress",
    fields: members + [
      time("last_success_at", "The last time that it took an event"),
      time("failing_since", "Since when nothing was delivered although it was tried"),
      count("waiting", "Events that wait for another attempt, or behind one that does"),
      count("dead_letters", "Events that were given up"),
    ])

  static let delivery = APIRoute.Shape(
    name: "WebhookDelivery", explanation: "One attempt",
    fields: [
      count("id", "Counts up"), text("delivery_id", "`X-Parley-Delivery`: the same for every attempt at an event"),
      text("event_id", "The event"), text("type", "Its type"), text("session_id", "Its call"),
      count("sequence", "Its number in the call"), count("attempt", "From 1"),
      Field(
        name: "outcome", kind: .string, explanation: "How it came out", isRequired: true,
        choices: ["delivered", "failed", "deferred", "gone"]),
      status, text("error", "What went wrong; empty where nothing did"),
      text("response", "The beginning of the answer's body"), count("duration_ms", "How long it took"),
      time("at", "When the answer came", nullable: false),
    ])

  static let deadLetter = APIRoute.Shape(
    name: "WebhookDeadLetter", explanation: "An event that was given up",
    fields: [
      count("id", "Names it"), text("webhook_id", "The webhook that never took it"),
      Field(name: "event", kind: .object, explanation: "The event, as it was sent", isRequired: true),
      count("attempts", "How often it was tried"), text("reason", "How the last attempt failed"),
      time("died_at", "When it was given up", nullable: false),
    ])

  static let byHand = APIRoute.Shape(
    name: "WebhookAnswer", explanation: "What came back",
    fields: [
      Field(name: "delivered", kind: .boolean, explanation: "Whether it was taken", isRequired: true),
      text("delivery_id", "`X-Parley-Delivery`"), status, text("error", "What went wrong; empty where nothing did"),
      text("response", "The beginning of the answer's body"), count("duration_ms", "How long it took"),
    ])

  static let deleted = APIRoute.Shape(
    name: "Deleted",
    fields: [Field(name: "deleted", kind: .boolean, explanation: "Always true", isRequired: true)])
}
