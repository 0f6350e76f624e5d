import Base

/// media -> speech.
public enum MediaToSpeech: Sendable {
  /// The call is answered and audio will follow.
  case answered
  /// A key was pressed and released.
  case digit(Digit, durationMs: Int)
  /// The first sample of a playback went out on the wire.
  case playoutStarted(PlaybackID)
  /// Samples (16 kHz) of the playback that have gone out; at most every 100 ms, and whenever room for more appears.
  case playoutProgress(PlaybackID, playedSamples: Int)
  /// The playback's last sample went out.
  case playoutFinished(PlaybackID)
  /// The playback was cleared after `playedSamples`.
  case playoutCleared(PlaybackID, playedSamples: Int)
  case held
  case resumed
  /// Measurements of the leg, every five seconds and at the end.
  case quality(MediaQuality)
  /// The call is over. Nothing follows.
  case ended(HangupReason)
}

/// speech -> media.
public enum SpeechToMedia: Sendable {
  case ringing
  case answer
  case reject(RejectReason)
  /// Opens a playback; its audio follows. Playbacks play in the order they were opened.
  case play(PlaybackID)
  /// No more audio follows for this playback.
  case endOfAudio(PlaybackID)
  /// Silences the playback, or all of them, on the wire with the next packet.
  case clear(PlaybackID?)
  case sendDigits(String, durationMs: Int)
  case hangup(HangupReason)
}

/// speech -> runtime. Times are milliseconds since the call was answered.
public enum SpeechToRuntime: Sendable {
  case answered
  case digit(Digit, durationMs: Int, atMs: Int)
  case speechStarted(atMs: Int)
  case speechPartial(transcript: String, atMs: Int)
  /// The caller's turn is over.
  case speechFinal(SpeechResult)
  case playbackStarted(PlaybackID, atMs: Int)
  case playbackFinished(PlaybackID)
  /// Cut short; `heard` is the text that had been spoken.
  case playbackInterrupted(PlaybackID, heard: String, playedMs: Int, by: Interruption)
  /// The prompt could not be made or read.
  case playbackFailed(PlaybackID, message: String)
  case held
  case resumed
  case quality(MediaQuality)
  case ended(HangupReason)
}

public enum Interruption: String, Sendable { case speech, digit, command }

/// runtime -> speech.
public enum RuntimeToSpeech: Sendable {
  case ringing
  case answer
  case reject(RejectReason)
  /// Queues a prompt behind those already queued.
  case say(Prompt)
  /// Stops the playback, or all of them; each comes back as `playbackInterrupted(by: .command)`.
  case stop(PlaybackID?)
  /// From now on the caller is listened to in this way. Replaces what was set before; takes effect for the next turn.
  case listen(ListenSpec)
  case sendDigits(String, durationMs: Int)
  /// Ends the call after what is queued has been played where `afterPlayback` is set, at once otherwise.
  case hangup(HangupReason, afterPlayback: Bool)
}

/// Something to be heard by the caller.
public struct Prompt: Sendable {
  public enum Source: Sendable, Hashable {
    case text(String)
    /// SSML 1.1: a document (`<speak>`) or a piece of one.
    case markup(String)
    /// A WAV file: `file:` URL or plain path below the configured object store, or `http(s):`.
    case audio(url: String)
    case silence(ms: Int)
  }
  public var id: PlaybackID
  public var source: Source
  /// Empty: the configured voice.
  public var voice: String
  /// 1.0 is the voice's own pace; 0.5 to 2.0.
  public var speed: Double
  public var language: String
  /// Whether speech or a digit of the caller stops it.
  public var bargeIn: Bool
  /// Whether the audio may be kept for the next call that says the same.
  public var cache: Bool
  /// Plays the source again and again until it is stopped.
  public var loop: Bool

  public init(
    id: PlaybackID, source: Source, voice: String = "", speed: Double = 1, language: String = "", bargeIn: Bool = true,
    cache: Bool = true, loop: Bool = false
  ) {
    self.id = id
    self.source = source
    self.voice = voice
    self.speed = speed
    self.language = language
    self.bargeIn = bargeIn
    self.cache = cache
    self.loop = loop
  }
}

/// How the caller is listened to in the current state of the dialog.
public struct ListenSpec: Sendable, Hashable {
  /// Phrases and words that the state expects: its hints, and the literal phrases of its transitions' conditions.
  public var phrases: [String]
  /// A JSGF grammar of the dialog's author; empty for none. Used together with `phrases`.
  public var grammar: String
  public var language: String
  /// Overrides the configured end-of-turn silence; nil for the configured one.
  public var minSilenceMs: Int?
  /// Whether what is said is of interest at all. Digits always are.
  public var speech: Bool
  /// Whether any words are welcome, not just the expected ones. The expected ones are still preferred.
  public var isOpen: Bool
  /// Whether speech and digits stop prompts that allow it.
  public var bargeIn: Bool

  public init(
    phrases: [String] = [], grammar: String = "", language: String = "", minSilenceMs: Int? = nil, speech: Bool = true,
    isOpen: Bool = false, bargeIn: Bool = true
  ) {
    self.phrases = phrases
    self.grammar = grammar
    self.language = language
    self.minSilenceMs = minSilenceMs
    self.speech = speech
    self.isOpen = isOpen
    self.bargeIn = bargeIn
  }
}

/// What one turn of the caller was understood as.
public struct SpeechResult: Sendable, Hashable {
  /// Lower case words; empty where nothing of the state's search fitted (the dialog's `no_match`).
  public var transcript: String
  /// 0 (surely not) to 1 (sure); calibrated per engine.
  public var confidence: Double
  public var language: String
  /// Length of the speech itself.
  public var durationMs: Int
  /// When the speech began and ended, since the call was answered.
  public var startMs: Int
  public var endMs: Int
  /// From the end of the speech to the decision that the turn is over, and from there to the words.
  public var endpointMs: Int
  public var recognizeMs: Int
  /// Which engine and model heard it: the `model` label of the metrics.
  public var model: String

  public init(
    transcript: String, confidence: Double, language: String, durationMs: Int, startMs: Int, endMs: Int,
    endpointMs: Int, recognizeMs: Int, model: String
  ) {
    self.transcript = transcript
    self.confidence = confidence
    self.language = language
    self.durationMs = durationMs
    self.startMs = startMs
    self.endMs = endMs
    self.endpointMs = endpointMs
    self.recognizeMs = recognizeMs
    self.model = model
  }
}

/// One leg's measurements since it started.
public struct MediaQuality: Sendable, Hashable {
  public var packetsReceived: Int
  public var packetsLost: Int
  /// Interarrival jitter (RFC 3550 section 6.4.1) in milliseconds.
  public var jitterMs: Double
  /// Packets dropped with a reason (foreign source, bad version, late ...).
  public var packetsRejected: Int
  /// Playout slots for which no audio had come.
  public var underruns: Int

  public init(packetsReceived: Int, packetsLost: Int, jitterMs: Double, packetsRejected: Int, underruns: Int) {
    self.packetsReceived = packetsReceived
    self.packetsLost = packetsLost
    self.jitterMs = jitterMs
    self.packetsRejected = packetsRejected
    self.underruns = underruns
  }
}
