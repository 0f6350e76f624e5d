import Base

/// A key of the telephone: events 0 to 15 of RFC 4733 section 3.2.
public struct TelephoneKey: Hashable, Sendable, CustomStringConvertible {
  /// 0 to 15: `0-9`, `*`, `#`, `A-D`.
  public let code: UInt8

  /// nil above 15.
  public init?(code: UInt8) {
    guard code < 16 else { return nil }
    self.code = code
  }

  /// `0-9`, `*`, `#`, `A-D` in either case; nil for anything else.
  public init?(_ digit: Character) {
    guard let index = Self.characters.firstIndex(where: { $0 == digit || $0.lowercased() == String(digit) }) else {
      return nil
    }
    code = UInt8(index)
  }

  public var character: Character { Self.characters[Int(code)] }
  public var description: String { String(character) }

  private static let characters = Array("0123456789*#ABCD")
}

/// What one packet, or the lack of one, says about the keys.
public enum TelephoneEvent: Hashable, Sendable {
  case began(TelephoneKey)
  case ended(TelephoneKey, durationMs: Int)
}

/// Up to three events in order, without allocation.
public struct TelephoneEventChanges: Hashable, Sendable {
  public private(set) var first: TelephoneEvent?
  public private(set) var second: TelephoneEvent?
  public private(set) var third: TelephoneEvent?

  public init() {}
  public var isEmpty: Bool { first == nil }

  public func forEach(_ body: (TelephoneEvent) -> Void) {
    if let first { body(first) }
    if let second { body(second) }
    if let third { body(third) }
  }

  mutating func append(_ event: TelephoneEvent) {
    if first == nil { first = event } else if second == nil { second = event } else { third = event }
  }
}

/// Turns event packets into key presses: one `began` and one `ended` per press, whatever is lost, repeated or reordered.
public struct TelephoneEventReceiver: Sendable {
  /// Silence after which a press whose end packets were all lost is over. Senders repeat every 20 to 50 ms; three times
  /// the longest of these.
  public static let endTimeout = Duration.milliseconds(150)

  private struct Press {
    var key: TelephoneKey
    var timestamp: UInt32
    // Of earlier segments of a press longer than the duration field holds (RFC 4733 section 2.5.1.3).
    var before: UInt32
    var duration: UInt16
    var lastHeard: Instant
  }
  private let clockRate: Int
  private var current: Press?
  // The last press that ended: its repeated end packets, and stragglers, are not new presses.
  private var done: (key: TelephoneKey, timestamp: UInt32)?

  public init(clockRate: Int = 8000) { self.clockRate = clockRate }

  /// When to call ``poll(at:)``.
  public var deadline: Instant? { current.map { $0.lastHeard + Self.endTimeout } }

  /// Takes an event packet; nil where the payload is malformed. Events above 15 (flash, fax tones) change nothing.
  public mutating func receive(_ packet: RTPPacketView, at now: Instant) -> TelephoneEventChanges? {
    receive(payload: packet.payload, timestamp: packet.timestamp, marker: packet.marker, at: now)
  }

  /// As ``receive(_:at:)``, from a packet's parts.
  public mutating func receive(
    payload: UnsafeRawBufferPointer, timestamp: UInt32, marker: Bool, at now: Instant
  ) -> TelephoneEventChanges? {
    guard payload.count >= 4, let base = payload.baseAddress else { return nil }
    var changes = TelephoneEventChanges()
    guard let key = TelephoneKey(code: payload[0]) else { return changes }
    let isEnd = payload[1] & 0x80 != 0
    let duration = base.loadBigEndian16(2)

    if let done, Int32(bitPattern: timestamp &- done.timestamp) <= 0, !restarted(since: done.timestamp, timestamp) {
      return changes
    }
    if var press = current {
      let step = timestamp &- press.timestamp
      if step == 0, press.key == key {
        press.duration = max(press.duration, duration)
        press.lastHeard = now
        current = press
        if isEnd { end(into: &changes) }
        return changes
      }
      // A straggler of an earlier segment of this press, or of an earlier press.
      if Int32(bitPattern: step) < 0, !restarted(since: press.timestamp, timestamp) { return changes }
      // The next segment of a long press: same key, no marker, beginning where the field ran over.
      if press.key == key, !marker, step >= 0xFF00, step <= 0x1_0000 + 0xFF {
        press.before += step
        press.timestamp = timestamp
        press.duration = duration
        press.lastHeard = now
        current = press
        if isEnd { end(into: &changes) }
        return changes
      }
      end(into: &changes)
    }
    current = Press(key: key, timestamp: timestamp, before: 0, duration: duration, lastHeard: now)
    changes.append(.began(key))
    if isEnd { end(into: &changes) }
    return changes
  }

