/// A regular expression that cannot run away: it is matched in time proportional to the text, whatever it says.
///
/// Literals, `.`, classes `[a-z]`, `\d \w \s \b` and their opposites, `^ $`, groups, `|`, `? * +`, `{m,n}`. Letters match in
/// either case. No back-references and no look-around, because those cannot be matched in linear time.
public struct RegexPattern: Sendable {
  /// Why a pattern is no regular expression, and at which character.
  public struct Problem: Error, Hashable, Sendable {
    public var offset: Int
    public var message: String
  }

  public let source: String
  let syntax: RegexSyntax
  let program: [RegexInstruction]
  private let masks: RegexMasks?
  /// Capturing groups, without the whole match.
  public let groupCount: Int

  /// Patterns are written by people; a longer one is a mistake or an attack.
  public static let lengthLimit = 1_000
  /// Bounds what counted repetitions can blow up to; with the text limit it bounds the time of one match.
  static let programLimit = 2_000
  static let repetitionLimit = 100
  static let depthLimit = 32

  public init(_ source: String) throws(Problem) { try self.init(source, isForOnce: false) }

  /// - Parameter isForOnce: it is tried on one text and forgotten, so no time is spent to make that quick.
  init(_ source: String, isForOnce: Bool) throws(Problem) {
    guard source.utf8.count <= Self.lengthLimit else {
      throw Problem(offset: 0, message: "a regular expression is longer than \(Self.lengthLimit) bytes")
    }
    self.source = source
    var parser = RegexParser(source)
    syntax = try parser.parse()
    groupCount = parser.groupCount
    var compiler = RegexCompiler()
    try compiler.compile(syntax)
    program = compiler.program + [.match]
    masks = isForOnce ? nil : RegexMasks(program)
  }

  /// Whether the pattern occurs anywhere in `text`. `steps` counts the work down; nil when it ran out.
  func occurs(in text: String, steps: inout Int) -> Bool? {
    if let masks {
      let quick = text.utf8.withContiguousStorageIfAvailable { masks.occurs(in: $0, steps: &steps) }
      if let quick, let result = quick { return result }
    }
    return switch run(Array(text.unicodeScalars), steps: &steps, wantsGroups: false) {
    case .exhausted: nil
    case .none: false
    case .found: true
    }
  }

  /// The leftmost match: the whole, then the groups (nil for those that took no part).
  func firstMatch(in text: [Unicode.Scalar], steps: inout Int) -> MatchOutcome {
    run(text, steps: &steps, wantsGroups: true)
  }

  /// For checks where the text is short and trusted.
  public func occurs(in text: String) -> Bool {
    var steps = Int.max
    return occurs(in: text, steps: &steps) ?? false
  }

  enum MatchOutcome {
    case exhausted
    case none
    case found([Range<Int>?])
  }

  // MARK: A Pike machine: all ways through the program at once, in order of preference.

  private struct Thread {
    var at: Int
    var slots: [Int]
  }

  private func run(_ text: [Unicode.Scalar], steps: inout Int, wantsGroups: Bool) -> MatchOutcome {
    var current: [Thread] = []
    var next: [Thread] = []
    var mark = [Int](repeating: -1, count: program.count)
    let emptySlots = wantsGroups ? [Int](repeating: -1, count: 2 * (groupCount + 1)) : []
    var best: [Int]?
    for position in 0...text.count {
      // A new attempt starts at every position until something matched: leftmost wins.
      if best == nil {
        var slots = emptySlots
        if wantsGroups { slots[0] = position }
        add(0, slots, at: position, in: text, to: &current, mark: &mark, generation: position * 2, steps: &steps)
      }
      if steps <= 0 { return .exhausted }
      if current.isEmpty { if best != nil { break } else { continue } }
      let scalar = position < text.count ? text[position].folded : nil
      next.removeAll(keepingCapacity: true)
      threads: for thread in current {
        steps -= 1
        switch program[thread.at] {
        case .match:
          guard wantsGroups else { return .found([]) }
          best = thread.slots
          best?[1] = position
          break threads
        case .set(let set):
          if let scalar, set.contains(scalar) {
            add(
              thread.at + 1, thread.slots, at: position + 1, in: text, to: &next, mark: &mark,
              generation: position * 2 + 2, steps: &steps)
          }
        case .jump, .split, .save, .assert: break
        }
      }
      swap(&current, &next)
    }
    guard let best else { return .none }
    return .found(
      stride(from: 0, to: best.count, by: 2).map {
        best[$0] >= 0 && best[$0 + 1] >= best[$0] ? best[$0]..<best[$0 + 1] : nil
      })
  }

