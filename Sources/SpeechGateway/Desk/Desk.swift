// The speech role without a call: recordings and streams of sound into words, texts into sound.

import Audio
import Base
import CallLink
import NIOConcurrencyHelpers

/// Takes requests while there is room and gives them to threads of its own, which stand below those of calls in priority.
final class Desk: SpeechDesk {
  private static let recognitionModel = "pocketsphinx-en-us"
  /// Below the threads that recognise for calls (5 and 6), and those that speak for them (4). Somebody waits for a stream's words.
  private static let streamNiceness: Int32 = 8
  private static let recognizeNiceness: Int32 = 12
  private static let speakNiceness: Int32 = 10

  private let configuration: SpeechGatewayConfiguration
  private let engine: VoiceDetector.Engine
  private let synthesizer: any Synthesizer
  private let files: DeskSeats
  private let texts: DeskSeats
  private let streams: DeskSeats
  private let onlookers: Onlookers
  private let metrics: any SpeechMetrics
  private let hearing: DeskQueue<Transcribing>
  private let listening: DeskQueue<StreamHearing>
  private let speaking: DeskQueue<Speaking>

  init(
    _ configuration: SpeechGatewayConfiguration, engine: VoiceDetector.Engine, synthesizer: any Synthesizer,
    metrics: any SpeechMetrics
  ) {
    self.configuration = configuration
    self.engine = engine
    self.synthesizer = synthesizer
    let desk = configuration.desk
    files = DeskSeats(max(1, desk.queueDepth))
    texts = DeskSeats(max(1, desk.queueDepth))
    streams = DeskSeats(max(1, desk.maxStreams)) { metrics.streamsActive($0) }
    onlookers = Onlookers()
    self.metrics = metrics
    let model = configuration.pocketSphinxModel
    let stopping = SpeechDeskError(.unavailable, "the speech service is stopping")
    let threads = min(16, max(1, desk.maxWorkers))
    hearing = DeskQueue(threads: threads, niceness: Self.recognizeNiceness, drop: { $0.fail(stopping) }) {
      let recognizer = SphinxDeskRecognizer(model: model)
      return { $0.step(recognizer) }
    }
    listening = DeskQueue(threads: threads, niceness: Self.streamNiceness, drop: { $0.fail(stopping) }) {
      SphinxDecoder.muteThread()
      let recognizer = SphinxDeskRecognizer(model: model)
      return { $0.step(recognizer) }
    }
    speaking = DeskQueue(threads: 1, niceness: Self.speakNiceness, drop: { $0.fail(stopping) }) { { $0.step() } }
  }

  func shutdown() {
    hearing.close()
    listening.close()
    speaking.close()
  }

  var models: [SpeechModel] {
    [
      SpeechModel(name: Self.recognitionModel, kind: .recognition, languages: ["en-US"]),
      SpeechModel(name: synthesizer.name, kind: .synthesis, languages: ["en-US"]),
    ]
  }

  var voices: [SpeechVoice] {
    let first = configuration.voice
    let names = (first.isEmpty ? [] : [first]) + synthesizer.voices.filter { $0 != first }
    return names.map { name in
      SpeechVoice(
        name: name, language: name == "awb" ? "en-GB" : "en-US", model: synthesizer.name,
        description: Voices.descriptions[name] ?? "")
    }
  }

  // MARK: Hearing

  func transcribe(
    _ request: TranscriptionRequest
  ) throws(SpeechDeskError) -> AsyncThrowingStream<TranscriptionEvent, any Error> {
    let grammar = try counted(.transcribe) { () throws(SpeechDeskError) -> SearchGrammar? in
      try check(language: request.language)
      let expected = try search(request.phrases)
      guard files.take() else { throw busy("\(files.limit) recordings are being transcribed already") }
      return expected
    }
    let (events, out) = AsyncThrowingStream<TranscriptionEvent, any Error>.makeStream()
    let isCancelled = DeskFlag()
    out.onTermination = { _ in isCancelled.raise() }
    let task = Transcribing(
      request.audio, ears: DeskEars(engine, threshold: configuration.vad.threshold), grammar: grammar,
      limits: SoundFile.Limits(seconds: configuration.desk.maxAudioSeconds), events: out, isCancelled: isCancelled,
      end: end(.transcribe, files))
    hearing.submit(task)
    return events
  }

  func listen(_ request: SpeechStreamRequest) throws(SpeechDeskError) -> SpeechStream {
    let (reader, grammar) = try counted(.stream) { () throws(SpeechDeskError) -> (SoundReader, SearchGrammar?) in
      try check(language: request.language)
      let expected = try search(request.phrases)
      let made: SoundReader
      do throws(AudioError) {
        made = try SoundReader(request)
      } catch {
        throw SpeechDeskError(.unsupported, error.message)
      }
      guard streams.take() else { throw busy("\(streams.limit) of \(streams.limit) streams are open already") }
      return (made, expected)
    }
    let (events, out) = AsyncThrowingStream<SpeechStreamEvent, any Error>.makeStream(
      bufferingPolicy: .bufferingOldest(StreamHearing.eventLimit))
    let stream = StreamHearing(
      reader, ears: DeskEars(engine, threshold: configuration.vad.threshold), grammar: grammar,
      onlookers: request.wantsPartials ? onlookers : nil, maxSeconds: configuration.desk.maxAudioSeconds, events: out,
      queue: listening, end: end(.stream, streams))
    out.onTermination = { _ in stream.cancel() }
    stream.prepare()
    return SpeechStream(events: events, inlet: stream)
  }

