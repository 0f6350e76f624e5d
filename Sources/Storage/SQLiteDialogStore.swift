import Base
import GRDB

extension Schema {
  static let dialogTables = """
    CREATE TABLE dialog_sources (digest TEXT PRIMARY KEY NOT NULL, source TEXT NOT NULL);
    CREATE TABLE dialog_versions (
      dialog TEXT NOT NULL,
      number INTEGER NOT NULL,
      digest TEXT NOT NULL,
      origin TEXT NOT NULL,
      author TEXT NOT NULL,
      note TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      published_at_ms INTEGER,
      PRIMARY KEY (dialog, number)
    ) WITHOUT ROWID;
    CREATE INDEX dialog_versions_by_digest ON dialog_versions (digest, created_at_ms);
    CREATE TABLE dialogs (
      name TEXT PRIMARY KEY NOT NULL,
      published INTEGER,
      held_digest TEXT NOT NULL DEFAULT '',
      file TEXT NOT NULL DEFAULT '',
      state TEXT,
      served INTEGER,
      label TEXT NOT NULL DEFAULT '',
      description TEXT NOT NULL DEFAULT '',
      language TEXT NOT NULL DEFAULT '',
      diagnostics TEXT NOT NULL DEFAULT '[]'
    ) WITHOUT ROWID;

    """
}

/// The versions of dialogs in SQLite. Sources are kept once, however many versions share them. Any thread.
public final class SQLiteDialogStore: DialogStore {
  private let database: any DatabaseWriter
  private let signal = ChangeSignal()

  /// - Parameter database: has the schema already.
  init(_ database: any DatabaseWriter) { self.database = database }

  /// A store that lives in memory and forgets everything: for tests, and for a gateway that keeps nothing.
  public static func inMemory() throws(StorageError) -> SQLiteDialogStore {
    SQLiteDialogStore(try Schema.inMemory())
  }

  /// Ends ``changes()``.
  func close() { signal.close() }

  public func changes() -> AsyncStream<Void> { signal.listen() }

  // MARK: Changing

  public func keep(
    _ drafts: [DialogDraft], publish: Bool, expecting: Int?, nowMs: Int64
  ) async throws -> [DialogVersion] {
    for draft in drafts { try Self.check(draft) }
    let versions = try await write { database in
      let versions = try drafts.map { draft in
        let version = try Self.keep(draft, expecting: expecting, nowMs: nowMs, database)
        return publish ? try Self.publish(version, held: "", nowMs: nowMs, database) : version
      }
      let count = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM dialogs") ?? 0
      guard count <= StorageLimits.dialogs else {
        throw StorageError(.limit, "there are \(count) dialogs; the limit is \(StorageLimits.dialogs)")
      }
      return versions
    }
    if publish, drafts.contains(where: { $0.origin == .api }) { signal.send() }
    return versions
  }

  public func publish(_ dialog: String, version: Int, nowMs: Int64) async throws -> DialogVersion {
    let published = try await write { database in
      let found = try Self.require(version, of: dialog, database)
      let record = try Self.record(dialog, database)
      // Taking a rollback back is not a change of the folder's mind.
      if let file = record?.status?.file, !file.isEmpty, record?.heldDigest != found.digest {
        throw StorageError(.conflict, "the dialog `\(dialog)` comes from the file \(file): change it there")
      }
      return try Self.publish(found, held: "", nowMs: nowMs, database)
    }
    signal.send()
    return published
  }

  public func rollback(_ dialog: String, version: Int?, nowMs: Int64) async throws -> DialogVersion {
    let published = try await write { database in
      let record = try Self.record(dialog, database)
      let older: DialogVersion?
      if let version {
        older = try Self.require(version, of: dialog, database)
      } else {
        older = try Self.fetch(
          "v.dialog = ? AND v.number < ? AND v.published_at_ms IS NOT NULL ORDER BY v.number DESC LIMIT 1",
          [dialog, record?.published ?? Int.max], database
        ).first
      }
      guard let older else {
        throw StorageError(.notFound, "there is no older published version of `\(dialog)`")
      }
      guard older.publishedAtMs != nil else {
        throw StorageError(.conflict, "version \(older.number) of `\(dialog)` was never published")
      }
      var held = record?.heldDigest ?? ""
      if held.isEmpty, let file = record?.status?.file, !file.isEmpty, let present = record?.published,
        present != older.number
      {
        held = try Self.require(present, of: dialog, database).digest
      }
      return try Self.publish(older, held: held == older.digest ? "" : held, nowMs: nowMs, database)
    }
    signal.send()
    return published
  }

  public func withdraw(_ dialogs: [String]) async throws {
    try await write { database in
      for dialog in dialogs {
        try database.execute(
          sql: "UPDATE dialogs SET published = NULL, held_digest = '' WHERE name = ?", arguments: [dialog])
      }
    }
  }

