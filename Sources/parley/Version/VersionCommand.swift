import ArgumentParser
import Base

/// What this build is. The version is set by a release; between releases it ends in `-dev`.
enum Build {
  static let version = "0.1.0-dev"
  /// Speech engines compiled in.
  static let engines = ["embedded"]
}

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the version and the engines compiled in.")

  @Flag(help: "Print JSON.")
  var json = false

  func run() {
    if json {
      printLine(
        JSON.encode([
          "version": .string(Build.version), "engines": .list(Build.engines.map { .string($0) }),
        ]))
    } else {
      printLine("parley \(Build.version) (engines: \(Build.engines.joined(separator: ", ")))")
    }
  }
}
