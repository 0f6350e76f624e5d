import Base
import Dialogs
import Storage

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
      "created_at": .time(version.createdAtMs),
      "published_at": .time(version.publishedAtMs),
    ]
    if withSource { members["source"] = .string(version.source) }
    return .map(members)
  }

  /// The entity tag (RFC 9110 section 8.8.3) of a dialog's newest source.
  static func tag(number: Int, digest: String) -> String { "\"\(number)-\(digest.prefix(16))\"" }

  static let dialog = APIRoute.Shape(name: "Dialog", fields: dialogFields)

  static let withSource = APIRoute.Shape(
    name: "DialogWithSource",
    fields: dialogFields + [
      .init(name: "source", kind: .string, explanation: "The dialog in YAML; absent where no version is stored"),
      .init(name: "source_version", kind: .record(version), explanation: "Which version the source is"),
    ])

  static let version = APIRoute.Shape(
    name: "DialogVersion",
    fields: [
      .init(name: "dialog", kind: .string, explanation: "Its dialog", isRequired: true),
      .init(name: "number", kind: .integer, explanation: "From 1, per dialog", isRequired: true),
      .init(name: "digest", kind: .string, explanation: "SHA-256 of the source", isRequired: true),
      .init(
        name: "state", kind: .string, explanation: "Whether it serves, or did", isRequired: true,
        choices: ["draft", "published", "retired"]),
      .init(
        name: "origin", kind: .string, explanation: "Where it came from", isRequired: true, choices: ["folder", "api"]),
      .init(name: "author", kind: .string, explanation: "Who wrote it", isRequired: true),
      .init(name: "note", kind: .string, explanation: "Why", isRequired: true),
      .init(name: "created_at", kind: .string, explanation: "When it was kept", isRequired: true, syntax: .dateTime),
      .init(
        name: "published_at", kind: .string, explanation: "When it was last published", isRequired: true,
        syntax: .dateTime, isNullable: true),
    ])

  static let kept = APIRoute.Shape(
    name: "KeptDialog",
    fields: [
      .init(name: "version", kind: .record(version), explanation: "The draft", isRequired: true), isOK, diagnostics,
    ])

  static let checked = APIRoute.Shape(
    name: "CheckedDialog",
    fields: [isOK, .init(name: "name", kind: .string, explanation: "The dialog", isRequired: true), diagnostics])

  static let simulated = APIRoute.Shape(
    name: "Simulation",
    fields: [
      .init(
        name: "lines", kind: .strings, explanation: "What happened, in the words of the terminal", isRequired: true),
      .init(name: "state", kind: .string, explanation: "Where the dialog is", isRequired: true),
      .init(name: "variables", kind: .object, explanation: "Its variables", isRequired: true),
      .init(name: "ended", kind: .boolean, explanation: "Whether the call is over", isRequired: true),
    ])

  private static let dialogFields: [APIRoute.Field] = [
    .init(name: "name", kind: .string, explanation: "Its name", isRequired: true),
    .init(
      name: "status", kind: .string, explanation: "Whether it takes calls", isRequired: true,
      choices: ["serving", "broken", "off", "pending"]),
    .init(
      name: "number", kind: .integer, explanation: "The version that takes new calls", isRequired: true,
      isNullable: true),
    .init(
      name: "published", kind: .integer, explanation: "The version that is published", isRequired: true,
      isNullable: true),
    .init(name: "latest", kind: .integer, explanation: "The newest version", isRequired: true),
    .init(name: "version", kind: .string, explanation: "What its author calls the version", isRequired: true),
    .init(name: "description", kind: .string, explanation: "The author's", isRequired: true),
    .init(name: "language", kind: .string, explanation: "The author's", isRequired: true),
    .init(name: "file", kind: .string, explanation: "Where it comes from; empty: the API", isRequired: true),
    .init(
      name: "held_back", kind: .boolean, explanation: "True: the file's source was rolled back", isRequired: true),
    diagnostics,
  ]

  private static let isOK = APIRoute.Field(
    name: "ok", kind: .boolean, explanation: "Whether it could serve", isRequired: true)

  private static let diagnostics = APIRoute.Field(
    name: "diagnostics",
    kind: .records(
      .init(
        name: "Diagnostic",
        fields: [
          .init(name: "code", kind: .string, explanation: "Names the kind; documented", isRequired: true),
          .init(
            name: "severity", kind: .string, explanation: "How bad", isRequired: true, choices: ["error", "warning"]),
          .init(name: "file", kind: .string, explanation: "Where", isRequired: true),
          .init(name: "message", kind: .string, explanation: "What is wrong", isRequired: true),
          .init(name: "hint", kind: .string, explanation: "What to do; may be empty", isRequired: true),
          .init(name: "line", kind: .integer, explanation: "From 1"),
          .init(name: "column", kind: .integer, explanation: "From 1"),
        ])), explanation: "What the checker says", isRequired: true)

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
