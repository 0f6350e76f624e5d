import Base
import CallLink
import NIOConcurrencyHelpers
import Synchronization

/// One call as media and runtime see it: a mailbox in front of the call's ``CallPipeline``, which runs on the speech
/// workers, never on two at once.
final class CallSpeech: SpeechSide {
  /// Two seconds: what a worker may be late before the caller's voice is lost.
  private static let ringSamples = 32_768
  /// Frames heard in one go before other calls get their turn.
  private static let framesPerTurn = 32

  /// What arrives from anywhere but the caller's voice.
  enum Input: Sendable {
    /// `heard`: samples of the caller's voice that had come before it.
    case media(MediaToSpeech, heard: Int64, at: Instant)
    case runtime(RuntimeToSpeech, at: Instant)
    case recognized(RecognitionTicket, RecognitionOutcome, at: Instant)
    /// Of the caller's turn so far.
    case partial(turn: Int, RecognitionOutcome, since: Instant, at: Instant)
    case piece(PlaybackID, PieceEvent, at: Instant)
  }

  private struct Mailbox {
    var inputs: [Input] = []
    var isClosed = false
  }

  private let ring = SampleRing(capacity: CallSpeech.ringSamples)
  private let mailbox = NIOLockedValueBox(Mailbox())
  /// Samples the media role has delivered. Written by the call's event loop only.
  private let delivered = Atomic<Int64>(0)
  /// 0 idle, 1 waiting for a worker or running, 2 running and to run again. Busy until `start`.
  private let activity = Atomic<Int>(1)
  private let now: @Sendable () -> Instant
  private let schedule: @Sendable (CallSpeech) -> Void

  // Used only inside `run`, which `activity` keeps to one thread at a time, each run happening after the one before.
  private nonisolated(unsafe) var pipeline: CallPipeline?
  private nonisolated(unsafe) let frame: UnsafeMutableBufferPointer<Int16>

  init(now: @escaping @Sendable () -> Instant, schedule: @escaping @Sendable (CallSpeech) -> Void) {
    self.now = now
    self.schedule = schedule
    frame = .allocate(capacity: CallPipeline.frameSamples)
    frame.initialize(repeating: 0)
  }

  deinit { frame.deallocate() }

  /// Called once. What has arrived before waits until now.
  func start(_ pipeline: CallPipeline) {
    self.pipeline = pipeline
    schedule(self)
  }

  /// Samples of the caller's voice lost so far.
  var droppedSamples: Int { ring.dropped }

  // MARK: From media, on the call's event loop

  func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
    ring.write(pcm)
    delivered.add(Int64(pcm.count), ordering: .relaxed)
    if ring.count >= CallPipeline.frameSamples { poke() }
  }

  func send(_ message: Numbered<MediaToSpeech>) {
    post(.media(message.message, heard: delivered.load(ordering: .relaxed), at: now()))
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
      takeInputs(pipeline)
      var frames = 0
      while frames < Self.framesPerTurn, ring.count >= frame.count {
        _ = ring.read(into: frame)
        pipeline.hear(UnsafeBufferPointer(frame))
        // A worker that catches up must not hear past the words of a decode that has ended meanwhile.
        takeInputs(pipeline)
        frames += 1
      }
      if pipeline.isOver {
        self.pipeline = nil
        mailbox.withLockedValue { $0 = Mailbox(inputs: [], isClosed: true) }
      }
    }
    let hasMore = pipeline != nil && ring.count >= frame.count
    if hasMore || !activity.compareExchange(expected: 1, desired: 0, ordering: .acquiringAndReleasing).exchanged {
      activity.store(1, ordering: .releasing)
      schedule(self)
    }
  }

  private func takeInputs(_ pipeline: CallPipeline) {
    let inputs = mailbox.withLockedValue { mailbox in
      var inputs: [Input] = []
      swap(&inputs, &mailbox.inputs)
      return inputs
    }
    for input in inputs { pipeline.receive(input) }
  }
}

/// Which decode an outcome belongs to.
struct RecognitionTicket: Sendable, Hashable {
  /// Of the endpointer's segment.
  var revision: Int
  /// Counts the decodes of a call.
  var number: Int
}
