import Base

extension SessionEvent {
  /// The event as the API, the streams and webhooks show it: the envelope of docs/events.md with the fields of its type.
  public var envelope: Value {
    var map = fields
    map["event_id"] = .string(eventID)
    map["type"] = .string(type)
    map["sequence"] = .int(sequence)
    map["session_id"] = .string(session.value)
    map["timestamp"] = .time(timestampMs)
    map["dialog_name"] = .string(dialogName)
    map["tenant"] = .string(tenant)
    return .map(map)
  }
}
