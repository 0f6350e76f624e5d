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
    if !phrases.isEmpty {
      text += "<parley_hint> = \(phrases.map { $0.joined(separator: " ") }.joined(separator: " | "));\n"
      text += Carriers.rules
      alternatives.append(Carriers.sentence)
      vocabulary.formUnion(Carriers.words)
      for phrase in phrases { vocabulary.formUnion(phrase) }
    }
    if let author {
      text += author.rules
      let start = author.publicRules.joined(separator: " | ")
      alternatives.append("[ <parley_open> ] ( \(start) ) [ <parley_end> ]")
      if phrases.isEmpty { text += Carriers.edges }
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
    phraseWords = Set(phrases.joined()).union(author?.words ?? [])
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

  private static func group(_ name: String, _ phrases: [String]) -> String {
    "<parley_\(name)> = \(phrases.joined(separator: " | "));\n"
  }

  static let edges = group("open", open) + group("end", end)
  static let rules =
    edges + group("want", want) + group("ask", ask) + group("verb", verb) + group("det", determiner)
    + group("after", after)
  static let sentence =
    optional("<parley_open>", 0.1) + optional("<parley_want> | \(optional("<parley_ask>", 0.5))<parley_verb>", 0.3)
    + optional("<parley_det>", 0.3) + "<parley_hint> "
    + optional("\(optional("<parley_want> | <parley_det>", 0.3))<parley_hint>", 0.1) + optional("<parley_after>", 0.1)
    + optional("<parley_end>", 0.15)

  /// `expansion` with a probability: every carrier costs something, so that only speech that really holds it takes it.
  private static func optional(_ expansion: String, _ probability: Double) -> String {
    "( /\(1 - probability)/ <NULL> | /\(probability)/ ( \(expansion) ) ) "
  }

  static let words = Set(
    [open, want, ask, verb, determiner, after, end].joined().flatMap { $0.split(separator: " ").map(String.init) })
}
