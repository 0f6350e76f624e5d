import Base
import Glibc
import MediaIO
import NIOCore
import NIOPosix
import SIP

/// The signalling sockets: one UDP socket, listeners for TCP and TLS, and their connections. Confined to the signalling event loop.
final class SIPSockets {
  /// Open connections, in both directions; above it new ones are closed at once. SIP trunks need a few.
  static let connectionLimit = 1024
  /// How many of them one address may open, so that nobody takes them all.
  static let connectionsPerAddress = 256
  /// A connection that has brought nothing for this long after it was opened is closed: whoever opens one has something to say.
  /// A TLS handshake has to be over by then, and does not count as such.
  static let firstBytesTimeout = TimeAmount.seconds(32)
  /// A connection without a byte for this long is closed. Phones keep theirs alive every two minutes or less (RFC 5626).
  static let idleTimeout = TimeAmount.minutes(10)
  /// Bytes that a peer may leave unread before its connection is closed: a few hundred messages.
  static let unwrittenLimit = 512 * 1024
  /// How long opening a connection may take.
  static let connectTimeout = TimeAmount.seconds(5)
  /// Datagrams read in one go before other work of the loop has its turn.
  static let datagramsPerRead: UInt = 32

  /// What the owner hears. Called on the loop.
  struct Handler {
    var datagram: (_ bytes: ByteBuffer, _ peer: PeerAddress) -> Void
    var stream: (_ bytes: ByteBuffer, _ transport: SIPTransport, _ peer: PeerAddress, _ connection: UInt64) -> Void
    var connectionClosed: (_ connection: UInt64) -> Void
    var sendFailed: (_ peer: SIPPeer) -> Void
    /// Whether this address may talk to us at all.
    var admits: (_ peer: PeerAddress) -> Bool
  }

  private struct Connection {
    let channel: any Channel
    let remote: Remote
    /// The other side has opened it.
    let isTheirs: Bool
    var unwritten = 0
  }

  /// What a connection leads to.
  private struct Remote: Hashable {
    var transport: SIPTransport
    var address: PeerAddress
  }

  let loop: any EventLoop
  private let handler: Handler
  private var datagrams: (any Channel)?
  private var listeners: [any Channel] = []
  private var connections: [UInt64: Connection] = [:]
  private var nextConnection: UInt64 = 1
  /// Messages for connections that are being opened.
  private var opening: [Remote: [(bytes: [UInt8], peer: SIPPeer)]] = [:]
  /// Messages that wait for one connection to open.
  private static let openingLimit = 64
  private var destinations: [PeerAddress: SocketAddress] = [:]
  private let certificates: SIPCertificates?
  private(set) var isClosed = false

  /// - Parameter certificates: for TLS; nil: it is neither listened on nor dialled.
  init(loop: any EventLoop, certificates: SIPCertificates?, handler: Handler) {
    self.loop = loop
    self.certificates = certificates
    self.handler = handler
  }

  /// Bound addresses by transport.
  private(set) var bound: [MediaGatewayConfiguration.SIPTransport: PeerAddress] = [:]

  // MARK: Opening

  /// A port that the system chose for one transport may be taken for another; so many are tried.
  private static let attempts = 8

  /// Binds what `transports` names. With port 0 UDP and TCP get the same port, one that is free for both.
  func open(
    host: String, port: Int, tlsPort: Int, transports: [MediaGatewayConfiguration.SIPTransport],
    attempts: Int = SIPSockets.attempts
  ) -> EventLoopFuture<Void> {
    loop.preconditionInEventLoop()
    let me = NIOLoopBound(self, eventLoop: loop)
    return bindAll(host: host, port: port, tlsPort: tlsPort, transports: transports).flatMapError { error in
      guard port == 0, attempts > 1, (error as? MediaGatewayError)?.code == .portInUse else {
        return me.value.loop.makeFailedFuture(error)
      }
      me.value.datagrams?.close(promise: nil)
      for listener in me.value.listeners { listener.close(promise: nil) }
      me.value.listeners = []
      me.value.bound = [:]
      return me.value.open(
        host: host, port: 0, tlsPort: tlsPort, transports: transports, attempts: attempts - 1)
    }
  }

  private func bindAll(
    host: String, port: Int, tlsPort: Int, transports: [MediaGatewayConfiguration.SIPTransport]
  ) -> EventLoopFuture<Void> {
    let first = loop.makeSucceededFuture(port)
    let me = NIOLoopBound(self, eventLoop: loop)
    return transports.reduce(first) { before, transport in
      before.flatMap { port in
        let opened =
          switch transport {
          case .udp: me.value.openUDP(host: host, port: port)
          case .tcp: me.value.listen(.tcp, .tcp, host: host, port: port)
          case .tls: me.value.listen(.tls, .tls, host: host, port: tlsPort).map { _ in port }
          }
        return opened.flatMapErrorThrowing {
          throw Self.explain($0, transport: transport, host: host, port: transport == .tls ? tlsPort : port)
        }
      }
    }.map { _ in }
  }

