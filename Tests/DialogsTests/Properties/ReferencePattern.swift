import Base

/// A regular expression as a tree, matched by trying every way in order of preference: exponential, and easy to believe.
struct ReferencePattern {
  indirect enum Node {
    case scalar(Unicode.Scalar)
    case any
    /// Characters and ranges, `\d`, `\w` or `\s`; `source` is how it is written.
    case set([ClosedRange<Unicode.Scalar>], isNegated: Bool, source: String)
    case start, end
    case boundary(Bool)
    case sequence([Node])
    case choice([Node])
    case group(Node, number: Int?)
    case repetition(Node, min: Int, max: Int?, isGreedy: Bool)
  }

  var root: Node
  var groupCount: Int

  static let digits: [ClosedRange<Unicode.Scalar>] = ["0"..."9"]
  /// The tests' texts have no other letters.
  static let words: [ClosedRange<Unicode.Scalar>] = ["0"..."9", "a"..."z", "A"..."Z", "_"..."_"] + letters
  static let letters: [ClosedRange<Unicode.Scalar>] = ["é"..."é", "É"..."É", "ж"..."ж", "Ж"..."Ж", "中"..."中"]
  static let spaces: [ClosedRange<Unicode.Scalar>] = [" "..." ", "\t"..."\t", "\n"..."\n", "\r"..."\r"]

  // MARK: Writing

  static func source(_ node: Node) -> String {
    switch node {
    case .scalar(let c): return "^$.|?*+()[]{}\\".unicodeScalars.contains(c) ? "\\\(c)" : String(Character(c))
    case .any: return "."
    case .set(_, _, let source): return source
    case .start: return "^"
    case .end: return "$"
    case .boundary(let isOne): return isOne ? "\\b" : "\\B"
    case .sequence(let parts): return parts.map(source).joined()
    case .choice(let branches): return branches.map(source).joined(separator: "|")
    case .group(let inner, let number): return (number == nil ? "(?:" : "(") + source(inner) + ")"
    case .repetition(let inner, let min, let max, let isGreedy):
      let count =
        switch (min, max) {
        case (0, 1): "?"
        case (0, nil): "*"
        case (1, nil): "+"
        case (_, nil): "{\(min),}"
        case (_, let max?) where max == min: "{\(min)}"
        case (_, let max?): "{\(min),\(max)}"
        }
      return source(inner) + count + (isGreedy ? "" : "?")
    }
  }

  /// Whether some repetition can take nothing.
  var hasEmptyRounds: Bool { Self.hasEmptyRounds(root) }

  private static func hasEmptyRounds(_ node: Node) -> Bool {
    switch node {
    case .scalar, .any, .set, .start, .end, .boundary: false
    case .sequence(let parts), .choice(let parts): parts.contains(where: hasEmptyRounds)
    case .group(let inner, _): hasEmptyRounds(inner)
    case .repetition(let inner, _, _, _): canBeEmpty(inner) || hasEmptyRounds(inner)
    }
  }

  private static func canBeEmpty(_ node: Node) -> Bool {
    switch node {
    case .scalar, .any, .set: false
    case .start, .end, .boundary: true
    case .sequence(let parts): parts.allSatisfy(canBeEmpty)
    case .choice(let branches): branches.contains(where: canBeEmpty)
    case .group(let inner, _): canBeEmpty(inner)
    case .repetition(let inner, let min, _, _): min == 0 || canBeEmpty(inner)
    }
  }

  // MARK: Matching

  struct TooMuch: Error {}
  private final class Budget {
    var steps = 200_000
    func spend() throws {
      steps -= 1
      if steps < 0 { throw TooMuch() }
    }
  }
  private typealias Groups = [Int: Range<Int>]

  /// The whole match and its groups; nil where there is none.
  func firstMatch(in text: String) throws -> [String?]? {
    let scalars = Array(text.unicodeScalars)
    let budget = Budget()
    for start in 0...scalars.count {
      var found: (end: Int, groups: Groups)?
      _ = try match(root, scalars, start, [:], budget) { end, groups in
        found = (end, groups)
        return true
      }
      guard let found else { continue }
      func text(_ range: Range<Int>?) -> String? {
        range.map { range in scalars[range].reduce(into: "") { $0.unicodeScalars.append($1) } }
      }
      return [text(start..<found.end)] + (0..<groupCount).map { text(found.groups[$0 + 1]) }
    }
    return nil
  }

  private func match(
    _ node: Node, _ text: [Unicode.Scalar], _ at: Int, _ groups: Groups, _ budget: Budget,
    then: (Int, Groups) throws -> Bool
  ) throws -> Bool {
    try budget.spend()
    switch node {
    case .scalar(let c): return try at < text.count && Self.isSame(c, text[at]) && then(at + 1, groups)
    case .any: return try at < text.count && then(at + 1, groups)
    case .set(let ranges, let isNegated, _):
      guard at < text.count else { return false }
      let isIn = ranges.contains { range in Self.forms(text[at]).contains { range.contains($0) } }
      return try isIn != isNegated && then(at + 1, groups)
    case .start: return try at == 0 && then(at, groups)
    case .end: return try at == text.count && then(at, groups)
    case .boundary(let isOne):
      func isWord(_ i: Int) -> Bool { text.indices.contains(i) && Self.words.contains { $0.contains(text[i]) } }
      return try (isWord(at - 1) != isWord(at)) == isOne && then(at, groups)
    case .sequence(let parts):
      guard let first = parts.first else { return try then(at, groups) }
      return try match(first, text, at, groups, budget) { next, groups in
        try match(.sequence(Array(parts.dropFirst())), text, next, groups, budget, then: then)
      }
    case .choice(let branches):
      for branch in branches where try match(branch, text, at, groups, budget, then: then) { return true }
      return false
    case .group(let inner, let number):
      return try match(inner, text, at, groups, budget) { end, groups in
        var groups = groups
        if let number { groups[number] = at..<end }
        return try then(end, groups)
      }
    case .repetition(let inner, let min, let max, let isGreedy):
      func again(_ from: Int, _ groups: Groups) throws -> Bool {
        try match(inner, text, from, groups, budget) { next, groups in
          // A round that takes nothing leads nowhere new.
          if min == 0, next == from { return false }
          let left = Node.repetition(inner, min: Swift.max(0, min - 1), max: max.map { $0 - 1 }, isGreedy: isGreedy)
          return try match(left, text, next, groups, budget, then: then)
        }
      }
      if min > 0 { return try again(at, groups) }
      if max == 0 { return try then(at, groups) }
      if isGreedy { return try again(at, groups) || then(at, groups) }
      return try then(at, groups) || again(at, groups)
    }
  }

