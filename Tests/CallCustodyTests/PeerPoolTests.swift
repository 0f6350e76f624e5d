#if Cluster
  import Base
  import CallLink
  import CallLinkGRPC
  import Logging
  import NIOConcurrencyHelpers
  import NIOCore
  import NIOPosix
  import Testing

  /// Connections to the processes of the next role.
  @Suite(.timeLimit(.minutes(1))) struct PeerPoolTests {
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let session = SessionID("s")

    @Test func aConnectionThatNoNameStandsForGoesWhenItsLastCallDoes() async throws {
      let bell = Bell()
      let runtime = Runtime(bell)
      var answerers = LinkServer.Answerers()
      answerers.runtime = runtime
      let server = try await LinkServer.start(
        host: "127.0.0.1", port: 0, answerers: answerers, state: PeerState(instance: "runtime/1") { 0 },
        security: nil, group: .singleton, logger: quiet)
      let relay = try await Relay.start(to: server.port, bell)
      let names = NIOLockedValueBox(["127.0.0.1:\(relay.port)"])
      var configuration = PeerPool.Configuration(role: "runtime", addresses: ["runtime:1"], security: nil)
      configuration.lookup = { _ in names.withLockedValue { $0 } }
      let pool = PeerPool(configuration, group: MultiThreadedEventLoopGroup.singleton, logger: quiet)
      await pool.look()
      let call = CallInfo(
        session: session, direction: .inbound, callerID: "a", calledNumber: "1", fromURI: "sip:a@b", toURI: "sip:1@b",
        headers: [])
      let linked = NIOLockedValueBox<HopLink?>(nil)
      let wire = pool.runtime().wire(for: call) { event in
        if case .linked(let link) = event { linked.withLockedValue { $0 = link } }
      }
      // Whether the process has said who it is rings no bell: it is asked until it has.
      while linked.withLockedValue({ $0 == nil }) {
        wire.dial(HopDial(attempt: 1))
        await Task.yield()
      }
      let link = try #require(linked.withLockedValue { $0 })
      let me = HopParty(instance: "speech/1", fence: 1)
      wire.transmit(
        .open(HopOpen(version: .current, session: session, from: me, replaces: nil, place: nil, memory: nil)), on: link)
      await bell.until { runtime.opened.withLockedValue { $0 } == 1 }

      // The name stands for nobody any more: the call goes on over the connection that it has.
      names.withLockedValue { $0 = [] }
      await pool.look()
      #expect(pool.trouble != nil, "nobody is chosen for another call")
      wire.transmit(.ping, on: link)
      await bell.until { runtime.pings.withLockedValue { $0 } == 1 }
      #expect(relay.open == 1)
      wire.drop(link)
      await bell.until { relay.open == 0 }
      #expect(relay.open == 0)

      let stopped = Task { await pool.run() }
      stopped.cancel()
      await stopped.value
      await relay.stop()
      await server.stop()
    }

    /// Counts what comes.
    private final class Runtime: HopAnswerer {
      let opened = NIOLockedValueBox(0)
      let pings = NIOLockedValueBox(0)
      private let bell: Bell
      init(_ bell: Bell) { self.bell = bell }

      func accept(
        _ open: HopOpen, _ call: CallInfo, on link: HopLink, over wire: any HopWire<RuntimeToSpeech>
      ) -> @Sendable (HopWireEvent<SpeechToRuntime>) -> Void {
        opened.withLockedValue { $0 += 1 }
        bell.ring()
        return { [pings, bell] event in
          if case .frame(.ping, _) = event { pings.withLockedValue { $0 += 1 } }
          bell.ring()
        }
      }
    }
  }

  /// Passes connections on, and knows how many are open.
  private final class Relay: Sendable {
    let port: Int
    private let channel: any Channel
    private let count: NIOLockedValueBox<Int>

    private init(_ channel: any Channel, _ count: NIOLockedValueBox<Int>) {
      self.channel = channel
      self.count = count
      port = channel.localAddress?.port ?? 0
    }

    static func start(to port: Int, _ bell: Bell) async throws -> Relay {
      let count = NIOLockedValueBox(0)
      let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelOption(ChannelOptions.autoRead, value: false)
        .childChannelInitializer { near in
          count.withLockedValue { $0 += 1 }
          near.closeFuture.whenComplete { _ in
            count.withLockedValue { $0 -= 1 }
            bell.ring()
          }
          return ClientBootstrap(group: near.eventLoop)
            .channelOption(ChannelOptions.autoRead, value: false)
            .connect(host: "127.0.0.1", port: port).flatMapThrowing { far in
              try near.pipeline.syncOperations.addHandler(Passage(to: far))
              try far.pipeline.syncOperations.addHandler(Passage(to: near))
              for side in [near, far] { side.setOption(ChannelOptions.autoRead, value: true).whenComplete { _ in } }
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
      return Relay(channel, count)
    }

    var open: Int { count.withLockedValue { $0 } }
    func stop() async { try? await channel.close() }

    private final class Passage: ChannelInboundHandler {
      typealias InboundIn = ByteBuffer
      private let other: any Channel
      init(to other: any Channel) { self.other = other }
      func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other.writeAndFlush(unwrapInboundIn(data), promise: nil)
      }
      func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
    }
  }
#endif
