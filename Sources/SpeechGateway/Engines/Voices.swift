/// The embedded voices, for tools that speak without a call.
public enum Voices {
  /// The embedded voices' names, the default first.
  public static let names = ["slt", "rms", "awb", "kal16"]

  /// Whom they sound like.
  static let descriptions = [
    "slt": "a woman from the United States", "rms": "a man from the United States", "awb": "a man from Scotland",
    "kal16": "a man from the United States, with the sound of early machines",
  ]

  /// Speaks `text` with one of ``names`` and returns the whole sound: mono, 16 kHz, about -20 dBFS. Takes about a
  /// fiftieth of the sound's length.
  public static func synthesize(
    _ text: String, voice: String = "", speed: Double = 1
  ) throws(SynthesisError) -> [Int16] {
    let engine: FliteSynthesizer
    do { engine = try FliteSynthesizer(voice: voice) } catch { throw SynthesisError(error.description) }
    var sound: [Int16] = []
    try engine.synthesize(SynthesisRequest(text: text, voice: voice, speed: speed)) { samples, _ in
      sound.append(contentsOf: samples)
      return true
    }
    return sound
  }
}
