import Base
import Dialogs
import Storage

/// Keeps personal data out of a session's record (`security.pii`). The dialog itself, hooks and models go on with the real words.
struct RecordRedaction: Sendable {
  let redactor: Redactor

  init(_ redactor: Redactor) { self.redactor = redactor }

  /// Names and measures of the gateway itself, and the number that was called, which is the owner's own.
  private static let plain: Set<String> = [
    "playback_id", "hook", "service", "path", "request", "call", "state", "from_state", "to_state", "trigger", "action",
    "dialog_name", "dialog_version", "dialog_digest", "sub_dialogs", "limits", "language", "model", "reason", "who",
    "disposition", "code", "tool", "interrupted_by", "by", "error", "direction", "outcome", "role", "trunk",
    "called_number", "to_uri",
  ]
  /// Who calls: a number in whatever form the network gives it.
  private static let parties: Set<String> = ["caller_id", "from_uri"]
  /// Kinds that a caller may type in key by key, so that a single key already is a part of one.
  private static let typed: Set<PersonalData> = [.card, .phone, .ssn, .digits]

  func redact(_ fields: [String: Value], of type: String) -> [String: Value] {
    if redactor.isIdle { return fields }
    var redacted = fields
    for (name, value) in fields where !Self.plain.contains(name) {
      switch value {
      case .string(let text):
        redacted[name] = .string(Self.parties.contains(name) ? party(text) : redactor.redact(text))
      case .list, .map: redacted[name] = redactor.redact(value)
      // Counts and durations; numbers that somebody said stand within a map.
      case .null, .bool, .int, .double: break
      }
    }
    if redacted["transcript"] != fields["transcript"], redacted["segments"] != nil {
      // Word by word the segments say what the transcript does not any more.
      redacted["segments"] = []
    }
    if type == "dtmf_received", fields["digit"]?.stringValue?.isEmpty == false,
      !redactor.kinds.isDisjoint(with: Self.typed)
    {
      redacted["digit"] = ""
      redacted["masked"] = true
    }
    if redacted != fields { redacted[JournalEntry.redacted] = true }
    return redacted
  }

  func redact(_ summary: SessionSummary) -> SessionSummary {
    if redactor.isIdle { return summary }
    var redacted = summary
    redacted.callerID = party(summary.callerID)
    redacted.variables = redact(map: summary.variables)
    redacted.outcome = redact(map: summary.outcome)
    return redacted
  }

  private func redact(map: [String: Value]) -> [String: Value] { map.mapValues(redactor.redact) }

  /// A caller's number is one in any form from five digits on; a shorter one is an extension.
  private func party(_ text: String) -> String {
    let digits = text.utf8.count { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard redactor.kinds.contains(.phone), digits >= 5 else { return redactor.redact(text) }
    return "[\(PersonalData.phone.rawValue)]"
  }
}
