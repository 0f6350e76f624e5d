import Base

/// Every key there is, with its property, its limits and its explanation. The reader, the environment, `config show` and
/// `docs/configuration.md` all come from this table.
enum ConfigurationKeys {
  static let all: [Field<Configuration>] = [
    .section("media", \.media, "SIP and RTP.", media),
    .section("speech", \.speech, "Hearing and speaking.", speech),
    .section("runtime", \.runtime, "Dialogs and their sessions.", runtime),
    .section("integration", \.integration, "The REST API and the customer's services.", IntegrationKeys.integration),
    .section(
      "cluster", \.cluster, "Roles in processes of their own; see docs/operations/cluster.md.", ClusterKeys.cluster),
    .section("storage", \.storage, "What outlives the process.", storage),
    .section("observability", \.observability, "Metrics, health and logs.", observability),
    .section("security", \.security, "Who may use the API, and what is kept of it.", SecurityKeys.security),
  ]

  private static let noMap = Value.map([:])

  private static let media: [Field<MediaSettings>] = [
    .key("sip_port", \.sipPort, .port, "SIP over UDP and TCP; 0 lets the system choose."),
    .key(
      "sip_transport", \.sipTransport,
      .list(of: .choice(), "`udp`, `tcp`, `tls`, or a list of them", count: 1...3, distinct: true),
      "What SIP is listened on."),
    .key("sip_tls_port", \.sipTLSPort, .port, "SIP over TLS; 0 lets the system choose."),
    .key(
      "sip_tls_cert", \.sipTLSCert, .text("path"),
      "PEM file of the certificate for SIP over TLS and those between it and its root; read anew when it changes."),
    .key("sip_tls_key", \.sipTLSKey, .text("path"), "PEM file of its private key, without a passphrase."),
    .key(
      "sip_tls_client_ca", \.sipTLSClientCA, .text("path"),
      "PEM file of the authorities that the certificates of peers must come from; empty: peers need show none."),
    .key(
      "listen_address", \.listenAddress, ipAddress,
      "The address that SIP and RTP sockets bind; `0.0.0.0`: every IPv4 interface."),
    .key(
      "advertised_address", \.advertisedAddress,
      .checked("`auto` or an IP address") { $0 == "auto" || AddressBlock.parse($0) != nil },
      "What Contact and SDP carry; `auto`: the local address that the peer is reached from."),
    .key("rtp_port_range", \.rtpPortRange, portRange, "Ports for RTP and RTCP, both ends included."),
    .key(
      "rtp_ports_per_instance", \.rtpPortsPerInstance, PortSlice.count,
      "Where instances share the ports of one machine: so many of `rtp_port_range` are for each, the first for instance 0; 0: all for each."
    ),
    .key(
      "instance", \.instance, PortSlice.instance,
      "Which instance this is: a number, or a pod's name that ends in one, such as `parley-media-2`; needed by `rtp_ports_per_instance`."
    ),
    .key(
      "rtp_symmetric", \.rtpSymmetric, .bool, "Answer to where the peer's media comes from, not to where its SDP says."),
    .later("srtp", "off"),
    .key(
      "codecs", \.codecs,
      .list(of: .choice(later: ["opus", "g722"]), "list of `g711-ulaw`, `g711-alaw`", count: 1...2, distinct: true),
      "Audio codecs, most wanted first."),
    .later("output_format", "pcm16"),
    .later("output_sample_rate", 16000),
    .later("output_channels", 1),
    .key(
      "jitter_buffer_ms", \.jitterBufferMs, .int(0...1000), "The most delay that the adaptive jitter buffer may add."),
    .key(
      "packet_loss_concealment", \.packetLossConcealment, .bool,
      "Conceal lost audio; silence takes its place otherwise."),
    .key(
      "reconnection_timeout", \.reconnectionTimeout, .duration(.seconds(1), .seconds(3600)),
      "No media for this long ends the call."),
    .later("keepalive_interval", "0s"),
    .key(
      "session_timer", \.sessionTimer, .duration(.zero, .seconds(86_400)),
      "How often a peer must show that its call is still alive (RFC 4028): from `90s` on; `0s`: never."),
    .key("max_calls", \.maxCalls, .int(1...100_000), "Live calls; above it a new call is answered 503."),
    .later("webrtc", noMap),
    .later("trunks", []),
    .later("users", []),
    .section(
      "access", \.access, "Who may call, and how often.",
      [
        .key("allow", \.allow, blocks, "Peers that may call; empty: everyone."),
        .key("deny", \.deny, blocks, "Peers that may not; stronger than `allow`."),
        .key(
          "max_calls_per_second", \.maxCallsPerSecond, .int(0...10_000),
          "New calls per second over all peers; above it 503; 0: no limit."),
        .key(
          "drop_scanners", \.dropScanners, .bool,
          "No answer to tools that scan the net for gateways to rob, known by their User-Agent."),
      ]),
  ]

