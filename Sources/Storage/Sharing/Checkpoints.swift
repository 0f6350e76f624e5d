import Base

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

/// Everything that another process needs to go on with a session.
public struct SessionCheckpoint: Sendable, Hashable {
  /// The machine's state, and the last event that it has seen.
  public var snapshot: SessionSnapshot
  /// What came after that, in order.
  public var events: [SessionEvent]
  /// The lease of whoever wrote it; see ``CallLease/token``.
  public var token: Int64

  public init(_ snapshot: SessionSnapshot, events: [SessionEvent] = [], token: Int64) {
    self.snapshot = snapshot
    self.events = events
    self.token = token
  }
}

/// The state of live sessions, where other processes find it. A session has one checkpoint; it goes by itself when nobody has
/// written to it for a while.
///
/// Whoever writes shows the token of its lease. Once a greater one was seen, what comes with a smaller one is refused: a process
/// that was taken for dead and goes on cannot overwrite what its successor has written. Every call may be repeated where its
/// answer was lost. All of them throw ``StorageError``: `conflict` for a token that was overtaken, or a session that has ended.
public protocol CheckpointStore: Sendable {
  /// Keeps a checkpoint in the place of the session's older one; one that has seen less than that is not kept.
  /// - Throws: `limit` where it is larger than ``StorageLimits``.
  func put(_ checkpoint: SessionCheckpoint, for lifetime: Duration) async throws
  /// Adds events to the session's checkpoint; those that it has already are left out.
  /// - Throws: `notFound` where there is none; `limit` where it has too many: time for a new one.
  func append(_ events: [SessionEvent], to session: SessionID, token: Int64) async throws
  /// Hands a session over: its latest checkpoint, which only `token` and greater ones can write to from now on.
  /// - Returns: nil where there is none, where it is damaged, or where the session has ended.
  func takeOver(_ session: SessionID, token: Int64) async throws -> SessionCheckpoint?
  /// The session has ended. Nothing of it is kept, and nothing is taken for it any more.
  func remove(_ session: SessionID, token: Int64) async throws
}

enum Checkpoints {
  /// Events behind a snapshot. A call writes two or three a second, and a snapshot at every step.
  static let events = 256
  /// How long a session is remembered that has ended, or that was handed over before it was written: longer than any process
  /// that was taken for dead may still believe in its lease.
  static let remembered: Duration = .seconds(3_600)

  static func check(_ checkpoint: SessionCheckpoint) throws {
    guard checkpoint.snapshot.data.count <= StorageLimits.snapshotBytes else {
      throw StorageError(.limit, "a snapshot has at most \(StorageLimits.snapshotBytes) bytes")
    }
    try check(checkpoint.events)
  }

  static func check(_ events: [SessionEvent]) throws {
    guard events.count <= Self.events else {
      throw StorageError(.limit, "a checkpoint has at most \(Self.events) events")
    }
  }

  static let overtaken = StorageError(.conflict, "the session has ended, or another process has taken it over")
  static let full = StorageError(.limit, "the checkpoint has \(events) events already; it needs a new snapshot")
  static func none(_ session: SessionID) -> StorageError {
    StorageError(.notFound, "there is no checkpoint of the session \(session)")
  }

  // MARK: Events as texts

  static func text(_ event: SessionEvent) -> String {
    JSON.encode([
      "id": .string(event.eventID), "type": .string(event.type), "sequence": .int(event.sequence),
      "at": .int(event.timestampMs), "dialog": .string(event.dialogName), "tenant": .string(event.tenant),
      "fields": .map(event.fields),
    ])
  }

  /// nil: it is damaged.
  static func event(_ value: Value, of session: SessionID) -> SessionEvent? {
    guard let id = value["id"]?.stringValue, let type = value["type"]?.stringValue,
      let sequence = value["sequence"]?.intValue, let at = value["at"]?.intValue,
      let dialog = value["dialog"]?.stringValue, let tenant = value["tenant"]?.stringValue,
      case .map(let fields)? = value["fields"]
    else { return nil }
    return SessionEvent(
      eventID: id, type: type, sequence: sequence, session: session, timestampMs: at, dialogName: dialog,
      tenant: tenant, fields: fields)
  }

  /// The events of texts; nil where one is damaged: what comes after a gap is of no use.
  static func events(_ texts: [String], of session: SessionID) -> [SessionEvent]? {
    let events = texts.compactMap { text in (try? JSON.decode(text)).flatMap { event($0, of: session) } }
    return events.count == texts.count ? events : nil
  }
}
