import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOWebSocket

/// What a connection turned out to speak.
enum SpokenProtocol: Sendable {
  case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
  case socket(NIOAsyncChannel<SocketMessage, SocketOutput>, SocketAdmission)
}

/// Waits for the first request of a connection. One that asks for a WebSocket (RFC 6455 section 4.2) and may have it turns the
/// connection into one; every other request, a refused one included, is answered by HTTP.
final class ProtocolChoice: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// Whether a request may open a WebSocket; nil: no, and the HTTP route says why.
  typealias Admit = @Sendable (HTTPRequestHead, any Channel) async -> SocketAdmission?

  private enum State {
    case waiting
    /// The parts of the request so far, until it is known whether it may.
    case asking([HTTPServerRequestPart], answer: (SocketAdmission, HTTPHeaders)?)
    /// Bytes of the new protocol that came early.
    case switching([NIOAny])
    case over
  }

  /// Parts of one request that are kept while a token is looked up; a WebSocket's has two.
  private static let partLimit = 16

  private let codec: (encoder: HTTPResponseEncoder, others: [any RemovableChannelHandler])
  private let limits: ConnectionLimits
  private let admit: Admit
  private let spoken: EventLoopPromise<SpokenProtocol>
  private var state = State.waiting
  private var isInputClosed = false

  /// - Parameter codec: the HTTP handlers, which leave the pipeline in this order, the encoder last.
  init(
    codec: (encoder: HTTPResponseEncoder, others: [any RemovableChannelHandler]), limits: ConnectionLimits,
    spoken: EventLoopPromise<SpokenProtocol>, admit: @escaping Admit
  ) {
    self.codec = codec
    self.limits = limits
    self.spoken = spoken
    self.admit = admit
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch state {
    case .waiting:
      let part = unwrapInboundIn(data)
      guard case .head(let head) = part, Self.wantsSocket(head) else { return speakHTTP([part], context) }
      state = .asking([part], answer: nil)
      ask(head, context)
    case .asking(let parts, let answer):
      let part = unwrapInboundIn(data)
      state = .asking(parts + [part], answer: answer)
      if parts.count >= Self.partLimit { return context.close(promise: nil) }
      decide(context)
    case .switching(let early): state = .switching(early + [data])
    case .over: context.fireChannelRead(data)
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event as? ChannelEvent == .inputClosed {
      if case .waiting = state { return context.close(promise: nil) }
      isInputClosed = true
      guard case .over = state else { return }
    }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(ChannelError.ioOnClosedChannel)
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { end(ChannelError.inappropriateOperationForState) }

  private func end(_ error: any Error) {
    if case .over = state { return }
    state = .over
    spoken.fail(error)
  }

  private static func wantsSocket(_ head: HTTPRequestHead) -> Bool {
    head.method == .GET && head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
      && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
  }

  private func ask(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let admission = NIOLoopBoundBox<SocketAdmission?>(nil, eventLoop: context.eventLoop)
    // Checks key and version and makes the answer to the key.
    let upgrader = NIOWebSocketServerUpgrader(
      shouldUpgrade: { [admit] channel, head in
        channel.eventLoop.makeFutureWithTask { await admit(head, channel) }.map { admitted in
          admission.value = admitted
          return admitted?.headers
        }
      }, upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    upgrader.buildUpgradeResponse(channel: context.channel, upgradeRequest: head, initialResponseHeaders: [:])
      .whenComplete { result in
        let (handler, context) = bound.value
        guard case .asking(let parts, _) = handler.state else { return }
        guard case .success(let headers) = result, let admission = admission.value else {
          return handler.speakHTTP(parts, context)
        }
        handler.state = .asking(parts, answer: (admission, headers))
        handler.decide(context)
      }
  }

  /// Switches once the request is known to be over and was admitted.
  private func decide(_ context: ChannelHandlerContext) {
    guard case .asking(let parts, let answer?) = state, let last = parts.last else { return }
    guard parts.count <= 2, !isInputClosed else { return speakHTTP(parts, context) }
    guard case .end = last else { return }
    state = .switching([])
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    let pipeline = context.pipeline
    let removed = codec.others.map { pipeline.syncOperations.removeHandler($0) }
    EventLoopFuture.andAllSucceed(removed, on: context.eventLoop).flatMap {
      let (_, context) = bound.value
      return context.writeAndFlush(
        Self.wrapOutboundOut(
          .head(HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: answer.1))))
    }.flatMap {
      let (handler, context) = bound.value
      return context.pipeline.syncOperations.removeHandler(handler.codec.encoder)
    }.whenComplete { result in
      let (handler, context) = bound.value
      switch result {
      case .success: handler.speakSocket(answer.0, context)
      case .failure: context.close(promise: nil)
      }
    }
  }

  private func speakHTTP(_ parts: [HTTPServerRequestPart], _ context: ChannelHandlerContext) {
    do {
      try context.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
      let channel = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
        wrappingChannelSynchronously: context.channel, configuration: .init(isOutboundHalfClosureEnabled: true))
      state = .over
      spoken.succeed(.http(channel))
    } catch {
      return context.close(promise: nil)
    }
    hand(on: parts.map { wrapInboundOut($0) }, context)
  }

  private func speakSocket(_ admission: SocketAdmission, _ context: ChannelHandlerContext) {
    guard case .switching(let early) = state else { return }
    do {
      let pipeline = context.pipeline.syncOperations
      try pipeline.addHandler(WebSocketFrameEncoder())
      try pipeline.addHandler(
        ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: APILimits.socketMessageBytes)))
      try pipeline.addHandler(
        SocketHandler(messageBytes: APILimits.socketMessageBytes, pingInterval: limits.pingInterval))
      let channel = try NIOAsyncChannel<SocketMessage, SocketOutput>(wrappingChannelSynchronously: context.channel)
      state = .over
      spoken.succeed(.socket(channel, admission))
    } catch {
      return context.close(promise: nil)
    }
    let channel = context.channel
    hand(on: early, context)
    // The read that is under way was asked for before there was a socket's handler to see it.
    channel.read()
  }

  private func hand(on data: [NIOAny], _ context: ChannelHandlerContext) {
    for item in data { context.fireChannelRead(item) }
    context.fireChannelReadComplete()
    if isInputClosed { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
    context.pipeline.syncOperations.removeHandler(self, promise: nil)
  }
}