  private static let speech: [Field<SpeechSettings>] = [
    .key("engine", \.engine, .choice(later: ["whisper", "faster-whisper", "sherpa", "openai"]), "The speech engine."),
    .later("model", ""),
    .key(
      "model_dir", \.modelDir, path,
      "The folder that engines look for models in; by default `models` below `storage.data_dir`."),
    .key("language", \.language, .text("language tag", limit: 35, allowEmpty: false), "The language that is spoken."),
    .later("gpu", "auto", false),
    .later("gpu_device", 0),
    .section(
      "vad", \.vad, "When somebody speaks.",
      [
        .later("enabled", true),
        .later("engine", "auto"),
        .key("threshold", \.threshold, .double(0.01...0.99), "Speech probability from which a frame counts as speech."),
        .key("min_speech_ms", \.minSpeechMs, .int(0...5000), "Speech shorter than this is taken for a noise."),
        .key("min_silence_ms", \.minSilenceMs, .int(50...10_000), "Silence that ends a turn."),
        .key("padding_ms", \.paddingMs, .int(0...2000), "Audio kept before the first speech frame."),
      ]),
    .section(
      "turn", \.turn, "Whose turn it is.",
      [
        .later("detector", "auto"),
        .key("max_silence_ms", \.maxSilenceMs, .int(100...30_000), "The longest silence inside one turn."),
        .key(
          "interruption_min_ms", \.interruptionMinMs, .int(0...5000),
          "Speech of this length over a prompt interrupts it."),
        .later("resume_false_interruption", false),
      ]),
    .key(
      "partial_results", \.partialResults, .bool,
      "Whether what a caller has said so far is recognised while they speak: about 15 % of a core for each of them."),
    .key("partial_interval_ms", \.partialIntervalMs, .int(100...5000), "Speech between two partial results."),
    .later("beam_size", 5),
    .later("temperature", .double(0), 0),
    .key("max_workers", \.maxWorkers, .int(1...64), "Decoders, each on a thread of its own."),
    .later("worker_timeout", "30s"),
    .key("queue_depth", \.queueDepth, .int(0...10_000), "Recognitions that may wait for a decoder."),
    .section(
      "api", \.api, "Recordings and texts that come by the API and not in a call.",
      [
        .key(
          "max_workers", \.maxWorkers, .int(1...16),
          "Threads that turn recordings into words, and as many for streams, below those of calls in priority; each takes 75 MB once it is used."
        ),
        .key(
          "queue_depth", \.queueDepth, .int(1...64),
          "Recordings that are worked on or wait, and texts likewise; one more is answered with 429."),
        .key(
          "max_streams", \.maxStreams, .int(1...64),
          "Streams of sound that are open at once; one more is closed with 1013. Each that wants partial results takes 60 MB."
        ),
        .key(
          "max_audio", \.maxAudio, .duration(.seconds(1), .seconds(3600)),
          "The longest recording, and the sound of the longest stream."),
      ]),
    .section(
      "tts", \.tts, "The voice.",
      [
        .key("engine", \.engine, .choice(later: ["sherpa", "openai"]), "The synthesis engine."),
        .key("voice", \.voice, .text(limit: 128), "A voice of the engine; empty: its default."),
        .key("speed", \.speed, .double(0.5...2), "1 is the voice's own pace."),
        .key("cache_mb", \.cacheMB, .int(0...65_536), "MiB of memory for prompts already spoken; 0: none."),
        .later("url", ""),
        .later("model", ""),
        .later("api_key", ""),
      ]),
  ]

