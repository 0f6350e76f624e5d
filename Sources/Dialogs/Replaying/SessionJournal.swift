import Base

/// The one mapping between what a dialog machine is given and says, and the lines of a session's record. The runtime writes
/// with it; a replay reads with it.
///
/// An owner records an input before it gives it to the machine, and may add fields (durations, measurements) that no replay
/// looks at. Timers need no lines; see docs/events.md, "Replay".
public enum SessionJournal {
  // MARK: Writing

  /// - Parameter session: as it is before the input: it knows which keys and names are secret.
  public static func entry(for input: DialogInput, at: Instant, in session: DialogSession) -> JournalEntry {
    let (type, fields) = line(for: input, in: session)
    return JournalEntry(type: type, atMs: at.nanoseconds / 1_000_000, fields: fields)
  }

  private static func line(for input: DialogInput, in session: DialogSession) -> (String, [String: Value]) {
    switch input {
    case .callAnswered: return ("call_answered", [:])
    case .startAnswer(let service, let answer):
      let fields: [String: Value] = [
        "moment": "call_start", "service": .string(service), "result": answer.hiding(session.masked),
      ]
      return ("hook_result", fields)
    case .speechStarted: return ("speech_started", [:])
    case .speechPartial(let transcript): return ("speech_partial", ["transcript": .string(transcript)])
    case .speech(let heard):
      var fields: [String: Value] = [
        "transcript": .string(heard.transcript), "confidence": .double(heard.confidence),
        "language": .string(heard.language),
      ]
      if !heard.slots.isEmpty { fields["slots"] = .map(heard.slots) }
      return ("speech_final", fields)
    case .noMatch: return ("speech_final", ["transcript": "", "confidence": 0.0, "language": ""])
    case .digit(let key):
      // Which keys were pressed is secret; where the entry ended is not, and a replay has to know it.
      let secret = session.secretEntry
      let isHidden = secret != nil && secret?.terminator != String(key)
      return ("dtmf_received", ["digit": isHidden ? "" : .string(String(key)), "masked": .bool(secret != nil)])
    case .playbackFinished(let id): return ("tts_completed", ["playback_id": .string(id.description)])
    case .playbackInterrupted(let id, let heard, let byCaller):
      let fields: [String: Value] = [
        "playback_id": .string(id.description), "heard_text": .string(heard),
        "interrupted_by": byCaller ? "speech" : "command",
      ]
      return ("tts_interrupted", fields)
    case .playbackFailed(let id, let message):
      let fields: [String: Value] = [
        "code": "playback_failed", "playback_id": .string(id.description), "message": .string(message),
      ]
      return ("error", fields)
    case .hookResult(let token, let answer):
      return ("hook_result", ["hook": .string(token.description), "result": session.hiding(answer, of: token)])
    case .hookError(let token, let error, let status, let message):
      let fields: [String: Value] = [
        "hook": .string(token.description), "error": .string(error), "status": .int(Int64(status)),
        "message": .string(message),
      ]
      return ("hook_error", fields)
    case .modelSentence(let token, let text):
      return ("model_sentence", ["request": .string(token.description), "text": .string(session.hidingSecrets(text))])
    case .modelToolCall(let token, let call):
      let fields: [String: Value] = [
        "request": .string(token.description), "call": .string(call.id), "tool": .string(call.name),
        "arguments": .string(session.hidingSecrets(call.arguments)),
      ]
      return ("model_tool_call", fields)
    case .modelFinished(let token, let reason, let tokens):
      let fields: [String: Value] = [
        "request": .string(token.description), "reason": .string(reason), "tokens": .int(Int64(tokens)),
      ]
      return ("model_finished", fields)
    case .modelFailed(let token, let error, let message):
      let fields: [String: Value] = [
        "request": .string(token.description), "error": .string(error), "message": .string(message),
      ]
      return ("model_error", fields)
    case .transferResult(let status):
      return (status == "connected" ? "call_transferred" : "transfer_failed", ["status": .string(status)])
    case .callHeld: return ("call_held", [:])
    case .callResumed: return ("call_resumed", [:])
    case .recordingComplete: return ("recording_complete", [:])
    case .answeredBy(let who): return ("amd_result", ["result": .string(who)])
    case .custom(let name, let data):
      return ("custom_received", ["name": .string(name), "data": data.hiding(session.masked)])
    case .hangup(let who, let reason): return ("hangup", ["who": .string(who), "reason": .string(reason)])
    }
  }

