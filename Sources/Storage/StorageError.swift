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
    /// A change could not be written.
    case writeFailed
    /// What should be changed is not there.
    case notFound
    /// What should be changed is not as the caller thought, or must not be changed in this way.
    case conflict
    /// Something is larger, or there is more of it, than the store takes.
    case limit
    /// The database does not answer; it may again.
    case unavailable
    /// There is no room left on the disk.
    case diskFull
    /// The store was closed.
    case closed
  }
  public var code: Code
  public var description: String

  /// Whether the same may succeed later.
  public var isPassing: Bool { code == .unavailable || code == .diskFull }

  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}

/// Limits of every store.
public enum StorageLimits {
  /// Writes of calls that may wait in memory for the database. A talking caller makes two or three a second, so a hundred
  /// calls go on for minutes without it; more are dropped, counted and said in the log.
  public static let pendingWrites = 65_536
  /// Writes of one transaction: enough to pay for its commit, few enough to keep subscribers live.
  public static let batch = 512
  /// The largest page that a reader can ask for.
  public static let page = 1000
  /// Events that a database in memory keeps; the oldest go first.
  public static let eventsInMemory = 200_000
  /// The largest snapshot. A waiting session's state takes some kilobytes; an agent's long context some hundred.
  public static let snapshotBytes = 1 << 20
  /// The largest source of a dialog: that of the YAML reader.
  public static let dialogBytes = 1 << 20
  /// Drafts of one dialog that were never published; the oldest go first. Published versions are kept for ever.
  public static let drafts = 100
  /// Names of dialogs of one tenant.
  public static let dialogs = 10_000
  /// Characters of a version's note or author.
  public static let noteCharacters = 1_000
  /// The largest document to answer from, in bytes.
  public static let documentBytes = 8 << 20
  /// Documents in one store, and passages of all of them.
  public static let documents = 10_000
  public static let passages = 500_000
  /// Ended sessions that a database in memory keeps; the oldest go first.
  public static let sessionsInMemory = 20_000
  /// Numbers of all tenants: they are looked up in memory.
  public static let numbers = 100_000
  /// Characters of a called number.
  public static let numberCharacters = 64
}
