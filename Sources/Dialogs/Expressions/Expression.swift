import Base

/// A parsed expression of the dialog language: one value from variables, literals, operators and functions, without loops,
/// assignments or effects (docs/dialogs/language.md).
public struct Expression: Sendable {
  public let source: String
  let root: ExpressionNode
  /// Every variable it reads.
  let names: Set<String>

  /// Where the text stops being an expression.
  public struct Problem: Error, Hashable, Sendable {
    /// Unicode scalars from the start of the text.
    public var offset: Int
    public var code: DialogCode
    public var message: String
    public var hint: String = ""
  }

  /// Longer ones belong into a hook.
  public static let lengthLimit = 4_096
  /// Nesting of the tree; bounds the stack that evaluation needs.
  public static let depthLimit = 64

  public init(_ source: String) throws(Problem) {
    var parser = try ExpressionParser(source)
    let root = try parser.parseAll()
    self.init(source: source, root: root, names: parser.names)
  }

  init(source: String, root: ExpressionNode, names: Set<String>) {
    self.source = source
    self.root = root
    self.names = names
  }
}

/// The tree of an expression. `at` is the offset of the operator or name in the source, in Unicode scalars.
indirect enum ExpressionNode: Sendable {
  case literal(Value)
  case name(String, at: Int)
  case member(ExpressionNode, String, at: Int)
  case index(ExpressionNode, ExpressionNode, at: Int)
  case list([ExpressionNode])
  case map([(key: String, value: ExpressionNode)])
  case negate(ExpressionNode, at: Int)
  case not(ExpressionNode, at: Int)
  case binary(BinaryOperator, ExpressionNode, ExpressionNode, at: Int)
  /// A regular expression that is known when the dialog is loaded.
  case matches(ExpressionNode, RegexPattern, at: Int)
  case call(ExpressionFunction, [ExpressionNode], at: Int)
  /// `choose(condition, a, b)`: only one of the two is computed.
  case conditional(ExpressionNode, ExpressionNode, ExpressionNode, at: Int)
}

enum BinaryOperator: String, Sendable {
  case or, and
  case equal = "==", notEqual = "!=", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
  case isIn = "in", isNotIn = "not in", contains, startswith, endswith, matches
  case add = "+", subtract = "-", multiply = "*", divide = "/", remainder = "%"

  var isComparison: Bool {
    switch self {
    case .or, .and, .add, .subtract, .multiply, .divide, .remainder: false
    default: true
    }
  }
}

/// What a value is, as far as it can be told without running the dialog.
enum StaticType: String, Sendable {
  case any, null, bool, number, string, list, map

  init(of value: Value) {
    self =
      switch value {
      case .null: .null
      case .bool: .bool
      case .int, .double: .number
      case .string: .string
      case .list: .list
      case .map: .map
      }
  }

  /// In sentences.
  var description: String {
    switch self {
    case .any: "any value"
    case .null: "nothing"
    case .bool: "true or false"
    case .number: "a number"
    case .string: "text"
    case .list: "a list"
    case .map: "a map"
    }
  }

  func fits(_ wanted: StaticType) -> Bool { self == .any || wanted == .any || self == wanted }
}
