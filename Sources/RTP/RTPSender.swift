/// One leg's outbound half: numbers and stamps packets, marks talkspurts, and plays keypad events in place of audio.
public struct RTPSender: Sendable {
  public let ssrc: SSRC
  public let clockRate: Int
  /// Packets and payload octets sent, for sender reports.
  public private(set) var packets: UInt32 = 0
  public private(set) var octets: UInt32 = 0
  /// The timestamp of the next sample.
  public private(set) var timestamp: UInt32

  private var sequence: UInt16
  private var talkspurtBegins = true
  private var keys: TelephoneEventSender

  /// - Parameters:
  ///   - clockRate: of the audio format and of its keypad events, in Hz.
  ///   - random: for SSRC, first sequence number and timestamp, which RFC 3550 section 5.1 wants unpredictable.
  public init(clockRate: Int = 8000, using random: inout some RandomNumberGenerator) {
    self.init(
      ssrc: SSRC(UInt32.random(in: 1 ... .max, using: &random)),
      sequence: UInt16.random(in: 0...0x7FFF, using: &random),
      timestamp: UInt32.random(in: 0 ... .max, using: &random), clockRate: clockRate)
  }

  /// With given numbers, for tests.
  public init(ssrc: SSRC, sequence: UInt16, timestamp: UInt32, clockRate: Int = 8000) {
    self.ssrc = ssrc
    self.sequence = sequence
    self.timestamp = timestamp
    self.clockRate = clockRate
    keys = TelephoneEventSender(clockRate: clockRate)
  }

  /// Writes one audio packet and advances the clock by `samples`. Returns its size, or 0 where `buffer` is too small (then
  /// nothing has changed).
  public mutating func writeAudio(
    _ payload: UnsafeRawBufferPointer, payloadType: PayloadType, samples: Int,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let size = RTPHeader.size + payload.count
    guard buffer.count >= size else { return 0 }
    writeHeader(marker: talkspurtBegins, payloadType, timestamp, payload.count, buffer)
    UnsafeMutableRawBufferPointer(rebasing: buffer[RTPHeader.size...]).copyMemory(from: payload)
    talkspurtBegins = false
    timestamp &+= UInt32(truncatingIfNeeded: samples)
    return size
  }

  /// Lets `samples` pass without a packet (hold, silence suppression); the next audio packet begins a talkspurt.
  public mutating func skip(samples: Int) {
    timestamp &+= UInt32(truncatingIfNeeded: samples)
    talkspurtBegins = true
  }

  // MARK: keypad events

  /// Whether keys are being sent: then call ``writeKey(payloadType:into:)`` on every tick instead of ``writeAudio``.
  public var isSendingKeys: Bool { keys.isActive }

  /// Queues keys; returns how many were taken (characters that are no key are skipped, at most 256 wait).
  @discardableResult
  public mutating func sendKeys(_ digits: String, durationMs: Int = 100) -> Int {
    keys.send(digits, durationMs: durationMs)
  }

  /// Forgets the keys that wait; the one being sent is ended properly.
  public mutating func cancelKeys() { keys.cancel() }

  /// One tick (20 ms) of keypad events: advances the clock, and writes a packet where one is due. Returns its size; 0 in the
  /// pause between keys.
  public mutating func writeKey(payloadType: PayloadType, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    defer { skip(samples: clockRate / 50) }
    let size = RTPHeader.size + TelephoneEventSender.Packet.payloadSize
    guard buffer.count >= size, let packet = keys.pull() else { return 0 }
    writeHeader(
      marker: packet.marker, payloadType, timestamp &- packet.age, TelephoneEventSender.Packet.payloadSize, buffer)
    packet.write(into: UnsafeMutableRawBufferPointer(rebasing: buffer[RTPHeader.size...]))
    return size
  }

  private mutating func writeHeader(
    marker: Bool, _ payloadType: PayloadType, _ timestamp: UInt32, _ payloadSize: Int,
    _ buffer: UnsafeMutableRawBufferPointer
  ) {
    RTPHeader(marker: marker, payloadType: payloadType, sequence: sequence, timestamp: timestamp, ssrc: ssrc)
      .write(into: buffer)
    sequence &+= 1
    packets &+= 1
    octets &+= UInt32(payloadSize)
  }
}
