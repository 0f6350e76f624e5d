import Base
import Dialogs
import Testing

/// Random expressions against an evaluator that was written from docs/dialogs/language.md alone.
@Suite struct ExpressionPropertyTests {
  private static let wallMs: Int64 = 1_700_000_000_123

  /// What the product makes of the text: a value, or nil for an error at load or at run time.
  private func product(_ source: String) -> Value? {
    guard let expression = try? Expression(source) else { return nil }
    return try? expression.value(TreeGenerator.variables, wallMs: Self.wallMs)
  }

  @Test(.timeLimit(.minutes(2))) func randomExpressionsAreWorthWhatTheGuideSays() {
    var values = 0
    var differences: [String] = []
    for seed in 1...30_000 as ClosedRange<UInt64> {
      var generator = TreeGenerator(seed: seed)
      let tree = generator.tree(depth: 1 + Int(seed % 5))
      let reference = ReferenceEvaluator(
        variables: TreeGenerator.variables, wallMs: Self.wallMs, patterns: generator.patterns)
      let expected: Value?
      do {
        expected = try reference.value(tree)
      } catch is Undefined {
        expected = nil
      } catch {
        continue  // Too much work for trying every way.
      }
      if expected != nil { values += 1 }
      for hasAllParentheses in [false, true] {
        var printer = TreePrinter(hasAllParentheses: hasAllParentheses, random: generator.random)
        let source = printer.print(tree)
        let actual = product(source)
        if actual != expected {
          func shown(_ value: Value?) -> String { value.map(JSON.encode) ?? "an error" }
          var why = ""
          do {
            _ = try Expression(source).value(TreeGenerator.variables, wallMs: Self.wallMs)
          } catch {
            why = " (\(error))"
          }
          differences.append("seed \(seed): `\(source)` is \(shown(actual))\(why), should be \(shown(expected))")
        }
      }
    }
    differences.sort { $0.utf8.count < $1.utf8.count }
    #expect(differences.isEmpty, "\(differences.count) differ:\n\(differences.prefix(20).joined(separator: "\n"))")
    // Most of them must have a value, or the comparison says little.
    #expect(values > 18_000)
  }
}

/// Regular expressions against a matcher that tries every way.
@Suite struct PatternPropertyTests {
  @Test(.timeLimit(.minutes(2))) func randomPatternsFindWhatTryingEveryWayFinds() {
    var differences: [String] = []
    var found = 0
    for seed in 1...40_000 as ClosedRange<UInt64> {
      var generator = PatternGenerator(random: SeededRandom(seed: seed))
      let (pattern, source) = generator.pattern()
      let text = generator.text()
      let expected: [String?]?
      do { expected = try pattern.firstMatch(in: text) } catch { continue }
      if expected != nil { found += 1 }
      let variables: [String: Value] = ["text": .string(text), "pattern": .string(source)]
      func product(_ expression: String) -> Value? { try? Expression(expression).value(variables) }
      // How much rounds that take nothing leave to what follows is told differently everywhere.
      let compared = 0..<(pattern.hasEmptyRounds ? 0 : pattern.groupCount + 1)
      let groups = compared.map { product("regex_extract(text, pattern, \($0))") }
      let wanted: [Value?] = compared.map { i in expected?[i].map { .string($0) } ?? .some(.null) }
      if product("text matches pattern") != .bool(expected != nil) || groups != wanted {
        differences.append("seed \(seed): `\(source)` in \(JSON.encode(.string(text))): \(groups), not \(wanted)")
      }
    }
    differences.sort { $0.utf8.count < $1.utf8.count }
    #expect(differences.isEmpty, "\(differences.count) differ:\n\(differences.prefix(20).joined(separator: "\n"))")
    #expect(found > 10_000)
  }
}

/// Texts that are hardly expressions. The time limits are no measurement: they end what would go on for ever.
@Suite struct HostileTextTests {
  private static let words = [
    "a", "name", "1", "2.5", "9223372036854775807", "'x'", "\"", "'", "(", ")", "[", "]", "{", "}", "{{", "}}", ",",
    ":",
    ".", "|", "+", "-", "*", "/", "%", "<", "<=", "==", "!=", "=", "!", "&&", "and", "or", "not", "in", "matches",
    "contains", "lower", "lower(", "default(", "choose(", "true", "null", "\\", "\n", " ", "é", "\u{0}", "🙂", "\u{301}",
    "{{-", "-}}", "eq", ".Variables.x", "\"{{\"",
  ]

