/// One function of expressions, as the reference shows it.
public struct FunctionDeclaration: Sendable {
  public var name: String
  /// The arguments by name; those in brackets may be left out.
  public var signature: String
  public var summary: String
  public var example: String
  /// What the example gives, as a prompt would say it.
  public var result: String
}

extension Declarations {
  /// In the order of the reference.
  public static let functions: [FunctionDeclaration] = ExpressionFunction.allCases.map { function in
    let (signature, summary, example, result) = function.description
    return FunctionDeclaration(
      name: function.rawValue, signature: "\(function.rawValue)(\(signature))", summary: summary, example: example,
      result: result)
  }
}

extension ExpressionFunction {
  fileprivate var description: (signature: String, summary: String, example: String, result: String) {
    switch self {
    case .lower: ("text", "In small letters", "lower('Ada')", "ada")
    case .upper: ("text", "In capital letters", "upper('Ada')", "ADA")
    case .trim: ("text", "Without space at the ends", "trim('  Ada ')", "Ada")
    case .len: ("value", "Characters of a text, entries of a list or a map", "len('Ada')", "3")
    case .int: ("value", "As a whole number, without its fraction", "int('42.9')", "42")
    case .number: ("value", "As a number", "number('1.5') * 2", "3")
    case .string: ("value", "As text", "string(4) + '2'", "42")
    case .default: ("value, other", "The other where the value is empty or absent", "default('', 'caller')", "caller")
    case .json: ("value", "As JSON", "json({a: [1, 2]})", #"{"a":[1,2]}"#)
    case .now: ("", "Seconds since 1970, in UTC", "now() > 0", "true")
    case .format_time:
      (
        "seconds, format, [minutes from UTC]", "A time as text, with the letters of strftime",
        "format_time(951782400, '%A %H:%M', 60)", "Tuesday 01:00"
      )
    case .digits: ("text", "The digits in a text, also spelt as words", "digits('four seven 11')", "4711")
    case .spell: ("value", "With spaces between the characters, to be read out", "spell('4711')", "4 7 1 1")
    case .coalesce: ("value, ...", "The first that is neither empty nor absent", "coalesce('', null, 'Ada')", "Ada")
    case .exists: ("value", "Whether there is a value", "exists(result.ticket)", "false")
    case .min: ("number, ...", "The smallest, of numbers or of one list", "min(3, 1, 2)", "1")
    case .max: ("number, ...", "The largest, of numbers or of one list", "max([1, 5, 2])", "5")
    case .round: ("number, [places]", "Rounded", "round(3.14159, 2)", "3.14")
    case .split: ("text, separator", "A list of the parts", "len(split('a,b,c', ','))", "3")
    case .join: ("list, separator", "The entries in one text", "join(['a', 'b'], ' and ')", "a and b")
    case .replace: ("text, old, new", "With every `old` replaced", "replace('a.b', '.', '-')", "a-b")
    case .regex_extract:
      (
        "text, pattern, [group]", "What a regular expression finds, or its first group",
        "regex_extract('room 12', 'room ([0-9]+)')", "12"
      )
    case .slot: ("name", "A value that the recogniser found in the speech", "slot('city') | default('none')", "none")
    case .matches:
      ("text, pattern", "Whether a regular expression occurs", "matches('my password', 'pass(word)?')", "true")
    case .contains: ("text or list, what", "Whether it is in there", "contains('my password', 'PASS')", "true")
    case .startswith: ("text, beginning", "Whether the text begins so", "startswith('yes please', 'yes')", "true")
    case .endswith: ("text, end", "Whether the text ends so", "endswith('yes please', 'please')", "true")
    case .choose:
      ("condition, a, b", "`a` where the condition is true, else `b`", "choose(2 > 1, 'more', 'less')", "more")
    }
  }
}
