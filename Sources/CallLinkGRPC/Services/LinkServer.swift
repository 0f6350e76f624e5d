#if Cluster
  import Base
  import CallLink
  import GRPCCore
  import GRPCNIOTransportHTTP2
  import Logging
  import NIOCore
  import NIOPosix
  import Synchronization

  /// Listens for the role before this one.
  public final class LinkServer: Sendable {
    /// Why it cannot listen: one sentence that names address and port.
    public struct StartError: Error, Sendable, CustomStringConvertible {
      public var description: String
    }

    /// What one process answers for.
    public struct Answerers: Sendable {
      public var speech: (any HopAnswerer<SpeechToMedia, MediaToSpeech>)?
      public var runtime: (any HopAnswerer<RuntimeToSpeech, SpeechToRuntime>)?
      public var integration: (any IntegrationHop)?

      public init() {}

      /// The roles before those that are here.
      var callers: Set<String> {
        var roles: Set<String> = []
        if speech != nil { roles.insert("media") }
        if runtime != nil { roles.insert("speech") }
        if integration != nil { roles.insert("runtime") }
        return roles
      }
    }

    /// Lets connections in until it is closed. One that is accepted while the server's task ends would bring the process down
    /// (swift-nio issue 2637), and peers dial all the time.
    private final class Doorway: Sendable {
      private struct Closed: Error {}
      private let isClosed = Mutex(false)

      func close() { isClosed.withLock { $0 = true } }

      func enter(_ channel: any Channel, _ security: ClusterSecurity?) -> EventLoopFuture<Void> {
        if isClosed.withLock({ $0 }) {
          channel.close(promise: nil)
          return channel.eventLoop.makeFailedFuture(Closed())
        }
        return security?.secureServer(channel) ?? channel.eventLoop.makeSucceededVoidFuture()
      }
    }

    /// For connections that were let in before the doorway was closed to reach the server: far more than they take.
    private static let arrival: Duration = .milliseconds(100)

    private let server: GRPCServer<HTTP2ServerTransport.Posix>
    private let task: Task<Void, any Error>
    private let doorway: Doorway
    public let port: Int

    /// Listens; returns when streams can come.
    /// - Parameter port: 0 lets the system choose.
    public static func start(
      host: String, port: Int, answerers: Answerers, state: PeerState, security: ClusterSecurity?,
      group: MultiThreadedEventLoopGroup, logger: Logger
    ) async throws(StartError) -> LinkServer {
      let allowed = RoleGuard(allowed: security == nil ? nil : answerers.callers)
      var services: [any RegistrableRPCService] = [PeerLinkService(guardian: allowed, state: state)]
      if let speech = answerers.speech {
        services.append(SpeechLinkService(guardian: allowed, host: StreamHost(answerer: speech)))
      }
      if let runtime = answerers.runtime {
        services.append(RuntimeLinkService(guardian: allowed, host: StreamHost(answerer: runtime)))
      }
      if let integration = answerers.integration {
        services.append(IntegrationLinkService(guardian: allowed, integration: integration))
      }
      let address: GRPCNIOTransportHTTP2.SocketAddress =
        host.contains(":") ? .ipv6(host: host, port: port) : .ipv4(host: host, port: port)
      let doorway = Doorway()
      let transport = HTTP2ServerTransport.Posix(
        address: address, transportSecurity: .plaintext,
        config: .defaults { config in
          config.connection.keepalive.time = .seconds(10)
          config.connection.keepalive.timeout = .seconds(10)
          config.connection.keepalive.clientBehavior.minPingIntervalWithoutCalls = .seconds(1)
          config.connection.keepalive.clientBehavior.allowWithoutCalls = true
          config.connection.flushCoalescing = nil
          config.http2.targetWindowSize = 8 << 20
          // One for each call of a neighbour; without a number HTTP/2 libraries settle on a hundred.
          config.http2.maxConcurrentStreams = 20_000
          config.rpc.maxRequestPayloadSize = 1 << 20
          config.channelDebuggingCallbacks.onAcceptTCPConnection = { doorway.enter($0, security) }
        }, eventLoopGroup: group)
      let server = GRPCServer(transport: transport, services: services)
      let task = Task { try await server.serve() }
      do {
        let bound = try await transport.listeningAddress
        return LinkServer(server, task, doorway, port: bound.ipv4?.port ?? bound.ipv6?.port ?? port)
      } catch {
        task.cancel()
        var reason = "\(error)"
        do { try await task.value } catch { reason = "\(error)" }
        throw StartError(description: "the hops between roles cannot listen on \(host):\(port): \(reason)")
      }
    }

    private init(
      _ server: GRPCServer<HTTP2ServerTransport.Posix>, _ task: Task<Void, any Error>, _ doorway: Doorway, port: Int
    ) {
      self.server = server
      self.task = task
      self.doorway = doorway
      self.port = port
    }

    /// Ends all streams.
    public func stop() async {
      doorway.close()
      try? await Task.sleep(for: Self.arrival)
      task.cancel()
      _ = await task.result
    }
  }
#endif
