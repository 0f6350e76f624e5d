import Audio
import Base
import CallLink
import SpeechGateway
import Synchronization

/// A lock for tests: the rooms' own lives in NIO, which this target does not need.
final class Box<Value: Sendable>: Sendable {
  private let value: Mutex<Value>
  init(_ value: Value) { self.value = Mutex(value) }
  func with<Result: Sendable>(_ body: (inout sending Value) -> Result) -> Result { value.withLock { body(&$0) } }
  var current: Value { value.withLock { $0 } }
}

/// Messages as they arrive, and a way to wait for one without polling.
final class Inbox<Message: Sendable>: HopSink {
  private struct State {
    var messages: [Message] = []
    var sequence: UInt64 = 0
    var isGapFree = true
    var waiters: [(test: @Sendable ([Message]) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
  }
  private let state = Mutex(State())
  private let tap: @Sendable (Message) -> Void

  init(tap: @escaping @Sendable (Message) -> Void = { _ in }) { self.tap = tap }

  func send(_ message: Numbered<Message>) {
    let ready = state.withLock { state in
      if message.sequence != state.sequence + 1 { state.isGapFree = false }
      state.sequence = message.sequence
      state.messages.append(message.message)
      let ready = state.waiters.filter { $0.test(state.messages) }.map(\.continuation)
      let messages = state.messages
      state.waiters.removeAll { $0.test(messages) }
      return ready
    }
    tap(message.message)
    for continuation in ready { continuation.resume() }
  }

  var messages: [Message] { state.withLock { $0.messages } }
  var isGapFree: Bool { state.withLock { $0.isGapFree } }

  /// Returns the messages once `test` holds for them.
  func wait(_ test: @escaping @Sendable ([Message]) -> Bool) async -> [Message] {
    await withCheckedContinuation { continuation in
      let isReady = state.withLock { state in
        if test(state.messages) { return true }
        state.waiters.append((test, continuation))
        return false
      }
      if isReady { continuation.resume() }
    }
    return messages
  }

  func first<Found: Sendable>(_ pick: @escaping @Sendable (Message) -> Found?) async -> Found {
    let messages = await wait { $0.contains { pick($0) != nil } }
    guard let found = messages.lazy.compactMap(pick).first else { preconditionFailure("it has just been there") }
    return found
  }
}

/// A media role that takes so many samples at a time, and plays them when the test says so.
final class FakeMedia: MediaSide {
  struct Line: Sendable {
    var order: [PlaybackID] = []
    var waiting: [PlaybackID: [Int16]] = [:]
    var played: [PlaybackID: Int] = [:]
    var ended: Set<PlaybackID> = []
    var started: Set<PlaybackID> = []
    var heard: [Int16] = []
    var largestBacklog = 0
  }
  let orders: Inbox<SpeechToMedia>
  let line = Box(Line())
  /// Samples that fit; the rest is refused.
  let room: Int
  let speech = Box<(any SpeechSide)?>(nil)
  private let sequence = Box<UInt64>(0)

  init(room: Int = 8_000) {
    self.room = room
    let line = self.line
    let toSpeech = Box<@Sendable (MediaToSpeech) -> Void>({ _ in })
    orders = Inbox { order in
      switch order {
      case .play(let id):
        line.with {
          $0.order.append(id)
          $0.played[id] = 0
          $0.ended.remove(id)
          $0.started.remove(id)
        }
      case .endOfAudio(let id): line.with { _ = $0.ended.insert(id) }
      case .clear(let id):
        let cleared = line.with { line in
          let ids = line.order.filter { id == nil || $0 == id }
          line.order.removeAll { ids.contains($0) }
          return ids.map { id in
            line.waiting[id] = nil
            return (id, line.played[id] ?? 0)
          }
        }
        for (id, played) in cleared { toSpeech.current(.playoutCleared(id, playedSamples: played)) }
      default: break
      }
    }
    toSpeech.with { $0 = { [weak self] in self?.tell($0) } }
  }

  func send(_ message: Numbered<SpeechToMedia>) { orders.send(message) }

  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int {
    let samples = Array(pcm)
    return line.with { line in
      let backlog = line.waiting.values.reduce(0) { $0 + $1.count }
      let take = min(samples.count, max(0, room - backlog))
      line.waiting[playback, default: []] += samples.prefix(take)
      line.largestBacklog = max(line.largestBacklog, backlog + take)
      return take
    }
  }

  /// Tells the speech role something, numbered.
  func tell(_ message: MediaToSpeech) {
    let number = sequence.with { number in
      number += 1
      return number
    }
    speech.current?.send(Numbered(number, message))
  }

