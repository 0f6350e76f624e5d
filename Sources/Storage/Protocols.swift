import Base

/// Appends to and reads the record of sessions. Appending never waits for the database: writes are queued in order, bounded,
/// and written at once, or, where the database does not take them, as soon as it does again. What did not fit into the bound
/// is counted and said in the log.
public protocol EventLog: Sendable {
  /// Queues one event; subscribers see it after it is durable.
  func append(_ event: SessionEvent)
  /// The same for an event that may be in the log already: whoever goes on with another process's session does not know how
  /// much of what that one had queued was written. It is there once.
  func appendAgain(_ event: SessionEvent)
  /// Writes that were queued since the store was opened. With ``finishedWrites`` it says whether one is durable.
  var queuedWrites: Int { get }
  /// What was queued when ``queuedWrites`` was at most this is durable, or was given up.
  var finishedWrites: Int { get }
  /// A session's events after `sequence`, in order. An event whose row is damaged comes with the only field
  /// ``SessionEvent/damaged``, so that one bad row hides no other.
  /// - Parameter tenant: nothing where the session is another tenant's; nil: whoever's, for the gateway itself.
  func events(of session: SessionID, tenant: String?, after sequence: Int64, limit: Int) async throws -> [SessionEvent]
  /// All sessions' events after the event named `eventID` (nil: from the beginning), in the order they were written: an
  /// event that is written later never comes before one that was read.
  /// - Parameter tenant: only theirs; nil: everybody's, for the gateway itself.
  func events(tenant: String?, after eventID: String?, limit: Int) async throws -> [SessionEvent]
  /// Live events of this process and of all tenants from now on. The stream ends when its buffer of `bufferLimit` overflows:
  /// a slow reader never slows a call.
  func subscribe(bufferLimit: Int) -> AsyncStream<SessionEvent>
  /// Waits until everything appended so far is durable; while the database takes nothing, returns at once.
  func flush() async
}

/// What one session looks like to the API: kept up to date by the runtime.
public struct SessionSummary: Sendable, Hashable {
  public enum State: String, Sendable { case offered, ringing, active, ended }
  public var session: SessionID
  /// Whose dialog serves the call.
  public var tenant: String
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
    session: SessionID, tenant: String = Tenant.standard, state: State, direction: String, callerID: String,
    calledNumber: String, dialogName: String,
    dialogVersion: String = "", dialogNumber: Int = 0, dialogDigest: String = "", currentState: String = "",
    variables: [String: Value] = [:], startedAtMs: Int64, answeredAtMs: Int64? = nil, endedAtMs: Int64? = nil,
    endReason: String? = nil,
    quality: [String: Value] = [:], latency: [String: Value] = [:], outcome: [String: Value] = [:]
  ) {
    self.session = session
    self.tenant = tenant
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

/// Which sessions are asked for: newest first. Every field that is given must fit.
public struct SessionQuery: Sendable, Hashable {
  public var tenant: String
  /// Those that are over, or those that live.
  public var ended: Bool
  public var dialog: String?
  public var callerID: String?
  public var calledNumber: String?
  /// Wall-clock milliseconds: begun at or after the first, and before the second.
  public var startedFromMs: Int64?
  public var startedBeforeMs: Int64?
  /// At most ``StorageLimits/page``.
  public var limit: Int
  /// Those older than this session.
  public var cursor: SessionID?

  public init(
    tenant: String, ended: Bool, dialog: String? = nil, callerID: String? = nil, calledNumber: String? = nil,
    startedFromMs: Int64? = nil, startedBeforeMs: Int64? = nil, limit: Int, cursor: SessionID? = nil
  ) {
    self.tenant = tenant
    self.ended = ended
    self.dialog = dialog
    self.callerID = callerID
    self.calledNumber = calledNumber
    self.startedFromMs = startedFromMs
    self.startedBeforeMs = startedBeforeMs
    self.limit = limit
    self.cursor = cursor
  }
}

/// Which sessions there are.
public protocol SessionDirectory: Sendable {
  /// Inserts or replaces the summary. Queued and ordered like ``EventLog/append(_:)``.
  func put(_ summary: SessionSummary)
  /// - Parameter tenant: nil where the session is another tenant's; nil itself: whoever's, for the gateway itself.
  func session(_ id: SessionID, tenant: String?) async throws -> SessionSummary?
  /// - Throws: ``StorageError`` `unknownCursor` where the tenant has no such session.
  func sessions(_ query: SessionQuery) async throws -> [SessionSummary]
}

/// Event-sourced sessions: an append-only record of each, and which sessions there are.
public protocol SessionStore: EventLog, SessionDirectory {
  /// Sessions of every tenant that have not ended, oldest first: after a start, those that the last process left.
  func openSessions() async throws -> [SessionSummary]
  /// Events and summaries that could not be kept since the store was opened.
  var lostWrites: Int { get }
}
