import Base

/// A sine that never jumps: each leg of a test plays its own, so that a listener can say whom it hears.
public struct ProbeTone: Sendable {
  public let frequency: Double
  public let sampleRate: Int
  /// Peak, 0 to 32767.
  public let amplitude: Double
  // Rotating phasor: no library of mathematics is needed below.
  private var re = 1.0
  private var im = 0.0
  private let stepRe: Double
  private let stepIm: Double

  /// - Parameters:
  ///   - frequency: Hz, below half the sample rate.
  ///   - amplitude: peak; the default is -12 dBFS.
  public init(frequency: Double, sampleRate: Int = 8000, amplitude: Double = 8192) {
    self.frequency = frequency
    self.sampleRate = sampleRate
    self.amplitude = amplitude
    (stepRe, stepIm) = Self.phasor(2 * .pi * frequency / Double(sampleRate))
  }

  /// The next `count` samples.
  public mutating func next(_ count: Int) -> [Int16] {
    (0..<count).map { _ in
      let sample = Int16(im * amplitude)
      (re, im) = (re * stepRe - im * stepIm, re * stepIm + im * stepRe)
      let norm = 1.5 - 0.5 * (re * re + im * im)
      re *= norm
      im *= norm
      return sample
    }
  }

  /// Cosine and sine by power series after folding to a quarter turn: exact to 1e-15, and the standard library has none.
  static func phasor(_ angle: Double) -> (Double, Double) {
    let turns = (angle / (.pi / 2)).rounded()
    let x = angle - turns * .pi / 2
    var (cosine, sine, term) = (1.0, x, 1.0)
    var sineTerm = x
    for k in 1...12 {
      let n = Double(2 * k)
      term *= -x * x / ((n - 1) * n)
      sineTerm *= -x * x / (n * (n + 1))
      cosine += term
      sine += sineTerm
    }
    switch ((Int(turns) % 4) + 4) % 4 {
    case 0: return (cosine, sine)
    case 1: return (-sine, cosine)
    case 2: return (-cosine, -sine)
    default: return (sine, -cosine)
    }
  }
}

/// Hears tones in samples by the Goertzel algorithm: "who hears whom".
public struct ToneProbe: Sendable {
  public let sampleRate: Int
  /// The share of the signal's energy that a tone must have to count as heard, 0 to 1.
  public var threshold: Double

  public init(sampleRate: Int = 8000, threshold: Double = 0.2) {
    self.sampleRate = sampleRate
    self.threshold = threshold
  }

  /// The share of the samples' energy at `frequency`, 0 to 1: 1 for that pure tone, 0 for silence or anything else.
  public func share(of frequency: Double, in samples: some Collection<Int16>) -> Double {
    guard !samples.isEmpty else { return 0 }
    let (cosine, _) = ProbeTone.phasor(2 * .pi * frequency / Double(sampleRate))
    var (s1, s2, energy) = (0.0, 0.0, 0.0)
    for sample in samples {
      let x = Double(sample)
      energy += x * x
      (s1, s2) = (x + 2 * cosine * s1 - s2, s1)
    }
    guard energy > 0 else { return 0 }
    let power = s1 * s1 + s2 * s2 - 2 * cosine * s1 * s2
    return min(1, 2 * power / (Double(samples.count) * energy))
  }

  /// Which of `frequencies` are heard.
  public func heard(_ frequencies: [Double], in samples: some Collection<Int16>) -> [Double] {
    guard rms(samples) > 30 else { return [] }
    return frequencies.filter { share(of: $0, in: samples) >= threshold }
  }

  /// Root mean square, 0 to 32767.
  public func rms(_ samples: some Collection<Int16>) -> Double {
    guard !samples.isEmpty else { return 0 }
    return (samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(samples.count)).squareRoot()
  }
}
