import ArgumentParser
import Base
import FoundationEssentials
import Settings
import Storage

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "Look after the audit log.", subcommands: [VerifyAuditCommand.self])
}

struct VerifyAuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that no line of the audit log was changed, moved or taken out; exit 3 where one was.",
    discussion: """
      The end of the log is checked against the head that the gateway keeps beside the database, and against heads that you \
      kept elsewhere: the gateway's own log names one at every start and stop.
      """)

  @Option(help: ArgumentHelp("A head that was kept elsewhere (repeatable).", valueName: "number hash"))
  var head: [String] = []

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let place = try await AccessDatabase(config: config)
    var heads: [AuditHead] = []
    for text in head {
      guard let head = AuditHead(text) else {
        throw ValidationError("a head is a number and 64 hexadecimal digits, with a space between them")
      }
      heads.append(head)
    }
    var notes: [String] = []
    let file = place.configuration.storage.auditHeadFile ?? ""
    if let kept = AuditLog.readHead(file) {
      heads.append(kept)
    } else {
      notes.append("\(file) holds no head: lines that are missing at the end cannot be noticed by it")
    }
    let verdict: AuditStore.Verdict
    do {
      verdict = try await AuditStore(place.database).verify(against: heads)
    } catch {
      throw CommandFailure("\(error)")
    }
    if json {
      printLine(
        JSON.encode([
          "intact": .bool(verdict.isIntact), "records": .int(verdict.records), "head": .string(verdict.head.text),
          "findings": .list(
            verdict.findings.map { finding in
              [
                "kind": .string(finding.kind.rawValue), "first": .int(finding.first), "last": .int(finding.last),
                "message": .string(finding.sentence),
              ]
            }), "notes": .list(notes.map { .string($0) }),
        ]))
    } else {
      for note in notes { standardError("parley: \(note)\n") }
      for finding in verdict.findings { printLine(finding.sentence) }
      printLine(
        verdict.isIntact
          ? "\(verdict.records) records, intact; head \(verdict.head.text)" : "\(verdict.records) records, not intact")
    }
    if !verdict.isIntact { throw CommandFailure("", exitCode: CommandFailure.notAsExpected) }
  }
}