  /// Plays up to `samples` of what waits and reports it. Returns how many were played.
  @discardableResult
  func play(_ samples: Int) -> Int {
    let (count, reports) = line.with { line -> (Int, [MediaToSpeech]) in
      var reports: [MediaToSpeech] = []
      var left = samples
      while let id = line.order.first {
        let waiting = line.waiting[id] ?? []
        let take = min(left, waiting.count)
        if take > 0 {
          if line.started.insert(id).inserted { reports.append(.playoutStarted(id)) }
          line.heard += waiting.prefix(take)
          line.waiting[id] = Array(waiting.dropFirst(take))
          line.played[id, default: 0] += take
          left -= take
          reports.append(.playoutProgress(id, playedSamples: line.played[id] ?? 0))
        }
        guard line.waiting[id, default: []].isEmpty, line.ended.contains(id) else { break }
        reports.append(.playoutFinished(id))
        line.order.removeFirst()
      }
      return (samples - left, reports)
    }
    for report in reports { tell(report) }
    return count
  }
}

/// A runtime that only listens.
final class FakeRuntime: RuntimeHop {
  let inbox = Inbox<SpeechToRuntime>()
  private let speech = Box<(any HopSink<RuntimeToSpeech>)?>(nil)
  private let sequence = Box<UInt64>(0)

  func open(_ call: CallInfo, speech: any HopSink<RuntimeToSpeech>) -> any HopSink<SpeechToRuntime> {
    self.speech.with { $0 = speech }
    return inbox
  }

  func order(_ message: RuntimeToSpeech) {
    let number = sequence.with { number in
      number += 1
      return number
    }
    speech.current?.send(Numbered(number, message))
  }
}

/// A voice whose every word is a tenth of a second of a constant.
struct FakeVoice: Synthesizer {
  static let wordSamples = 1_600
  let name = "fake"
  let voices = ["slt"]
  func synthesize(
    _ request: SynthesisRequest, chunk: (UnsafeBufferPointer<Int16>, [SpokenWord]) -> Bool
  ) throws(SynthesisError) {
    if request.text.contains("unspeakable") { throw SynthesisError("this cannot be spoken") }
    let sound = [Int16](repeating: 1_000, count: Self.wordSamples)
    for (n, word) in request.text.split(separator: " ").enumerated() {
      let spoken = SpokenWord(text: String(word), endSample: (n + 1) * Self.wordSamples)
      guard sound.withUnsafeBufferPointer({ chunk($0, [spoken]) }) else { return }
    }
  }
}

/// A recogniser that answers what it is told to, in order, and remembers what it was asked.
final class FakeRecognizer: Recognizer {
  let model = "fake"
  let asked = Box<[RecognitionRequest]>([])
  private let answers: Box<[RecognitionOutcome]>

  init(_ answers: [RecognitionOutcome] = []) { self.answers = Box(answers) }

  func prepare(_ listen: ListenSpec) {}

  func recognize(_ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void) {
    asked.with { $0.append(request) }
    let answer = answers.with { answers -> RecognitionOutcome in
      answers.count > 1 ? answers.removeFirst() : answers.first ?? .overflow
    }
    completion(answer)
  }
}

/// A recogniser that keeps everything to itself.
final class MuteRecognizer: Recognizer {
  let model = "mute"
  let asked = Box<[RecognitionRequest]>([])
  func prepare(_ listen: ListenSpec) {}
  func recognize(_ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void) {
    asked.with { $0.append(request) }
  }
}

/// Measurements as they come.
final class FakeMetrics: SpeechMetrics {
  let recognized = Box<[TranscriptionKind]>([])
  let depths = Box<[Int]>([])
  let active = Box<[Int]>([])
  let firstAudio = Box<[(seconds: Double, cached: Bool)]>([])
  func recognized(model: String, type: TranscriptionKind, seconds: Double, confidence: Double) {
    recognized.with { $0.append(type) }
  }
  func workersActive(_ count: Int) { active.with { $0.append(count) } }
  func queueDepth(_ count: Int) { depths.with { $0.append(count) } }
  func firstAudio(engine: String, seconds: Double, cached: Bool) {
    firstAudio.with { $0.append((seconds, cached)) }
  }
  func bargeIn(_ outcome: BargeInOutcome, seconds: Double) {}
  func audioDropped(samples: Int) {}
  /// Requests of the speech API that ended, for one reader.
  let ends: AsyncStream<Ended>
  private let end: AsyncStream<Ended>.Continuation
  typealias Ended = (operation: SpeechOperation, outcome: SpeechRequestOutcome, seconds: Double)
  let streams = Box<[Int]>([])
  init() { (ends, end) = AsyncStream.makeStream() }
  func requestEnded(_ operation: SpeechOperation, _ outcome: SpeechRequestOutcome, audioSeconds: Double) {
    end.yield((operation, outcome, audioSeconds))
  }
  func streamsActive(_ count: Int) { streams.with { $0.append(count) } }
}

/// One call with fakes on both sides.
struct Rig {
  let media: FakeMedia
  let runtime = FakeRuntime()
  let service: SpeechService
  let speech: any SpeechSide
  private let position = Box<Int64>(0)
  private let clock: Box<Instant>

