import Base

/// One end of a WebSocket (RFC 6455), the server's, above the framing: messages out of fragments, control frames, the closing
/// handshake, and whether the peer lives.
struct SocketMachine: Sendable {
  /// The opcodes of RFC 6455 section 5.2.
  enum Opcode: UInt8, Sendable { case continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 }

  enum Input: Sendable {
    /// A whole frame, unmasked. `reserved`: one of its reserved bits is set. `opcode` nil: one that the RFC does not name.
    case frame(opcode: Opcode?, isFinal: Bool, isMasked: Bool, reserved: Bool, payload: [UInt8])
    /// The framing itself is broken.
    case broken(Close)
    /// The owner wants to end.
    case close(Close)
    /// ``deadline`` has come. Of a peer whom the owner does not read now nothing can be heard, not even that it lives.
    case time(isReading: Bool)
  }

  enum Action: Sendable, Equatable {
    case deliverText(String)
    case deliverBinary([UInt8])
    case send(Opcode, [UInt8])
    /// The peer says no more; what was sent so far is still to be written.
    case endOfMessages
    /// The connection is over once everything is written.
    case disconnect
  }

  /// Why a connection ends (RFC 6455 section 7.4).
  struct Close: Error, Sendable, Equatable {
    var code: UInt16
    /// At most 123 bytes reach the peer.
    var reason: String

    static let normal = Close(code: 1000, reason: "")
    static let goingAway = Close(code: 1001, reason: "the gateway is stopping")
    static func protocolError(_ reason: String) -> Close { Close(code: 1002, reason: reason) }
    static func tooLarge(_ limit: Int) -> Close { Close(code: 1009, reason: "a message has at most \(limit) bytes") }
  }

  private enum State { case open, closing, over }

  private let messageBytes: Int
  private let pingInterval: Duration
  /// Fragments of one message: an endless row of empty ones is work without an end.
  private static let fragmentLimit = 1024
  private static let closingTime: Duration = .seconds(5)

  private var state = State.open
  /// Neither side has said goodbye.
  var isOpen: Bool { state == .open }
  private var fragments: (opcode: Opcode, count: Int, bytes: [UInt8])?
  private var heardSincePing = true
  private(set) var deadline: Instant?

  init(messageBytes: Int, pingInterval: Duration, at now: Instant) {
    self.messageBytes = messageBytes
    self.pingInterval = pingInterval
    deadline = now + pingInterval
  }

  mutating func receive(_ input: Input, at now: Instant) -> [Action] {
    guard state != .over else { return [] }
    switch input {
    case .frame(let opcode, let isFinal, let isMasked, let reserved, let payload):
      heardSincePing = true
      guard isMasked else { return fail(.protocolError("a client masks its frames"), at: now) }
      guard !reserved else { return fail(.protocolError("no extension was agreed on"), at: now) }
      guard let opcode else { return fail(.protocolError("unknown opcode"), at: now) }
      return take(opcode, isFinal, payload, at: now)
    case .broken(let close): return fail(close, at: now)
    case .close(let close):
      guard state == .open else { return [] }
      state = .closing
      deadline = now + Self.closingTime
      return [.send(.close, Self.payload(close))]
    case .time(let isReading):
      guard let deadline, now >= deadline else { return [] }
      guard state == .open, heardSincePing || !isReading else { return over() }
      heardSincePing = false
      self.deadline = now + pingInterval
      return [.send(.ping, [])]
    }
  }

  private mutating func take(
    _ opcode: Opcode, _ isFinal: Bool, _ payload: [UInt8], at now: Instant
  ) -> [Action] {
    switch opcode {
    case .ping: return state == .open ? [.send(.pong, payload)] : []
    case .pong: return []
    case .close:
      if state == .closing { return over() }
      switch Self.read(payload) {
      case .success(let close): return [.send(.close, Self.payload(close))] + over()
      case .failure(let close): return [.send(.close, Self.payload(close))] + over()
      }
    case .text, .binary:
      guard fragments == nil else { return fail(.protocolError("a new message within another"), at: now) }
      fragments = (opcode, 0, [])
    case .continuation:
      guard fragments != nil else { return fail(.protocolError("a continuation of nothing"), at: now) }
    }
    guard state == .open else { return [] }
    fragments?.count += 1
    fragments?.bytes += payload
    guard let message = fragments else { return [] }
    if message.bytes.count > messageBytes { return fail(.tooLarge(messageBytes), at: now) }
    if message.count > Self.fragmentLimit { return fail(.protocolError("too many fragments"), at: now) }
    guard isFinal else { return [] }
    fragments = nil
    guard message.opcode == .text else { return [.deliverBinary(message.bytes)] }
    guard let text = String(validating: message.bytes, as: UTF8.self) else {
      return fail(Close(code: 1007, reason: "a text is not UTF-8"), at: now)
    }
    return [.deliverText(text)]
  }

  /// Says why and waits for no answer: what a peer says after its mistake means nothing.
  private mutating func fail(_ close: Close, at now: Instant) -> [Action] {
    (state == .open ? [.send(.close, Self.payload(close))] : []) + over()
  }

  private mutating func over() -> [Action] {
    state = .over
    deadline = nil
    fragments = nil
    return [.endOfMessages, .disconnect]
  }

  /// RFC 6455 section 5.5.1: nothing, or a code and a text.
  private static func read(_ payload: [UInt8]) -> Result<Close, Close> {
    if payload.isEmpty { return .success(Close(code: 1000, reason: "")) }
    guard payload.count >= 2 else { return .failure(.protocolError("a close frame with half a code")) }
    let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
    guard (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code) else {
      return .failure(.protocolError("a close code that nobody may send"))
    }
    guard String(validating: payload[2...], as: UTF8.self) != nil else {
      return .failure(Close(code: 1007, reason: "a close reason is not UTF-8"))
    }
    return .success(Close(code: code, reason: ""))
  }

  private static func payload(_ close: Close) -> [UInt8] {
    var text = Substring(close.reason)
    while text.utf8.count > 123 { text = text.dropLast() }
    return [UInt8(close.code >> 8), UInt8(close.code & 255)] + text.utf8
  }
}
