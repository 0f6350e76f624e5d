import Base
import Dialogs
import Testing

@Suite struct PatternTests {
  @Test(arguments: [
    ("abc", "xABCx", true), ("^abc$", "xabc", false), ("a.c", "a\nc", true), ("[a-c]+z", "xxcbaz", true),
    ("[^a-c]", "abc", false), ("[^a-c]", "ABCd", true), ("(ab|cd){2}", "abcd", true), ("(ab|cd){3}", "abcd", false),
    ("a{2,3}b", "ab", false), ("a{2,3}b", "aaab", true), ("a{0,1}b", "b", true), ("a{2,}", "aa", true),
    ("\\d{3}-\\d+", "call 555-1", true), ("\\bcat\\b", "concat", false), ("\\bcat\\b", "the cat.", true),
    ("\\Bcat", "concat", true), ("\\w+\\s\\w+", "über alles", true), ("\\W", "abc_1", false), ("\\S", "  ", false),
    ("", "anything", true), ("a*?b", "aab", true), ("(?:x|y)z", "yz", true), ("a|", "b", true), ("\\.", "abc", false),
    ("[]a]", "]", true), ("[a\\]]", "]", true), ("[\\d-]", "-", true), ("ÄÖ", "äö", true), ("(a*)*b", "aaab", true),
    ("(a|b)*c|(a|ab)*c", "abc", true), ("^$", "", true), ("x{3}", "xx", false),
  ])
  func regex(_ pattern: String, _ text: String, _ expected: Bool) throws {
    #expect(try RegexPattern(pattern).occurs(in: text) == expected)
  }

  @Test(arguments: [
    "(", ")", "[a", "a**", "*a", "a{3,2}", "a{1000}", "(?=x)", "\\q", "\\", "[z-a]", "a{",
    "((((((((((((((((((((((((((((((((((a",
  ])
  func badRegex(_ pattern: String) {
    #expect(throws: RegexPattern.Problem.self) { try RegexPattern(pattern) }
  }

  @Test func repetitionsCannotExplode() {
    #expect(throws: RegexPattern.Problem.self) { try RegexPattern("((a{100}){100}){100}") }
    #expect(throws: RegexPattern.Problem.self) { try RegexPattern(String(repeating: "a", count: 2_000)) }
  }

