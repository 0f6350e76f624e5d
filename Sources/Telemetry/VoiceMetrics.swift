import Base

/// The metrics of this version, by the names that dashboards know. One of it per process, handed to the roles.
public struct VoiceMetrics: Sendable {
  /// Seconds: from one packet to a slow backend.
  public static let latencyBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2.5, 5, 10]
  /// Seconds: from a wrong number to a long talk.
  public static let callBuckets: [Double] = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]
  public static let unitBuckets = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
  /// Milliseconds.
  public static let jitterBuckets: [Double] = [1, 2, 5, 10, 20, 40, 80, 160, 320]
  /// Mean opinion scores, 1 to 4.5.
  public static let opinionBuckets = [1, 1.5, 2, 2.5, 3, 3.5, 3.8, 4, 4.2, 4.5]
  /// Seconds: a late tick is an audible fault from 20 ms on.
  public static let lagBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5]

  /// What `/metrics` shows.
  public let registry: MetricsRegistry

  // Calls and dialogs.
  public let callsActive: GaugeFamily
  public let callsTotal: CounterFamily
  public let callDuration: HistogramFamily
  public let callStateTransitions: CounterFamily
  public let turnLatency: HistogramFamily
  public let callCapacity: GaugeFamily
  public let draining: GaugeFamily
  public let sessionsResumed: CounterFamily
  public let hopBreaks: CounterFamily
  public let dialogReloads: CounterFamily
  public let dialogs: GaugeFamily

  // Speech.
  public let asrLatency: HistogramFamily
  public let asrTranscriptions: CounterFamily
  public let asrWorkersActive: GaugeFamily
  public let asrQueueDepth: GaugeFamily
  public let asrConfidence: HistogramFamily
  public let ttsFirstAudio: HistogramFamily
  public let bargeIn: HistogramFamily
  public let bargeInTotal: CounterFamily
  public let speechAPIRequests: CounterFamily
  public let speechAPIAudio: HistogramFamily
  public let speechAPIStreams: GaugeFamily

  // Media and signalling.
  public let rtpPacketsReceived: CounterFamily
  public let rtpPacketsLost: CounterFamily
  public let rtpPacketsRejected: CounterFamily
  public let rtpJitter: HistogramFamily
  public let mos: HistogramFamily
  public let sipRequests: CounterFamily
  public let audioBufferUnderruns: CounterFamily
  public let eventLoopLag: HistogramFamily

  // Language models.
  public let llmFirstToken: HistogramFamily
  public let llmRequests: CounterFamily

  // Integration.
  public let integrationRequests: CounterFamily
  public let integrationLatency: HistogramFamily
  public let integrationRetries: CounterFamily
  public let integrationCircuitBreaker: GaugeFamily

  // The object store.
  public let objectRequests: CounterFamily

  // Traces.
  public let traceSpansExported: CounterFamily
  public let traceSpansDropped: CounterFamily

  public init(_ registry: MetricsRegistry = MetricsRegistry()) {
    self.registry = registry
    let latency = Self.latencyBuckets

    callsActive = registry.gauge("vg_calls_active", "Calls that are live now.", labels: ["dialog"])
    callsTotal = registry.counter("vg_calls_total", "Calls that ended, by how.", labels: ["dialog", "status"])
    callDuration = registry.histogram(
      "vg_call_duration_seconds", "From the answer to the end.", labels: ["dialog"], buckets: Self.callBuckets)
    callStateTransitions = registry.counter(
      "vg_call_state_transitions_total", "Transitions of dialogs.", labels: ["dialog", "from", "to"])
    turnLatency = registry.histogram(
      "vg_turn_latency_seconds", "From the end of the caller's speech to the first audio of the answer, by stage.",
      labels: ["stage"], buckets: latency)
    callCapacity = registry.gauge("vg_call_capacity", "Calls that may be live at once.")
    draining = registry.gauge("vg_draining", "1 while new calls are refused because the process is stopping.")
    sessionsResumed = registry.counter(
      "vg_sessions_resumed_total", "Calls that went on in another process or over a new hop, by role and outcome.",
      labels: ["role", "outcome"])
    hopBreaks = registry.counter(
      "vg_hop_breaks_total", "Transports of calls to the next role that were lost.", labels: ["hop"])
    dialogReloads = registry.counter(
      "vg_dialog_reloads_total", "Files of dialogs that were read anew, by outcome.", labels: ["outcome"])
    dialogs = registry.gauge(
      "vg_dialogs", "Dialogs that take new calls, and those whose newest text has errors.", labels: ["state"])

    asrLatency = registry.histogram(
      "vg_asr_latency_seconds", "From the end of the turn to its words.", labels: ["model"], buckets: latency)
    asrTranscriptions = registry.counter(
      "vg_asr_transcriptions_total", "Recognitions, by outcome.", labels: ["model", "type"])
    asrWorkersActive = registry.gauge("vg_asr_workers_active", "Decoders at work now.")
    asrQueueDepth = registry.gauge("vg_asr_queue_depth", "Recognitions that wait for a decoder.")
    asrConfidence = registry.histogram(
      "vg_asr_confidence", "Confidence of final transcripts, 0 to 1.", labels: ["model"], buckets: Self.unitBuckets)
    ttsFirstAudio = registry.histogram(
      "vg_tts_first_audio_seconds", "From the order to speak to the first audio.", labels: ["engine"], buckets: latency)
    bargeIn = registry.histogram(
      "vg_barge_in_seconds", "From the onset of an interruption to the order to fall silent.", buckets: latency)
    bargeInTotal = registry.counter("vg_barge_in_total", "Interruptions, by outcome.", labels: ["outcome"])
    speechAPIRequests = registry.counter(
      "vg_speech_api_requests_total", "Recordings, streams and texts of the speech API that ended, by outcome.",
      labels: ["operation", "outcome"])
    speechAPIAudio = registry.histogram(
      "vg_speech_api_audio_seconds", "Sound that one request of the speech API had heard or made.",
      labels: ["operation"], buckets: Self.callBuckets)
    speechAPIStreams = registry.gauge("vg_speech_api_streams_active", "Streams of sound that are open now.")

    rtpPacketsReceived = registry.counter("vg_rtp_packets_received_total", "RTP packets taken.")
    rtpPacketsLost = registry.counter("vg_rtp_packets_lost_total", "RTP packets that never came.")
    rtpPacketsRejected = registry.counter(
      "vg_rtp_packets_rejected_total", "Packets dropped on the media ports, by reason.", labels: ["reason"])
    rtpJitter = registry.histogram(
      "vg_rtp_jitter_ms", "Interarrival jitter of a leg (RFC 3550), in milliseconds.", buckets: Self.jitterBuckets)
    mos = registry.histogram(
      "vg_mos", "How a leg's audio arrives, every five seconds: an estimate by the E-model, 1 (bad) to 4.5.",
      buckets: Self.opinionBuckets)
    sipRequests = registry.counter(
      "vg_sip_requests_total", "SIP requests of peers, by the final answer; 0: not answered.",
      labels: ["method", "status"])
    audioBufferUnderruns = registry.counter(
      "vg_audio_buffer_underruns_total", "Playout slots for which no audio had come.")
    eventLoopLag = registry.histogram(
      "vg_event_loop_lag_seconds", "How late the pacing tick ran.", buckets: Self.lagBuckets)

    llmFirstToken = registry.histogram(
      "vg_llm_first_token_seconds", "From a request to a language model to its first word.", labels: ["model"],
      buckets: latency)
    llmRequests = registry.counter(
      "vg_llm_requests_total", "Requests to language models, by outcome.", labels: ["model", "outcome"])

    integrationRequests = registry.counter(
      "vg_integration_requests_total", "Attempts at hooks, by answer; 0: none came.",
      labels: ["service", "method", "status"])
    integrationLatency = registry.histogram(
      "vg_integration_latency_seconds", "One attempt at a hook.", labels: ["service", "method"], buckets: latency)
    integrationRetries = registry.counter(
      "vg_integration_retries_total", "Attempts at hooks after the first.", labels: ["service"])
    integrationCircuitBreaker = registry.gauge(
      "vg_integration_circuit_breaker", "Whether a service is left alone: 0 closed, 1 open, 2 half open.",
      labels: ["service"])

    objectRequests = registry.counter(
      "vg_object_requests_total", "Requests to the bucket of storage.objects, by outcome.",
      labels: ["operation", "outcome"])

    traceSpansExported = registry.counter("vg_trace_spans_exported_total", "Spans that the collector has taken.")
    traceSpansDropped = registry.counter(
      "vg_trace_spans_dropped_total",
      "Spans that were lost: queue_full, rejected by the collector, not_delivered after all attempts.",
      labels: ["reason"])

    let start = Instant.monotonic()
    registry.gauge("vg_uptime_seconds", "Since the process started.") {
      Double((Instant.monotonic() - start).milliseconds) / 1000
    }
    registry.gauge("vg_memory_resident_bytes", "Memory of the process that is in RAM.") {
      Double(ProcessMemory.residentBytes() ?? 0)
    }
  }
}
