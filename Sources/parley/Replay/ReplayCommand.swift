import ArgumentParser
import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Settings
import Storage

struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run recorded sessions again and compare every step; exit 3 at the first difference.",
    discussion: """
      A session is named by its file (--save, or the events of the API) or by its identifier in the database of the \
      configuration. The dialog is the very version that the call was pinned to, unless --dialog names another.
      """)

  @Argument(help: "Session identifiers or files.")
  var sessions: [String] = []

  @Flag(help: "Every session in the database that has ended.")
  var all = false

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Option(
    help: ArgumentHelp("Replay with this dialog; the others in its folder are those it may run.", valueName: "file"))
  var dialog: String?

  @Option(help: ArgumentHelp("Write the session as a test file.", valueName: "file.test.yaml"))
  var export: String?

  @Option(help: ArgumentHelp("Write the session with its dialogs as JSON lines.", valueName: "file"))
  var save: String?

  @Flag(help: "Print the outcome as JSON lines.")
  var json = false

  func validate() throws {
    guard all != !sessions.isEmpty else { throw ValidationError("name sessions or files, or say --all") }
    guard export == nil && save == nil || sessions.count == 1 else {
      throw ValidationError("--export and --save take one session")
    }
  }

  func run() async throws {
    var archive = RecordArchive(config: config)
    var differing = 0
    let names = all ? try await archive.endedSessions() : sessions
    for name in names {
      let record = try await archive.record(name)
      guard record.wasAnswered else {
        report(name, ["outcome": "not_answered"], "\(name): the call was not answered; nothing to replay")
        continue
      }
      guard !record.wasRedacted else {
        report(
          name, ["outcome": "not_comparable", "reason": "redacted"],
          "\(name): not compared; personal data was taken out of the record (security.pii)")
        continue
      }
      let played = try dialogs(of: record, name)
      let outcome: SessionReplay.Outcome
      do {
        outcome = try SessionReplay.run(
          record.lines, session: record.session, dialog: played.dialog, library: played.library)
      } catch {
        throw CommandFailure("\(name): \(error)")
      }
      if let difference = outcome.difference {
        differing += 1
        report(
          name, ["outcome": "different", "difference": difference.json],
          (["\(name): different"] + difference.lines).joined(separator: "\n"))
      } else {
        report(
          name,
          [
            "outcome": "identical", "inputs": .int(Int64(outcome.inputs)), "compared": .int(Int64(outcome.compared)),
            "complete": .bool(outcome.isComplete),
          ],
          "\(name): identical (\(outcome.inputs) inputs, \(outcome.compared) steps compared)"
            + (outcome.isComplete ? "" : "; the record ends before the call does"))
      }
      if let save {
        var saved = record
        saved.dialogs = played.sources
        try write(saved.text(), to: save)
      }
      if let export { try exportTest(record, played, to: export) }
    }
    if names.count > 1, !json { printLine("\(names.count) sessions, \(differing) different") }
    if names.isEmpty { throw CommandFailure("the database has no ended sessions") }
    if differing > 0 { throw CommandFailure("", exitCode: CommandFailure.notAsExpected) }
  }

  private func report(_ name: String, _ members: [String: Value], _ text: String) {
    printLine(json ? JSON.encode(.map(members.merging(["session": .string(name)]) { a, _ in a })) : text)
  }

  private func write(_ text: String, to file: String) throws {
    do {
      try Data(text.utf8).write(to: URL(filePath: file))
    } catch {
      throw CommandFailure("\(file) cannot be written")
    }
  }

  /// The test has to pass: a session that cannot be told in steps says so.
  private func exportTest(_ record: SessionExport, _ played: PlayedDialogs, to file: String) throws {
    let text: String
    do {
      text = try SessionAsTest.yaml(
        record.lines, session: record.session, dialog: played.dialog, library: played.library,
        name: "session \(record.session)")
    } catch {
      throw CommandFailure("the session cannot become a test: \(error)")
    }
    try write(text, to: file)
    let outcome: DialogTestLoader.Outcome
    do {
      outcome = DialogTestLoader.load(try YAML.read(text, file: file), file: file)
    } catch {
      throw CommandFailure("\(error)")
    }
    guard let tests = outcome.tests else {
      for finding in outcome.diagnostics { standardError("\(finding)\n") }
      throw CommandFailure.alreadySaid
    }
    var coverage = DialogCoverage(played.dialog)
    let results = DialogTestRunner(tests, dialog: played.dialog, library: played.library).run(coverage: &coverage)
    for result in results where !result.hasPassed {
      standardError(DialogTestReport.tap(result, number: 1))
      throw CommandFailure(
        "\(file) does not pass as it is: the call's timing cannot be told in steps; see above where to mend it")
    }
  }

  // MARK: Dialogs

  private struct PlayedDialogs {
    var dialog: Dialog
    var library: [String: Dialog]
    var sources: [SessionExport.Source]
  }

  private func dialogs(of record: SessionExport, _ name: String) throws -> PlayedDialogs {
    if let file = dialog { return try dialogs(fromFile: file) }
    var loaded: [Dialog] = []
    for source in record.dialogs {
      do {
        let outcome = DialogLoader.load(try YAML.read(source.text, file: source.file), file: source.file)
        for finding in outcome.diagnostics where finding.severity == .error { standardError("\(finding)\n") }
        guard let dialog = outcome.dialog else {
          throw CommandFailure("\(name): the dialog `\(source.name)` of the session cannot be loaded")
        }
        loaded.append(dialog)
      } catch let error as Diagnostics {
        throw CommandFailure("\(name): \(error)")
      }
    }
    guard let first = loaded.first else {
      throw CommandFailure("\(name): the text of its dialog is not kept; name it with --dialog")
    }
    return PlayedDialogs(
      dialog: first,
      library: Dictionary(loaded.dropFirst().map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }),
      sources: record.dialogs)
  }

  private func dialogs(fromFile file: String) throws -> PlayedDialogs {
    let own = DialogCatalog.load(files: [file])
    for finding in own.diagnostics where finding.severity == .error { standardError("\(finding)\n") }
    guard let dialog = own.dialogs.first else { throw CommandFailure("\(file) cannot be run") }
    let library =
      (try? DialogCatalog.load(path: DialogFolders.folder(of: file)))?.library(of: dialog.name) ?? [:]
    var sources: [SessionExport.Source] = []
    for dialog in [dialog] + library.values.sorted(by: { $0.name < $1.name }) {
      do {
        let text = try TextFile.read(dialog.file, limit: YAML.sizeLimit)
        sources.append(
          SessionExport.Source(name: dialog.name, digest: SHA256.hex(text), file: dialog.file, text: text))
      } catch {
        throw CommandFailure("\(error)")
      }
    }
    return PlayedDialogs(dialog: dialog, library: library, sources: sources)
  }
}
