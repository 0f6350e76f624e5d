import Base
import FoundationEssentials

/// How the schema of a database stands to that of this version.
public enum SchemaState: Sendable, Hashable {
  /// It has exactly the steps of this version.
  case current
  /// The steps that it lacks, in order; all of them where there is no database yet.
  case behind([String])
  /// A newer version made it, or one that this version does not follow; in a sentence.
  case foreign(String)

  /// What keeps this version from working with it; nil: nothing does.
  public var sentence: String? {
    switch self {
    case .current: nil
    case .behind(let steps) where steps.count == 1: "the database lacks the step `\(steps[0])` of this version's schema"
    case .behind(let steps):
      "the database lacks \(steps.count) steps of this version's schema, from `\(steps.first ?? "")` on"
    case .foreign(let sentence): sentence
    }
  }
}

extension DatabaseStores {
  /// Looks at the schema of a database, also while gateways use it. Changes nothing, and needs the right to read only.
  /// - Parameters:
  ///   - sqlite: the path of a file; nil: `postgres` counts.
  ///   - postgres: see ``PostgresDatabase/init(url:)``.
  /// - Throws: ``StorageError``: it cannot be looked at, maybe only now.
  public static func schema(sqlite: String?, postgres: String?) async throws(StorageError) -> SchemaState {
    let migrator = Migrator(Schema.migrations)
    if let sqlite, !FileManager.default.fileExists(atPath: sqlite) { return .behind(Schema.migrations.map(\.name)) }
    do {
      if let postgres {
        let database = PostgresDatabase(url: postgres)
        defer { database.close() }
        try await database.check()
        return try await database.read { try migrator.state($0) }
      }
      return try await opened(sqlite, nil).database.read { try migrator.state($0) }
    } catch let error as StorageError {
      throw error
    } catch {
      throw StorageError(.cannotOpen, "the database cannot be opened: \(StorageError.reason(error))")
    }
  }
}

/// Waits until another process has brought a database to this version's schema: decides what is said of it, and when it is over.
/// Pure; its owner looks, sleeps and speaks.
public struct SchemaWait: Sendable {
  /// What came of one look.
  public enum Sight: Sendable {
    case seen(SchemaState)
    /// The database could not be asked; in a sentence.
    case unreachable(String)
  }

  public enum Step: Sendable, Hashable {
    case done
    /// It is of no use to wait any longer; in a sentence.
    case failed(String)
    /// Look again; first say this, if anything.
    case wait(saying: String?)
  }

  /// Who watches the log of a pod that waits sees within this time what for.
  public static let interval: Duration = .seconds(10)

  private let start: Instant
  private let limit: Duration
  private var lastWord: Instant?

  /// - Parameter limit: how long is waited; zero: there is one look.
  public init(limit: Duration, at now: Instant) {
    start = now
    self.limit = limit
  }

  public mutating func receive(_ sight: Sight, at now: Instant) -> Step {
    let sentence: String
    switch sight {
    case .seen(.current): return .done
    // What is newer than this version never becomes it.
    case .seen(.foreign(let sentence)): return .failed(sentence)
    case .seen(let state): sentence = state.sentence ?? ""
    case .unreachable(let reason): sentence = reason
    }
    let waited = now - start
    if waited >= limit { return .failed("\(sentence); it was waited for \(waited.components.seconds) s") }
    if let lastWord, now - lastWord < Self.interval { return .wait(saying: nil) }
    lastWord = now
    return .wait(saying: "\(sentence) (\(waited.components.seconds) s of \(limit.components.seconds) s)")
  }
}
