import Base
import CallLink
import NIOConcurrencyHelpers
import Synchronization

/// One call as media and runtime see it: a mailbox in front of the call's ``CallPipeline``, which runs on the speech
/// workers, never on two at once.
final class CallSpeech: KeptSpeechSide {
  /// Two seconds: what a worker may be late before the caller's voice is lost.
  private static let ringSamples = 32_768
  /// Frames heard in one go before other calls get their turn.
  private static let framesPerTurn = 32

  /// What arrives from anywhere but the caller's voice.
  enum Input: Sendable {
    /// `heard`: samples of the caller's voice that had come before it.
    case media(Numbered<MediaToSpeech>, heard: Int64, at: Instant)
    case runtime(Numbered<RuntimeToSpeech>, at: Instant)
    case recognized(RecognitionTicket, RecognitionOutcome, at: Instant)
    /// Of the caller's turn so far.
    case partial(turn: Int, RecognitionOutcome, since: Instant, at: Instant)
    case piece(PlaybackID, PieceEvent, at: Instant)
    /// Another media process has the line.
    case lineReplaced(at: Instant)
  }

  private struct Mailbox {
    var inputs: [Input] = []
    var isClosed = false
  }

  private let ear: Ear
  private let mailbox = NIOLockedValueBox(Mailbox())
  /// Samples the media role has delivered. Written by the call's event loop only.
  private let delivered = Atomic<Int64>(0)
  /// See ``KeptSpeechSide/heardFrom``.
  private let wantedFrom = Atomic<Int64>(0)
  /// Closed when another process has the call.
  let gate = CallGate()
  /// 0 idle, 1 waiting for a worker or running, 2 running and to run again. Busy until `start`.
  private let activity = Atomic<Int>(1)
  private let now: @Sendable () -> Instant
  private let schedule: @Sendable (CallSpeech) -> Void
  /// Where the caller's voice waits for a worker.
  private enum Ear: Sendable {
    /// Of a call that lives and dies with this process.
    case ring(SampleRing)
    case kept(NIOLockedValueBox<CallerVoice>)
  }

  // Used only inside `run`, which `activity` keeps to one thread at a time, each run happening after the one before.
  private nonisolated(unsafe) var pipeline: CallPipeline?
  // Whether the pipeline has taken up what a predecessor left; only `run` looks at it, as above.
  private nonisolated(unsafe) var hasBegun = false
  private nonisolated(unsafe) let frame: UnsafeMutableBufferPointer<Int16>

  /// - Parameter heardFrom: where the voice of a kept call is wanted from; nil: the call is not kept.
  init(
    heardFrom: Int64? = nil, now: @escaping @Sendable () -> Instant,
    schedule: @escaping @Sendable (CallSpeech) -> Void
  ) {
    self.now = now
    self.schedule = schedule
    wantedFrom.store(heardFrom ?? 0, ordering: .relaxed)
    delivered.store(heardFrom ?? 0, ordering: .relaxed)
    if let heardFrom {
      ear = .kept(NIOLockedValueBox(CallerVoice(from: heardFrom)))
    } else {
      ear = .ring(SampleRing(capacity: CallSpeech.ringSamples))
    }
    frame = .allocate(capacity: CallPipeline.frameSamples)
    frame.initialize(repeating: 0)
  }

  deinit { frame.deallocate() }

  /// Called once. What has arrived before waits until now.
  func start(_ pipeline: CallPipeline) {
    self.pipeline = pipeline
    schedule(self)
  }

  /// Samples of the caller's voice that have come so far.
  var deliveredSamples: Int64 { delivered.load(ordering: .relaxed) }

  /// Samples of the caller's voice lost so far.
  var droppedSamples: Int {
    switch ear {
    case .ring(let ring): ring.dropped
    case .kept(let voice): voice.withLockedValue { $0.dropped }
    }
  }

  // MARK: From media, on the call's event loop

