import Base

/// Turns a written phrase into the words that are said: lower case, numbers spelled out, punctuation gone.
enum SpokenForm {
  /// The words of `text`; empty where nothing in it can be spoken in English letters.
  static func words(of text: String) -> [String] {
    var words: [String] = []
    var letters = ""
    var digits = ""
    func flush() {
      if !digits.isEmpty { words += number(digits) }
      while letters.hasPrefix("'") { letters.removeFirst() }
      while letters.hasSuffix("'") { letters.removeLast() }
      if !letters.isEmpty { words.append(letters) }
      letters = ""
      digits = ""
    }
    for scalar in text.unicodeScalars {
      switch scalar {
      case "A"..."Z", "a"..."z":
        if !digits.isEmpty { flush() }
        letters += String(scalar).lowercased()
      case "'", "\u{2019}":
        if !letters.isEmpty { letters += "'" }
      case "0"..."9":
        if !letters.isEmpty { flush() }
        digits.unicodeScalars.append(scalar)
      case "&":
        flush()
        words.append("and")
      default: flush()
      }
    }
    flush()
    return words
  }

  /// Up to two digits as a number, more digit by digit, as people say codes.
  private static func number(_ digits: String) -> [String] {
    if digits.count <= 2, !digits.hasPrefix("0") || digits.count == 1, let value = Int(digits) {
      return SpokenNumber.cardinal(value).split(separator: " ").map(String.init)
    }
    return digits.prefix(SearchGrammar.maxPhraseWords).compactMap(SpokenNumber.digit)
  }
}
