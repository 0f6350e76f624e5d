/// A regular expression as a tree: what the compiler turns into a program, and what phrases are read from.
indirect enum RegexSyntax: Sendable, Hashable {
  case empty
  case scalar(Unicode.Scalar)
  case set(ScalarSet)
  /// `\w`, or its opposite: not a list of ranges, because letters of all scripts belong to it.
  case word(Bool)
  case anchor(RegexAnchor)
  case sequence([RegexSyntax])
  case choice([RegexSyntax])
  case group(RegexSyntax, number: Int?)
  /// `max` nil: without bound.
  case repetition(RegexSyntax, min: Int, max: Int?, isGreedy: Bool)
}

struct RegexParser {
  private let scalars: [Unicode.Scalar]
  private var at = 0
  private var depth = 0
  private(set) var groupCount = 0

  init(_ source: String) { scalars = Array(source.unicodeScalars) }

  mutating func parse() throws(RegexPattern.Problem) -> RegexSyntax {
    let syntax = try choice()
    if at < scalars.count { throw problem("there is a `)` without its `(`") }
    return syntax
  }

  private func problem(_ message: String) -> RegexPattern.Problem { RegexPattern.Problem(offset: at, message: message) }
  private var peek: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

  private mutating func choice() throws(RegexPattern.Problem) -> RegexSyntax {
    depth += 1
    defer { depth -= 1 }
    guard depth <= RegexPattern.depthLimit else { throw problem("groups are nested too deeply") }
    var branches = [try sequence()]
    while peek == "|" {
      at += 1
      branches.append(try sequence())
    }
    return branches.count == 1 ? branches[0] : .choice(branches)
  }

  private mutating func sequence() throws(RegexPattern.Problem) -> RegexSyntax {
    var parts: [RegexSyntax] = []
    while let c = peek, c != "|", c != ")" { parts.append(try repeated()) }
    return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func repeated() throws(RegexPattern.Problem) -> RegexSyntax {
    var atom = try self.atom()
    while let c = peek {
      var bounds: (min: Int, max: Int?)
      switch c {
      case "?": bounds = (0, 1)
      case "*": bounds = (0, nil)
      case "+": bounds = (1, nil)
      case "{":
        guard let counted = try counts() else { return atom }
        bounds = counted
        at -= 1  // The closing brace, skipped below with the other signs.
      default: return atom
      }
      at += 1
      var isGreedy = true
      if peek == "?" {
        isGreedy = false
        at += 1
      }
      if case .repetition = atom { throw problem("a repetition is repeated; put it in a group") }
      if case .anchor = atom { throw problem("there is nothing to repeat") }
      atom = .repetition(atom, min: bounds.min, max: bounds.max, isGreedy: isGreedy)
    }
    return atom
  }

  /// `{m}`, `{m,}` or `{m,n}`; nil (nothing read) where the brace is no repetition.
  private mutating func counts() throws(RegexPattern.Problem) -> (min: Int, max: Int?)? {
    let start = at
    at += 1
    guard let low = number() else { throw problem("after `{` a count is missing; write `\\{` for the character") }
    var high: Int? = low
    if peek == "," {
      at += 1
      high = number()
    }
    guard peek == "}" else {
      at = start
      throw problem("a repetition `{m,n}` is not closed")
    }
    at += 1
    guard low <= RegexPattern.repetitionLimit, high ?? 0 <= RegexPattern.repetitionLimit, high ?? low >= low else {
      throw problem("a repetition must count from a lower to a higher number, at most \(RegexPattern.repetitionLimit)")
    }
    return (low, high)
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let c = peek, let digit = c.digitValue, value ?? 0 < 1_000_000 {
      value = (value ?? 0) * 10 + digit
      at += 1
    }
    return value
  }

  private mutating func atom() throws(RegexPattern.Problem) -> RegexSyntax {
    guard let c = peek else { throw problem("the expression ends too early") }
    at += 1
    switch c {
    case ".": return .set(.any)
    case "^": return .anchor(.start)
    case "$": return .anchor(.end)
    case "[": return .set(try scalarClass())
    case "\\": return try escape()
    case "(":
      var number: Int?
      if peek == "?" {
        guard at + 1 < scalars.count, scalars[at + 1] == ":" else {
          throw problem("`(?` is only known as `(?:`; look-around cannot be matched in bounded time")
        }
        at += 2
      } else {
        groupCount += 1
        number = groupCount
      }
      let inner = try choice()
      guard peek == ")" else { throw problem("a `(` is not closed") }
      at += 1
      return .group(inner, number: number)
    case "*", "+", "?", "{":
      at -= 1
      throw problem("there is nothing to repeat before `\(c)`")
    default: return .scalar(c.folded)
    }
  }

  private mutating func escape() throws(RegexPattern.Problem) -> RegexSyntax {
    guard let c = peek else { throw problem("the expression ends in a backslash") }
    at += 1
    switch c {
    case "d": return .set(.digit)
    case "D": return .set(ScalarSet(ranges: ScalarSet.digit.ranges, isNegated: true))
    case "s": return .set(.space)
    case "S": return .set(ScalarSet(ranges: ScalarSet.space.ranges, isNegated: true))
    case "w": return .word(true)
    case "W": return .word(false)
    case "b": return .anchor(.wordBoundary)
    case "B": return .anchor(.noWordBoundary)
    case "n": return .scalar("\n")
    case "t": return .scalar("\t")
    default:
      if c.value < 0x80, c.isWord { throw problem("`\\\(c)` is not known") }
      return .scalar(c)
    }
  }

  private enum ClassMember {
    case one(Unicode.Scalar)
    case many([ClosedRange<UInt32>])
  }

  private mutating func escapeInClass() throws(RegexPattern.Problem) -> ClassMember {
    guard let c = peek else { throw problem("a `[` is not closed") }
    at += 1
    switch c {
    case "d": return .many(ScalarSet.digit.ranges)
    case "D": return .many(ScalarSet.digit.outside)
    case "s": return .many(ScalarSet.space.ranges)
    case "S": return .many(ScalarSet.space.outside)
    case "w": return .many(ScalarSet.word.ranges)
    case "W": return .many(ScalarSet.word.outside)
    case "n": return .one("\n")
    case "t": return .one("\t")
    default:
      if c.value < 0x80, c.isWord { throw problem("`\\\(c)` is not known inside `[]`") }
      return .one(c)
    }
  }

  private mutating func scalarClass() throws(RegexPattern.Problem) -> ScalarSet {
    var set = ScalarSet(ranges: [])
    if peek == "^" {
      set.isNegated = true
      at += 1
    }
    while let c = peek, c != "]" || set.ranges.isEmpty {
      at += 1
      switch c == "\\" ? try escapeInClass() : .one(c) {
      case .many(let ranges): set.ranges += ranges
      case .one(let low):
        var high = low
        if peek == "-", at + 1 < scalars.count, scalars[at + 1] != "]" {
          high = scalars[at + 1]
          at += 2
          if high == "\\" {
            guard case .one(let escaped) = try escapeInClass() else { throw problem("a range in `[]` has no end") }
            high = escaped
          }
          guard high >= low else { throw problem("a range in `[]` runs backwards") }
        }
        set.ranges.append(low.value...high.value)
      }
    }
    guard peek == "]" else { throw problem("a `[` is not closed") }
    at += 1
    return set
  }
}

extension Unicode.Scalar {
  var digitValue: Int? { (0x30...0x39).contains(value) ? Int(value - 0x30) : nil }
}

/// Turns the tree into a program for the Pike machine.
struct RegexCompiler {
  private(set) var program: [RegexInstruction] = []
  /// Counted apart from the program: nothing, repeated a hundred times a hundred times, adds no instruction to it.
  private var work = 0

