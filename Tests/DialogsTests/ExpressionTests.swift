import Base
import Dialogs
import Testing

/// Expressions are tried the way a dialog uses them: said by a prompt, or as a condition.
@Suite struct ExpressionTests {
  /// What a prompt says for the text, or `!` and the failure's message.
  private func said(_ text: String, _ variables: String = "") throws -> String {
    let yaml = """
      states:
        start:
          on_enter:
            - action: play_tts
              text: \(quoted(text))
          terminal: true
      variables:
        name: "Ada"
        count: 3
        ratio: 0.5
        flag: true
        empty: ""
        items: [red, green, 3]
        person: { first: Ada, age: 36, tags: [a, b] }
        anything: null
      \(variables)
      """
    let outcome = try load(yaml)
    guard let dialog = outcome.dialog else {
      return "? " + (outcome.diagnostics.first { $0.severity == .error }.map { "\($0.code) \($0.message)" } ?? "")
    }
    var session = DialogSession(dialog: dialog, call: CallFacts(callerID: "+4930123"))
    let actions = session.receive(.callAnswered, at: .zero, wallMs: 1_700_000_000_000)
    for action in actions {
      if case .say(let prompt) = action, case .text(let text) = prompt.source { return text }
      if case .trace(.failure(_, _, let message)) = action { return "! " + message }
    }
    return ""
  }

  private func quoted(_ text: String) -> String { JSON.encode(.string(text)) }

  @Test(arguments: [
    ("{{ 1 + 2 * 3 }}", "7"), ("{{ (1 + 2) * 3 }}", "9"), ("{{ 7 / 2 }}", "3.5"), ("{{ 8 / 2 }}", "4"),
    ("{{ 7 % 4 }}", "3"), ("{{ -count + 1 }}", "-2"), ("{{ 2 - -3 }}", "5"), ("{{ 1.5 + 1.5 }}", "3"),
    ("{{ 10 - 3 - 2 }}", "5"), ("{{ 'a' + 'b' }}", "ab"), ("{{ [1] + [2, 3] }}", "[1,2,3]"),
    ("Hello {{ name }}!", "Hello Ada!"), ("{{ name }}{{ count }}", "Ada3"), ("no braces", "no braces"),
    ("{{ '{{' }}x", "{{x"), ("a } b { c", "a } b { c"),
    ("{{ 1 == 1.0 }}", "true"), ("{{ 'a' != 'b' }}", "true"), ("{{ count >= 3 and ratio < 1 }}", "true"),
    ("{{ not flag or count > 5 }}", "false"), ("{{ not (count == 4) }}", "true"), ("{{ 'b' > 'a' }}", "true"),
    ("{{ 'red' in items }}", "true"), ("{{ 3 in items }}", "true"), ("{{ 'blue' not in items }}", "true"),
    ("{{ items contains 'green' }}", "true"), ("{{ 'first' in person }}", "true"), ("{{ 'DA' in name }}", "true"),
    ("{{ name contains 'ad' }}", "true"), ("{{ name startswith 'a' }}", "true"), ("{{ name endswith 'DA' }}", "true"),
    ("{{ name matches '^a.a$' }}", "true"), ("{{ matches(name, 'x|d') }}", "true"),
    ("{{ matches('yesterday', '\\\\byes\\\\b') }}", "false"),
    ("{{ person.first }}", "Ada"), ("{{ person['age'] + 1 }}", "37"), ("{{ person.tags[1] }}", "b"),
    ("{{ items[-1] }}", "3"), ("{{ items.0 }}", "red"), ("{{ items[9] }}", ""), ("{{ person.none.deeper }}", ""),
    ("{{ name[0] }}", "A"), ("{{ {a: 1, 'b': [2]}.b[0] }}", "2"),
    ("{{ empty | default('caller') }}", "caller"), ("{{ name | lower | upper }}", "ADA"),
    ("{{ anything | default(1) | string }}", "1"), ("{{ anything }}", ""),
    ("{{ null == anything }}", "true"), ("{{ anything > 3 }}", "false"),
  ])
  func operators(_ text: String, _ expected: String) throws {
    #expect(try said(text) == expected)
  }

