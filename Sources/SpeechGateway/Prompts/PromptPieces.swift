import CallLink

/// Cuts a prompt into the pieces it is made of.
enum PromptPieces {
  /// Between two sentences, in samples: 220 ms.
  static let pause = 3_520
  /// Silence is made a second at a time.
  private static let silenceStep = 16_000
  /// The longest silence a prompt may be: five minutes.
  private static let maxSilenceMs = 300_000

  /// - Returns: the pieces, or why the prompt cannot be played.
  static func of(
    _ prompt: Prompt, maker: PromptMaker, voice: String, speed: Double
  ) -> Result<[Piece], SynthesisError> {
    switch prompt.source {
    case .text(let text):
      guard text.utf8.count <= FliteSynthesizer.maxTextBytes else {
        return .failure(
          SynthesisError(
            "the text is \(text.utf8.count) bytes long; a prompt may have \(FliteSynthesizer.maxTextBytes)"))
      }
      let voice = prompt.voice.isEmpty ? voice : prompt.voice
      guard voice.isEmpty || maker.synthesizer.voices.contains(voice) else {
        return .failure(
          SynthesisError(
            "there is no voice '\(voice)'; there are \(maker.synthesizer.voices.joined(separator: ", "))"))
      }
      var pieces: [Piece] = []
      for sentence in Sentences.split(text) {
        if !pieces.isEmpty { pieces.append(.silence(pause)) }
        let request = SynthesisRequest(text: sentence, voice: voice, speed: prompt.speed * speed)
        pieces.append(.text(request, cached: prompt.cache))
      }
      return .success(pieces)
    case .audio(let url):
      return maker.file(url).map { [.file($0)] }
    case .silence(let ms):
      var left = min(max(0, ms), maxSilenceMs) * 16
      var pieces: [Piece] = []
      while left > 0 {
        pieces.append(.silence(min(left, silenceStep)))
        left -= silenceStep
      }
      return .success(pieces)
    }
  }
}
