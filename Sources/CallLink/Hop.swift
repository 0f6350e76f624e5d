import Base

/// One message of a hop, numbered per call and direction from 1 without gaps, so that a hop that is re-opened can say what
/// it has already seen.
public struct Numbered<Message: Sendable>: Sendable {
  public var sequence: UInt64
  public var message: Message
  public init(_ sequence: UInt64, _ message: Message) {
    self.sequence = sequence
    self.message = message
  }
}

extension Numbered: Equatable where Message: Equatable {}
extension Numbered: Hashable where Message: Hashable {}

/// One direction of one call's hop. `send` never blocks and keeps the order; what it hands over is handled later, on the
/// receiver's own executor.
public protocol HopSink<Message>: Sendable {
  associatedtype Message: Sendable
  func send(_ message: Numbered<Message>)
}

/// Numbers and sends one direction of a hop. Confined to its owner's executor.
public struct HopSender<Message: Sendable> {
  private let sink: any HopSink<Message>
  /// The number of the last message.
  public private(set) var sequence: UInt64

  /// - Parameter sequence: the number of the last message that a predecessor sent.
  public init(_ sink: any HopSink<Message>, after sequence: UInt64 = 0) {
    self.sink = sink
    self.sequence = sequence
  }

  public mutating func send(_ message: Message) {
    sequence += 1
    sink.send(Numbered(sequence, message))
  }
}

/// A sink made of a closure: how a receiver in the same process hands out its mailbox.
public struct ClosureSink<Message: Sendable>: HopSink {
  private let body: @Sendable (Numbered<Message>) -> Void
  public init(_ body: @escaping @Sendable (Numbered<Message>) -> Void) { self.body = body }
  public func send(_ message: Numbered<Message>) { body(message) }
}

// MARK: media -> speech

/// The speech role as the media role sees it.
public protocol SpeechHop: Sendable {
  /// Opens the stream of one call. Called on the call's event loop; returns at once.
  func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide
}

/// What the media role may tell the speech role about one call.
public protocol SpeechSide: HopSink<MediaToSpeech> {
  /// The caller's voice: mono PCM, 16 kHz, 16 bit, normally 320 samples (20 ms), valid only during the call.
  /// - Parameter position: samples of audio since the call's media started, the first sample of `pcm`; what was lost on the
  ///   way has been concealed, so positions have no gaps.
  func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64)
}

/// What the speech role may tell the media role about one call.
public protocol MediaSide: HopSink<SpeechToMedia> {
  /// Appends the voice's PCM (mono, 16 kHz, 16 bit, any count) to `playback`, after a ``SpeechToMedia/play(_:)`` for it.
  /// Returns the samples taken; the rest must be offered again after the next ``MediaToSpeech/playoutProgress``.
  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int
}

// MARK: speech -> runtime -> integration

/// The runtime role as the speech role sees it.
public protocol RuntimeHop: Sendable {
  /// Opens the session of one call; what the runtime wants done comes back through `speech`.
  func open(_ call: CallInfo, speech: any HopSink<RuntimeToSpeech>) -> any HopSink<SpeechToRuntime>
}

/// The integration role as the runtime role sees it: asks the customer's backend in the middle of a call.
public protocol IntegrationHop: Sendable {
  /// Performs the hook with the service's retries, rate limit and timeout; returns an outcome, never throws.
  func perform(_ request: HookRequest) async -> HookOutcome

  /// The services that are told of this moment of every call, by name.
  func services(toldOf moment: CallMoment) -> [CallMomentService]
}

extension IntegrationHop {
  public func services(toldOf moment: CallMoment) -> [CallMomentService] { [] }
}
