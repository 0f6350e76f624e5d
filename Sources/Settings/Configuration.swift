import Base

/// The whole configuration, typed and checked: one YAML file, overridden by the environment, over the built-in defaults.
///
/// ``ConfigurationLoader`` makes one. `docs/configuration.md` is generated from ``ConfigurationKeys``, which ties every
/// property to its key.
public struct Configuration: Sendable, Hashable {
  public var media = MediaSettings()
  public var speech = SpeechSettings()
  public var runtime = RuntimeSettings()
  public var integration = IntegrationSettings()
  public var cluster = ClusterSettings()
  public var storage = StorageSettings()
  public var observability = ObservabilitySettings()
  public var security = SecuritySettings()

  public init() {}
}

/// `media`: SIP and RTP.
public struct MediaSettings: Sendable, Hashable {
  /// A transport that SIP is listened on (RFC 3261 section 18).
  public enum SIPTransport: String, Sendable, CaseIterable { case udp, tcp, tls }
  /// An audio codec by its configuration name.
  public enum Codec: String, Sendable, CaseIterable { case g711ulaw = "g711-ulaw", g711alaw = "g711-alaw" }

  /// 0 asks the system for a free port.
  public var sipPort = 5060
  public var sipTransport: [SIPTransport] = [.udp, .tcp]
  /// 0 asks the system for a free port.
  public var sipTLSPort = 5061
  /// PEM files: the certificate with those between it and its root, and its key.
  public var sipTLSCert = ""
  public var sipTLSKey = ""
  /// PEM file of the authorities that peers' certificates must come from; empty: peers need show none.
  public var sipTLSClientCA = ""
  /// The address that SIP and RTP sockets bind: an IP address, `0.0.0.0` for every IPv4 interface.
  public var listenAddress = "0.0.0.0"
  /// What Contact and SDP carry; `auto`: the local address that the peer is reached from.
  public var advertisedAddress = "auto"
  /// Ports for RTP and RTCP, both ends included.
  public var rtpPortRange = PortRange(first: 10000, last: 20000)
  /// How many of these ports each instance has for itself; even. 0: each may use all of them.
  public var rtpPortsPerInstance = 0
  /// Which instance this process is: a number, or a pod's name that ends in one (`parley-media-2`); empty: nobody has said.
  public var instance = ""
  /// Answer to where the peer's media comes from, not to where its SDP says.
  public var rtpSymmetric = true
  /// Most wanted first.
  public var codecs: [Codec] = [.g711ulaw, .g711alaw]
  /// The most delay the adaptive buffer may add.
  public var jitterBufferMs = 60
  public var packetLossConcealment = true
  /// No media for this long ends the call.
  public var reconnectionTimeout: Duration = .seconds(30)
  /// How often a peer must show that its call is still alive (RFC 4028); zero: never.
  public var sessionTimer: Duration = .seconds(1800)
  /// Above it a new call is answered 503.
  public var maxCalls = 1000
  public var access = Access()

  /// `media.access`: who may call, and how often.
  public struct Access: Sendable, Hashable {
    /// Empty: everyone.
    public var allow: [AddressBlock] = []
    /// Stronger than `allow`.
    public var deny: [AddressBlock] = []
    /// New calls per second over all peers; 0 switches the limit off.
    public var maxCallsPerSecond = 50
    /// Whether tools that scan the net for gateways to rob hear nothing.
    public var dropScanners = true
    public init() {}
  }

  public init() {}
}

/// `speech`: hearing and speaking.
public struct SpeechSettings: Sendable, Hashable {
  /// A speech engine by its configuration name.
  public enum Engine: String, Sendable, CaseIterable { case embedded }

  public var engine = Engine.embedded
  /// The folder that engines look for models in.
  public var modelDir = StorageSettings.defaultDataDir + "/models"
  /// A language tag (BCP 47).
  public var language = "en"
  public var vad = VoiceActivity()
  public var turn = TurnTaking()
  /// Whether what a caller has said so far is recognised while they speak.
  public var partialResults = false
  /// Speech between two partial results.
  public var partialIntervalMs = 300
  /// Decoders, each on a thread of its own.
  public var maxWorkers = 4
  /// Recognitions that may wait for a decoder.
  public var queueDepth = 10
  public var api = API()
  public var tts = Synthesis()

  /// `speech.api`: recordings and texts that come by the API and not in a call.
  public struct API: Sendable, Hashable {
    /// Threads that turn recordings into words, and as many for streams.
    public var maxWorkers = 1
    /// Recordings that are worked on or wait, and texts likewise.
    public var queueDepth = 8
    /// Streams of sound that are open at once.
    public var maxStreams = 4
    /// The longest recording, and the longest stream.
    public var maxAudio = Duration.seconds(600)
    public init() {}
  }

  /// `speech.vad`: when somebody speaks.
  public struct VoiceActivity: Sendable, Hashable {
    /// Speech probability (0 to 1) from which a frame counts as speech.
    public var threshold = 0.5
    /// Speech shorter than this is taken for a noise.
    public var minSpeechMs = 250
    /// Silence that ends a turn.
    public var minSilenceMs = 500
    /// Audio kept before the first speech frame.
    public var paddingMs = 200
    public init() {}
  }

  /// `speech.turn`: whose turn it is.
  public struct TurnTaking: Sendable, Hashable {
    /// The longest silence inside one turn.
    public var maxSilenceMs = 3000
    /// Speech of this length over a prompt is an interruption.
    public var interruptionMinMs = 120
    public init() {}
  }

  /// `speech.tts`: the voice.
  public struct Synthesis: Sendable, Hashable {
    public var engine = Engine.embedded
    /// Empty: the engine's default voice.
    public var voice = ""
    /// 0.5 to 2; 1 is the voice's own pace.
    public var speed = 1.0
    /// Memory for prompts already spoken, in MiB; 0 for none.
    public var cacheMB = 64
    public init() {}
  }

