extension Declarations {
  private static func event(_ name: String, _ summary: String, _ sets: String...) -> EventDeclaration {
    EventDeclaration(name: name, summary: summary, sets: sets)
  }

  /// The events that the machine raises itself, in the order of the reference.
  public static let events: [EventDeclaration] = [
    event("speech", "The caller's turn is over", "transcript", "confidence", "language", "slots"),
    event("speech_started", "The caller begins to talk"),
    event("speech_partial", "The caller has said something so far", "transcript"),
    event("dtmf", "Keys are complete", "digits", "digit"),
    event("no_match", "Speech or keys that no transition took", "no_match_count"),
    event("no_input", "The time to listen is over", "no_input_count"),
    event("timeout", "The state's own `timeout` is over"),
    event("tts_complete", "The state has said everything"),
    event("tts_interrupted", "The caller cut a prompt", "heard"),
    event("hook_result", "A hook has answered", "result"),
    event("hook_error", "A hook has failed", "error", "status", "error_message"),
    event("agent_exit", "The model has chosen a way out", "exit", "data"),
    event(
      "transfer_result", "A transfer is over: `connected`, `busy`, `no_answer`, `refused`, `failed` or `unsupported`",
      "status"),
    event("recording_complete", "A recording is stored"),
    event("amd_result", "Who has answered an outbound call: `human`, `machine` or `unknown`", "status"),
    event("call_answered", "The call begins"),
    event("call_held", "The call is on hold"),
    event("call_resumed", "The call is no longer on hold"),
    event("hangup", "The call is over", "who", "reason"),
    event("error", "Something went wrong inside the dialog", "error", "error_message"),
  ]
}
