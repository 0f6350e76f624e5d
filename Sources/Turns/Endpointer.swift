/// Decides when a caller's turn begins and ends. A value machine in the audio's own time: the same inputs give the same
/// actions, so a recorded call replays exactly.
///
/// Silence is over when a frame reaches the threshold, speech when one falls below the threshold less the hysteresis. A
/// stretch of speech is at first only *suspected*; after `minSpeechMs` (or a recognised word) it is a turn. A short
/// silence in a turn makes a candidate that may be decoded; the turn ends after `minSilenceMs`, earlier where
/// recognition finds the candidate complete, later (up to `maxSilenceMs`) where it asks for more.
public struct Endpointer: Sendable {
  public let settings: TurnSettings

  private static let samplesPerMs: Int64 = 16

  private typealias Phase = TurnMemory.Phase
  private typealias Voice = TurnMemory.Voice

  private var phase = Phase.idle
  private var listening = Listening()
  /// What `listening` was when the turn began.
  private var minSilenceMs: Int
  private var playback = PlaybackState.silent
  /// A playback is interrupted once.
  private var isInterrupted = false
  private var turn = 0
  private var revision = 0
  /// One past the last sample heard.
  private var position: Int64 = 0
  private var probability: Float = 0
  /// Audio before this belongs to an earlier turn's segment.
  private var segmentFloor = Int64.min

  public init(settings: TurnSettings = TurnSettings()) {
    self.settings = settings
    minSilenceMs = settings.minSilenceMs
  }

  /// Goes on where another endpointer was. What the recogniser was asked there is asked again: a pause becomes a candidate
  /// anew.
  public init(settings: TurnSettings = TurnSettings(), resuming memory: TurnMemory) {
    self.settings = settings
    phase = memory.phase
    if case .turn(var voice) = memory.phase {
      voice.hasCandidate = false
      voice.wantsMore = false
      phase = .turn(voice)
    }
    listening = memory.listening
    minSilenceMs = memory.minSilenceMs
    playback = memory.playback
    isInterrupted = memory.isInterrupted
    turn = memory.turn
    revision = memory.revision
    position = memory.position
    segmentFloor = memory.segmentFloor
  }

  /// What another endpointer needs to go on with the frame at ``TurnMemory/position``.
  public var memory: TurnMemory {
    TurnMemory(
      phase: phase, listening: listening, minSilenceMs: minSilenceMs, playback: playback, isInterrupted: isInterrupted,
      turn: turn, revision: revision, position: position, segmentFloor: max(0, segmentFloor),
      audioFrom: audioFrom)
  }

  /// The first sample that may become part of a segment.
  private var audioFrom: Int64 {
    switch phase {
    case .idle:
      return max(0, min(position, max(position - ms(settings.paddingMs + settings.detectorLagMs), segmentFloor)))
    case .suspected(var voice):
      carryOver(&voice)
      return segmentStart(voice)
    case .turn(let voice): return segmentStart(voice)
    }
  }

  /// Feeds one input; the result is empty (and allocates nothing) for almost every frame.
  public mutating func receive(_ input: EndpointerInput) -> [EndpointerAction] {
    switch input {
    case .frame(let start, let samples, let probability):
      return hear(start: start, end: start &+ Int64(max(0, samples)), probability)
    case .recognition(let revision, let notice): return recognised(revision, notice)
    case .playback(let state):
      let wasMuted = isMuted
      // Between silence and silence a prompt is interrupted once.
      if state == .silent || playback == .silent { isInterrupted = false }
      playback = state
      return wasMuted && !isMuted ? unmute() : []
    case .listening(let listening):
      let wasMuted = isMuted
      self.listening = listening
      if !listening.speech { return abandonSuspicion() }
      return wasMuted && !isMuted ? unmute() : []
    case .digit:
      guard case .playing(bargeIn: true) = playback, listening.bargeIn, !isInterrupted else { return [] }
      isInterrupted = true
      return [.interruption(.digit, evidence(nil, limitMs: 0))]
    case .streamEnded: return finish()
    }
  }

  /// Whether a turn is open: the caller speaks, or has paused within it.
  public var isInTurn: Bool {
    if case .turn = phase { true } else { false }
  }

