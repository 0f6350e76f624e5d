/// A bigram language model with absolute discounting, written in the ARPA format that PocketSphinx reads. It lets the caller
/// understand prompts it has been told about far better than general English does, and still hear the words in between
/// (a ticket number) because every word may follow every other at a price.
struct BigramModel {
  private static let discount = 0.4
  /// Spoken numbers may stand anywhere: prompts read out tickets, times and digits.
  private static let numbers = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen \
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand oh
    """

  private(set) var vocabulary: Set<String> = []
  private var unigrams: [String: Int] = [:]
  private var bigrams: [String: [String: Int]] = [:]

  /// - Parameter sentences: lower-case words separated by spaces.
  init(sentences: [[String]]) {
    for number in Self.numbers.split(separator: " ") { unigrams[String(number)] = 1 }
    for sentence in sentences where !sentence.isEmpty {
      let words = ["<s>"] + sentence + ["</s>"]
      for (a, b) in zip(words, words.dropFirst()) {
        unigrams[b, default: 0] += 1
        bigrams[a, default: [:]][b, default: 0] += 1
      }
      // A prompt may be joined to the next one without a pause.
      bigrams[sentence[sentence.count - 1], default: [:]]["<s>"] = nil
    }
    vocabulary = Set(unigrams.keys).subtracting(["</s>"])
  }

  /// - Parameter log10: the decimal logarithm (this file needs no maths library of its own).
  func arpa(log10: (Double) -> Double) -> String {
    let total = Double(unigrams.values.reduce(0, +))
    let words = unigrams.keys.sorted()
    let pairs = bigrams.values.reduce(0) { $0 + $1.count }
    var lines = ["\\data\\", "ngram 1=\(words.count + 1)", "ngram 2=\(pairs)", "", "\\1-grams:"]
    func backoff(_ word: String) -> Double {
      guard let followers = bigrams[word] else { return 0 }
      let seen = Double(followers.values.reduce(0, +))
      return log10(Self.discount * Double(followers.count) / seen)
    }
    lines.append("-99 <s> \(backoff("<s>"))")
    for word in words { lines.append("\(log10(Double(unigrams[word] ?? 1) / total)) \(word) \(backoff(word))") }
    lines += ["", "\\2-grams:"]
    for first in bigrams.keys.sorted() {
      guard let followers = bigrams[first] else { continue }
      let seen = Double(followers.values.reduce(0, +))
      for second in followers.keys.sorted() {
        lines.append("\(log10((Double(followers[second] ?? 1) - Self.discount) / seen)) \(first) \(second)")
      }
    }
    return (lines + ["", "\\end\\", ""]).joined(separator: "\n")
  }
}
