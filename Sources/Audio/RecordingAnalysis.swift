/// A stretch of sound in a recording.
public struct HeardSegment: Hashable, Sendable {
  public var fromMs: Int
  public var toMs: Int

  public init(fromMs: Int, toMs: Int) {
    self.fromMs = fromMs
    self.toMs = toMs
  }
}

/// Who spoke when, read off the two channels of a recorded call: how `parley call` and the benchmarks measure answer times without
/// asking the gateway.
public enum RecordingAnalysis {
  private static let windowMs = 10

  /// Where something is heard: 10 ms windows louder than -48 dBFS and 12 dB above the quietest tenth of the channel (so steady
  /// noise on the line is not speech), joined over pauses of up to `pauseMs`.
  public static func segments(
    _ samples: some RandomAccessCollection<Int16>, sampleRate: Int = 8000, pauseMs: Int, minimumMs: Int = 30
  )
    -> [HeardSegment]
  {
    let window = sampleRate * windowMs / 1000
    var energies: [Double] = []
    var index = samples.startIndex
    while let end = samples.index(index, offsetBy: window, limitedBy: samples.endIndex) {
      var sum = 0.0
      for sample in samples[index..<end] { sum += Double(sample) * Double(sample) }
      energies.append(sum / Double(window))
      index = end
    }
    guard !energies.isEmpty else { return [] }
    let floor = energies.sorted()[energies.count / 10]
    let threshold = max(32768.0 * 32768.0 * 1.585e-5, floor * 15.85)

    var segments: [HeardSegment] = []
    for (i, energy) in energies.enumerated() where energy > threshold {
      let from = i * windowMs
      if let last = segments.last, from - last.toMs <= pauseMs {
        segments[segments.count - 1].toMs = from + windowMs
      } else {
        segments.append(HeardSegment(fromMs: from, toMs: from + windowMs))
      }
    }
    return segments.filter { $0.toMs - $0.fromMs >= minimumMs }
  }

  /// From the end of each thing the caller said to the first sound of the other side after it; nil where none came.
  public static func responseTimes(caller: [HeardSegment], gateway: [HeardSegment]) -> [Int?] {
    caller.enumerated().map { i, said in
      let nextSaid = i + 1 < caller.count ? caller[i + 1].fromMs : .max
      guard let answer = gateway.first(where: { $0.fromMs >= said.toMs }), answer.fromMs < nextSaid else { return nil }
      return answer.fromMs - said.toMs
    }
  }

  /// For each thing the caller said while the other side was speaking: from the caller's first sound to the other's silence.
  public static func bargeIns(caller: [HeardSegment], gateway: [HeardSegment]) -> [Int] {
    caller.compactMap { said in
      gateway.first { $0.fromMs < said.fromMs && $0.toMs > said.fromMs }.map { $0.toMs - said.fromMs }
    }
  }
}
