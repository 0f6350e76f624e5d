import Base
import NIOCore
import NIOPosix
import NIOSSL
import Settings

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Owns one line: its sockets and its timer. Everything happens on one event loop; any thread may ask.
final class RedisLine: Sendable {
  typealias Continuation = CheckedContinuation<Result<RESPValue, RedisError>, Never>
  private typealias Machine = RedisLineMachine<Continuation>

  /// What its owner hears, on the event loop.
  struct Listener: Sendable {
    var onReady: @Sendable () -> Void = {}
    var onLost: @Sendable (RedisError) -> Void = { _ in }
    var onTrouble: @Sendable (RedisError) -> Void = { _ in }
    var onMessage: @Sendable (_ channel: String, _ payload: [UInt8]) -> Void = { _, _ in }
  }

  private struct Core {
    var machine: Machine
    /// The connection that the machine thinks of, and its number; 0: none.
    var channel: (any Channel)?
    var attempt = 0
    var timer: Scheduled<Void>?
    var timerAt: Instant?
    /// Actions come while others are performed when a write fails at once.
    var waiting: [Machine.Action] = []
    var isPerforming = false
  }

  private let loop: any EventLoop
  private let core: NIOLoopBoundBox<Core>
  private let tls: NIOSSLContext?
  private let connectTimeout: Duration
  private let listener: Listener

  init(_ settings: RedisLineSettings, tls: NIOSSLContext?, loop: any EventLoop, listener: Listener) {
    self.loop = loop
    self.tls = tls
    self.listener = listener
    connectTimeout = settings.connectTimeout
    var random = SystemRandomNumberGenerator()
    core = NIOLoopBoundBox.makeBoxSendingValue(
      Core(machine: Machine(settings, seed: random.next())), eventLoop: loop)
  }

  /// Makes the first attempt.
  func start() { input { $0.tick(at: $1) } }

  func send(_ command: ByteBuffer) async -> Result<RESPValue, RedisError> {
    await withCheckedContinuation { continuation in
      input { $0.submit(command, continuation, at: $1) }
    }
  }

  func reconsider() { input { $0.reconsider(at: $1) } }

  func close() async {
    await withCheckedContinuation { continuation in
      loop.execute {
        self.step { machine, _ in machine.close() }
        continuation.resume()
      }
    }
  }

  // MARK: On the event loop

  private func input(_ body: @escaping @Sendable (inout Machine, Instant) -> [Machine.Action]) {
    loop.execute { self.step(body) }
  }

  private func step(_ body: (inout Machine, Instant) -> [Machine.Action]) {
    let before = core.value.machine.trouble
    let actions = body(&core.value.machine, .monotonic())
    core.value.waiting += actions
    if let trouble = core.value.machine.trouble, trouble != before { listener.onTrouble(trouble) }
    guard !core.value.isPerforming else { return }
    core.value.isPerforming = true
    while !core.value.waiting.isEmpty {
      let actions = core.value.waiting
      core.value.waiting = []
      for action in actions { perform(action) }
    }
    core.value.isPerforming = false
    arm()
  }

  private func perform(_ action: Machine.Action) {
    switch action {
    case .connect(let attempt, let server):
      core.value.attempt = attempt
      connect(attempt, server)
    case .write(let bytes): core.value.channel?.writeAndFlush(bytes, promise: nil)
    case .disconnect:
      let channel = core.value.channel
      core.value.channel = nil
      core.value.attempt = 0
      channel?.close(promise: nil)
    case .finish(let continuation, let answer): continuation.resume(returning: answer)
    case .message(let channel, let payload): listener.onMessage(channel, payload)
    case .ready: listener.onReady()
    case .lost(let error): listener.onLost(error)
    }
  }

  private func connect(_ attempt: Int, _ server: RedisAddress.Server) {
    let tls = tls
    ClientBootstrap(group: loop)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .connectTimeout(.nanoseconds(connectTimeout.nanoseconds))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls {
            // An address is no name; then the certificate must hold the address.
            let name = (try? SocketAddress(ipAddress: server.host, port: 0)) == nil ? server.host : nil
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
          }
          try channel.pipeline.syncOperations.addHandler(Reader(self, attempt))
        }
      }
      .connect(host: server.host, port: server.port)
      .hop(to: loop)
      .whenComplete { result in
        switch result {
        case .success(let channel):
          // The line may have gone on without waiting for this one.
          guard self.core.value.attempt == attempt else { return channel.close(promise: nil) }
          self.core.value.channel = channel
          self.step { $0.connected(attempt: attempt, at: $1) }
        case .failure(let error):
          self.step {
            $0.disconnected(attempt: attempt, reason: "cannot be reached: \(Self.reason(error))", at: $1)
          }
        }
      }
  }

  fileprivate func received(_ bytes: ByteBuffer, attempt: Int) {
    step { $0.received(bytes, attempt: attempt, at: $1) }
  }

  fileprivate func disconnected(_ error: (any Error)?, attempt: Int) {
    let reason = error.map { "cannot be spoken to: \(Self.reason($0))" } ?? Self.goodbye
    step { $0.disconnected(attempt: attempt, reason: reason, at: $1) }
  }

  private static let goodbye = "closed the connection"

  private static func reason(_ error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
      if let first = error.connectionErrors.first { return reason(first.error) }
      return "its name is not known"
    case let error as IOError: return error.reasonWithoutCall
    case ChannelError.connectTimeout: return "it did not answer in time"
    case NIOSSLError.handshakeFailed(let why): return "its certificate or protocol does not fit (\(why))"
    default: return "\(error)"
    }
  }

  private func arm() {
    let next = core.value.machine.deadline
    // A timer that comes early finds the later deadline and is set again.
    if let timerAt = core.value.timerAt, let next, timerAt <= next { return }
    core.value.timer?.cancel()
    core.value.timer = nil
    core.value.timerAt = next
    guard let next else { return }
    core.value.timer = loop.scheduleTask(in: .nanoseconds(max(0, (next - .monotonic()).nanoseconds))) {
      self.core.value.timerAt = nil
      self.step { $0.tick(at: $1) }
    }
  }

  /// Hands what comes in to the line.
  private final class Reader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let line: RedisLine
    private let attempt: Int
    private var error: (any Error)?

    init(_ line: RedisLine, _ attempt: Int) {
      self.line = line
      self.attempt = attempt
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      line.received(unwrapInboundIn(data), attempt: attempt)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      if self.error == nil { self.error = error }
      context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
      line.disconnected(error, attempt: attempt)
      context.fireChannelInactive()
    }
  }
}

extension IOError {
  /// `Connection refused` instead of `connection reset (error set): Connection refused (errno: 111)`.
  fileprivate var reasonWithoutCall: String { String(cString: strerror(errnoCode)) }
}
