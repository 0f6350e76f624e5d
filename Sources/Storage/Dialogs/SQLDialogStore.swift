import Base

/// The dialogs of all tenants in a database. Sources are kept once, however many versions share them. Any thread.
public final class SQLDialogLibrary: DialogLibrary {
  let database: any SQLDatabase
  let signal = ChangeSignal()

  /// - Parameter database: has the schema already.
  public init(_ database: any SQLDatabase) { self.database = database }

  /// A store that lives in memory and forgets everything: for tests.
  public static func inMemory() throws(StorageError) -> SQLDialogLibrary {
    SQLDialogLibrary(try SQLiteDatabase.inMemory())
  }

  public func scoped(to tenant: String) -> any DialogStore { SQLDialogStore(library: self, tenant: tenant) }

  public func tenants() async throws -> [String] {
    try await database.read {
      try $0.rows("SELECT DISTINCT tenant FROM dialogs ORDER BY tenant").map { try $0.text("tenant") }
    }
  }

  public func changes() -> AsyncStream<Void> { signal.listen() }

  /// Ends ``changes()``.
  func close() { signal.close() }
}

/// One tenant's dialogs in a database. Any thread.
struct SQLDialogStore: DialogStore {
  let library: SQLDialogLibrary
  let tenant: String

  // MARK: Changing

  func keep(_ drafts: [DialogDraft], publish: Bool, expecting: Int?, nowMs: Int64) async throws -> [DialogVersion] {
    for draft in drafts { try Self.check(draft) }
    let versions = try await write { rows in
      let versions = try drafts.map { draft in
        let version = try rows.keep(draft, expecting: expecting, nowMs: nowMs)
        return publish ? try rows.publish(version, held: "", nowMs: nowMs) : version
      }
      let count = try rows.count()
      if publish, drafts.contains(where: { $0.origin == .api }) { try Revision.dialogs.bump(rows.database) }
      guard count <= StorageLimits.dialogs else {
        throw StorageError(.limit, "there are \(count) dialogs; the limit is \(StorageLimits.dialogs)")
      }
      return versions
    }
    if publish, drafts.contains(where: { $0.origin == .api }) { library.signal.send() }
    return versions
  }

  private static func check(_ draft: DialogDraft) throws {
    guard draft.source.utf8.count <= StorageLimits.dialogBytes else {
      throw StorageError(.limit, "a dialog has at most \(StorageLimits.dialogBytes) bytes")
    }
    guard draft.note.count <= StorageLimits.noteCharacters, draft.author.count <= StorageLimits.noteCharacters else {
      throw StorageError(.limit, "a note or an author has at most \(StorageLimits.noteCharacters) characters")
    }
  }

  func publish(_ dialog: String, version: Int, nowMs: Int64) async throws -> DialogVersion {
    let published = try await write { rows in
      let found = try rows.require(version, of: dialog)
      let record = try rows.record(dialog)
      // Taking a rollback back is not a change of the folder's mind.
      if let file = record?.status?.file, !file.isEmpty, record?.heldDigest != found.digest {
        throw StorageError(.conflict, "the dialog `\(dialog)` comes from the file \(file): change it there")
      }
      try Revision.dialogs.bump(rows.database)
      return try rows.publish(found, held: "", nowMs: nowMs)
    }
    library.signal.send()
    return published
  }

  func rollback(_ dialog: String, version: Int?, nowMs: Int64) async throws -> DialogVersion {
    let published = try await write { rows in
      let record = try rows.record(dialog)
      let older: DialogVersion?
      if let version {
        older = try rows.require(version, of: dialog)
      } else {
        older = try rows.versions(
          "v.dialog = ? AND v.number < ? AND v.published_at_ms IS NOT NULL ORDER BY v.number DESC LIMIT 1",
          [.text(dialog), SQLValue(record?.published ?? Int.max)]
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
        held = try rows.require(present, of: dialog).digest
      }
      try Revision.dialogs.bump(rows.database)
      return try rows.publish(older, held: held == older.digest ? "" : held, nowMs: nowMs)
    }
    library.signal.send()
    return published
  }

  func withdraw(_ dialogs: [String]) async throws {
    try await write { rows in for dialog in dialogs { try rows.withdraw(dialog) } }
  }

  func report(_ statuses: [DialogStatus]) async throws { try await write { try $0.report(statuses) } }

  // MARK: Reading

  func dialogs(limit: Int, after cursor: String?) async throws -> [DialogRecord] {
    try await read {
      try $0.records(
        "d.name > ? ORDER BY d.name LIMIT ?",
        [.text(cursor ?? ""), SQLValue(min(max(0, limit), StorageLimits.page))])
    }
  }

  func dialog(_ name: String) async throws -> DialogRecord? { try await read { try $0.record(name) } }

  func versions(of dialog: String, limit: Int, before: Int?) async throws -> [DialogVersion] {
    try await read {
      try $0.versions(
        "v.dialog = ? AND v.number < ? ORDER BY v.number DESC LIMIT ?",
        [.text(dialog), SQLValue(before ?? Int.max), SQLValue(min(max(0, limit), StorageLimits.page))])
    }
  }

  func version(_ number: Int, of dialog: String) async throws -> DialogVersion? {
    try await read { try $0.versions("v.dialog = ? AND v.number = ?", [.text(dialog), SQLValue(number)]).first }
  }

  func version(digest: String) async throws -> DialogVersion? {
    try await read {
      try $0.versions("v.digest = ? ORDER BY v.created_at_ms DESC, v.number DESC LIMIT 1", [.text(digest)]).first
    }
  }

  func published() async throws -> [DialogVersion] {
    try await read { try $0.versions("v.number = d.published ORDER BY v.dialog", []) }
  }

  private func write<T: Sendable>(_ body: @escaping @Sendable (DialogRows) throws -> T) async throws -> T {
    try await library.database.write { [tenant] in try body(DialogRows(database: $0, tenant: tenant)) }
  }

  private func read<T: Sendable>(_ body: @escaping @Sendable (DialogRows) throws -> T) async throws -> T {
    try await library.database.read { [tenant] in try body(DialogRows(database: $0, tenant: tenant)) }
  }
}
