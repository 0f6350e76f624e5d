import Audio
import Base
import CallLink
import Logging
import Turns

/// One call's ears and voice: hears frames, lets the endpointer decide whose turn it is, has segments recognised, feeds
/// prompts to the line, and tells the runtime.
///
/// Runs on the call's strand only (``CallSpeech``), one input at a time, and never waits for anything.
final class CallPipeline {
  static let frameSamples = VoiceDetector.frameSamples

  /// What it needs of the process.
  struct Surroundings {
    var configuration: SpeechGatewayConfiguration
    var recognizer: any Recognizer
    var maker: PromptMaker
    var metrics: any SpeechMetrics
    var logger: Logger
    var now: @Sendable () -> Instant
    /// Hands an input to this call's strand.
    var post: @Sendable (CallSpeech.Input) -> Void
    var isOpen: @Sendable () -> Bool
    /// Samples of the caller's voice that the media role has delivered.
    var delivered: @Sendable () -> Int64
    /// The call is over.
    var ended: @Sendable () -> Void
  }

  let around: Surroundings
  private var detector: VoiceDetector
  var endpointer: Endpointer
  var history = AudioHistory()
  private var runtime: HopSender<SpeechToRuntime>
  var queue: PlaybackQueue
  /// How the next turn is listened to, and how the one that has begun is.
  var listen = ListenSpec(speech: false)
  var turnListen = ListenSpec(speech: false)
  var decodes = Decodes()
  var partials = PartialResults()
  var reportedPlayback = PlaybackState.silent
  var hangup: HangupReason?
  var answeredAt: Instant?
  var answeredPosition: Int64?
  var isOver = false
  /// Of a call whose state is kept.
  var keeping: Keeping?
  /// Orders to the media role that the state which is kept knows of.
  var keptOrders = 0
  /// Of a call that has come from another process.
  var inherited: SpeechState?
  /// Turns that a predecessor ended, to be decoded as soon as they have been heard again.
  var unheard: [Decodes.Final] = []

  init(
    detector: VoiceDetector, media: any MediaSide, runtime: any HopSink<SpeechToRuntime>, around: Surroundings,
    keeping: Keeping? = nil, inherited: SpeechState? = nil
  ) {
    self.around = around
    self.detector = detector
    self.keeping = keeping
    self.inherited = inherited
    let settings = around.configuration.turnSettings
    endpointer =
      inherited.map { Endpointer(settings: settings, resuming: $0.turns) } ?? Endpointer(settings: settings)
    self.runtime = HopSender(runtime)
    let maker = around.maker
    let post = around.post
    let now = around.now
    let isOpen = around.isOpen
    queue = PlaybackQueue(media: media) { id, piece in
      maker.make(piece, wanted: isOpen) { post(.piece(id, $0, at: now())) }
    }
  }

  // MARK: Inputs

  func receive(_ input: CallSpeech.Input) {
    guard !isOver else { return }
    switch input {
    case .media(let message, let heard, let at):
      guard keeping?.receive(left: message.sequence) ?? true else { return }
      media(message.message, heard: heard, at: at)
    case .runtime(let message, let at):
      guard keeping?.receive(right: message.sequence) ?? true else { return }
      command(message.message, at: at)
    case .recognized(let ticket, let outcome, let at): recognized(ticket, outcome, at: at)
    case .partial(let turn, let outcome, let since, let at):
      heardSoFar(turn, Decodes.Decoded(outcome: outcome, since: since, at: at))
    case .piece(let id, let event, let at): report(queue.receive(id, event, now: at), at: at)
    case .lineReplaced: queue.lineReplaced()
    }
    playbackMayHaveChanged()
    hangUpIfDue()
  }

  /// The next frame of the caller's voice.
  /// - Parameter position: of its first sample; nil: behind the last frame.
  func hear(_ frame: UnsafeBufferPointer<Int16>, at place: Int64? = nil) {
    guard !isOver else { return }
    let position = place ?? history.end
    history.append(frame, at: position)
    if inherited != nil { hearAgain() }
    let probability = detector.probability(frame)
    act(endpointer.receive(.frame(position: position, samples: frame.count, probability: probability)))
    if let interval = around.configuration.partialIntervalMs { lookAhead(every: Int64(max(1, interval)) * 16) }
    if !endpointer.isHearingSpeech, unheard.isEmpty { history.trim(keeping: Self.idleHistory) }
    playbackMayHaveChanged()
    hangUpIfDue()
  }

