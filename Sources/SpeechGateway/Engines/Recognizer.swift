import Base
import CallLink

/// One endpointed piece of the caller's speech, to be turned into words.
public struct RecognitionRequest: Sendable {
  /// Mono, 16 kHz, with 100 to 200 ms of silence on each side.
  public var segment: [Int16]
  /// What is expected.
  public var listen: ListenSpec
  /// Whether anybody still waits for the words, asked when a decoder becomes free: a caller who goes on has made the guess
  /// about what came before worthless.
  public var isWanted: @Sendable () -> Bool
  /// The caller still speaks: only worth the effort while nothing else is to be recognised, and not worth a search for free
  /// speech.
  public var isPartial: Bool

  public init(
    segment: [Int16], listen: ListenSpec, isPartial: Bool = false,
    isWanted: @escaping @Sendable () -> Bool = { true }
  ) {
    self.segment = segment
    self.listen = listen
    self.isPartial = isPartial
    self.isWanted = isWanted
  }
}

/// What an engine made of a ``RecognitionRequest``.
public struct Recognition: Sendable, Hashable {
  /// Lower case words; empty where the speech fits nothing that is expected.
  public var transcript: String
  /// 0 to 1, calibrated per engine.
  public var confidence: Double
  /// Whether the words are a whole phrase of the search, so that the turn may end without waiting for more.
  public var complete: Bool

  public init(transcript: String, confidence: Double, complete: Bool) {
    self.transcript = transcript
    self.confidence = confidence
    self.complete = complete
  }
}

/// How a recognition ended.
public enum RecognitionOutcome: Sendable {
  case recognized(Recognition)
  /// All decoders are busy and the queue is full.
  case overflow
  /// Nobody wanted it any more when its turn came, or it was a partial one and other work was waiting.
  case dropped
  /// The engine failed; a sentence for the log.
  case failed(String)
}

/// A speech recogniser: PocketSphinx here, others behind the same door.
public protocol Recognizer: Sendable {
  /// The `model` label of metrics and results.
  var model: String { get }
  /// Says that `listen` will be needed soon, so that its search can be made ready. Returns at once.
  func prepare(_ listen: ListenSpec)
  /// Recognises in the background and calls `completion` exactly once, on any thread. Never blocks.
  func recognize(_ request: RecognitionRequest, completion: @escaping @Sendable (RecognitionOutcome) -> Void)
}
