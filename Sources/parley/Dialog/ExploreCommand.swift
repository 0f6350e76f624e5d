import ArgumentParser
import Base
import ConversationRuntime
import Dialogs

struct ExploreDialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explore",
    abstract: "Let made-up callers loose on a dialog; exit 3 where an error or a loop is found.",
    discussion: """
      Personas: \(Persona.allCases.map { "\($0.rawValue) (\($0.summary))" }.joined(separator: ", ")). The same seed gives \
      the same conversations; --show prints one of them as a finding names it.
      """)

  @Argument(help: "The dialog's file.")
  var file: String

  @Option(help: "Where chance begins.")
  var seed: UInt64 = 1

  @Option(help: "Conversations of each persona.")
  var sessions = 100

  @Option(help: "Only this persona (repeatable).")
  var persona: [Persona] = []

  @Option(help: ArgumentHelp("What a service answers: NAME=JSON (repeatable).", valueName: "name=json"))
  var hook: [String] = []

  @Option(help: ArgumentHelp("A variable's value at the start: NAME=JSON (repeatable).", valueName: "name=json"))
  var variable: [String] = []

  @Option(help: ArgumentHelp("Print one conversation: impatient/17.", valueName: "persona/number"))
  var show: String?

  @Flag(help: "Print the report as JSON.")
  var json = false

  func validate() throws {
    guard sessions >= 1, sessions <= 1_000_000 else {
      throw ValidationError("--sessions must be between 1 and 1000000")
    }
  }

  func run() throws {
    let answers = try Assignments.read(hook, option: "--hook").mapValues { value in
      [CallScript.HookAnswer(.answer(value))]
    }
    let variables = try Assignments.read(variable, option: "--variable")
    let catalog: DialogCatalog
    do {
      catalog = try DialogCatalog.load(path: DialogFolders.folder(of: file))
    } catch {
      throw CommandFailure("\(error)")
    }
    let own = DialogCatalog.load(files: [file])
    for finding in own.diagnostics where finding.severity == .error { standardError("\(finding)\n") }
    guard let dialog = own.dialogs.first else { throw CommandFailure("\(file) cannot be run") }
    let exploration = Exploration(
      dialog, library: catalog.library(of: dialog.name), hooks: answers, variables: variables, seed: seed)
    if let show { return try printConversation(show, exploration) }
    let report = exploration.run(personas: persona.isEmpty ? Persona.allCases : persona, sessions: sessions)
    if json { printLine(JSON.encode(report.json)) } else { for line in report.lines { printLine(line) } }
    if report.hasMistakes { throw CommandFailure("", exitCode: CommandFailure.notAsExpected) }
  }

  private func printConversation(_ name: String, _ exploration: Exploration) throws {
    let parts = name.split(separator: "/")
    guard parts.count == 2, let persona = Persona(rawValue: String(parts[0])), let number = Int(parts[1]), number >= 0
    else { throw ValidationError("--show takes PERSONA/NUMBER, not '\(name)'") }
    for line in DialogTranscript.lines(of: exploration.converse(persona, number).happenings) { printLine(line) }
  }
}

extension Persona: ExpressibleByArgument {}
