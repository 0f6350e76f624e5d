import Base

/// Makes expressions: mostly of sense, some of nonsense.
struct TreeGenerator {
  enum Kind: CaseIterable { case bool, number, string, list, map }

  var random: SeededRandom
  /// The patterns of the trees so far, for the reference.
  private(set) var patterns: [String: ReferencePattern] = [:]

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  mutating func pick(_ count: Int) -> Int { Int(random.next() >> 33) % count }
  private mutating func one<T>(_ items: [T]) -> T { items[pick(items.count)] }

  // MARK: Leaves

  static let texts = [
    "", "a", "Ada", "yes please", "My PASSWORD is locked", "4711", " 3.5 ", "-12", "1e3", "0x1F", "four seven 11, oh",
    "a,b,,c", "Ä ö ß", "ΟΔΟΣ", "🙂 ok", "line\nbreak\ttab", "it's \"quoted\"", "back\\slash \\d+", "{{ secret }}", "%Y",
    "Green", "true", "null", "中文", "9223372036854775808", "%H:%M on %A %e %B, day %j, %F %I%p %%", ", ", " ", "first",
  ]

  /// What the expressions can name.
  static let variables: [String: Value] = [
    "name": "Ada", "empty": "", "phrase": "Yes please", "digits_text": "4711", "unicode": "Ä 🙂 中",
    "transcript": "yes please",
    "count": 3, "zero": 0, "negative": -7, "most": .int(.max), "least": .int(.min), "odd": 9_007_199_254_740_993,
    "even": 9_007_199_254_740_992.0, "half": 0.5, "whole": 4.0, "huge": 1e308, "tiny": -1e-300, "minus": -0.0,
    "edge": 9_223_372_036_854_775_808.0, "yes": true, "no": false, "nothing": nil,
    "items": ["red", "Green", 3, nil, [1, [2.0]]], "numbers": [1, 2.5, -3, 1], "none": [], "words": ["a", "b", ""],
    "person": ["first": "Ada", "age": 36, "tags": ["a", "b"], "deep": ["er": ["est": 1]], "": 0],
    "nowhere": [:], "slots": ["city": "Rome", "day": nil], "result": ["intent": "sales", "score": 0.75],
  ]
  private static let names: [Kind: [String]] = [
    .bool: ["yes", "no", "nothing"],
    .number: [
      "count", "zero", "negative", "most", "least", "odd", "even", "half", "whole", "huge", "tiny", "minus", "edge",
    ],
    .string: ["name", "empty", "phrase", "digits_text", "unicode", "transcript", "nothing"],
    .list: ["items", "numbers", "none", "words", "nothing"],
    .map: ["person", "nowhere", "slots", "result", "nothing"],
  ]

  private mutating func leaf(_ kind: Kind) -> Tree {
    if pick(2) == 0 { return .name(one(Self.names[kind] ?? [])) }
    switch kind {
    case .bool: return .literal(one([true, false, true, false, nil]))
    case .number:
      return .literal(
        one([0, 1, 2, 3, 7, 10, 42, 1_440, 9_007_199_254_740_993, .int(.max), 0.0, 0.5, 2.25, 3.0, 0.1, 1234.5]))
    case .string: return .literal(.string(one(Self.texts)))
    case .list: return .list([])
    case .map: return .map([])
    }
  }

  // MARK: Trees

  mutating func tree(depth: Int) -> Tree { tree(Kind.allCases[pick(Kind.allCases.count)], depth) }

  private mutating func any(_ depth: Int) -> Tree { tree(Kind.allCases[pick(Kind.allCases.count)], depth) }

  mutating func tree(_ wanted: Kind, _ depth: Int) -> Tree {
    // Some nonsense, so that errors are compared as well.
    let kind = pick(40) == 0 ? Kind.allCases[pick(Kind.allCases.count)] : wanted
    guard depth > 0, pick(7) > 0 else { return leaf(kind) }
    let d = depth - 1
    if pick(12) == 0 { return either(kind, d) }
    switch kind {
    case .bool: return bool(d)
    case .number: return number(d)
    case .string: return string(d)
    case .list: return list(d)
    case .map: return map(d)
    }
  }

  private mutating func call(_ name: String, _ arguments: [Tree]) -> Tree {
    .call(name, arguments, isPiped: !arguments.isEmpty && name != "matches" && pick(3) == 0)
  }

  /// What gives a value of any kind.
  private mutating func either(_ kind: Kind, _ d: Int) -> Tree {
    switch pick(5) {
    case 0: call("choose", [tree(.bool, d), tree(kind, d), tree(kind, d)])
    case 1: call("default", [pick(3) == 0 ? .literal(nil) : tree(kind, d), tree(kind, d)])
    case 2: call("coalesce", (0..<(1 + pick(3))).map { _ in pick(3) == 0 ? .name("empty") : tree(kind, d) })
    case 3: .index(.list([tree(kind, d), tree(kind, d)]), one([.literal(0), .literal(1), .negate(.literal(1))]))
    default: .member(.map([("a", tree(kind, d))]), "a")
    }
  }

