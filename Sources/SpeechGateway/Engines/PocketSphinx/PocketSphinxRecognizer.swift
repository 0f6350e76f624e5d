import Base
import CallLink
import Logging
import NIOConcurrencyHelpers

/// The embedded recogniser: a bounded number of PocketSphinx decoders, each on a thread of its own, that decode whole
/// segments against the listening state's grammar.
public final class PocketSphinxRecognizer: Recognizer {
  public let model = "pocketsphinx-en-us"

  /// Compiled searches kept for the process; the oldest goes first.
  private static let maxGrammars = 512
  /// The longest segment that is decoded, in samples: 30 s. Longer ones are cut at the end.
  private static let maxSamples = 30 * 16_000

  private struct Job: Sendable {
    var request: RecognitionRequest
    var grammar: SearchGrammar
    var completion: @Sendable (RecognitionOutcome) -> Void
  }

  private struct Grammars {
    var compiled: [ListenSpec: Result<SearchGrammar, SpeechSetupError>] = [:]
    var order: [ListenSpec] = []
  }

  private let grammars = NIOLockedValueBox(Grammars())
  private let workers: WorkerThreads<Job>
  private let freeSpeech: FreeSpeech
  private let load: DecoderLoad
  private let logger: Logger

  /// Loads the model once to see that it works; each worker loads its own decoder (15 ms, 5 MB) when it starts. The decoders for
  /// free speech are only made when a state is open to any words, at most half as many.
  /// - Throws: ``SpeechSetupError`` where the model or the dictionary cannot be loaded.
  public init(
    model folder: String = SpeechGatewayConfiguration.debianPocketSphinxModel, workers count: Int = 4,
    queueDepth: Int = 10, metrics: any SpeechMetrics = NoSpeechMetrics(),
    logger: Logger = Logger(label: "parley.speech")
  ) throws(SpeechSetupError) {
    let dictionary = try PronouncingDictionary(path: "\(folder)/cmudict-en-us.dict")
    _ = try SphinxDecoder(model: folder)
    self.logger = logger
    let load = DecoderLoad(metrics)
    self.load = load
    let count = min(64, max(1, count))
    let limit = max(1, queueDepth)
    freeSpeech = FreeSpeech(
      model: folder, dictionary: dictionary, threads: max(1, count / 2), queueDepth: limit, load: load, logger: logger)
    workers = WorkerThreads(count: count, niceness: 5, limit: limit) { next in
      var decoder = try? SphinxDecoder(model: folder)
      while let job = next({ decoder?.searches.contains($0.grammar.key) ?? false }) {
        let outcome = load.work(wanted: job.request.isWanted) {
          if decoder?.isWornOut ?? true { decoder = try? SphinxDecoder(model: folder) }
          return Self.decode(job, with: decoder, dictionary: dictionary)
        }
        job.completion(outcome)
      }
    }
  }

  /// Ends the threads; what waits is answered as failed.
  public func shutdown() {
    for job in workers.close() { job.completion(load.stopping()) }
    freeSpeech.shutdown()
  }

  public func prepare(_ listen: ListenSpec) {
    if listen.isOpen { freeSpeech.prepare() }
    if case .failure(let error) = grammar(for: listen) {
      logger.warning(
        "A listening state's grammar is left out",
        metadata: ["error": "\(error.message)", "hint": "\(error.hint)"])
    }
  }

  /// Why `listen` cannot be searched with; nil where it can.
  public func problem(with listen: ListenSpec) -> SpeechSetupError? {
    if case .failure(let error) = grammar(for: listen) { error } else { nil }
  }

  public func recognize(
    _ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void
  ) {
    var request = request
    if request.segment.count > Self.maxSamples {
      request.segment.removeSubrange(Self.maxSamples...)
    }
    if request.isPartial, load.isBusy {
      completion(.dropped)
      return
    }
    guard request.listen.isOpen, !request.isPartial else {
      search(request, completion: completion)
      return
    }
    let freeSpeech = self.freeSpeech
    let free = request
    search(request) { outcome in
      // What the state expects is heard far better than free speech is, so that a good match of it is believed. There may be
      // more to come, though: an open state's turn ends with silence only.
      let expected: Recognition
      if case .recognized(let words) = outcome, !words.transcript.isEmpty {
        expected = Recognition(transcript: words.transcript, confidence: words.confidence, complete: false)
      } else {
        expected = Recognition(transcript: "", confidence: 0, complete: false)
      }
      if expected.confidence >= ConfidenceScale.sure {
        completion(.recognized(expected))
        return
      }
      freeSpeech.recognize(free) { outcome in
        if case .recognized(let words) = outcome, expected.confidence < words.confidence + ConfidenceScale.margin {
          completion(outcome)
        } else {
          completion(expected.transcript.isEmpty ? outcome : .recognized(expected))
        }
      }
    }
  }

  /// Looks for what the state expects and nothing else.
  private func search(
    _ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void
  ) {
    let grammar: SearchGrammar
    switch self.grammar(for: request.listen) {
    case .success(let compiled): grammar = compiled
    case .failure(let error):
      // The author's grammar is broken: the phrases still work.
      var rest = request.listen
      rest.grammar = ""
      guard !request.listen.grammar.isEmpty, case .success(let compiled) = self.grammar(for: rest) else {
        completion(.failed(error.message))
        return
      }
      grammar = compiled
    }
    guard !grammar.isEmpty else {
      completion(.recognized(Recognition(transcript: "", confidence: 0, complete: false)))
      return
    }
    load.waiting(1)
    if !workers.submit(Job(request: request, grammar: grammar, completion: completion)) {
      load.waiting(-1)
      completion(.overflow)
    }
  }

  private func grammar(for listen: ListenSpec) -> Result<SearchGrammar, SpeechSetupError> {
    // What the search is made of; the rest of the spec must not make a second one.
    let key = ListenSpec(phrases: listen.phrases, grammar: listen.grammar)
    if let known = grammars.withLockedValue({ $0.compiled[key] }) { return known }
    let made = Result { () throws(SpeechSetupError) in try SearchGrammar(key) }
    grammars.withLockedValue { grammars in
      if grammars.compiled.updateValue(made, forKey: key) == nil { grammars.order.append(key) }
      if grammars.order.count > Self.maxGrammars { grammars.compiled[grammars.order.removeFirst()] = nil }
    }
    return made
  }

  private static func decode(
    _ job: Job, with decoder: SphinxDecoder?, dictionary: PronouncingDictionary
  ) -> RecognitionOutcome {
    guard let decoder else { return .failed("the acoustic model cannot be loaded") }
    do {
      try decoder.select(job.grammar, dictionary: dictionary)
    } catch {
      return .failed(error.message)
    }
    guard let heard = job.request.segment.withUnsafeBufferPointer({ decoder.decode($0) }) else {
      // No path through the search fits: speech outside it.
      return .recognized(Recognition(transcript: "", confidence: 0, complete: false))
    }
    let confidence = ConfidenceScale.confidence(heard)
    let fits =
      confidence >= ConfidenceScale.acceptance
      && heard.words.contains { job.grammar.phraseWords.contains($0.text) }
    return .recognized(
      Recognition(
        transcript: fits ? heard.words.map(\.text).joined(separator: " ") : "", confidence: confidence,
        complete: fits && !job.grammar.isOpenEnded && confidence >= ConfidenceScale.earlyEnd))
  }
}
