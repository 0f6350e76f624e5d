import Base
import NIOConcurrencyHelpers
import NIOCore
import NIOWebSocket

/// One message of a WebSocket.
enum SocketMessage: Sendable {
  case text(String)
  case binary(ByteBuffer)
}

/// What a route sends.
enum SocketOutput: Sendable {
  /// The bytes of a text message; UTF-8.
  case text(ByteBuffer)
  case binary(ByteBuffer)
  case close(SocketMachine.Close)

  fileprivate var isClose: Bool { if case .close = self { true } else { false } }
}

/// A WebSocket that a route serves.
struct APISocket: Sendable {
  /// What the client sends; ends with the connection. For one reader, which slows the client down where it is slow itself.
  let messages: NIOAsyncChannelInboundStream<SocketMessage>
  let channel: any Channel
  private let writer: NIOAsyncChannelOutboundWriter<SocketOutput>

  init(
    messages: NIOAsyncChannelInboundStream<SocketMessage>, writer: NIOAsyncChannelOutboundWriter<SocketOutput>,
    channel: any Channel
  ) {
    self.messages = messages
    self.writer = writer
    self.channel = channel
  }

  /// Waits while the client does not keep up; a client that takes nothing for half a minute is cut off.
  func send(_ message: SocketMessage) async throws {
    switch message {
    case .text(let text): try await writer.write(.text(ByteBuffer(string: text)))
    case .binary(let bytes): try await writer.write(.binary(bytes))
    }
  }

  /// The bytes are UTF-8.
  func send(text: ByteBuffer) async throws { try await writer.write(.text(text)) }

  /// Says goodbye; the connection ends when the client has answered, or soon. Whoever reads ``messages`` goes on until they end,
  /// or the client's answer is not heard. `code`: 1000, 1001, 1008, 1009, 1011, 1013 or 4000 to 4999.
  func close(code: Int = 1000, reason: String = "") async {
    let close = SocketMachine.Close(code: UInt16(clamping: code), reason: reason)
    // A connection that is gone has heard worse.
    try? await writer.write(.close(close))
  }
}

/// Puts a ``SocketMachine`` between the frames and the messages of one connection.
final class SocketHandler: ChannelDuplexHandler {
  typealias InboundIn = WebSocketFrame
  typealias InboundOut = SocketMessage
  typealias OutboundIn = SocketOutput
  typealias OutboundOut = WebSocketFrame

  private let messageBytes: Int
  private var machine: SocketMachine
  private var timer: Scheduled<Void>?
  private var timerAt: Instant?
  private var isOver = false
  private var lastWrite: EventLoopFuture<Void>?
  /// Since when the peer has taken nothing of what waits for it.
  private var stalledSince: Instant?
  /// Whether anything is read at all: not while the reader of the messages has enough of them.
  private var isReading = true

  init(messageBytes: Int, pingInterval: Duration) {
    self.messageBytes = messageBytes
    machine = SocketMachine(messageBytes: messageBytes, pingInterval: pingInterval, at: .monotonic())
  }

  func handlerAdded(context: ChannelHandlerContext) { arm(context) }
  func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

  func channelInactive(context: ChannelHandlerContext) {
    isOver = true
    timer?.cancel()
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    feed(
      .frame(
        opcode: Self.opcode(frame.opcode), isFinal: frame.fin, isMasked: frame.maskKey != nil,
        reserved: !frame.reservedBits.isEmpty, payload: Array(frame.unmaskedData.readableBytesView)), context)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch error as? NIOWebSocketError {
    case .invalidFrameLength: feed(.broken(.tooLarge(messageBytes)), context)
    case .fragmentedControlFrame, .multiByteControlFrameLength:
      feed(.broken(.protocolError("a control frame is short and whole")), context)
    case nil: context.fireErrorCaught(error)
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is ChannelShouldQuiesceEvent { feed(.close(.goingAway), context) }
    context.fireUserInboundEventTriggered(event)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isReading = false
    context.fireChannelReadComplete()
  }

  func read(context: ChannelHandlerContext) {
    isReading = true
    context.read()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stalledSince = context.channel.isWritable ? nil : .monotonic()
    context.fireChannelWritabilityChanged()
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    // RFC 6455 section 5.5.1: no data after a close frame.
    guard !isOver, machine.isOpen || unwrapOutboundIn(data).isClose else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    switch unwrapOutboundIn(data) {
    case .text(let bytes):
      context.write(wrapOutboundOut(.init(fin: true, opcode: .text, data: bytes)), promise: promise)
    case .binary(let bytes):
      context.write(wrapOutboundOut(.init(fin: true, opcode: .binary, data: bytes)), promise: promise)
    case .close(let close):
      feed(.close(close), context)
      promise?.succeed()
    }
  }

  private func feed(_ input: SocketMachine.Input, _ context: ChannelHandlerContext) {
    guard !isOver else { return }
    for action in machine.receive(input, at: .monotonic()) {
      switch action {
      case .deliverText(let text): context.fireChannelRead(wrapInboundOut(.text(text)))
      case .deliverBinary(let bytes): context.fireChannelRead(wrapInboundOut(.binary(ByteBuffer(bytes: bytes))))
      case .send(let opcode, let payload):
        let promise = context.eventLoop.makePromise(of: Void.self)
        lastWrite = promise.futureResult
        context.writeAndFlush(
          wrapOutboundOut(.init(fin: true, opcode: .init(opcode), data: ByteBuffer(bytes: payload))), promise: promise)
      case .endOfMessages: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
      case .disconnect:
        isOver = true
        timer?.cancel()
        // The end comes after the last frame, or after a while with a peer that takes none.
        let channel = context.channel
        lastWrite?.whenComplete { _ in channel.close(promise: nil) }
        context.eventLoop.scheduleTask(in: .seconds(5)) { channel.close(promise: nil) }
      }
    }
    arm(context)
  }

  private func arm(_ context: ChannelHandlerContext) {
    guard !isOver, let deadline = machine.deadline else { return }
    if let timerAt, timerAt <= deadline { return }
    timer?.cancel()
    timerAt = deadline
    let wait = max(.zero, deadline - .monotonic())
    let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(in: .nanoseconds(wait.nanoseconds)) {
      let (handler, context) = loopBound.value
      handler.timer = nil
      handler.timerAt = nil
      if let since = handler.stalledSince, .monotonic() - since > .seconds(APILimits.stalledWriteSeconds) {
        context.close(promise: nil)
      } else {
        handler.feed(.time(isReading: handler.isReading), context)
      }
    }
  }

  private static func opcode(_ opcode: WebSocketOpcode) -> SocketMachine.Opcode? {
    switch opcode {
    case .continuation: .continuation
    case .text: .text
    case .binary: .binary
    case .connectionClose: .close
    case .ping: .ping
    case .pong: .pong
    default: nil
    }
  }
}

extension WebSocketOpcode {
  fileprivate init(_ opcode: SocketMachine.Opcode) {
    self =
      switch opcode {
      case .continuation: .continuation
      case .text: .text
      case .binary: .binary
      case .close: .connectionClose
      case .ping: .ping
      case .pong: .pong
      }
  }
}
