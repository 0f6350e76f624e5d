import Base

/// One line of a session's record: the only source of the transcript, the event stream and replay.
public struct SessionEvent: Sendable, Hashable {
  /// A ULID: unique over all sessions, ordered by time.
  public var eventID: String
  /// A name of docs/events.md: `call_started`, `speech_final` and so on.
  public var type: String
  /// From 1 without gaps, per session.
  public var sequence: Int64
  public var session: SessionID
  /// Wall-clock milliseconds since 1970.
  public var timestampMs: Int64
  public var dialogName: String
  public var tenant: String
  /// What belongs to the type.
  public var fields: [String: Value]

  /// The field of an event whose row could not be read.
  public static let damaged = "damaged"

  public init(
    eventID: String, type: String, sequence: Int64, session: SessionID, timestampMs: Int64, dialogName: String,
    tenant: String = Tenant.standard, fields: [String: Value]
  ) {
    self.eventID = eventID
    self.type = type
    self.sequence = sequence
    self.session = session
    self.timestampMs = timestampMs
    self.dialogName = dialogName
    self.tenant = tenant
    self.fields = fields
  }
}
