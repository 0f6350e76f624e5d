import Base

/// What a negotiated payload type carries, as far as transport must know.
public enum PayloadKind: UInt8, Sendable, Hashable {
  /// Not negotiated: dropped and counted.
  case unknown
  /// G.711, one octet per sample and timestamp unit: can be cut anywhere, and quiet passages can be told.
  case mulaw, alaw
  /// Any other format with one octet per timestamp unit (G.722 at 64 kbit/s): can be cut anywhere.
  case octets
  /// A format whose packets only make sense whole (Opus).
  case frame
  case comfortNoise
  case telephoneEvent
}

/// Payload type -> kind for one leg: a table, so that the lookup per packet costs one load.
public struct PayloadFormats: Sendable {
  private var kinds = [PayloadKind](repeating: .unknown, count: 128)

  public init() {}

  /// G.711 with both its static types, comfort noise, and keypad events on `telephoneEvent`.
  public static func g711(telephoneEvent: PayloadType?) -> PayloadFormats {
    var formats = PayloadFormats()
    formats[.pcmu] = .mulaw
    formats[.pcma] = .alaw
    formats[.comfortNoise] = .comfortNoise
    if let telephoneEvent { formats[telephoneEvent] = .telephoneEvent }
    return formats
  }

  public subscript(type: PayloadType) -> PayloadKind {
    get { kinds[Int(type.value)] }
    set { kinds[Int(type.value)] = newValue }
  }
}

/// Interarrival jitter (RFC 3550 section 6.4.1, appendix A.8).
public struct InterarrivalJitter: Sendable {
  // Scaled by 16 as in A.8, so that integers suffice.
  private var scaled: Int64 = 0
  private var lastTransit: Int64?
  private var lastTimestamp: UInt32 = 0

  public init() {}

  /// - Parameter timestamp: the packet's, in units of `clockRate`.
  public mutating func receive(timestamp: UInt32, clockRate: Int, at now: Instant) {
    // Packets of one timestamp (a re-sent or split frame) say nothing about the network's delay.
    if lastTransit != nil, timestamp == lastTimestamp { return }
    let arrival = (now.nanoseconds / 1000) &* Int64(clockRate) / 1_000_000
    let transit = Int64(Int32(truncatingIfNeeded: arrival &- Int64(timestamp)))
    if let last = lastTransit {
      let difference = abs(Int64(Int32(truncatingIfNeeded: transit &- last)))
      // A timestamp that leaps by seconds is a restart of the sender's clock, not jitter.
      if difference < Int64(clockRate) { scaled += difference - ((scaled + 8) >> 4) }
    }
    lastTransit = transit
    lastTimestamp = timestamp
  }

  /// A new source: the estimate stays, the reference goes.
  public mutating func restart() { lastTransit = nil }

  /// As RTCP reports it.
  public var timestampUnits: Int64 { scaled >> 4 }

  public func milliseconds(clockRate: Int) -> Double { Double(scaled) / 16 * 1000 / Double(clockRate) }
}
