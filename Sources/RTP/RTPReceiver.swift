import Base

/// One leg's inbound half: checks a datagram, locks its source, follows its sequence, sorts audio from keypad events, and
/// feeds the jitter buffer that the playout pulls from.
public struct RTPReceiver: Sendable {
  public struct Configuration: Sendable {
    /// RTP clock of the audio formats in Hz: 8000 for G.711 and G.722, 48000 for Opus.
    public var clockRate: Int
    public var formats: PayloadFormats
    public var sourceMode: SourceLock.Mode
    /// The peer that SDP named.
    public var expectedPeer: RTPPeer?
    /// `media.jitter_buffer_ms`: the most delay the buffer may add, 20 to 500.
    public var maxDelayMs: Int

    public init(
      clockRate: Int = 8000, formats: PayloadFormats, sourceMode: SourceLock.Mode = .symmetric,
      expectedPeer: RTPPeer? = nil, maxDelayMs: Int = 60
    ) {
      self.clockRate = clockRate
      self.formats = formats
      self.sourceMode = sourceMode
      self.expectedPeer = expectedPeer
      self.maxDelayMs = maxDelayMs
    }
  }

  /// What became of a datagram.
  public enum Outcome: Sendable, Hashable {
    /// Audio or comfort noise, now in the buffer.
    case audio
    /// A keypad event packet; most of them change nothing.
    case event(TelephoneEventChanges)
    case rejected(RTPRejectReason)
  }

  /// Counts since the call began.
  public struct Statistics: Sendable, Hashable {
    /// Packets accepted.
    public var received: Int64 = 0
    /// RFC 3550 appendix A.3, over all restarts of the stream; never negative.
    public var lost: Int64 = 0
    /// RFC 3550 appendix A.8.
    public var jitterMs: Double = 0
    /// Dropped with a reason, the late and the duplicate included.
    public var rejected: Int64 = 0
    public var buffer = JitterBuffer.Statistics()

    public init() {}
  }

  public private(set) var lock: SourceLock
  public private(set) var buffer: JitterBuffer
  /// The current source; nil before the first accepted packet.
  public private(set) var ssrc: SSRC?
  /// When the last packet was accepted: what `media.reconnection_timeout` counts from.
  public private(set) var lastHeard: Instant?

  private var configuration: Configuration
  private var tracker = SequenceTracker(minSequential: 1)
  private var newSource: (ssrc: SSRC, sequence: UInt16)?
  private var jitter = InterarrivalJitter()
  private var events: TelephoneEventReceiver
  private var receivedBefore: Int64 = 0
  private var lostBefore: Int64 = 0
  private var rejected: Int64 = 0

  public init(_ configuration: Configuration) {
    self.configuration = configuration
    lock = SourceLock(mode: configuration.sourceMode, expected: configuration.expectedPeer)
    buffer = JitterBuffer(
      clockRate: configuration.clockRate, maxDelayMs: configuration.maxDelayMs)
    events = TelephoneEventReceiver(clockRate: configuration.clockRate)
  }

  /// Where to send: the peer as learned, else as SDP named it.
  public var remote: RTPPeer? { lock.remote }

  /// Takes one datagram of the media port. Reads `bytes` only during the call.
  public mutating func receive(
    _ bytes: UnsafeRawBufferPointer, from peer: RTPPeer, at now: Instant
  ) -> Outcome {
    do {
      return try accept(try RTPPacketView(bytes), from: peer, at: now)
    } catch {
      rejected += 1
      return .rejected(error)
    }
  }

  /// Gives one playout tick (20 ms) to `body`, as one or more segments whose samples sum up to exactly one tick.
  @discardableResult
  public mutating func pull(at now: Instant, _ body: (JitterBuffer.Segment) -> Void) -> JitterBuffer.Tick {
    buffer.pull(at: now, body)
  }

  /// When ``poll(at:)`` wants to be called, if nothing comes before: the end of a keypad event whose end was lost.
  public var deadline: Instant? { events.deadline }

