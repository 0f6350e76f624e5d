// Hears the caller, decides whose turn it is, and makes the voice: the speech role, between media and runtime.

import Audio
import Base
import CallLink
import Logging
import NIOConcurrencyHelpers

/// The speech role: one for the process, a pipeline for every call that media opens.
public final class SpeechService: SpeechHop {
  /// Hears and speaks where there is no call.
  public let desk: any SpeechDesk
  /// Calls that may wait for a worker: each call waits at most once, so this is the most calls of one process.
  private static let maxScheduledCalls = 65_536
  /// Threads that hear frames: a frame costs 0.15 ms of each 32 ms, so two serve hundreds of calls.
  private static let pipelineThreads = 2
  /// Threads that make prompts.
  private static let promptThreads = 2

  private let configuration: SpeechGatewayConfiguration
  private let runtime: any RuntimeHop
  private let recognizer: any Recognizer
  /// The recogniser where it is our own, to be stopped with the service.
  private let ownRecognizer: PocketSphinxRecognizer?
  private let maker: PromptMaker
  private let ownDesk: Desk
  private let metrics: any SpeechMetrics
  private let logger: Logger
  private let now: @Sendable () -> Instant
  private let engine: VoiceDetector.Engine
  private let workers: WorkerThreads<CallSpeech>
  private let calls = NIOLockedValueBox<[SessionID: CallSpeech]>([:])

  /// Loads models and starts the workers. Takes up to half a second.
  /// - Parameters:
  ///   - recognizer: nil for the embedded PocketSphinx.
  ///   - synthesizer: nil for the embedded Flite.
  ///   - now: the clock; tests pass their own.
  /// - Throws: ``SpeechSetupError`` where a model is missing or unreadable.
  public init(
    configuration: SpeechGatewayConfiguration, runtime: any RuntimeHop, recognizer: (any Recognizer)? = nil,
    synthesizer: (any Synthesizer)? = nil, metrics: any SpeechMetrics = NoSpeechMetrics(),
    logger: Logger = Logger(label: "parley.speech"), now: @escaping @Sendable () -> Instant = Instant.monotonic
  ) throws(SpeechSetupError) {
    self.configuration = configuration
    self.runtime = runtime
    self.metrics = metrics
    self.logger = logger
    self.now = now
    engine = SpeechCheck.voiceEngine(configuration, logger: logger)
    if let recognizer {
      self.recognizer = recognizer
      ownRecognizer = nil
    } else {
      let embedded = try PocketSphinxRecognizer(
        model: configuration.pocketSphinxModel, workers: configuration.maxWorkers,
        queueDepth: configuration.queueDepth, metrics: metrics, logger: logger)
      self.recognizer = embedded
      ownRecognizer = embedded
    }
    let voice: any Synthesizer
    if let synthesizer { voice = synthesizer } else { voice = try FliteSynthesizer(voice: configuration.voice) }
    ownDesk = Desk(configuration, engine: engine, synthesizer: voice, metrics: metrics)
    desk = ownDesk
    // 4 GiB at most: more is a slip of the pen.
    let cacheBytes = min(4096, max(0, configuration.cacheMB)) << 20
    maker = PromptMaker(
      synthesizer: voice, cacheBytes: cacheBytes, audioRoot: configuration.audioRoot, threads: Self.promptThreads)
    workers = WorkerThreads(count: Self.pipelineThreads, niceness: 2, limit: Self.maxScheduledCalls) { next in
      while let call = next({ _ in false }) { call.run() }
    }
  }

  /// `silero` or `energy`: what listens for speech.
  public var voiceActivityEngine: String { engine.name }

  /// Opens one call's pipeline, and the runtime's session behind it. Returns at once.
  public func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    let now = self.now
    let workers = self.workers
    let speech = CallSpeech(now: now) { _ = workers.submit($0) }
    let session = call.session
    let sink = ClosureSink<RuntimeToSpeech> { [weak speech] in speech?.post(.runtime($0.message, at: now())) }
    var logger = self.logger
    logger[metadataKey: "session_id"] = "\(session)"
    let around = CallPipeline.Surroundings(
      configuration: configuration, recognizer: recognizer, maker: maker, metrics: metrics, logger: logger, now: now,
      post: { [weak speech] in speech?.post($0) }, isOpen: { [weak speech] in speech?.isOpen ?? false },
      ended: { [weak self] in self?.closed(session) })
    calls.withLockedValue { $0[session] = speech }
    let runtimeSide = runtime.open(call, speech: sink)
    speech.start(
      CallPipeline(detector: VoiceDetector(engine), media: media, runtime: runtimeSide, around: around))
    return speech
  }

  private func closed(_ session: SessionID) {
    guard let speech = calls.withLockedValue({ $0.removeValue(forKey: session) }) else { return }
    let dropped = speech.droppedSamples
    if dropped > 0 { metrics.audioDropped(samples: dropped) }
  }

  /// Calls that are open now.
  public var activeCalls: Int { calls.withLockedValue { $0.count } }

  /// Stops the workers after what they are doing. Calls that are still open hear nothing more.
  public func shutdown() {
    _ = workers.close()
    maker.shutdown()
    ownDesk.shutdown()
    ownRecognizer?.shutdown()
  }
}