  private static let runtime: [Field<RuntimeSettings>] = [
    .key(
      "dialog_dir", \.dialogDir, path,
      "The folder that dialogs (`*.yaml`) are read from; changes are taken up within seconds."),
    .key(
      "knowledge_dir", \.knowledgeDir, .text("path"),
      "Documents (`*.md`, `*.txt`) that agent states answer from; empty: `knowledge` below `dialog_dir`."),
    .key(
      "default_timeout", \.defaultTimeout, .duration(.milliseconds(100), .seconds(3600)),
      "How long a state waits where its dialog does not say."),
    .key(
      "max_concurrent_calls", \.maxConcurrentCalls, .int(1...100_000),
      "Sessions at once; above it a call is refused as busy."),
    .key("max_dialog_depth", \.maxDialogDepth, .int(1...1000), "Transitions that one session may chain without input."),
    .key(
      "state_store", \.stateStore, .choice(),
      "Where the state of live calls is kept: with `redis` (`storage.redis`) or `postgres` (`storage.database`) a call outlives the process that serves it."
    ),
    .key("barge_in", \.bargeIn, .bool, "Whether speech and digits stop prompts where the dialog does not say."),
    .section("llm", \.llm, "The language model behind agent states: OpenAI-compatible chat completions.", llm),
  ]

  private static let llm: [Field<LanguageModelSettings>] = [
    .key("url", \.url, .url(allowEmpty: true), "Its address, such as `https://api.openai.com/v1`; empty: no model."),
    .key("model", \.model, modelName, "The model where a dialog names none; empty: the server's own default."),
    .key("api_key", \.apiKey, .optionalSecret, "The bearer token; empty: none is sent."),
    .key(
      "timeout", \.timeout, .duration(.milliseconds(100), .seconds(120)),
      "To the first word of an answer, fallbacks and retries included, and from word to word."),
    .key(
      "fallbacks", \.fallbacks,
      .list(
        of: .object(.init(), fallback),
        "list of `url`, `model`, `api_key`; without `url`: the address and key of the model above", count: 0...4,
        distinct: true),
      "Models that are asked in this order when the one before has failed without a word."),
    .key(
      "hedge_after", \.hedgeAfter, .duration(.zero, .seconds(60)),
      "Ask the next fallback too when no word has come for so long; the first to speak is heard; 0s: never."),
    .key(
      "max_retries", \.maxRetries, .int(0...5), "Rounds over all models after the first; never once a word was spoken."),
    .key(
      "embeddings_url", \.embeddingsURL, .url(allowEmpty: true),
      "Below it lies `/embeddings`, for searching documents by meaning; empty: by words alone."),
    .key("embeddings_model", \.embeddingsModel, modelName, "The model of the embeddings."),
  ]

  private static let modelName: Codec<String> = .text("model", limit: 256)

  private static let fallback: [Field<LanguageModelSettings.Fallback>] = [
    .key("url", \.url, .url(), ""),
    .key("model", \.model, modelName, ""),
    .key("api_key", \.apiKey, .optionalSecret, ""),
  ]