  /// Ends a keypad event whose last packets did not come. Cheap: may be called on every tick.
  public mutating func poll(at now: Instant) -> TelephoneEventChanges { events.poll(at: now) }

  /// A new offer/answer exchange: other formats, perhaps another peer. What is buffered stays.
  public mutating func renegotiated(_ new: Configuration) {
    lock.renegotiated(expected: new.expectedPeer)
    if new.clockRate != configuration.clockRate {
      buffer = JitterBuffer(clockRate: new.clockRate, maxDelayMs: new.maxDelayMs)
      events = TelephoneEventReceiver(clockRate: new.clockRate)
    }
    configuration = new
  }

  public var statistics: Statistics {
    var out = Statistics()
    out.received = receivedBefore + tracker.received
    out.lost = lostBefore + max(0, tracker.lost)
    out.jitterMs = jitter.milliseconds(clockRate: configuration.clockRate)
    out.rejected = rejected
    out.buffer = buffer.statistics
    return out
  }

  /// The reception report block for our next RTCP packet; nil while nothing was received. Ends a reporting interval.
  public mutating func reportBlock() -> RTCPReportBlock? {
    guard let ssrc, tracker.received > 0 else { return nil }
    let total = max(-0x80_0000, min(0x7F_FFFF, tracker.lost))
    return RTCPReportBlock(
      ssrc: ssrc, fractionLost: tracker.fractionLost(), cumulativeLost: Int32(total),
      highestSequence: UInt32(truncatingIfNeeded: tracker.highestSequence),
      jitter: UInt32(clamping: jitter.timestampUnits))
  }

  private mutating func accept(
    _ packet: RTPPacketView, from peer: RTPPeer, at now: Instant
  ) throws(RTPRejectReason) -> Outcome {
    let kind = configuration.formats[packet.payloadType]
    // What was not negotiated cannot prove a source.
    guard kind != .unknown || peer == lock.locked else { throw .unknownPayloadType }
    switch lock.check(peer, ssrc: packet.ssrc, sequence: packet.sequence, at: now) {
    case .accepted: if packet.ssrc != ssrc { try prove(packet) }
    case .learned: break
    case .unproven: throw .unprovenSource
    case .foreign: throw .foreignSource
    }
    if packet.ssrc != ssrc { adopt(packet.ssrc) }

    let sequence: Int64
    switch tracker.receive(packet.sequence) {
    case .accepted(let extended): sequence = extended
    case .restarted(let extended):
      sequence = extended
      buffer.reset()
      jitter.restart()
    case .probation: throw .unprovenSource
    case .jump: throw .sequenceJump
    }
    lastHeard = now

    switch kind {
    case .telephoneEvent:
      try buffer.insertMarker(sequence: sequence, at: now)
      guard let changes = events.receive(packet, at: now) else { throw .badPayload }
      return .event(changes)
    case .comfortNoise:
      try buffer.insertComfortNoise(sequence: sequence, timestamp: packet.timestamp, at: now)
    case .unknown:
      try buffer.insertMarker(sequence: sequence, at: now)
      throw .unknownPayloadType
    case .mulaw, .alaw, .octets, .frame:
      jitter.receive(timestamp: packet.timestamp, clockRate: configuration.clockRate, at: now)
      try buffer.insert(packet, kind: kind, sequence: sequence, at: now)
    }
    return .audio
  }

  /// A new SSRC from the locked peer (a transfer, a restarted phone) is believed with its second packet in sequence. One
  /// from a peer just learned is believed at once, since the lock has already proven it.
  private mutating func prove(_ packet: RTPPacketView) throws(RTPRejectReason) {
    guard ssrc != nil else { return }
    guard let seen = newSource, seen.ssrc == packet.ssrc, packet.sequence == seen.sequence &+ 1 else {
      newSource = (packet.ssrc, packet.sequence)
      throw .unprovenSource
    }
  }

  private mutating func adopt(_ new: SSRC) {
    newSource = nil
    receivedBefore += tracker.received
    lostBefore += max(0, tracker.lost)
    tracker = SequenceTracker(minSequential: 1)
    jitter.restart()
    ssrc = new
  }
}
