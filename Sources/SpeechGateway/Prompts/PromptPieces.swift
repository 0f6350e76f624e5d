import Base
import CallLink

/// Cuts a prompt into the pieces it is made of.
enum PromptPieces {
  /// Between two sentences, in samples: 220 ms.
  static let pause = 3_520
  /// Silence is made a second at a time.
  private static let silenceStep = 16_000
  /// The longest silence a prompt may be, or hold in all: five minutes.
  private static let maxSilenceMs = 300_000

  /// - Returns: the pieces, or why the prompt cannot be played.
  static func of(
    _ prompt: Prompt, maker: PromptMaker, voice: String, speed: Double
  ) -> Result<[Piece], SynthesisError> {
    let known = maker.synthesizer.voices
    switch prompt.source {
    case .text(let text):
      let said = SpeechMarkup.Piece.text(text, voices: [], speed: 1)
      return Result { () throws(SynthesisError) in try spoken([said], prompt, known, voice: voice, speed: speed) }
    case .markup(let source):
      let markup: SpeechMarkup
      do { markup = try SpeechMarkup(source) } catch {
        return .failure(SynthesisError("the prompt's markup cannot be read: \(error)"))
      }
      return Result { () throws(SynthesisError) in
        try spoken(markup.pieces, prompt, known, voice: voice, speed: speed)
      }
    case .audio(let url):
      return maker.sound(url).map { [$0] }
    case .silence(let ms): return .success(silence(min(ms, maxSilenceMs)))
    }
  }

  /// Sentences, and the silences between them.
  /// - Parameters:
  ///   - known: the engine's voices.
  ///   - voice, speed: what a prompt means that names no voice, and one whose speed is 1.
  static func spoken(
    _ said: [SpeechMarkup.Piece], _ prompt: Prompt, _ known: [String], voice: String, speed: Double
  ) throws(SynthesisError) -> [Piece] {
    let voice = prompt.voice.isEmpty ? voice : prompt.voice
    guard voice.isEmpty || known.contains(voice) else {
      throw SynthesisError("there is no voice '\(voice)'; there are \(known.joined(separator: ", "))")
    }
    var pieces: [Piece] = []
    var bytes = 0
    var silenceLeft = maxSilenceMs
    for piece in said {
      switch piece {
      case .pause(let ms):
        pieces += silence(min(ms, silenceLeft))
        silenceLeft -= min(ms, silenceLeft)
      case .text(let text, let wanted, let pace):
        bytes += text.utf8.count
        guard bytes <= FliteSynthesizer.maxTextBytes else {
          throw SynthesisError("the text is over \(FliteSynthesizer.maxTextBytes) bytes long, a prompt's limit")
        }
        // Markup may ask for voices of other engines: then the prompt's own speaks.
        let voice = wanted.first { known.contains($0) } ?? voice
        for (n, sentence) in Sentences.split(text).enumerated() {
          if n > 0 { pieces.append(.silence(pause)) }
          let request = SynthesisRequest(text: sentence, voice: voice, speed: prompt.speed * speed * pace)
          pieces.append(.text(request, cached: prompt.cache))
        }
      }
    }
    return pieces
  }

  private static func silence(_ ms: Int) -> [Piece] {
    var left = max(0, ms) * 16
    var pieces: [Piece] = []
    while left > 0 {
      pieces.append(.silence(min(left, silenceStep)))
      left -= silenceStep
    }
    return pieces
  }
}
