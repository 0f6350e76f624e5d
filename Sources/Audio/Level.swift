import Glibc

/// How loud samples are. Full scale (0 dBFS) is a sine wave's peak at 32768, RMS measured against the same 32768.
public enum Level {
  /// What silence reads as, in dBFS.
  public static let floorDBFS = -120.0

  /// Root mean square, 0 to 32768.
  public static func rms(_ samples: UnsafeBufferPointer<Int16>) -> Double {
    if samples.isEmpty { return 0 }
    var sum: Int64 = 0
    for s in samples { sum &+= Int64(Int32(s) &* Int32(s)) }
    return (Double(sum) / Double(samples.count)).squareRoot()
  }

  /// The greatest magnitude, 0 to 32768.
  public static func peak(_ samples: UnsafeBufferPointer<Int16>) -> Int {
    var peak = 0
    for s in samples { peak = max(peak, Int(s.magnitude)) }
    return peak
  }

  /// RMS level in dBFS; ``floorDBFS`` for digital silence.
  public static func dBFS(_ samples: UnsafeBufferPointer<Int16>) -> Double { decibels(rms(samples) / 32768) }

  /// An amplitude ratio in decibels, at least ``floorDBFS``.
  public static func decibels(_ ratio: Double) -> Double { ratio > 1e-6 ? 20 * log10(ratio) : floorDBFS }

  /// The amplitude ratio of a number of decibels.
  public static func gain(decibels: Double) -> Double { pow(10, decibels / 20) }

  /// RMS level in dBFS of one frequency (Goertzel), for finding tones. Exact where whole periods fit in `samples`.
  public static func dBFS(
    ofHertz frequency: Double, in samples: UnsafeBufferPointer<Int16>, sampleRate: Int
  ) -> Double {
    if samples.isEmpty { return floorDBFS }
    let step = 2 * Double.pi * frequency / Double(sampleRate)
    let k = 2 * cos(step)
    var a = 0.0
    var b = 0.0
    for s in samples {
      let c = Double(s) + k * a - b
      b = a
      a = c
    }
    let power = a * a + b * b - k * a * b
    return decibels(power.squareRoot() * 2.0.squareRoot() / Double(samples.count) / 32768)
  }
}
