import Base

/// Reorders packets and delays them just enough that they are there when the playout asks: an adaptive buffer whose target
/// is a percentile of the delays that were seen, never more than the owner allows. Fed packet by packet, emptied one tick at
/// a time.
///
/// The playout position (`cursor`) runs in the sender's timestamps. The delay that the buffer adds is how far it lags
/// behind the quickest packet's timeline; a packet is in time when its own lag is smaller. The position moves in whole
/// ticks against the packets, so the delay lies between the target and one tick more. It is changed where that is not
/// heard: in pauses and quiet passages, or where something is missing anyway.
public struct JitterBuffer: Sendable {
  /// A piece of one tick, in the order it is to be played. Every case says how many samples (of the RTP clock) it covers.
  public enum Segment {
    /// Octets of one packet; one per sample. Valid only during the call that hands them out.
    case audio(PayloadKind, UnsafeRawBufferPointer)
    /// A whole packet of a ``PayloadKind/frame`` format. The owner keeps what exceeds the tick, and pulls again when it is
    /// used up.
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

    public init() {}
  }

  /// Counts since the call began.
  public struct Statistics: Sendable, Hashable {
    /// Packets that came after their place had passed.
    public var late = 0
    public var duplicates = 0
    /// Packets that were pushed out by others before they were played.
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

    public init() {}
  }

  /// The playout's step.
  public static let tickMs = 20
  /// Longest payload taken: 60 ms of G.711, and any sane Opus packet.
  public static let maxPayload = 480
  /// What the owner may allow as `maxDelayMs`.
  public static let delayRangeMs = 20...500
  /// Concealment longer than this is a drone; silence follows.
  public static let maxConcealMs = 100

  /// Packets held: 640 ms of the shortest (10 ms) ones, more than the most delay allowed.
  private static let slotCount = 64
  /// A packet this much ahead of the quickest is of a new timeline, not a quick one.
  private static let leapMs = 500
  /// Late by more than this: the sender's clock has been set back. No path queues for two seconds and stays in order.
  private static let setBackMs = 2000
  /// Packets that are all late for so long (or the first after such a pause) mean that the timeline has shifted for good.
  private static let lateRun = Duration.milliseconds(120)
  private static let idleAfter = Duration.milliseconds(200)
  /// The delay must exceed the target by this before a tick is dropped, lest it be inserted again soon.
  private static let hysteresisMs = 5
  /// Ticks between two adjustments, so that quiet passages keep their rhythm.
  private static let adjustEvery = 5
  /// Ticks with two of needless delay after which one is dropped even from loud audio.
  private static let patience = 100

  private struct Slot {
    var sequence: Int64 = -1
    var timestamp: Int64 = 0
    var samples = 0
    var octets = 0
    var kind = PayloadKind.unknown
  }

  public private(set) var statistics = Statistics()
  private let clockRate: Int
  private let tick: Int
  private let maxDelay: Int64

  private var slots = [Slot](repeating: Slot(), count: slotCount)
  private var storage = [UInt8](repeating: 0, count: slotCount * maxPayload)

  // Sequence numbers: the next to be played, the highest seen, and which of the last 64 have come.
  private var active = false
  private var next: Int64 = 0
  private var highest: Int64 = 0
  private var seen: UInt64 = 0
  // Timestamps, extended.
  private var newest: (extended: Int64, raw: UInt32)?
  private var cursor: Int64?
  private var frameSamples: Int

  private var floor = TransitFloor()
  private var delays = DelayHistogram()
  private var lastArrival = Instant.zero
  private var lateSince: Instant?

  // Samples of concealment since real audio; samples concealed without moving on, in the hope that the packet still comes.
  private var concealed = 0
  private var held = 0
  // The sender has said that it pauses (comfort noise) or presses a key.
  private var paused = false
  private var sinceAdjusted = 0
  private var overTarget = 0

  /// - Parameters:
  ///   - clockRate: of the timestamps, in Hz.
  ///   - maxDelayMs: the most delay to add; kept within ``delayRangeMs``.
  public init(clockRate: Int = 8000, maxDelayMs: Int = 60) {
    self.clockRate = clockRate
    tick = clockRate * Self.tickMs / 1000
    frameSamples = tick
    let range = Self.delayRangeMs
    maxDelay = Int64(min(max(maxDelayMs, range.lowerBound), range.upperBound) * clockRate / 1000)
  }

