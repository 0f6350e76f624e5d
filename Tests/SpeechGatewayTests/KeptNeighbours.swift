import Base
import CallLink
import SpeechGateway
import Synchronization
import Testing

/// Stands between one process of the speech role and its neighbours, as a custodian does: what the process sends leaves when a
/// state after it is safe, and is lost with the process otherwise.
final class FakeCustody: CallCustodian, MediaSide {
  private enum Outgoing: Sendable {
    case media(SpeechToMedia)
    case audio([Int16], PlaybackID)
    case runtime(SpeechToRuntime)
  }
  private struct Kept: Sendable {
    var state: KeptWorld.Safe
    var outgoing: [Outgoing]
  }
  private struct Link: Sendable {
    var isDead = false
    var isHeld = false
    var outgoing: [Outgoing] = []
    var kept: [Kept] = []
  }
  private let world: KeptWorld
  private let link = Mutex(Link())
  let side = Box<(any KeptSpeechSide)?>(nil)
  /// What the process has sent to the runtime, whether or not it left.
  let said = Inbox<SpeechToRuntime>()
  let echo = Echo()
  /// States that were kept, and whether the last one was said to be.
  let keeps = Box(0)
  let largest = Box(0)
  let hasFinished = Box(false)
  private let saidSequence = Box<UInt64>(0)

  init(_ world: KeptWorld) { self.world = world }

  func send(_ message: Numbered<SpeechToMedia>) { link.withLock { $0.outgoing.append(.media(message.message)) } }

  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int {
    let samples = Array(pcm)
    let onLine = world.media.line.with { $0.waiting.values.reduce(0) { $0 + $1.count } }
    return link.withLock { link in
      let waiting = (link.outgoing + link.kept.flatMap(\.outgoing)).reduce(onLine) { sum, next in
        if case .audio(let samples, _) = next { sum + samples.count } else { sum }
      }
      let taken = min(samples.count, max(0, world.media.room - waiting))
      if link.kept.isEmpty, !link.outgoing.contains(where: { if case .media = $0 { true } else { false } }) {
        // Sound goes beside the messages, and waits only for those that it must not overtake.
        for case .audio(let samples, let id) in link.outgoing where !link.isDead { world.deliver(samples, id) }
        link.outgoing.removeAll { if case .audio = $0 { true } else { false } }
        if !link.isDead { world.deliver(Array(samples.prefix(taken)), playback) }
      } else {
        link.outgoing.append(.audio(Array(samples.prefix(taken)), playback))
      }
      return taken
    }
  }

  var toRuntime: ClosureSink<SpeechToRuntime> {
    ClosureSink { [self] message in
      link.withLock { $0.outgoing.append(.runtime(message.message)) }
      if case .quality(let quality) = message.message { return echo.reach(quality.packetsReceived) }
      let number = saidSequence.with { number in
        number += 1
        return number
      }
      said.send(Numbered(number, message.message))
    }
  }

  func keep(_ state: [UInt8], handled place: CallPlace) {
    keeps.with { $0 += 1 }
    largest.with { $0 = max($0, state.count) }
    let heardFrom = side.current?.heardFrom ?? 0
    link.withLock { link in
      guard !link.isDead else { return }
      link.kept.append(
        Kept(
          state: KeptWorld.Safe(bytes: state, place: place, heardFrom: heardFrom), outgoing: link.outgoing))
      link.outgoing = []
      if !link.isHeld { release(&link, .max) }
    }
  }

  /// Nothing here waits for a state.
  func afterKept(_ act: @escaping @Sendable () -> Void) { act() }
  func finished() { hasFinished.with { $0 = true } }

  /// The next states take their time.
  func hold() { link.withLock { $0.isHeld = true } }

  /// The oldest `count` states are safe; with all of them released the next ones are at once.
  func release(_ count: Int = .max) {
    link.withLock { link in
      if count == .max { link.isHeld = false }
      release(&link, count)
    }
  }

