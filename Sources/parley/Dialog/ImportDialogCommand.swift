import ArgumentParser
import Base
import Dialogs
import FoundationEssentials
import Settings

struct ImportDialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Turn a Dograh workflow (JSON) into a dialog.",
    discussion: """
      Writes the dialog to standard output, or to --out. What could not be carried over, or works in another way, is listed \
      on standard error, one line each with the node or edge it belongs to.
      """)

  @Argument(help: "The workflow: what the API gives for one workflow, or its workflow_definition.")
  var file: String

  @Option(help: "A file with the definitions of its tools: what the API gives for the list of tools.")
  var tools: String?

  @Option(help: "The dialog's name. (default: the workflow's)")
  var name = ""

  @Option(help: "Where to write the dialog.")
  var out: String?

  @Flag(help: "Write over a file that exists.")
  var force = false

  @Flag(help: "Print the report as JSON; without --out the dialog is its member `yaml`.")
  var json = false

  /// Workflows are some dozen kilobytes.
  private static let sizeLimit = 8 << 20

  func run() throws {
    let outcome: WorkflowImport.Outcome
    do {
      outcome = try WorkflowImport.convert(
        try read(file), name: name, tools: try tools.map { try read($0) } ?? .null)
    } catch let failure as WorkflowImport.Failure {
      throw CommandFailure("\(file): \(failure)")
    }
    let target = out ?? "\(outcome.name).yaml"
    let findings = check(outcome, as: target)
    if let out { try write(outcome.yaml, to: out) }
    if json {
      var report: [String: Value] = [
        "name": .string(outcome.name), "states": .int(Int64(outcome.stateCount)),
        "notes": .list(outcome.notes.map(\.value)), "diagnostics": .list(findings.map(\.json)),
      ]
      report["out"] = out.map { .string($0) }
      if out == nil { report["yaml"] = .string(outcome.yaml) }
      printLine(JSON.encode(.map(report)))
    } else {
      for note in outcome.notes { standardError("\(note)\n") }
      for finding in findings { standardError("\(finding)\n") }
      if let out {
        printLine("\(out): \(count(outcome.stateCount, "state")), \(count(outcome.notes.count, "note"))")
      } else {
        print(outcome.yaml, terminator: "")
      }
    }
    if findings.contains(where: { $0.severity == .error }) { throw CommandFailure.alreadySaid }
  }

  private func read(_ path: String) throws -> Value {
    let text: String
    do {
      text = try TextFile.read(path, limit: Self.sizeLimit)
    } catch {
      throw CommandFailure("\(error)")
    }
    do {
      return try JSON.decode(text)
    } catch {
      throw CommandFailure("\(path): \(error)")
    }
  }

  private func write(_ text: String, to path: String) throws {
    guard force || !TextFile.exists(path) else { throw CommandFailure("\(path) exists; --force writes over it") }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw CommandFailure("\(path) cannot be written: \(error)")
    }
  }

  /// What the checker says about the new dialog.
  private func check(_ outcome: WorkflowImport.Outcome, as file: String) -> [Diagnostic] {
    do {
      return DialogLoader.load(try YAML.read(outcome.yaml, file: file), file: file).diagnostics
    } catch {
      return error.all
    }
  }
}
