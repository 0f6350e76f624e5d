import ArgumentParser
import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Settings
import SpeechGateway

struct TestDialogCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test", abstract: "Run test files of dialogs in virtual time; exit 3 where a case fails.",
    discussion: """
      A folder stands for its *.test.yaml files. The dialog of a test file is looked for beside it. Prints the Test Anything \
      Protocol. See docs/dialogs/testing.md.
      """)

  @Argument(help: "Test files or folders.")
  var paths: [String]

  @Option(help: ArgumentHelp("Where the dialogs are, if not beside the tests.", valueName: "folder"))
  var dialogs: String?

  @Option(help: "Only cases whose name contains this.")
  var filter = ""

  @Option(name: .customLong("repeat"), help: "Run every case so often.")
  var times = 1

  @Flag(help: "Say which states and transitions no case went through.")
  var coverage = false

  @Option(help: ArgumentHelp("Write the results as JUnit XML.", valueName: "file"))
  var junit: String?

  @Flag(help: "Print the results as one JSON object.")
  var json = false

  @Flag(help: "The caller's words and the prompts go through real synthesis, telephone codec and recognition.")
  var audio = false

  @Option(name: .shortAndLong, help: "The configuration file that says how to listen and to speak (--audio).")
  var config: String?

  @Flag(help: "Run again whenever a test or a dialog changes, until interrupted.")
  var watch = false

  func validate() throws {
    guard times >= 1, times <= 1_000_000 else { throw ValidationError("--repeat must be between 1 and 1000000") }
    guard !(watch && json) else { throw ValidationError("--watch and --json exclude each other") }
  }

  func run() async throws {
    guard watch else { return try finish(try await round()) }
    while true {
      let before = try stamps()
      _ = try await round()
      printLine("# waiting for a change")
      while try stamps() == before { try await Task.sleep(for: .milliseconds(300)) }
    }
  }

  // MARK: One round

  private struct Round {
    var results: [DialogTestResult] = []
    var coverages: [DialogCoverage] = []
    var diagnostics: [Diagnostic] = []

    var failed: Int { results.count { !$0.hasPassed } }
    var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }
  }

  private func round() async throws -> Round {
    var round = Round()
    var library = DialogFolders(elsewhere: dialogs)
    var runners: [DialogTestRunner] = []
    for file in try files() {
      guard let tests = load(file, &round.diagnostics) else { continue }
      do {
        let found = try library.dialog(for: tests)
        let problems = DialogTestLoader.check(tests, against: found.dialog)
        round.diagnostics += problems
        if problems.isEmpty {
          runners.append(DialogTestRunner(tests, dialog: found.dialog, library: found.library))
        }
      } catch {
        round.diagnostics += error.all
      }
    }
    for finding in round.diagnostics where !json { standardError("\(finding)\n") }
    if !json {
      printLine("TAP version 14")
      printText(DialogTestReport.tapPlan(runners.reduce(0) { $0 + $1.cases(filter: filter).count }))
    }
    let rehearsal = try audio ? self.rehearsal() : nil
    for runner in runners {
      var coverage = DialogCoverage(runner.dialog)
      for test in runner.cases(filter: filter) {
        let result = await run(test, runner, rehearsal, &coverage)
        round.results.append(result)
        if !json { printText(DialogTestReport.tap(result, number: round.results.count)) }
      }
      if let place = round.coverages.firstIndex(where: { $0.file == coverage.file }) {
        round.coverages[place].add(coverage)
      } else {
        round.coverages.append(coverage)
      }
    }
    report(round)
    return round
  }

  /// So often as is asked for; the first failure counts.
  private func run(
    _ test: DialogTestCase, _ runner: DialogTestRunner, _ rehearsal: SpeechRehearsal?,
    _ coverage: inout DialogCoverage
  ) async -> DialogTestResult {
    var result: DialogTestResult
    var round = 0
    repeat {
      round += 1
      guard let rehearsal else {
        result = runner.run(test, coverage: &coverage)
        continue
      }
      var voice = AudioTestVoice(rehearsal)
      result = await runner.run(test, voice: &voice, coverage: &coverage)
      // What was not understood explains a failure, and is worth knowing of a case that passed.
      for complaint in voice.hearings.compactMap(\.complaint) where !json { printLine("# \(test.name): \(complaint)") }
    } while result.hasPassed && round < times
    return result
  }

  private func rehearsal() throws -> SpeechRehearsal {
    let environment = environmentVariables()
    let loaded: ConfigurationLoader.Loaded
    do {
      loaded = try ConfigurationLoader(environment: environment).load(path: config)
    } catch {
      throw CommandFailure(configuration: error)
    }
    do {
      return try AudioTestVoice.rehearsal(loaded.configuration, environment: environment)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  private func report(_ round: Round) {
    let passed = round.results.count - round.failed
    if json {
      var members: [String: Value] = [
        "ok": .bool(round.failed == 0 && !round.hasErrors), "passed": .int(Int64(passed)),
        "failed": .int(Int64(round.failed)), "results": .list(round.results.map { DialogTestReport.json($0) }),
        "diagnostics": .list(round.diagnostics.map(\.json)),
      ]
      if coverage { members["coverage"] = .list(round.coverages.map(\.json)) }
      printLine(JSON.encode(.map(members)))
      return
    }
    if coverage { for line in round.coverages.flatMap(\.lines) { printLine("# \(line)") } }
    printLine("# \(passed) passed, \(round.failed) failed")
  }

  private func finish(_ round: Round) throws {
    if let junit {
      do {
        try Data(DialogTestReport.junit(round.results).utf8).write(to: URL(filePath: junit))
      } catch {
        throw CommandFailure("\(junit) cannot be written")
      }
    }
    if round.hasErrors { throw CommandFailure.alreadySaid }
    if round.results.isEmpty {
      throw CommandFailure(filter.isEmpty ? "no test cases" : "no case's name contains '\(filter)'")
    }
    if round.failed > 0 { throw CommandFailure("", exitCode: CommandFailure.notAsExpected) }
  }

  // MARK: Files

  private func files() throws -> [String] {
    var files: [String] = []
    for path in paths {
      var isFolder = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
        throw CommandFailure("there is no file or folder \(path)")
      }
      if !isFolder {
        files.append(path)
        continue
      }
      let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
      let found = names.filter { !$0.hasPrefix(".") && ($0.hasSuffix(".test.yaml") || $0.hasSuffix(".test.yml")) }
      guard !found.isEmpty else { throw CommandFailure("no tests (*.test.yaml) in \(path)") }
      files += found.sorted().map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
    }
    var seen: Set<String> = []
    return files.filter { seen.insert($0).inserted }
  }

  private func load(_ file: String, _ diagnostics: inout [Diagnostic]) -> DialogTestFile? {
    do {
      let outcome = DialogTestLoader.load(try YAML.load(path: file), file: file)
      diagnostics += outcome.diagnostics
      return outcome.tests
    } catch {
      diagnostics += error.all
      return nil
    }
  }

  /// When each file was written that the tests depend on.
  private func stamps() throws -> [String: Date] {
    var stamps: [String: Date] = [:]
    var folders: Set<String> = []
    for file in try files() { folders.insert(DialogFolders.folder(of: file)) }
    if let dialogs { folders.insert(dialogs) }
    for folder in folders {
      for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      where name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
        let path = "\(folder)/\(name)"
        stamps[path] = (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
      }
    }
    return stamps
  }
}

