import Base

/// A file of tests for one dialog: `*.test.yaml`. Read by ``DialogTestLoader``.
public struct DialogTestFile: Sendable {
  /// As diagnostics name it.
  public var file: String
  /// The dialog's name, or the path of its file.
  public var dialog: String
  public var dialogPosition: SourcePosition
  public var cases: [DialogTestCase]

  /// The name of the tested dialog is a path beside the test file.
  public var namesFile: Bool { dialog.hasSuffix(".yaml") || dialog.hasSuffix(".yml") }
}

/// One call and what is expected of it.
public struct DialogTestCase: Sendable {
  public var name: String
  public var position: SourcePosition
  public var steps: [DialogTestStep]
  /// Values that replace the dialog's own at the start.
  public var variables: [String: Value]
  public var call: CallFacts
  public var script: CallScript
  public var limits: DialogLimits
  /// Prompts take no time.
  public var instantPrompts: Bool
  /// Wall-clock milliseconds since 1970 when the call begins.
  public var startMs: Int64
}

/// One step of a case: something the caller does, or something that is expected.
public struct DialogTestStep: Sendable {
  public var kind: Kind
  public var position: SourcePosition

  public enum Kind: Sendable {
    // What happens.
    case say(HeardSpeech, at: Duration?)
    case mumble(at: Duration?)
    case press(String, at: Duration?)
    case wait(Duration)
    case silence
    case event(name: String, data: Value, at: Duration?)
    case transferResult(String)
    case held
    case resumed
    case recordingComplete
    case answeredBy(String)
    /// `caller`, `api`, `media_timeout` ...
    case hangup(String)
    // What is expected.
    case heard([TextPattern])
    case notHeard([TextPattern])
    case state(String)
    case variables([(name: String, value: Value)])
    case hook(name: String, payload: Value?)
    case emitted(name: String, data: Value?)
    case transfer(TextPattern)
    case error(String)
    case ended(String?)
    case outcome([(name: String, value: Value)])
  }

  /// Whether the caller (or the world) does something; expectations look at what came after the last such step.
  var isDeed: Bool {
    switch kind {
    case .say, .mumble, .press, .wait, .silence, .event, .transferResult, .held, .resumed, .recordingComplete,
      .answeredBy, .hangup:
      true
    case .heard, .notHeard, .state, .variables, .hook, .emitted, .transfer, .error, .ended, .outcome: false
    }
  }

  /// As reports name it.
  var label: String {
    func at(_ duration: Duration?) -> String { duration.map { " at \($0.milliseconds) ms" } ?? "" }
    return switch kind {
    case .say(let heard, let time): "say \"\(heard.transcript)\"" + at(time)
    case .mumble(let time): "mumble" + at(time)
    case .press(let keys, let time): "press \(keys)" + at(time)
    case .wait(let duration): "wait \(duration.milliseconds) ms"
    case .silence: "silence"
    case .event(let name, _, let time): "event \(name)" + at(time)
    case .transferResult(let status): "transfer_result \(status)"
    case .held: "held"
    case .resumed: "resumed"
    case .recordingComplete: "recording_complete"
    case .answeredBy(let who): "answered_by \(who)"
    case .hangup(let reason): reason == "caller" ? "hangup" : "hangup \(reason)"
    case .heard(let patterns): "heard " + patterns.map(\.description).joined(separator: ", ")
    case .notHeard(let patterns): "not_heard " + patterns.map(\.description).joined(separator: ", ")
    case .state(let name): "state \(name)"
    case .variables(let values):
      "variable " + values.map { "\($0.name): \(JSON.encode($0.value))" }.joined(separator: ", ")
    case .hook(let name, let payload): "hook \(name)" + (payload.map { " with \(JSON.encode($0))" } ?? "")
    case .emitted(let name, let data): "emitted \(name)" + (data.map { " with \(JSON.encode($0))" } ?? "")
    case .transfer(let pattern): "transfer \(pattern)"
    case .error(let code): "error \(code)"
    case .ended(let reason): "ended" + (reason.map { ": \($0)" } ?? "")
    case .outcome(let values):
      "outcome " + values.map { "\($0.name): \(JSON.encode($0.value))" }.joined(separator: ", ")
    }
  }
}

/// What a text has to look like: `/a regular expression/` that occurs in it, or words that it contains. Upper and lower case
/// are the same, and so are all kinds and amounts of space.
public struct TextPattern: Sendable, CustomStringConvertible {
  private enum Form: Sendable {
    case contains([Unicode.Scalar])
    case regex(RegexPattern)
  }
  public let source: String
  private let form: Form

  public init(_ source: String) throws(RegexPattern.Problem) {
    self.source = source
    if source.count > 2, source.hasPrefix("/"), source.hasSuffix("/") {
      form = .regex(try RegexPattern(String(source.dropFirst().dropLast())))
    } else {
      form = .contains(Self.folded(source))
    }
  }

  public var description: String { if case .regex = form { source } else { "\"\(source)\"" } }

  public func matches(_ text: String) -> Bool {
    switch form {
    case .contains(let wanted): return Self.folded(text).contains(wanted)
    case .regex(let regex):
      var steps = Self.stepLimit
      return regex.occurs(in: text.contains(where: \.isNewline) ? Self.onOneLine(text) : text, steps: &steps) ?? false
    }
  }

  /// Prompts are short; this is far more than any needs.
  private static let stepLimit = 20_000_000

  private static func onOneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private static func folded(_ text: String) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      if scalar.properties.isWhitespace {
        if let last = result.last, last != " " { result.append(" ") }
      } else {
        result.append(scalar.folded)
      }
    }
    if result.last == " " { result.removeLast() }
    return result
  }
}

extension Value {
  /// Whether this holds everything that `wanted` says: maps may have more members, numbers are compared by value, and a text
  /// between slashes is a regular expression.
  func fits(_ wanted: Value) -> Bool {
    switch (self, wanted) {
    case (.map(let own), .map(let others)):
      return others.allSatisfy { member in own[member.key].map { $0.fits(member.value) } ?? (member.value == .null) }
    case (.list(let own), .list(let others)):
      return own.count == others.count && zip(own, others).allSatisfy { $0.fits($1) }
    case (.string(let own), .string(let other)):
      if own == other { return true }
      guard other.count > 2, other.hasPrefix("/"), other.hasSuffix("/"), let pattern = try? TextPattern(other) else {
        return false
      }
      return pattern.matches(own)
    case (.int, .double), (.double, .int): return doubleValue == wanted.doubleValue
    default: return self == wanted
    }
  }
}
