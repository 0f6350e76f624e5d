import Base

/// Appends to and reads the record of sessions. Appending never waits for the disk: writes are queued in order, bounded, and
/// flushed at once; what could not be written is counted and said in the log.
public protocol EventLog: Sendable {
  /// Queues one event; subscribers see it after it is durable.
  func append(_ event: SessionEvent)
  /// A session's events after `sequence`, in order.
  func events(of session: SessionID, after sequence: Int64, limit: Int) async throws -> [SessionEvent]
  /// All sessions' events after the event named `eventID` (nil: from the beginning), in the order they were written.
  func events(after eventID: String?, limit: Int) async throws -> [SessionEvent]
  /// Live events from now on. The stream ends when its buffer of `bufferLimit` overflows: a slow reader never slows a call.
  func subscribe(bufferLimit: Int) -> AsyncStream<SessionEvent>
  /// Waits until everything appended so far is durable.
  func flush() async
}

/// What one session looks like to the API: kept up to date by the runtime.
public struct SessionSummary: Sendable, Hashable {
  public enum State: String, Sendable { case offered, ringing, active, ended }
  public var session: SessionID
  public var state: State
  public var direction: String
  public var callerID: String
  public var calledNumber: String
  public var dialogName: String
  /// The dialog's state; empty before the first.
  public var currentState: String
  public var variables: [String: Value]
  public var startedAtMs: Int64
  public var answeredAtMs: Int64?
  public var endedAtMs: Int64?
  public var endReason: String?
  /// Latest `quality` and `turn_latency` fields; empty maps before the first.
  public var quality: [String: Value]
  public var latency: [String: Value]

  public init(
    session: SessionID, state: State, direction: String, callerID: String, calledNumber: String, dialogName: String,
    currentState: String = "", variables: [String: Value] = [:], startedAtMs: Int64, answeredAtMs: Int64? = nil,
    endedAtMs: Int64? = nil, endReason: String? = nil, quality: [String: Value] = [:], latency: [String: Value] = [:]
  ) {
    self.session = session
    self.state = state
    self.direction = direction
    self.callerID = callerID
    self.calledNumber = calledNumber
    self.dialogName = dialogName
    self.currentState = currentState
    self.variables = variables
    self.startedAtMs = startedAtMs
    self.answeredAtMs = answeredAtMs
    self.endedAtMs = endedAtMs
    self.endReason = endReason
    self.quality = quality
    self.latency = latency
  }
}

/// Which sessions there are.
public protocol SessionDirectory: Sendable {
  /// Inserts or replaces the summary. Queued and ordered like ``EventLog/append(_:)``.
  func put(_ summary: SessionSummary)
  func session(_ id: SessionID) async throws -> SessionSummary?
  /// Newest first, those older than the session named `cursor`.
  func sessions(ended: Bool, limit: Int, cursor: SessionID?) async throws -> [SessionSummary]
}

/// A command against the stream: from the API to whichever runtime holds the session.
public enum CallCommand: Sendable, Hashable {
  case hangup(reason: String)
  case say(text: String, voice: String, speed: Double, bargeIn: Bool)
}

/// What came of a command.
public enum CommandOutcome: Sendable, Hashable {
  /// `fields` are the answer's members (`playback_id`, `call_duration_seconds` ...).
  case done(fields: [String: Value])
  /// No runtime holds the session (any more).
  case noSuchSession
  /// The session cannot do this now; a sentence for the caller of the API.
  case refused(String)
}

/// Carries commands to the runtime that holds a session: memory in one process, Redis between pods.
public protocol CommandBus: Sendable {
  /// Delivers the command and waits for its outcome, at most five seconds.
  func send(_ command: CallCommand, to session: SessionID) async -> CommandOutcome
  /// Registers the holder of a session; the returned closure takes it away again.
  func register(
    _ session: SessionID, handler: @escaping @Sendable (CallCommand) async -> CommandOutcome
  ) -> @Sendable () -> Void
}
