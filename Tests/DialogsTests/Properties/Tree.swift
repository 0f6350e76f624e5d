import Base

/// An expression as a tree of the tests' own, and what it looks like in a dialog.
indirect enum Tree {
  /// Numbers are not negative; those come from `negate`.
  case literal(Value)
  case name(String)
  case member(Tree, String)
  case index(Tree, Tree)
  case list([Tree])
  case map([(key: String, value: Tree)])
  case negate(Tree)
  case not(Tree)
  case binary(String, Tree, Tree)
  /// `isPiped`: written as `first | name(rest)`.
  case call(String, [Tree], isPiped: Bool)
}

/// Writes trees down: with no more parentheses than docs/dialogs/language.md asks for, or with as many as there can be.
struct TreePrinter {
  var hasAllParentheses: Bool
  /// Where nothing else decides: quotes, spaces, `f(x)` or `x.f`.
  var random: SeededRandom

  /// As docs/dialogs/language.md lists them, weakest first.
  private static let strength: [String: Int] = [
    "|": 0, "or": 1, "and": 2, "not": 3, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "in": 4, "not in": 4,
    "contains": 4, "startswith": 4, "endswith": 4, "matches": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
  ]

  mutating func print(_ tree: Tree) -> String { text(tree, atLeast: 0) }

  private func strength(of tree: Tree) -> Int {
    switch tree {
    case .binary(let op, _, _): Self.strength[op] ?? 0
    case .not: 3
    case .negate: 7
    case .call(_, _, isPiped: true): 0
    case .member, .index: 8
    case .literal, .name, .list, .map, .call: 9
    }
  }

  private mutating func text(_ tree: Tree, atLeast needed: Int) -> String {
    let strength = strength(of: tree)
    let inner = bare(tree, strength)
    return strength < needed || hasAllParentheses && random.next() % 4 != 0 ? "(" + inner + ")" : inner
  }

  private mutating func bare(_ tree: Tree, _ strength: Int) -> String {
    switch tree {
    case .literal(let value): return literal(value)
    case .name(let name): return name
    case .member(let base, let name): return text(base, atLeast: 8) + "." + name
    case .index(let base, .literal(.int(let i))) where random.next() % 2 == 0 && i < 1_000 && !base.isDotted:
      return text(base, atLeast: 8) + ".\(i)"
    case .index(let base, let key): return text(base, atLeast: 8) + "[" + text(key, atLeast: 0) + "]"
    case .list(let items): return "[" + list(items) + "]"
    case .map(let pairs):
      return "{"
        + pairs.map { pair in
          let isWord = pair.key.allSatisfy { $0.isASCII && $0.isLetter } && !pair.key.isEmpty
          return (isWord && random.next() % 2 == 0 ? pair.key : quoted(pair.key)) + ": " + text(pair.value, atLeast: 0)
        }.joined(separator: ",") + "}"
    case .negate(let operand): return "-" + text(operand, atLeast: 7)
    case .not(let operand): return "not " + text(operand, atLeast: 3)
    case .binary(let op, let left, let right):
      // Sums and products group to the left; comparisons not at all.
      let a = text(left, atLeast: strength == 4 ? 5 : strength)
      let b = text(right, atLeast: strength + 1)
      let isWord = op.first?.isLetter == true
      let space = isWord || random.next() % 3 != 0 ? " " : ""
      return a + space + op + space + b
    case .call(let function, let arguments, let isPiped):
      guard isPiped, let first = arguments.first else { return function + "(" + list(arguments) + ")" }
      let rest = arguments.dropFirst()
      let left = text(first, atLeast: 0) + " | " + function
      return rest.isEmpty && random.next() % 2 == 0 ? left : left + "(" + list(Array(rest)) + ")"
    }
  }

  private mutating func list(_ items: [Tree]) -> String {
    items.map { text($0, atLeast: 0) }.joined(separator: random.next() % 2 == 0 ? ", " : ",")
  }

  private mutating func literal(_ value: Value) -> String {
    switch value {
    case .null: "null"
    case .bool(let b): b ? "true" : "false"
    case .int(let i): "\(i)"
    case .double(let d): "\(d)"
    case .string(let s): quoted(s)
    case .list, .map: "null"
    }
  }

  mutating func quoted(_ text: String) -> String {
    let quote: Character = random.next() % 2 == 0 ? "'" : "\""
    var out = String(quote)
    for c in text {
      switch c {
      case quote, "\\": out += "\\\(c)"
      case "\n": out += random.next() % 2 == 0 ? "\\n" : "\n"
      case "\t": out += "\\t"
      default: out.append(c)
      }
    }
    return out + String(quote)
  }
}

extension Tree {
  /// `a.0.1` would read as `a` and the number 0.1.
  fileprivate var isDotted: Bool {
    switch self {
    case .index, .literal: true
    default: false
    }
  }
}
