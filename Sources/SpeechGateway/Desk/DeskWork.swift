import Audio
import CallLink
import NIOConcurrencyHelpers
import Turns

/// What can be cancelled from outside while a thread works on it.
final class DeskFlag: Sendable {
  private let raised = NIOLockedValueBox(false)
  func raise() { raised.withLockedValue { $0 = true } }
  var isRaised: Bool { raised.withLockedValue { $0 } }
}

/// How many requests of a kind there may be.
final class DeskSeats: Sendable {
  let limit: Int
  private let taken = NIOLockedValueBox(0)
  private let changed: @Sendable (Int) -> Void

  /// - Parameter changed: told how many are taken, in the order in which it changes.
  init(_ limit: Int, changed: @escaping @Sendable (Int) -> Void = { _ in }) {
    self.limit = limit
    self.changed = changed
  }

  func take() -> Bool {
    taken.withLockedValue { taken in
      if taken >= limit { return false }
      taken += 1
      changed(taken)
      return true
    }
  }

  func leave() {
    taken.withLockedValue { taken in
      taken -= 1
      changed(taken)
    }
  }
}

/// Told once, when nothing more will be done: how a request ended, and the seconds of sound that were heard or made for it.
typealias DeskEnd = @Sendable (SpeechRequestOutcome, Double) -> Void

/// A file on its way to words, in steps, so that a long one does not keep short ones waiting: read first, then stretch by
/// stretch.
final class Transcribing: Sendable {
  private struct State {
    var audio: [UInt8]
    var samples: [Int16]?
    var ears: DeskEars
    var waiting: [Segment] = []
    var hasEnded = false
  }

  typealias Events = AsyncThrowingStream<TranscriptionEvent, any Error>.Continuation

  /// Samples that the voice detector hears in one step: half a minute, which takes it 0.15 s.
  private static let stepSamples = 480_000

  // Only `step` touches it, and the queue gives a task to one thread at a time.
  private nonisolated(unsafe) var state: State
  private let grammar: SearchGrammar?
  private let limits: SoundFile.Limits
  private let events: Events
  private let isCancelled: DeskFlag
  private let end: DeskEnd

  init(
    _ audio: [UInt8], ears: DeskEars, grammar: SearchGrammar?, limits: SoundFile.Limits, events: Events,
    isCancelled: DeskFlag, end: @escaping DeskEnd
  ) {
    state = State(audio: audio, ears: ears)
    self.grammar = grammar
    self.limits = limits
    self.events = events
    self.isCancelled = isCancelled
    self.end = end
  }

  /// Does a bit of it (a second or two at most); false: it is finished, or nobody wants it any more.
  func step(_ recognizer: SphinxDeskRecognizer) -> Bool {
    guard !isCancelled.isRaised else { return finish(nil) }
    do throws(SpeechDeskError) {
      guard let samples = state.samples else {
        try read()
        return true
      }
      if let segment = state.waiting.first {
        state.waiting.removeFirst()
        try hear(segment, in: samples, recognizer)
        return true
      }
      if state.hasEnded { return finish(nil) }
      listen(samples)
      return true
    } catch {
      return finish(error)
    }
  }

  func fail(_ error: SpeechDeskError) { _ = finish(error) }

  private func finish(_ error: SpeechDeskError?) -> Bool {
    // Counted before the client learns of it.
    end(SpeechRequestOutcome(error, isCancelled: isCancelled.isRaised), Double(state.ears.position) / 16_000)
    events.finish(throwing: error)
    return false
  }

  private func read() throws(SpeechDeskError) {
    do {
      let sound = try SoundFile.decode(state.audio, limits: limits) { !isCancelled.isRaised }
      state.audio = []
      state.samples = sound.samples
      events.yield(.read(durationMs: sound.samples.count / 16))
    } catch {
      throw SpeechDeskError(error.code == .tooLarge ? .tooLong : .audio, error.message)
    }
  }

  private func listen(_ samples: [Int16]) {
    var at = Int(state.ears.position)
    let stop = min(samples.count, at + Self.stepSamples)
    while at < stop {
      let next = min(samples.count, at + VoiceDetector.frameSamples)
      state.waiting += state.ears.hear(samples[at..<next]).segments
      at = next
    }
    if at >= samples.count {
      state.waiting += state.ears.finish().segments
      state.hasEnded = true
    }
  }

  private func hear(
    _ segment: Segment, in samples: [Int16], _ recognizer: SphinxDeskRecognizer
  ) throws(SpeechDeskError) {
    let end = min(samples.count, Int(segment.end))
    let start = max(0, min(end, Int(segment.start)))
    do throws(SpeechSetupError) {
      let heard = try recognizer.hear(samples[start..<end], phrases: grammar)
      if !heard.words.isEmpty { events.yield(.segment(heard.segment(segment))) }
    } catch {
      throw SpeechDeskError(.unavailable, error.message)
    }
  }
}
