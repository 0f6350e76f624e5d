import Glibc

/// Makes keypad and call-progress tones. A value; allocates nothing.
public struct ToneGenerator: Sendable {
  /// Call-progress tones are those of North America.
  public enum Tone: Hashable, Sendable {
    /// `0-9`, `*`, `#`, `A-D` (either case) for `durationMs`.
    case digit(Character, durationMs: Int)
    /// 440 + 480 Hz, 2 s on, 4 s off, without end.
    case ringback
    /// 480 + 620 Hz, 500 ms on, 500 ms off, without end.
    case busy
    /// 480 + 620 Hz, 250 ms on, 250 ms off, without end.
    case congestion
    /// 350 + 440 Hz without end.
    case dial
    /// 1000 Hz for `durationMs`: "speak after the tone".
    case beep(durationMs: Int)
  }

  /// A sine by recursion: y[n] = 2 cos(w) y[n-1] - y[n-2].
  private struct Oscillator: Sendable {
    let k: Double
    let start: Double
    var last: Double
    var previous = 0.0

    init(hertz: Double, sampleRate: Int, amplitude: Double) {
      let step = 2 * Double.pi * hertz / Double(sampleRate)
      k = 2 * cos(step)
      start = -amplitude * sin(step)
      last = start
    }

    mutating func restart() {
      last = start
      previous = 0
    }

    mutating func next() -> Double {
      let value = k * previous - last
      last = previous
      previous = value
      return value
    }
  }

  private var low: Oscillator
  private var high: Oscillator
  private let onSamples: Int
  private let periodSamples: Int
  private var phase = 0
  private var remaining: Int

  /// - Parameters:
  ///   - sampleRate: Hz, 8000 to 48000.
  ///   - levelDBFS: RMS level of each of the tone's frequencies, at most -9 (two then reach full scale).
  /// nil where the digit is none or the rate is out of range.
  public init?(_ tone: Tone, sampleRate: Int = 8000, levelDBFS: Double = -13) {
    guard ToneGenerator.rates.contains(sampleRate) else { return nil }
    let frequencies: (Double, Double)
    var on = Int.max
    var period = Int.max
    var length = Int.max
    func samples(_ ms: Int) -> Int { max(0, min(ms, 3_600_000)) * sampleRate / 1000 }
    switch tone {
    case .digit(let digit, let durationMs):
      guard let pair = ToneGenerator.frequencies(of: digit) else { return nil }
      frequencies = pair
      length = samples(durationMs)
    case .ringback:
      frequencies = (440, 480)
      (on, period) = (samples(2000), samples(6000))
    case .busy:
      frequencies = (480, 620)
      (on, period) = (samples(500), samples(1000))
    case .congestion:
      frequencies = (480, 620)
      (on, period) = (samples(250), samples(500))
    case .dial: frequencies = (350, 440)
    case .beep(let durationMs):
      frequencies = (1000, 0)
      length = samples(durationMs)
    }
    let amplitude = 32767 * 2.0.squareRoot() * Level.gain(decibels: min(-9.1, levelDBFS))
    low = Oscillator(hertz: frequencies.0, sampleRate: sampleRate, amplitude: amplitude)
    high = Oscillator(hertz: frequencies.1, sampleRate: sampleRate, amplitude: frequencies.1 == 0 ? 0 : amplitude)
    onSamples = on
    periodSamples = period
    remaining = length
  }

  /// The row's and the column's frequency of a key (ITU-T Q.23).
  public static func frequencies(of digit: Character) -> (Double, Double)? {
    let rows = [697.0, 770, 852, 941]
    let columns = [1209.0, 1336, 1477, 1633]
    let keys: [Character] = ["1", "2", "3", "A", "4", "5", "6", "B", "7", "8", "9", "C", "*", "0", "#", "D"]
    // Some characters have two capitals, so the comparison is of strings.
    let upper = digit.uppercased()
    guard let index = keys.firstIndex(where: { String($0) == upper }) else { return nil }
    return (rows[index / 4], columns[index % 4])
  }

  /// Writes the next samples; returns how many: fewer than fit once a tone that ends is over.
  public mutating func fill(_ samples: UnsafeMutableBufferPointer<Int16>) -> Int {
    let count = min(samples.count, remaining)
    for i in 0..<count {
      if phase < onSamples {
        samples[i] = Int16((low.next() + high.next()).rounded())
      } else {
        samples[i] = 0
      }
      phase += 1
      if phase >= periodSamples {
        phase = 0
        low.restart()
        high.restart()
      }
    }
    if remaining != .max { remaining -= count }
    return count
  }

  /// Hz that can be asked for.
  public static let rates = 8_000...48_000

  /// Nobody holds a key for longer, and a run of digits must not fill the memory.
  public static let longestDigitMs = 10_000

  /// A run of keypad tones with silence after each. Characters that are no digits are pauses of `durationMs`; durations
  /// are cut to ``longestDigitMs``. Empty where the rate is out of range.
  public static func digits(
    _ digits: String, sampleRate: Int = 8000, durationMs: Int = 100, gapMs: Int = 100, levelDBFS: Double = -13
  ) -> [Int16] {
    guard rates.contains(sampleRate) else { return [] }
    let tone = max(0, min(durationMs, longestDigitMs)) * sampleRate / 1000
    let gap = max(0, min(gapMs, longestDigitMs)) * sampleRate / 1000
    var result: [Int16] = []
    for digit in digits {
      let start = result.count
      result.append(contentsOf: repeatElement(0, count: tone + gap))
      guard
        var generator = ToneGenerator(
          .digit(digit, durationMs: durationMs), sampleRate: sampleRate, levelDBFS: levelDBFS)
      else { continue }
      result.withUnsafeMutableBufferPointer { buffer in
        _ = generator.fill(UnsafeMutableBufferPointer(rebasing: buffer[start..<start + tone]))
      }
    }
    return result
  }
}
