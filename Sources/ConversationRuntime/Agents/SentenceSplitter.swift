/// Cuts what a language model streams into pieces that can be spoken, each as early as possible: at the end of a sentence,
/// at a line's end, or near ``softLimit`` characters where neither comes.
///
/// A value that knows no clock: deltas in, pieces out. A piece is plain text; see ``SpokenText``.
public struct SentenceSplitter: Sendable {
  /// A sentence that is longer is cut at a comma or a space: synthesis should not have to wait for its end.
  public static let softLimit = 200
  /// What has neither is cut anyway: it is no speech, and must not fill the memory.
  public static let hardLimit = 1_000

  /// What was not handed out yet. Scalars, because a delta may end in the middle of a character.
  private var pending: [Unicode.Scalar] = []
  /// Everything before it was looked at and ends no sentence.
  private var scanned = 0
  /// The last piece ended where the delta ended: quotes, brackets and dots that follow at once belong to it.
  private var dropsClosers = false

  public init() {}

  /// Takes what the model streamed next; returns the pieces that are now whole, often none.
  public mutating func add(_ delta: String) -> [String] {
    for scalar in delta.unicodeScalars {
      if dropsClosers, Self.closes(scalar) { continue }
      dropsClosers = false
      pending.append(scalar)
    }
    var pieces: [String] = []
    while let end = nextEnd() { take(end, into: &pieces) }
    return pieces
  }

  /// The answer is over: the rest, if there is anything to say in it.
  public mutating func flush() -> [String] {
    var pieces: [String] = []
    take(pending.count, into: &pieces)
    dropsClosers = false
    return pieces
  }

  private mutating func take(_ end: Int, into pieces: inout [String]) {
    let piece = SpokenText.plain(pending[..<end])
    pending.removeFirst(end)
    scanned = 0
    if !piece.isEmpty { pieces.append(piece) }
  }

  // MARK: Where a piece ends

  /// The end of the first piece of ``pending``, past its last scalar; nil where more has to come first.
  private mutating func nextEnd() -> Int? {
    var at = scanned
    scan: while at < pending.count {
      if at >= Self.softLimit, let end = softEnd() { return end }
      let scalar = pending[at]
      if scalar == "\n" || scalar == "\r" { return at + 1 }
      if Self.wideTerminators.contains(scalar) { return afterClosers(at + 1) }
      if Self.terminators.contains(scalar) {
        switch end(at) {
        case .ends(let end):
          dropsClosers = end == pending.count
          return end
        case .goesOn: break
        case .unknown: break scan
        }
      }
      at += 1
    }
    scanned = at
    return pending.count >= Self.softLimit ? softEnd() : nil
  }

  private enum Verdict {
    case ends(Int)
    case goesOn
    /// What follows decides, and has not come yet.
    case unknown
  }

  /// Whether the terminator at `at` ends a sentence.
  private func end(_ at: Int) -> Verdict {
    let word = self.word(before: at)
    let after = afterClosers(at + 1)
    guard after < pending.count else { return endsAtOnce(word, pending[at]) ? .ends(after) : .unknown }
    // Inside a number, a name of a host, a time of day.
    guard pending[after].properties.isWhitespace else { return .goesOn }
    guard pending[at] == "." else { return .ends(after) }
    switch Self.kind(of: word, startsLine: startsLine(at, word)) {
    case .neverEnds: return .goesOn
    case .plain: return .ends(after)
    case .beforeNumber:
      guard let next = nextVisible(after) else { return .unknown }
      return next.properties.numericType == nil ? .ends(after) : .goesOn
    case .mayEnd:
      if pending[after...].contains("\n") { return .ends(after) }
      guard let next = nextVisible(after) else { return .unknown }
      return next.properties.isUppercase ? .ends(after) : .goesOn
    }
  }

  /// Whether a terminator at the end of what has come so far ends the sentence, without a look at what follows: the caller
  /// must not wait for the model's next word. Only after a plain word; `3.` may become 3.5, and `www.` a host.
  private func endsAtOnce(_ word: [Unicode.Scalar], _ terminator: Unicode.Scalar) -> Bool {
    guard word.count >= 2, word.allSatisfy({ $0.properties.isAlphabetic || $0 == "'" || $0 == "’" || $0 == "-" }) else {
      return false
    }
    switch terminator {
    case ".": return Self.kind(of: word, startsLine: false) == .plain && Self.text(word) != "www"
    case ":": return !["http", "https", "mailto", "tel", "sip", "sips", "ftp"].contains(Self.text(word))
    default: return true
    }
  }

