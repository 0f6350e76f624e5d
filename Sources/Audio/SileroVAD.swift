/// One call's state of the Silero v6 voice activity network (16 kHz): 256 floats of LSTM state and 64 samples of context.
public struct SileroVAD: Sendable {
  public init() {}

  /// See ``VoiceDetector/probability(_:)``.
  public mutating func probability(_ frame: UnsafeBufferPointer<Int16>, model: SileroModel) -> Float { 0 }
}

/// The weights of the Silero v6 voice activity network (16 kHz), loaded once and shared by all calls. Immutable.
public final class SileroModel: Sendable {
  /// The file the weights came from.
  public let path: String

  private init(path: String) { self.path = path }

  /// Reads `silero_vad_16k_op15.onnx` or `silero_vad_16k.safetensors` of the PyPI package `silero-vad` 6.
  public static func load(path: String) throws(AudioError) -> SileroModel { throw AudioError(.unreadable, path) }

  /// What ``find(in:)`` came to.
  public struct Search: Sendable {
    /// The first candidate that could be loaded.
    public var model: SileroModel?
    /// Why candidates that exist could not be used; files that do not exist are no problem.
    public var problems: [AudioError]
  }

  /// Loads the first candidate path that exists and is usable.
  public static func find(in candidates: [String]) -> Search { Search(model: nil, problems: []) }
}
