import Base
import CallLink
import Dialogs
import Storage
import Telemetry

/// The events that the runtime itself has to tell; those of the dialog machine are named by `SessionJournal`. `docs/events.md`
/// describes each.
enum SessionEventType: String, Sendable {
  case callTerminated = "call_terminated"
  case callReview = "call_review"
  case actionExecuted = "action_executed"
  case ttsStarted = "tts_started"
  case ttsCompleted = "tts_completed"
  case ttsInterrupted = "tts_interrupted"
  case turnLatency = "turn_latency"
  /// Of hooks that no dialog has asked for; the others are inputs of the machine.
  case hookResult = "hook_result"
  case hookError = "hook_error"
  case quality
  case error
}

/// Writes one session's record: numbers the events without gaps, names them, and stamps them with the session's own time.
///
/// Every event has `at_ms`: whole milliseconds since the session began, which is exactly the instant that the dialog machine
/// was given with that input. Timers of the machine need no events of their own: a wake-up is always delivered at the
/// machine's own deadline, before any input that comes at or after it, so the inputs alone make the same call again.
struct SessionRecorder {
  let session: SessionID
  let dialogName: String
  let tenant: String
  /// Wall-clock milliseconds when the session began.
  let startedAtMs: Int64
  private let write: (SessionEvent) -> Void
  private let redaction: RecordRedaction
  private var random: SeededRandom
  /// The trace of the call; nil: there is none.
  private(set) var trace: CallTracing?
  private(set) var sequence: Int64

  /// - Parameters:
  ///   - sequence: the number of the last event that a predecessor wrote.
  ///   - write: takes each event, in order.
  init(
    session: SessionID, dialogName: String, tenant: String = Tenant.standard, startedAtMs: Int64,
    after sequence: Int64 = 0,
    redaction: RecordRedaction = RecordRedaction(Redactor([])), random: SeededRandom, trace: CallTracing? = nil,
    write: @escaping (SessionEvent) -> Void
  ) {
    self.trace = trace
    self.session = session
    self.dialogName = dialogName
    self.tenant = tenant
    self.startedAtMs = startedAtMs
    self.sequence = sequence
    self.write = write
    self.redaction = redaction
    self.random = random
  }

  /// - Parameter at: the session's time; its clock starts at zero.
  mutating func append(_ type: SessionEventType, _ fields: [String: Value], at: Instant) {
    append(JournalEntry(type: type.rawValue, atMs: at.nanoseconds / 1_000_000, fields: fields))
  }

  /// - Parameter measured: fields that no replay looks at.
  mutating func append(_ entry: JournalEntry, adding measured: [String: Value] = [:]) {
    let timestampMs = startedAtMs + entry.atMs
    var fields = redaction.redact(entry.fields.merging(measured) { _, measured in measured }, of: entry.type)
    fields["at_ms"] = .int(entry.atMs)
    trace?.observe(entry.type, fields, atMs: entry.atMs)
    // Whoever tells others of the event, perhaps in another process, tells them of its trace.
    if let id = trace?.recordedID { fields[CallTracing.field] = .string(id) }
    sequence += 1
    write(
      SessionEvent(
        eventID: ULID.make(unixMilliseconds: timestampMs, using: &random), type: entry.type, sequence: sequence,
        session: session, timestampMs: timestampMs, dialogName: dialogName, tenant: tenant, fields: fields))
  }

  /// The wall clock at an instant of the session.
  func unixMilliseconds(at: Instant) -> Int64 { startedAtMs + at.nanoseconds / 1_000_000 }
}
