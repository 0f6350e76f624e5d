import CallLink

/// The search of one listening state: a small JSGF grammar made of what the state expects, with the words around it
/// that people say anyway.
///
/// A hint is a word or a phrase; callers put it into a sentence (`my printer is broken`). Open loops around it would
/// swallow any speech, so the carriers are a fixed, short set, measured to keep out-of-grammar speech out (see
/// README).
struct SearchGrammar: Sendable, Hashable {
  /// A grammar longer than this is refused: an author's grammar of this size is a mistake or an attack.
  static let maxGrammarBytes = 16 << 10
  /// Phrases of one state; more make every decode slow and every match doubtful. The rest is left out.
  static let maxPhrases = 200
  /// Words of one phrase; more is a sentence nobody repeats word by word.
  static let maxPhraseWords = 12
  /// Different words of one search.
  static let maxWords = 1000

  /// Names the compiled search: equal keys mean equal grammars.
  let key: String
  let jsgf: String
  /// Every word that needs a pronunciation.
  let words: [String]
  /// The words of the expected phrases; what is recognised must hold at least one of them.
  let phraseWords: Set<String>
  /// Whether a complete match may still go on (`<digit>+`), so that only silence can end the turn.
  let isOpenEnded: Bool
  /// Whether there is anything to recognise.
  let isEmpty: Bool

  /// - Throws: ``SpeechSetupError`` where the author's grammar is too long or malformed.
  init(_ listen: ListenSpec) throws(SpeechSetupError) {
    var phrases: [[String]] = []
    var seen: Set<[String]> = []
    for phrase in listen.phrases {
      for part in phrase.split(separator: "|") {
        let words = SpokenForm.words(of: String(part))
        guard !words.isEmpty, words.count <= Self.maxPhraseWords, phrases.count < Self.maxPhrases,
          seen.insert(words).inserted
        else { continue }
        phrases.append(words)
      }
    }
    let author = try AuthorGrammar(listen.grammar)
    isEmpty = phrases.isEmpty && author == nil
    isOpenEnded = author?.isOpenEnded ?? false

    var text = "#JSGF V1.0;\ngrammar parley;\n"
    var alternatives: [String] = []
    var vocabulary: Set<String> = []
    let expected = Set(phrases.joined()).union(author?.words ?? [])
    if !phrases.isEmpty {
      let hints = phrases.map { $0.joined(separator: " ") }
      text += "<parley_hint> = \(hints.joined(separator: " | "));\n"
      text += Carriers.weighted("more", hints) + Carriers.edges(without: expected) + Carriers.middle
      alternatives.append(Carriers.sentence)
      vocabulary.formUnion(Carriers.words)
      for phrase in phrases { vocabulary.formUnion(phrase) }
    }
    if let author {
      text += author.rules
      let start = author.publicRules.joined(separator: " | ")
      alternatives.append("[ <parley_open> ] ( \(start) ) [ <parley_end> ]")
      if phrases.isEmpty { text += Carriers.edges(without: expected) }
      vocabulary.formUnion(author.words)
      vocabulary.formUnion(Carriers.words)
    }
    if alternatives.isEmpty { alternatives = ["yes", "no"]; vocabulary = ["yes", "no"] }
    text += "public <parley> = \(alternatives.joined(separator: " | "));\n"
    guard vocabulary.count <= Self.maxWords else {
      throw SpeechSetupError("a grammar has \(vocabulary.count) different words; the limit is \(Self.maxWords)")
    }
    jsgf = text
    words = vocabulary.sorted()
    phraseWords = expected
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    key = "g\(String(hash, radix: 16))"
  }

  static func == (a: SearchGrammar, b: SearchGrammar) -> Bool { a.jsgf == b.jsgf }
  func hash(into hasher: inout Hasher) { hasher.combine(key) }
}

/// The words around an expected phrase.
enum Carriers {
  private static let open = ["um", "uh", "well", "okay", "hello", "please", "yes", "no"]
  private static let want = [
    "i want", "i need", "i would like", "i'd like", "i have", "i forgot", "i lost", "there is", "it is", "it's", "i am",
    "i'm", "that is", "we have", "what is", "what are", "i want an appointment", "i would like an appointment",
    "i have a problem with", "there is a problem with", "i have a question about", "i need help with",
    "i am calling about",
  ]
  private static let ask = [
    "i want to", "i need to", "i would like to", "i'd like to", "can i", "could i", "can you", "could you", "let me",
    "how do i", "please",
  ]
  private static let verb = [
    "get", "have", "reset", "change", "cancel", "make", "book", "speak to", "speak with", "talk to", "talk with",
    "know",
    "come", "check", "fix", "choose", "take", "see", "order", "pay", "ask about", "use", "open",
  ]
  private static let determiner = [
    "my", "the", "a", "an", "your", "our", "on", "in the", "on the", "for", "for the", "next", "with", "to", "about",
    "about my", "my account is",
  ]
  private static let after = [
    "is broken", "is not working", "isn't working", "does not work", "doesn't work", "is down", "is wrong", "problem",
    "is locked", "would be fine", "is fine", "reset", "out",
  ]
  private static let end = ["please", "thanks", "thank you"]

  /// What beginning a carrier costs, as a probability: so little that only speech that really holds the words takes it.
  private static let weight = "/0.000001/"

  /// The rule `<parley_name>`. The decoder's library heeds a weight only where a word follows it, and takes one before a rule or a
  /// bracket for 1, so every alternative carries its own.
  static func weighted(_ name: String, _ phrases: [String]) -> String {
    let alternatives = phrases.isEmpty ? ["<NULL>"] : phrases.map { "\(weight) \($0)" }
    return "<parley_\(name)> = \(alternatives.joined(separator: " | "));\n"
  }

  /// What stands before and after everything. An interjection that is itself an answer (`yes`) is none: `no yes` is no answer.
  static func edges(without expected: Set<String>) -> String {
    weighted("open", open.filter { !expected.contains($0) }) + weighted("end", end)
  }

  static let middle =
    weighted("want", want) + "<parley_ask> = \(ask.joined(separator: " | "));\n" + weighted("verb", verb)
    + weighted("det", determiner) + weighted("after", after)
  static let sentence =
    "[ <parley_open> ] [ <parley_want> | [ <parley_ask> ] <parley_verb> ] [ <parley_det> ] <parley_hint> "
    + "[ [ <parley_want> | <parley_det> ] <parley_more> ] [ <parley_after> ] [ <parley_end> ]"

  static let words = Set(
    [open, want, ask, verb, determiner, after, end].joined().flatMap { $0.split(separator: " ").map(String.init) })
}