  private mutating func bool(_ d: Int) -> Tree {
    switch pick(14) {
    case 0: return .not(tree(.bool, d))
    case 1, 2: return .binary("and", tree(.bool, d), tree(.bool, d))
    case 3, 4: return .binary("or", tree(.bool, d), tree(.bool, d))
    case 5, 6:
      let kind: Kind = pick(2) == 0 ? .number : .string
      return .binary(one(["<", "<=", ">", ">="]), tree(kind, d), tree(kind, d))
    case 7, 8:
      let kind = Kind.allCases[pick(Kind.allCases.count)]
      return .binary(one(["==", "!="]), tree(kind, d), pick(8) == 0 ? any(d) : tree(kind, d))
    case 9:
      let (container, item): (Tree, Tree) =
        switch pick(3) {
        case 0: (tree(.list, d), any(d))
        case 1: (tree(.map, d), tree(.string, d))
        default: (tree(.string, d), tree(.string, d))
        }
      switch pick(4) {
      case 0: return call("contains", [container, item])
      case 1: return .binary("contains", container, item)
      case 2: return .binary("in", item, container)
      default: return .binary("not in", item, container)
      }
    case 10:
      let op = one(["startswith", "endswith"])
      let (a, b) = (tree(.string, d), tree(.string, d))
      return pick(3) == 0 ? call(op, [a, b]) : .binary(op, a, b)
    case 11, 12:
      let (text, source) = matchable(d)
      return pick(2) == 0 ? call("matches", [text, source]) : .binary("matches", text, source)
    default: return call("exists", [any(d)])
    }
  }

  /// A text and a pattern for it. A pattern that is put together at run time goes another way than one that is written down.
  private mutating func matchable(_ d: Int) -> (text: Tree, source: Tree) {
    var generator = PatternGenerator(random: random)
    var (pattern, source) = generator.pattern()
    while pattern.hasEmptyRounds { (pattern, source) = generator.pattern() }
    let text = generator.text()
    random = generator.random
    patterns[source] = pattern
    patterns[""] = ReferencePattern(root: .sequence([]), groupCount: 0)
    let written: Tree =
      pick(3) == 0 ? .binary("+", .literal(.string(source)), .name("empty")) : .literal(.string(source))
    return (pick(3) == 0 ? tree(.string, d) : .literal(.string(text)), written)
  }

  private mutating func number(_ d: Int) -> Tree {
    switch pick(14) {
    case 0: return .negate(tree(.number, d))
    case 1...6: return .binary(one(["+", "-", "*", "/", "%"]), tree(.number, d), tree(.number, d))
    case 7: return call("len", [tree(one([.string, .list, .map]), d)])
    case 8: return call(one(["int", "number"]), [pick(2) == 0 ? tree(.string, d) : tree(one([.number, .bool]), d)])
    case 9: return call("round", pick(2) == 0 ? [tree(.number, d)] : [tree(.number, d), places(d)])
    case 10: return call(one(["min", "max"]), (0..<(1 + pick(3))).map { _ in tree(.number, d) })
    case 11: return call(one(["min", "max"]), [.name("numbers")])
    case 12: return call("now", [])
    default: return .index(.name("numbers"), tree(.number, d))
    }
  }

  private mutating func places(_ d: Int) -> Tree {
    pick(6) == 0 ? any(d) : .literal(.int(Int64(pick(11))))
  }

  private mutating func string(_ d: Int) -> Tree {
    switch pick(14) {
    case 0, 1: return .binary("+", tree(.string, d), tree(.string, d))
    case 2: return call(one(["lower", "upper", "trim"]), [tree(.string, d)])
    case 3: return call(one(["string", "json"]), [any(d)])
    case 4: return call("replace", [tree(.string, d), tree(.string, d), tree(.string, d)])
    case 5: return call("join", [tree(.list, d), tree(.string, d)])
    case 6:
      let (text, source) = matchable(d)
      return call("regex_extract", pick(2) == 0 ? [text, source] : [text, source, places(d)])
    case 7: return call("digits", [tree(pick(4) == 0 ? .number : .string, d)])
    case 8: return call("spell", [tree(pick(4) == 0 ? .number : .string, d)])
    case 9:
      let when = pick(2) == 0 ? tree(.number, d) : .literal(.int(Int64(pick(4_000_000)) * 997 - 2_000_000_000))
      let format = pick(2) == 0 ? tree(.string, d) : .literal("%H:%M on %A %e %B, day %j, %F %I%p %%")
      return call(
        "format_time", pick(2) == 0 ? [when, format] : [when, format, pick(2) == 0 ? .literal(90) : places(d)])
    case 10: return .index(tree(.string, d), tree(.number, d))
    case 11: return .index(.name("words"), tree(.number, d))
    case 12: return call("slot", [pick(2) == 0 ? .literal("city") : tree(.string, d)])
    default: return .member(tree(.map, d), one(["first", "intent", "city", "none"]))
    }
  }

  private mutating func list(_ d: Int) -> Tree {
    switch pick(5) {
    case 0: return .binary("+", tree(.list, d), tree(.list, d))
    case 1: return call("split", [tree(.string, d), tree(.string, d)])
    case 2: return .member(.name("person"), "tags")
    default: return .list((0..<pick(4)).map { _ in any(d) })
    }
  }

  private mutating func map(_ d: Int) -> Tree {
    switch pick(4) {
    case 0: return .member(.name("person"), "deep")
    case 1: return .index(tree(.map, d), tree(.string, d))
    default:
      return .map(
        (0..<pick(4)).map { _ in (key: one(["a", "b", "first", "", "two words", "and", "é"]), value: any(d)) })
    }
  }
}
