import Base
import SIP

/// An endpoint that lives through whatever the bytes say.
///
/// The bytes are parts divided by 0x1E (record separator). The first byte of a part says what it is: `D` a datagram, `S` bytes
/// of a stream, `F` a WebSocket frame, `T` time passes (the next byte times 100 ms), `C` the stream closes, `X` sending
/// failed; `R`, `A`, `J`, `H`, `E`, `K` ring, answer, reject, hang up, re-INVITE, acknowledge the newest call; `I` place a call
/// (the next byte times 16 bytes of offer), `P` keep the stream alive. In messages `%t` is the To tag, `%f` the From tag, `%b`
/// the branch and `%i` the Call-ID of what the endpoint sent last, so that a few bytes can answer it.
struct EndpointScript {
  static let peer = SIPPeer(.udp, host: "192.0.2.10", port: 5060)
  private static let stream = SIPPeer(.tcp, host: "192.0.2.10", port: 5060, connection: 1)
  private static let socket = SIPPeer(.ws, host: "192.0.2.11", port: 40_000, connection: 2)
  private static let partLimit = 64

  private var endpoint: SIPEndpoint
  private var now = Instant.zero
  private var calls: [SIPCallHandle] = []
  private var alive: Set<SIPCallHandle> = []
  private var last: SIPMessage?
  private let target: SIPURI
  private let local: SIPNameAddress

  private init?() {
    var configuration = SIPConfiguration()
    for transport in SIPTransport.allCases {
      configuration.localAddresses[transport] = SIPHostPort(host: "192.0.2.20", port: transport.defaultPort)
    }
    configuration.limits.calls = 20
    configuration.limits.transactions = 100
    configuration.tellsDialogs = true
    endpoint = SIPEndpoint(configuration: configuration, random: SeededRandom(seed: 1))
    guard let target = SIPURI("sip:alice@192.0.2.10"), let own = SIPURI("sip:bob@192.0.2.20") else { return nil }
    self.target = target
    local = SIPNameAddress(uri: own)
  }

  static func run(_ bytes: [UInt8]) throws {
    guard var script = EndpointScript() else { return }
    for part in bytes.split(separator: 0x1E, maxSplits: partLimit) { try script.step(part) }
    try script.finish()
  }

  private mutating func step(_ part: ArraySlice<UInt8>) throws {
    guard let command = part.first else { return }
    let rest = part.dropFirst()
    let newest = calls.last
    switch Unicode.Scalar(command) {
    case "D": try perform(endpoint.receive(datagram: filled(rest), from: Self.peer, at: now))
    case "S": try perform(endpoint.receive(stream: filled(rest), from: Self.stream, at: now))
    case "F": try perform(endpoint.receive(frame: filled(rest), from: Self.socket, at: now))
    case "T":
      now += .milliseconds(100 * Int64(rest.first ?? 1))
      try wake()
    case "C": try perform(endpoint.connectionClosed(1, at: now))
    case "X": try perform(endpoint.sendFailed(to: Self.peer, at: now))
    case "R": if let newest { try perform(endpoint.ring(newest, status: 183, body: .sdp("r"), at: now)) }
    case "A": if let newest { try perform(endpoint.answer(newest, body: .sdp("a"), at: now)) }
    case "J": if let newest { try perform(endpoint.reject(newest, status: 486, at: now)) }
    case "H": if let newest { try perform(endpoint.hangup(newest, at: now)) }
    case "E": if let newest { try perform(endpoint.reinvite(newest, body: rest.isEmpty ? nil : .sdp("e"), at: now)) }
    case "K": if let newest { try perform(endpoint.acknowledge(newest, body: .sdp("k"), at: now)) }
    case "I":
      let offer = [UInt8](repeating: 0x61, count: 16 * Int(rest.first ?? 0))
      let invite = SIPInvite(target: target, from: local, peer: Self.peer, body: offer.isEmpty ? nil : .sdp(offer))
      let (call, actions) = endpoint.invite(invite, at: now)
      calls.append(call)
      alive.insert(call)
      try perform(actions)
    case "P": try perform(endpoint.keepAlive(1, to: Self.stream, every: .seconds(5), at: now))
    default: break
    }
  }

  /// The owner hangs up, and time does the rest: every call ends, once, and nothing stays.
  private mutating func finish() throws {
    for call in calls where alive.contains(call) { try perform(endpoint.hangup(call, at: now)) }
    try perform(endpoint.connectionClosed(1, at: now))
    try perform(endpoint.connectionClosed(2, at: now))
    var rounds = 0
    while let deadline = endpoint.deadline {
      rounds += 1
      guard rounds < 20_000 else { throw ProtocolTarget.Finding("the endpoint never comes to rest") }
      now = max(now, deadline)
      try perform(endpoint.timeout(at: now))
      // A call whose ACK comes late may be established only now.
      for call in calls where alive.contains(call) { try perform(endpoint.hangup(call, at: now)) }
    }
    try ProtocolTarget.require(alive.isEmpty, "\(alive.count) calls never ended")
    try ProtocolTarget.require(endpoint.isIdle, "transactions stayed without a deadline")
  }

  private mutating func wake() throws {
    var rounds = 0
    while let deadline = endpoint.deadline, deadline <= now {
      rounds += 1
      guard rounds < 20_000 else { throw ProtocolTarget.Finding("a deadline that never passes") }
      try perform(endpoint.timeout(at: deadline))
    }
  }

  private mutating func perform(_ actions: [SIPAction]) throws {
    for action in actions {
      switch action {
      case .send(let bytes, _): if let message = try? SIPMessage.parse(bytes) { last = message }
      case .close: break
      case .event(.incoming(let call, _)):
        try ProtocolTarget.require(alive.insert(call).inserted, "a call was offered twice")
        calls.append(call)
      case .event(.ended(let call, _)):
        try ProtocolTarget.require(alive.remove(call) != nil, "a call ended twice, or never began")
      case .event: break
      }
    }
  }

  private func filled(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    guard let last, bytes.contains(UInt8(ascii: "%")) else { return Array(bytes) }
    var out: [UInt8] = []
    var i = bytes.startIndex
    while i < bytes.endIndex {
      guard bytes[i] == UInt8(ascii: "%"), i + 1 < bytes.endIndex else {
        out.append(bytes[i])
        i += 1
        continue
      }
      switch Unicode.Scalar(bytes[i + 1]) {
      case "t": out += (last.to.tag ?? "").utf8
      case "f": out += (last.from.tag ?? "").utf8
      case "b": out += (last.topVia?.branch ?? "").utf8
      case "i": out += last.callID.utf8
      default: out += bytes[i...(i + 1)]
      }
      i += 2
    }
    return out
  }
}