  /// Counts what is refused at once.
  private func counted<Result>(
    _ operation: SpeechOperation, _ body: () throws(SpeechDeskError) -> Result
  ) throws(SpeechDeskError) -> Result {
    do { return try body() } catch {
      metrics.requestEnded(operation, SpeechRequestOutcome(error, isCancelled: false), audioSeconds: 0)
      throw error
    }
  }

  /// Counts what was taken, and makes room for another.
  private func end(_ operation: SpeechOperation, _ seats: DeskSeats) -> DeskEnd {
    let metrics = self.metrics
    return { outcome, seconds in
      // Who hears of the end finds the seat free.
      seats.leave()
      metrics.requestEnded(operation, outcome, audioSeconds: seconds)
    }
  }

  private func check(language: String) throws(SpeechDeskError) {
    let name = language.split(whereSeparator: { $0 == "-" || $0 == "_" }).first?.lowercased() ?? ""
    guard ["", "en", "english"].contains(name) else {
      throw SpeechDeskError(.unsupported, "the recogniser understands English (`en`), not `\(language)`")
    }
  }

  private func search(_ phrases: [String]) throws(SpeechDeskError) -> SearchGrammar? {
    if phrases.isEmpty { return nil }
    guard phrases.count <= SearchGrammar.maxPhrases else {
      throw SpeechDeskError(.unsupported, "there may be \(SearchGrammar.maxPhrases) phrases, not \(phrases.count)")
    }
    do { return try SearchGrammar(ListenSpec(phrases: phrases)) } catch {
      throw SpeechDeskError(.unsupported, error.message)
    }
  }

  // MARK: Speaking

  func speak(_ request: SpeakingRequest) throws(SpeechDeskError) -> AsyncThrowingStream<[UInt8], any Error> {
    typealias Order = (format: SoundEncoder.Format, rate: Int, pieces: [Piece])
    let order = try counted(.synthesize) { () throws(SpeechDeskError) -> Order in
      guard let format = SoundEncoder.Format(rawValue: request.format.rawValue) else {
        throw SpeechDeskError(.unsupported, "\(request.format.rawValue) cannot be written")
      }
      let rate = request.sampleRate ?? format.rates[0]
      guard format.rates.contains(rate) else {
        let known = format.rates.sorted().map(String.init).joined(separator: ", ")
        throw SpeechDeskError(.unsupported, "\(format.rawValue) has one of these sample rates: \(known)")
      }
      let said = try pieces(request)
      guard texts.take() else { throw busy("\(texts.limit) texts are being spoken already") }
      return (format, rate, said)
    }
    let (bytes, out) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
    let isCancelled = DeskFlag()
    out.onTermination = { _ in isCancelled.raise() }
    let text = Speaking(
      order.pieces, synthesizer: synthesizer, format: order.format, sampleRate: order.rate, bytes: out,
      isCancelled: isCancelled, end: end(.synthesize, texts))
    speaking.submit(text)
    return bytes
  }

  private func pieces(_ request: SpeakingRequest) throws(SpeechDeskError) -> [Piece] {
    let prompt = Prompt(
      id: PlaybackID(0), source: .text(""), voice: request.voice, speed: request.speed, cache: false)
    do {
      var said = [SpeechMarkup.Piece.text(request.text, voices: [], speed: 1)]
      if request.isMarkup {
        do { said = try SpeechMarkup(request.text).pieces } catch {
          throw SynthesisError("the markup cannot be read: \(error)")
        }
      }
      let pieces = try PromptPieces.spoken(
        said, prompt, synthesizer.voices, voice: configuration.voice, speed: configuration.speed)
      guard !pieces.isEmpty else { throw SynthesisError("there is nothing to say in the text") }
      return pieces
    } catch {
      throw SpeechDeskError(.unsupported, "\(error)")
    }
  }

  private func busy(_ message: String) -> SpeechDeskError {
    SpeechDeskError(.busy, "\(message); try again", retryAfterSeconds: 2)
  }
}

/// Threads that work on tasks in turn, a step at a time.
final class DeskQueue<Task: Sendable>: Sendable {
  /// What may be queued: more than all seats together, each of which queues its task once.
  private static var limit: Int { 4_096 }

  private let workers: WorkerThreads<Task>
  private let drop: @Sendable (Task) -> Void

  /// - Parameters:
  ///   - drop: takes a task that nobody will work on any more.
  ///   - makeStep: called once on every thread; what it returns does one step and says whether there are more.
  init(
    threads: Int, niceness: Int32, drop: @escaping @Sendable (Task) -> Void,
    makeStep: @escaping @Sendable () -> (Task) -> Bool
  ) {
    self.drop = drop
    let own = NIOLockedValueBox<Weak?>(nil)
    workers = WorkerThreads(count: threads, niceness: niceness, limit: Self.limit) { next in
      let step = makeStep()
      while let task = next({ _ in false }) {
        // Back to the end of the queue.
        if step(task), !(own.withLockedValue { $0?.workers }?.submit(task) ?? false) { drop(task) }
      }
    }
    own.withLockedValue { $0 = Weak(workers) }
  }

  private struct Weak: Sendable {
    weak let workers: WorkerThreads<Task>?
    init(_ workers: WorkerThreads<Task>) { self.workers = workers }
  }

  func submit(_ task: Task) {
    if !workers.submit(task) { drop(task) }
  }

  func close() {
    for task in workers.close() { drop(task) }
  }
}