  /// Samples kept while nobody speaks: pre-roll and what the detector needs to make up its mind.
  private static let idleHistory = 24_000

  private func media(_ message: MediaToSpeech, heard: Int64, at: Instant) {
    switch message {
    case .answered:
      guard answeredAt == nil else { return }
      answeredAt = at
      answeredPosition = heard
      tell(.answered)
    case .digit(let digit, let durationMs):
      // What it stops is reported before the digit, so that the runtime sees the prompt end and then why.
      act(endpointer.receive(.digit), at: at)
      tell(.digit(digit, durationMs: durationMs, atMs: milliseconds(at)))
    case .playoutStarted(let id): report(queue.playoutStarted(id), at: at)
    case .playoutProgress(let id, let played): report(queue.playoutProgress(id, samples: played, now: at), at: at)
    case .playoutFinished(let id): report(queue.playoutFinished(id, now: at), at: at)
    case .playoutCleared(let id, let played): report(queue.playoutCleared(id, samples: played, now: at), at: at)
    case .held: tell(.held)
    case .resumed: tell(.resumed)
    case .quality(let quality): tell(.quality(quality))
    case .ended(let reason):
      isOver = true
      around.ended()
      // Last: whoever hears of the end may ask how many calls are left.
      tell(.ended(reason))
    }
  }

  private func command(_ message: RuntimeToSpeech, at: Instant) {
    switch message {
    case .ringing: queue.order(.ringing)
    case .answer: queue.order(.answer)
    case .reject(let reason): queue.order(.reject(reason))
    case .say(let prompt): say(prompt, at: at)
    case .stop(let id): report(queue.stop(id, by: .command, now: at), at: at)
    case .listen(let spec):
      listen = spec
      if spec.speech { around.recognizer.prepare(spec) }
      act(
        endpointer.receive(
          .listening(Listening(minSilenceMs: spec.minSilenceMs, speech: spec.speech, bargeIn: spec.bargeIn))))
    case .sendDigits(let digits, let durationMs): queue.order(.sendDigits(digits, durationMs: durationMs))
    case .hangup(let reason, let afterPlayback):
      hangup = reason
      if afterPlayback {
        report(queue.endLoops(now: at), at: at)
      } else {
        report(queue.stop(nil, by: .command, now: at), at: at)
        queue.order(.hangup(reason))
        hangup = nil
      }
    }
  }

  private func say(_ prompt: Prompt, at: Instant) {
    if keeping != nil, queue.textBytes + prompt.source.bytes > Self.mostKeptText {
      return report([.failed(prompt.id, "more than \(Self.mostKeptText) bytes of text are waiting to be said")], at: at)
    }
    switch pieces(of: prompt) {
    case .success(let pieces): report(queue.append(Playback(prompt: prompt, pieces: pieces), now: at), at: at)
    case .failure(let error): report([.failed(prompt.id, error.message)], at: at)
    }
  }

  func pieces(of prompt: Prompt) -> Result<[Piece], SynthesisError> {
    let configuration = around.configuration
    return PromptPieces.of(prompt, maker: around.maker, voice: configuration.voice, speed: configuration.speed)
  }

  /// Ends the call once everything that was to be heard has been heard.
  func hangUpIfDue() {
    guard let reason = hangup, queue.isEmpty else { return }
    hangup = nil
    queue.order(.hangup(reason))
  }

  /// The endpointer judges speech by what the caller hears.
  func playbackMayHaveChanged() {
    let state: PlaybackState = queue.audible.map { .playing(bargeIn: $0.bargeIn) } ?? .silent
    guard state != reportedPlayback else { return }
    reportedPlayback = state
    act(endpointer.receive(.playback(state)))
  }

  // MARK: Turns

