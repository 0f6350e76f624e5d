/// The embedded voices, for tools that speak without a call.
public enum Voices {
  /// The embedded voices' names, the default first.
  public static let names = ["slt", "rms", "awb", "kal16"]

  /// Speaks `text` with one of ``names`` and returns the whole sound: mono, 16 kHz, about -20 dBFS. Takes about a fiftieth of
  /// the sound's length.
  public static func synthesize(_ text: String, voice: String = "", speed: Double = 1) throws(SynthesisError) -> [Int16]
  {
    throw SynthesisError("the embedded voice is not built in yet")
  }
}
