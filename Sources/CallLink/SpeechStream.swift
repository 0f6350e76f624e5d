// integration -> speech, outside of calls: sound into words while it comes.

/// What a stream of sound is, and what is wanted of it.
public struct SpeechStreamRequest: Sendable {
  public enum Encoding: String, Sendable, CaseIterable {
    /// 16-bit little-endian samples.
    case pcm = "pcm_s16le"
    /// G.711 mu-law.
    case ulaw

    public var bytesPerSample: Int { self == .pcm ? 2 : 1 }
  }

  /// Hz that can be asked for.
  public static let sampleRates = [8_000, 16_000, 24_000, 48_000]

  /// Mono.
  public var encoding: Encoding
  /// Hz; one of ``sampleRates``.
  public var sampleRate: Int
  /// BCP 47; empty for the configured language.
  public var language: String
  /// Phrases that are expected, which are heard far better than other speech. Empty: any words.
  public var phrases: [String]
  /// Whether what has been said so far is told while somebody speaks.
  public var wantsPartials: Bool

  public init(
    encoding: Encoding = .pcm, sampleRate: Int = 16_000, language: String = "", phrases: [String] = [],
    wantsPartials: Bool = true
  ) {
    self.encoding = encoding
    self.sampleRate = sampleRate
    self.language = language
    self.phrases = phrases
    self.wantsPartials = wantsPartials
  }
}

/// What was heard of a stream, in milliseconds from its first sample.
public enum SpeechStreamEvent: Sendable, Hashable {
  /// What the stretch of speech that goes on holds so far; the next may correct it.
  case partial(text: String, startMs: Int, endMs: Int)
  /// A stretch of speech that is over.
  case final(TranscribedSegment)
  /// All that was written before a ``SpeechStreamInlet/finalize()`` has been told.
  case finalized(atMs: Int)
  /// All has been told, of so much sound. Comes last.
  case done(durationMs: Int)
}

/// Where the sound of a stream goes in. For one writer.
public protocol SpeechStreamInlet: Sendable {
  /// Takes sound, whole samples of it. Returns when there is room for more: what has not been heard yet is bounded, so that a
  /// writer who is faster than the recogniser waits for it. Returns at once when nobody listens any more.
  func write(_ bytes: [UInt8]) async
  /// Ends the stretch of speech that goes on, as if silence had. Waits as ``write(_:)`` does.
  func finalize() async
  /// No more sound comes.
  func finish()
}

/// A stream of sound on its way to words.
public struct SpeechStream: Sendable {
  /// Ends after ``SpeechStreamEvent/done(durationMs:)``; ending it early ends the work. Throws ``SpeechDeskError`` only, also where
  /// its reader lags too far behind.
  public let events: AsyncThrowingStream<SpeechStreamEvent, any Error>
  public let inlet: any SpeechStreamInlet

  public init(events: AsyncThrowingStream<SpeechStreamEvent, any Error>, inlet: any SpeechStreamInlet) {
    self.events = events
    self.inlet = inlet
  }
}