  private func act(_ actions: [EndpointerAction], at: Instant? = nil) {
    for action in actions { act(action, at: at ?? around.now()) }
  }

  private func act(_ action: EndpointerAction, at: Instant) {
    switch action {
    case .speechStarted(let onset, let start, let evidence):
      turnListen = listen
      partials.begin(start: start, heard: evidence.position)
      decodes.begin()
      log("The caller speaks", evidence)
      report(queue.confirmInterruption(now: at), at: at)
      tell(.speechStarted(atMs: milliseconds(onset)))
    case .interruption(let cause, let evidence):
      log("The prompt is interrupted", evidence)
      let tentative = cause == .speech && !endpointer.isInTurn
      report(
        queue.interrupt(by: cause == .digit ? .digit : .speech, tentative: tentative, now: at), at: at)
      let sinceOnset = cause == .digit ? 0 : Double(evidence.speechMs) / 1000
      around.metrics.bargeIn(cause == .digit ? .digit : .speech, seconds: sinceOnset)
    case .candidateEnd(let segment, let evidence):
      log("The caller pauses", evidence)
      decode(segment)
    case .resumed(let evidence):
      log("The caller goes on", evidence)
      if let guess = decodes.forgetCandidate() { count(guess, words: .partial) }
    case .speechEnded(let segment, let reason, let evidence):
      log("The turn is over", evidence, reason: reason.rawValue)
      partials.end()
      // What has come to the line meanwhile counts, not what this worker has got round to.
      let behind = max(0, around.delivered() - segment.speechEnd)
      let endpointMs = Int(behind) / 16 + around.configuration.turnSettings.endLagMs
      let final = Decodes.Final(
        segment: segment, listen: turnListen, endpointMs: endpointMs, decided: at,
        isByWords: reason == .grammarComplete)
      if let ready = decodes.end(final) { deliver(ready) } else if decodes.needsDecode(segment) { decode(segment) }
      history.trim(before: segment.end)
    case .falseStart(let interrupted, let evidence):
      log("That was no speech", evidence)
      if interrupted {
        around.metrics.bargeIn(.falseAlarm, seconds: Double(evidence.speechMs) / 1000)
        report(queue.resumeInterrupted(now: at), at: at)
      }
    }
  }

  private func decode(_ segment: Segment) { decode(segment, listen: turnListen) }

  func decode(_ segment: Segment, listen: ListenSpec) {
    let (ticket, wish) = decodes.start(segment, at: around.now())
    let post = around.post
    let now = around.now
    let request = RecognitionRequest(
      segment: history.samples(segment.start, segment.end), listen: listen, isWanted: { wish.holds })
    if keeping != nil, request.segment.isEmpty {
      // Neither a predecessor nor the media role has it any more: the turn stays without words.
      return recognized(ticket, .dropped, at: now())
    }
    around.recognizer.recognize(request) { post(.recognized(ticket, $0, at: now())) }
  }

  private func recognized(_ ticket: RecognitionTicket, _ outcome: RecognitionOutcome, at: Instant) {
    switch decodes.finish(ticket, outcome, at: at) {
    case .forgotten: break
    case .final: while let ready = decodes.nextReady() { deliver(ready) }
    case .candidate(let decoded):
      guard case .recognized(let recognition) = decoded.outcome else { break }
      if !recognition.complete { tellPartial(recognition.transcript, at: at) }
      let notice: RecognitionNotice = recognition.complete ? .complete : .nothing
      act(endpointer.receive(.recognition(revision: ticket.revision, notice)), at: at)
    }
  }

  // MARK: What the caller has said so far

  private func lookAhead(every interval: Int64) {
    guard endpointer.isInTurn, let (turn, start) = partials.next(at: history.end, every: interval) else { return }
    let post = around.post
    let now = around.now
    let since = now()
    let request = RecognitionRequest(
      segment: history.samples(start, history.end), listen: turnListen, isPartial: true)
    around.recognizer.recognize(request) { post(.partial(turn: turn, $0, since: since, at: now())) }
  }

