import Base

// integration -> speech, outside of calls: recordings into words, text into sound.

/// The speech role as the integration role sees it where there is no call. All of it is work of lower priority than any call's:
/// it is refused, not queued, beyond a few requests.
public protocol SpeechDesk: Sendable {
  /// The models that hear and speak.
  var models: [SpeechModel] { get }
  /// The voices, the default first.
  var voices: [SpeechVoice] { get }

  /// Turns a recording into words; the segments come as they are recognised, and the stream ends after the last.
  /// Ending the stream early ends the work. It throws ``SpeechDeskError`` only.
  /// - Throws: ``SpeechDeskError/Code/busy`` where there is no room, or what is wrong with the request.
  func transcribe(_ request: TranscriptionRequest) throws(SpeechDeskError)
    -> AsyncThrowingStream<TranscriptionEvent, any Error>

  /// Turns sound into words while it comes.
  /// - Throws: ``SpeechDeskError/Code/busy`` where as many streams are open as there may be, or what is wrong with the request.
  func listen(_ request: SpeechStreamRequest) throws(SpeechDeskError) -> SpeechStream

  /// Speaks a text; the file's bytes come as they are made. Ending the stream early ends the work. It throws
  /// ``SpeechDeskError`` only.
  func speak(_ request: SpeakingRequest) throws(SpeechDeskError) -> AsyncThrowingStream<[UInt8], any Error>
}

public struct SpeechModel: Sendable, Hashable {
  public enum Kind: String, Sendable { case recognition, synthesis }
  public var name: String
  public var kind: Kind
  /// BCP 47.
  public var languages: [String]

  public init(name: String, kind: Kind, languages: [String]) {
    self.name = name
    self.kind = kind
    self.languages = languages
  }
}

public struct SpeechVoice: Sendable, Hashable {
  public var name: String
  /// BCP 47.
  public var language: String
  /// The model that speaks with it.
  public var model: String
  public var description: String

  public init(name: String, language: String, model: String, description: String) {
    self.name = name
    self.language = language
    self.model = model
    self.description = description
  }
}

public struct TranscriptionRequest: Sendable {
  /// A file: WAV, FLAC, Ogg or MP3.
  public var audio: [UInt8]
  /// BCP 47; empty for the configured language.
  public var language: String
  /// Phrases that are expected, which are heard far better than other speech. Empty: any words.
  public var phrases: [String]

  public init(audio: [UInt8], language: String = "", phrases: [String] = []) {
    self.audio = audio
    self.language = language
    self.phrases = phrases
  }
}

/// A word, in milliseconds from the beginning of the recording.
public struct TranscribedWord: Sendable, Hashable {
  public var text: String
  public var startMs: Int
  public var endMs: Int
  /// 0 to 1.
  public var confidence: Double

  public init(text: String, startMs: Int, endMs: Int, confidence: Double) {
    self.text = text
    self.startMs = startMs
    self.endMs = endMs
    self.confidence = confidence
  }
}

/// Speech between two silences.
public struct TranscribedSegment: Sendable, Hashable {
  /// Lower case words without punctuation.
  public var text: String
  public var startMs: Int
  public var endMs: Int
  /// 0 to 1: about the share of the words that is right.
  public var confidence: Double
  public var words: [TranscribedWord]

  public init(text: String, startMs: Int, endMs: Int, confidence: Double, words: [TranscribedWord]) {
    self.text = text
    self.startMs = startMs
    self.endMs = endMs
    self.confidence = confidence
    self.words = words
  }
}

public enum TranscriptionEvent: Sendable, Hashable {
  /// The recording could be read, and so long it is. Comes first.
  case read(durationMs: Int)
  case segment(TranscribedSegment)
}

public struct SpeakingRequest: Sendable {
  /// What the bytes are.
  public enum Format: String, Sendable, CaseIterable {
    case wav, mp3, opus, flac, pcm, ulaw

    public var mediaType: String {
      switch self {
      case .wav: "audio/wav"
      case .mp3: "audio/mpeg"
      case .opus: "audio/ogg"
      case .flac: "audio/flac"
      case .pcm: "audio/pcm"
      case .ulaw: "audio/basic"
      }
    }
  }

  public var text: String
  /// Whether the text is SSML (docs/ssml.md).
  public var isMarkup: Bool
  /// Empty: the configured voice.
  public var voice: String
  /// 1.0 is the voice's own pace; 0.5 to 2.
  public var speed: Double
  public var format: Format
  /// Hz; nil for the format's usual one.
  public var sampleRate: Int?

  public init(
    text: String, isMarkup: Bool = false, voice: String = "", speed: Double = 1, format: Format = .wav,
    sampleRate: Int? = nil
  ) {
    self.text = text
    self.isMarkup = isMarkup
    self.voice = voice
    self.speed = speed
    self.format = format
    self.sampleRate = sampleRate
  }
}

/// Why something could not be heard or spoken outside of a call.
public struct SpeechDeskError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Code: String, Sendable {
    /// No room now: try again after ``SpeechDeskError/retryAfterSeconds``.
    case busy
    /// The audio cannot be read.
    case audio
    /// The audio is longer than allowed.
    case tooLong = "too_long"
    /// What was heard is not taken.
    case tooSlow = "too_slow"
    /// A language, voice, text or other value that cannot be served.
    case unsupported
    /// An engine failed, or there is none.
    case unavailable
  }

  public var code: Code
  /// One sentence for a person.
  public var message: String
  public var retryAfterSeconds: Int

  public init(_ code: Code, _ message: String, retryAfterSeconds: Int = 1) {
    self.code = code
    self.message = message
    self.retryAfterSeconds = retryAfterSeconds
  }

  public var description: String { message }
}
