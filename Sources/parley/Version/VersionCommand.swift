import ArgumentParser
import Base
import CBuildStamp

/// What this build is. The version is set by a release; between releases it ends in `-dev`.
enum Build {
  static let version = "0.1.0-dev"
  /// The commit it was built from, `-dirty` where the tree had changes; `unknown` for a build without make.
  static var commit: String {
    let stamp = String(cString: parley_build_commit())
    return stamp.isEmpty ? "unknown" : stamp
  }
  /// Speech engines compiled in.
  static let engines = ["embedded"]
}

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the version, the commit and the engines compiled in.")

  @Flag(help: "Print JSON.")
  var json = false

  func run() {
    if json {
      printLine(
        JSON.encode([
          "version": .string(Build.version), "commit": .string(Build.commit),
          "engines": .list(Build.engines.map { .string($0) }),
        ]))
    } else {
      printLine("parley \(Build.version) (commit \(Build.commit), engines: \(Build.engines.joined(separator: ", ")))")
    }
  }
}
