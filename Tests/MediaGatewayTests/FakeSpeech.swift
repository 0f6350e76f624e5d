import Base
import CallLink
import NIOConcurrencyHelpers
import Synchronization

/// A speech role that does what its test says: hands out calls as they are offered.
final class FakeSpeech: SpeechHop {
  let calls: AsyncStream<FakeCall>
  private let count = Atomic<Int>(0)
  /// Calls that it has been offered.
  var opened: Int { count.load(ordering: .acquiring) }
  private let continuation: AsyncStream<FakeCall>.Continuation
  private let onOpen: @Sendable (FakeCall) -> Void

  /// - Parameter onOpen: what every call is told at once.
  init(onOpen: @escaping @Sendable (FakeCall) -> Void = { _ in }) {
    (calls, continuation) = AsyncStream.makeStream(of: FakeCall.self)
    self.onOpen = onOpen
  }

  func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    count.add(1, ordering: .releasing)
    let side = FakeCall(call, media)
    onOpen(side)
    continuation.yield(side)
    return side
  }

  func next() async -> FakeCall? {
    for await call in calls { return call }
    return nil
  }
}

final class FakeCall: SpeechSide {
  let info: CallInfo
  let messages: AsyncStream<Numbered<MediaToSpeech>>
  let echoes = Atomic<Bool>(false)
  let samples = Atomic<Int>(0)
  /// Frames in which somebody was clearly heard.
  let loudFrames = Atomic<Int>(0)
  private let continuation: AsyncStream<Numbered<MediaToSpeech>>.Continuation
  private let media: any MediaSide
  private let sequence: NIOLockedValueBox<UInt64>

  /// - Parameter last: the number of the last message that the media role has had.
  init(_ info: CallInfo, _ media: any MediaSide, after last: UInt64 = 0) {
    sequence = NIOLockedValueBox(last)
    self.info = info
    self.media = media
    (messages, continuation) = AsyncStream.makeStream(of: Numbered<MediaToSpeech>.self)
  }

  func send(_ message: Numbered<MediaToSpeech>) {
    continuation.yield(message)
    if case .ended = message.message { continuation.finish() }
  }

  func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
    samples.add(pcm.count, ordering: .relaxed)
    if pcm.contains(where: { $0 > 3000 }) { loudFrames.add(1, ordering: .relaxed) }
    if echoes.load(ordering: .relaxed) { _ = media.audio(pcm, playback: PlaybackID(1)) }
  }

  func tell(_ message: SpeechToMedia) {
    sequence.withLockedValue {
      $0 += 1
      media.send(Numbered($0, message))
    }
  }

  func say(_ id: UInt32, _ pcm: [Int16], end: Bool = true) {
    tell(.play(PlaybackID(id)))
    _ = pcm.withUnsafeBufferPointer { media.audio($0, playback: PlaybackID(id)) }
    if end { tell(.endOfAudio(PlaybackID(id))) }
  }

  /// The first message that fits; those before it are gone.
  func next(_ fits: @Sendable (MediaToSpeech) -> Bool) async -> MediaToSpeech? {
    for await message in messages where fits(message.message) { return message.message }
    return nil
  }
}
