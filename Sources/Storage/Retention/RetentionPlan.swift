import Base

/// How long what is kept of calls stays: `storage.retention`.
public struct RetentionPolicy: Sendable, Hashable {
  /// What was said, by the caller and to them; nil: for ever.
  public var transcripts: Duration?
  /// Everything else of the record; nil: for ever.
  public var events: Duration?

  public init(transcripts: Duration?, events: Duration?) {
    self.transcripts = transcripts
    self.events = events
  }
}

/// What a policy means at one moment. Pure.
public struct RetentionPlan: Sendable, Hashable {
  /// Sessions that ended before are forgotten; nil: none.
  public let sessionsBeforeMs: Int64?
  private let transcriptsBeforeMs: Int64?
  private let eventsBeforeMs: Int64?

  /// What `GET /v1/calls/{id}/transcript` is made of.
  private static let transcript: Set = ["speech_final", "tts_started", "tts_completed", "tts_interrupted"]
  /// Events that hold no words and no values. All others may repeat what was said, so they stay for the shorter time.
  private static let wordless: Set = [
    "call_started", "call_ringing", "call_answered", "call_held", "call_resumed", "call_transferred", "call_terminated",
    "speech_started", "state_transition", "turn_latency", "quality", "recording_ready", "transcript_ready",
  ]

  /// - Parameter nowMs: wall-clock milliseconds.
  public init(_ policy: RetentionPolicy, nowMs: Int64) {
    let transcripts = policy.transcripts.map { nowMs - $0.milliseconds }
    let events = policy.events.map { nowMs - $0.milliseconds }
    transcriptsBeforeMs = transcripts
    eventsBeforeMs = events
    // A call is listed as long as anything of it is there.
    sessionsBeforeMs = transcripts.flatMap { transcripts in events.map { min(transcripts, $0) } }
  }

  /// Events of that type go when they are older; nil: they stay.
  public func border(of type: String) -> Int64? {
    if Self.transcript.contains(type) { return transcriptsBeforeMs }
    if Self.wordless.contains(type) { return eventsBeforeMs }
    return [transcriptsBeforeMs, eventsBeforeMs].compactMap { $0 }.max()
  }
}