  private func heardSoFar(_ turn: Int, _ decoded: Decodes.Decoded) {
    // The engine's trouble is counted and told with the turn itself.
    let isCurrent = partials.finish(turn)
    guard case .recognized(let recognition) = decoded.outcome, !recognition.transcript.isEmpty else { return }
    count(decoded, words: .partial)
    if isCurrent { tellPartial(recognition.transcript, at: decoded.at) }
  }

  private func tellPartial(_ transcript: String, at: Instant) {
    guard partials.isNew(transcript) else { return }
    tell(.speechPartial(transcript: transcript, atMs: milliseconds(at)))
  }

  /// Counts a decode once it is clear whether its words were a turn's or only a guess.
  private func count(_ decoded: Decodes.Decoded, words: TranscriptionKind) {
    let kind: TranscriptionKind
    var confidence = 0.0
    switch decoded.outcome {
    case .recognized(let recognition):
      kind = recognition.transcript.isEmpty ? .noMatch : words
      confidence = recognition.confidence
    case .overflow:
      kind = .overflow
      around.logger.warning("No decoder has room: a turn stays without words")
    case .failed(let message):
      kind = .error
      around.logger.error("A turn cannot be recognised", metadata: ["error": "\(message)"])
    case .dropped: return
    }
    around.metrics.recognized(
      model: around.recognizer.model, type: kind, seconds: decoded.seconds, confidence: confidence)
  }

  private func deliver(_ ready: Decodes.Ready) {
    let segment = ready.final.segment
    let recognition = ready.recognition
    count(ready.decoded, words: .final)
    around.logger.debug(
      "A turn is understood",
      metadata: ["transcript": "\(recognition.transcript)", "confidence": "\(recognition.confidence)"])
    // Counted back from the decision, on the clock that also says when the answer goes out.
    let endMs = max(0, milliseconds(ready.final.decided) - ready.sinceSpeechMs)
    let settings = around.configuration.turnSettings
    let heardMs = Int(segment.speechEnd - segment.speechStart) / 16
    let durationMs = max(0, heardMs - settings.endLagMs + settings.lineLagMs)
    tell(
      .speechFinal(
        SpeechResult(
          transcript: recognition.transcript, confidence: recognition.confidence,
          language: ready.final.listen.language.isEmpty ? around.configuration.language : ready.final.listen.language,
          durationMs: durationMs, startMs: max(0, endMs - durationMs), endMs: endMs, endpointMs: ready.final.endpointMs,
          recognizeMs: ready.recognizeMs, model: around.recognizer.model)))
  }

  // MARK: Telling

  private func tell(_ message: SpeechToRuntime) {
    keeping?.told()
    runtime.send(message)
  }

  func report(_ reports: [PlaybackQueue.Report], at: Instant) {
    for report in reports {
      switch report {
      case .started(let id): tell(.playbackStarted(id, atMs: milliseconds(at)))
      case .finished(let id): tell(.playbackFinished(id))
      case .interrupted(let id, let heard, let playedMs, let cause):
        tell(.playbackInterrupted(id, heard: heard, playedMs: playedMs, by: cause))
      case .failed(let id, let message):
        around.logger.warning("A prompt cannot be played", metadata: ["error": "\(message)"])
        tell(.playbackFailed(id, message: message))
      case .firstAudio(let seconds, let cached):
        around.metrics.firstAudio(engine: around.maker.synthesizer.name, seconds: seconds, cached: cached)
      }
    }
  }

  /// Since the call was answered; 0 before.
  private func milliseconds(_ at: Instant) -> Int {
    guard let answeredAt else { return 0 }
    return Int(max(0, (at - answeredAt).milliseconds))
  }

  private func milliseconds(_ position: Int64) -> Int {
    Int(max(0, position - (answeredPosition ?? 0))) / 16
  }

  private func log(_ message: Logger.Message, _ evidence: Evidence, reason: String = "") {
    // The evidence is only put into words where somebody reads them.
    guard around.logger.logLevel <= .debug else { return }
    var metadata: Logger.Metadata = ["evidence": "\(evidence.value)"]
    if !reason.isEmpty { metadata["reason"] = "\(reason)" }
    around.logger.debug(message, metadata: metadata)
  }
}
