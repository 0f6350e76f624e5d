import Base

/// What a database's schema needs, or got.
public struct MigrationReport: Sendable, Hashable {
  /// Steps that the database had.
  public var present: [String] = []
  /// Steps that were taken now, or (dry run) would be.
  public var taken: [String] = []
}

/// Brings a schema forward, step by step. What was taken is written down with a checksum, so that a database from a newer
/// version, or from a version with other steps, is refused instead of damaged.
struct Migrator: Sendable {
  private let steps: [SQLMigration]

  init(_ steps: [SQLMigration]) { self.steps = steps }

  /// Takes the missing steps, all or none: within one transaction that nobody else runs beside it.
  /// - Throws: ``StorageError`` `cannotOpen` for a schema that these steps did not make.
  func migrate(_ database: any SQLConnection, nowMs: Int64) throws -> MigrationReport {
    // Who may not make tables can serve on a schema that lacks nothing: `IF NOT EXISTS` asks for the right in any case.
    if try Self.hasTable("schema_steps", database), try !Self.hasTable(Self.formerTable, database) {
      let report = try plan(database)
      if report.taken.isEmpty { return report }
    }
    try database.run(
      """
      CREATE TABLE IF NOT EXISTS schema_steps (
        name TEXT PRIMARY KEY NOT NULL, checksum TEXT NOT NULL, taken_at_ms BIGINT NOT NULL
      )
      """)
    if try Self.hasTable(Self.formerTable, database) {
      for name in try formerSteps(database) {
        try write(name, database, nowMs: nowMs)
      }
      // An old version that opens this file again must not believe that it knows it.
      try database.run("DROP TABLE \(Self.formerTable)")
    }
    let report = try plan(database)
    for step in steps where report.taken.contains(step.name) {
      for statement in step.statements(database.dialect) { try database.run(statement) }
      try write(step.name, database, nowMs: nowMs)
    }
    return report
  }

  /// What ``migrate(_:nowMs:)`` would do. Changes nothing.
  func plan(_ database: any SQLConnection) throws -> MigrationReport {
    var present: [(name: String, checksum: String?)] = []
    if try Self.hasTable("schema_steps", database) {
      present = try database.rows("SELECT name, checksum FROM schema_steps").map {
        (try $0.text("name"), try $0.text("checksum"))
      }
    }
    if try Self.hasTable(Self.formerTable, database) { present += try formerSteps(database).map { ($0, nil) } }
    let known = Dictionary(steps.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    for (name, checksum) in present {
      guard let step = known[name] else {
        throw StorageError(
          .cannotOpen,
          "the database was made by a newer version (it has the step `\(name)`): run that version, or restore a backup")
      }
      if let checksum, checksum != Self.checksum(step, database.dialect) {
        throw StorageError(
          .cannotOpen,
          "the database is from a version that this one does not follow (its step `\(name)` is another one): restore a backup"
        )
      }
    }
    let names = Set(present.map(\.name))
    return MigrationReport(
      present: steps.map(\.name).filter(names.contains), taken: steps.map(\.name).filter { !names.contains($0) })
  }

  /// How the database stands to these steps. Changes nothing.
  func state(_ database: any SQLConnection) throws -> SchemaState {
    do {
      let lacks = try plan(database).taken
      return lacks.isEmpty ? .current : .behind(lacks)
    } catch let error as StorageError where error.code == .cannotOpen {
      return .foreign(error.description)
    }
  }

  private func write(_ name: String, _ database: any SQLConnection, nowMs: Int64) throws {
    guard let step = steps.first(where: { $0.name == name }) else { return }
    try database.run(
      "INSERT INTO schema_steps (name, checksum, taken_at_ms) VALUES (?, ?, ?)",
      [.text(name), .text(Self.checksum(step, database.dialect)), .int(nowMs)])
  }

  private static func checksum(_ step: SQLMigration, _ dialect: SQLDialect) -> String {
    SHA256.hex(step.statements(dialect).joined(separator: ";\n"))
  }

  // MARK: Databases of the first versions

  /// Where versions before 2026-12 wrote their steps down.
  private static let formerTable = "grdb_migrations"

  private func formerSteps(_ database: any SQLConnection) throws -> [String] {
    let names = try database.rows("SELECT identifier FROM \(Self.formerTable)").map { try $0.text("identifier") }
    // Checked like the others: what is unknown was made by somebody newer.
    for name in names where !steps.contains(where: { $0.name == name }) {
      throw StorageError(.cannotOpen, "the database has a step `\(name)` that this version does not know")
    }
    return names
  }

  static func hasTable(_ name: String, _ database: any SQLConnection) throws -> Bool {
    let question =
      switch database.dialect {
      case .sqlite: "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = ?"
      case .postgres:
        "SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = ?"
      }
    return try database.row(question, [.text(name)])?.int("n") ?? 0 > 0
  }
}