  @Test func regexAgreesWithSlowButSimpleMatching() throws {
    var random = SeededRandom(seed: 7)
    for _ in 0..<3_000 {
      let pattern = Self.randomPattern(&random, depth: 3)
      let text = (0..<Int(random.next() % 6)).map { _ in ["a", "b"][Int(random.next() % 2)] }.joined()
      let regex = try RegexPattern("^(?:" + pattern.source + ")$")
      #expect(
        regex.occurs(in: text) == pattern.matches(Array(text), 0).contains(text.count), "\(pattern.source) on \(text)")
    }
  }

  /// A pattern as data, matched by listing every end: the oracle.
  private indirect enum Oracle {
    case letter(Character), any, sequence(Oracle, Oracle), choice(Oracle, Oracle), many(Oracle), maybe(Oracle)

    var source: String {
      switch self {
      case .letter(let c): String(c)
      case .any: "."
      case .sequence(let a, let b): a.source + b.source
      case .choice(let a, let b): "(\(a.source)|\(b.source))"
      case .many(let a): "(\(a.source))*"
      case .maybe(let a): "(\(a.source))?"
      }
    }

    func matches(_ text: [Character], _ at: Int) -> Set<Int> {
      switch self {
      case .letter(let c): at < text.count && text[at] == c ? [at + 1] : []
      case .any: at < text.count ? [at + 1] : []
      case .sequence(let a, let b): Set(a.matches(text, at).flatMap { b.matches(text, $0) })
      case .choice(let a, let b): a.matches(text, at).union(b.matches(text, at))
      case .maybe(let a): a.matches(text, at).union([at])
      case .many(let a): closure(a, text, at)
      }
    }

    private func closure(_ a: Oracle, _ text: [Character], _ at: Int) -> Set<Int> {
      var reached: Set<Int> = [at]
      var open = [at]
      while let position = open.popLast() {
        for next in a.matches(text, position) where reached.insert(next).inserted { open.append(next) }
      }
      return reached
    }
  }

  private static func randomPattern(_ random: inout SeededRandom, depth: Int) -> Oracle {
    switch depth == 0 ? random.next() % 3 : random.next() % 8 {
    case 0: .letter("a")
    case 1: .letter("b")
    case 2: .any
    case 3, 4: .sequence(randomPattern(&random, depth: depth - 1), randomPattern(&random, depth: depth - 1))
    case 5: .choice(randomPattern(&random, depth: depth - 1), randomPattern(&random, depth: depth - 1))
    case 6: .many(randomPattern(&random, depth: depth - 1))
    default: .maybe(randomPattern(&random, depth: depth - 1))
    }
  }

  // MARK: Phrases

  private func phrases(_ condition: String, listen: String = "") throws -> [String] {
    let dialog = try dialog(
      """
      states:
        start:
          \(listen)
          transitions:
            - event: speech
              when: \(JSON.encode(.string(condition)))
              target: start
      """)
    return dialog.listenPhrases(for: try #require(dialog.state(named: "start")))
  }

  @Test(arguments: [
    ("matches(transcript, 'password|locked')", ["password", "locked"]),
    ("transcript matches 'reset (my )?password'", ["reset password", "reset my password"]),
    ("transcript contains \"Printer\"", ["printer"]), ("transcript == 'Yes'", ["yes"]),
    ("transcript in ['yes', 'yeah'] and confidence > 0.5", ["yes", "yeah"]),
    ("lower(transcript) startswith 'my name'", ["my name"]),
    ("matches(transcript, 'forgot.*password')", ["forgot", "password"]),
    ("matches(transcript, '^(the|a) (red|green) car$')", ["the red car", "the green car", "a red car", "a green car"]),
    ("not matches(transcript, 'no') or transcript == 'ok ok'", ["no", "ok ok"]),
    ("matches(transcript, 'printers?')", ["printer", "printers"]),
    ("matches(transcript, '\\\\bgr[ae]y\\\\b')", ["gray", "grey"]),
    ("matches(digits, 'password')", []), ("matches(transcript, '[0-9]+')", []), ("confidence > 0.5", []),
    ("matches(transcript, 'don\\'t know')", ["don't know"]),
    ("exists(regex_extract(transcript, '(monday|friday)'))", ["monday", "friday"]),
  ])
  func phrasesOfConditions(_ condition: String, _ expected: [String]) throws {
    #expect(try phrases(condition) == expected)
  }

  @Test func hintsComeFirstAndDoublesGo() throws {
    #expect(
      try phrases("transcript == 'yes'", listen: "listen: { hints: [\"No, thanks!\", yes] }") == ["no thanks", "yes"])
  }

  @Test func phrasesStayFew() throws {
    let pattern = String(repeating: "(a b|c d|e f|g h) ", count: 8)
    #expect(try phrases("matches(transcript, '\(pattern)')").count <= 128)
  }

  // MARK: Keys

  @Test(arguments: [
    ("1", "1", true), ("12", "1", false), ("*", "*", true), ("#", "#", true), ("42", "42", true), ("XX", "07", true),
    ("Z", "0", false), ("N", "1", false), ("[1-3]", "3", true), ("[1-3*]", "*", true), ("[1-3]", "4", false),
    ("9.", "9", false), ("9.", "91", true), ("/[0-9]{4,6}/", "12345", true), ("/[0-9]{4,6}/", "123", false),
    ("/1|2/", "12", false),
  ])
  func digitPatterns(_ pattern: String, _ keys: String, _ expected: Bool) throws {
    var call = try Call(
      """
      states:
        start:
          listen: { dtmf: { max_digits: 8, inter_digit_timeout: 1s } }
          transitions:
            - { event: dtmf, digits: "\(pattern)", target: hit }
        hit: { terminal: true }
      """)
    call.press(keys)
    call.wait(.seconds(1))
    #expect(call.states.contains("hit") == expected)
  }

  @Test(arguments: ["", "1.2", "[1", "q", "[]", "/(/"])
  func badDigitPatterns(_ pattern: String) {
    #expect(throws: DigitPattern.Problem.self) { try DigitPattern(pattern) }
  }

  // MARK: Grammars

  @Test(arguments: [
    ("(yes | no) [please]", true),
    ("#JSGF V1.0; grammar g; public <a> = <b>+ {tag}; <b> = /2/ one | /1/ \"two\";", true),
    ("#JSGF V1.0 UTF-8 en; grammar g; // note\npublic <a> = x* /* y */ <NULL>;", true), ("yes |", false),
    ("(yes", false), ("yes)", false), ("<missing>", false), ("#JSGF V1.0; grammar g; <a> = b;", false),
    ("#JSGF V1.0; grammar g; public <a> = <a> b;", false), ("#JSGF V1.0; public <a> = b;", false), ("yes {tag", false),
    ("#JSGF V1.0; grammar g; public <a> = <b>; <b> = <c>; <c> = <b> x;", false), ("a; <b> = c", true),
    ("#JSGF V1.0; grammar g; import <x.y>; public <a> = b;", false),
  ])
  func grammars(_ text: String, _ isValid: Bool) throws {
    let outcome = try load(
      """
      states:
        start:
          listen: { grammar: \(JSON.encode(.string(text))) }
          transitions: [{ event: "*", target: start }]
      """)
    #expect((outcome.dialog != nil) == isValid)
    #expect(outcome.diagnostics.contains { $0.code == "D015" } == !isValid)
    if let dialog = outcome.dialog { #expect(dialog.states[0].listen.grammar.hasPrefix("#JSGF")) }
  }
}
