import CPocketSphinx

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The search for free speech: the general English language model of the recogniser's package, for one decoder.
///
/// Every decoder reads the model for itself (30 MB): the library keeps caches inside a model, so that decoders on different
/// threads must not share one.
enum GeneralEnglish {
  /// The file beside the acoustic model.
  static func path(model: String) -> String { "\(model)/en-us.lm.bin" }

  /// Words that are searched, the most frequent ones of the model's 72 000: nearly twice as fast as all of them and, with rare
  /// words out of the way, a little more often right (README).
  private static let vocabulary = 20_000

  static let search = "parley_general_english"

  /// Gives the decoder the model's most frequent words and the search for them.
  /// - Throws: ``SpeechSetupError`` where the model cannot be read.
  static func load(
    into decoder: OpaquePointer, model folder: String, dictionary: PronouncingDictionary
  ) throws(SpeechSetupError) {
    let path = path(model: folder)
    guard access(path, R_OK) == 0,
      let model = ngram_model_read(ps_get_config(decoder), path, NGRAM_AUTO, ps_get_logmath(decoder))
    else {
      throw SpeechSetupError(
        "the language model \(path) cannot be read", hint: "install the package pocketsphinx-en-us")
    }
    defer { ngram_model_free(model) }
    for word in mostFrequentWords(model) {
      for (n, phones) in dictionary.lookUp(word).enumerated() {
        ps_add_word(decoder, n == 0 ? word : "\(word)(\(n + 1))", phones, 0)
      }
    }
    guard ps_set_lm(decoder, search, model) == 0, ps_set_search(decoder, search) == 0 else {
      throw SpeechSetupError("the language model \(path) cannot be searched")
    }
  }

  private static func mostFrequentWords(_ model: OpaquePointer) -> [String] {
    guard let counts = ngram_model_get_counts(model) else { return [] }
    var scored: [(score: Int32, id: Int32)] = []
    scored.reserveCapacity(Int(counts[0]))
    for id in 0..<Int32(clamping: counts[0]) {
      var used: Int32 = 0
      scored.append((ngram_ng_score(model, id, nil, 0, &used), id))
    }
    scored.sort { $0.score > $1.score }
    var words: [String] = []
    for (_, id) in scored where words.count < vocabulary {
      guard let name = ngram_word(model, id) else { continue }
      let word = String(cString: name)
      // `<s>` and its like are the model's own marks.
      if word.first?.isLetter == true { words.append(word) }
    }
    return words
  }
}
