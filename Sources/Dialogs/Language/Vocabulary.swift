import Base

/// The words of the language: what the decoder knows and what it says when a word is not known.
enum Vocabulary {
  /// Events that the machine raises itself.
  static let events = Declarations.events.map(\.name)
  static let eventNames = Set(events)

  /// Events that report progress: `"*"` does not match them, because it would fire before anything happened.
  static let progressEvents: Set<String> = ["call_answered", "speech_started", "speech_partial"]

  /// Names that every expression can use, and what they hold.
  static let builtins: [(name: String, type: StaticType)] = [
    ("transcript", .string), ("confidence", .number), ("language", .string), ("slots", .map), ("digit", .string),
    ("digits", .string), ("caller_id", .string), ("called_number", .string), ("dialog_name", .string),
    ("session_id", .string), ("trunk", .string), ("sip_headers", .map), ("last_event", .string),
    ("current_state", .string), ("result", .any), ("error", .string), ("error_message", .string), ("status", .any),
    ("heard", .string), ("data", .any), ("exit", .string), ("who", .string), ("reason", .string),
    ("no_input_count", .number), ("no_match_count", .number),
  ]
  static let builtinNames = Set(builtins.map(\.name))

  /// Words that mean something in an expression.
  static let expressionWords: Set<String> = [
    "and", "or", "not", "in", "contains", "startswith", "endswith", "matches", "true", "false", "null",
  ]
}

/// The words of the language, for editors, completions and documentation.
public enum DialogLanguage {
  public static var actions: [String] { Declarations.actionNames }
  public static var events: [String] { Vocabulary.events }
  /// Names that every expression can read.
  public static var builtins: [String] { Vocabulary.builtins.map(\.name) }
  public static var functions: [String] { ExpressionFunction.allCases.map(\.rawValue) }
}
