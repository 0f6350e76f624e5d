import Base
import Turns

/// What the speech role needs to know, taken from the `speech` section of the configuration file by the composer.
public struct SpeechGatewayConfiguration: Sendable {
  /// `speech.vad`: when somebody speaks.
  public struct VoiceActivity: Sendable, Hashable {
    /// Speech probability (0 to 1) from which a frame counts as speech.
    public var threshold: Double
    /// Speech shorter than this is taken for a noise and never becomes a turn.
    public var minSpeechMs: Int
    /// Silence that ends a turn, unless a complete phrase ended it earlier.
    public var minSilenceMs: Int
    /// Audio kept before the first speech frame.
    public var paddingMs: Int

    public init(threshold: Double = 0.5, minSpeechMs: Int = 250, minSilenceMs: Int = 500, paddingMs: Int = 200) {
      self.threshold = threshold
      self.minSpeechMs = minSpeechMs
      self.minSilenceMs = minSilenceMs
      self.paddingMs = paddingMs
    }
  }

  /// `speech.turn`: whose turn it is.
  public struct TurnTaking: Sendable, Hashable {
    /// The longest silence that can be waited for inside one turn.
    public var maxSilenceMs: Int
    /// Speech of this length over a prompt is an interruption.
    public var interruptionMinMs: Int
    /// A turn longer than this is cut and recognised as it stands. Bounds the memory of a call.
    public var maxTurnMs: Int

    public init(maxSilenceMs: Int = 3000, interruptionMinMs: Int = 120, maxTurnMs: Int = 15_000) {
      self.maxSilenceMs = maxSilenceMs
      self.interruptionMinMs = interruptionMinMs
      self.maxTurnMs = maxTurnMs
    }
  }

  /// `speech.api`: recordings and texts that come without a call.
  public struct Desk: Sendable, Hashable {
    /// Threads that turn recordings into words, and as many for streams, below those of calls in priority. 1 to 16.
    public var maxWorkers: Int
    /// Recordings that are worked on or wait, and texts likewise; one more is refused.
    public var queueDepth: Int
    /// Streams of sound that are open at once.
    public var maxStreams: Int
    /// The longest recording, and the sound of the longest stream.
    public var maxAudioSeconds: Int

    public init(maxWorkers: Int = 1, queueDepth: Int = 8, maxStreams: Int = 4, maxAudioSeconds: Int = 600) {
      self.maxWorkers = maxWorkers
      self.queueDepth = queueDepth
      self.maxStreams = maxStreams
      self.maxAudioSeconds = maxAudioSeconds
    }
  }

  public var vad: VoiceActivity
  public var turn: TurnTaking
  /// `speech.partial_interval_ms`: speech between two looks at what the caller has said so far; nil for none
  /// (`speech.partial_results`).
  public var partialIntervalMs: Int?
  /// `speech.max_workers`: decoders, each on a thread of its own. 1 to 64.
  public var maxWorkers: Int
  /// `speech.queue_depth`: recognitions that may wait for a decoder; one more is answered with an empty result at once.
  public var queueDepth: Int
  /// `speech.tts.voice`: a name of ``Voices/names``; empty for the default.
  public var voice: String
  /// `speech.tts.speed`: 0.5 to 2.
  public var speed: Double
  /// `speech.tts.cache_mb`: memory for prompts already spoken; 0 for none.
  public var cacheMB: Int
  /// `speech.language`.
  public var language: String
  /// The folder with the recogniser's acoustic model (`en-us/`) and dictionary (`cmudict-en-us.dict`).
  public var pocketSphinxModel: String
  /// Where the Silero weights may be, the first readable file wins. None: the built-in detector takes over.
  public var sileroCandidates: [String]
  /// `play_audio` reads files below this folder only; empty: no file can be played.
  public var audioRoot: String
  public var desk: Desk

  public init(
    vad: VoiceActivity = .init(), turn: TurnTaking = .init(), partialIntervalMs: Int? = nil, maxWorkers: Int = 4,
    queueDepth: Int = 10, voice: String = "", speed: Double = 1, cacheMB: Int = 64, language: String = "en",
    pocketSphinxModel: String = Self.debianPocketSphinxModel, sileroCandidates: [String] = [], audioRoot: String = "",
    desk: Desk = .init()
  ) {
    self.vad = vad
    self.turn = turn
    self.partialIntervalMs = partialIntervalMs
    self.maxWorkers = maxWorkers
    self.queueDepth = queueDepth
    self.voice = voice
    self.speed = speed
    self.cacheMB = cacheMB
    self.language = language
    self.pocketSphinxModel = pocketSphinxModel
    self.sileroCandidates = sileroCandidates
    self.audioRoot = audioRoot
    self.desk = desk
  }

  /// Silence after which decoding begins: four frames. A stop consonant's closure is shorter; waiting longer would cost every
  /// answer that much.
  private static let candidateSilenceMs = 128

  /// How the endpointer judges turns.
  var turnSettings: TurnSettings {
    var settings = TurnSettings(
      threshold: Float(vad.threshold), minSpeechMs: vad.minSpeechMs, minSilenceMs: vad.minSilenceMs,
      paddingMs: vad.paddingMs, maxSilenceMs: turn.maxSilenceMs, interruptionMinMs: turn.interruptionMinMs)
    settings.candidateSilenceMs = min(Self.candidateSilenceMs, vad.minSilenceMs)
    settings.maxTurnMs = turn.maxTurnMs
    return settings
  }

  /// Where Debian's package `pocketsphinx-en-us` puts the US English model.
  public static let debianPocketSphinxModel = "/usr/share/pocketsphinx/model/en-us"
}

/// Why the speech role, or an engine of it, cannot start: one sentence and what to do about it.
public struct SpeechSetupError: Error, Sendable, CustomStringConvertible {
  /// What is wrong, naming the file or engine.
  public var message: String
  /// What to do about it.
  public var hint: String

  public init(_ message: String, hint: String = "") {
    self.message = message
    self.hint = hint
  }

  public var description: String { hint.isEmpty ? message : "\(message) (\(hint))" }
}
