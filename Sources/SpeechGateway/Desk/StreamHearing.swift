import Audio
import CallLink
import NIOConcurrencyHelpers
import Turns

/// A stream of sound on its way to words, in steps, so that streams take turns: a second of sound, or one stretch of speech that is
/// over. What is over is decoded as a recording's stretches are; while it goes on, a decoder of its own looks at it.
final class StreamHearing: SpeechStreamInlet {
  /// Sound that may wait to be heard: whoever writes more waits. Enough for a client that sends by fits and starts.
  private static let roomSeconds = 10
  /// What a command counts for in the room: a tenth of a second of sound.
  private static let commandShare = 10
  /// Results that may wait for the client: five minutes of speech.
  static let eventLimit = 1024
  /// Speech between two looks: nine frames, 288 ms.
  private static let lookSamples = 9 * VoiceDetector.frameSamples
  /// Samples kept while nobody speaks: pre-roll and what the detector needs to make up its mind.
  private static let idleHistory = 24_000

  private enum Item {
    case prepare
    case sound([UInt8])
    case finalize
    case finish(SpeechDeskError?)
  }

  /// What is told next, in order.
  private enum Due {
    case words(Segment, [Int16], hadPartials: Bool)
    case finalized
    case end(SpeechDeskError?)
  }

  private struct Inbox {
    var items: [Item] = []
    /// Bytes of sound in `items`, with what commands count for, and all that ever came.
    var waiting = 0
    var taken = 0
    /// Whether it is in the queue, or being worked on.
    var isQueued = false
    /// Nothing more is taken.
    var isClosed = false
    var writer: CheckedContinuation<Void, Never>?
  }

  private struct State {
    var reader: SoundReader
    var ears: DeskEars
    /// Samples that do not fill a frame yet.
    var rest: [Int16] = []
    var history = AudioHistory()
    var due: [Due] = []
    var onlooker: SphinxDecoder?
    var look: Look?
  }

  /// The stretch of speech that goes on, as its onlooker sees it.
  private struct Look {
    var onset: Int64
    var samples = 0
    var looked = 0
    var told = ""
  }

  typealias Events = AsyncThrowingStream<SpeechStreamEvent, any Error>.Continuation

  private let inbox = NIOLockedValueBox(Inbox())
  // Only `step` and `close` touch it, and the queue gives a stream to one thread at a time.
  private nonisolated(unsafe) var state: State
  private let grammar: SearchGrammar?
  private let onlookers: Onlookers?
  private let bytesPerSecond: Int
  private let maxBytes: Int
  private let tooLong: SpeechDeskError
  private let events: Events
  private let isCancelled = DeskFlag()
  private let queue: DeskQueue<StreamHearing>
  private let end: DeskEnd

  /// - Parameter onlookers: nil: no partial results.
  init(
    _ reader: SoundReader, ears: DeskEars, grammar: SearchGrammar?, onlookers: Onlookers?, maxSeconds: Int,
    events: Events, queue: DeskQueue<StreamHearing>, end: @escaping DeskEnd
  ) {
    state = State(reader: reader, ears: ears)
    bytesPerSecond = reader.bytesPerSecond
    maxBytes = maxSeconds * bytesPerSecond
    tooLong = SpeechDeskError(.tooLong, "a stream has at most \(maxSeconds) seconds of sound")
    self.grammar = grammar
    self.onlookers = onlookers
    self.events = events
    self.queue = queue
    self.end = end
  }

  // MARK: What comes in

  /// Loads the models while the client gets ready.
  func prepare() { take { $0.items.append(.prepare) } }

  func write(_ bytes: [UInt8]) async {
    take { inbox in
      guard !inbox.isClosed, !bytes.isEmpty else { return }
      inbox.taken += bytes.count
      guard inbox.taken <= maxBytes else {
        inbox.isClosed = true
        inbox.items.append(.finish(tooLong))
        return
      }
      inbox.waiting += bytes.count
      if case .sound(let before)? = inbox.items.last, before.count + bytes.count <= bytesPerSecond {
        inbox.items[inbox.items.count - 1] = .sound(before + bytes)
      } else {
        for start in stride(from: 0, to: bytes.count, by: bytesPerSecond) {
          inbox.items.append(.sound(Array(bytes[start..<min(bytes.count, start + bytesPerSecond)])))
        }
      }
    }
    await waitForRoom()
  }

