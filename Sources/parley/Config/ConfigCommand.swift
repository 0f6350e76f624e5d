import ArgumentParser
import Base
import Settings

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check or print the configuration.",
    subcommands: [CheckConfigCommand.self, ShowConfigCommand.self])
}

struct CheckConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Validate a configuration file and the environment; exit 1 where they have errors.")

  @Argument(help: "The file; by default the one that 'parley serve' would read.")
  var file: String?

  @Flag(help: "Print the findings as JSON.")
  var json = false

  func run() throws {
    let findings: [Diagnostic]
    var source: String?
    do {
      let loaded = try ConfigurationLoader(environment: environmentVariables()).load(path: file)
      findings = loaded.warnings + loaded.configuration.outboundWarnings(file: loaded.file)
      source = loaded.file
    } catch {
      findings = error.all
    }
    let errors = findings.filter { $0.severity == .error }
    if json {
      printLine(JSON.encode(.map(["ok": .bool(errors.isEmpty), "diagnostics": .list(findings.map(\.json))])))
    } else {
      for finding in findings { standardError("\(finding)\n") }
      if errors.isEmpty { printLine("\(source ?? "the built-in defaults"): ok") }
    }
    if !errors.isEmpty { throw CommandFailure.alreadySaid }
  }
}

struct ShowConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Print the effective configuration: file, environment and defaults; secrets masked.")

  @Argument(help: "The file; by default the one that 'parley serve' would read.")
  var file: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let loaded: ConfigurationLoader.Loaded
    do {
      loaded = try ConfigurationLoader(environment: environmentVariables()).load(path: file)
    } catch {
      throw CommandFailure(configuration: error)
    }
    printLine(
      json ? JSON.encode(ConfigurationText.value(loaded.configuration)) : ConfigurationText.yaml(loaded.configuration))
  }
}

extension CommandFailure {
  /// A configuration that cannot be used: one error as one sentence, several as a list.
  init(configuration errors: Diagnostics) {
    // `error:` stands in front of the whole already.
    let lines = errors.all.filter { $0.severity == .error }.map { error in
      let place = error.position.map { "\(error.file):\($0)" } ?? error.file
      return "\(place): \(error.message)" + (error.hint.isEmpty ? "" : " (\(error.hint))") + " [\(error.code)]"
    }
    self.init(
      lines.count == 1
        ? lines[0] : "the configuration has \(lines.count) errors:\n" + lines.map { "  \($0)" }.joined(separator: "\n"))
  }
}
