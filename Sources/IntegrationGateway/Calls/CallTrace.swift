import Base
import Storage

/// A call as a developer debugs it: its turns in order, each with what the caller said, what the dialog did, what was answered,
/// and how long each step took. Made of the record alone.
struct CallTrace {
  private struct Turn {
    var startedMs: Int64
    var members: [String: Value] = [:]
    var steps: [Value] = []
  }

  /// Types that say nothing about a turn.
  private static let quiet: Set<String> = ["speech_partial", "quality", "model_sentence"]
  /// Steps of one call that are shown; a call of hours has more.
  private static let limit = 5000

  private var beganMs: Int64?
  private var turns: [Turn] = []
  private var count = 0
  private var summary: [String: Value] = [:]
  private var totals: [Int64] = []

  mutating func add(_ event: SessionEvent) {
    let began = beganMs ?? event.timestampMs
    beganMs = began
    // A turn is what follows something from the caller.
    let input: Value? =
      switch event.type {
      case "speech_final":
        ["kind": "speech", "text": event.fields["transcript"] ?? "", "confidence": event.fields["confidence"] ?? .null]
      case "dtmf_received": ["kind": "key", "text": event.fields["digit"] ?? ""]
      case "custom_received": ["kind": "event", "text": event.fields["name"] ?? ""]
      default: nil
      }
    if turns.isEmpty || input != nil {
      turns.append(Turn(startedMs: event.timestampMs))
      if let input { turns[turns.count - 1].members["input"] = input }
    }
    let last = turns.count - 1
    switch event.type {
    case "turn_latency":
      turns[last].members["latency"] = .map(event.fields.filter { $0.key.hasSuffix("_ms") && $0.key != "at_ms" })
      if let total = event.fields["total_ms"]?.intValue { totals.append(total) }
    case "call_started":
      for name in ["dialog_name", "dialog_version", "caller_id", "called_number"] { summary[name] = event.fields[name] }
    case "call_terminated":
      for name in ["reason", "disposition", "duration_ms"] { summary[name] = event.fields[name] }
    default: break
    }
    guard !Self.quiet.contains(event.type), event.type != "turn_latency", count < Self.limit else { return }
    count += 1
    turns[last].steps.append(Self.step(event, began))
  }

  private static func step(_ event: SessionEvent, _ began: Int64) -> Value {
    var detail = event.fields
    detail["at_ms"] = nil
    return [
      "at_ms": .int(event.timestampMs - began), "sequence": .int(event.sequence), "type": .string(event.type),
      "text": .string(text(event)), "fields": .map(detail),
    ]
  }

  /// The event in a few words.
  private static func text(_ event: SessionEvent) -> String {
    func field(_ name: String) -> String { event.fields[name]?.stringValue ?? "" }
    func number(_ name: String) -> String { event.fields[name]?.intValue.map { "\($0)" } ?? "" }
    return switch event.type {
    case "state_transition": "\(field("from_state")) -> \(field("to_state")) (\(field("trigger")))"
    case "speech_final": "caller: \(field("transcript"))"
    case "dtmf_received": "key: \(field("digit"))"
    case "tts_started": "gateway: \(field("text"))"
    case "tts_interrupted": "interrupted by \(field("interrupted_by")) after: \(field("heard_text"))"
    case "hook_result": "\(field("service")) answered \(number("status")) in \(number("duration_ms")) ms"
    case "hook_error": "\(field("service")) failed: \(field("error"))"
    case "action_executed": field("action")
    case "tool_called": "\(field("tool")): \(field("outcome"))"
    case "agent_message": "\(field("role")): \(field("text"))"
    case "call_terminated": "ended: \(field("reason"))"
    case "custom_received", "custom_event": field("name")
    case "error", "model_error": "\(field("code"))\(field("error")): \(field("message"))"
    default: ""
    }
  }

  func value(of session: SessionID) -> Value {
    let sorted = totals.sorted()
    var all = summary
    all["turns"] = .int(Int64(turns.count))
    all["median_latency_ms"] = sorted.isEmpty ? .null : .int(sorted[sorted.count / 2])
    all["worst_latency_ms"] = sorted.last.map { .int($0) } ?? .null
    return [
      "session_id": .string(session.value),
      "started_at": .time(beganMs ?? 0), "summary": .map(all),
      "is_complete": .bool(count < Self.limit),
      "turns": .list(
        turns.enumerated().map { i, turn in
          var members = turn.members
          members["number"] = .int(Int64(i))
          members["at_ms"] = .int(turn.startedMs - (beganMs ?? 0))
          members["input"] = members["input"] ?? .null
          members["latency"] = members["latency"] ?? .null
          members["steps"] = .list(turn.steps)
          return .map(members)
        }),
    ]
  }

  static let shape = APIRoute.Shape(
    name: "Trace", explanation: "A call turn by turn; times count from its first event.",
    fields: [
      .init(name: "session_id", kind: .string, explanation: "The call", isRequired: true),
      .init(
        name: "started_at", kind: .string, explanation: "Time of the first event", isRequired: true, syntax: .dateTime),
      .init(
        name: "summary", kind: .object, explanation: "Dialog, parties, end, and the median and worst latency",
        isRequired: true),
      .init(
        name: "is_complete", kind: .boolean, explanation: "False: the call has more steps than are shown",
        isRequired: true),
      .init(name: "turns", kind: .records(turn), explanation: "In order", isRequired: true),
    ])

  private static let turn = APIRoute.Shape(
    name: "TraceTurn",
    fields: [
      .init(
        name: "number", kind: .integer, explanation: "From 0, which is before the caller's first", isRequired: true),
      .init(name: "at_ms", kind: .integer, explanation: "When it began", isRequired: true),
      .init(
        name: "input", kind: .record(input), explanation: "What the caller did; null for the beginning",
        isRequired: true,
        isNullable: true),
      .init(
        name: "latency", kind: .object,
        explanation:
          "`endpoint_ms`, `recognize_ms`, `think_ms`, `synthesize_ms`, `total_ms`: from the end of the caller's speech to the first sound of the answer",
        isRequired: true, isNullable: true),
      .init(name: "steps", kind: .records(step), explanation: "What happened", isRequired: true),
    ])

  private static let input = APIRoute.Shape(
    name: "TraceInput",
    fields: [
      .init(
        name: "kind", kind: .string, explanation: "By what", isRequired: true, choices: ["speech", "key", "event"]),
      .init(name: "text", kind: .string, explanation: "Words, key or name", isRequired: true),
      .init(name: "confidence", kind: .number, explanation: "Of speech", isNullable: true),
    ])

  private static let step = APIRoute.Shape(
    name: "TraceStep",
    fields: [
      .init(name: "at_ms", kind: .integer, explanation: "When", isRequired: true),
      .init(name: "sequence", kind: .integer, explanation: "Of the event", isRequired: true),
      .init(name: "type", kind: .string, explanation: "Of the event", isRequired: true),
      .init(name: "text", kind: .string, explanation: "The event in a few words; may be empty", isRequired: true),
      .init(name: "fields", kind: .object, explanation: "What belongs to the type", isRequired: true),
    ])
}