  /// What the record keeps of an action; nil for those that need no line of their own.
  public static func entry(for action: DialogAction, at: Instant) -> JournalEntry? {
    let line: (type: String, fields: [String: Value])
    switch action {
    case .trace(let trace): line = self.line(for: trace)
    case .emit(let name, let data): line = ("custom_event", ["name": .string(name), "data": data])
    case .outcome(let outcome):
      line = (
        "call_outcome",
        [
          "disposition": .string(outcome.disposition), "summary": .string(outcome.summary),
          "tags": .list(outcome.tags.map { .string($0) }), "variables": .map(outcome.variables),
        ]
      )
    case .say, .stop, .listen, .callHook, .cancelHook, .askModel, .cancelModel, .transfer, .hold, .unhold, .sendDigits,
      .record, .log, .hangup:
      return nil
    }
    return JournalEntry(type: line.type, atMs: at.nanoseconds / 1_000_000, fields: line.fields)
  }

  private static func line(for trace: DialogTrace) -> (String, [String: Value]) {
    func executed(_ action: String, _ detail: Value, in state: String? = nil) -> (String, [String: Value]) {
      var fields: [String: Value] = ["action": .string(action), "detail": detail]
      if let state { fields["state"] = .string(state) }
      return ("action_executed", fields)
    }
    switch trace {
    case .stateTransition(let from, let to, let trigger):
      return (
        "state_transition", ["from_state": .string(from), "to_state": .string(to), "trigger": .string(trigger)]
      )
    case .stayed(let state, let trigger):
      let fields: [String: Value] = [
        "from_state": .string(state), "to_state": .string(state), "trigger": .string(trigger), "stayed": true,
      ]
      return ("state_transition", fields)
    case .actionExecuted(let state, let action, let detail): return executed(action, detail, in: state)
    case .variableChanged(let name, let value): return executed("variable_changed", [name: value])
    case .reprompt(let state, let event, let attempt):
      return executed("reprompt", ["event": .string(event), "attempt": .int(Int64(attempt))], in: state)
    case .eventIgnored(let state, let event): return executed("event_ignored", ["event": .string(event)], in: state)
    case .failure(let state, let code, let message):
      return ("error", ["state": .string(state), "code": .string(code), "message": .string(message)])
    case .agentMessage(let state, let role, let text, let detail):
      var fields: [String: Value] = ["state": .string(state), "role": .string(role), "text": .string(text)]
      if detail != .null { fields["detail"] = detail }
      return ("agent_message", fields)
    case .toolCalled(let state, let tool, let arguments, let outcome):
      let fields: [String: Value] = [
        "state": .string(state), "tool": .string(tool), "arguments": arguments, "outcome": .string(outcome),
      ]
      return ("tool_called", fields)
    case .secretDecision(let result): return ("secret_decision", ["result": .bool(result)])
    case .ended(let state, let reason): return executed("dialog_ended", ["reason": .string(reason)], in: state)
    }
  }

  // MARK: Reading

  /// Whether the machine said this: what a replay has to say again. Lines of the owner (measurements, the API's commands,
  /// failures outside the dialog) are not.
  public static func isProduced(_ entry: JournalEntry) -> Bool {
    switch entry.type {
    case "state_transition", "custom_event", "call_outcome", "agent_message", "tool_called", "secret_decision": true
    case "action_executed": entry.fields["by"] == nil
    case "error": entry.fields["state"] != nil
    default: false
    }
  }