  // MARK: in

  /// Takes an audio packet. `sequence` is the extended one of ``SequenceTracker``. Throws `late`, `duplicate` or
  /// `bad_payload` for a packet that is not kept.
  public mutating func insert(
    _ packet: RTPPacketView, kind: PayloadKind, sequence: Int64, at now: Instant
  ) throws(RTPRejectReason) {
    let payload = packet.payload
    guard payload.count <= Self.maxPayload else {
      try insertMarker(sequence: sequence, at: now)
      throw .badPayload
    }
    // An empty packet keeps a NAT binding open (RFC 6263 section 4.6).
    guard !payload.isEmpty else { return try insertMarker(sequence: sequence, at: now) }

    let raw = packet.timestamp
    var timestamp = newest.map { $0.extended + Int64(Int32(bitPattern: raw &- $0.raw)) } ?? Int64(raw)
    let arrival = units(now)
    if floor.isKnown {
      let lag = arrival - timestamp - floor.value
      let newOrder = sequence > highest
      let isLate = cursor.map { timestamp + Int64(payload.count) <= $0 } ?? false
      if lag < -ms(Self.leapMs) || newOrder && lag > ms(Self.setBackMs)
        || newOrder && isLate && now - lastArrival > Self.idleAfter
        || newOrder && isLate && lateSince.map({ now - $0 > Self.lateRun }) ?? false
      {
        reset()
        timestamp = Int64(raw)
      }
    }
    try register(sequence)
    if let newest, sequence == highest {
      let step = timestamp - newest.extended
      if kind == .frame, step > 0, step <= ms(120) { frameSamples = Int(step) }
    }
    if sequence == highest { newest = (timestamp, raw) }
    floor.add(arrival - timestamp, at: now)
    delays.add(delayMs: Int((arrival - timestamp - floor.value) * 1000 / Int64(clockRate)))
    lastArrival = now

    let samples = kind == .frame ? frameSamples : payload.count
    if kind != .frame { frameSamples = samples }
    guard sequence >= next, cursor.map({ timestamp + Int64(samples) > $0 }) ?? true else {
      if lateSince == nil { lateSince = now }
      statistics.late += 1
      throw .late
    }
    lateSince = nil
    let index = place(
      Slot(sequence: sequence, timestamp: timestamp, samples: samples, octets: payload.count, kind: kind))
    storage.withUnsafeMutableBytes { bytes in
      UnsafeMutableRawBufferPointer(rebasing: bytes[(index * Self.maxPayload)...]).copyMemory(from: payload)
    }
  }

  /// Notes a packet of the same sequence that carries no audio (a keypad event), so that its number is not missed.
  public mutating func insertMarker(sequence: Int64, at now: Instant) throws(RTPRejectReason) {
    try register(sequence)
    guard sequence >= next else { return }
    lastArrival = now
    place(Slot(sequence: sequence, kind: .telephoneEvent))
  }

  /// Notes comfort noise: the sender pauses from `timestamp` on.
  public mutating func insertComfortNoise(sequence: Int64, timestamp: UInt32, at now: Instant) throws(RTPRejectReason) {
    try insertMarker(sequence: sequence, at: now)
  }

  /// Forgets the timeline: another source, or the same one restarted. What was learned of the path's jitter stays.
  public mutating func reset() {
    if active { statistics.resets += 1 }
    active = false
    for i in slots.indices { slots[i].sequence = -1 }
    newest = nil
    cursor = nil
    floor = TransitFloor()
    lateSince = nil
    concealed = 0
    held = 0
    paused = false
  }

  private mutating func register(_ sequence: Int64) throws(RTPRejectReason) {
    if !active {
      active = true
      next = sequence
      highest = sequence
      seen = 1
      return
    }
    let ahead = sequence - highest
    if ahead > 0 {
      seen = ahead >= 64 ? 1 : seen << UInt64(ahead) | 1
      highest = sequence
    } else if ahead > -64 {
      let bit: UInt64 = 1 << UInt64(-ahead)
      guard seen & bit == 0 else {
        statistics.duplicates += 1
        throw .duplicate
      }
      seen |= bit
      // Overtaken at the very start, before anything was played.
      if cursor == nil { next = min(next, sequence) }
    } else {
      statistics.late += 1
      throw .late
    }
  }