  mutating func compile(_ syntax: RegexSyntax) throws(RegexPattern.Problem) {
    work += 1
    guard program.count < RegexPattern.programLimit, work < 10 * RegexPattern.programLimit else {
      throw RegexPattern.Problem(offset: 0, message: "the repetitions make this expression too large")
    }
    switch syntax {
    case .empty: break
    case .scalar(let c): program.append(.set(ScalarSet(ranges: [c.value...c.value])))
    case .set(let set): program.append(.set(set))
    case .word(let isWord):
      program.append(.set(ScalarSet(ranges: ScalarSet.word.ranges, isNegated: !isWord)))
    case .anchor(let anchor): program.append(.assert(anchor))
    case .sequence(let parts): for part in parts { try compile(part) }
    case .group(let inner, let number):
      if let number { program.append(.save(2 * number)) }
      try compile(inner)
      if let number { program.append(.save(2 * number + 1)) }
    case .choice(let branches):
      var exits: [Int] = []
      for (i, branch) in branches.enumerated() {
        guard i < branches.count - 1 else {
          try compile(branch)
          break
        }
        let split = program.count
        program.append(.split(split + 1, 0))
        try compile(branch)
        exits.append(program.count)
        program.append(.jump(0))
        program[split] = .split(split + 1, program.count)
      }
      for exit in exits { program[exit] = .jump(program.count) }
    case .repetition(let inner, let min, let max, let isGreedy):
      for _ in 0..<min { try compile(inner) }
      if let max {
        var splits: [Int] = []
        for _ in min..<Swift.max(min, max) {
          splits.append(program.count)
          program.append(.split(0, 0))
          try compile(inner)
        }
        for split in splits {
          program[split] = isGreedy ? .split(split + 1, program.count) : .split(program.count, split + 1)
        }
      } else {
        let split = program.count
        program.append(.split(0, 0))
        try compile(inner)
        program.append(.jump(split))
        program[split] = isGreedy ? .split(split + 1, program.count) : .split(program.count, split + 1)
      }
    }
  }
}