  /// Whether speech is heard that may become a turn, or a turn is open.
  public var isHearingSpeech: Bool {
    if case .idle = phase { false } else { true }
  }

  /// Whether speech can neither begin a turn nor interrupt at the moment.
  private var isMuted: Bool {
    if !listening.speech { return true }
    guard case .playing(let bargeIn) = playback else { return false }
    return !(bargeIn && listening.bargeIn)
  }

  // MARK: Audio

  private mutating func hear(start: Int64, end: Int64, _ probability: Float) -> [EndpointerAction] {
    // A frame from the past or a probability that is none changes nothing.
    guard end > position, probability.isFinite else { return [] }
    position = end
    self.probability = probability
    let isVoice = probability >= settings.threshold
    let isSilence = probability < settings.threshold - settings.hysteresis

    switch phase {
    case .idle:
      guard isVoice else { return [] }
      turn += 1
      revision += 1
      minSilenceMs = listening.minSilenceMs ?? settings.minSilenceMs
      let onset = max(start - ms(settings.detectorLagMs), segmentFloor, 0)
      phase = .suspected(Voice(onset: min(onset, start), end: end))
      return suspect()
    case .suspected(var voice):
      track(&voice, end: end, isVoice: isVoice, isSilence: isSilence)
      phase = .suspected(voice)
      return suspect()
    case .turn(var voice):
      let wasPausing = voice.isPausing
      track(&voice, end: end, isVoice: isVoice, isSilence: isSilence)
      phase = .turn(voice)
      return wasPausing && !voice.isPausing ? resume() : follow()
    }
  }

  private func track(_ voice: inout Voice, end: Int64, isVoice: Bool, isSilence: Bool) {
    // Between the two thresholds a voice goes on speaking and a pause goes on being one.
    if isVoice || (!voice.isPausing && !isSilence) {
      voice.isPausing = false
      voice.end = end
    } else {
      voice.isPausing = true
    }
  }

  /// What a frame means while nothing is decided: an interruption, a turn, or nothing after all.
  private mutating func suspect() -> [EndpointerAction] {
    guard case .suspected(var voice) = phase else { return [] }
    if voice.isPausing, silenceMs(voice) >= settings.candidateSilenceMs {
      phase = .idle
      if isMuted { return [] }
      return [
        .falseStart(interrupted: voice.interrupted, evidence(voice, limitMs: settings.minSpeechMs))
      ]
    }
    if isMuted { return [] }
    var actions: [EndpointerAction] = []
    if let interruption = interrupt(&voice) { actions.append(interruption) }
    if speechMs(voice) >= settings.minSpeechMs {
      begin(voice, limitMs: settings.minSpeechMs, &actions)
    } else {
      phase = .suspected(voice)
    }
    return actions
  }

  private mutating func begin(_ voice: Voice, limitMs: Int, _ actions: inout [EndpointerAction]) {
    phase = .turn(voice)
    actions.append(
      .speechStarted(onset: voice.onset, start: segmentStart(voice), evidence(voice, limitMs: limitMs)))
    actions += follow()
  }

  /// What a frame means in a turn.
  private mutating func follow() -> [EndpointerAction] {
    guard case .turn(var voice) = phase else { return [] }
    var actions: [EndpointerAction] = []
    if !isMuted, let interruption = interrupt(&voice) {
      actions.append(interruption)
      phase = .turn(voice)
    }
    if position - voice.onset >= ms(settings.maxTurnMs) {
      actions.append(end(voice, .maxTurn, limitMs: settings.maxTurnMs))
      return actions
    }
    guard voice.isPausing else { return actions }
    let silence = silenceMs(voice)
    let limit = voice.wantsMore ? max(settings.maxSilenceMs, minSilenceMs) : minSilenceMs
    if silence >= limit {
      actions.append(end(voice, voice.wantsMore ? .maxSilence : .silence, limitMs: limit))
    } else if silence >= settings.candidateSilenceMs, !voice.hasCandidate {
      voice.hasCandidate = true
      revision += 1
      phase = .turn(voice)
      actions.append(.candidateEnd(segment(voice), evidence(voice, limitMs: settings.candidateSilenceMs)))
    }
    return actions
  }

