import ArgumentParser
import Base

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Say what is missing or misconfigured on this machine, and how to mend it.",
    discussion: """
      Exit 1 where something keeps the gateway from serving. With --api it looks at no machine: it asks a running gateway's API \
      for its calls, and says what came.
      """)

  @Option(name: .long, help: "The configuration file.")
  var config: String?

  @Option(name: .long, help: "Ask the API of a running gateway instead: http://HOST:8080.")
  var api: String?

  @Option(name: .long, help: "The file with the API token that --api shows.")
  var tokenFile: String?

  @Option(name: .long, help: "How long the API may take to answer.")
  var timeout: DurationArgument = DurationArgument(.seconds(10))

  @Flag(help: "Print the findings as JSON.")
  var json = false

  func validate() throws {
    if tokenFile != nil, api == nil { throw ValidationError("--token-file belongs to --api") }
    if config != nil, api != nil { throw ValidationError("--config and --api exclude each other") }
  }

  func run() async throws {
    let findings: [Finding]
    if let api {
      findings = [await APIExamination(address: api, tokenFile: tokenFile, timeout: timeout.duration).finding()]
    } else {
      findings = await Examination(environment: environmentVariables(), config: config).findings()
    }
    if json {
      printLine(
        JSON.encode([
          "ok": .bool(!findings.contains { $0.verdict == .fail }), "findings": .list(findings.map(\.json)),
        ]))
    } else {
      for finding in findings { printLine(finding.description) }
    }
    if findings.contains(where: { $0.verdict == .fail }) { throw CommandFailure.alreadySaid }
  }
}

/// One thing that `parley doctor` looked at.
struct Finding: Sendable, CustomStringConvertible {
  enum Verdict: String, Sendable { case ok, warn, fail }
  var verdict: Verdict
  var subject: String
  var message: String
  /// How to mend it; empty where nothing is wrong.
  var hint: String = ""

  var description: String {
    let tag = verdict.rawValue + String(repeating: " ", count: 5 - verdict.rawValue.utf8.count)
    return "\(tag)\(subject): \(message)" + (hint.isEmpty ? "" : "\n     -> \(hint)")
  }

  var json: Value {
    [
      "verdict": .string(verdict.rawValue), "subject": .string(subject), "message": .string(message),
      "hint": .string(hint),
    ]
  }
}
