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
      """)

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Flag(help: "Only say what would be done.")
  var dryRun = false

  @Flag(help: "Print the outcome as JSON.")
  var json = false

  func run() async throws {
    let settings: StorageSettings
    do {
      settings = try ConfigurationLoader(environment: environmentVariables()).load(path: config).configuration.storage
    } catch {
      throw CommandFailure(configuration: error)
    }
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
}
