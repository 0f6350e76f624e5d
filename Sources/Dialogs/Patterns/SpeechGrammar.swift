/// Checks a JSGF grammar (JSpeech Grammar Format 1.0) before a recogniser sees it: its form, its rules, its recursion.
///
/// A grammar without the `#JSGF` header is taken for the right-hand side of one rule: `(yes | no) [please]`.
struct SpeechGrammar {
  struct Problem: Error, Hashable {
    var message: String
  }

  /// A complete grammar, header included.
  let source: String
  private let bodies: [String: Part]
  private let publicRules: [String]

  /// What a rule's right-hand side is made of.
  private indirect enum Part {
    case word(String)
    case rule(String)
    case sequence([Part])
    case choice([Part])
    case optional(Part)
    /// `*` and `+`.
    case repeated(Part, atLeast: Int)
  }

  /// Recognisers compile grammars into search graphs in memory; menus and dates are a hundredth of this.
  static let lengthLimit = 32 * 1_024
  static let depthLimit = 32

  init(_ text: String) throws(Problem) {
    guard text.utf8.count <= Self.lengthLimit else { throw Problem(message: "it is longer than 32 KiB") }
    let isComplete = Evaluation.trimmed(text).hasPrefix("#JSGF")
    let source = isComplete ? text : "#JSGF V1.0;\ngrammar dialog;\npublic <said> = \(text);\n"
    var reader = Reader(source)
    try reader.grammar()
    self.source = source
    bodies = reader.bodies
    publicRules = reader.publicRules
  }

  /// Something that a caller could say to fit the grammar.
  func sample(using random: inout some RandomNumberGenerator) -> String {
    var words: [String] = []
    if let rule = publicRules.randomElement(using: &random), let body = bodies[rule] {
      say(body, &words, using: &random)
    }
    return words.joined(separator: " ")
  }

  private func say(_ part: Part, _ words: inout [String], using random: inout some RandomNumberGenerator) {
    // Nobody says more in one breath, and nested repetitions could.
    guard words.count < 100 else { return }
    switch part {
    case .word(let word): words.append(word)
    case .rule(let name): if let body = bodies[name] { say(body, &words, using: &random) }
    case .sequence(let parts): for part in parts { say(part, &words, using: &random) }
    case .choice(let parts): if let part = parts.randomElement(using: &random) { say(part, &words, using: &random) }
    case .optional(let part): if Bool.random(using: &random) { say(part, &words, using: &random) }
    case .repeated(let part, let least):
      for _ in 0..<Int.random(in: least...least + 2, using: &random) { say(part, &words, using: &random) }
    }
  }

  private enum Token: Equatable {
    case word(String)
    case rule(String)
    case sign(Character)
    case end
  }

  private struct Reader {
    private let characters: [Character]
    private var at = 0
    private var token = Token.end
    private var rules: [String: Set<String>] = [:]
    private(set) var bodies: [String: Part] = [:]
    private(set) var publicRules: [String] = []
    private var current = ""

    init(_ source: String) { characters = Array(source) }

    mutating func grammar() throws(Problem) {
      guard let headerEnd = characters.firstIndex(of: ";") else { throw Problem(message: "the header has no `;`") }
      at = headerEnd + 1
      try advance()
      guard token == .word("grammar") else { throw Problem(message: "after the header comes `grammar NAME;`") }
      try advance()
      guard case .word = token else { throw Problem(message: "the grammar has no name") }
      try advance()
      try expect(";")
      while token != .end {
        if token == .word("import") { throw Problem(message: "`import` is not supported") }
        let isPublic = token == .word("public")
        if isPublic { try advance() }
        guard case .rule(let name) = token else { throw Problem(message: "a rule `<name> = ...;` is expected") }
        guard rules[name] == nil else { throw Problem(message: "the rule <\(name)> is defined twice") }
        rules[name] = []
        if isPublic { publicRules.append(name) }
        current = name
        try advance()
        try expect("=")
        bodies[name] = try alternatives(depth: 0)
        try expect(";")
      }
      guard !publicRules.isEmpty else { throw Problem(message: "no rule is `public`") }
      for (name, used) in rules.sorted(by: { $0.key < $1.key }) {
        for rule in used.sorted() where rules[rule] == nil {
          throw Problem(message: "the rule <\(rule)> that <\(name)> uses does not exist")
        }
      }
      try refuseRecursion()
    }