  public func report(_ statuses: [DialogStatus]) async throws {
    try await write { database in
      try database.execute(
        sql: """
          UPDATE dialogs SET state = NULL, served = NULL, file = '', label = '', description = '', language = '',
          diagnostics = '[]'
          """)
      for status in statuses {
        try database.execute(
          sql: """
            INSERT INTO dialogs (name, state, served, file, label, description, language, diagnostics)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET state = excluded.state, served = excluded.served, file = excluded.file,
            label = excluded.label, description = excluded.description, language = excluded.language,
            diagnostics = excluded.diagnostics
            """,
          arguments: [
            status.dialog, status.state.rawValue, status.served, status.file, status.label, status.description,
            status.language, JSON.encode(.list(status.diagnostics.map(\.value))),
          ])
      }
      // Names that were only known by a broken file that is gone or mended.
      try database.execute(
        sql: "DELETE FROM dialogs WHERE state IS NULL AND name NOT IN (SELECT dialog FROM dialog_versions)")
    }
  }

  // MARK: Reading

  public func dialogs(limit: Int, after cursor: String?) async throws -> [DialogRecord] {
    try await read { database in
      try Row.fetchAll(
        database, sql: Self.records + " WHERE d.name > ? ORDER BY d.name LIMIT ?",
        arguments: [cursor ?? "", min(max(0, limit), StorageLimits.page)]
      ).map(Self.record)
    }
  }

  public func dialog(_ name: String) async throws -> DialogRecord? { try await read { try Self.record(name, $0) } }

  public func versions(of dialog: String, limit: Int, before: Int?) async throws -> [DialogVersion] {
    try await read {
      try Self.fetch(
        "v.dialog = ? AND v.number < ? ORDER BY v.number DESC LIMIT ?",
        [dialog, before ?? Int.max, min(max(0, limit), StorageLimits.page)], $0)
    }
  }

  public func version(_ number: Int, of dialog: String) async throws -> DialogVersion? {
    try await read { try Self.fetch("v.dialog = ? AND v.number = ?", [dialog, number], $0).first }
  }

  public func version(digest: String) async throws -> DialogVersion? {
    try await read { try Self.version(digest: digest, $0) }
  }

  static func version(digest: String, _ database: Database) throws -> DialogVersion? {
    try fetch("v.digest = ? ORDER BY v.created_at_ms DESC, v.number DESC LIMIT 1", [digest], database).first
  }

  public func published() async throws -> [DialogVersion] {
    try await read { try Self.fetch("v.number = d.published ORDER BY v.dialog", [], $0) }
  }

  // MARK: Statements

  private static func check(_ draft: DialogDraft) throws {
    guard draft.source.utf8.count <= StorageLimits.dialogBytes else {
      throw StorageError(.limit, "a dialog has at most \(StorageLimits.dialogBytes) bytes")
    }
    guard draft.note.count <= StorageLimits.noteCharacters, draft.author.count <= StorageLimits.noteCharacters else {
      throw StorageError(.limit, "a note or an author has at most \(StorageLimits.noteCharacters) characters")
    }
  }