  /// Ends a press whose end did not come.
  public mutating func poll(at now: Instant) -> TelephoneEventChanges {
    var changes = TelephoneEventChanges()
    if let deadline, now >= deadline { end(into: &changes) }
    return changes
  }

  // A sender that started its clock anew: far back is not "earlier".
  private func restarted(since old: UInt32, _ new: UInt32) -> Bool { old &- new > UInt32(clockRate) * 30 }

  private mutating func end(into changes: inout TelephoneEventChanges) {
    guard let press = current else { return }
    let units = Int(press.before) + Int(press.duration)
    changes.append(.ended(press.key, durationMs: units * 1000 / clockRate))
    done = (press.key, press.timestamp)
    current = nil
  }
}

/// Plays keys as event packets: one packet per 20 ms tick, the last one three times, a pause between keys
/// (RFC 4733 section 2.5.1). While ``isActive``, audio is not sent.
public struct TelephoneEventSender: Sendable {
  /// One packet to send in this tick.
  public struct Packet: Hashable, Sendable {
    public var key: TelephoneKey
    /// Set on a press's first packet.
    public var marker: Bool
    public var isEnd: Bool
    /// In timestamp units, since the press began.
    public var duration: UInt16
    /// Timestamp units from the press's first tick to this one: subtract it from the stream's clock.
    public var age: UInt32

    /// The event's payload size in octets.
    public static let payloadSize = 4

    /// Writes the payload; returns ``payloadSize``, or 0 where `buffer` is too small.
    @discardableResult
    public func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
      guard buffer.count >= Self.payloadSize, let base = buffer.baseAddress else { return 0 }
      base.storeBytes(of: key.code, as: UInt8.self)
      base.storeBytes(of: (isEnd ? 0x80 : 0) | TelephoneEventSender.volume, toByteOffset: 1, as: UInt8.self)
      base.storeBigEndian16(duration, 2)
      return Self.payloadSize
    }
  }

  /// -10 dBm0, what telephones send.
  public static let volume: UInt8 = 10
  /// Presses shorter than 40 ms are missed by receivers (ITU-T Q.24); longer than 8 s would need segments.
  public static let durationRangeMs = 40...8000
  /// Pause after each key: detectors behind gateways want 40 ms of it (ITU-T Q.24); twice that is safe.
  public static let pauseMs = 80
  /// Keys that may wait; longer strings are cut. Far above any number or PIN.
  public static let maxQueued = 256

  private let tickUnits: UInt32
  private var queue: [(key: TelephoneKey, ticks: Int)] = []
  private var next = 0
  private var tick = 0

  public init(clockRate: Int = 8000) { tickUnits = UInt32(clockRate / 50) }

  /// Whether a key is being sent, or its pause, or keys wait.
  public var isActive: Bool { next < queue.count }

  /// Queues keys; returns how many were taken. Characters that are no key are skipped.
  @discardableResult
  public mutating func send(_ digits: String, durationMs: Int = 100) -> Int {
    if next == queue.count {
      queue.removeAll(keepingCapacity: true)
      next = 0
    }
    let range = Self.durationRangeMs
    // At clocks above 8000 Hz the 16-bit duration field holds less.
    let longest = min(range.upperBound, Int(UInt16.max) / Int(tickUnits) * 20)
    let ticks = (min(max(durationMs, range.lowerBound), longest) + 19) / 20
    var taken = 0
    for key in digits.lazy.compactMap(TelephoneKey.init(_:)) where queue.count - next < Self.maxQueued {
      queue.append((key, ticks))
      taken += 1
    }
    return taken
  }

  /// Forgets what waits; the key being sent is still ended properly.
  public mutating func cancel() {
    guard isActive else { return }
    queue.removeLast(queue.count - next - 1)
    if tick < queue[next].ticks { queue[next].ticks = max(tick, 1) }
  }

  /// Advances one 20 ms tick. nil: nothing of a key is due (a pause, or not ``isActive``).
  public mutating func pull() -> Packet? {
    guard isActive else { return nil }
    let (key, ticks) = queue[next]
    let now = tick
    tick += 1
    if now < ticks + 3 {
      let isEnd = now >= ticks
      let duration = UInt16(clamping: tickUnits * UInt32(isEnd ? ticks : now + 1))
      return Packet(key: key, marker: now == 0, isEnd: isEnd, duration: duration, age: tickUnits * UInt32(now))
    }
    if now + 1 >= ticks + 3 + Self.pauseMs / 20 {
      next += 1
      tick = 0
    }
    return nil
  }
}