  private mutating func resume() -> [EndpointerAction] {
    guard case .turn(var voice) = phase else { return [] }
    var actions: [EndpointerAction] = []
    if voice.hasCandidate {
      revision += 1
      actions.append(.resumed(evidence(voice, limitMs: 0)))
    }
    voice.hasCandidate = false
    voice.wantsMore = false
    phase = .turn(voice)
    return actions + follow()
  }

  private mutating func interrupt(_ voice: inout Voice) -> EndpointerAction? {
    guard case .playing = playback, !isInterrupted, !voice.isPausing,
      speechMs(voice) + settings.lineLagMs >= settings.interruptionMinMs
    else { return nil }
    isInterrupted = true
    voice.interrupted = true
    return .interruption(.speech, evidence(voice, limitMs: settings.interruptionMinMs))
  }

  private mutating func end(_ voice: Voice, _ reason: TurnEnd, limitMs: Int) -> EndpointerAction {
    let result = segment(voice)
    phase = .idle
    segmentFloor = result.end
    return .speechEnded(result, reason, evidence(voice, limitMs: limitMs))
  }

  // MARK: Everything else

  private mutating func recognised(_ revision: Int, _ notice: RecognitionNotice) -> [EndpointerAction] {
    guard revision == self.revision else { return [] }
    switch (phase, notice) {
    case (.suspected(let voice), .words(let count)) where count > 0 && !isMuted:
      var actions: [EndpointerAction] = []
      begin(voice, limitMs: 0, &actions)
      return actions
    case (.turn(let voice), .complete) where voice.isPausing && voice.hasCandidate:
      return [end(voice, .grammarComplete, limitMs: 0)]
    case (.turn(var voice), .incomplete) where voice.isPausing && voice.hasCandidate:
      voice.wantsMore = true
      phase = .turn(voice)
    default: break
    }
    return []
  }

  /// Speech counts again. Where the caller speaks already, the turn counts from its real onset, unless that is too long
  /// ago to be an answer.
  private mutating func unmute() -> [EndpointerAction] {
    guard case .suspected(var voice) = phase else { return [] }
    carryOver(&voice)
    minSilenceMs = listening.minSilenceMs ?? settings.minSilenceMs
    phase = .suspected(voice)
    return suspect()
  }

  private func carryOver(_ voice: inout Voice) {
    voice.onset = max(voice.onset, min(voice.end, position - ms(settings.maxCarryoverMs)))
  }

  /// Speech is of no interest any more: what had already stopped a prompt is a false start, the rest goes unnoticed.
  private mutating func abandonSuspicion() -> [EndpointerAction] {
    guard case .suspected(let voice) = phase else { return [] }
    if !voice.interrupted { return [] }
    phase = .idle
    return [.falseStart(interrupted: true, evidence(voice, limitMs: 0))]
  }

  private mutating func finish() -> [EndpointerAction] {
    switch phase {
    case .idle: return []
    case .suspected(let voice):
      phase = .idle
      return isMuted ? [] : [.falseStart(interrupted: voice.interrupted, evidence(voice, limitMs: 0))]
    case .turn(let voice): return [end(voice, .streamEnded, limitMs: 0)]
    }
  }

  // MARK: Measures

  private func ms(_ milliseconds: Int) -> Int64 { Int64(milliseconds) * Endpointer.samplesPerMs }
  private func speechMs(_ voice: Voice) -> Int { Int((voice.end - voice.onset) / Endpointer.samplesPerMs) }
  private func silenceMs(_ voice: Voice) -> Int { Int((position - voice.end) / Endpointer.samplesPerMs) }

  private func segmentStart(_ voice: Voice) -> Int64 {
    max(voice.onset - ms(settings.paddingMs), min(segmentFloor, voice.onset), 0)
  }

  private func segment(_ voice: Voice) -> Segment {
    Segment(
      start: segmentStart(voice), end: min(voice.end + ms(settings.tailMs), position), speechStart: voice.onset,
      speechEnd: voice.end, revision: revision)
  }

  private func evidence(_ voice: Voice?, limitMs: Int) -> Evidence {
    Evidence(
      position: position, probability: probability, speechMs: voice.map(speechMs) ?? 0,
      silenceMs: voice.map(silenceMs) ?? 0, limitMs: limitMs, turn: turn, revision: revision, playback: playback)
  }
}
