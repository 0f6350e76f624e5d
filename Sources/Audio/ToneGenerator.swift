/// Makes keypad and call-progress tones. A value; allocates nothing after `init`.
public struct ToneGenerator: Sendable {
  /// Call-progress tones are those of North America.
  public enum Tone: Hashable, Sendable {
    /// `0-9`, `*`, `#`, `A-D` for `durationMs`.
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

  /// nil where the digit is none.
  public init?(_ tone: Tone, sampleRate: Int = 8000, levelDBFS: Double = -13) { nil }

  /// Writes the next samples; returns how many: fewer than fit once a tone that ends is over.
  public mutating func fill(_ samples: UnsafeMutableBufferPointer<Int16>) -> Int { 0 }

  /// A run of keypad tones with silence after each. Characters that are no digits are pauses of `durationMs`.
  public static func digits(
    _ digits: String, sampleRate: Int = 8000, durationMs: Int = 100, gapMs: Int = 100, levelDBFS: Double = -13
  ) -> [Int16] { [] }
}
