import CallLink
import NIOConcurrencyHelpers

/// A speech role that hears and says what the test wants.
final class FakeDesk: SpeechDesk {
  private struct State {
    var transcriptions: [TranscriptionRequest] = []
    var texts: [SpeakingRequest] = []
    var streams: [SpeechStreamRequest] = []
    var sound: [UInt8] = []
    var ended = 0
    var isReleased = true
    var waiters: [(test: @Sendable (State) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
  }
  private let state = NIOLockedValueBox(State())
  private let error: SpeechDeskError?
  private let hangs: Bool

  /// - Parameters:
  ///   - error: what it says to everything.
  ///   - hangs: it never comes to an end by itself.
  ///   - isSlow: it hears no sound before ``release()``.
  init(error: SpeechDeskError? = nil, hangs: Bool = false, isSlow: Bool = false) {
    self.error = error
    self.hangs = hangs
    state.withLockedValue { $0.isReleased = !isSlow }
  }

  func release() { change { $0.isReleased = true } }

  var transcriptions: [TranscriptionRequest] { state.withLockedValue { $0.transcriptions } }
  var texts: [SpeakingRequest] { state.withLockedValue { $0.texts } }
  var streams: [SpeechStreamRequest] { state.withLockedValue { $0.streams } }
  /// What came on streams.
  var sound: [UInt8] { state.withLockedValue { $0.sound } }

  /// Waits until a recording has come.
  func isAsked() async { await wait { !$0.transcriptions.isEmpty } }
  /// Waits until a request was broken off.
  func isLeft() async { await wait { $0.ended > 0 } }

  private func wait(_ test: @escaping @Sendable (State) -> Bool) async {
    await withCheckedContinuation { continuation in
      let isSo = state.withLockedValue { state in
        if test(state) { return true }
        state.waiters.append((test, continuation))
        return false
      }
      if isSo { continuation.resume() }
    }
  }

  private func change(_ body: (inout State) -> Void) {
    let ready = state.withLockedValue { state in
      body(&state)
      let now = state
      state.waiters.removeAll { $0.test(now) }
      return now.waiters.filter { $0.test(now) }
    }
    for waiter in ready { waiter.continuation.resume() }
  }

  let models = [
    SpeechModel(name: "ear", kind: .recognition, languages: ["en-US"]),
    SpeechModel(name: "mouth", kind: .synthesis, languages: ["en-US"]),
  ]
  let voices = [SpeechVoice(name: "slt", language: "en-US", model: "mouth", description: "a voice")]

  static let segments = [
    TranscribedSegment(
      text: "good morning", startMs: 500, endMs: 1_250, confidence: 0.9,
      words: [
        TranscribedWord(text: "good", startMs: 500, endMs: 800, confidence: 0.95),
        TranscribedWord(text: "morning", startMs: 820, endMs: 1_250, confidence: 0.85),
      ]),
    TranscribedSegment(
      text: "goodbye", startMs: 3_661_000, endMs: 3_662_000, confidence: 0.6,
      words: [TranscribedWord(text: "goodbye", startMs: 3_661_000, endMs: 3_662_000, confidence: 0.6)]),
  ]

  func transcribe(
    _ request: TranscriptionRequest
  ) throws(SpeechDeskError) -> AsyncThrowingStream<TranscriptionEvent, any Error> {
    if let error { throw error }
    change { $0.transcriptions.append(request) }
    let (events, out) = AsyncThrowingStream<TranscriptionEvent, any Error>.makeStream()
    out.onTermination = { [self] end in
      if case .cancelled = end { change { $0.ended += 1 } }
    }
    out.yield(.read(durationMs: 3_662_500))
    if hangs { return events }
    for segment in Self.segments { out.yield(.segment(segment)) }
    out.finish()
    return events
  }

  func speak(_ request: SpeakingRequest) throws(SpeechDeskError) -> AsyncThrowingStream<[UInt8], any Error> {
    if let error { throw error }
    change { $0.texts.append(request) }
    let (bytes, out) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
    out.yield(Array("sound ".utf8))
    out.yield(Array("and more".utf8))
    out.finish()
    return bytes
  }

  /// Hears `good` in every message, `good morning` at `finalize`, and `goodbye` at the end.
  func listen(_ request: SpeechStreamRequest) throws(SpeechDeskError) -> SpeechStream {
    if let error { throw error }
    change { $0.streams.append(request) }
    let (events, out) = AsyncThrowingStream<SpeechStreamEvent, any Error>.makeStream()
    out.onTermination = { [self] end in
      if case .cancelled = end { change { $0.ended += 1 } }
    }
    return SpeechStream(events: events, inlet: Inlet(desk: self, events: out))
  }

  private struct Inlet: SpeechStreamInlet {
    let desk: FakeDesk
    let events: AsyncThrowingStream<SpeechStreamEvent, any Error>.Continuation

    func write(_ bytes: [UInt8]) async {
      await desk.wait { $0.isReleased }
      desk.change { $0.sound += bytes }
      // A stream that breaks in the middle.
      if bytes == [0xDE, 0xAD] {
        events.finish(throwing: SpeechDeskError(.unavailable, "the engine is gone"))
      } else {
        events.yield(.partial(text: "good", startMs: 500, endMs: 800))
      }
    }

    func finalize() async {
      events.yield(.final(FakeDesk.segments[0]))
      events.yield(.finalized(atMs: 1_250))
    }

    func finish() {
      if desk.hangs { return }
      events.yield(.final(FakeDesk.segments[1]))
      events.yield(.done(durationMs: 3_662_500))
      events.finish()
    }
  }
}
