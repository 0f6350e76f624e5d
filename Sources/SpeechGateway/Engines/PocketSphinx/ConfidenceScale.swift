/// How the decoder's scores become a confidence. One place, because the numbers are fitted to a model and its settings.
enum ConfidenceScale {
  /// Evidence -> confidence, by straight lines between the points. Of what fits, 2 % lie below -48.5, half below -37.
  private static let points: [(evidence: Double, confidence: Double)] = [
    (-62, 0), (-52, 0.42), (-44, 0.65), (-37, 0.85), (-28, 1),
  ]
  /// What every further word costs: speech outside the search is matched by stringing carriers together. Up to so many.
  private static let costPerWord = 1.5
  private static let countedWords = 8

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
    segment.scorePerFrame - costPerWord * Double(max(0, min(segment.words.count, countedWords) - 1))
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