  private static func forms(_ c: Unicode.Scalar) -> [Unicode.Scalar] {
    let c = c.properties
    return (c.lowercaseMapping.unicodeScalars + c.uppercaseMapping.unicodeScalars).map { $0 }
  }

  private static func isSame(_ a: Unicode.Scalar, _ b: Unicode.Scalar) -> Bool {
    a == b || a.properties.lowercaseMapping == b.properties.lowercaseMapping
  }
}

/// Makes patterns, and texts that they have a chance with.
struct PatternGenerator {
  var random: SeededRandom
  private var groups = 0

  init(random: SeededRandom) { self.random = random }

  private mutating func pick(_ count: Int) -> Int { Int(random.next() >> 33) % count }

  mutating func pattern() -> (pattern: ReferencePattern, source: String) {
    groups = 0
    let root = choice(depth: 3)
    return (ReferencePattern(root: root, groupCount: groups), ReferencePattern.source(root))
  }

  private static let alphabet: [Unicode.Scalar] = [
    "a", "b", "c", "A", "B", "0", "1", "9", " ", "-", "_", ".", "é", "É", "ж", "中", "\n", "*", "]",
  ]

  mutating func text() -> String {
    var text = ""
    for _ in 0..<pick(10) {
      text.unicodeScalars.append(pick(3) > 0 ? Self.alphabet[pick(5)] : Self.alphabet[pick(Self.alphabet.count)])
    }
    return text
  }

  private mutating func choice(depth: Int) -> ReferencePattern.Node {
    let branches = (0..<(pick(4) == 0 ? 2 + pick(2) : 1)).map { _ in sequence(depth: depth) }
    return branches.count == 1 ? branches[0] : .choice(branches)
  }

  private mutating func sequence(depth: Int) -> ReferencePattern.Node {
    .sequence((0..<(pick(8) == 0 ? 0 : 1 + pick(3))).map { _ in repeated(depth: depth) })
  }

  private mutating func repeated(depth: Int) -> ReferencePattern.Node {
    switch pick(14) {
    case 0: return .start
    case 1: return .end
    case 2: return .boundary(pick(3) > 0)
    default: break
    }
    let atom = atom(depth: depth)
    guard pick(3) == 0 else { return atom }
    let (min, max): (Int, Int?) =
      switch pick(6) {
      case 0: (0, 1)
      case 1: (0, nil)
      case 2: (1, nil)
      case 3: (2, nil)
      case 4: (pick(3), 3)
      default: (2, 2)
      }
    return .repetition(atom, min: min, max: max, isGreedy: pick(4) > 0)
  }

  private mutating func atom(depth: Int) -> ReferencePattern.Node {
    if depth > 0, pick(4) == 0 {
      guard pick(3) > 0 else { return .group(choice(depth: depth - 1), number: nil) }
      groups += 1
      let number = groups
      return .group(choice(depth: depth - 1), number: number)
    }
    switch pick(10) {
    case 0: return .any
    case 1: return named()
    case 2: return scalarClass()
    default: return .scalar(pick(3) > 0 ? Self.alphabet[pick(5)] : Self.alphabet[pick(Self.alphabet.count)])
    }
  }

  private mutating func named() -> ReferencePattern.Node {
    let isNegated = pick(3) == 0
    switch pick(3) {
    case 0: return .set(ReferencePattern.digits, isNegated: isNegated, source: isNegated ? "\\D" : "\\d")
    case 1: return .set(ReferencePattern.words, isNegated: isNegated, source: isNegated ? "\\W" : "\\w")
    default: return .set(ReferencePattern.spaces, isNegated: isNegated, source: isNegated ? "\\S" : "\\s")
    }
  }

  private mutating func scalarClass() -> ReferencePattern.Node {
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    var source = ""
    for _ in 0..<(1 + pick(3)) {
      switch pick(6) {
      case 0:
        ranges += ReferencePattern.digits
        source += "\\d"
      case 1:
        ranges += ReferencePattern.words
        source += "\\w"
      case 2:
        ranges += ReferencePattern.spaces
        source += "\\s"
      case 3:
        ranges.append("a"..."b")
        source += "a-b"
      default:
        let c = Self.alphabet[pick(Self.alphabet.count)]
        ranges.append(c...c)
        source += "^-]\\".unicodeScalars.contains(c) ? "\\\(c)" : String(Character(c))
      }
    }
    let isNegated = pick(4) == 0
    return .set(ranges, isNegated: isNegated, source: (isNegated ? "[^" : "[") + source + "]")
  }
}
