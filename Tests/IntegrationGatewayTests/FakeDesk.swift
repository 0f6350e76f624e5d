import CallLink
import NIOConcurrencyHelpers

/// A speech role that hears and says what the test wants.
final class FakeDesk: SpeechDesk {
  private struct State {
    var transcriptions: [TranscriptionRequest] = []
    var texts: [SpeakingRequest] = []
    var ended = 0
  }
  private let state = NIOLockedValueBox(State())
  private let error: SpeechDeskError?
  private let hangs: Bool

  /// - Parameters:
  ///   - error: what it says to everything.
  ///   - hangs: it never comes to an end by itself.
  init(error: SpeechDeskError? = nil, hangs: Bool = false) {
    self.error = error
    self.hangs = hangs
  }

  var transcriptions: [TranscriptionRequest] { state.withLockedValue { $0.transcriptions } }
  var texts: [SpeakingRequest] { state.withLockedValue { $0.texts } }
  /// Requests that were broken off.
  var ended: Int { state.withLockedValue { $0.ended } }

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
    state.withLockedValue { $0.transcriptions.append(request) }
    let (events, out) = AsyncThrowingStream<TranscriptionEvent, any Error>.makeStream()
    out.onTermination = { [state] end in
      if case .cancelled = end { state.withLockedValue { $0.ended += 1 } }
    }
    out.yield(.read(durationMs: 3_662_500))
    if hangs { return events }
    for segment in Self.segments { out.yield(.segment(segment)) }
    out.finish()
    return events
  }

  func speak(_ request: SpeakingRequest) throws(SpeechDeskError) -> AsyncThrowingStream<[UInt8], any Error> {
    if let error { throw error }
    state.withLockedValue { $0.texts.append(request) }
    let (bytes, out) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
    out.yield(Array("sound ".utf8))
    out.yield(Array("and more".utf8))
    out.finish()
    return bytes
  }
}
