import CSpanDSP

/// Finds keypad tones (ITU-T Q.23/Q.24) in mono PCM at 8 kHz with SpanDSP's detector. Confined to its owner.
public final class DTMFDetector {
  /// What happened on the keypad. Positions count samples at 8 kHz since `init`, to about 13 ms.
  public enum Event: Hashable, Sendable {
    case pressed(Character, atSample: Int64)
    case released(Character, durationMs: Int)
  }

  public init() {}

  /// Looks at the next samples; the result is empty (and allocates nothing) unless a key went down or up.
  public func process(_ samples: UnsafeBufferPointer<Int16>) -> [Event] { [] }
}