  private static func keep(
    _ draft: DialogDraft, expecting: Int?, nowMs: Int64, _ database: Database
  ) throws -> DialogVersion {
    let digest = SHA256.hex(draft.source)
    let newest = try fetch("v.dialog = ? ORDER BY v.number DESC LIMIT 1", [draft.dialog], database).first
    if let expecting, expecting != newest?.number ?? 0 {
      throw StorageError(
        .conflict, "the newest version of `\(draft.dialog)` is \(newest?.number ?? 0), not \(expecting)")
    }
    if let newest, newest.digest == digest { return newest }
    let number = (newest?.number ?? 0) + 1
    try database.execute(sql: "INSERT OR IGNORE INTO dialogs (name) VALUES (?)", arguments: [draft.dialog])
    try database.execute(
      sql: "INSERT OR IGNORE INTO dialog_sources (digest, source) VALUES (?, ?)", arguments: [digest, draft.source])
    try database.execute(
      sql: """
        INSERT INTO dialog_versions (dialog, number, digest, origin, author, note, created_at_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [draft.dialog, number, digest, draft.origin.rawValue, draft.author, draft.note, nowMs])
    try prune(draft.dialog, database)
    return try require(number, of: draft.dialog, database)
  }

  /// Drafts that nobody published and nobody is likely to want.
  private static func prune(_ dialog: String, _ database: Database) throws {
    try database.execute(
      sql: """
        DELETE FROM dialog_versions WHERE dialog = ?1 AND published_at_ms IS NULL AND number <= (
          SELECT number FROM dialog_versions WHERE dialog = ?1 AND published_at_ms IS NULL
          ORDER BY number DESC LIMIT 1 OFFSET ?2)
        """, arguments: [dialog, StorageLimits.drafts])
    if database.changesCount > 0 {
      try database.execute(
        sql: "DELETE FROM dialog_sources WHERE digest NOT IN (SELECT digest FROM dialog_versions)")
    }
  }

  private static func publish(
    _ version: DialogVersion, held: String, nowMs: Int64, _ database: Database
  ) throws -> DialogVersion {
    if version.state == .published, held.isEmpty {
      try database.execute(sql: "UPDATE dialogs SET held_digest = '' WHERE name = ?", arguments: [version.dialog])
      return version
    }
    try database.execute(
      sql: "UPDATE dialogs SET published = ?, held_digest = ? WHERE name = ?",
      arguments: [version.number, held, version.dialog])
    try database.execute(
      sql: "UPDATE dialog_versions SET published_at_ms = ? WHERE dialog = ? AND number = ?",
      arguments: [nowMs, version.dialog, version.number])
    return try require(version.number, of: version.dialog, database)
  }

  private static func require(_ number: Int, of dialog: String, _ database: Database) throws -> DialogVersion {
    guard let version = try fetch("v.dialog = ? AND v.number = ?", [dialog, number], database).first else {
      throw StorageError(.notFound, "there is no version \(number) of a dialog `\(dialog)`")
    }
    return version
  }

  private static func fetch(
    _ condition: String, _ arguments: StatementArguments, _ database: Database
  ) throws -> [DialogVersion] {
    let statement = try database.cachedStatement(
      sql: """
        SELECT v.*, s.source, d.published FROM dialog_versions v JOIN dialog_sources s ON s.digest = v.digest
        JOIN dialogs d ON d.name = v.dialog WHERE \(condition)
        """)
    return try Row.fetchAll(statement, arguments: arguments).map(version)
  }

  private static func version(_ row: Row) -> DialogVersion {
    let number: Int = row["number"]
    let publishedAtMs: Int64? = row["published_at_ms"]
    let published: Int? = row["published"]
    return DialogVersion(
      dialog: row["dialog"], number: number, digest: row["digest"], source: row["source"],
      origin: DialogVersion.Origin(rawValue: row["origin"]) ?? .api, author: row["author"], note: row["note"],
      createdAtMs: row["created_at_ms"], publishedAtMs: publishedAtMs,
      state: published == number ? .published : publishedAtMs == nil ? .draft : .retired)
  }

  private static let records = """
    SELECT d.*, v.number AS latest, v.digest AS latest_digest FROM dialogs d LEFT JOIN dialog_versions v
    ON v.dialog = d.name AND v.number = (SELECT MAX(number) FROM dialog_versions WHERE dialog = d.name)
    """

  private static func record(_ name: String, _ database: Database) throws -> DialogRecord? {
    try Row.fetchOne(database, sql: records + " WHERE d.name = ?", arguments: [name]).map(record)
  }

  private static func record(_ row: Row) -> DialogRecord {
    let name: String = row["name"]
    let state: String? = row["state"]
    let latest: Int? = row["latest"]
    let latestDigest: String? = row["latest_digest"]
    var diagnostics: [Diagnostic] = []
    if case .list(let items)? = try? JSON.decode(row["diagnostics"] as String) {
      diagnostics = items.compactMap(Diagnostic.init)
    }
    let status = state.flatMap { DialogStatus.State(rawValue: $0) }.map { state in
      DialogStatus(
        dialog: name, state: state, served: row["served"], file: row["file"], label: row["label"],
        description: row["description"], language: row["language"], diagnostics: diagnostics)
    }
    return DialogRecord(
      name: name, latest: latest ?? 0, latestDigest: latestDigest ?? "", published: row["published"],
      heldDigest: row["held_digest"], status: status)
  }

  private func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
    try await StorageError.explained(.writeFailed) { [database] in try await database.write(body) }
  }

  private func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
    try await StorageError.explained(.readFailed) { [database] in try await database.read(body) }
  }
}

extension Schema {
  /// A database with the whole schema and nothing on disk.
  static func inMemory() throws(StorageError) -> any DatabaseWriter {
    do {
      let queue = try DatabaseQueue()
      try migrator.migrate(queue)
      return queue
    } catch {
      throw StorageError(.cannotOpen, "a database in memory cannot be made: \(StorageError.reason(error))")
    }
  }
}

extension Diagnostic {
  /// As the database keeps it.
  fileprivate var value: Value {
    [
      "code": .string(code), "severity": .string(severity.rawValue), "file": .string(file),
      "line": position.map { .int(Int64($0.line)) } ?? .null,
      "column": position.map { .int(Int64($0.column)) } ?? .null, "message": .string(message), "hint": .string(hint),
    ]
  }

  fileprivate init?(_ value: Value) {
    guard let code = value["code"]?.stringValue, let message = value["message"]?.stringValue,
      let severity = value["severity"]?.stringValue.flatMap({ Severity(rawValue: $0) })
    else { return nil }
    var position: SourcePosition?
    if let line = value["line"]?.intValue, let column = value["column"]?.intValue {
      position = SourcePosition(line: Int(line), column: Int(column))
    }
    self.init(
      code: code, severity: severity, file: value["file"]?.stringValue ?? "", position: position, message: message,
      hint: value["hint"]?.stringValue ?? "")
  }
}
