import Base

/// Reorders packets and delays them just enough that they are there when the playout asks: an adaptive buffer whose target
/// is a percentile of the delays that were seen, never more than the owner allows. Fed packet by packet, emptied one tick at
/// a time.
public struct JitterBuffer: Sendable {
  /// A piece of one tick, in the order it is to be played. Every case says how many samples (of the RTP clock) it covers.
  public enum Segment {
    /// Octets of one packet; one per sample. Valid only during the call that hands them out.
    case audio(PayloadKind, UnsafeRawBufferPointer)
    /// A whole packet of a ``PayloadKind/frame`` format. The owner decodes it and keeps what exceeds the tick.
    case frame(UnsafeRawBufferPointer, samples: Int)
    /// A packet is missing: conceal.
    case conceal(samples: Int)
    /// Nothing is to be heard: before the first packet, in a sender's pause, during a key press, or long after the last.
    case silence(samples: Int)
  }

  /// What one tick did to the timeline.
  public struct Tick: Sendable, Hashable {
    /// Samples skipped because the delay was higher than needed (or allowed).
    public var dropped = 0
    /// Samples inserted because the delay was lower than needed.
    public var stretched = 0
    /// Nothing was there although something was expected.
    public var underrun = false
  }

  /// Counts since the call began.
  public struct Statistics: Sendable, Hashable {
    /// Packets that came after their place had passed.
    public var late = 0
    public var duplicates = 0
    /// Packets that found no place.
    public var overflows = 0
    /// Ticks for which audio was expected and none had come.
    public var underruns = 0
    public var concealedSamples = 0
    public var droppedSamples = 0
    public var stretchedSamples = 0
    /// Times the timeline began anew.
    public var resets = 0
    /// The delay the buffer wants to add, and the one it adds now.
    public var targetDelayMs = 0
    public var delayMs = 0
  }

  /// The playout's step.
  public static let tickMs = 20
  /// Longest payload taken: 60 ms of G.711, and any sane Opus packet.
  public static let maxPayload = 480

  public private(set) var statistics = Statistics()
  private let clockRate: Int
  private let maxDelayMs: Int

  public init(clockRate: Int = 8000, maxDelayMs: Int = 60) {
    self.clockRate = clockRate
    self.maxDelayMs = maxDelayMs
  }

  /// Takes an audio packet. `sequence` is the extended one of ``SequenceTracker``. Throws `late`, `duplicate`, `overflow`
  /// or `bad_payload` for a packet that is not kept.
  public mutating func insert(
    _ packet: RTPPacketView, kind: PayloadKind, sequence: Int64, at now: Instant
  ) throws(RTPRejectReason) {
  }

  /// Notes a packet of the same sequence that carries no audio (a keypad event), so that its number is not missed.
  public mutating func insertMarker(sequence: Int64, at now: Instant) throws(RTPRejectReason) {
  }

  /// Notes comfort noise: the sender pauses from `timestamp` on.
  public mutating func insertComfortNoise(sequence: Int64, timestamp: UInt32, at now: Instant) throws(RTPRejectReason) {
  }

  /// Plays one tick: calls `body` with segments whose samples sum up to exactly one tick.
  @discardableResult
  public mutating func pull(at now: Instant, _ body: (Segment) -> Void) -> Tick {
    body(.silence(samples: clockRate * Self.tickMs / 1000))
    return Tick()
  }

  /// Forgets the timeline: another source, or the same one restarted.
  public mutating func reset() {
  }
}