  private func openUDP(host: String, port: Int) -> EventLoopFuture<Int> {
    let me = NIOLoopBound(self, eventLoop: loop)
    return DatagramBootstrap(group: loop)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
      .channelOption(.maxMessagesPerRead, value: Self.datagramsPerRead)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(DatagramInput(me.value))
        }
      }
      .bind(host: host, port: port)
      .map { channel in me.value.bind(.udp, channel) }
  }

  private func listen(
    _ transport: MediaGatewayConfiguration.SIPTransport, _ spoken: SIPTransport, host: String, port: Int
  ) -> EventLoopFuture<Int> {
    let me = NIOLoopBound(self, eventLoop: loop)
    return ServerBootstrap(group: loop, childGroup: loop)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try me.value.prepare(channel, spoken) }
      }
      .bind(host: host, port: port)
      .map { channel in me.value.bind(transport, channel) }
  }

  private func bind(_ transport: MediaGatewayConfiguration.SIPTransport, _ channel: any Channel) -> Int {
    let address = channel.localAddress.flatMap(PeerAddress.init(_:))
    bound[transport] = address
    switch transport {
    case .udp: datagrams = channel
    case .tcp, .tls: listeners.append(channel)
    }
    return address.map { Int($0.port) } ?? 0
  }

  private static func explain(
    _ error: any Error, transport: MediaGatewayConfiguration.SIPTransport, host: String, port: Int
  ) -> MediaGatewayError {
    if let error = error as? MediaGatewayError { return error }
    let place = "\(transport.rawValue.uppercased()) \(host):\(port)"
    if let error = error as? IOError {
      switch error.errnoCode {
      case EADDRINUSE:
        return MediaGatewayError(
          code: .portInUse,
          description:
            "SIP cannot listen on \(place): port \(port) is in use by another process; set media.sip_\(transport == .tls ? "tls_" : "")port"
        )
      case EADDRNOTAVAIL:
        return MediaGatewayError(
          code: .badAddress, description: "SIP cannot listen on \(place): this machine has no address \(host)")
      case EACCES:
        return MediaGatewayError(
          code: .listenFailed,
          description: "SIP cannot listen on \(place): the system does not allow port \(port) to this user")
      default:
        return MediaGatewayError(code: .listenFailed, description: "SIP cannot listen on \(place): \(error)")
      }
    }
    if error is SocketAddressError || error is SocketAddressError.UnknownHost {
      return MediaGatewayError(
        code: .badAddress, description: "SIP cannot listen on \(place): \"\(host)\" is no address of this machine")
    }
    return MediaGatewayError(code: .listenFailed, description: "SIP cannot listen on \(place): \(error)")
  }

  // MARK: Sending

  /// Sends one whole message; what fails is reported through the handler, later.
  func send(_ bytes: [UInt8], to peer: SIPPeer) {
    guard !isClosed else { return }
    switch peer.transport {
    case .udp: sendDatagram(bytes, to: peer)
    case .tcp, .tls: sendStream(bytes, to: peer)
    // Not listened on, so nothing is sent so; it must never leave in clear text.
    case .ws, .wss: failLater(peer)
    }
  }

  private func sendDatagram(_ bytes: [UInt8], to peer: SIPPeer) {
    guard let datagrams, let target = destination(peer) else { return failLater(peer) }
    let me = NIOLoopBound(self, eventLoop: loop)
    datagrams.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: bytes))).whenFailure { _ in
      me.value.handler.sendFailed(peer)
    }
  }

  private func sendStream(_ bytes: [UInt8], to peer: SIPPeer) {
    let address = PeerAddress(peer.host, port: peer.port)
    if let connection = peer.connection {
      if connections[connection] != nil { return write(bytes, connection: connection, peer: peer) }
      // RFC 3261 18.2.2: where the request's connection is gone, a new one is opened.
    }
    guard let address else { return failLater(peer) }
    let remote = Remote(transport: peer.transport, address: address)
    if let (connection, _) = connections.first(where: { $0.value.remote == remote }) {
      return write(bytes, connection: connection, peer: peer)
    }
    connect(remote, bytes, peer)
  }

  private func connect(_ remote: Remote, _ bytes: [UInt8], _ peer: SIPPeer) {
    if let waiting = opening[remote] {
      guard waiting.count < Self.openingLimit else { return failLater(peer) }
      opening[remote]?.append((bytes, peer))
      return
    }
    guard connections.count + opening.count < Self.connectionLimit, let target = destination(peer) else {
      return failLater(peer)
    }
    opening[remote] = [(bytes, peer)]
    let me = NIOLoopBound(self, eventLoop: loop)
    ClientBootstrap(group: loop)
      .connectTimeout(Self.connectTimeout)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .connect(to: target)
      .flatMapThrowing { channel in
        try me.value.prepare(channel, remote.transport, to: remote.address)
      }
      .whenComplete { result in
        let waiting = me.value.opening.removeValue(forKey: remote) ?? []
        switch result {
        case .success(let connection):
          for (bytes, peer) in waiting { me.value.write(bytes, connection: connection, peer: peer) }
        case .failure:
          for (_, peer) in waiting { me.value.handler.sendFailed(peer) }
        }
      }
  }

  private func write(_ bytes: [UInt8], connection: UInt64, peer: SIPPeer) {
    guard let channel = connections[connection]?.channel else { return failLater(peer) }
    connections[connection]?.unwritten += bytes.count
    if connections[connection]?.unwritten ?? 0 > Self.unwrittenLimit {
      channel.close(promise: nil)
      return failLater(peer)
    }
    let me = NIOLoopBound(self, eventLoop: loop)
    channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { result in
      me.value.connections[connection]?.unwritten -= bytes.count
      if case .failure = result { me.value.handler.sendFailed(peer) }
    }
  }

  /// Never from within `send`: the owner is in the middle of performing actions then.
  private func failLater(_ peer: SIPPeer) {
    let me = NIOLoopBound(self, eventLoop: loop)
    loop.execute { me.value.handler.sendFailed(peer) }
  }

  private func destination(_ peer: SIPPeer) -> SocketAddress? {
    guard let key = PeerAddress(peer.host, port: peer.port) else { return nil }
    if let known = destinations[key] { return known }
    guard let address = try? SocketAddress(ipAddress: peer.host, port: peer.port) else { return nil }
    // A cache, not a table: emptied rather than grown when strangers come by the thousand.
    if destinations.count >= 4096 { destinations.removeAll() }
    destinations[key] = address
    return address
  }

  // MARK: Connections

  /// Closes a connection after what was written to it has gone out.
  func close(connection: UInt64) { connections[connection]?.channel.close(promise: nil) }

  func close() -> EventLoopFuture<Void> {
    isClosed = true
    let all = [datagrams].compactMap { $0 } + listeners + connections.values.map(\.channel)
    let closing = all.map { channel in channel.close().recover { _ in } }
    return EventLoopFuture.andAllComplete(closing, on: loop)
  }

  @discardableResult
  private func prepare(_ channel: any Channel, _ transport: SIPTransport, to known: PeerAddress? = nil) throws -> UInt64
  {
    guard !isClosed, connections.count < Self.connectionLimit,
      let peer = known ?? channel.remoteAddress.flatMap(PeerAddress.init(_:)), handler.admits(peer),
      known != nil || hasRoom(for: peer)
    else { throw ChannelError.connectTimeout(.zero) }
    let pipeline = channel.pipeline.syncOperations
    if transport == .tls {
      guard let certificates else { throw ChannelError.operationUnsupported }
      if known == nil {
        try pipeline.addHandler(certificates.serverHandler())
      } else {
        try pipeline.addHandler(certificates.clientHandler())
      }
    }
    let number = nextConnection
    nextConnection += 1
    connections[number] = Connection(
      channel: channel, remote: Remote(transport: transport, address: peer), isTheirs: known == nil)
    try pipeline.addHandlers(
      IdleStateHandler(readTimeout: Self.idleTimeout), StreamInput(self, number, transport, peer))
    let me = NIOLoopBound(self, eventLoop: loop)
    channel.closeFuture.whenComplete { _ in
      if me.value.connections.removeValue(forKey: number) != nil { me.value.handler.connectionClosed(number) }
    }
    return number
  }

  /// Whether this address may open one more.
  private func hasRoom(for peer: PeerAddress) -> Bool {
    var own = 0
    for connection in connections.values where connection.isTheirs && connection.remote.address.host == peer.host {
      own += 1
    }
    return own < Self.connectionsPerAddress
  }

  private final class DatagramInput: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    private let owner: SIPSockets
    init(_ owner: SIPSockets) { self.owner = owner }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let envelope = unwrapInboundIn(data)
      guard let peer = PeerAddress(envelope.remoteAddress), owner.handler.admits(peer) else { return }
      owner.handler.datagram(envelope.data, peer)
    }

    // An ICMP error for one peer must not take the socket of all down.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
  }

  private final class StreamInput: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let owner: SIPSockets
    private let number: UInt64
    private let transport: SIPTransport
    private let peer: PeerAddress
    /// Until the first bytes have come.
    private var silence: Scheduled<Void>?

    init(_ owner: SIPSockets, _ number: UInt64, _ transport: SIPTransport, _ peer: PeerAddress) {
      self.owner = owner
      self.number = number
      self.transport = transport
      self.peer = peer
    }

    func handlerAdded(context: ChannelHandlerContext) {
      let channel = context.channel
      silence = context.eventLoop.scheduleTask(in: SIPSockets.firstBytesTimeout) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { silence?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      silence?.cancel()
      owner.handler.stream(unwrapInboundIn(data), transport, peer, number)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if event is IdleStateHandler.IdleStateEvent {
        context.close(promise: nil)
      } else {
        context.fireUserInboundEventTriggered(event)
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }
}

extension PeerAddress {
  /// nil for a Unix domain socket.
  init?(_ address: SocketAddress) {
    var storage = sockaddr_storage()
    let isWhole = address.withSockAddr { bytes, count in
      guard count <= MemoryLayout<sockaddr_storage>.size else { return false }
      withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: bytes, count: count)) }
      return true
    }
    guard isWhole else { return nil }
    self.init(&storage)
  }
}
