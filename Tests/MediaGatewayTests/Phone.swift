import Audio
import Base
import CallLink
import MediaGateway
import MediaIO
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import RTP
import SDP
import SIP

/// A telephone on loopback: a SIP endpoint and one leg over real sockets, driven by a test. Everything it has seen can be
/// waited for; nothing is waited out.
final class Phone: Sendable {
  /// What the phone tells its test.
  enum Event: Sendable, Equatable {
    case progress(Int)
    case answered
    case ended(SIPEnd.Cause, status: Int)
    case digit(Character, durationMs: Int)
    case reinvited
    /// The ACK of our answer to a re-INVITE.
    case acknowledged
    case reinviteAnswered
    case reinviteFailed(Int)
    case response(Int)
    case retryAfter(Int)
  }

  let loop: any EventLoop
  let events: AsyncStream<Event>
  private let box: NIOLoopBoundBox<Core?>

  /// - Parameter tls: for ``SIPTransport/tls``; the gateway's certificate must be for its address.
  static func make(
    transport: SIPTransport = .udp, server: ListeningAddress, tls: TLSConfiguration? = nil
  ) async throws -> Phone {
    let tls = try tls.map { try NIOSSLContext(configuration: $0) }
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let (events, continuation) = AsyncStream.makeStream(of: Event.self)
    let phone = Phone(loop: loop, events: events)
    try await loop.flatSubmit {
      do {
        let core = try Core(
          loop: loop, transport: transport, server: server, tls: tls, tell: { continuation.yield($0) })
        phone.box.value = core
        return core.open()
      } catch {
        return loop.makeFailedFuture(error)
      }
    }.get()
    return phone
  }

  private init(loop: any EventLoop, events: AsyncStream<Event>) {
    self.loop = loop
    self.events = events
    box = .makeEmptyBox(valueType: Core.self, eventLoop: loop)
  }

  func run<T: Sendable>(_ body: @escaping @Sendable (Core) -> T) async throws -> T {
    try await loop.submit { [box] in
      guard let core = box.value else { throw ChannelError.alreadyClosed }
      return body(core)
    }.get()
  }

  /// The first event that fits; those before it are gone.
  func next(_ fits: @Sendable (Event) -> Bool) async -> Event? {
    for await event in events where fits(event) { return event }
    return nil
  }

  /// Returns when what the phone has heard satisfies `condition`, which is asked after every tick.
  func heard(_ condition: @escaping @Sendable (Media) -> Bool) async throws {
    try await loop.flatSubmit { [box] in
      box.value?.media.when(condition) ?? box.eventLoop.makeFailedFuture(ChannelError.alreadyClosed)
    }.get()
  }

  func close() async {
    try? await loop.submit { [box] in
      box.value?.close()
      box.value = nil
    }.get()
  }

  /// The phone's sound: sends a tone or nothing, and keeps the loudness of what comes.
  final class Media: PacedMember {
    let socket: UDPSocket
    private let buffer = DatagramBuffer()
    private(set) var leg: Leg?
    private var registry = PlaybackRegistry()
    private var tone: PlaybackID?
    /// Mean magnitude of every packet that came, in order of arrival.
    var levels: [Double] = []
    var headers: [RTPHeader] = []
    private var waiting: [((Media) -> Bool, EventLoopPromise<Void>)] = []
    private let loop: any EventLoop
    let tell: (Event) -> Void

    init(loop: any EventLoop, tell: @escaping (Event) -> Void) throws {
      self.loop = loop
      self.tell = tell
      socket = try UDPSocket(host: "127.0.0.1", port: 0)
    }

    func start(_ audio: NegotiatedAudio) {
      guard let format = LegFormat(audio) else { return }
      if let leg { return leg.renegotiate(format, at: .monotonic()) }
      var random = SeededRandom.fromSystem()
      leg = try? Leg(Leg.Configuration(format: format), random: &random, at: .monotonic()) { _, _ in }
    }