  @discardableResult
  private mutating func place(_ slot: Slot) -> Int {
    let index = Int(slot.sequence & Int64(Self.slotCount - 1))
    if slots[index].sequence >= next { statistics.overflows += 1 }
    // Whoever is more than the buffer's size behind has been overwritten, or would be.
    next = max(next, highest - Int64(Self.slotCount) + 1)
    slots[index] = slot
    return index
  }

  // MARK: out

  /// Plays one tick: calls `body` with segments whose samples sum up to exactly one tick.
  @discardableResult
  public mutating func pull(at now: Instant, _ body: (Segment) -> Void) -> Tick {
    var report = Tick()
    guard active, begin(at: now), let start = cursor else {
      body(.silence(samples: tick))
      return report
    }
    let target = self.target
    var delay = units(now) - floor.value - start
    if adjust(&delay, target, &report) {
      body(paused ? .silence(samples: tick) : .conceal(samples: tick))
      return report
    }
    var remaining = tick
    while remaining > 0, let position = cursor {
      switch locate(position) {
      case .packet(let index, let offset):
        remaining -= play(index, offset, remaining, body)
      case .gap(let samples, let lost):
        if held > 0 {
          let skip = min(samples, held)
          held -= skip
          cursor = position + Int64(skip)
          continue
        }
        let count = min(samples, remaining)
        emit(lost: lost, count, body)
        cursor = position + Int64(count)
        remaining -= count
      case .nothing:
        if paused || concealed >= ms(Self.maxConcealMs) {
          emit(lost: false, remaining, body)
          cursor = position + Int64(remaining)
        } else {
          report.underrun = true
          statistics.underruns += 1
          emit(lost: true, remaining, body)
          if remaining == tick, delay + Int64(tick) <= maxDelay {
            held += tick
          } else {
            cursor = position + Int64(remaining)
          }
        }
        remaining = 0
      }
    }
    statistics.targetDelayMs = Int(target) * 1000 / clockRate
    statistics.delayMs = Int(delay) * 1000 / clockRate
    return report
  }

  /// The wanted delay: the percentile, what packets that straddle ticks need, and no more than leaves the delay in bounds.
  private var target: Int64 {
    let straddle = tick - greatestCommonDivisor(tick, frameSamples)
    return min(ms(delays.targetMs) + Int64(straddle), maxDelay - Int64(tick) + 1)
  }

  /// Places the cursor once there is audio: a whole number of ticks from the first packet.
  private mutating func begin(at now: Instant) -> Bool {
    if cursor != nil { return true }
    guard let first = firstAudio() else { return false }
    let ahead = units(now) - floor.value - target - first
    let ticks = ahead >= 0 ? ahead / Int64(tick) : -((-ahead + Int64(tick) - 1) / Int64(tick))
    cursor = first + ticks * Int64(tick)
    // Until the first packet's turn there is nothing to conceal.
    paused = true
    return true
  }

  /// Moves the cursor against the packets where the delay is wrong. True: this tick is inserted.
  private mutating func adjust(_ delay: inout Int64, _ target: Int64, _ report: inout Tick) -> Bool {
    let step = Int64(tick)
    sinceAdjusted += 1
    // Ticks come a little late now and then: a quarter of one is not a reason.
    if delay > maxDelay + step / 4 {
      drop(Int((delay - maxDelay + step - 1) / step), &delay, &report)
      return false
    }
    if delay - step >= target + ms(Self.hysteresisMs) {
      overTarget = delay - 2 * step >= target + ms(Self.hysteresisMs) ? overTarget + 1 : 0
      if sinceAdjusted >= Self.adjustEvery, isDispensable() || overTarget >= Self.patience {
        drop(1, &delay, &report)
      }
      return false
    }
    overTarget = 0
    if delay < target, sinceAdjusted >= Self.adjustEvery, isDispensable() {
      sinceAdjusted = 0
      report.stretched = tick
      statistics.stretchedSamples += tick
      return true
    }
    return false
  }

  private mutating func drop(_ ticks: Int, _ delay: inout Int64, _ report: inout Tick) {
    guard let position = cursor else { return }
    sinceAdjusted = 0
    overTarget = 0
    held = max(0, held - ticks * tick)
    cursor = position + Int64(ticks * tick)
    delay -= Int64(ticks * tick)
    report.dropped = ticks * tick
    statistics.droppedSamples += ticks * tick
  }