  /// The input that was recorded; nil where the entry is none. Secret keys come back as `0`.
  public static func input(from entry: JournalEntry) throws(JournalProblem) -> DialogInput? {
    // What the API had played is nothing to the dialog.
    guard entry.fields["by"] != "api" else { return nil }
    let fields = EntryFields(entry)
    switch entry.type {
    case "call_answered": return .callAnswered
    case "speech_started": return .speechStarted
    case "speech_partial": return .speechPartial(transcript: try fields.text("transcript"))
    case "speech_final":
      let transcript = try fields.text("transcript")
      guard !transcript.isEmpty else { return .noMatch }
      return .speech(
        HeardSpeech(
          transcript: transcript, confidence: try fields.value("confidence").doubleValue ?? 0,
          language: try fields.text("language"), slots: entry.fields["slots"]?.mapValue ?? [:]))
    case "dtmf_received":
      let key = try fields.text("digit")
      guard key.isEmpty ? try fields.bool("masked") : key.count == 1 else {
        throw JournalProblem("`dtmf_received` at \(entry.atMs) ms names no key")
      }
      return .digit(key.first ?? "0")
    case "tts_completed": return .playbackFinished(PlaybackID(try fields.number("playback_id", after: "p")))
    case "tts_interrupted":
      return .playbackInterrupted(
        PlaybackID(try fields.number("playback_id", after: "p")), heard: try fields.text("heard_text"),
        byCaller: try fields.text("interrupted_by") != "command")
    case "error":
      guard entry.fields["code"] == "playback_failed", entry.fields["state"] == nil else { return nil }
      return .playbackFailed(
        PlaybackID(try fields.number("playback_id", after: "p")), message: try fields.text("message"))
    // What is told of a call's end changes nothing any more, nor does a service that had nothing to say at its start.
    case "hook_result" where entry.fields["moment"] == "call_start":
      return .startAnswer(service: try fields.text("service"), try fields.value("result"))
    case _ where entry.fields["moment"] != nil && ["hook_result", "hook_error"].contains(entry.type): return nil
    case "hook_result":
      return .hookResult(HookToken(try fields.number("hook", after: "h")), try fields.value("result"))
    case "hook_error":
      return .hookError(
        HookToken(try fields.number("hook", after: "h")), error: try fields.text("error"),
        status: Int(clamping: try fields.int("status")), message: try fields.text("message"))
    case "model_sentence": return .modelSentence(try token(fields), try fields.text("text"))
    case "model_tool_call":
      let call = ModelToolCall(
        id: try fields.text("call"), name: try fields.text("tool"), arguments: try fields.text("arguments"))
      return .modelToolCall(try token(fields), call)
    case "model_finished":
      return .modelFinished(
        try token(fields), reason: try fields.text("reason"), tokens: Int(clamping: try fields.int("tokens")))
    case "model_error":
      return .modelFailed(try token(fields), error: try fields.text("error"), message: try fields.text("message"))
    case "call_transferred", "transfer_failed": return .transferResult(status: try fields.text("status"))
    case "call_held": return .callHeld
    case "call_resumed": return .callResumed
    case "recording_complete": return .recordingComplete
    case "amd_result": return .answeredBy(try fields.text("result"))
    case "custom_received": return .custom(name: try fields.text("name"), data: try fields.value("data"))
    case "hangup": return .hangup(by: try fields.text("who"), reason: try fields.text("reason"))
    default: return nil
    }
  }

  private static func token(_ fields: EntryFields) throws(JournalProblem) -> ModelToken {
    ModelToken(try fields.number("request", after: "m"))
  }
}

extension DialogSession {
  /// A hook's answer as records may keep it: without masked variables, and without what goes into one.
  func hiding(_ answer: Value, of token: HookToken) -> Value {
    // A backend may name what is a secret of the dialog that runs this one.
    let own = frame.dialog.plan.slots
    let shown = answer.hiding(
      callers.reduce(masked) { hidden, caller in
        let names = caller.dialog.plan.names
        return hidden.union(caller.masked.slots.map { names[$0] }.filter { own[$0] == nil })
      })
    guard let into = hooks.first(where: { $0.token == token })?.resultInto, masked.contains(into) else { return shown }
    var members: [String: Value] = ["data": "***"]
    for name in ["variables", "actions", "next_state"] { members[name] = shown[name] }
    return .map(members)
  }
}
