import ArgumentParser
import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Settings

struct GraphDialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graph", abstract: "Draw a dialog: states, transitions, agents and the dialogs it runs.",
    discussion: "SVG is drawn by Graphviz ('dot', Debian package graphviz); DOT and Mermaid need nothing.")

  enum Format: String, ExpressibleByArgument, CaseIterable { case svg, dot, mermaid }

  @Argument(help: "The dialog's file.")
  var file: String

  @Option(help: "svg, dot or mermaid.")
  var format = Format.svg

  @Option(name: .shortAndLong, help: ArgumentHelp("Where to write it; stdout by default.", valueName: "file"))
  var output: String?

  @Option(help: ArgumentHelp("Colour what the cases of a test file go through.", valueName: "test file"))
  var coverage: String?

  func run() throws {
    let catalog = DialogCatalog.load(files: [file])
    for finding in catalog.diagnostics where finding.severity == .error { standardError("\(finding)\n") }
    guard let dialog = catalog.dialogs.first else { throw CommandFailure("\(file) cannot be drawn") }
    let graph = DialogGraph(dialog, coverage: try covered(dialog))
    let text =
      switch format {
      case .dot: graph.dot
      case .mermaid: graph.mermaid
      case .svg: try Graphviz.svg(graph.dot)
      }
    guard let output else { return printText(text) }
    do {
      try Data(text.utf8).write(to: URL(filePath: output))
    } catch {
      throw CommandFailure("\(output) cannot be written")
    }
  }

  private func covered(_ dialog: Dialog) throws -> DialogCoverage? {
    guard let coverage else { return nil }
    let outcome: DialogTestLoader.Outcome
    do {
      outcome = DialogTestLoader.load(try YAML.load(path: coverage), file: coverage)
    } catch {
      throw CommandFailure("\(error)")
    }
    guard let tests = outcome.tests else {
      for finding in outcome.diagnostics { standardError("\(finding)\n") }
      throw CommandFailure.alreadySaid
    }
    let library = (try? DialogCatalog.load(path: DialogFolders.folder(of: file)))?.library(of: dialog.name) ?? [:]
    var seen = DialogCoverage(dialog)
    _ = DialogTestRunner(tests, dialog: dialog, library: library).run(coverage: &seen)
    return seen
  }
}