  private func add(
    _ start: Int, _ startSlots: [Int], at position: Int, in text: [Unicode.Scalar], to threads: inout [Thread],
    mark: inout [Int], generation: Int, steps: inout Int
  ) {
    var stack = [Thread(at: start, slots: startSlots)]
    while let thread = stack.popLast() {
      guard mark[thread.at] != generation else { continue }
      mark[thread.at] = generation
      steps -= 1
      switch program[thread.at] {
      case .jump(let to): stack.append(Thread(at: to, slots: thread.slots))
      case .split(let first, let second):
        stack.append(Thread(at: second, slots: thread.slots))
        stack.append(Thread(at: first, slots: thread.slots))
      case .save(let slot):
        // Every thread that goes on has its own groups.
        steps -= thread.slots.count / 8
        var slots = thread.slots
        if slot < slots.count { slots[slot] = position }
        stack.append(Thread(at: thread.at + 1, slots: slots))
      case .assert(let anchor):
        if anchor.holds(at: position, in: text) { stack.append(Thread(at: thread.at + 1, slots: thread.slots)) }
      case .set, .match: threads.append(thread)
      }
    }
  }
}

enum RegexInstruction: Sendable {
  case set(ScalarSet)
  case split(Int, Int)
  case jump(Int)
  case save(Int)
  case assert(RegexAnchor)
  case match
}

enum RegexAnchor: Sendable, Hashable {
  case start, end, wordBoundary, noWordBoundary

  func holds(at position: Int, in text: [Unicode.Scalar]) -> Bool {
    switch self {
    case .start: return position == 0
    case .end: return position == text.count
    case .wordBoundary, .noWordBoundary:
      let before = position > 0 && text[position - 1].isWord
      let after = position < text.count && text[position].isWord
      return (before != after) == (self == .wordBoundary)
    }
  }
}

/// Characters by ranges, compared without case.
struct ScalarSet: Sendable, Hashable {
  var ranges: [ClosedRange<UInt32>]
  var isNegated = false

  static let any = ScalarSet(ranges: [], isNegated: true)
  static let digit = ScalarSet(ranges: [0x30...0x39])
  static let space = ScalarSet(ranges: [0x09...0x0D, 0x20...0x20, 0xA0...0xA0])
  /// `\w`: the blocks that letters of living scripts stand in.
  static let word = ScalarSet(ranges: [
    0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x2FF, 0x370...0x1FFF,
    0x2C00...0x2DFF, 0x3040...0xD7FF, 0xF900...0xFDFF,
  ])

  /// Everything that is not in `ranges`, which must be in order.
  var outside: [ClosedRange<UInt32>] {
    var outside: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { outside.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    return outside + [next...0x10_FFFF]
  }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    let value = scalar.value
    var hit = ranges.contains { $0.contains(value) }
    if !hit, !ranges.isEmpty {
      let upper = scalar.unfolded.value
      hit = upper != value && ranges.contains { $0.contains(upper) }
    }
    return hit != isNegated
  }
}

extension Unicode.Scalar {
  /// Lower case where that is one character.
  var folded: Unicode.Scalar {
    if value < 0x80 { return (0x41...0x5A).contains(value) ? Unicode.Scalar(UInt8(value) + 32) : self }
    let lower = properties.lowercaseMapping.unicodeScalars
    return lower.count == 1 ? lower.first ?? self : self
  }
  var unfolded: Unicode.Scalar {
    if value < 0x80 { return (0x61...0x7A).contains(value) ? Unicode.Scalar(UInt8(value) - 32) : self }
    let upper = properties.uppercaseMapping.unicodeScalars
    return upper.count == 1 ? upper.first ?? self : self
  }
  var isWord: Bool {
    if value < 0x80 {
      return (0x30...0x39).contains(value) || (0x41...0x5A).contains(value) || (0x61...0x7A).contains(value)
        || value == 0x5F
    }
    return properties.isAlphabetic || properties.numericType != nil
  }
}
