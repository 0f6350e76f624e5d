import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A TCP connection byte by byte, for what no well-behaved client would do.
final class Wire {
  private let channel: any Channel
  private let stream: AsyncStream<ByteBuffer>
  private var parts: AsyncStream<ByteBuffer>.AsyncIterator
  private var bytes: [UInt8] = []

  private final class Reader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let sink: AsyncStream<ByteBuffer>.Continuation
    init(_ sink: AsyncStream<ByteBuffer>.Continuation) { self.sink = sink }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { sink.yield(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { sink.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }

  init(port: Int) async throws {
    let (stream, sink) = AsyncStream<ByteBuffer>.makeStream()
    self.stream = stream
    parts = stream.makeAsyncIterator()
    channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      // The kernel would keep many megabytes for a client that does not read.
      .channelOption(.socketOption(.so_rcvbuf), value: 65_536)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Reader(sink)) }
      }.connect(host: "127.0.0.1", port: port).get()
  }

  func send(_ text: String) async throws { try await send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

  /// Whether what the gateway sends is taken at all.
  func read(_ isOn: Bool) async throws { try await channel.setOption(.autoRead, value: isOn).get() }

  deinit { channel.close(promise: nil) }

  func close() async { try? await channel.close() }

  /// One byte more than what is here; false: the connection has ended.
  private func more() async -> Bool {
    guard let part = await parts.next() else { return false }
    bytes += part.readableBytesView
    return true
  }

  /// Up to and with `end`; nil: the connection ended before it.
  func read(until end: String) async -> String? {
    let mark = Array(end.utf8)
    while true {
      if let place = bytes.firstRange(of: mark) {
        defer { bytes.removeSubrange(..<place.upperBound) }
        return String(decoding: bytes[..<place.upperBound], as: UTF8.self)
      }
      guard await more() else { return nil }
    }
  }

  /// Everything until the other side ends the connection.
  func readAll() async -> String {
    while await more() {}
    defer { bytes = [] }
    return String(decoding: bytes, as: UTF8.self)
  }

  func read(_ count: Int) async -> [UInt8]? {
    while bytes.count < count { guard await more() else { return nil } }
    defer { bytes.removeFirst(count) }
    return Array(bytes.prefix(count))
  }
}

/// The client's end of a WebSocket, frame by frame.
final class SocketPeer {
  struct Frame: Equatable {
    var opcode: UInt8
    var payload: [UInt8]
    var text: String { String(decoding: payload, as: UTF8.self) }
    /// Of a close frame.
    var code: Int? { opcode == 8 && payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
  }

  let wire: Wire
  let head: String

  /// Opens one; `head` is what the gateway answered, whatever it is.
  init(_ gateway: Gateway, _ path: String, token: String? = Gateway.token, headers: [String] = []) async throws {
    wire = try await Wire(port: gateway.port)
    var lines = [
      "GET \(path) HTTP/1.1", "Host: 127.0.0.1:\(gateway.port)", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    if let token { lines.append("Authorization: Bearer \(token)") }
    try await wire.send((lines + headers).joined(separator: "\r\n") + "\r\n\r\n")
    head = await wire.read(until: "\r\n\r\n") ?? ""
  }

  func send(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, mask: Bool = true, reserved: UInt8 = 0)
    async throws
  {
    var frame: [UInt8] = [(isFinal ? 0x80 : 0) | reserved | opcode]
    let bit: UInt8 = mask ? 0x80 : 0
    switch payload.count {
    case ..<126: frame.append(bit | UInt8(payload.count))
    case ..<65_536: frame += [bit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default: frame += [bit | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
    }
    let key: [UInt8] = [1, 2, 3, 4]
    if mask { frame += key }
    frame += mask ? payload.enumerated().map { $1 ^ key[$0 % 4] } : payload
    try await wire.send(frame)
  }

  func send(_ text: String) async throws { try await send(1, Array(text.utf8)) }

  /// nil: the connection has ended.
  func next() async -> Frame? {
    guard let head = await wire.read(2) else { return nil }
    var length = Int(head[1] & 0x7F)
    if length >= 126 {
      guard let bytes = await wire.read(length == 126 ? 2 : 8) else { return nil }
      length = bytes.reduce(0) { $0 << 8 | Int($1) }
    }
    guard let payload = await wire.read(length) else { return nil }
    return Frame(opcode: head[0] & 0x0F, payload: payload)
  }

  /// The next frame that is no ping.
  func message() async -> Frame? {
    while let frame = await next() { if frame.opcode != 9 { return frame } }
    return nil
  }
}