  @Test(arguments: [
    ("lower('ÄB')", "äb"), ("upper('straße')", "STRASSE"), ("trim('  a b ')", "a b"), ("len('añb')", "3"),
    ("len(items)", "3"), ("len(anything)", "0"), ("int('42')", "42"), ("int(3.9)", "3"),
    ("int('9007199254740993')", "9007199254740993"),
    ("number(' 2.5 ')", "2.5"), ("number('7')", "7"), ("string(2.0)", "2"), ("string(true)", "true"),
    ("default(empty, 'x')", "x"), ("coalesce(anything, empty, 'z')", "z"), ("exists(anything)", "false"),
    ("exists(person.first)", "true"), ("json(person)", #"{"age":36,"first":"Ada","tags":["a","b"]}"#),
    ("now()", "1700000000"), ("format_time(now(), '%F %T')", "2023-11-14 22:13:20"),
    ("format_time(0, '%A %e %B %Y, %l %p')", "Thursday 1 January 1970, 12 AM"),
    ("format_time(now(), '%H:%M', 60)", "23:13"), ("format_time(951782400, '%F %j')", "2000-02-29 060"),
    ("format_time(-86400, '%F %a')", "1969-12-31 Wed"),
    ("digits('my number is four seven 11, oh')", "47110"), ("spell('4711')", "4 7 1 1"),
    ("spell(digits('one two'))", "1 2"),
    ("min(3, 1, 2)", "1"), ("max([1, 5, 2])", "5"), ("round(2.5)", "3"), ("round(3.14159, 2)", "3.14"),
    ("split('a,b,c', ',')", #"["a","b","c"]"#), ("join(split('a b', ' '), '-')", "a-b"),
    ("replace('a.b.c', '.', '')", "abc"), ("regex_extract('ticket 4711 open', '[0-9]+')", "4711"),
    ("regex_extract('room b12', 'room ([a-z])([0-9]+)', 2)", "12"), ("regex_extract('x', 'y')", ""),
    ("contains('abc', 'B')", "true"), ("choose(count > 2, 'many', 1 / 0)", "many"), ("choose(null, 1, 2)", "2"),
    ("startswith('abc', 'a')", "true"), ("slot('city')", ""),
    ("caller_id", "+4930123"),
  ])
  func functions(_ expression: String, _ expected: String) throws {
    #expect(try said("{{ \(expression) }}") == expected)
  }

  @Test(arguments: [
    ("{{ 1 / (count - 3) }}", "division by zero"), ("{{ 9223372036854775807 + count }}", "too large"),
    ("{{ int('abc') }}", "cannot read"), ("{{ anything + 1 }}", "needs numbers"),
    ("{{ regex_extract(name, name + '(') }}", "not valid"), ("{{ len(flag) }}", "measures"),
    ("{{ round(1.5, 20) }}", "0 to 9 places"), ("{{ format_time(99999999999999, '%Y') }}", "years"),
    ("{{ person.first.x }}", "asks text for a member"),
  ])
  func failuresAtRunTime(_ text: String, _ part: String) throws {
    let result = try said(text)
    #expect(result.hasPrefix("! ") && result.contains(part), "\(result)")
  }

  @Test(arguments: [
    ("{{ nmae }}", "D010"), ("{{ uper(name) }}", "D008"), ("{{ 1 + }}", "D011"), ("{{ name", "D011"), ("{{ }}", "D011"),
    ("{{ name = 'x' }}", "D011"), ("{{ flag && flag }}", "D011"), ("{{ 'abc }}", "D011"), ("{{ 1 < 2 < 3 }}", "D011"),
    ("{{ name name }}", "D011"), ("{{ lower() }}", "D011"), ("{{ lower(count) }}", "D012"),
    ("{{ count + name }}", "D012"),
    ("{{ count == name }}", "D012"), ("{{ flag < 2 }}", "D012"), ("{{ not name }}", "D012"),
    ("{{ name and flag }}", "D012"),
    ("{{ count.x }}", "D012"), ("{{ count contains 3 }}", "D012"), ("{{ name matches '(' }}", "D017"),
    ("{{ .5 }}", "D011"), ("{{ .Variables.nmae }}", "D010"), ("{{ 12abc }}", "D011"),
    ("{{ 99999999999999999999 }}", "D011"), ("{{ and }}", "D011"), ("{{ [1, 2 }}", "D011"),
  ])
  func mistakesAreFoundAtLoad(_ text: String, _ code: String) throws {
    let result = try said(text)
    #expect(result.hasPrefix("? " + code), "\(result)")
  }

  @Test func deepNestingIsRefusedAndDoesNotCrash() throws {
    for (open, close) in [("(", ")"), ("[", "]"), ("lower(", ")"), ("not ", ""), ("-", "")] {
      let text = "{{ " + String(repeating: open, count: 500) + "1" + String(repeating: close, count: 500) + " }}"
      #expect(try said(text).hasPrefix("? D01"), "\(open)")
    }
    let chain = "{{ 1" + String(repeating: " + 1", count: 900) + " }}"
    #expect(try said(chain).hasPrefix("? D011"))
    #expect(try said("{{ 1" + String(repeating: " + 1", count: 50) + " }}") == "51")
  }

  @Test func outputAndWorkAreBounded() throws {
    let big = String(repeating: "x", count: 40_000)
    #expect(try said("{{ big + big }}", "  big: \"\(big)\"").contains("64 KiB"))
    #expect(try said("{{ replace(big, 'x', 'yyyyyyyyyy') }}", "  big: \"\(big)\"").contains("64 KiB"))
    // A pattern that sends backtracking engines into exponential time.
    let text = String(repeating: "a", count: 5_000) + "b"
    #expect(try said("{{ matches(big, '^(a+)+$') }}", "  big: \"\(text)\"") == "false")
  }

  @Test func resultsAreExactBytes() throws {
    let template = "{{ json(person) }} {{ ratio * 3 }} {{ format_time(now(), '%c %B') }}"
    #expect(try said(template) == said(template))
    #expect(try said("{{ ratio * 3 }}") == "1.5")
  }
}
