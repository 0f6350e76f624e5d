import ArgumentParser
import Base
import ConversationRuntime
import Dialogs
import Settings

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

struct DialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dialog", abstract: "Check, test, explore, draw and import dialogs, and talk to one.",
    subcommands: [
      CheckDialogCommand.self, TestDialogCommand.self, SimulateDialogCommand.self, GraphDialogCommand.self,
      ExploreDialogCommand.self, ImportDialogCommand.self, SchemaDialogCommand.self,
    ])
}

struct CheckDialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Validate dialogs; exit 1 where one has errors.",
    discussion: "A folder stands for its *.yaml and *.yml files, without *.test.yaml.")

  @Argument(help: "Files or folders.")
  var paths: [String]

  @Flag(help: "Print the findings as JSON.")
  var json = false

  func run() throws {
    var files: [String] = []
    do {
      for path in paths { files += try DialogCatalog.files(at: path) }
    } catch {
      throw CommandFailure("\(error)")
    }
    // Files that have nothing to do with each other may be named together; the same file twice is no duplicate.
    var seen: Set<String> = []
    let catalog = DialogCatalog.load(files: files.filter { seen.insert($0).inserted })
    let errors = catalog.diagnostics.filter { $0.severity == .error }
    if json {
      printLine(
        JSON.encode([
          "ok": .bool(errors.isEmpty), "files": .int(Int64(catalog.files.count)),
          "dialogs": .list(catalog.dialogs.map { .string($0.name) }),
          "diagnostics": .list(catalog.diagnostics.map(\.json)),
        ]))
    } else {
      for finding in catalog.diagnostics { standardError("\(finding)\n") }
      let warnings = catalog.diagnostics.count - errors.count
      printLine(
        "\(count(catalog.files.count, "file")): \(count(catalog.dialogs.count, "dialog")) ready, "
          + "\(count(errors.count, "error")), \(count(warnings, "warning"))")
    }
    if !errors.isEmpty { throw CommandFailure.alreadySaid }
    if catalog.files.isEmpty { throw CommandFailure("no dialogs (*.yaml) in \(paths.joined(separator: ", "))") }
  }
}

struct SimulateDialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Talk to a dialog in the terminal, in virtual time.",
    discussion: """
      Each line is one turn of the caller: words are speech, '#1' presses keys, an empty line is silence until the next \
      timer, '!name' sends a custom event, '/hangup' hangs up. Hooks fail unless --hook answers them.
      """)

  @Argument(help: "The dialog's file.")
  var file: String

  @Option(help: ArgumentHelp("What a service answers: NAME=JSON (repeatable).", valueName: "name=json"))
  var hook: [String] = []

  @Option(help: "Who calls.")
  var caller = "anonymous"

  @Option(help: "A variable's value at the start: NAME=JSON (repeatable).")
  var variable: [String] = []

  func run() throws {
    let answers = try Assignments.read(hook, option: "--hook")
    let variables = try Assignments.read(variable, option: "--variable")
    let catalog = DialogCatalog.load(files: [file])
    for finding in catalog.diagnostics { standardError("\(finding)\n") }
    guard let dialog = catalog.dialogs.first else { throw CommandFailure("\(file) cannot be run") }
    var simulator = DialogSimulator(
      dialog: dialog, call: CallFacts(session: SessionID("simulation"), callerID: caller), variables: variables,
      hooks: { answers[$0.service.isEmpty ? $0.url : $0.service] })
    let isTerminal = isatty(STDIN_FILENO) == 1
    show(simulator.start())
    while !simulator.isEnded {
      if isTerminal { prompt() }
      guard let line = readLine() else { break }
      show(simulator.take(line))
    }
  }

  private func show(_ lines: [String]) { for line in lines { printLine(line) } }

  private func prompt() {
    print("> ", terminator: "")
    fflush(nil)
  }
}

/// `NAME=JSON`, as options take it.
enum Assignments {
  static func read(_ texts: [String], option: String) throws -> [String: Value] {
    var values: [String: Value] = [:]
    for text in texts {
      guard let equals = text.firstIndex(of: "=") else {
        throw ValidationError("\(option) takes NAME=JSON, not '\(text)'")
      }
      let json = String(text[text.index(after: equals)...])
      do {
        values[String(text[..<equals])] = try JSON.decode(json)
      } catch {
        throw ValidationError("\(option) \(text[..<equals]): \(error)")
      }
    }
    return values
  }
}
