import Base

/// Talks to a dialog in text and virtual time: what `parley dialog simulate` shows.
///
/// Prompts play at once; silences and timers cost no real time. One line of the caller goes in, the lines to print come out.
public struct DialogSimulator: Sendable {
  /// Answers the dialog's hooks: body in, answer out; nil: `hook_error` with `unreachable`.
  public typealias HookAnswer = @Sendable (DialogHook) -> Value?

  public init(
    dialog: Dialog, call: CallFacts = CallFacts(), variables: [String: Value] = [:], wallMs: Int64 = 0,
    hooks: @escaping HookAnswer = { _ in nil }
  ) {}

  /// Answers the call; returns what is said and done until the caller has the word.
  public mutating func start() -> [String] { [] }

  /// Takes a line: words are speech, `#` and digits (`#1`) are keys, an empty line is silence until the next timer, `!name`
  /// is a custom event, `/hangup` hangs up.
  public mutating func take(_ line: String) -> [String] { [] }

  /// Whether the call is over.
  public var isEnded: Bool { false }
}
