import Glibc

/// A detector of the WebRTC class: speech-band energies against an adaptive noise floor, with a hangover. Used where
/// the Silero weights are absent. A value with the state of one call.
public struct EnergyVAD: Sendable {
  /// The edges of the bands as bins of a 512-point transform at 16 kHz (31.25 Hz each): 188 Hz to 3.7 kHz, what a
  /// telephone line carries.
  private static let edges: InlineArray<7, Int> = [6, 13, 22, 35, 54, 80, 118]
  private static let bands = 6
  /// Frames (32 ms) of a call's beginning that are taken for the line's noise.
  private static let learningFrames = 6
  /// Frames for which speech is held after it fell away: the ends of words are weak.
  private static let hangoverFrames = 3

  private var floor = InlineArray<6, Float>(repeating: -75)
  private var mean = InlineArray<6, Float>(repeating: -75)
  private var deviation = InlineArray<6, Float>(repeating: 3)
  private var frames = 0
  private var voiced = 0
  private var hangover = 0
  private var tone = Peaks()
  private var still = 0

  /// The two strongest peaks of a spectrum (bins) and their share of its energy.
  private struct Peaks {
    var low = 0
    var high = 0
    var share: Float = 0
  }

  public init() {}

  /// See ``VoiceDetector/probability(_:)``.
  public mutating func probability(_ frame: UnsafeBufferPointer<Int16>) -> Float {
    var levels = InlineArray<6, Float>(repeating: -100)
    let peaks = EnergyVAD.analyse(frame, &levels)
    frames += 1
    // Tones stand still; the harmonics of a voice move from frame to frame.
    let isStill = peaks.share > 0.97 && peaks.low == tone.low && peaks.high == tone.high
    still = isStill ? still + 1 : 0
    tone = peaks
    let isTone = still >= 2

    // A spectrum that hardly moves is noise or a tone, however loud; speech moves by 6 dB and more within half a
    // second.
    var movement: Float = 0
    for band in 0..<EnergyVAD.bands {
      if frames == 1 { mean[band] = levels[band] }
      let distance = levels[band] - mean[band]
      mean[band] += distance * 0.12
      deviation[band] += (min(abs(distance), 20) - deviation[band]) * 0.12
      movement += deviation[band] / Float(EnergyVAD.bands)
    }
    let isSteady = movement < 2

    var best: Float = 0
    var second: Float = 0
    var third: Float = 0
    for band in 0..<EnergyVAD.bands {
      let above = min(30, max(0, levels[band] - floor[band]))
      if above > best {
        (best, second, third) = (above, best, second)
      } else if above > second {
        (second, third) = (above, second)
      } else if above > third {
        third = above
      }
      adapt(band, levels[band], isSteady: isSteady)
    }
    if frames <= EnergyVAD.learningFrames { return 0 }

    var score = (best + second + third) / 3
    if isTone { score = 0 }
    var probability = 1 / (1 + expf((7 - score) / 2))
    if isSteady { probability *= 0.4 }
    if probability >= 0.5 {
      voiced += 1
      if voiced >= 2 { hangover = EnergyVAD.hangoverFrames }
    } else {
      voiced = 0
      if isTone { hangover = 0 }
      if hangover > 0 {
        hangover -= 1
        probability = 0.5
      }
    }
    return probability
  }

  /// Follows the noise: at once downwards, slowly upwards, faster where the sound is steady.
  private mutating func adapt(_ band: Int, _ level: Float, isSteady: Bool) {
    if frames <= EnergyVAD.learningFrames {
      // Whoever speaks at once must not become the noise.
      let level = min(level, -48)
      floor[band] = frames == 1 ? level : floor[band] + (level - floor[band]) * 0.4
    } else if level < floor[band] {
      floor[band] += (level - floor[band]) * 0.25
    } else {
      floor[band] += min(level - floor[band], isSteady ? 1.2 : 0.04)
    }
    floor[band] = max(-75, floor[band])
  }

  /// Fills in the bands' levels (dBFS) and returns the strongest peaks.
  private static func analyse(_ frame: UnsafeBufferPointer<Int16>, _ levels: inout InlineArray<6, Float>) -> Peaks {
    var real = InlineArray<512, Float>(repeating: 0)
    var imaginary = InlineArray<512, Float>(repeating: 0)
    let count = min(512, frame.count)
    twiddles.withUnsafeBufferPointer { twiddles in
      // Hann window: 0.5 - 0.5 cos; the cosines are the twiddles' real parts.
      for i in 0..<count {
        let cosine = i < 256 ? twiddles[2 * i] : -twiddles[2 * (i - 256)]
        real[reversed(i)] = Float(frame[i]) * (0.5 - 0.5 * cosine) / 32768
      }
      var size = 2
      while size <= 512 {
        let half = size / 2
        let step = 512 / size
        for start in stride(from: 0, to: 512, by: size) {
          for k in 0..<half {
            let wr = twiddles[2 * k * step]
            let wi = twiddles[2 * k * step + 1]
            let a = start + k
            let b = a + half
            let r = real[b] * wr - imaginary[b] * wi
            let i = real[b] * wi + imaginary[b] * wr
            real[b] = real[a] - r
            imaginary[b] = imaginary[a] - i
            real[a] += r
            imaginary[a] += i
          }
        }
        size *= 2
      }
    }
    var total: Float = 1e-12
    for bin in edges[0]..<edges[6] {
      real[bin] = real[bin] * real[bin] + imaginary[bin] * imaginary[bin]
      total += real[bin]
    }
    for band in 0..<bands {
      var sum: Float = 0
      for bin in edges[band]..<edges[band + 1] { sum += real[bin] }
      // A full-scale sine under a Hann window sums to (512 / 4)^2 * 1.5 = 24576.
      levels[band] = 10 * log10f(sum / 24576 + 1e-10)
    }
    var peaks = Peaks()
    for round in 0..<2 {
      var peak = edges[0]
      for bin in edges[0]..<edges[6] where real[bin] > real[peak] { peak = bin }
      for bin in max(edges[0], peak - 2)...min(edges[6] - 1, peak + 2) {
        peaks.share += real[bin] / total
        real[bin] = 0
      }
      if round == 0 { peaks.low = peak } else { peaks.high = peak }
    }
    if peaks.low > peaks.high { swap(&peaks.low, &peaks.high) }
    return peaks
  }

  private static func reversed(_ i: Int) -> Int {
    var value = i
    var result = 0
    for _ in 0..<9 {
      result = result << 1 | value & 1
      value >>= 1
    }
    return result
  }

  /// cos and -sin of 2 pi k / 512, alternating.
  private static let twiddles: [Float] = (0..<512).map { i in
    let angle = 2 * Double.pi * Double(i / 2) / 512
    return Float(i % 2 == 0 ? cos(angle) : -sin(angle))
  }
}
