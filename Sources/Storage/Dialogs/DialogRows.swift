import Base

/// What is asked of the tables of one tenant's dialogs, within one transaction.
struct DialogRows {
  let database: any SQLConnection
  let tenant: String

  // MARK: Changing

  func keep(_ draft: DialogDraft, expecting: Int?, nowMs: Int64) throws -> DialogVersion {
    let digest = SHA256.hex(draft.source)
    let newest = try versions("v.dialog = ? ORDER BY v.number DESC LIMIT 1", [.text(draft.dialog)]).first
    if let expecting, expecting != newest?.number ?? 0 {
      throw StorageError(
        .conflict, "the newest version of `\(draft.dialog)` is \(newest?.number ?? 0), not \(expecting)")
    }
    if let newest, newest.digest == digest { return newest }
    let number = (newest?.number ?? 0) + 1
    try database.run(
      "INSERT INTO dialogs (tenant, name) VALUES (?, ?) ON CONFLICT (tenant, name) DO NOTHING",
      [.text(tenant), .text(draft.dialog)])
    try database.run(
      "INSERT INTO dialog_sources (digest, source) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
      [.text(digest), .text(draft.source)])
    try database.run(
      """
      INSERT INTO dialog_versions (tenant, dialog, number, digest, origin, author, note, created_at_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .text(tenant), .text(draft.dialog), SQLValue(number), .text(digest), .text(draft.origin.rawValue),
        .text(draft.author), .text(draft.note), .int(nowMs),
      ])
    try prune(draft.dialog)
    return try require(number, of: draft.dialog)
  }

  /// Drafts that nobody published and nobody is likely to want.
  private func prune(_ dialog: String) throws {
    let surplus = try database.row(
      """
      SELECT number FROM dialog_versions WHERE tenant = ? AND dialog = ? AND published_at_ms IS NULL
      ORDER BY number DESC LIMIT 1 OFFSET ?
      """, [.text(tenant), .text(dialog), SQLValue(StorageLimits.drafts)])
    guard let surplus else { return }
    try database.run(
      "DELETE FROM dialog_versions WHERE tenant = ? AND dialog = ? AND published_at_ms IS NULL AND number <= ?",
      [.text(tenant), .text(dialog), .int(try surplus.int("number"))])
    try database.run("DELETE FROM dialog_sources WHERE digest NOT IN (SELECT digest FROM dialog_versions)")
  }

  func publish(_ version: DialogVersion, held: String, nowMs: Int64) throws -> DialogVersion {
    if version.state == .published, held.isEmpty {
      try database.run(
        "UPDATE dialogs SET held_digest = '' WHERE tenant = ? AND name = ?", [.text(tenant), .text(version.dialog)])
      return version
    }
    try database.run(
      "UPDATE dialogs SET published = ?, held_digest = ? WHERE tenant = ? AND name = ?",
      [SQLValue(version.number), .text(held), .text(tenant), .text(version.dialog)])
    try database.run(
      "UPDATE dialog_versions SET published_at_ms = ? WHERE tenant = ? AND dialog = ? AND number = ?",
      [.int(nowMs), .text(tenant), .text(version.dialog), SQLValue(version.number)])
    return try require(version.number, of: version.dialog)
  }

  func withdraw(_ dialog: String) throws {
    try database.run(
      "UPDATE dialogs SET published = NULL, held_digest = '' WHERE tenant = ? AND name = ?",
      [.text(tenant), .text(dialog)])
  }

  func report(_ statuses: [DialogStatus]) throws {
    try database.run(
      """
      UPDATE dialogs SET state = NULL, served = NULL, file = '', label = '', description = '', language = '',
      diagnostics = '[]' WHERE tenant = ?
      """, [.text(tenant)])
    for status in statuses {
      try database.run(
        """
        INSERT INTO dialogs (tenant, name, state, served, file, label, description, language, diagnostics)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant, name) DO UPDATE SET state = excluded.state, served = excluded.served, file = excluded.file,
        label = excluded.label, description = excluded.description, language = excluded.language,
        diagnostics = excluded.diagnostics
        """,
        [
          .text(tenant), .text(status.dialog), .text(status.state.rawValue), SQLValue(status.served.map { Int64($0) }),
          .text(status.file), .text(status.label), .text(status.description), .text(status.language),
          .text(JSON.encode(.list(status.diagnostics.map(\.value)))),
        ])
    }
    // Names that were only known by a broken file that is gone or mended.
    try database.run(
      """
      DELETE FROM dialogs WHERE tenant = ? AND state IS NULL
      AND name NOT IN (SELECT dialog FROM dialog_versions WHERE tenant = ?)
      """, [.text(tenant), .text(tenant)])
  }

  func count() throws -> Int {
    Int(try database.row("SELECT COUNT(*) AS n FROM dialogs WHERE tenant = ?", [.text(tenant)])?.int("n") ?? 0)
  }

  // MARK: Reading

  func require(_ number: Int, of dialog: String) throws -> DialogVersion {
    guard let version = try versions("v.dialog = ? AND v.number = ?", [.text(dialog), SQLValue(number)]).first else {
      throw StorageError(.notFound, "there is no version \(number) of a dialog `\(dialog)`")
    }
    return version
  }

  /// - Parameter condition: on the versions `v` and the dialogs `d` of the tenant.
  func versions(_ condition: String, _ arguments: [SQLValue]) throws -> [DialogVersion] {
    try database.rows(Self.versionsOf + " WHERE v.tenant = ? AND " + condition, [.text(tenant)] + arguments)
      .map(Self.version)
  }

  /// The newest version with that source, of whichever tenant.
  static func version(digest: String, _ database: any SQLConnection) throws -> DialogVersion? {
    try database.row(
      versionsOf + " WHERE v.digest = ? ORDER BY v.created_at_ms DESC, v.number DESC LIMIT 1", [.text(digest)]
    ).map(version)
  }

  private static let versionsOf = """
    SELECT v.*, s.source, d.published FROM dialog_versions v JOIN dialog_sources s ON s.digest = v.digest
    JOIN dialogs d ON d.tenant = v.tenant AND d.name = v.dialog
    """

  private static func version(_ row: SQLRow) throws -> DialogVersion {
    let number = try row.int("number"), publishedAtMs = try row.optionalInt("published_at_ms")
    return DialogVersion(
      dialog: try row.text("dialog"), number: Int(number), digest: try row.text("digest"),
      source: try row.text("source"), origin: DialogVersion.Origin(rawValue: try row.text("origin")) ?? .api,
      author: try row.text("author"), note: try row.text("note"), createdAtMs: try row.int("created_at_ms"),
      publishedAtMs: publishedAtMs,
      state: try row.optionalInt("published") == number ? .published : publishedAtMs == nil ? .draft : .retired)
  }

  func record(_ name: String) throws -> DialogRecord? { try records("d.name = ?", [.text(name)]).first }

  func records(_ condition: String, _ arguments: [SQLValue]) throws -> [DialogRecord] {
    try database.rows(
      """
      SELECT d.*, v.number AS latest, v.digest AS latest_digest FROM dialogs d LEFT JOIN dialog_versions v
      ON v.tenant = d.tenant AND v.dialog = d.name
      AND v.number = (SELECT MAX(number) FROM dialog_versions WHERE tenant = d.tenant AND dialog = d.name)
      WHERE d.tenant = ? AND \(condition)
      """, [.text(tenant)] + arguments
    ).map(Self.record)
  }

  private static func record(_ row: SQLRow) throws -> DialogRecord {
    let name = try row.text("name")
    var diagnostics: [Diagnostic] = []
    if case .list(let items)? = try? JSON.decode(try row.text("diagnostics")) {
      diagnostics = items.compactMap(Diagnostic.init)
    }
    let served = try row.optionalInt("served").map { Int($0) }
    let status = try row.optionalText("state").flatMap { DialogStatus.State(rawValue: $0) }.map { state in
      DialogStatus(
        dialog: name, state: state, served: served, file: try row.text("file"), label: try row.text("label"),
        description: try row.text("description"), language: try row.text("language"), diagnostics: diagnostics)
    }
    return DialogRecord(
      name: name, latest: Int(try row.optionalInt("latest") ?? 0),
      latestDigest: try row.optionalText("latest_digest") ?? "",
      published: try row.optionalInt("published").map { Int($0) }, heldDigest: try row.text("held_digest"),
      status: status)
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