  private enum Found {
    case packet(slot: Int, offset: Int)
    case gap(samples: Int, lost: Bool)
    case nothing
  }

  /// What is at a position of the timeline. Forgets what lies behind it.
  private mutating func locate(_ position: Int64) -> Found {
    var missing = 0
    var pauses = false
    var sequence = next
    while sequence <= highest {
      let index = Int(sequence & Int64(Self.slotCount - 1))
      let slot = slots[index]
      if slot.sequence != sequence {
        missing += 1
      } else if slot.octets == 0 {
        pauses = true
        if missing == 0 {
          next = sequence + 1
          paused = true
        }
      } else if slot.timestamp + Int64(slot.samples) <= position {
        next = sequence + 1
        missing = 0
        pauses = false
      } else if slot.timestamp <= position {
        return .packet(slot: index, offset: Int(position - slot.timestamp))
      } else {
        let gap = Int(clamping: slot.timestamp - position)
        // Numbers without a break mean a pause; with one, a gap that the missing packets could have filled is a loss.
        let lost = missing > 0 && !pauses && !paused && gap <= (missing + 1) * frameSamples
        return .gap(samples: gap, lost: lost)
      }
      sequence += 1
    }
    if pauses { paused = true }
    return .nothing
  }

  private mutating func play(_ index: Int, _ offset: Int, _ wanted: Int, _ body: (Segment) -> Void) -> Int {
    let slot = slots[index]
    held = 0
    paused = false
    if slot.kind == .frame, offset > 0 {
      let count = min(wanted, slot.samples - offset)
      emit(lost: true, count, body)
      cursor = slot.timestamp + Int64(offset + count)
      return count
    }
    concealed = 0
    let count = slot.kind == .frame ? slot.samples : min(wanted, slot.samples - offset)
    let begin = index * Self.maxPayload + offset
    let octets = slot.kind == .frame ? slot.octets : count
    storage.withUnsafeBytes { bytes in
      let payload = UnsafeRawBufferPointer(rebasing: bytes[begin..<(begin + octets)])
      body(slot.kind == .frame ? .frame(payload, samples: count) : .audio(slot.kind, payload))
    }
    cursor = slot.timestamp + Int64(offset + count)
    if offset + count >= slot.samples { next = slot.sequence + 1 }
    return count
  }

  private mutating func emit(lost: Bool, _ samples: Int, _ body: (Segment) -> Void) {
    let conceal = lost ? max(0, min(samples, Int(ms(Self.maxConcealMs)) - concealed)) : 0
    if conceal > 0 {
      concealed += conceal
      statistics.concealedSamples += conceal
      body(.conceal(samples: conceal))
    }
    if conceal < samples { body(.silence(samples: samples - conceal)) }
  }

  /// Whether the next tick may be left out, or another be put before it, unheard.
  private mutating func isDispensable() -> Bool {
    guard let position = cursor else { return false }
    switch locate(position) {
    case .gap: return true
    case .nothing: return paused
    case .packet(let index, let offset):
      let slot = slots[index]
      let begin = index * Self.maxPayload + offset
      let end = index * Self.maxPayload + min(slot.octets, offset + tick)
      switch slot.kind {
      case .mulaw: return storage[begin..<end].allSatisfy { ~$0 & 0x70 <= 0x10 }
      case .alaw: return storage[begin..<end].allSatisfy { ($0 ^ 0x55) & 0x70 <= 0x10 }
      default: return false
      }
    }
  }

  private func firstAudio() -> Int64? {
    var sequence = next
    while sequence <= highest {
      let slot = slots[Int(sequence & Int64(Self.slotCount - 1))]
      if slot.sequence == sequence, slot.octets > 0 { return slot.timestamp }
      sequence += 1
    }
    return nil
  }

  private func ms(_ value: Int) -> Int64 { Int64(value * clockRate / 1000) }

  private func units(_ now: Instant) -> Int64 { (now.nanoseconds / 1000) &* Int64(clockRate) / 1_000_000 }
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
  var (a, b) = (a, b)
  while b != 0 { (a, b) = (b, a % b) }
  return a
}
