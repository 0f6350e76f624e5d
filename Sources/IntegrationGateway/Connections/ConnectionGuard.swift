import Base
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Sits behind the HTTP codec of a connection and keeps its times (``ConnectionClock``).
///
/// What it refuses it answers itself: whoever works on the request learns it from the connection's end.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// Asks for another time for the answer of the request under way; goes down the pipeline as an event.
  struct AnswerTime: Sendable { var duration: Duration }

  private let table: ConnectionTable
  private let bodyTime: Duration
  private var clock: ConnectionClock
  private var timer: Scheduled<Void>?
  private var timerAt: Instant?
  private var isOver = false

  init(limits: ConnectionLimits, table: ConnectionTable) {
    self.table = table
    bodyTime = limits.bodyTime
    clock = ConnectionClock(limits: limits)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { feed(.opened, context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) { end(context) }

  func channelActive(context: ChannelHandlerContext) {
    feed(.opened, context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(context)
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      feed(.requestHead, context)
      // RFC 9110 section 10.1.1: whoever asks first before it sends a body waits for this.
      if head.version == .http1_1, head.headers[canonicalForm: "expect"].contains("100-continue") {
        context.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
      }
    case .end: feed(.requestEnd, context)
    case .body: break
    }
    if !isOver { context.fireChannelRead(data) }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard !isOver else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    let part = unwrapOutboundIn(data)
    switch part {
    case .head: feed(.responseHead, context)
    case .body: break
    case .end:
      context.write(data, promise: promise)
      context.flush()
      return feed(.responseEnd, context)
    }
    context.write(data, promise: promise)
  }

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    guard let time = event as? AnswerTime else { return context.triggerUserOutboundEvent(event, promise: promise) }
    feed(.answerTime(time.duration), context)
    promise?.succeed()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is ChannelShouldQuiesceEvent { feed(.quiesce, context) }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard !isOver else { return }
    switch error as? HTTPParserError {
    case nil: context.fireErrorCaught(error)
    case .headerOverflow?:
      answer(
        APIProblem(
          .requestHeaderFieldsTooLarge, "headers_too_large",
          "a header has at most \(APILimits.headerBytes) bytes, all of them \(APILimits.headersBytes), and there are at most \(APILimits.headers)"
        ), context)
    case _?: answer(APIProblem(.badRequest, "malformed", "what came is not HTTP/1.1"), context)
    }
  }

  private func feed(_ input: ConnectionClock.Input, _ context: ChannelHandlerContext) {
    guard !isOver else { return }
    for action in clock.receive(input, at: .monotonic()) {
      switch action {
      case .close:
        isOver = true
        context.close(promise: nil)
      case .refuse(.slowBody):
        answer(
          APIProblem(
            .requestTimeout, "slow_request", "a request's body has to be here within \(bodyTime.milliseconds) ms"),
          context)
      case .refuse(.slowAnswer):
        answer(
          APIProblem(
            .gatewayTimeout, "slow_answer", "the gateway could not answer in time; whether it acted is not known"),
          context)
      case .becameIdle: table.becameIdle(context.channel)
      case .becameBusy: table.leave(context.channel)
      }
    }
    arm(context)
  }

  /// The problem document, written past everyone else; then the connection ends.
  private func answer(_ problem: APIProblem, _ context: ChannelHandlerContext) {
    let body = problem.body
    var headers = HTTPHeaders([
      ("content-type", "application/problem+json"), ("content-length", String(body.readableBytes)),
      ("connection", "close"), ("cache-control", "no-store"),
    ])
    for field in problem.headers { headers.add(name: field.name.rawName, value: field.value) }
    let status = HTTPResponseStatus(statusCode: problem.status.code, reasonPhrase: problem.status.reasonPhrase)
    context.write(
      wrapOutboundOut(.head(.init(version: .http1_1, status: status, headers: headers))), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    isOver = true
    context.close(promise: nil)
  }

  /// One timer, set anew only when it would come too late.
  private func arm(_ context: ChannelHandlerContext) {
    guard !isOver, let deadline = clock.deadline else { return }
    if let timerAt, timerAt <= deadline { return }
    timer?.cancel()
    timerAt = deadline
    let wait = max(.zero, deadline - .monotonic())
    let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(in: .nanoseconds(wait.milliseconds * 1_000_000 + 1_000_000)) {
      let (handler, context) = loopBound.value
      handler.timer = nil
      handler.timerAt = nil
      handler.feed(.time, context)
    }
  }

  private func end(_ context: ChannelHandlerContext) {
    isOver = true
    timer?.cancel()
    timer = nil
    table.leave(context.channel)
  }
}
