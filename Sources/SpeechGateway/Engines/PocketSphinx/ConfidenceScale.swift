/// How the decoder's scores become a confidence. One place, because the numbers are fitted to a model and its settings.
enum ConfidenceScale {
  /// Path score per frame -> confidence, by straight lines between the points.
  private static let points: [(score: Double, confidence: Double)] = [
    (-70, 0), (-46, 0.4), (-40, 0.6), (-30, 0.9), (-20, 1),
  ]

  /// Below this confidence what was heard is taken for speech outside the search: an empty transcript.
  static let acceptance = 0.4
  /// From this confidence on, a complete phrase ends the turn without waiting for the configured silence.
  static let earlyEnd = 0.45

  /// 0 to 1.
  static func confidence(_ segment: DecodedSegment) -> Double {
    interpolate(evidence(segment))
  }

  /// The number that separates good paths from bad ones.
  static func evidence(_ segment: DecodedSegment) -> Double { segment.scorePerFrame }

  private static func interpolate(_ score: Double) -> Double {
    guard score.isFinite, var below = points.first, score > below.score else { return 0 }
    for point in points.dropFirst() {
      if score <= point.score {
        let share = (score - below.score) / (point.score - below.score)
        return below.confidence + share * (point.confidence - below.confidence)
      }
      below = point
    }
    return 1
  }
}