    private mutating func alternatives(depth: Int) throws(Problem) -> Part {
      guard depth <= SpeechGrammar.depthLimit else { throw Problem(message: "groups are nested too deeply") }
      var parts = [try sequence(depth: depth)]
      while token == .sign("|") {
        try advance()
        parts.append(try sequence(depth: depth))
      }
      return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence(depth: Int) throws(Problem) -> Part {
      var parts: [Part] = []
      if token == .sign("/") {
        // A weight: `/0.7/`.
        try advance()
        guard case .word(let weight) = token, Double(weight) != nil else {
          throw Problem(message: "a weight is no number")
        }
        try advance()
        try expect("/")
      }
      while true {
        var part: Part
        switch token {
        case .word(let word):
          part = .word(word)
          try advance()
        case .rule(let name):
          part = .rule(name)
          if name != "NULL", name != "VOID" { rules[current]?.insert(name) }
          try advance()
        case .sign("("):
          try advance()
          part = try alternatives(depth: depth + 1)
          try expect(")")
        case .sign("["):
          try advance()
          part = .optional(try alternatives(depth: depth + 1))
          try expect("]")
        default:
          guard !parts.isEmpty else { throw Problem(message: "an alternative is empty") }
          return parts.count == 1 ? parts[0] : .sequence(parts)
        }
        while token == .sign("*") || token == .sign("+") {
          part = .repeated(part, atLeast: token == .sign("*") ? 0 : 1)
          try advance()
        }
        parts.append(part)
      }
    }

    private func refuseRecursion() throws(Problem) {
      var finished: Set<String> = []
      for start in rules.keys.sorted() where !finished.contains(start) {
        var open: [(name: String, rest: [String])] = [(start, (rules[start] ?? []).sorted())]
        while var (name, rest) = open.popLast() {
          guard let next = rest.popLast() else {
            finished.insert(name)
            continue
          }
          open.append((name, rest))
          name = next
          if open.contains(where: { $0.name == name }) { throw Problem(message: "the rule <\(name)> contains itself") }
          if !finished.contains(name) { open.append((name, (rules[name] ?? []).sorted())) }
        }
      }
    }

    private mutating func expect(_ sign: Character) throws(Problem) {
      guard token == .sign(sign) else {
        let found =
          switch token {
          case .word(let word): "`\(word)`"
          case .rule(let name): "<\(name)>"
          case .sign(let other): "`\(other)`"
          case .end: "the end"
          }
        throw Problem(message: "`\(sign)` is expected before \(found)")
      }
      try advance()
    }

    private mutating func advance() throws(Problem) {
      while at < characters.count {
        let c = characters[at]
        if c.isWhitespace {
          at += 1
        } else if c == "/", at + 1 < characters.count, characters[at + 1] == "/" {
          while at < characters.count, !characters[at].isNewline { at += 1 }
        } else if c == "/", at + 1 < characters.count, characters[at + 1] == "*" {
          at += 2
          while at + 1 < characters.count, !(characters[at] == "*" && characters[at + 1] == "/") { at += 1 }
          at += 2
        } else if c == "{" {
          // A tag: text for applications, not for recognition.
          while at < characters.count, characters[at] != "}" { at += 1 }
          guard at < characters.count else { throw Problem(message: "a tag `{` is not closed") }
          at += 1
        } else {
          break
        }
      }
      guard at < characters.count else {
        token = .end
        return
      }
      let c = characters[at]
      switch c {
      case "<":
        guard let close = characters[at...].firstIndex(of: ">") else { throw Problem(message: "a `<` is not closed") }
        let name = String(characters[(at + 1)..<close])
        guard !name.isEmpty, !name.contains(where: { $0.isWhitespace || $0 == "<" }) else {
          throw Problem(message: "<\(name)> is not the name of a rule")
        }
        at = close + 1
        token = .rule(name)
      case "\"":
        guard let close = characters[(at + 1)...].firstIndex(of: "\"") else {
          throw Problem(message: "a quote is not closed")
        }
        token = .word(String(characters[(at + 1)..<close]))
        at = close + 1
      case "=", ";", "|", "(", ")", "[", "]", "*", "+", "/":
        at += 1
        token = .sign(c)
      case "}", ">": throw Problem(message: "`\(c)` has no opening counterpart")
      default:
        var word = ""
        while at < characters.count, !characters[at].isWhitespace, !"=;|()[]*+/<>{}\"".contains(characters[at]) {
          word.append(characters[at])
          at += 1
        }
        token = .word(word)
      }
    }
  }
}
