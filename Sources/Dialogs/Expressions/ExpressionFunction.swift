import Base

/// The functions of the language. Raw values are their names.
enum ExpressionFunction: String, CaseIterable, Sendable {
  case lower, upper, trim, len, int, number, string, `default`, json, now
  case format_time, digits, spell, coalesce, exists, min, max, round, split, join
  case replace, regex_extract, slot, matches, contains, startswith, endswith, choose

  /// What goes in and what comes out.
  struct Signature {
    var parameters: [StaticType]
    /// How many of them may be left out.
    var optional = 0
    /// Whether the last may be repeated.
    var isVariadic = false
    var result: StaticType

    var arity: ClosedRange<Int> {
      parameters.count - optional...(isVariadic ? .max : parameters.count)
    }
  }

  var signature: Signature {
    switch self {
    case .lower, .upper, .trim: Signature(parameters: [.string], result: .string)
    case .digits, .spell: Signature(parameters: [.any], result: .string)
    case .len: Signature(parameters: [.any], result: .number)
    case .int, .number: Signature(parameters: [.any], result: .number)
    case .string, .json: Signature(parameters: [.any], result: .string)
    case .default: Signature(parameters: [.any, .any], result: .any)
    case .coalesce: Signature(parameters: [.any], isVariadic: true, result: .any)
    case .exists: Signature(parameters: [.any], result: .bool)
    case .now: Signature(parameters: [], result: .number)
    case .format_time: Signature(parameters: [.number, .string, .number], optional: 1, result: .string)
    case .min, .max: Signature(parameters: [.any], isVariadic: true, result: .number)
    case .round: Signature(parameters: [.number, .number], optional: 1, result: .number)
    case .split: Signature(parameters: [.string, .string], result: .list)
    case .join: Signature(parameters: [.list, .string], result: .string)
    case .replace: Signature(parameters: [.string, .string, .string], result: .string)
    case .regex_extract: Signature(parameters: [.string, .string, .number], optional: 1, result: .any)
    case .slot: Signature(parameters: [.string], result: .any)
    case .matches, .startswith, .endswith: Signature(parameters: [.string, .string], result: .bool)
    case .contains: Signature(parameters: [.any, .any], result: .bool)
    case .choose: Signature(parameters: [.bool, .any, .any], result: .any)
    }
  }
}
