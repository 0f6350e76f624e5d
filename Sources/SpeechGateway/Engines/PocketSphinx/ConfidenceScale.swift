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

  /// 0 to 1.
  static func confidence(_ segment: DecodedSegment) -> Double {
    interpolate(evidence(segment))
  }

  /// The number that separates good paths from bad ones.
  static func evidence(_ segment: DecodedSegment) -> Double {
    let frames = segment.words.reduce(0) { $0 + $1.frames }
    let wordsPerSecond = 100 * Double(segment.words.count) / Double(max(1, frames))
    return segment.scorePerFrame - costPerWord * Double(max(0, min(segment.words.count, countedWords) - 1))
      - costPerRate * wordsPerSecond
  }

  private static func interpolate(_ evidence: Double) -> Double {
    guard evidence.isFinite, var below = points.first, evidence > below.evidence else { return 0 }
    for point in points.dropFirst() {
      if evidence <= point.evidence {
        let share = (evidence - below.evidence) / (point.evidence - below.evidence)
        return below.confidence + share * (point.confidence - below.confidence)
      }
      below = point
    }
    return 1
  }
}
