import Base
import Storage

/// A call as the API shows it.
enum CallShape {
  static func value(_ call: SessionSummary, nowMs: Int64) -> Value {
    let end = call.endedAtMs ?? nowMs
    return [
      "id": .string(call.session.value), "state": .string(call.state.rawValue), "direction": .string(call.direction),
      "caller_id": .string(call.callerID), "called_number": .string(call.calledNumber),
      "dialog_name": .string(call.dialogName), "dialog_version": .string(call.dialogVersion),
      "dialog_number": call.dialogNumber == 0 ? .null : .int(Int64(call.dialogNumber)),
      "dialog_digest": .string(call.dialogDigest), "outcome": .map(call.outcome),
      "current_state": .string(call.currentState),
      "variables": .map(call.variables), "started_at": .time(call.startedAtMs), "answered_at": .time(call.answeredAtMs),
      "ended_at": .time(call.endedAtMs), "end_reason": call.endReason.map { .string($0) } ?? .null,
      "duration_ms": .int(max(0, end - call.startedAtMs)),
      "talk_duration_ms": .int(call.answeredAtMs.map { max(0, end - $0) } ?? 0), "quality": .map(call.quality),
      "latency": .map(call.latency),
    ]
  }

  static let shape = APIRoute.Shape(
    name: "Call",
    fields: [
      .init(name: "id", kind: .string, explanation: "Names the call in every route and event", isRequired: true),
      .init(
        name: "state", kind: .string, explanation: "How far it is", isRequired: true,
        choices: ["offered", "ringing", "active", "ended"]),
      .init(name: "direction", kind: .string, explanation: "`inbound` or `outbound`", isRequired: true),
      .init(name: "caller_id", kind: .string, explanation: "Who calls", isRequired: true),
      .init(name: "called_number", kind: .string, explanation: "Who is called", isRequired: true),
      .init(name: "dialog_name", kind: .string, explanation: "The dialog that serves it", isRequired: true),
      .init(name: "dialog_version", kind: .string, explanation: "What its author calls the version", isRequired: true),
      .init(
        name: "dialog_number", kind: .integer, explanation: "The stored version", isRequired: true, isNullable: true),
      .init(name: "dialog_digest", kind: .string, explanation: "SHA-256 of the dialog's source", isRequired: true),
      .init(
        name: "outcome", kind: .object, explanation: "`disposition`, `summary`, `tags`, `variables`, `review`",
        isRequired: true),
      .init(name: "current_state", kind: .string, explanation: "The dialog's state", isRequired: true),
      .init(name: "variables", kind: .object, explanation: "The dialog's variables", isRequired: true),
      time("started_at", "When it was offered"), time("answered_at", "When it was answered"),
      time("ended_at", "When it ended"),
      .init(name: "end_reason", kind: .string, explanation: "Why it ended", isRequired: true, isNullable: true),
      .init(name: "duration_ms", kind: .integer, explanation: "Since the offer", isRequired: true),
      .init(name: "talk_duration_ms", kind: .integer, explanation: "Since the answer", isRequired: true),
      .init(name: "quality", kind: .object, explanation: "The latest `quality` event", isRequired: true),
      .init(name: "latency", kind: .object, explanation: "The latest `turn_latency` event", isRequired: true),
    ])

  private static func time(_ name: String, _ explanation: String) -> APIRoute.Field {
    .init(
      name: name, kind: .string, explanation: explanation, isRequired: true, syntax: .dateTime, isNullable: true)
  }
}

/// An event as the API, the stream and later webhooks show it: one envelope with the fields of the type.
enum EventShape {
  /// The names that `event_types` takes.
  static let types = [
    "call_started", "call_ringing", "call_answered", "call_held", "call_resumed", "call_transferred", "transfer_failed",
    "call_terminated", "call_outcome", "call_review", "hangup", "amd_result", "speech_started", "speech_partial",
    "speech_final", "dtmf_received", "custom_received", "state_transition", "action_executed", "secret_decision",
    "tts_started", "tts_completed", "tts_interrupted", "hook_result", "hook_error", "model_sentence", "model_tool_call",
    "model_finished", "model_error", "agent_message", "tool_called", "turn_latency", "recording_complete",
    "recording_ready", "transcript_ready", "quality", "custom_event", "error",
  ]

