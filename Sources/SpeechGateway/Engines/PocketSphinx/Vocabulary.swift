import CPocketSphinx

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The general English language model of the recogniser's package, and the words of it that are worth searching.
///
/// A decoder takes one for itself: the library keeps caches inside a model, so decoders on different threads must not share one.
struct GeneralEnglish: ~Copyable {
  /// Words that are searched, the most frequent ones of the model's 72 000. Twice as fast as all of them and, with rare words out
  /// of the way, a little more often right (README).
  static let vocabulary = 20_000

  let model: OpaquePointer
  /// The most frequent words, without the model's own marks.
  let words: [String]

  /// - Throws: ``SpeechSetupError`` where the model cannot be read.
  init(path: String, logmath: OpaquePointer) throws(SpeechSetupError) {
    guard access(path, R_OK) == 0, let model = ngram_model_read(nil, path, NGRAM_AUTO, logmath) else {
      throw SpeechSetupError(
        "the language model \(path) cannot be read", hint: "install the package pocketsphinx-en-us")
    }
    self.model = model
    guard let counts = ngram_model_get_counts(model) else { words = []; return }
    var scored: [(score: Int32, id: Int32)] = []
    for id in 0..<Int32(clamping: counts[0]) {
      var used: Int32 = 0
      scored.append((ngram_ng_score(model, id, nil, 0, &used), id))
    }
    scored.sort { $0.score > $1.score }
    var words: [String] = []
    for (_, id) in scored where words.count < Self.vocabulary {
      guard let name = ngram_word(model, id) else { continue }
      let word = String(cString: name)
      if word.first?.isLetter == true { words.append(word) }
    }
    self.words = words
  }

  deinit { ngram_model_free(model) }
}
