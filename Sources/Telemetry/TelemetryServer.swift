import Base
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The small HTTP server that every role has: `/metrics`, `/livez`, `/readyz` (`?verbose` lists every condition), `/startupz`. No
/// authentication, no bodies.
public final class TelemetryServer: Sendable {
  /// Why the server could not start: one sentence that names address and port.
  public struct StartError: Error, Sendable, CustomStringConvertible {
    public var description: String
  }

  /// Open connections; Prometheus and the kubelet need a handful. One more takes the place of the idlest.
  public static let connectionLimit = 64
  /// A connection without a request for this long is closed.
  public static let idleTimeout: TimeAmount = .seconds(60)

  private let host: String
  private let port: Int
  private let metricsPath: String?
  private let registry: MetricsRegistry
  private let health: HealthState
  private let group: any EventLoopGroup
  private let logger: Logger
  private let channel = NIOLockedValueBox<(any Channel)?>(nil)

  /// - Parameters:
  ///   - port: 0 lets the system choose.
  ///   - metricsPath: nil: no metrics.
  ///   - group: not shut down by the server.
  public init(
    host: String, port: Int, metricsPath: String?, registry: MetricsRegistry, health: HealthState,
    group: any EventLoopGroup, logger: Logger
  ) {
    self.host = host
    self.port = port
    self.metricsPath = metricsPath
    self.registry = registry
    self.health = health
    self.group = group
    self.logger = logger
  }

  /// Listens; returns the bound port.
  @discardableResult
  public func start() async throws(StartError) -> Int {
    let seats = NIOLockedValueBox(ConnectionSeats<any Channel>(limit: Self.connectionLimit))
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { [registry, health, metricsPath] channel in
        let (seat, evicted) = seats.withLockedValue { $0.take(channel) }
        evicted?.close(promise: nil)
        channel.closeFuture.whenComplete { _ in seats.withLockedValue { $0.leave(seat) } }
        return channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          try pipeline.addHandler(IdleStateHandler(readTimeout: Self.idleTimeout))
          try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
          try pipeline.addHandler(
            TelemetryHandler(metricsPath: metricsPath, registry: registry, health: health) {
              seats.withLockedValue { $0.used(seat) }
            })
        }
      }
    do {
      let channel = try await bootstrap.bind(host: host, port: port).get()
      self.channel.withLockedValue { $0 = channel }
      return channel.localAddress?.port ?? port
    } catch {
      let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
      throw StartError(description: "metrics and health cannot listen on \(host):\(port): \(reason)")
    }
  }

  /// Closes the listening socket. Idempotent.
  public func stop() async {
    let channel = channel.withLockedValue { channel in
      defer { channel = nil }
      return channel
    }
    do { try await channel?.close() } catch { logger.debug("metrics server closed", metadata: ["error": "\(error)"]) }
  }
}

private final class TelemetryHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let metricsPath: String?
  private let registry: MetricsRegistry
  private let health: HealthState
  private let asked: () -> Void
  private var head: HTTPRequestHead?

  /// - Parameter asked: told of every whole request.
  init(metricsPath: String?, registry: MetricsRegistry, health: HealthState, asked: @escaping () -> Void) {
    self.metricsPath = metricsPath
    self.registry = registry
    self.health = health
    self.asked = asked
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body: break
    case .end:
      guard let head else { return }
      self.head = nil
      asked()
      answer(head, context)
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent {
      context.close(promise: nil)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let parts = head.uri.split(separator: "?", maxSplits: 1)
    let path = parts.first.map { String($0) } ?? "/"
    let query = parts.count > 1 ? parts[1].split(separator: "&") : []
    var status = HTTPResponseStatus.ok
    var body: String
    var type = "text/plain; charset=utf-8"
    switch path {
    case "/livez": body = "ok\n"
    case "/startupz":
      status = health.isStarted ? .ok : .serviceUnavailable
      body = health.isStarted ? "ok\n" : "start: not complete\n"
    case "/readyz":
      let isVerbose = query.contains { $0 == "verbose" || $0.hasPrefix("verbose=") }
      let answer = health.readiness(isVerbose: isVerbose)
      status = answer.isReady ? .ok : .serviceUnavailable
      body = answer.text
    case let other where other == metricsPath:
      let format = ExpositionFormat(accept: head.headers["Accept"])
      body = registry.exposition(format)
      type = format.contentType
    default:
      status = .notFound
      body = "not found\n"
    }
    if head.method != .GET, head.method != .HEAD {
      status = .methodNotAllowed
      body = "only GET\n"
      type = "text/plain; charset=utf-8"
    }
    var buffer = context.channel.allocator.buffer(capacity: body.utf8.count)
    buffer.writeString(body)
    var response = HTTPResponseHead(version: head.version, status: status)
    response.headers.add(name: "Content-Type", value: type)
    response.headers.add(name: "Content-Length", value: String(buffer.readableBytes))
    response.headers.add(name: "Cache-Control", value: "no-store")
    if path == metricsPath { response.headers.add(name: "Vary", value: "Accept") }
    if status == .methodNotAllowed { response.headers.add(name: "Allow", value: "GET, HEAD") }
    let keepAlive = head.isKeepAlive
    if !keepAlive { response.headers.add(name: "Connection", value: "close") }
    context.write(wrapOutboundOut(.head(response)), promise: nil)
    if head.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil) }
    let done = context.writeAndFlush(wrapOutboundOut(.end(nil)))
    if !keepAlive {
      let channel = context.channel
      done.whenComplete { _ in channel.close(promise: nil) }
    }
  }
}
