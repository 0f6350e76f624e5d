/// Makes a full-text query of whatever a caller or a language model said. Only letters and digits get into it, each word in
/// quotes, so nothing that was said can be syntax.
enum SearchWords {
  /// Words that nearly every passage holds: they would only slow the search down and blur its order.
  private static let common: Set<String> = [
    "a", "about", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "d", "did", "do", "does", "for", "from", "get", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if",
    "in",
    "into", "is", "it", "its", "just", "like", "ll", "m", "me", "my", "no", "not", "now", "of", "on", "or", "our",
    "please", "re", "s", "she",
    "should", "so", "some", "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this",
    "to", "us", "ve", "want", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with",
    "would",
    "you", "your",
  ]

  /// The words that count, lower case, each once. Where all of them are common, all of them count.
  static func words(_ text: String) -> [String] {
    var all: [String] = [], seen: Set<String> = []
    var word = ""
    func finish() {
      if !word.isEmpty, seen.insert(word).inserted { all.append(word) }
      word = ""
    }
    for scalar in text.unicodeScalars.prefix(10_000) {
      let properties = scalar.properties
      let isMark = properties.generalCategory == .nonspacingMark || properties.generalCategory == .spacingMark
      if properties.isAlphabetic || properties.numericType != nil || (isMark && !word.isEmpty) {
        // A longer run is no word that anybody said.
        if word.utf8.count < 64 { word += properties.lowercaseMapping }
      } else {
        finish()
      }
    }
    finish()
    let telling = all.filter { !common.contains($0) }
    return Array((telling.isEmpty ? all : telling).prefix(DocumentLimits.queryWords))
  }

  /// An FTS5 query that any of the words fits, longer ones also as the beginning of a word; nil: there are no words.
  static func query(_ text: String) -> String? {
    let words = words(text)
    if words.isEmpty { return nil }
    return words.map { $0.count >= 3 ? "\"\($0)\" OR \"\($0)\" *" : "\"\($0)\"" }.joined(separator: " OR ")
  }
}