  init(
    _ configuration: SpeechGatewayConfiguration = .init(), recognizer: (any Recognizer)? = FakeRecognizer(),
    synthesizer: (any Synthesizer)? = FakeVoice(), room: Int = 8_000, metrics: any SpeechMetrics = NoSpeechMetrics()
  ) throws {
    media = FakeMedia(room: room)
    let clock = Box(Instant(nanoseconds: 1_000_000_000))
    self.clock = clock
    service = try SpeechService(
      configuration: configuration, runtime: runtime, recognizer: recognizer, synthesizer: synthesizer,
      metrics: metrics, now: { clock.current })
    let call = CallInfo(
      session: SessionID("test"), direction: .inbound, callerID: "100", calledNumber: "200", fromURI: "sip:100@here",
      toURI: "sip:200@here")
    speech = service.open(call, media: media)
    let speech = self.speech
    media.speech.with { $0 = speech }
  }

  func answer() async {
    media.tell(.answered)
    _ = await runtime.inbox.wait { $0.contains { if case .answered = $0 { true } else { false } } }
  }

  /// The caller says this, 20 ms at a time, and the clock goes on as long; returns when it has been heard. Half a
  /// second at a time, because the line holds two seconds and a test's machine may be slow.
  /// - Parameter ahead: samples that the line may be ahead of the ears. A worker that late counts as one, so what is measured of a
  ///   turn's end needs a short one.
  func hear(_ sound: [Int16], ahead: Int = 8_000) async {
    for start in stride(from: 0, to: sound.count, by: 320) {
      let packet = Array(sound[start..<min(sound.count, start + 320)])
      let at = position.with { position in
        position += Int64(packet.count)
        return position - Int64(packet.count)
      }
      clock.with { $0 += .nanoseconds(Int64(packet.count) * 62_500) }
      packet.withUnsafeBufferPointer { speech.audio($0, position: at) }
      if start % ahead == 0 { await settle() }
    }
    await settle()
  }

  /// Returns when the call's worker has heard what was sent. It hears at least one frame between two messages, so that as many
  /// echoes as there can be frames prove it.
  func settle() async {
    for _ in 0..<18 {
      let count = runtime.inbox.messages.count(where: Self.isQuality)
      media.tell(
        .quality(.init(packetsReceived: 0, packetsLost: 0, jitterMs: 0, packetsRejected: 0, underruns: 0)))
      _ = await runtime.inbox.wait { $0.count(where: Self.isQuality) > count }
    }
  }

  private static let isQuality: @Sendable (SpeechToRuntime) -> Bool = {
    if case .quality = $0 { true } else { false }
  }

  /// What the runtime was told, without the echoes of ``settle()``.
  var told: [SpeechToRuntime] { runtime.inbox.messages.filter { !Self.isQuality($0) } }

  /// Plays in steps of 100 ms until `done` holds for what the runtime has been told.
  func playOut(until done: @escaping @Sendable ([SpeechToRuntime]) -> Bool) async {
    while !done(runtime.inbox.messages) {
      if media.play(1_600) == 0 { await Task.yield() }
      clock.with { $0 += .milliseconds(100) }
    }
  }

  func end() async {
    media.tell(.ended(.caller))
    _ = await runtime.inbox.wait { $0.contains { if case .ended = $0 { true } else { false } } }
    service.shutdown()
  }
}

/// What callers send.
enum Sounds {
  static func silence(ms: Int) -> [Int16] { [Int16](repeating: 0, count: ms * 16) }

  /// Speech as a telephone carries it: 8 kHz mu-law and back.
  static func telephone(_ text: String, voice: String = "kal16") throws -> [Int16] {
    let wide = try Voices.synthesize(text, voice: voice) + silence(ms: 20)
    let narrow = try Resampler.convert(wide, from: 16_000, to: 8_000)
    let carried = narrow.map { G711.decode(G711.encode($0, law: .ulaw), law: .ulaw) }
    return try Resampler.convert(carried, from: 8_000, to: 16_000)
  }
}
