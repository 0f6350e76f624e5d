import CPocketSphinx

/// What a decoder heard, before anybody judged it.
struct DecodedSegment: Sendable {
  struct Word: Sendable {
    var text: String
    /// Where it begins, in 10 ms frames from the first sample.
    var start = 0
    var frames: Int
    /// Acoustic path score per 10 ms frame, in the decoder's log units relative to the best senone; near 0 is a good
    /// fit.
    var score: Double
    /// How much of the lattice of guesses goes through this word, 0 to 1; nil without a lattice.
    var posterior: Double?
  }
  /// The words of the best path, without silences and noises.
  var words: [Word]
  /// Path score over all frames.
  var scorePerFrame: Double
  /// How much of the whole lattice of guesses the path holds, as a logarithm per frame: 0 where there was no other guess. Only
  /// the search for free speech makes a lattice.
  var posteriorPerFrame: Double
  var frames: Int
}

/// One PocketSphinx decoder with the searches it has compiled. Belongs to one thread.
final class SphinxDecoder {
  /// Compiled searches kept; the least recently used one goes first.
  static let maxSearches = 8
  /// Words a decoder's dictionary may grow to before it is made anew.
  static let maxWords = 20_000

  /// Measured on 8 kHz mu-law speech (README): the library's own noise and silence removal halve the accuracy there,
  /// its beams lose one good path in twenty, its language weight lets acoustics speak too little.
  private static let settings = [
    "-bestpath", "no", "-samprate", "16000", "-remove_noise", "no", "-remove_silence", "no", "-lw", "3", "-wip", "0.1",
    "-beam", "1e-80", "-wbeam", "1e-60", "-pbeam", "1e-80",
  ]

  private let decoder: OpaquePointer
  private var known: Set<String> = []
  /// The keys of the compiled searches, the most recently used last.
  private(set) var searches: [String] = []

  private let hasLattice: Bool

  /// For the grammars of listening states.
  /// - Parameter model: the folder with `en-us/`.
  /// - Throws: ``SpeechSetupError`` where the model cannot be loaded.
  convenience init(model: String) throws(SpeechSetupError) {
    try self.init(model: model, settings: Self.settings, hasLattice: false)
  }

  /// For free speech, with the library's own settings: there they are the best of those tried. Takes 0.3 s and 60 MB.
  /// - Throws: ``SpeechSetupError`` where a model cannot be loaded.
  static func freeSpeech(model: String, dictionary: PronouncingDictionary) throws(SpeechSetupError) -> SphinxDecoder {
    let decoder = try SphinxDecoder(model: model, settings: ["-samprate", "16000"], hasLattice: true)
    try GeneralEnglish.load(into: decoder.decoder, model: model, dictionary: dictionary)
    return decoder
  }

  /// For a look at free speech while it goes on: the first pass alone, which is all that a look can have and costs four fifths.
  /// - Throws: ``SpeechSetupError`` where a model cannot be loaded.
  static func livingSpeech(model: String, dictionary: PronouncingDictionary) throws(SpeechSetupError) -> SphinxDecoder {
    let settings = ["-samprate", "16000", "-fwdflat", "no", "-bestpath", "no"]
    let decoder = try SphinxDecoder(model: model, settings: settings, hasLattice: false)
    try GeneralEnglish.load(into: decoder.decoder, model: model, dictionary: dictionary)
    return decoder
  }

  private init(model: String, settings: [String], hasLattice: Bool) throws(SpeechSetupError) {
    self.hasLattice = hasLattice
    Self.muteThread()
    let arguments = ["parley", "-hmm", "\(model)/en-us"] + settings
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    let hint = "install the package pocketsphinx-en-us, or set speech.model_dir"
    guard let config = cmd_ln_parse_r(nil, ps_args(), Int32(pointers.count), &pointers, 1) else {
      throw SpeechSetupError("the recogniser does not accept its settings", hint: "is libpocketsphinx 0.8 installed?")
    }
    defer { cmd_ln_free_r(config) }
    guard let decoder = ps_init(config) else {
      throw SpeechSetupError("the acoustic model below \(model) cannot be loaded", hint: hint)
    }
    self.decoder = decoder
  }