  private func release(_ link: inout Link, _ count: Int) {
    for _ in 0..<min(count, link.kept.count) {
      let kept = link.kept.removeFirst()
      world.becomesSafe(kept.state)
      for outgoing in kept.outgoing {
        switch outgoing {
        case .media(let order): world.deliver(order)
        case .audio(let samples, let id): world.deliver(samples, id)
        case .runtime(let message): world.deliver(message)
        }
      }
    }
  }

  func kill() { link.withLock { $0.isDead = true } }
}

/// Lets a test wait until a message has been handled.
final class Echo: Sendable {
  private struct State {
    var reached = 0
    var waiter: (number: Int, continuation: CheckedContinuation<Void, Never>)?
  }
  private let state = Mutex(State())

  func reach(_ number: Int) {
    let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.reached = max(state.reached, number)
      guard let waiter = state.waiter, waiter.number <= state.reached else { return nil }
      state.waiter = nil
      return waiter.continuation
    }
    ready?.resume()
  }

  /// One at a time.
  func wait(for number: Int) async {
    await withCheckedContinuation { continuation in
      let isReached = state.withLock { state in
        if state.reached < number { state.waiter = (number, continuation) }
        return state.reached >= number
      }
      if isReached { continuation.resume() }
    }
  }
}

/// A call whose speech process can die: what surrounds it goes on, and repeats to a successor what the dead one had not settled.
final class KeptWorld: Sendable {
  struct Safe: Sendable {
    var bytes: [UInt8]?
    var place = CallPlace()
    var heardFrom: Int64 = 0
  }
  struct Process: Sendable {
    let service: SpeechService
    let custody: FakeCustody
    let side: any KeptSpeechSide
  }
  private struct State: Sendable {
    var safe = Safe()
    var fromMedia: [MediaToSpeech] = []
    var fromRuntime: [RuntimeToSpeech] = []
    var voice: [Int16] = []
    /// How much of that the process has been given.
    var givenMedia = 0
    var givenRuntime = 0
    var givenVoice = 0
    var process: Process?
    var ordered: UInt64 = 0
    var told: UInt64 = 0
    /// Echoes that were asked for, and those that came: each once and in order.
    var asked = 0
    var echoed = 0
  }

  let media: FakeMedia
  /// What the runtime was told.
  let inbox = Inbox<SpeechToRuntime>()
  let clock = Box(Instant(nanoseconds: 1_000_000_000))
  private let state = Mutex(State())
  /// The line does one thing at a time.
  private let line = Mutex(())
  private let configuration: SpeechGatewayConfiguration

  init(_ configuration: SpeechGatewayConfiguration = .init(), room: Int = 16_000) {
    self.configuration = configuration
    media = FakeMedia(room: room)
    let relay = Relay(world: self)
    media.speech.with { $0 = relay }
  }

  private final class Relay: SpeechSide {
    private unowned let world: KeptWorld
    init(world: KeptWorld) { self.world = world }
    func send(_ message: Numbered<MediaToSpeech>) { world.tell(message.message) }
    func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {}
  }

  // MARK: The process

  var process: Process? { state.withLock { $0.process } }
  var safe: Safe { state.withLock { $0.safe } }

  /// Starts a process that goes on from what is safe.
  @discardableResult
  func start(
    recognizer: any Recognizer = MarkRecognizer(), voice: any Synthesizer = CountingVoice(),
    metrics: any SpeechMetrics = NoSpeechMetrics()
  ) throws -> Process {
    let clock = self.clock
    let service = try SpeechService(
      configuration: configuration, runtime: NoRuntime(), recognizer: recognizer, synthesizer: voice, metrics: metrics,
      now: { clock.current })
    let custody = FakeCustody(self)
    let safe = self.safe
    let side = try service.open(
      Self.call, media: custody, runtime: custody.toRuntime,
      state: CallState(custodian: custody, kept: safe.bytes))
    custody.side.with { $0 = side }
    let process = Process(service: service, custody: custody, side: side)
    state.withLock { state in
      state.process = process
      state.givenMedia = Int(safe.place.left)
      state.givenRuntime = Int(safe.place.right)
      state.givenVoice = Int(side.heardFrom)
    }
    give()
    return process
  }