  @Test(.timeLimit(.minutes(1))) func wordsInAnyOrderNeverCrash() {
    var random = SeededRandom(seed: 7)
    var values = 0
    for _ in 0..<30_000 {
      let count = 1 + Int(random.next() % 14)
      let glue = random.next() % 2 == 0 ? " " : ""
      let text = (0..<count).map { _ in Self.words[Int(random.next() % UInt64(Self.words.count))] }.joined(
        separator: glue)
      if let expression = try? Expression(text), (try? expression.value(["a": 1, "name": "Ada"])) != nil {
        values += 1
      }
      if let template = try? Template("{{ " + text), let said = try? template.text(["a": 1, "name": "Ada"]) {
        #expect(said.utf8.count <= 64 * 1_024)
      }
      _ = try? Template(text + " }}")
    }
    #expect(values > 300)
  }

  @Test(.timeLimit(.minutes(1))) func cutAndChangedExpressionsNeverCrash() {
    for seed in 1...20_000 as ClosedRange<UInt64> {
      var generator = TreeGenerator(seed: seed)
      let tree = generator.tree(depth: 4)
      var printer = TreePrinter(hasAllParentheses: seed % 2 == 0, random: generator.random)
      var scalars = Array(printer.print(tree).unicodeScalars)
      for _ in 0..<(1 + generator.pick(3)) where !scalars.isEmpty {
        let at = generator.pick(scalars.count)
        switch generator.pick(4) {
        case 0: scalars.remove(at: at)
        case 1: scalars.insert(scalars[generator.pick(scalars.count)], at: at)
        case 2: scalars.replaceSubrange(at..., with: scalars[..<at].prefix(generator.pick(20)))
        default: scalars.swapAt(at, generator.pick(scalars.count))
        }
      }
      var text = ""
      text.unicodeScalars.append(contentsOf: scalars)
      _ = try? Expression(text).value(TreeGenerator.variables)
      _ = try? Template("{{" + text + "}}").text(TreeGenerator.variables)
    }
  }

  /// The largest texts there can be, of the shapes that send careless parsers back over what they have read.
  @Test(.timeLimit(.minutes(1))) func theLongestTextsComeToAnEnd() {
    let pieces = [
      "(", "[", "{", "{a:", "-", "not ", "lower(", "a|lower|", "1+", "a.b", "a[", "'", "\"", "a and ", "[1,", "{{",
      "}}",
      "{{a}}", "{{ '", "{{[[", "a==", "\\", "a in [", "matches(a,'(((", "é", "|", "{{ a | ", ".", "1.1.", "{a:1},",
    ]
    for piece in pieces {
      for limit in [Expression.lengthLimit, Template.lengthLimit] {
        let text = String(repeating: piece, count: limit / piece.utf8.count)
        _ = try? Expression(text)
        _ = try? Template(text)
        _ = try? Template("{{ " + text.prefix(limit - 8) + " }}")
      }
    }
  }

  /// Nothing, repeated: it adds nothing to a program, and took years to add.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: ["(?:%){100}", "(?:%){100,}", "(?:%){0,100}", "(%){99,100}", "(?:%|%){2}", "(?:%)*"])
  func nestedRepetitionsAreRefusedOrMatchedSoon(_ shape: String) {
    for seed in ["", "a", "a?", "^"] {
      var pattern = seed
      while pattern.utf8.count < 900 {
        let next = shape.replacing("%", with: pattern)
        guard next.utf8.count < 1_000 else { break }
        pattern = next
        guard let expression = try? Expression("matches(text, pattern)") else { continue }
        let text = String(repeating: "a", count: 2_000) + "b"
        _ = try? expression.value(["text": .string(text), "pattern": .string(pattern)])
      }
    }
  }

  /// A value that holds itself twice, again and again.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: ["[x, x]", "{a: x, b: x}", "x + x", "[x]", "{a: x}", "[x, string(x)]", "[json(x), x]"])
  func valuesCannotGrowWithoutEnd(_ source: String) throws {
    let expression = try Expression(source)
    var x: Value = ["0123456789"]
    var rounds = 0
    while rounds < 100_000, let next = try? expression.value(["x": x]) {
      x = next
      rounds += 1
    }
    #expect(rounds < 100_000)
    #expect(JSON.encode(x).utf8.count < 2_000_000)
    // What a session keeps must come back from its record.
    #expect(try JSON.decode(JSON.encode(x)) == x)
  }
}
