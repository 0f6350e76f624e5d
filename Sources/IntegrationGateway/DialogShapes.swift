import Base
import Dialogs
import Storage
import Telemetry

/// Dialogs and their versions as the API shows them.
enum DialogShape {
  /// `version` is what the author calls it; `number`, `latest` and `published` count the versions that are stored.
  static func value(_ record: DialogRecord) -> [String: Value] {
    let status = record.status
    return [
      "name": .string(record.name), "status": .string(status?.state.rawValue ?? "pending"),
      "number": number(status?.served), "published": number(record.published), "latest": .int(Int64(record.latest)),
      "version": .string(status?.label ?? ""), "description": .string(status?.description ?? ""),
      "language": .string(status?.language ?? ""), "file": .string(status?.file ?? ""),
      "held_back": .bool(!record.heldDigest.isEmpty),
      "diagnostics": DialogLoader.report(status?.diagnostics ?? []),
    ]
  }

  static func value(_ version: DialogVersion, withSource: Bool) -> Value {
    var members: [String: Value] = [
      "dialog": .string(version.dialog), "number": .int(Int64(version.number)), "digest": .string(version.digest),
      "state": .string(version.state.rawValue), "origin": .string(version.origin.rawValue),
      "author": .string(version.author), "note": .string(version.note),
      "created_at": .string(WallClock.text(unixMilliseconds: version.createdAtMs)),
      "published_at": version.publishedAtMs.map { .string(WallClock.text(unixMilliseconds: $0)) } ?? .null,
    ]
    if withSource { members["source"] = .string(version.source) }
    return .map(members)
  }

  /// The entity tag (RFC 9110 section 8.8.3) of a dialog's newest source.
  static func tag(number: Int, digest: String) -> String { "\"\(number)-\(digest.prefix(16))\"" }

  private static func number(_ number: Int?) -> Value { number.map { .int(Int64($0)) } ?? .null }
}

/// A text of a dialog that an API client sent, read and checked.
struct CheckedSource {
  var dialog: Dialog?
  var diagnostics: [Diagnostic]

  var isOK: Bool { dialog != nil }
}

/// Talks to a dialog in text for one request: nothing is kept between two of them.
enum Simulation {
  /// Lines of the caller in one request.
  static let stepLimit = 200
  /// Characters of one line.
  static let lineCharacters = 2_000
  /// How long one request may keep a thread, looked at between two lines; what one line may cost, the dialog machine bounds.
  static let timeLimit: Duration = .seconds(2)

  struct Question: Sendable {
    var dialog: Dialog
    var callerID: String
    var variables: [String: Value]
    /// What each service answers, by its name.
    var hooks: [String: Value]
    /// The lines before.
    var steps: [String]
    /// The line whose effect is asked for; nil: the beginning of the call.
    var input: String?
    var wallMs: Int64
  }

  /// nil: it took too long.
  static func answer(_ question: Question) -> Value? {
    let hooks = question.hooks
    var simulator = DialogSimulator(
      dialog: question.dialog, call: CallFacts(session: SessionID("simulation"), callerID: question.callerID),
      variables: question.variables, wallMs: question.wallMs,
      hooks: { hooks[$0.service.isEmpty ? $0.url : $0.service] })
    let began = Instant.monotonic()
    var lines = simulator.start()
    for line in question.steps + (question.input.map { [$0] } ?? []) {
      if Instant.monotonic() - began > timeLimit { return nil }
      lines = simulator.take(line)
    }
    return [
      "lines": .list(lines.map { .string($0) }), "state": .string(simulator.currentState),
      "variables": .map(simulator.variables), "ended": .bool(simulator.isEnded),
    ]
  }
}
