/// How the decoder's scores become a confidence. One place, because the numbers are fitted to a model and its settings.
enum ConfidenceScale {
  /// Evidence -> confidence, by straight lines between the points. Fitted in real mu-law calls (docs/benchmarks.md): on the half for
  /// fitting, -56.5 accepts 5 % of what does not fit and loses nothing of what does; above -51 nearly nothing false is left.
  private static let points: [(evidence: Double, confidence: Double)] = [
    (-68, 0), (-56.5, 0.42), (-48, 0.65), (-41, 0.85), (-32, 1),
  ]
  /// What every further word costs: speech outside the search is matched by stringing carriers together. Up to so many.
  private static let costPerWord = 1.0
  private static let countedWords = 8
  /// What a word per second of speech costs: words that do not fit are matched by many short ones.
  private static let costPerRate = 2.0

  /// Below this confidence what was heard is taken for speech outside the search: an empty transcript.
  static let acceptance = 0.42
  /// From this confidence on, a complete phrase ends the turn without waiting for the configured silence.
  static let earlyEnd = 0.5
  /// In an open state a phrase that it expects is believed from `sure` on without a look at what free speech would make of it, and
  /// below that where it is so much surer than free speech is. On 290 utterances in five voices, 45 of them with an expected phrase,
  /// 43 of those and 5 of the others were taken for it; a threshold alone takes 41 and 1 at this height, 43 and 10 at 0.8.
  static let sure = 0.88
  static let margin = 0.25

  /// 0 to 1.
  static func confidence(_ segment: DecodedSegment) -> Double {
    interpolate(evidence(segment), points)
  }

  /// The number that separates good paths from bad ones.
  static func evidence(_ segment: DecodedSegment) -> Double {
    let frames = segment.words.reduce(0) { $0 + $1.frames }
    let wordsPerSecond = 100 * Double(segment.words.count) / Double(max(1, frames))
    return segment.scorePerFrame - costPerWord * Double(max(0, min(segment.words.count, countedWords) - 1))
      - costPerRate * wordsPerSecond
  }

}

/// The same for free speech, where what counts is how far the best guess stands above the others.
enum FreeSpeechScale {
  /// Posterior per frame (in the decoder's log units) -> the share of the words that is right. Measured on 29 phrases in five voices
  /// through mu-law (README).
  private static let points: [(evidence: Double, confidence: Double)] = [
    (-2000, 0.05), (-760, 0.35), (-480, 0.45), (-330, 0.62), (-240, 0.76), (-165, 0.86), (-110, 0.93), (-70, 0.97),
  ]
  /// Letters a second from which nobody speaks so slowly, and from which speech is as fast as usual. Noise is heard as a short word
  /// that lasts and lasts.
  private static let slowest = 4.0
  private static let usual = 8.0

  /// Below this confidence most of what was heard is wrong, if it was speech at all: an empty transcript.
  static let acceptance = 0.3

  /// 0 to 1: about the share of the words that is right.
  static func confidence(_ segment: DecodedSegment) -> Double {
    let frames = segment.words.reduce(0) { $0 + $1.frames }
    let letters = segment.words.reduce(0) { $0 + $1.text.utf8.count }
    let pace = 100 * Double(letters) / Double(max(1, frames))
    let plausible = min(1, max(0, (pace - slowest) / (usual - slowest)))
    return plausible * interpolate(segment.posteriorPerFrame, points)
  }
}

/// Straight lines between the points.
private func interpolate(_ evidence: Double, _ points: [(evidence: Double, confidence: Double)]) -> Double {
  guard evidence.isFinite, var below = points.first, evidence > below.evidence else { return 0 }
  for point in points.dropFirst() {
    if evidence <= point.evidence {
      let share = (evidence - below.evidence) / (point.evidence - below.evidence)
      return below.confidence + share * (point.confidence - below.confidence)
    }
    below = point
  }
  return below.confidence
}