  deinit { ps_free(decoder) }

  /// The library's log goes to stderr and is per thread in this version. For threads that use decoders which others made.
  static func muteThread() { err_set_logfp(nil) }

  /// Whether the dictionary has grown so much that a new decoder is cheaper.
  var isWornOut: Bool { known.count > Self.maxWords }

  /// Makes `grammar` the search of the next segment, compiling it where this decoder has not got it.
  /// - Throws: ``SpeechSetupError`` where the grammar does not compile.
  func select(_ grammar: SearchGrammar, dictionary: PronouncingDictionary) throws(SpeechSetupError) {
    if let at = searches.firstIndex(of: grammar.key) {
      searches.append(searches.remove(at: at))
    } else {
      for word in grammar.words where !known.contains(word) {
        let ways = dictionary.pronunciations(word)
        for (n, phones) in ways.enumerated() {
          ps_add_word(decoder, n == 0 ? word : "\(word)(\(n + 1))", phones, 0)
        }
        if !ways.isEmpty { known.insert(word) }
      }
      guard ps_set_jsgf_string(decoder, grammar.key, grammar.jsgf) == 0 else {
        throw SpeechSetupError("a grammar does not compile")
      }
      searches.append(grammar.key)
      if searches.count > Self.maxSearches { ps_unset_search(decoder, searches.removeFirst()) }
    }
    guard ps_set_search(decoder, grammar.key) == 0 else { throw SpeechSetupError("a grammar cannot be activated") }
  }

  /// Decodes one whole segment. nil: the decoder failed or found no path.
  func decode(_ segment: UnsafeBufferPointer<Int16>) -> DecodedSegment? {
    guard !segment.isEmpty, ps_start_utt(decoder) == 0 else { return nil }
    let processed = ps_process_raw(decoder, segment.baseAddress, segment.count, 0, 1)
    guard ps_end_utt(decoder) == 0, processed >= 0 else { return nil }
    return heard(of: segment.count)
  }

  // MARK: Speech that goes on

  /// Begins a segment whose samples come little by little.
  func begin() -> Bool { ps_start_utt(decoder) == 0 }

  func hear(_ samples: UnsafeBufferPointer<Int16>) {
    _ = ps_process_raw(decoder, samples.baseAddress, samples.count, 0, 0)
  }

  /// What the segment holds so far, of so many samples.
  func look(at samples: Int) -> DecodedSegment? { heard(of: samples) }

  /// Ends the segment; what it held is of no interest any more.
  func abandon() { _ = ps_end_utt(decoder) }

  private func heard(of samples: Int) -> DecodedSegment? {
    let frames = Int(ps_get_n_frames(decoder))
    // The library leaves silence out before the first word only (within a segment no silence is long enough), and counts frames
    // from there.
    let skipped = max(0, samples / 160 - frames)
    var score: Int32 = 0
    guard frames > 0, ps_get_hyp(decoder, &score) != nil else { return nil }
    var words: [DecodedSegment.Word] = []
    var segments = ps_seg_iter(decoder)
    while let current = segments {
      var first: Int32 = 0
      var last: Int32 = 0
      var acoustic: Int32 = 0
      ps_seg_frames(current, &first, &last)
      let posterior = ps_seg_prob(current, &acoustic, nil, nil)
      if let name = ps_seg_word(current) {
        var text = String(cString: name)
        if let paren = text.firstIndex(of: "("), paren != text.startIndex { text = String(text[..<paren]) }
        if !text.hasPrefix("<"), !text.hasPrefix("["), !text.hasPrefix("++"), text != "(NULL)", text != "(null)" {
          let length = max(1, Int(last - first) + 1)
          words.append(
            .init(
              text: text, start: Int(first) + skipped, frames: length, score: Double(acoustic) / Double(length),
              posterior: hasLattice ? min(1, logmath_exp(ps_get_logmath(decoder), posterior)) : nil))
        }
      }
      segments = ps_seg_next(current)
    }
    let posterior = hasLattice ? Double(ps_get_prob(decoder)) / Double(frames) : 0
    return DecodedSegment(
      words: words, scorePerFrame: Double(score) / Double(frames), posteriorPerFrame: posterior, frames: frames)
  }
}