  func kill() {
    let process = state.withLock { state in
      defer { state.process = nil }
      return state.process
    }
    process?.custody.kill()
    process?.side.abandon()
    process?.service.shutdown()
  }

  func becomesSafe(_ safe: Safe) { state.withLock { $0.safe = safe } }

  static let call = CallInfo(
    session: SessionID("test"), direction: .inbound, callerID: "100", calledNumber: "200", fromURI: "sip:100@here",
    toURI: "sip:200@here")

  // MARK: Its neighbours

  func tell(_ message: MediaToSpeech) {
    state.withLock { $0.fromMedia.append(message) }
    give()
  }

  func order(_ message: RuntimeToSpeech) {
    state.withLock { $0.fromRuntime.append(message) }
    give()
  }

  /// Twenty milliseconds go by.
  func tick(_ sound: [Int16] = [Int16](repeating: 0, count: 320)) {
    clock.with { $0 += .milliseconds(20) }
    state.withLock { $0.voice += sound }
    give()
    line.withLock { _ in _ = media.play(320) }
  }

  /// Hands the process what it has not been given, in order.
  private func give() {
    state.withLock { state in
      guard let side = state.process?.side else { return }
      while state.givenRuntime < state.fromRuntime.count {
        side.fromRuntime.send(Numbered(UInt64(state.givenRuntime + 1), state.fromRuntime[state.givenRuntime]))
        state.givenRuntime += 1
      }
      while state.givenMedia < state.fromMedia.count {
        side.send(Numbered(UInt64(state.givenMedia + 1), state.fromMedia[state.givenMedia]))
        state.givenMedia += 1
      }
      while state.givenVoice < state.voice.count {
        let end = min(state.voice.count, state.givenVoice + 320)
        Array(state.voice[state.givenVoice..<end]).withUnsafeBufferPointer {
          side.audio($0, position: Int64(state.givenVoice))
        }
        state.givenVoice = end
      }
    }
  }

  fileprivate func deliver(_ order: SpeechToMedia) {
    line.withLock { _ in
      let number = state.withLock { state in
        state.ordered += 1
        return state.ordered
      }
      media.send(Numbered(number, order))
    }
  }

  fileprivate func deliver(_ samples: [Int16], _ id: PlaybackID) {
    line.withLock { _ in _ = samples.withUnsafeBufferPointer { media.audio($0, playback: id) } }
  }

  fileprivate func deliver(_ message: SpeechToRuntime) {
    let number = state.withLock { state -> UInt64? in
      if case .quality(let quality) = message {
        state.echoed = quality.packetsReceived == state.echoed + 1 ? state.echoed + 1 : .min
        return nil
      }
      state.told += 1
      return state.told
    }
    if let number { inbox.send(Numbered(number, message)) }
  }

  // MARK: What a test sees

  /// Returns when the process has handled what it was given; see ``Rig/settle()``.
  /// - Parameter frames: of the caller's voice that it may not have heard.
  func settle(frames: Int = 18) async {
    guard let custody = process?.custody else { return }
    for _ in 0..<frames {
      let number = state.withLock { state in
        state.asked += 1
        return state.asked
      }
      tell(
        .quality(.init(packetsReceived: number, packetsLost: 0, jitterMs: 0, packetsRejected: 0, underruns: 0)))
      await custody.echo.wait(for: number)
    }
  }

  /// Whether every echo came back once.
  var isEchoComplete: Bool { state.withLock { $0.asked == $0.echoed } }

  var told: [SpeechToRuntime] { inbox.messages }

  var events: [String] { told.map(Self.event) }

