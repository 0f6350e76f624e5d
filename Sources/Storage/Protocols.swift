import Base

/// Appends to and reads the record of sessions. Appending never waits for the disk: writes are queued in order, bounded, and
/// flushed at once; what could not be written is counted and said in the log.
public protocol EventLog: Sendable {
  /// Queues one event; subscribers see it after it is durable.
  func append(_ event: SessionEvent)
  /// A session's events after `sequence`, in order. An event whose row is damaged comes with the only field
  /// ``SessionEvent/damaged``, so that one bad row hides no other.
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
  /// What the dialog's author calls its version.
  public var dialogVersion: String
  /// The stored version of the dialog (``DialogVersion/number``); 0 where it was not stored.
  public var dialogNumber: Int
  /// SHA-256 of the dialog's source in hexadecimal: finds the version whatever its number; empty where there is none.
  public var dialogDigest: String
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
  /// What the dialog keeps of the call: `disposition`, `summary`, `tags`, `variables`, `review`; empty before the end.
  public var outcome: [String: Value]

  public init(
    session: SessionID, state: State, direction: String, callerID: String, calledNumber: String, dialogName: String,
    dialogVersion: String = "", dialogNumber: Int = 0, dialogDigest: String = "", currentState: String = "",
    variables: [String: Value] = [:], startedAtMs: Int64, answeredAtMs: Int64? = nil, endedAtMs: Int64? = nil,
    endReason: String? = nil,
    quality: [String: Value] = [:], latency: [String: Value] = [:], outcome: [String: Value] = [:]
  ) {
    self.session = session
    self.state = state
    self.direction = direction
    self.callerID = callerID
    self.calledNumber = calledNumber
    self.dialogName = dialogName
    self.dialogVersion = dialogVersion
    self.dialogNumber = dialogNumber
    self.dialogDigest = dialogDigest
    self.currentState = currentState
    self.variables = variables
    self.startedAtMs = startedAtMs
    self.answeredAtMs = answeredAtMs
    self.endedAtMs = endedAtMs
    self.endReason = endReason
    self.quality = quality
    self.latency = latency
    self.outcome = outcome
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

/// A machine's whole state at one point of its session's record.
public struct SessionSnapshot: Sendable, Hashable {
  public var session: SessionID
  /// The last event that the state has seen: a restart replays what comes after it.
  public var sequence: Int64
  /// Opaque to the store.
  public var data: [UInt8]

  public init(session: SessionID, sequence: Int64, data: [UInt8]) {
    self.session = session
    self.sequence = sequence
    self.data = data
  }
}

/// Event-sourced sessions: an append-only record of each, its latest snapshot, and which sessions there are. Every
/// implementation passes the same tests (`Tests/StorageTests/StoreTests.swift`).
public protocol SessionStore: EventLog, SessionDirectory {
  /// Keeps a snapshot in the place of the session's older one. Queued and ordered like ``EventLog/append(_:)``: it is never
  /// durable before the events it has seen. Gone when the session has ended. One that is larger than
  /// ``StorageLimits/snapshotBytes`` is not kept, which is counted and said in the log.
  func putSnapshot(_ session: SessionID, sequence: Int64, data: [UInt8])
  /// The latest snapshot; nil where there is none, or where it is damaged (the record is enough then).
  func snapshot(of session: SessionID) async throws -> SessionSnapshot?
  /// Sessions that have not ended, oldest first: after a start, those that the last process left.
  func openSessions() async throws -> [SessionSummary]
  /// Events, summaries and snapshots that could not be kept since the store was opened.
  var lostWrites: Int { get }
}
