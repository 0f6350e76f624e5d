// Hears the caller, decides whose turn it is, and makes the voice: the speech role, between media and runtime.

import Audio
import Base
import CallLink
import Logging
import NIOConcurrencyHelpers
import Storage

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

  let configuration: SpeechGatewayConfiguration
  private let runtime: any RuntimeHop
  let recognizer: any Recognizer
  /// The recogniser where it is our own, to be stopped with the service.
  private let ownRecognizer: PocketSphinxRecognizer?
  let maker: PromptMaker
  private let ownDesk: Desk
  let metrics: any SpeechMetrics
  let logger: Logger
  let now: @Sendable () -> Instant
  let engine: VoiceDetector.Engine
  let workers: WorkerThreads<CallSpeech>
  let calls = NIOLockedValueBox<[SessionID: CallSpeech]>([:])

  /// Loads models and starts the workers. Takes up to half a second.
  /// - Parameters:
  ///   - recognizer: nil for the embedded PocketSphinx.
  ///   - synthesizer: nil for the embedded Flite.
  ///   - sounds: where `play_audio` finds its sounds; nil: below ``SpeechGatewayConfiguration/audioRoot``.
  ///   - now: the clock; tests pass their own.
  /// - Throws: ``SpeechSetupError`` where a model is missing or unreadable.
  public init(
    configuration: SpeechGatewayConfiguration, runtime: any RuntimeHop, recognizer: (any Recognizer)? = nil,
    synthesizer: (any Synthesizer)? = nil, sounds: ObjectShelf? = nil,
    metrics: any SpeechMetrics = NoSpeechMetrics(),
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
      synthesizer: voice, cacheBytes: cacheBytes, audioRoot: configuration.audioRoot, sounds: sounds,
      threads: Self.promptThreads)
    workers = WorkerThreads(count: Self.pipelineThreads, niceness: 2, limit: Self.maxScheduledCalls) { next in
      while let call = next({ _ in false }) { call.run() }
    }
  }

  /// `silero` or `energy`: what listens for speech.
  public var voiceActivityEngine: String { engine.name }

  /// Opens one call's pipeline, and the runtime's session behind it. Returns at once.
  public func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    let workers = self.workers
    let speech = CallSpeech(now: now) { _ = workers.submit($0) }
    let around = surroundings(of: speech, call.session)
    calls.withLockedValue { $0[call.session] = speech }
    let runtimeSide = runtime.open(call, speech: speech.fromRuntime)
    speech.start(
      CallPipeline(detector: VoiceDetector(engine), media: media, runtime: runtimeSide, around: around))
    return speech
  }

  /// What a call's pipeline needs of the process.
  func surroundings(of speech: CallSpeech, _ session: SessionID) -> CallPipeline.Surroundings {
    var logger = self.logger
    logger[metadataKey: "session_id"] = "\(session)"
    return CallPipeline.Surroundings(
      configuration: configuration, recognizer: recognizer, maker: maker, metrics: metrics, logger: logger, now: now,
      post: { [weak speech] in speech?.post($0) }, isOpen: { [weak speech] in speech?.isOpen ?? false },
      delivered: { [weak speech] in speech?.deliveredSamples ?? 0 },
      ended: { [weak self, weak speech] in if let speech { self?.closed(speech, session) } })
  }

  /// - Returns: false where another has the call already.
  @discardableResult
  func forget(_ speech: CallSpeech, _ session: SessionID) -> Bool {
    calls.withLockedValue { calls in
      guard calls[session] === speech else { return false }
      calls[session] = nil
      return true
    }
  }

  private func closed(_ speech: CallSpeech, _ session: SessionID) {
    guard forget(speech, session) else { return }
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
