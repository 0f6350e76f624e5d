import Base
import ConversationRuntime
import Testing

/// What a model streams becomes pieces that can be spoken, as early as possible and nowhere else.
@Suite struct AgentsSentenceTests {
  private static func split(_ deltas: [String]) -> [String] {
    var splitter = SentenceSplitter()
    var pieces = deltas.flatMap { splitter.add($0) }
    pieces += splitter.flush()
    return pieces
  }

  /// Without the quotes, brackets and dots at its end: a piece that left at once could not wait for them.
  private static func bare(_ piece: String) -> String {
    var piece = Substring(piece)
    while let last = piece.last, "\")]!?.".contains(last) { piece.removeLast() }
    return String(piece)
  }

  private static let whole: [(String, [String])] = [
    ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
    ("Dr. Smith is in. Mr. Jones is not.", ["Dr. Smith is in.", "Mr. Jones is not."]),
    ("It costs 3.50 today. Call back.", ["It costs 3.50 today.", "Call back."]),
    ("Bring fruit, e.g. apples. Thanks.", ["Bring fruit, e.g. apples.", "Thanks."]),
    (
      "We open at 10 a.m. on Monday. We close at 5 p.m. Please come.",
      ["We open at 10 a.m. on Monday.", "We close at 5 p.m.", "Please come."]
    ),
    (
      "See www.example.com for more. Or https://example.com/a?b=1! Bye.",
      ["See www.example.com for more.", "Or https://example.com/a?b=1!", "Bye."]
    ),
    ("It is 10:30 now. Choose: tea; coffee.", ["It is 10:30 now.", "Choose:", "tea;", "coffee."]),
    ("No. 5 is free. No. We are closed.", ["No. 5 is free.", "No.", "We are closed."]),
    ("John F. Kennedy spoke. The U.S. Senate sat.", ["John F. Kennedy spoke.", "The U.S.", "Senate sat."]),
    ("He said \"yes.\" She said (no!) Then both left.", ["He said \"yes.\"", "She said (no!)", "Then both left."]),
    ("Well... let me see?! Right.", ["Well...", "let me see?!", "Right."]),
    ("First line\nSecond line\r\n\r\nThird", ["First line", "Second line", "Third"]),
    ("1. Apples\n2. Pears\n", ["1. Apples", "2. Pears"]),
    ("你好。再见！", ["你好。", "再见！"]),
    ("**Bold** and *soft* and `code` and snake_case.", ["Bold and soft and code and snake_case."]),
    ("## Title\n- one item\n* two items\n> quoted\n---\n", ["Title", "one item", "two items", "quoted"]),
    ("It is -5 degrees. We are #1!", ["It is -5 degrees.", "We are #1!"]),
    ("See [our page](https://x.example/a.b?c=d) now.", ["See our page now."]),
    ("Great 🎉👍🏽! I ❤️ it 👩‍💻.", ["Great!", "I it."]),
    ("🎉", []), ("...", []), ("", []), ("   \n ", []),
    ("Caf\u{65}\u{301} is open.", ["Café is open."]),
  ]

  @Test(arguments: whole)
  func aTextIsCutWhereAPersonPauses(text: String, expected: [String]) {
    #expect(Self.split([text]) == expected)
  }

  @Test(arguments: whole)
  func howItIsStreamedMakesNoDifference(text: String, expected: [String]) {
    // One scalar at a time is the hardest: nothing that follows is known.
    let one = Self.split(text.unicodeScalars.map { String($0) })
    #expect(one.map(Self.bare) == expected.map(Self.bare))
  }

  @Test func randomCutsGiveTheSamePieces() {
    var random = SeededRandom(seed: 7)
    for (text, expected) in Self.whole {
      for _ in 0..<40 {
        var deltas: [String] = []
        var rest = Array(text.unicodeScalars)[...]
        while !rest.isEmpty {
          let count = min(rest.count, 1 + Int(random.next() % 9))
          var delta = ""
          delta.unicodeScalars.append(contentsOf: rest.prefix(count))
          deltas.append(delta)
          rest = rest.dropFirst(count)
        }
        #expect(Self.split(deltas).map(Self.bare) == expected.map(Self.bare), "\(deltas)")
      }
    }
  }

  @Test func aSentenceLeavesBeforeTheNextBegins() {
    var splitter = SentenceSplitter()
    #expect(splitter.add("Your order") == [])
    #expect(splitter.add(" has shipped") == [])
    #expect(splitter.add(".") == ["Your order has shipped."])
    #expect(splitter.add(" It costs 3") == [])
    #expect(splitter.add(".") == [], "3. may become 3.5")
    #expect(splitter.add("5") == [])
    #expect(splitter.add(" euros!") == ["It costs 3.5 euros!"])
    #expect(splitter.flush() == [])
  }

  @Test func aLongSentenceIsCutAtACommaOrASpace() {
    let clause = "this is a clause of words that goes on for a good while without any end in sight"
    var splitter = SentenceSplitter()
    let pieces = splitter.add("\(clause), \(clause), \(clause)")
    #expect(pieces == ["\(clause), \(clause),"])
    #expect(splitter.flush() == [clause])

    let words = Array(repeating: "word", count: 100).joined(separator: " ")
    let cut = Self.split([words])
    #expect(cut.joined(separator: " ") == words)
    #expect(cut.allSatisfy { $0.count <= SentenceSplitter.softLimit })
  }

  @Test func whatIsNoSpeechIsBounded() {
    var splitter = SentenceSplitter()
    var pieces: [String] = []
    for _ in 0..<5_000 { pieces += splitter.add("xyz") }
    #expect(pieces.allSatisfy { $0.count <= SentenceSplitter.hardLimit })
    #expect(pieces.count == 15_000 / SentenceSplitter.hardLimit)
  }
}
