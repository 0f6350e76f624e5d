/// Text to be spoken.
public struct SynthesisRequest: Sendable, Hashable {
  /// Plain text; the engine reads numbers and abbreviations itself.
  public var text: String
  /// A name of the engine's voices; empty for its default.
  public var voice: String
  /// 1.0 is the voice's own pace; 0.5 to 2.
  public var speed: Double

  public init(text: String, voice: String = "", speed: Double = 1) {
    self.text = text
    self.voice = voice
    self.speed = speed
  }
}

/// When a word of a text has been spoken completely.
public struct SpokenWord: Sendable, Hashable {
  public var text: String
  /// Samples (16 kHz) from the start of the text.
  public var endSample: Int

  public init(text: String, endSample: Int) {
    self.text = text
    self.endSample = endSample
  }
}

/// Why a text could not be spoken: a sentence for the event log.
public struct SynthesisError: Error, Sendable, CustomStringConvertible {
  public var message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}

/// A voice maker: Flite here, others behind the same door.
public protocol Synthesizer: Sendable {
  /// The `engine` label of metrics.
  var name: String { get }
  /// The voices it has, its default first.
  var voices: [String] { get }
  /// Speaks the text on the calling thread, piece by piece as it becomes ready: mono, 16 kHz, about -20 dBFS, never
  /// clipped.
  /// - Parameter chunk: takes the next samples and the words that end within what has been handed over so far; returns
  ///   false to stop.
  func synthesize(
    _ request: SynthesisRequest, chunk: (UnsafeBufferPointer<Int16>, [SpokenWord]) -> Bool
  ) throws(SynthesisError)
}