/// The dialogs that lie beside test files, each folder read once.
struct DialogFolders {
  /// Looked into after the folder of the test file.
  let elsewhere: String?
  private var catalogs: [String: DialogCatalog] = [:]

  init(elsewhere: String?) { self.elsewhere = elsewhere }

  /// The dialog that a file tests, and what it may run.
  mutating func dialog(for tests: DialogTestFile) throws(Diagnostics) -> (dialog: Dialog, library: [String: Dialog]) {
    let folder = Self.folder(of: tests.file)
    var problems: [Diagnostic] = []
    for place in [folder, elsewhere].compactMap(\.self) {
      if tests.namesFile {
        let path = tests.dialog.hasPrefix("/") ? tests.dialog : "\(place)/\(tests.dialog)"
        guard FileManager.default.fileExists(atPath: path) else { continue }
        let catalog = catalog(of: Self.folder(of: path))
        let named = path.split(separator: "/").last
        if let dialog = catalog.dialogs.first(where: { $0.file.split(separator: "/").last == named }) {
          return (dialog, catalog.library(of: dialog.name))
        }
        problems += catalog.diagnostics.filter { $0.file.split(separator: "/").last == named }
      } else {
        let catalog = catalog(of: place)
        if let dialog = catalog.dialog(named: tests.dialog) { return (dialog, catalog.library(of: dialog.name)) }
        problems += catalog.diagnostics.filter {
          $0.severity == .error && $0.file.split(separator: "/").last?.hasPrefix("\(tests.dialog).") == true
        }
      }
    }
    if !problems.contains(where: { $0.severity == .error }) {
      let places = [folder, elsewhere].compactMap(\.self).joined(separator: " or ")
      problems = [
        Diagnostic(
          code: "T009", severity: .error, file: tests.file, position: tests.dialogPosition,
          message: "there is no dialog `\(tests.dialog)` in \(places)",
          hint: "name it with `dialog:`, or say where it is with --dialogs")
      ]
    }
    throw Diagnostics(problems)
  }

  private mutating func catalog(of folder: String) -> DialogCatalog {
    if let known = catalogs[folder] { return known }
    let catalog = (try? DialogCatalog.load(path: folder)) ?? DialogCatalog([])
    catalogs[folder] = catalog
    return catalog
  }

  /// The folder of a file; `.` where its path says none.
  static func folder(of file: String) -> String {
    let parts = file.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    return parts.isEmpty ? "." : parts == [""] ? "/" : parts.joined(separator: "/")
  }
}