    /// Speaks a loud square wave for `milliseconds`.
    func speak(_ milliseconds: Int) {
      let id = PlaybackID(UInt32(levels.count + 1))
      guard let leg, let playback = registry.open(id) else { return }
      leg.playout.open(playback)
      let samples = (0..<milliseconds * 16).map { Int16($0 % 40 < 20 ? 9000 : -9000) }
      samples.withUnsafeBufferPointer { _ = registry.write($0, to: id) }
      leg.playout.end(id)
    }

    /// The phone falls silent: it still listens.
    func stopSending() { isSilent = true }
    private var isSilent = false

    func when(_ condition: @escaping (Media) -> Bool) -> EventLoopFuture<Void> {
      let promise = loop.makePromise(of: Void.self)
      waiting.append((condition, promise))
      return promise.futureResult
    }

    private(set) var ticks = 0

    func skip(ticks: Int) {}

    func tick(now: Instant) {
      ticks += 1
      socket.receive(into: buffer, limit: 100) { datagram in
        if let view = try? RTPPacketView(datagram.bytes), view.payloadType == .pcmu {
          let sum = view.payload.reduce(0.0) { $0 + Double(abs(Int(G711.decode($1, law: .ulaw)))) }
          levels.append(sum / Double(max(1, view.payload.count)))
          headers.append(
            RTPHeader(
              marker: view.marker, payloadType: view.payloadType, sequence: view.sequence, timestamp: view.timestamp,
              ssrc: view.ssrc))
        }
        leg?.receive(
          datagram.bytes, from: RTPPeer(high: datagram.peer.high, low: datagram.peer.low, port: datagram.peer.port),
          at: datagram.arrival, ntp: { 0 })
      }
      if let leg {
        if let audio = leg.tick(at: now, ntp: { 0 }).audio, let remote = leg.remote, !isSilent {
          socket.send(audio, to: PeerAddress(high: remote.high, low: remote.low, port: remote.port))
        }
        for case .digit(let digit, let durationMs) in leg.events { tell(.digit(digit, durationMs: durationMs)) }
        leg.events.removeAll()
      }
      waiting.removeAll { condition, promise in
        guard condition(self) else { return false }
        promise.succeed()
        return true
      }
    }

    func fail() {
      for (_, promise) in waiting { promise.fail(ChannelError.alreadyClosed) }
      waiting = []
      socket.close()
    }
  }

  /// Signalling and media together, on the loop.
  final class Core {
    let loop: any EventLoop
    let transport: SIPTransport
    let server: ListeningAddress
    let tell: (Event) -> Void
    private let tls: NIOSSLContext?
    let media: Media
    private let pacer: Pacer
    private var endpoint: SIPEndpoint
    private var channel: (any Channel)?
    private var exchange = OfferAnswer(sessionID: 4711)
    private var timer: Scheduled<Void>?
    private(set) var call: SIPCallHandle?
    /// The host of the other side's Contact.
    private(set) var contactHost: String?
    /// Refused with these, one after the other, before one is answered.
    var refusesReinvites: [Int] = []
    /// The last re-INVITE's body.
    private(set) var lastOffer: SessionDescription?
    /// What the other side described before.
    private(set) var lastAnswer: SessionDescription?
    /// ACKs that are lost on their way here.
    var losesACKs = 0
    /// First lines of what came, in order.
    private(set) var arrived: [String] = []
    /// What the phone wants its audio to be.
    private var direction = MediaDirection.sendrecv

    init(
      loop: any EventLoop, transport: SIPTransport, server: ListeningAddress, tls: NIOSSLContext? = nil,
      tell: @escaping (Event) -> Void
    ) throws {
      self.tls = tls
      self.loop = loop
      self.transport = transport
      self.server = server
      self.tell = tell
      media = try Media(loop: loop, tell: tell)
      pacer = Pacer(eventLoop: loop)
      endpoint = SIPEndpoint(configuration: SIPConfiguration(), random: .fromSystem())
    }