  func finalize() async {
    take { inbox in
      guard !inbox.isClosed else { return }
      inbox.waiting += bytesPerSecond / Self.commandShare
      inbox.items.append(.finalize)
    }
    await waitForRoom()
  }

  private func waitForRoom() async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let isFree = inbox.withLockedValue { inbox in
        if inbox.isClosed || hasRoom(inbox) { return true }
        inbox.writer = continuation
        return false
      }
      if isFree { continuation.resume() }
    }
  }

  func finish() {
    take { inbox in
      guard !inbox.isClosed else { return }
      inbox.isClosed = true
      inbox.items.append(.finish(nil))
    }
  }

  /// Nobody wants it any more.
  func cancel() {
    isCancelled.raise()
    take { $0.isClosed = true }
  }

  private func hasRoom(_ inbox: Inbox) -> Bool { inbox.waiting <= Self.roomSeconds * bytesPerSecond }

  private func take(_ change: (inout Inbox) -> Void) {
    let isNew = inbox.withLockedValue { inbox in
      change(&inbox)
      defer { inbox.isQueued = true }
      return !inbox.isQueued
    }
    if isNew { queue.submit(self) }
  }

  // MARK: Steps

  /// Does a bit of it; false: there is nothing to do now, or never again.
  func step(_ recognizer: SphinxDeskRecognizer) -> Bool {
    guard !isCancelled.isRaised else { return close(nil) }
    do throws(SpeechDeskError) {
      // What is over is told before anything new is heard.
      if !state.due.isEmpty { return try tell(state.due.removeFirst(), recognizer) }
      guard let item = next() else { return false }
      switch item {
      case .prepare: try prepare(recognizer)
      case .sound(let bytes): try listen(state.reader.read(bytes))
      case .finalize:
        try hearOut()
        state.due.append(.finalized)
      case .finish(let error):
        try hearOut()
        state.due.append(.end(error))
      }
      return true
    } catch {
      return close(error)
    }
  }

  func fail(_ error: SpeechDeskError) { _ = close(error) }

  private func next() -> Item? {
    let (item, writer) = inbox.withLockedValue { inbox -> (Item?, CheckedContinuation<Void, Never>?) in
      guard !inbox.items.isEmpty else {
        inbox.isQueued = false
        return (nil, nil)
      }
      let item = inbox.items.removeFirst()
      switch item {
      case .sound(let bytes): inbox.waiting -= bytes.count
      case .finalize: inbox.waiting -= bytesPerSecond / Self.commandShare
      case .prepare, .finish: break
      }
      guard hasRoom(inbox) else { return (item, nil) }
      defer { inbox.writer = nil }
      return (item, inbox.writer)
    }
    writer?.resume()
    return item
  }

  private func close(_ error: SpeechDeskError?) -> Bool {
    if let onlooker = state.onlooker {
      if state.look != nil { onlooker.abandon() }
      if grammar == nil { onlookers?.give(onlooker) }
    }
    state.onlooker = nil
    // It stays queued for ever, so that nobody works on it again.
    let writer = inbox.withLockedValue { inbox in
      inbox.isClosed = true
      inbox.items = []
      defer { inbox.writer = nil }
      return inbox.writer
    }
    writer?.resume()
    // Counted before the client learns of it.
    end(SpeechRequestOutcome(error, isCancelled: isCancelled.isRaised), Double(state.ears.position) / 16_000)
    events.finish(throwing: error)
    return false
  }

  private func prepare(_ recognizer: SphinxDeskRecognizer) throws(SpeechDeskError) {
    guard let onlookers else { return }
    if grammar == nil, let free = onlookers.take() {
      state.onlooker = free
      return
    }
    do { state.onlooker = try recognizer.onlooker(phrases: grammar) } catch {
      throw SpeechDeskError(.unavailable, error.message)
    }
  }

  // MARK: Hearing

  private func listen(_ samples: [Int16]) throws(SpeechDeskError) {
    state.rest += samples
    var at = 0
    while state.rest.count - at >= VoiceDetector.frameSamples {
      try hear(state.rest[at..<at + VoiceDetector.frameSamples])
      at += VoiceDetector.frameSamples
    }
    state.rest.removeFirst(at)
  }

  /// Ends what goes on.
  private func hearOut() throws(SpeechDeskError) {
    if !state.rest.isEmpty { try hear(state.rest[...]) }
    state.rest = []
    try heed(state.ears.finish())
  }

  private func hear(_ frame: ArraySlice<Int16>) throws(SpeechDeskError) {
    frame.withUnsafeBufferPointer { state.history.append($0) }
    // A stretch that begins with this frame gives its onlooker all of its sound at once.
    let wasLooking = state.look != nil
    try heed(state.ears.hear(frame))
    if wasLooking { try look(at: frame) }
    if !state.ears.isHearingSpeech { state.history.trim(keeping: Self.idleHistory) }
  }

  private func heed(_ heard: [DeskEars.Heard]) throws(SpeechDeskError) {
    for heard in heard {
      switch heard {
      case .began(let onset, let start):
        guard let onlooker = state.onlooker, onlooker.begin() else { continue }
        state.look = Look(onset: onset)
        try look(at: state.history.samples(start, state.history.end)[...])
      case .ended(let segment):
        if state.look != nil { state.onlooker?.abandon() }
        let samples = state.history.samples(segment.start, segment.end)
        state.due.append(.words(segment, samples, hadPartials: state.look?.told.isEmpty == false))
        state.look = nil
        state.history.trim(before: segment.end)
      }
    }
  }

  private func look(at samples: ArraySlice<Int16>) throws(SpeechDeskError) {
    guard var look = state.look, let onlooker = state.onlooker else { return }
    defer { state.look = look }
    samples.withUnsafeBufferPointer { onlooker.hear($0) }
    look.samples += samples.count
    guard look.samples - look.looked >= Self.lookSamples else { return }
    look.looked = look.samples
    guard let heard = onlooker.look(at: look.samples), !heard.words.isEmpty else { return }
    if let grammar, grammar.confidence(heard) == nil { return }
    let text = heard.words.map(\.text).joined(separator: " ")
    guard text != look.told else { return }
    look.told = text
    try hand(.partial(text: text, startMs: Int(look.onset / 16), endMs: Int(state.ears.position / 16)))
  }

  // MARK: Telling

  private func hand(_ event: SpeechStreamEvent) throws(SpeechDeskError) {
    if case .dropped = events.yield(event) { throw SpeechDeskError(.tooSlow, "what is heard is not taken") }
  }

  private func tell(_ due: Due, _ recognizer: SphinxDeskRecognizer) throws(SpeechDeskError) -> Bool {
    switch due {
    case .words(let segment, let samples, let hadPartials):
      let heard: DeskHearing
      do { heard = try recognizer.hear(samples[...], phrases: grammar) } catch {
        throw SpeechDeskError(.unavailable, error.message)
      }
      // Who was shown words that come to nothing is told so.
      if !heard.words.isEmpty || hadPartials { try hand(.final(heard.segment(segment))) }
    case .finalized: try hand(.finalized(atMs: Int(state.ears.position / 16)))
    case .end(let error):
      if error == nil { try hand(.done(durationMs: Int(state.ears.position / 16))) }
      return close(error)
    }
    return true
  }
}

/// Decoders of closed streams, for those that come: making one takes 0.3 s. At most as many as were ever needed at once.
final class Onlookers: Sendable {
  /// A decoder belongs to nobody while it is here, and to one stream otherwise.
  private struct Spare: @unchecked Sendable { let decoder: SphinxDecoder }

  private let spare = NIOLockedValueBox<[Spare]>([])

  func take() -> SphinxDecoder? { spare.withLockedValue { $0.popLast() }?.decoder }
  func give(_ decoder: SphinxDecoder) { spare.withLockedValue { $0.append(Spare(decoder: decoder)) } }
}
