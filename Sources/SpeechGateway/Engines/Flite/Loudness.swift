/// Keeps the voice at the level of the line: about -20 dBFS on the average, peaks bent instead of cut.
enum Loudness {
  /// Below this a sample passes unchanged: -6 dBFS.
  private static let knee: Float = 16_384
  /// What the loudest sample comes to: -1.5 dBFS, so that no codec clips.
  private static let ceiling: Float = 27_600

  /// The sample with peaks bent softly towards the ceiling.
  static func limited(_ sample: Float) -> Int16 {
    let size = abs(sample)
    if size <= knee { return Int16(sample.rounded()) }
    let over = (size - knee) / (ceiling - knee)
    let bent = knee + (ceiling - knee) * (over / (1 + over))
    return Int16((sample < 0 ? -bent : bent).rounded())
  }
}
