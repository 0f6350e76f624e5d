// Answers HTTP requests as a script says, step by step: with pauses, silence, garbage, or a connection that breaks.

import Base
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// An HTTP/1.1 server on the loopback whose answers a test writes. Remembers what it was asked.
public final class ScriptedHTTPServer: Sendable {
  /// One request, with its whole body.
  public struct Request: Sendable {
    public var method: String
    /// Path and query.
    public var uri: String
    public var headers: HTTPHeaders
    public var body: String
    /// Counts the connections from 1: equal numbers came over one connection.
    public var connection: Int
    /// The first header of this name.
    public func header(_ name: String) -> String? { headers.first(name: name) }
    /// The body; `null` where it is no JSON.
    public var json: Value { (try? JSON.decode(body)) ?? .null }
  }

  /// One step of an answer. After the last one the answer ends properly.
  public enum Step: Sendable {
    /// Before any body; an answer without it is 200.
    case head(Int, [(String, String)])
    case bytes([UInt8])
    case pause(Duration)
    /// Nothing more, for ever; the connection stays open.
    case hang
    /// Closes the connection in the middle.
    case close

    public static func text(_ text: String) -> Step { .bytes(Array(text.utf8)) }

    /// A whole answer with its length.
    public static func answer(_ status: Int, _ text: String, _ headers: [(String, String)] = []) -> [Step] {
      [.head(status, headers + [("Content-Length", String(text.utf8.count))]), .text(text)]
    }
  }

  private struct State {
    var requests: [Request] = []
    var connections = 0
    /// When the bytes of a step had been given to the system, by request and step.
    var sent: [Sent] = []
    var brokenOff = 0
    var waiters: [(isMet: @Sendable (State) -> Bool, resume: @Sendable () -> Void)] = []
    var channels: [ObjectIdentifier: any Channel] = [:]
  }

  /// One step of bytes that is on the wire.
  public struct Sent: Sendable {
    /// Counts the requests from 0.
    public var request: Int
    /// Counts the steps of the answer from 0.
    public var step: Int
    public var at: Instant
  }

  private let answer: @Sendable (Request) -> [Step]
  private let state = NIOLockedValueBox(State())
  private let listener = NIOLockedValueBox<(any Channel)?>(nil)

  private let tls: NIOSSLContext?

  /// - Parameter tls: speaks https with it; nil: http.
  public init(tls: NIOSSLContext? = nil, _ answer: @escaping @Sendable (Request) -> [Step]) {
    self.tls = tls
    self.answer = answer
  }

  /// Speaks https.
  /// - Parameters: paths of PEM files.
  public convenience init(
    certificateFile: String, keyFile: String, _ answer: @escaping @Sendable (Request) -> [Step]
  ) throws {
    let tls = TLSConfiguration.makeServerConfiguration(
      certificateChain: try NIOSSLCertificate.fromPEMFile(certificateFile).map { .certificate($0) },
      privateKey: .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem)))
    self.init(tls: try NIOSSLContext(configuration: tls), answer)
  }

  /// Listens on 127.0.0.1; returns the port. `port` 0 lets the system choose.
  @discardableResult
  public func start(port: Int = 0) async throws -> Int {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls = self.tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(self))
        }
      }
      .bind(host: "127.0.0.1", port: port).get()
    listener.withLockedValue { $0 = channel }
    return channel.localAddress?.port ?? 0
  }

  /// Stops listening and closes every connection.
  public func stop() async {
    let channel = listener.withLockedValue { listener in
      defer { listener = nil }
      return listener
    }
    try? await channel?.close()
    for channel in state.withLockedValue({ Array($0.channels.values) }) { try? await channel.close() }
  }

  /// What was asked so far.
  public var requests: [Request] { state.withLockedValue { $0.requests } }

  /// What is on the wire so far.
  public var sent: [Sent] { state.withLockedValue { $0.sent } }

  /// Waits until `count` requests have come.
  @discardableResult
  public func requests(_ count: Int) async -> [Request] {
    await wait { $0.requests.count >= count }
    return requests
  }

  /// How many answers the client has left before their end, by closing the connection.
  public var brokenOffCount: Int { state.withLockedValue { $0.brokenOff } }

  /// Waits until ``brokenOffCount`` is `count`.
  public func brokenOff(_ count: Int) async { await wait { $0.brokenOff >= count } }

  private func wait(until isMet: @escaping @Sendable (State) -> Bool) async {
    await withCheckedContinuation { continuation in
      let isMetNow = state.withLockedValue { state in
        if isMet(state) { return true }
        state.waiters.append((isMet, { continuation.resume() }))
        return false
      }
      if isMetNow { continuation.resume() }
    }
  }

  private func change<Result>(_ body: (inout State) -> Result) -> Result {
    let (result, met) = state.withLockedValue { state in
      let result = body(&state)
      var met: [@Sendable () -> Void] = []
      let snapshot = state
      state.waiters.removeAll { waiter in
        guard waiter.isMet(snapshot) else { return false }
        met.append(waiter.resume)
        return true
      }
      return (result, met)
    }
    for resume in met { resume() }
    return result
  }

  // MARK: One connection

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let server: ScriptedHTTPServer
    private var connection = 0
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var steps: [Step] = []
    private var number = 0
    private var isAnswering = false
    private var hasHead = false

    init(_ server: ScriptedHTTPServer) { self.server = server }

    func channelActive(context: ChannelHandlerContext) {
      let channel = context.channel
      connection = server.change { state in
        state.connections += 1
        state.channels[ObjectIdentifier(channel)] = channel
        return state.connections
      }
    }

    func channelInactive(context: ChannelHandlerContext) {
      let channel = context.channel
      let isAnswering = isAnswering
      self.isAnswering = false
      server.change { state in
        state.channels[ObjectIdentifier(channel)] = nil
        if isAnswering { state.brokenOff += 1 }
      }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head):
        self.head = head
        body.clear()
      case .body(var part): body.writeBuffer(&part)
      case .end:
        guard let head else { return }
        let request = Request(
          method: head.method.rawValue, uri: head.uri, headers: head.headers, body: String(buffer: body),
          connection: connection)
        isAnswering = true
        hasHead = false
        number = server.change { state in
          state.requests.append(request)
          return state.requests.count - 1
        }
        steps = server.answer(request)
        perform(from: 0, context)
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func perform(from first: Int, _ context: ChannelHandlerContext) {
      for at in first..<steps.count {
        guard context.channel.isActive else { return }
        switch steps[at] {
        case .head(let status, let headers): write(status, headers, context)
        case .bytes(let bytes):
          if !hasHead { write(200, [], context) }
          context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
          let sent = Sent(request: number, step: at, at: .monotonic())
          server.change { $0.sent.append(sent) }
        case .pause(let duration):
          context.flush()
          let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
          context.eventLoop.scheduleTask(in: .nanoseconds(duration.nanoseconds)) {
            let (handler, context) = bound.value
            handler.perform(from: at + 1, context)
          }
          return
        case .hang:
          context.flush()
          return
        case .close:
          context.flush()
          isAnswering = false
          context.close(promise: nil)
          return
        }
      }
      if !hasHead { write(200, [("Content-Length", "0")], context) }
      isAnswering = false
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func write(_ status: Int, _ headers: [(String, String)], _ context: ChannelHandlerContext) {
      hasHead = true
      let head = HTTPResponseHead(
        version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: HTTPHeaders(headers))
      context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }
  }
}