  func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
    let waiting: Int
    switch ear {
    case .ring(let ring):
      ring.write(pcm)
      delivered.add(Int64(pcm.count), ordering: .relaxed)
      waiting = ring.count
    case .kept(let voice):
      guard !gate.isClosed else { return }
      waiting = voice.withLockedValue { voice in
        voice.write(pcm, position: position)
        delivered.store(voice.next, ordering: .relaxed)
        return voice.count
      }
    }
    if waiting >= CallPipeline.frameSamples { poke() }
  }

  func send(_ message: Numbered<MediaToSpeech>) {
    post(.media(message, heard: delivered.load(ordering: .relaxed), at: now()))
  }

  // MARK: A call whose state is kept

  var fromRuntime: any HopSink<RuntimeToSpeech> {
    ClosureSink { [weak self] message in
      guard let self else { return }
      post(.runtime(message, at: now()))
    }
  }

  var heardFrom: Int64 { wantedFrom.load(ordering: .acquiring) }
  func wantVoice(from position: Int64) { wantedFrom.store(position, ordering: .releasing) }

  func mediaReplaced() { post(.lineReplaced(at: now())) }

  func abandon() {
    gate.close()
    mailbox.withLockedValue { $0 = Mailbox(inputs: [], isClosed: true) }
    if case .kept(let voice) = ear { voice.withLockedValue { $0.clear() } }
    // A worker forgets the pipeline.
    poke()
  }

  // MARK: From anywhere

  func post(_ input: Input) {
    let isOpen = mailbox.withLockedValue { mailbox in
      if !mailbox.isClosed { mailbox.inputs.append(input) }
      return !mailbox.isClosed
    }
    if isOpen { poke() }
  }

  /// Whether the call goes on, so that work for it is worth doing.
  var isOpen: Bool { mailbox.withLockedValue { !$0.isClosed } }

  private func poke() {
    while true {
      if activity.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing).exchanged {
        schedule(self)
        return
      }
      let (exchanged, seen) = activity.compareExchange(expected: 1, desired: 2, ordering: .acquiringAndReleasing)
      if exchanged || seen == 2 { return }
    }
  }

  // MARK: On a speech worker

  /// Handles what has come, and some of the caller's voice.
  func run() {
    activity.store(1, ordering: .sequentiallyConsistent)
    if let pipeline {
      if !hasBegun {
        hasBegun = true
        pipeline.begin()
      }
      takeInputs(pipeline)
      var frames = 0
      while frames < Self.framesPerTurn, !gate.isClosed, hear(pipeline) {
        // A worker that catches up must not hear past the words of a decode that has ended meanwhile.
        takeInputs(pipeline)
        frames += 1
      }
      if gate.isClosed { pipeline.decodes.abandon() }
      if pipeline.isOver || gate.isClosed {
        self.pipeline = nil
        mailbox.withLockedValue { $0 = Mailbox(inputs: [], isClosed: true) }
      }
    }
    let hasMore = pipeline != nil && waiting >= frame.count
    if hasMore || !activity.compareExchange(expected: 1, desired: 0, ordering: .acquiringAndReleasing).exchanged {
      activity.store(1, ordering: .releasing)
      schedule(self)
    }
  }

  /// Samples of the caller's voice that no worker has heard.
  private var waiting: Int {
    switch ear {
    case .ring(let ring): ring.count
    case .kept(let voice): voice.withLockedValue { $0.count }
    }
  }

  /// - Returns: false where there is no whole frame.
  private func hear(_ pipeline: CallPipeline) -> Bool {
    switch ear {
    case .ring(let ring):
      guard ring.count >= frame.count else { return false }
      _ = ring.read(into: frame)
      pipeline.hear(UnsafeBufferPointer(frame))
    case .kept(let voice):
      guard let position = voice.withLockedValue({ $0.read(into: frame) }) else { return false }
      pipeline.hear(UnsafeBufferPointer(frame), at: position)
    }
    return true
  }

  private func takeInputs(_ pipeline: CallPipeline) {
    let inputs = mailbox.withLockedValue { mailbox in
      var inputs: [Input] = []
      swap(&inputs, &mailbox.inputs)
      return inputs
    }
    for input in inputs where !gate.isClosed { pipeline.receive(input) }
    if !gate.isClosed { pipeline.keepIfDue() }
  }
}

/// Which decode an outcome belongs to.
struct RecognitionTicket: Sendable, Hashable {
  /// Of the endpointer's segment.
  var revision: Int
  /// Counts the decodes of a call.
  var number: Int
}