  public init() {}
}

/// `runtime`: dialogs and their sessions.
public struct RuntimeSettings: Sendable, Hashable {
  /// Where the state of live sessions is kept.
  public enum StateStore: String, Sendable, CaseIterable { case memory, redis, postgres }

  /// The folder that dialogs (`*.yaml`) are read from.
  public var dialogDir = "/etc/voice-gateway/dialogs/"
  /// The folder of documents that agent states answer from; empty: `knowledge` below ``dialogDir``.
  public var knowledgeDir = ""
  /// How long a state waits for its event where the dialog does not say.
  public var defaultTimeout: Duration = .seconds(10)
  public var maxConcurrentCalls = 100
  /// Transitions without input that one session may chain.
  public var maxDialogDepth = 50
  public var stateStore = StateStore.memory
  /// Whether speech and digits stop prompts where the dialog does not say.
  public var bargeIn = true
  public var llm = LanguageModelSettings()

  /// The folder behind ``knowledgeDir``.
  public var knowledgePath: String {
    if !knowledgeDir.isEmpty { return knowledgeDir }
    return dialogDir.hasSuffix("/") ? dialogDir + "knowledge" : dialogDir + "/knowledge"
  }

  public init() {}
}

/// `runtime.llm`: the language model behind agent states, spoken to by OpenAI-compatible chat completions.
public struct LanguageModelSettings: Sendable, Hashable {
  /// The address below which `/chat/completions` lies; empty: there is no model.
  public var url = ""
  /// Where the dialog names none; empty: the server's own default.
  public var model = ""
  public var apiKey = Secret("")
  /// To the first word of an answer, with all fallbacks and retries, and from word to word.
  public var timeout: Duration = .seconds(10)
  /// Tried in this order when the model fails before it has said anything.
  public var fallbacks: [Fallback] = []
  /// How long the model may take to its first word before the next fallback is asked beside it; zero: it is not.
  public var hedgeAfter: Duration = .zero
  /// How often every model is tried again after all of them have failed.
  public var maxRetries = 1
  /// The address below which `/embeddings` lies; empty: documents are searched by their words alone.
  public var embeddingsURL = ""
  public var embeddingsModel = ""

  /// One entry of `runtime.llm.fallbacks`.
  public struct Fallback: Sendable, Hashable {
    /// Empty: the main model's address and key.
    public var url = ""
    public var model = ""
    public var apiKey = Secret("")
    public init() {}
  }

  public init() {}
}

/// `storage`: what outlives the process.
public struct StorageSettings: Sendable, Hashable {
  /// Where the gateway keeps its files unless told otherwise.
  public static let defaultDataDir = "/var/lib/voice-gateway"

  /// The folder under which the other paths have their defaults.
  public var dataDir = StorageSettings.defaultDataDir
  /// `sqlite:///absolute/path`, `postgres://...` with its password, or `memory:` for nothing on disk.
  public var database = "sqlite://" + StorageSettings.defaultDataDir + "/parley.db"
  /// What gateways that share a database reach each other by; nil: there is one gateway, or they only share the database.
  public var redis: RedisAddress?
  /// Sounds that dialogs play.
  public var objects = ObjectsAddress.folder(StorageSettings.defaultDataDir + "/objects")
  /// Who we are to a bucket in ``objects``.
  public var s3 = S3Settings()
  public var retention = RetentionSettings()

  public init() {}

  public var isInMemory: Bool { database == "memory:" }

  /// The address of the PostgreSQL database; nil for others. It may hold a password.
  public var postgresURL: Secret? { DatabaseAddress.isPostgres(database) ? Secret(database) : nil }

  /// The path of the SQLite file; nil for others.
  public var databasePath: String? {
    database.hasPrefix("sqlite://") ? String(database.dropFirst("sqlite://".count)) : nil
  }

  /// The folder behind ``objects``; nil for a bucket.
  public var objectsPath: String? { if case .folder(let path) = objects { path } else { nil } }

  /// The bucket behind ``objects``; nil for a folder.
  public var objectsBucket: BucketAddress? { if case .bucket(let address) = objects { address } else { nil } }
}

/// `storage.retention`: how long what is kept of calls stays; zero: for ever.
public struct RetentionSettings: Sendable, Hashable {
  public var transcripts: Duration = .seconds(90 * 86_400)
  public var events: Duration = .seconds(30 * 86_400)

  public init() {}
}

/// `observability`: metrics, health and logs.
public struct ObservabilitySettings: Sendable, Hashable {
  public var metrics = MetricsSettings()
  public var tracing = TracingSettings()
  public var log = LogSettings()

  /// `observability.metrics`: the HTTP server for metrics and health.
  public struct MetricsSettings: Sendable, Hashable {
    /// Whether `path` answers; health does in any case.
    public var enabled = true
    public var listenAddress = "0.0.0.0"
    /// 0 asks the system for a free port.
    public var port = 9100
    public var path = "/metrics"
    public init() {}
  }

  /// `observability.tracing`: where the spans of calls go.
  public struct TracingSettings: Sendable, Hashable {
    public var enabled = false
    /// Of OTLP over HTTP; never empty where ``enabled`` is set.
    public var otlpEndpoint = ""
    /// Share of calls, 0 to 1; the sender of a `traceparent` decides for its own.
    public var sampleRatio = 1.0
    public init() {}
  }

  /// `observability.log`: lines on stderr.
  public struct LogSettings: Sendable, Hashable {
    public enum Level: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }
    public enum Format: String, Sendable, CaseIterable { case json, text }
    public var level = Level.info
    public var format = Format.json
    public init() {}
  }

  public init() {}
}
