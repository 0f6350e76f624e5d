import Audio
import CallLink
import Turns

/// Finds the stretches of speech in sound that has no prompts in between: voice detector and endpointer, frame by frame.
struct DeskEars: Sendable {
  /// Shorter speech is a noise: half of what a call asks for, for there is nobody who coughs into a prompt.
  private static let minSpeechMs = 100
  /// A stretch that lasts longer is cut: what a decoder takes for a stretch grows faster than its length.
  private static let maxTurnMs = 30_000
  /// Silence that divides a recording, where nobody waits for the end of a turn: as short as the pause between two clauses, so
  /// that a decoder is given short stretches and none is cut within a word.
  private static let minSilenceMs = 350

  private var detector: VoiceDetector
  private var endpointer: Endpointer
  /// One past the last sample heard.
  private(set) var position: Int64 = 0

  init(_ engine: VoiceDetector.Engine, threshold: Double) {
    detector = VoiceDetector(engine)
    var settings = TurnSettings(
      threshold: Float(threshold), minSpeechMs: Self.minSpeechMs, minSilenceMs: Self.minSilenceMs)
    settings.maxTurnMs = Self.maxTurnMs
    endpointer = Endpointer(settings: settings)
  }

  /// What became of a stretch of speech.
  enum Heard {
    /// It has begun at `onset`; its segment begins at `start`.
    case began(onset: Int64, start: Int64)
    case ended(Segment)
  }

  /// Whether speech is heard that may become a stretch, or is one.
  var isHearingSpeech: Bool { endpointer.isHearingSpeech }

  /// Hears the next frame, and says which stretches begin and end: up to ``VoiceDetector/frameSamples`` samples.
  mutating func hear(_ frame: ArraySlice<Int16>) -> [Heard] {
    let probability = frame.withUnsafeBufferPointer { detector.probability($0) }
    let start = position
    position += Int64(frame.count)
    return heard(endpointer.receive(.frame(position: start, samples: frame.count, probability: probability)))
  }

  /// No more sound comes, or none that belongs to what is being said.
  mutating func finish() -> [Heard] { heard(endpointer.receive(.streamEnded)) }

  private func heard(_ actions: [EndpointerAction]) -> [Heard] {
    actions.compactMap { action in
      switch action {
      case .speechStarted(let onset, let start, _): .began(onset: onset, start: start)
      case .speechEnded(let segment, _, _): .ended(segment)
      default: nil
      }
    }
  }
}

extension [DeskEars.Heard] {
  /// The stretches that are over.
  var segments: [Segment] { compactMap { heard in if case .ended(let segment) = heard { segment } else { nil } } }
}

extension DeskHearing {
  /// What was heard, in the time of the whole recording.
  func segment(_ segment: Segment) -> TranscribedSegment {
    let offset = Int(segment.start / 16)
    let words = words.map { word in
      TranscribedWord(
        text: word.text, startMs: word.startMs + offset, endMs: word.endMs + offset, confidence: word.confidence)
    }
    return TranscribedSegment(
      text: text, startMs: Int(segment.speechStart / 16), endMs: Int(segment.speechEnd / 16), confidence: confidence,
      words: words)
  }
}