    func open() -> EventLoopFuture<Void> {
      let me = NIOLoopBound(self, eventLoop: loop)
      let opened =
        switch transport {
        case .udp:
          DatagramBootstrap(group: loop).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
              try channel.pipeline.syncOperations.addHandler(DatagramInput(me.value))
            }
          }.bind(host: "127.0.0.1", port: 0)
        case .tcp, .tls, .ws, .wss:
          ClientBootstrap(group: loop).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
              if let tls = me.value.tls {
                try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: nil))
              }
              try channel.pipeline.syncOperations.addHandler(StreamInput(me.value))
            }
          }.connect(host: server.host, port: server.port)
        }
      return opened.map { channel in
        me.value.channel = channel
        var configuration = SIPConfiguration()
        configuration.contactUser = "phone"
        configuration.localAddresses[me.value.transport] = SIPHostPort(
          host: "127.0.0.1", port: channel.localAddress?.port ?? 0)
        me.value.endpoint = SIPEndpoint(configuration: configuration, random: .fromSystem())
        me.value.pacer.add(me.value.media)
      }
    }

    private var peer: SIPPeer {
      SIPPeer(transport, host: server.host, port: server.port, connection: transport.isReliable ? 1 : nil)
    }

    private func capabilities(codecs: [AudioCodec]? = nil) -> AudioCapabilities {
      AudioCapabilities(
        codecs: codecs ?? [.pcmu, .pcma, .telephoneEvent], address: "127.0.0.1", port: media.socket.local.port,
        direction: direction)
    }

    func dial(_ user: String = "helpdesk", codecs: [AudioCodec]? = nil, offers: Bool = true) {
      let uri = SIPURI(user: user, host: server.host, port: server.port)
      let offer = offers ? try? exchange.offer(capabilities(codecs: codecs)) : nil
      feed { endpoint in
        let (call, actions) = endpoint.invite(
          SIPInvite(
            target: uri, from: SIPNameAddress(uri: SIPURI(user: "4930123", host: "127.0.0.1")), peer: self.peer,
            body: offer.map { .sdp($0.serialized()) }, headers: [SIPHeaderField("X-Account", "77")]), at: .monotonic())
        self.call = call
        return actions
      }
    }

    /// A key by INFO.
    func inform(_ key: Character) {
      if let call { feed { $0.inform(call, body: SIPDigit(key, durationMs: 160).body, at: .monotonic()) } }
    }

    func hangup() { if let call { feed { $0.hangup(call, at: .monotonic()) } } }
    func hold(_ direction: MediaDirection) {
      self.direction = direction
      guard let call, let offer = try? exchange.offer(capabilities()) else { return }
      feed { $0.reinvite(call, body: .sdp(offer.serialized()), at: .monotonic()) }
    }

    func options() {
      feed { endpoint in
        endpoint.request(
          SIPRequest(
            method: .options, target: SIPURI(host: self.server.host, port: self.server.port),
            from: SIPNameAddress(uri: SIPURI(user: "phone", host: "127.0.0.1")), peer: self.peer),
          at: .monotonic()
        ).1
      }
    }

    func raw(_ bytes: [UInt8]) { write(bytes, to: peer) }

    private func write(_ bytes: [UInt8], to peer: SIPPeer) {
      guard let channel else { return }
      let buffer = ByteBuffer(bytes: bytes)
      if transport.isReliable {
        let me = NIOLoopBound(self, eventLoop: loop)
        // Not at once: the endpoint is in the middle of handing out actions.
        channel.writeAndFlush(buffer).hop(to: loop).whenFailure { _ in
          me.value.loop.execute { me.value.feed { $0.sendFailed(to: peer, at: .monotonic()) } }
        }
      } else if let target = try? SocketAddress(ipAddress: peer.host, port: peer.port) {
        channel.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: buffer), promise: nil)
      }
    }

    func received(_ buffer: ByteBuffer, from source: SocketAddress? = nil) {
      let bytes = Array(buffer.readableBytesView)
      let line = String(decoding: bytes.prefix { $0 != 0x0D }, as: UTF8.self)
      arrived.append(line)
      if line.hasPrefix("ACK "), losesACKs > 0 {
        losesACKs -= 1
        return
      }
      var peer = peer
      if let host = source?.ipAddress, let port = source?.port { (peer.host, peer.port) = (host, port) }
      feed {
        self.transport.isReliable
          ? $0.receive(stream: bytes, from: peer, at: .monotonic())
          : $0.receive(datagram: bytes, from: peer, at: .monotonic())
      }
    }

    fileprivate func connectionLost() { feed { $0.connectionClosed(1, at: .monotonic()) } }

    private func feed(_ body: (inout SIPEndpoint) -> [SIPAction]) {
      let actions = body(&endpoint)
      for action in actions {
        switch action {
        case .send(let bytes, let peer): write(bytes, to: peer)
        case .close: channel?.close(promise: nil)
        case .event(let event): handle(event)
        }
      }
      timer?.cancel()
      guard let deadline = endpoint.deadline else { return }
      let wait = max(0, (deadline - .monotonic()).nanoseconds)
      timer = loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait)) { [weak self] () -> Void in
        self?.feed { $0.timeout(at: .monotonic()) }
      }
    }

    private func handle(_ event: SIPEvent) {
      switch event {
      case .progress(_, let progress): tell(.progress(progress.status))
      case .answered(let call, let answer):
        contactHost = answer.message.contact?.uri.host
        if answer.needsAnswer {
          guard let body = answer.body, let offer = try? SessionDescription(parsing: body.bytes),
            let made = try? exchange.answer(offer, with: capabilities())
          else { return }
          feed { $0.acknowledge(call, body: .sdp(made.answer.serialized()), at: .monotonic()) }
          media.start(made.audio)
        } else {
          apply(answer.body)
        }
        tell(.answered)
      case .reinviteAnswered(_, let body, _):
        apply(body)
        tell(.reinviteAnswered)
      case .reinviteFailed(_, let status, _):
        exchange.offerRefused()
        tell(.reinviteFailed(status))
      case .ended(_, let end):
        if let seconds = end.message?.retryAfterSeconds { tell(.retryAfter(seconds)) }
        tell(.ended(end.cause, status: end.status))
      case .response(_, let outcome): tell(.response(outcome.status))
      case .reinvite(let call, let offer): reinvited(call, offer)
      case .acknowledged: tell(.acknowledged)
      case .referred(_, let referral): feed { $0.rejectRefer(referral.handle, at: .monotonic()) }
      case .incoming, .provisionalAcknowledged, .reinviteCancelled, .info, .infoAnswered, .referral, .dialogChanged,
        .request, .authenticationFailed:
        break
      }
    }

    private func reinvited(_ call: SIPCallHandle, _ body: SIPBody?) {
      if !refusesReinvites.isEmpty {
        let status = refusesReinvites.removeFirst()
        return feed { $0.rejectReinvite(call, status: status, at: .monotonic()) }
      }
      guard let body, let offer = try? SessionDescription(parsing: body.bytes),
        let made = try? exchange.answer(offer, with: capabilities())
      else { return feed { $0.rejectReinvite(call, at: .monotonic()) } }
      lastOffer = offer
      feed { $0.answerReinvite(call, body: .sdp(made.answer.serialized()), at: .monotonic()) }
      media.start(made.audio)
      tell(.reinvited)
    }

    private func apply(_ body: SIPBody?) {
      guard let body, let answer = try? SessionDescription(parsing: body.bytes),
        let audio = try? exchange.apply(answer: answer)
      else { return }
      lastAnswer = answer
      media.start(audio)
    }

    func close() {
      timer?.cancel()
      pacer.stop()
      media.fail()
      channel?.close(promise: nil)
    }
  }

  private final class DatagramInput: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    let core: Core
    init(_ core: Core) { self.core = core }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let envelope = unwrapInboundIn(data)
      core.received(envelope.data, from: envelope.remoteAddress)
    }
  }

  private final class StreamInput: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let core: Core
    init(_ core: Core) { self.core = core }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { core.received(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { core.connectionLost() }
    // A handshake that fails closes the channel, which is what counts.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }
}
