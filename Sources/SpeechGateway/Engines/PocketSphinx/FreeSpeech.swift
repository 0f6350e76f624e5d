import Logging
import NIOConcurrencyHelpers

/// Recognises any words: a few decoders with the general English model, made when the first state wants them.
///
/// A decoder takes 60 MB and 0.3 s to make and is kept for good; a decode costs about 14 % of the speech's length.
final class FreeSpeech: Sendable {
  private struct Job: Sendable {
    var request: RecognitionRequest
    var completion: @Sendable (RecognitionOutcome) -> Void
  }

  private enum Threads {
    case notStarted, stopped
    case running(WorkerThreads<Job>)
  }

  private let model: String
  private let dictionary: PronouncingDictionary
  private let threads: Int
  private let queueDepth: Int
  private let load: DecoderLoad
  private let logger: Logger
  private let state = NIOLockedValueBox(Threads.notStarted)

  init(
    model: String, dictionary: PronouncingDictionary, threads: Int, queueDepth: Int, load: DecoderLoad, logger: Logger
  ) {
    self.model = model
    self.dictionary = dictionary
    self.threads = threads
    self.queueDepth = queueDepth
    self.load = load
    self.logger = logger
  }

  /// Begins to load the model, where that has not happened yet. Returns at once.
  func prepare() { _ = running() }

  func recognize(_ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void) {
    guard let workers = running() else {
      completion(.failed("the recogniser is stopping"))
      return
    }
    load.waiting(1)
    if !workers.submit(Job(request: request, completion: completion)) {
      load.waiting(-1)
      completion(.overflow)
    }
  }

  func shutdown() {
    let threads = state.withLockedValue { state in
      defer { state = .stopped }
      return state
    }
    guard case .running(let workers) = threads else { return }
    for job in workers.close() { job.completion(load.stopping()) }
  }

  private func running() -> WorkerThreads<Job>? {
    state.withLockedValue { state in
      switch state {
      case .stopped: return nil
      case .running(let workers): return workers
      case .notStarted:
        let workers = start()
        state = .running(workers)
        return workers
      }
    }
  }

  private func start() -> WorkerThreads<Job> {
    let (model, dictionary, load, logger) = (self.model, self.dictionary, self.load, self.logger)
    return WorkerThreads(count: threads, niceness: 6, limit: queueDepth) { next in
      let decoder = Result { () throws(SpeechSetupError) in
        try SphinxDecoder.freeSpeech(model: model, dictionary: dictionary)
      }
      if case .failure(let error) = decoder {
        logger.error(
          "Free speech cannot be recognised",
          metadata: ["error": "\(error.message)", "hint": "\(error.hint)"])
      }
      while let job = next({ _ in false }) {
        let outcome = load.work(wanted: job.request.isWanted) {
          switch decoder {
          case .success(let decoder): Self.decode(job.request, with: decoder)
          case .failure(let error): .failed(error.message)
          }
        }
        job.completion(outcome)
      }
    }
  }

  private static func decode(_ request: RecognitionRequest, with decoder: SphinxDecoder) -> RecognitionOutcome {
    let heard = request.segment.withUnsafeBufferPointer { decoder.decode($0) }
    guard let heard, !heard.words.isEmpty else {
      return .recognized(Recognition(transcript: "", confidence: 0, complete: false))
    }
    let confidence = FreeSpeechScale.confidence(heard)
    let fits = confidence >= FreeSpeechScale.acceptance
    return .recognized(
      Recognition(
        transcript: fits ? heard.words.map(\.text).joined(separator: " ") : "", confidence: confidence,
        complete: false))
  }
}

/// What waits for decoders and what they do, of all kinds of them, reported in the order in which it changes.
final class DecoderLoad: Sendable {
  private let counts = NIOLockedValueBox((waiting: 0, active: 0))
  private let metrics: any SpeechMetrics

  init(_ metrics: any SpeechMetrics) { self.metrics = metrics }

  /// Whether anything is being recognised or waits for it.
  var isBusy: Bool { counts.withLockedValue { $0.waiting + $0.active > 0 } }

  /// A recognition joins or leaves the queue.
  func waiting(_ change: Int) {
    // Reported under the lock: two threads that report in the wrong order would leave the older figure standing.
    counts.withLockedValue { counts in
      counts.waiting += change
      metrics.queueDepth(counts.waiting)
    }
  }

  /// A recognition leaves the queue for a decoder, if anybody still wants it.
  func work(wanted: () -> Bool, _ body: () -> RecognitionOutcome) -> RecognitionOutcome {
    waiting(-1)
    guard wanted() else { return .dropped }
    active(1)
    defer { active(-1) }
    return body()
  }

  /// A recognition leaves the queue because the recogniser ends.
  func stopping() -> RecognitionOutcome {
    waiting(-1)
    return .failed("the recogniser is stopping")
  }

  private func active(_ change: Int) {
    counts.withLockedValue { counts in
      counts.active += change
      metrics.workersActive(counts.active)
    }
  }
}
