import Base
import Settings
import Testing

/// What is written as YAML reads back as the same data.
@Suite struct YAMLTextTests {
  private func back(_ node: YAMLNode) throws -> Value { try YAML.read(YAMLText.write(node), file: "test.yaml").value }

  @Test(
    arguments: [
      "", " ", "~", "null", "True", "no", "on", "Y", "1", "-1", "0x1F", "1e3", ".5", "+1", "0000", "nan", "a: b", "a:",
      ":a",
      "a #b", "#a", "- a", "-", "--- x", "...", "? a", "! a", "&a", "*a", "%a", "@a", "`a`", "{a}", "[a]", "a, b",
      "'a'",
      "it's", "\"a\"", "a\\b", "a\nb", "a\n", "a\n\n", "\na", " a\nb", "a\n b\n", "a\n\n\nb", "a\tb", "\t", "a\r\nb",
      "a\rb",
      "{{ x | default('a: b') }}", "https://example.com/a?b=c#d", "e\u{301}", " \u{301}a", "a\u{2028}b",
      "\u{85}", "\u{7F}", "\u{1B}[0m", "日本語: はい", "naïve", "🎉", "<<", "=", "${HOME}", "a  b", "a ", "|", ">", "> a",
      "8s",
      "1h30m", "0x1s",
      "a &b *c: d", "&a\n*b : c",
    ]) func textsComeBack(_ text: String) throws
  {
    #expect(try back(.map([(key: "key", value: .text(text))])) == ["key": .string(text)])
    #expect(try back(.list([.text(text), .text("next")])) == [.string(text), "next"])
    #expect(
      try back(.inline(.list([.text(text), .map([(key: text, value: .text(text))])]))) == [
        .string(text), [text: .string(text)],
      ])
    #expect(try back(.map([(key: text, value: .list([.text(text)]))])) == [text: [.string(text)]])
    #expect(try back(.text(text)) == .string(text))
  }

  @Test func anyDataComesBack() throws {
    var random = SeededRandom(seed: 5)
    for round in 0..<3_000 {
      let value = random.value(depth: 4)
      #expect(try back(.value(value)) == value, "round \(round): \(JSON.encode(value))")
      #expect(try back(.inline(.value(value))) == value, "round \(round), inline: \(JSON.encode(value))")
    }
  }

  @Test func whatReadersLoseIsLeftOut() throws {
    #expect(try back(["key": "\u{FEFF}a\0b"]) == ["key": "ab"])
  }

  @Test func longTextIsFoldedAndComesBack() throws {
    var random = SeededRandom(seed: 6)
    for _ in 0..<500 {
      let words = (0..<Int.random(in: 15...80, using: &random)).map { _ in random.text(10) }
      let text = words.joined(separator: " ")
      #expect(try back(.map([(key: "key", value: .text(text))])) == ["key": .string(text)], "\(text)")
    }
    let prompt = Array(repeating: "You help the caller: be kind, be short.", count: 9).joined(separator: " ")
    let yaml = YAMLText.write(["states": ["start": ["agent": ["prompt": .text(prompt)]]]])
    #expect(yaml.split(separator: "\n").allSatisfy { $0.count <= 120 })
  }

  @Test func itLooksAsAPersonWouldWriteIt() {
    let node: YAMLNode = [
      "name": "plans", "version": "1.0", "empty": .value([:]), "on": ["wait": "8s", "who": "on"],
      "states": [
        "start": [
          "on_enter": [
            ["action": "play_tts", "text": "Hello, caller: how are you?"],
            .inline(["action": "goto", "target": "end"]),
          ],
          "transitions": [["event": "dtmf", "digits": "1", "target": "end"]],
        ],
        "end": ["terminal": true, "note": "two\nlines"],
      ],
    ]
    #expect(
      YAMLText.write(node) == """
        name: plans
        version: "1.0"
        empty: {}
        on:
          wait: 8s
          who: "on"
        states:
          start:
            on_enter:
              - action: play_tts
                text: "Hello, caller: how are you?"
              - { action: goto, target: end }
            transitions:
              - event: dtmf
                digits: "1"
                target: end
          end:
            terminal: true
            note: |-
              two
              lines

        """)
  }
}

extension SeededRandom {
  fileprivate mutating func text(_ length: Int) -> String {
    let alphabet = Array(
      "abcXYZ019 _-:,.#'\"\\{}[]&*!|>%@`?=~$<\n\t\r\u{1}\u{7F}\u{85}\u{A0}\u{301}\u{2028}\u{FFFD}é日🎉".unicodeScalars)
    var text = ""
    for _ in 0..<Int.random(in: 0...length, using: &self) {
      // Mostly letters, so that plain and folded text come up as well.
      text.unicodeScalars.append(
        Bool.random(using: &self) ? "a" : alphabet[Int.random(in: 0..<alphabet.count, using: &self)])
    }
    return text
  }

  fileprivate mutating func value(depth: Int) -> Value {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &self) {
    case 0: return .null
    case 1: return .bool(.random(using: &self))
    case 2: return .int(.random(in: .min ... .max, using: &self))
    case 3: return .double(.random(in: -1e20...1e20, using: &self))
    case 4, 5: return .string(text(30))
    case 6: return .list((0..<Int.random(in: 0...4, using: &self)).map { _ in value(depth: depth - 1) })
    default:
      var map: [String: Value] = [:]
      for _ in 0..<Int.random(in: 0...4, using: &self) { map[text(12)] = value(depth: depth - 1) }
      return .map(map)
    }
  }
}
