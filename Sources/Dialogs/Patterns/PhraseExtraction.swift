/// Reads from a regular expression the phrases that a caller would say to fit it, for the recogniser's search.
///
/// `reset (my )?password|locked` gives "reset password", "reset my password" and "locked". Where anything may stand (`.*`),
/// the phrase is cut: its parts are listed on their own.
struct PhraseExtraction {
  /// More would drown the recogniser, and nobody lists that many by hand.
  static let limit = 64

  static func phrases(of pattern: RegexPattern) -> [String] {
    var seen: Set<String> = []
    var result: [String] = []
    for text in expand(pattern.syntax) {
      for piece in text.split(separator: gap) {
        let phrase = normalized(String(piece))
        if isPhrase(phrase), seen.insert(phrase).inserted { result.append(phrase) }
      }
    }
    return Array(result.prefix(limit))
  }

  /// Lower case, single spaces, no punctuation but apostrophes inside words.
  static func normalized(_ text: String) -> String {
    var words: [String] = []
    var word = ""
    for scalar in text.unicodeScalars {
      if scalar.isWord && scalar != "_" || scalar == "'" && !word.isEmpty {
        word.unicodeScalars.append(scalar.folded)
      } else if !word.isEmpty {
        words.append(word)
        word = ""
      }
    }
    if !word.isEmpty { words.append(word) }
    return words.joined(separator: " ")
  }

  static func isPhrase(_ text: String) -> Bool {
    var letters = 0
    for scalar in text.unicodeScalars where scalar.isWord && scalar.digitValue == nil { letters += 1 }
    return letters >= 2
  }

  /// Stands for "anything": splits a phrase.
  private static let gap: Character = "\u{0}"

  private static func expand(_ syntax: RegexSyntax) -> [String] {
    switch syntax {
    case .empty, .anchor: return [""]
    case .scalar(let c): return [String(Character(c))]
    case .set(let set):
      if set == .space { return [" "] }
      guard !set.isNegated, set.ranges.reduce(0, { $0 + $1.count }) <= 4 else { return [String(gap)] }
      return set.ranges.flatMap { range in range.compactMap { Unicode.Scalar($0).map { String(Character($0.folded)) } }
      }
    case .word: return [String(gap)]
    case .group(let inner, _): return expand(inner)
    case .choice(let branches): return Array(branches.flatMap(expand).prefix(limit))
    case .sequence(let parts):
      var result = [""]
      for part in parts {
        let choices = expand(part)
        if result.count * choices.count > limit {
          // Too many to list: what comes next starts a phrase of its own.
          result = result.map { $0 + String(gap) } + choices
          result = Array(result.prefix(2 * limit))
        } else {
          result = result.flatMap { head in choices.map { head + $0 } }
        }
      }
      return result
    case .repetition(let inner, let min, let max, _):
      let once = expand(inner)
      if case .set(let set) = inner, set == .space { return min == 0 && max == 1 ? ["", " "] : [" "] }
      if min == 0, max == 1 { return [""] + once }
      if min == 1, max == 1 { return once }
      if min == 0 { return [String(gap)] + once.map { String(gap) + $0 + String(gap) } }
      return once.map { $0 + String(gap) }
    }
  }
}