  static func value(_ event: SessionEvent) -> Value { event.envelope }

  static let shape = APIRoute.Shape(
    name: "Event", explanation: "The envelope, and the fields of the type.",
    fields: [
      .init(name: "event_id", kind: .string, explanation: "Unique, sorted by time", isRequired: true),
      .init(name: "type", kind: .string, explanation: "What happened", isRequired: true, example: "speech_final"),
      .init(name: "sequence", kind: .integer, explanation: "From 1 without gaps, per call", isRequired: true),
      .init(name: "session_id", kind: .string, explanation: "The call", isRequired: true),
      .init(name: "timestamp", kind: .string, explanation: "When", isRequired: true, syntax: .dateTime),
      .init(name: "dialog_name", kind: .string, explanation: "The dialog that serves the call", isRequired: true),
      .init(name: "tenant", kind: .string, explanation: "Whose call it is", isRequired: true),
    ], isOpen: true)
}

/// What was said in a call, from its record alone: the caller's final transcripts, and of the gateway's prompts what was
/// really heard.
struct Transcript {
  static let shape = APIRoute.Shape(
    name: "Transcript",
    fields: [
      .init(name: "session_id", kind: .string, explanation: "The call", isRequired: true),
      .init(
        name: "items",
        kind: .records(
          .init(
            name: "Utterance",
            fields: [
              .init(
                name: "role", kind: .string, explanation: "Who", isRequired: true, choices: ["caller", "gateway"]),
              .init(name: "text", kind: .string, explanation: "What was said, or heard of it", isRequired: true),
              .init(name: "at", kind: .string, explanation: "When", isRequired: true, syntax: .dateTime),
              .init(name: "confidence", kind: .number, explanation: "Of what the caller said"),
              .init(name: "interrupted", kind: .boolean, explanation: "True: it was not heard to its end"),
            ])), explanation: "In order", isRequired: true),
    ])

  private var entries: [(atMs: Int64, sequence: Int64, value: [String: Value])] = []
  /// Prompts that have begun: their text and when.
  private var begun: [String: (text: String, atMs: Int64)] = [:]

  mutating func add(_ event: SessionEvent) {
    let playback = event.fields["playback_id"]?.stringValue ?? ""
    func field(_ name: String) -> String { event.fields[name]?.stringValue ?? "" }
    switch event.type {
    case "speech_final":
      var more: [String: Value] = [:]
      if let confidence = event.fields["confidence"] { more["confidence"] = confidence }
      append("caller", field("transcript"), at: event.timestampMs, event, more)
    case "tts_started": begun[playback] = (field("text"), event.timestampMs)
    case "tts_completed":
      let start = begun.removeValue(forKey: playback)
      let text = event.fields["text"]?.stringValue ?? start?.text ?? ""
      append("gateway", text, at: start?.atMs ?? event.timestampMs, event, [:])
    case "tts_interrupted":
      let start = begun.removeValue(forKey: playback)
      append("gateway", field("heard_text"), at: start?.atMs ?? event.timestampMs, event, ["interrupted": true])
    default: break
    }
  }

  /// In the order of time; each `{role, text, at}`.
  var items: [Value] {
    entries.sorted { ($0.atMs, $0.sequence) < ($1.atMs, $1.sequence) }.map { .map($0.value) }
  }

  private mutating func append(
    _ role: String, _ text: String, at atMs: Int64, _ event: SessionEvent, _ more: [String: Value]
  ) {
    // Silence, and prompts of which nothing was heard, are not words.
    if text.isEmpty { return }
    var value = more
    value["role"] = .string(role)
    value["text"] = .string(text)
    value["at"] = .time(atMs)
    entries.append((atMs, event.sequence, value))
  }
}
