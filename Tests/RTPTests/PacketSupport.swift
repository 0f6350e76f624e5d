import Base
import RTP

/// A packet's bytes, for tests.
func packet(
  _ sequence: UInt16, _ timestamp: UInt32, type: PayloadType = .pcmu, ssrc: UInt32 = 0xABCD, marker: Bool = false,
  payload: [UInt8] = [UInt8](repeating: 0x80, count: 160)
) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: RTPHeader.size)
  let header = RTPHeader(
    marker: marker, payloadType: type, sequence: sequence, timestamp: timestamp, ssrc: SSRC(ssrc))
  _ = bytes.withUnsafeMutableBytes { header.write(into: $0) }
  return bytes + payload
}

let caller = RTPPeer(ipv4: 0x0A00_0001, port: 4000)
let stranger = RTPPeer(ipv4: 0x0A00_0099, port: 4000)

/// A moment so many milliseconds into the test.
func at(_ ms: Double) -> Instant { Instant(nanoseconds: 1_000_000_000_000 + Int64(ms * 1_000_000)) }

/// What came out of ticks.
struct Heard: Equatable {
  var audio: [UInt8] = []
  var concealed = 0
  var silent = 0
  var total: Int { audio.count + concealed + silent }

  mutating func take(_ segment: JitterBuffer.Segment) {
    switch segment {
    case .audio(_, let bytes): audio += Array(bytes)
    case .frame(let bytes, _): audio += Array(bytes)
    case .conceal(let samples): concealed += samples
    case .silence(let samples): silent += samples
    }
  }
}

extension RTPReceiver {
  mutating func receive(_ bytes: [UInt8], from peer: RTPPeer = caller, at now: Instant) -> Outcome {
    bytes.withUnsafeBytes { receive($0, from: peer, at: now) }
  }
  mutating func pull(at now: Instant, into heard: inout Heard) -> JitterBuffer.Tick {
    pull(at: now) { heard.take($0) }
  }
}

func receiver(
  maxDelayMs: Int = 60, mode: SourceLock.Mode = .symmetric, expected: RTPPeer? = caller,
  formats: PayloadFormats? = nil
) -> RTPReceiver {
  var table = formats ?? .g711(telephoneEvent: PayloadType(101))
  table[PayloadType(97)] = .octets
  return RTPReceiver(
    RTPReceiver.Configuration(formats: table, sourceMode: mode, expectedPeer: expected, maxDelayMs: maxDelayMs))
}