  private static let storage: [Field<StorageSettings>] = [
    .key("data_dir", \.dataDir, path, "The folder under which the paths of this version have their defaults."),
    .key(
      "database", \.database, DatabaseAddress.codec,
      "Calls and their events, dialogs, numbers, tokens; by default `parley.db` below `storage.data_dir`."),
    .key(
      "redis", \.redis, RedisAddress.codec,
      "Where gateways that share a database reach each other; see docs/storage.md. Empty: nowhere."),
    .key(
      "objects", \.objects, ObjectsAddress.codec,
      "Sounds that dialogs play; by default `objects` below `storage.data_dir`. For buckets see docs/storage.md."),
    .section("s3", \.s3, "Who the gateway is to the bucket of `objects`.", S3Settings.keys),
    .section(
      "retention", \.retention, "How long what is kept of calls stays.",
      [
        .later("recordings", "30d"),
        .key("transcripts", \.transcripts, lifetime, "What was said, by callers and to them; 0s: for ever."),
        .key("events", \.events, lifetime, "Everything else of a call's record; 0s: for ever."),
      ]),
  ]

  private static let lifetime: Codec<Duration> = .duration(.zero, .seconds(36_500 * 86_400))

  private static let observability: [Field<ObservabilitySettings>] = [
    .section(
      "metrics", \.metrics, "The HTTP server for metrics and health (`/livez`, `/readyz`, `/startupz`).",
      [
        .key("enabled", \.enabled, .bool, "Whether `path` answers; health does in any case."),
        .key("listen_address", \.listenAddress, ipAddress, "The address that the server binds."),
        .key("port", \.port, .port, "0 lets the system choose."),
        .key(
          "path", \.path,
          .checked("a path that begins with `/` and is none of the health paths") {
            $0.hasPrefix("/") && $0.count <= 256 && !["/livez", "/readyz", "/startupz"].contains($0)
          }, "Where Prometheus scrapes."),
      ]),
    .section(
      "tracing", \.tracing, "One trace for each call, in OpenTelemetry's form; see docs/operations/observability.md.",
      [
        .key(
          "enabled", \.enabled, .bool, "Whether calls are traced, and requests to other servers carry `traceparent`."),
        .key(
          "otlp_endpoint", \.otlpEndpoint, .url(allowEmpty: true),
          "The collector's address for OTLP over HTTP, such as `http://collector:4318`; `/v1/traces` is added."),
        .key(
          "sample_ratio", \.sampleRatio, .double(0...1),
          "Share of calls that are traced where the offer brings no decision of its own."),
      ]),
    .section(
      "log", \.log, "Lines on stderr.",
      [
        .key("level", \.level, .choice(), "What is logged: this level and those above it."),
        .key("format", \.format, .choice(), "`json`: one object per line; `text`: for people."),
      ]),
  ]

  // MARK: Values of these sections

  static let ipAddress: Codec<String> = .checked("an IP address") { AddressBlock.parse($0) != nil }

  private static let path: Codec<String> = .text("path", allowEmpty: false)

  private static let block = Codec<AddressBlock>(
    kind: "CIDR",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "an address or CIDR") else { return nil }
      return AddressBlock(text)
        ?? decoding.fail(node, "`\(text)` is not an address or CIDR", hint: "write 10.0.0.0/8 or 192.0.2.7")
    }, show: { .string($0.text) })

  private static let blocks: Codec<[AddressBlock]> = .list(of: block, "list of CIDRs", count: 0...1000)

  private static let portRange = Codec<PortRange>(
    kind: "`first-last`",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "a range of ports") else { return nil }
      let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard parts.count == 2, let first = parts[0], let last = parts[1] else {
        return decoding.fail(
          node, "`\(text)` is not a range of ports", code: ConfigurationCode.wrongType, hint: "write \"10000-20000\"")
      }
      guard first >= 1024, last <= 65535, last > first else {
        return decoding.fail(node, "\(text) must rise and lie between 1024 and 65535")
      }
      return PortRange(first: first, last: last)
    }, show: { .string($0.description) })
}
