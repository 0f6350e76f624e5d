import ArgumentParser
import Base
import Settings
import Storage
import Telemetry

struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate", abstract: "Bring the database to the schema of this version.",
    discussion: """
      'parley serve' does the same when it starts; this is for those who want it done before. A database only moves \
      forward: make a backup first (docs/storage.md).

      --check and --wait change nothing and need the right to read only: for pods that must not alter tables, and start when \
      somebody else has.
      """)

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Flag(help: "Only say what would be done.")
  var dryRun = false

  @Flag(help: "Only look: exit 0 where the database has exactly this version's schema, 1 otherwise.")
  var check = false

  @Option(name: .long, help: "Wait so long until another process has brought the database to it: 30s, 5m.")
  var wait: DurationArgument?

  @Flag(help: "Print the outcome as JSON.")
  var json = false

  /// Between two looks.
  private static let pause: Duration = .seconds(1)

  func validate() throws {
    guard [dryRun, check, wait != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("--dry-run, --check and --wait exclude each other")
    }
  }

  func run() async throws {
    let settings: StorageSettings
    do {
      settings = try ConfigurationLoader(environment: environmentVariables()).load(path: config).configuration.storage
    } catch {
      throw CommandFailure(configuration: error)
    }
    if check || wait != nil { return try await look(settings) }
    let report: MigrationReport
    do {
      report = try await DatabaseStores.migrate(
        sqlite: settings.databasePath, postgres: settings.postgresURL?.reveal(), isDryRun: dryRun,
        nowMs: WallClock.nowMilliseconds())
    } catch {
      throw CommandFailure("\(error)")
    }
    if json {
      printLine(
        JSON.encode([
          "present": .list(report.present.map { .string($0) }), "taken": .list(report.taken.map { .string($0) }),
          "dry_run": .bool(dryRun),
        ]))
      return
    }
    for step in report.taken { printLine(dryRun ? "would take \(step)" : "took \(step)") }
    if report.taken.isEmpty { printLine("the database has the schema of this version") }
  }

  // MARK: Looking

  private func look(_ settings: StorageSettings) async throws(CommandFailure) {
    guard !settings.isInMemory else {
      throw CommandFailure("a database in memory has no schema to look at (storage.database)")
    }
    let state: SchemaState
    if let wait {
      state = try await waitUntilCurrent(settings, limit: wait.duration)
    } else {
      do {
        state = try await Self.state(settings)
      } catch {
        throw CommandFailure("\(error)")
      }
    }
    if json {
      var lacks: [String] = []
      if case .behind(let steps) = state { lacks = steps }
      printLine(JSON.encode(["current": .bool(state == .current), "missing": .list(lacks.map { .string($0) })]))
    }
    if let sentence = state.sentence { throw CommandFailure(sentence) }
    if !json { printLine("the database has the schema of this version") }
  }

  private static func state(_ settings: StorageSettings) async throws(StorageError) -> SchemaState {
    try await DatabaseStores.schema(sqlite: settings.databasePath, postgres: settings.postgresURL?.reveal())
  }

  /// Returns when the schema is that of this version.
  private func waitUntilCurrent(
    _ settings: StorageSettings, limit: Duration
  ) async throws(CommandFailure) -> SchemaState {
    var waiting = SchemaWait(limit: limit, at: .monotonic())
    while true {
      let sight: SchemaWait.Sight
      do {
        sight = .seen(try await Self.state(settings))
      } catch {
        sight = .unreachable("\(error)")
      }
      switch waiting.receive(sight, at: .monotonic()) {
      case .done: return .current
      case .failed(let sentence): throw CommandFailure(sentence)
      case .wait(let sentence):
        if let sentence { standardError("parley: waiting: \(sentence)\n") }
      }
      do { try await Task.sleep(for: Self.pause) } catch { throw CommandFailure("the wait was broken off") }
    }
  }
}
