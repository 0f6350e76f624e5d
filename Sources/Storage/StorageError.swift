/// Why a store could not be opened, read or written: one sentence for a person.
public struct StorageError: Error, Sendable, CustomStringConvertible {
  /// A closed list, so that a caller can decide.
  public enum Code: String, Sendable {
    /// The database cannot be opened or brought to the current schema.
    case cannotOpen
    /// Another process owns the database.
    case inUse
    /// The session that a page should continue after does not exist.
    case unknownCursor
    /// A question to the database failed.
    case readFailed
    /// The store was closed.
    case closed
  }
  public var code: Code
  public var description: String

  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}

/// What the roles need of a store: the record of sessions, and which there are.
public typealias SessionStore = EventLog & SessionDirectory

/// Limits of every store.
public enum StorageLimits {
  /// Writes that may wait for the disk. At a thousand events a second that is a minute of a stalled disk; more are dropped,
  /// counted and said in the log.
  public static let pendingWrites = 65_536
  /// Writes of one transaction: enough to pay for its commit, few enough to keep subscribers live.
  public static let batch = 512
  /// The largest page that a reader can ask for.
  public static let page = 1000
  /// Events that ``MemoryStore`` keeps; the oldest go first.
  public static let eventsInMemory = 200_000
  /// Ended sessions that ``MemoryStore`` keeps; the oldest go first.
  public static let sessionsInMemory = 20_000
}