  /// Without what depends on the time.
  static func event(_ message: SpeechToRuntime) -> String {
    switch message {
    case .answered: "answered"
    case .digit(let digit, let durationMs, _): "digit \(digit) \(durationMs)"
    case .speechStarted: "speech"
    case .speechPartial(let text, _): "partial \(text)"
    case .speechFinal(let result): "final \(result.transcript)"
    case .playbackStarted(let id, _): "started \(id)"
    case .playbackFinished(let id): "finished \(id)"
    case .playbackInterrupted(let id, _, _, let by): "interrupted \(id) \(by)"
    case .playbackFailed(let id, _): "failed \(id)"
    case .held: "held"
    case .resumed: "resumed"
    case .quality: "quality"
    case .ended(let reason): "ended \(reason)"
    }
  }

  /// Lets the time pass, in steps of 100 ms, until `done` holds.
  func pass(until done: () -> Bool) async throws {
    var rounds = 0
    while !done() {
      rounds += 1
      try #require(rounds < 1_200, "two minutes have passed; told \(events)")
      for _ in 0..<5 { tick() }
      await settle()
    }
  }

  func hasTold(_ event: String) -> Bool { told.contains { Self.event($0) == event } }

  /// The caller says this; see ``Rig/hear(_:)``.
  func hear(_ sound: [Int16]) async {
    for start in stride(from: 0, to: sound.count, by: 320) {
      let packet = sound[start..<min(sound.count, start + 320)]
      tick(Array(packet) + [Int16](repeating: 0, count: 320 - packet.count))
      if start % 8_000 == 0 { await settle() }
    }
    await settle()
  }

  /// The numbers of the words that the caller heard, without the pauses, each with how much of it.
  var heard: [(word: Int, samples: Int)] {
    var runs: [(word: Int, samples: Int)] = []
    var last: Int16 = 0
    for sample in media.line.current.heard {
      if sample != 0 {
        if sample == last { runs[runs.count - 1].samples += 1 } else { runs.append((Int(sample), 1)) }
      }
      last = sample
    }
    return runs
  }
}

/// A runtime that no call needs.
struct NoRuntime: RuntimeHop {
  func open(_ call: CallInfo, speech: any HopSink<RuntimeToSpeech>) -> any HopSink<SpeechToRuntime> {
    Inbox<SpeechToRuntime>()
  }
}

/// A voice whose every word is a tenth of a second of its number: `w7` sounds like 7.
struct CountingVoice: Synthesizer {
  let name = "counting"
  let voices = ["slt"]
  func synthesize(
    _ request: SynthesisRequest, chunk: (UnsafeBufferPointer<Int16>, [SpokenWord]) -> Bool
  ) throws(SynthesisError) {
    for (n, word) in request.text.split(separator: " ").enumerated() {
      let number = Int16(word.filter(\.isNumber)) ?? 30_000
      let sound = [Int16](repeating: number, count: FakeVoice.wordSamples)
      let spoken = SpokenWord(text: word.filter { $0 != "." }, endSample: (n + 1) * FakeVoice.wordSamples)
      guard sound.withUnsafeBufferPointer({ chunk($0, [spoken]) }) else { return }
    }
  }
}

/// Hears how loud somebody spoke: 1 to 4.
struct MarkRecognizer: Recognizer {
  let model = "mark"
  var complete = false
  func prepare(_ listen: ListenSpec) {}
  func recognize(_ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void) {
    let peak = request.segment.reduce(0) { max($0, abs(Int($1))) }
    let mark = Int((Double(peak) / 6_000).rounded())
    completion(
      .recognized(
        Recognition(transcript: mark == 0 ? "" : "said \(mark)", confidence: 0.9, complete: complete)))
  }

  /// What is heard as `said n`.
  static func speech(_ mark: Int, _ text: String = "i forgot my password") throws -> [Int16] {
    let sound = try Sounds.telephone(text)
    let peak = sound.reduce(1) { max($0, abs(Int($1))) }
    return sound.map { Int16(Int($0) * mark * 6_000 / peak) }
  }
}
