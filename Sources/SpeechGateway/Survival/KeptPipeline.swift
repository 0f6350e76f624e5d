import Base
import CallLink
import Turns

// A pipeline whose call is to outlive its process: what it keeps, and how it goes on from what another one has kept.

extension CallPipeline {
  /// Bytes of text that may wait to be said where it has to be kept with the call.
  static let mostKeptText = 64 << 10
  /// A second: what a detector hears before it can be relied upon.
  private static let warmUpSamples: Int64 = 16_000

  /// Once, before anything else: takes over what a predecessor left.
  func begin() {
    guard let inherited, let keeping, !isOver else { return }
    // When the call was taken over: a worker may come to it later than the first message.
    let now = keeping.keptAt
    answeredPosition = inherited.answered?.position
    answeredAt = inherited.answered.map { now - .milliseconds($0.sinceMs) }
    listen = inherited.listen
    turnListen = inherited.turnListen
    hangup = inherited.hangup
    reportedPlayback = inherited.turns.playback
    if listen.speech { around.recognizer.prepare(listen) }
    if case .turn = inherited.turns.phase {
      decodes.begin()
      partials.resume(start: inherited.turns.audioFrom, heard: inherited.turns.position, told: inherited.told)
    }
    unheard = inherited.finals.map {
      Decodes.Final(segment: $0.segment, listen: $0.listen, endpointMs: $0.endpointMs, decided: now, isByWords: false)
    }
    for final in unheard { decodes.restore(final) }
    report(queue.restore(inherited.playbacks, now: now, pieces: pieces), at: now)
    if inherited.isOver {
      isOver = true
      around.ended()
    } else {
      playbackMayHaveChanged()
      hangUpIfDue()
    }
    // Nothing leaves a successor before its own state is known.
    keep(at: now)
  }

  /// A frame was heard by a successor.
  func hearAgain() {
    while let first = unheard.first, history.end >= first.segment.end {
      unheard.removeFirst()
      decode(first.segment, listen: first.listen)
    }
    // The audio is the clock that both processes have: it is never ahead of the line, and what is repeated is behind it.
    guard let answeredPosition, let answeredAt else { return }
    let sinceAnswer = Duration.microseconds((history.end - answeredPosition) * 1000 / 16)
    self.answeredAt = min(answeredAt, around.now() - sinceAnswer)
  }

  /// Hands the state to its custodian where somebody waits for that.
  func keepIfDue() {
    guard keeping != nil else { return }
    if queue.ordered != keptOrders { keeping?.told() }
    guard keeping?.isDue(around.now) == true else { return }
    keep(at: around.now())
  }

  private func keep(at now: Instant) {
    guard let place = keeping?.place else { return }
    keptOrders = queue.ordered
    keeping?.keep(state(place, at: now), at: now)
  }

  private func state(_ place: CallPlace, at now: Instant) -> SpeechState {
    var state = SpeechState(place: place, listen: listen, turnListen: turnListen, turns: endpointer.memory)
    state.isOver = isOver
    if isOver { return state }
    if let answeredAt, let answeredPosition {
      state.answered = SpeechState.Answer(
        position: answeredPosition, sinceMs: max(0, (now - answeredAt).milliseconds))
    }
    state.hangup = hangup
    state.playbacks = queue.kept
    state.finals = decodes.waiting.map {
      SpeechState.UnheardTurn(segment: $0.segment, listen: $0.listen, endpointMs: $0.endpointMs)
    }
    if endpointer.isInTurn { state.told = partials.told }
    // Frames begin where they would have begun here, so that they are judged alike.
    let wanted = min(state.turns.audioFrom, state.finals.first?.segment.start ?? .max)
    let frame = Int64(Self.frameSamples)
    let frames = (state.turns.position - min(wanted, state.turns.position - Self.warmUpSamples) + frame - 1) / frame
    state.heardFrom = max(0, state.turns.position - frames * frame)
    return state
  }
}
