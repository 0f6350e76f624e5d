import Audio
import Base
import CallLink
import RTP

/// One party's media, without sockets or a clock: packets in, 16 kHz audio and keys out; playbacks in, packets out.
///
/// Its owner gives it datagrams as they are read and one ``tick(at:ntp:)`` per 20 ms. Everything it needs per packet is
/// allocated when it is made. Confined to the call's event loop.
package final class Leg {
  package struct Configuration {
    package var format: LegFormat
    /// `media.rtp_symmetric`.
    package var symmetric = true
    /// `media.jitter_buffer_ms`.
    package var maxDelayMs = 60
    /// `media.packet_loss_concealment`.
    package var conceals = true
    /// `media.reconnection_timeout`.
    package var mediaTimeout: Duration = .seconds(30)

    package init(format: LegFormat) { self.format = format }
  }

  /// What the owner must tell others.
  package enum Event: Equatable {
    case digit(Digit, durationMs: Int)
    case playout(Playout.Event)
    case quality(MediaQuality)
    /// Nothing has come for the configured time although the call is not on hold. Told once.
    case mediaTimeout
  }

  /// Packets to be sent now; valid until the next call.
  package struct Output {
    package var audio: UnsafeRawBufferPointer?
    package var control: UnsafeRawBufferPointer?
  }

  package static let frameSamples = 160
  package static let wideFrameSamples = Playout.frameSamples
  /// Measurements are told this often.
  package static let qualityInterval: Duration = .seconds(5)
  /// Silent frames until the resampler's memory holds nothing but silence, so that it can rest.
  private static let restAfterFrames = 3

  package private(set) var receiver: RTPReceiver
  package private(set) var sender: RTPSender
  private var control: RTCPSession
  package var playout = Playout()
  package private(set) var format: LegFormat
  /// Filled by every call; the owner takes and empties it.
  package var events: [Event] = []
  /// Drops by reason since the leg began.
  package private(set) var rejected: [RTPRejectReason: Int] = [:]
  /// 16 kHz samples handed to the listener so far.
  package private(set) var position: Int64 = 0

  private let configuration: Configuration
  private let listener: (UnsafeBufferPointer<Int16>, Int64) -> Void
  private let upsampler: Resampler
  private let downsampler: Resampler
  private let concealer = LossConcealer()
  private let detector = DTMFDetector()
  private var tones: [Int16] = []
  private var tonesPlayed = 0
  private var quietIn = Leg.restAfterFrames
  private var quietOut = Leg.restAfterFrames
  private var lastActivity: Instant
  private var nextQuality: Instant
  private var isTimeoutTold = false
  private var learnedControl: RTPPeer?

  // One block for all frames and packets; see the offsets in `init`.
  private let memory: UnsafeMutableRawPointer
  private let narrow: UnsafeMutableBufferPointer<Int16>
  private let wide: UnsafeMutableBufferPointer<Int16>
  private let payload: UnsafeMutableRawBufferPointer
  private let packet: UnsafeMutableRawBufferPointer
  private let report: UnsafeMutableRawBufferPointer

  /// - Parameters:
  ///   - listener: gets 320 samples (20 ms at 16 kHz) with every tick, and the position of the first.
  package init(
    _ configuration: Configuration, random: inout SeededRandom, at now: Instant,
    listener: @escaping (UnsafeBufferPointer<Int16>, Int64) -> Void
  ) throws(AudioError) {
    upsampler = try Resampler(from: 8000, to: 16000)
    downsampler = try Resampler(from: 16000, to: 8000)
    self.configuration = configuration
    self.listener = listener
    format = configuration.format
    receiver = RTPReceiver(Self.receiving(configuration, configuration.format))
    sender = RTPSender(clockRate: 8000, using: &random)
    control = RTCPSession(ssrc: sender.ssrc, cname: random.token(16), clockRate: 8000, seed: random.next(), at: now)
    lastActivity = now
    nextQuality = now + Self.qualityInterval

    // Eight samples of room beyond a frame: what a resampler may give more in one call and less in the next.
    let narrowBytes = (Self.frameSamples + 8) * 2
    let wideBytes = (Self.wideFrameSamples + 8) * 2
    let packetBytes = RTPHeader.size + Self.frameSamples
    memory = .allocate(
      byteCount: narrowBytes + wideBytes + Self.frameSamples + packetBytes + RTCPSession.maxReportSize, alignment: 16)
    memory.initializeMemory(
      as: UInt8.self, repeating: 0,
      count: narrowBytes + wideBytes + Self.frameSamples + packetBytes + RTCPSession.maxReportSize)
    narrow = UnsafeMutableBufferPointer(
      start: memory.bindMemory(to: Int16.self, capacity: narrowBytes / 2), count: narrowBytes / 2)
    var next = memory + narrowBytes
    wide = UnsafeMutableBufferPointer(
      start: next.bindMemory(to: Int16.self, capacity: wideBytes / 2), count: wideBytes / 2)
    next += wideBytes
    payload = UnsafeMutableRawBufferPointer(start: next, count: Self.frameSamples)
    next += Self.frameSamples
    packet = UnsafeMutableRawBufferPointer(start: next, count: packetBytes)
    next += packetBytes
    report = UnsafeMutableRawBufferPointer(start: next, count: RTCPSession.maxReportSize)
    events.reserveCapacity(16)
  }

  deinit { memory.deallocate() }

  private static func receiving(_ configuration: Configuration, _ format: LegFormat) -> RTPReceiver.Configuration {
    RTPReceiver.Configuration(
      clockRate: 8000, formats: format.formats, sourceMode: configuration.symmetric ? .symmetric : .strict,
      expectedPeer: format.remote, maxDelayMs: configuration.maxDelayMs)
  }

  /// Where audio is sent: where the peer's comes from, else where its SDP says. nil: nowhere yet.
  package var remote: RTPPeer? { receiver.remote }
  /// Where control packets are sent.
  package var remoteControl: RTPPeer? { format.sharesPort ? remote : learnedControl ?? format.remoteControl }

  // MARK: In

  /// A datagram of the audio port. Read only during the call.
  package func receive(_ bytes: UnsafeRawBufferPointer, from peer: RTPPeer, at arrival: Instant, ntp: () -> UInt64) {
    if format.sharesPort, RTCPPacket.looksLikeControl(bytes) {
      return receiveControl(bytes, from: peer, at: arrival, ntp: ntp())
    }
    switch receiver.receive(bytes, from: peer, at: arrival) {
    case .audio:
      lastActivity = arrival
    case .event(let changes):
      lastActivity = arrival
      report(changes)
    case .rejected(let reason):
      rejected[reason, default: 0] += 1
    }
  }

  /// A datagram of the control port.
  package func receiveControl(_ bytes: UnsafeRawBufferPointer, from peer: RTPPeer, at arrival: Instant, ntp: UInt64) {
    guard receiver.lock.admitsControl(from: peer) else {
      rejected[.foreignSource, default: 0] += 1
      return
    }
    if case .rejected = control.receive(bytes, ntp: ntp, at: arrival) {
      rejected[.controlPacket, default: 0] += 1
    } else {
      learnedControl = peer
    }
  }

  /// Counts a datagram that was too long to be read whole.
  package func rejectTruncated() { rejected[.badPayload, default: 0] += 1 }

  /// A new offer/answer exchange.
  package func renegotiate(_ new: LegFormat, at now: Instant) {
    if new.remote != format.remote { learnedControl = nil }
    format = new
    receiver.renegotiated(Self.receiving(configuration, new))
    lastActivity = now
  }

  // MARK: Out

  /// Queues keys: as events where the peer takes them, as tones where it does not.
  package func sendDigits(_ digits: String, durationMs: Int) {
    if format.telephoneEvent != nil {
      sender.sendKeys(digits, durationMs: durationMs)
    } else {
      tones += ToneGenerator.digits(
        String(digits.prefix(TelephoneEventSender.maxQueued)), sampleRate: 8000,
        durationMs: min(max(durationMs, 40), 8000))
    }
  }

  /// One step of 20 ms: hands the caller's audio to the listener and makes the packets that are due.
  /// - Parameter ntp: the wall clock, 32.32 seconds since 1900; asked only when a report is due.
  package func tick(at now: Instant, ntp: () -> UInt64) -> Output {
    hear(now)
    var output = Output()
    if format.sends {
      let size = speak()
      if size > 0 { output.audio = UnsafeRawBufferPointer(rebasing: packet[..<size]) }
    } else {
      sender.skip(samples: Self.frameSamples)
    }
    if let due = control.deadline, due <= now {
      let size = control.report(sender: sender, receiver: &receiver, ntp: ntp(), at: now, into: report)
      if size > 0 { output.control = UnsafeRawBufferPointer(rebasing: report[..<size]) }
    }
    if let due = receiver.deadline, due <= now { report(receiver.poll(at: now)) }
    if now >= nextQuality {
      nextQuality = now + Self.qualityInterval
      events.append(.quality(quality))
    }
    if !format.sends || !format.receives {
      lastActivity = now
    } else if !isTimeoutTold, now - lastActivity > configuration.mediaTimeout {
      isTimeoutTold = true
      events.append(.mediaTimeout)
    }
    return output
  }

  /// Time passed without ticks: the stream's timestamps go on with the clock, so that the peer hears a gap and not a delay that
  /// stays for the rest of the call.
  package func skip(ticks: Int) { sender.skip(samples: ticks * Self.frameSamples) }

  /// The last control packet: a report and BYE.
  package func goodbye(at now: Instant, ntp: UInt64) -> UnsafeRawBufferPointer? {
    let size = control.bye(sender: sender, receiver: &receiver, ntp: ntp, at: now, into: report)
    return size > 0 ? UnsafeRawBufferPointer(rebasing: report[..<size]) : nil
  }

  /// Measurements since the leg began.
  package var quality: MediaQuality {
    let statistics = receiver.statistics
    return MediaQuality(
      packetsReceived: Int(statistics.received), packetsLost: Int(statistics.lost), jitterMs: statistics.jitterMs,
      packetsRejected: rejected.values.reduce(0, +), underruns: statistics.buffer.underruns + playout.underruns)
  }

  /// How the peer's audio has arrived so far.
  package var meanOpinionScore: Double { receiver.meanOpinionScore(roundTripMs: control.roundTripMs) }

  // MARK: Steps

  private func hear(_ now: Instant) {
    var filled = 0
    var heard = false
    receiver.pull(at: now) { segment in
      switch segment {
      case .audio(let kind, let octets):
        let part = room(filled, octets.count)
        G711.decode(octets, into: part, law: kind == .alaw ? .alaw : .ulaw)
        if configuration.conceals { concealer.received(part) }
        filled += part.count
        heard = true
      case .conceal(let samples):
        let part = room(filled, samples)
        if configuration.conceals { concealer.conceal(into: part) } else { part.update(repeating: 0) }
        filled += part.count
        heard = true
      case .silence(let samples), .frame(_, let samples):
        let part = room(filled, samples)
        part.update(repeating: 0)
        if configuration.conceals, quietIn == 0 { concealer.received(part) }
        filled += part.count
      }
    }
    if filled < Self.frameSamples { room(filled, Self.frameSamples - filled).update(repeating: 0) }
    quietIn = heard ? 0 : min(quietIn + 1, Self.restAfterFrames)

    let frame = UnsafeBufferPointer(rebasing: narrow[..<Self.frameSamples])
    if format.telephoneEvent == nil, quietIn < Self.restAfterFrames {
      for event in detector.process(frame) {
        if case .released(let digit, let durationMs) = event { events.append(.digit(digit, durationMs: durationMs)) }
      }
    }
    var produced = Self.wideFrameSamples
    if quietIn < Self.restAfterFrames {
      produced = upsampler.process(frame, into: wide).produced
    } else {
      wide.update(repeating: 0)
    }
    listener(UnsafeBufferPointer(rebasing: wide[..<produced]), position)
    position += Int64(produced)
  }

  private func room(_ start: Int, _ count: Int) -> UnsafeMutableBufferPointer<Int16> {
    let end = min(start + count, Self.frameSamples)
    return UnsafeMutableBufferPointer(rebasing: narrow[min(start, end)..<end])
  }

  private func speak() -> Int {
    if sender.isSendingKeys, let type = format.telephoneEvent {
      return sender.writeKey(payloadType: type, into: packet)
    }
    let frame: UnsafeBufferPointer<Int16>
    if tonesPlayed < tones.count {
      frame = nextTones()
      quietOut = 0
    } else {
      let said = playout.fill(UnsafeMutableBufferPointer(rebasing: wide[..<Self.wideFrameSamples]))
      for event in playout.events { events.append(.playout(event)) }
      playout.events.removeAll(keepingCapacity: true)
      quietOut = said > 0 ? 0 : min(quietOut + 1, Self.restAfterFrames)
      if quietOut >= Self.restAfterFrames {
        // Silence keeps the path through the peer's NAT open and shows that the line is not dead.
        for i in 0..<Self.frameSamples { payload[i] = format.law.silence }
        return writePayload()
      }
      let source = UnsafeBufferPointer(rebasing: wide[..<Self.wideFrameSamples])
      let produced = downsampler.process(source, into: narrow).produced
      if produced < Self.frameSamples { room(produced, Self.frameSamples - produced).update(repeating: 0) }
      frame = UnsafeBufferPointer(rebasing: narrow[..<Self.frameSamples])
    }
    G711.encode(frame, into: payload, law: format.law)
    return writePayload()
  }

  private func writePayload() -> Int {
    sender.writeAudio(
      UnsafeRawBufferPointer(payload), payloadType: format.payloadType, samples: Self.frameSamples, into: packet)
  }

  private func nextTones() -> UnsafeBufferPointer<Int16> {
    let count = min(Self.frameSamples, tones.count - tonesPlayed)
    for i in 0..<Self.frameSamples { narrow[i] = i < count ? tones[tonesPlayed + i] : 0 }
    tonesPlayed += count
    if tonesPlayed == tones.count {
      tones.removeAll()
      tonesPlayed = 0
    }
    return UnsafeBufferPointer(rebasing: narrow[..<Self.frameSamples])
  }

  private func report(_ changes: TelephoneEventChanges) {
    changes.forEach { change in
      if case .ended(let key, let durationMs) = change {
        events.append(.digit(key.character, durationMs: durationMs))
      }
    }
  }
}
