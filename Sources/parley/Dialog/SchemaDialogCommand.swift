import ArgumentParser
import Dialogs

struct SchemaDialogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema", abstract: "Print the JSON Schema of dialogs, for editors.",
    discussion: """
      With the YAML language server, write `parley dialog schema > dialog.schema.json` and begin a dialog with \
      `# yaml-language-server: $schema=dialog.schema.json`.
      """)

  func run() { print(DialogSchema.text, terminator: "") }
}
