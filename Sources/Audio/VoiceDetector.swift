/// Says how probable it is that somebody speaks, frame by frame. A value with the state of one call (1.3 kB); the
/// weights behind it are shared by all calls.
public struct VoiceDetector: Sendable {
  /// Samples per frame: 32 ms at 16 kHz.
  public static let frameSamples = 512
  /// Hz.
  public static let sampleRate = 16_000

  /// What listens.
  public enum Engine: Sendable {
    /// The Silero v6 network.
    case silero(SileroModel)
    /// Band energies over an adaptive noise floor: no model needed, worse in noise and music.
    case energy

    /// `silero` or `energy`: for metrics, `parley doctor` and the event log.
    public var name: String {
      switch self {
      case .silero: "silero"
      case .energy: "energy"
      }
    }
  }

  public let engine: Engine
  private var silero = SileroVAD()
  private var energy = EnergyVAD()

  public init(_ engine: Engine) { self.engine = engine }

  /// Hears the next frame of 16 kHz mono PCM and returns the probability of speech, 0 to 1.
  /// - Parameter frame: ``frameSamples`` samples; a shorter frame counts as padded with silence, what is beyond is
  /// ignored.
  public mutating func probability(_ frame: UnsafeBufferPointer<Int16>) -> Float {
    switch engine {
    case .silero(let model): silero.probability(frame, model: model)
    case .energy: energy.probability(frame)
    }
  }

  /// Forgets the past, for another call or after a gap.
  public mutating func reset() {
    silero = SileroVAD()
    energy = EnergyVAD()
  }
}
