import CallLink

/// What was heard of one stretch of speech.
struct DeskHearing: Sendable {
  var words: [TranscribedWord] = []
  var confidence = 0.0
  var text: String { words.map(\.text).joined(separator: " ") }
}

/// Turns stretches of speech into words, on the one thread that it belongs to: free speech with the general English model, and
/// phrases with a search of their own before it.
///
/// The decoders are made when they are first needed: 60 MB and 0.3 s for free speech, 5 MB and 15 ms for phrases.
final class SphinxDeskRecognizer {
  private let model: String
  private var dictionary: PronouncingDictionary?
  private var free: SphinxDecoder?
  private var phrases: SphinxDecoder?

  init(model: String) { self.model = model }

  /// - Parameters:
  ///   - samples: mono, 16 kHz; word times count from the first.
  ///   - phrases: what is expected; nil for any words.
  /// - Throws: ``SpeechSetupError`` where a model is missing.
  func hear(_ samples: ArraySlice<Int16>, phrases grammar: SearchGrammar?) throws(SpeechSetupError) -> DeskHearing {
    guard let grammar, !grammar.isEmpty else { return try hearAnything(samples) }
    let expected = try hear(samples, expecting: grammar)
    // As in an open state of a dialog: a good match of what is expected is believed without a look at what else it may be.
    if expected.confidence >= ConfidenceScale.sure { return expected }
    let anything = try hearAnything(samples)
    return expected.words.isEmpty || expected.confidence < anything.confidence + ConfidenceScale.margin
      ? anything : expected
  }

  /// A decoder of its own for looks at speech that goes on. With phrases it looks for nothing else, as in a call.
  /// - Throws: ``SpeechSetupError`` where a model is missing.
  func onlooker(phrases grammar: SearchGrammar?) throws(SpeechSetupError) -> SphinxDecoder {
    guard let grammar, !grammar.isEmpty else {
      return try SphinxDecoder.livingSpeech(model: model, dictionary: words())
    }
    let decoder = try SphinxDecoder(model: model)
    try decoder.select(grammar, dictionary: words())
    return decoder
  }

  private func hearAnything(_ samples: ArraySlice<Int16>) throws(SpeechSetupError) -> DeskHearing {
    let decoder: SphinxDecoder
    if let free { decoder = free } else { decoder = try .freeSpeech(model: model, dictionary: words()) }
    free = decoder
    guard let heard = samples.withUnsafeBufferPointer({ decoder.decode($0) }), !heard.words.isEmpty else {
      return DeskHearing()
    }
    let confidence = FreeSpeechScale.confidence(heard)
    // Noise, and not speech.
    guard confidence >= FreeSpeechScale.acceptance else { return DeskHearing() }
    return DeskHearing(words: Self.words(heard, otherwise: confidence), confidence: confidence)
  }

  private func hear(
    _ samples: ArraySlice<Int16>, expecting grammar: SearchGrammar
  ) throws(SpeechSetupError) -> DeskHearing {
    let decoder: SphinxDecoder
    if let phrases, !phrases.isWornOut { decoder = phrases } else { decoder = try SphinxDecoder(model: model) }
    phrases = decoder
    try decoder.select(grammar, dictionary: words())
    guard let heard = samples.withUnsafeBufferPointer({ decoder.decode($0) }) else { return DeskHearing() }
    guard let confidence = grammar.confidence(heard) else { return DeskHearing() }
    return DeskHearing(words: Self.words(heard, otherwise: confidence), confidence: confidence)
  }

  private func words() throws(SpeechSetupError) -> PronouncingDictionary {
    if let dictionary { return dictionary }
    let read = try PronouncingDictionary(path: "\(model)/cmudict-en-us.dict")
    dictionary = read
    return read
  }

  private static func words(_ heard: DecodedSegment, otherwise confidence: Double) -> [TranscribedWord] {
    heard.words.map { word in
      TranscribedWord(
        text: word.text, startMs: word.start * 10, endMs: (word.start + word.frames) * 10,
        confidence: word.posterior ?? confidence)
    }
  }
}

extension SearchGrammar {
  /// How sure it is that this was expected; nil: it was not.
  func confidence(_ heard: DecodedSegment) -> Double? {
    let confidence = ConfidenceScale.confidence(heard)
    return confidence >= ConfidenceScale.acceptance && heard.words.contains { phraseWords.contains($0.text) }
      ? confidence : nil
  }
}