  /// The letters and signs between the last space and `at`, without quotes and markup around them.
  private func word(before at: Int) -> [Unicode.Scalar] {
    var first = at
    while first > 0, !pending[first - 1].properties.isWhitespace { first -= 1 }
    while first < at, Self.opens(pending[first]) { first += 1 }
    var last = at
    while last > first, Self.marks.contains(pending[last - 1]) { last -= 1 }
    return Array(pending[first..<last])
  }

  /// Whether nothing but the word stands before `at`: `1.` at the start of a list's line.
  private func startsLine(_ at: Int, _ word: [Unicode.Scalar]) -> Bool {
    pending[..<at].count { !$0.properties.isWhitespace && !Self.marks.contains($0) } == word.count
  }

  private func afterClosers(_ from: Int) -> Int {
    var at = from
    while at < pending.count, Self.closes(pending[at]) { at += 1 }
    return at
  }

  private func nextVisible(_ from: Int) -> Unicode.Scalar? {
    pending[from...].first { !$0.properties.isWhitespace && !Self.opens($0) }
  }

  /// The best place to cut a long sentence: after the last comma, else before the last space, within ``softLimit``.
  private func softEnd() -> Int? {
    let limit = min(Self.softLimit, pending.count)
    var space: Int?
    for at in stride(from: limit - 1, to: 0, by: -1) where pending[at].properties.isWhitespace {
      if [",", "，", "–", "—"].contains(pending[at - 1]), at > limit / 2 { return at }
      space = space ?? at
    }
    if let space { return space }
    return pending.count >= Self.hardLimit ? Self.hardLimit : nil
  }

  // MARK: Words that end in a dot

  private enum WordKind {
    case plain
    /// `Dr.`: a name follows.
    case neverEnds
    /// `No.`: an abbreviation where a number follows.
    case beforeNumber
    /// `p.m.`: the sentence ends where the next word begins with a capital.
    case mayEnd
  }

  private static func kind(of word: [Unicode.Scalar], startsLine: Bool) -> WordKind {
    let text = text(word)
    if neverEnd.contains(text) { return .neverEnds }
    if numbered.contains(text) { return .beforeNumber }
    if mayEnd.contains(text) { return .mayEnd }
    if word.count == 1, let letter = word.first {
      if letter.properties.isUppercase { return letter == "I" ? .plain : .neverEnds }
      if letter.properties.isLowercase { return .mayEnd }
    }
    // U.S.A, without its last dot.
    if word.count >= 3, word.contains("."),
      text.split(separator: ".").allSatisfy({ $0.unicodeScalars.count == 1 && !$0.allSatisfy(\.isNumber) })
    {
      return .mayEnd
    }
    if startsLine, word.allSatisfy({ $0.properties.numericType != nil }) { return .neverEnds }
    return .plain
  }

  private static func text(_ word: [Unicode.Scalar]) -> String {
    var text = ""
    text.unicodeScalars.append(contentsOf: word)
    return text.lowercased()
  }

  private static let neverEnd: Set<String> = [
    "dr", "mr", "mrs", "ms", "prof", "st", "mt", "gen", "col", "sgt", "capt", "lt", "rev", "hon", "e.g", "eg", "i.e",
    "ie",
    "vs", "approx", "ca", "cf", "z.b", "d.h", "u.a", "bzw", "fr", "mme", "mlle", "sra",
  ]
  private static let numbered: Set<String> = ["no", "nr", "fig", "vol", "ext", "tel", "pp", "p", "art", "sec"]
  private static let mayEnd: Set<String> = [
    "a.m", "p.m", "am", "pm", "etc", "inc", "ltd", "co", "corp", "jr", "sr", "ave", "blvd", "rd", "ft", "dept", "min",
    "max", "usw", "bros", "hr",
  ]

  private static let terminators: Set<Unicode.Scalar> = [".", "!", "?", ":", ";", "…"]
  /// Of scripts that put no space after them.
  private static let wideTerminators: Set<Unicode.Scalar> = ["。", "！", "？", "；", "।"]
  private static let marks: Set<Unicode.Scalar> = ["*", "_", "`", "~"]

  /// What may stand between a terminator and the space after it.
  private static func closes(_ scalar: Unicode.Scalar) -> Bool {
    marks.contains(scalar)
      || ["\"", "'", ")", "]", "}", "”", "’", "»", "」", "』", "）", ".", "!", "?", "…"].contains(scalar)
  }

  private static func opens(_ scalar: Unicode.Scalar) -> Bool {
    marks.contains(scalar) || ["\"", "'", "(", "[", "{", "“", "‘", "„", "«", "¿", "¡"].contains(scalar)
  }
}
