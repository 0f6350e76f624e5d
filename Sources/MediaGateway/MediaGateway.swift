import Base
import CallLink
import Logging
import MediaIO
import NIOConcurrencyHelpers
import NIOCore

/// The media role: owns the SIP endpoint, the RTP sockets and the legs, and turns a caller's packets into PCM and back.
///
/// `start` opens the sockets; every call that is offered is handed to `speech`, which answers or rejects it. Safe to use from
/// any thread.
public final class MediaGateway: Sendable {
  private enum Phase { case new, running(Running), stopped }

  struct Running: Sendable {
    let context: MediaCall.Context
    let addresses: [ListeningAddress]
    var isDraining = false
    var signalling: SignallingMailbox { context.signalling }
  }

  let configuration: MediaGatewayConfiguration
  private let speech: any SpeechHop
  let group: any EventLoopGroup
  let metrics: MediaMetrics
  let logger: Logger
  private let phase = NIOLockedValueBox(Phase.new)
  private let live = LiveCount()
  private let mediaLoops = NIOLockedValueBox<[NIOLoopBoundBox<MediaLoop?>]>([])

  /// - Parameters:
  ///   - speech: who hears and speaks; `open` is called on the call's event loop.
  ///   - group: event loops for SIP and media; calls are spread over them. Not shut down by the gateway.
  public init(
    configuration: MediaGatewayConfiguration, speech: any SpeechHop, group: any EventLoopGroup,
    metrics: MediaMetrics = MediaMetrics(), logger: Logger
  ) {
    self.configuration = configuration
    self.speech = speech
    self.group = group
    self.metrics = metrics
    self.logger = logger
  }

  /// Opens the SIP sockets. Returns when they listen.
  /// - Throws: ``MediaGatewayError`` with a sentence that names the port or address.
  public func start() async throws {
    guard case .new = phase.withLockedValue({ $0 }) else {
      throw MediaGatewayError(code: .alreadyStarted, description: "the media gateway has been started before")
    }
    try configuration.check()
    let admission = try Admission(configuration.access, maxCalls: configuration.maxCalls)
    var random = SeededRandom.fromSystem()
    let ports = RTPPortPool(range: configuration.rtpPorts, quarantine: configuration.rtpPortQuarantine, using: &random)
    guard ports.pairs > 0 else {
      throw MediaGatewayError(
        code: .badConfiguration,
        description: "media.rtp_port_range \(configuration.rtpPorts.lowerBound)-\(configuration.rtpPorts.upperBound)"
          + " holds no pair of an even port and the odd one above it")
    }

    let signalling = SignallingMailbox(eventLoop: group.next())
    let context = MediaCall.Context(
      configuration: configuration, speech: speech, signalling: signalling, ports: NIOLockedValueBox(ports),
      metrics: metrics, logger: logger,
      certificates: try configuration.sipCertificates.map { try SIPCertificates($0, logger: logger) })
    let loops = group.makeIterator().map {
      NIOLoopBoundBox<MediaLoop?>.makeEmptyBox(valueType: MediaLoop.self, eventLoop: $0)
    }
    mediaLoops.withLockedValue { $0 = loops }
    for loop in loops {
      let lag = metrics.eventLoopLag
      try await loop.eventLoop.submit { loop.value = MediaLoop(eventLoop: loop.eventLoop, lag: lag) }.get()
    }
    let live = live
    let opening = signalling.eventLoop.flatSubmit {
      let service = SignallingService(
        context: context, eventLoop: signalling.eventLoop, mediaLoops: loops, admission: admission, live: live)
      signalling.attach(service)
      return service.open()
    }
    do {
      let addresses = try await opening.get()
      phase.withLockedValue { $0 = .running(Running(context: context, addresses: addresses)) }
      metrics.callCapacity(min(configuration.maxCalls, ports.pairs))
      metrics.draining(false)
      logger.info(
        "SIP listens", metadata: ["addresses": .array(addresses.map { .string($0.description) })])
    } catch {
      await close(signalling)
      throw error
    }
  }

  /// Reads the certificates of SIP over TLS again where their files have changed: new connections use them, those that are
  /// open go on. Done every ``SIPCertificates/interval`` by itself.
  public func reloadCertificates() async {
    guard let certificates = running?.context.certificates else { return }
    await certificates.reload()
  }

  /// Where SIP listens since ``start()``, with the ports that the system chose for port 0.
  public var listeningAddresses: [ListeningAddress] {
    running?.addresses ?? []
  }

  var running: Running? {
    if case .running(let running) = phase.withLockedValue({ $0 }) { running } else { nil }
  }

  /// Refuses new calls with 503 from now on; live ones go on.
  public func refuseNewCalls() {
    guard let signalling = running?.signalling else { return }
    beginDraining()
    _ = signalling.submit { service in service?.beginDraining() }
  }

  /// No call may begin here, or come here, any more.
  func beginDraining() {
    metrics.draining(true)
    phase.withLockedValue { phase in
      guard case .running(var running) = phase else { return }
      running.isDraining = true
      phase = .running(running)
    }
  }

  /// Calls that are live now, offered ones included.
  public var activeCalls: Int { live.calls }

  /// Refuses new calls with 503 from now on, waits for the live ones up to `limit`, and hangs up those that remain with
  /// ``HangupReason/shutdown``. Sockets stay open until ``stop()``.
  public func drain(limit: Duration) async {
    guard let signalling = running?.signalling else { return }
    beginDraining()
    let loop = signalling.eventLoop
    let empty = signalling.submit { service in service?.beginDraining() }
      .flatMap { signalling.submit { service in service?.whenEmpty() ?? loop.makeSucceededVoidFuture() } }
      .flatMap { $0 }
    let late = loop.scheduleTask(in: .nanoseconds(limit.nanoseconds)) {
      _ = signalling.submit { service in service?.hangupAll(.shutdown) }
    }
    try? await empty.get()
    late.cancel()
  }

  /// Hangs up whatever is live and closes all sockets. Idempotent.
  public func stop() async {
    let running = phase.withLockedValue { phase -> SignallingMailbox? in
      defer { phase = .stopped }
      if case .running(let running) = phase { return running.signalling } else { return nil }
    }
    guard let running else { return }
    let loop = running.eventLoop
    // The last BYEs get a moment to be answered, so that no peer is left talking to nobody.
    let gone = loop.makePromise(of: Void.self)
    let limit = loop.scheduleTask(in: SignallingService.farewellLimit) { gone.succeed() }
    running.submit { service in
      service?.beginDraining()
      service?.hangupAll(.shutdown)
      service?.whenIdle().cascade(to: gone)
      if service == nil { gone.succeed() }
    }.whenFailure { _ in gone.succeed() }
    try? await gone.futureResult.get()
    limit.cancel()
    await close(running)
  }

  private func close(_ signalling: SignallingMailbox) async {
    let loop = signalling.eventLoop
    let closed = loop.flatSubmit {
      signalling.submit { service in service?.close() ?? loop.makeSucceededVoidFuture() }.flatMap { $0 }
    }
    try? await closed.get()
    try? await loop.submit { signalling.attach(nil) }.get()
    for media in mediaLoops.withLockedValue({ $0 }) {
      try? await media.eventLoop.submit {
        media.value?.pacer.stop()
        media.value = nil
      }.get()
    }
  }
}

extension MediaGatewayConfiguration {
  /// What no default can mend; one sentence each.
  func check() throws(MediaGatewayError) {
    func bad(_ text: String) -> MediaGatewayError { MediaGatewayError(code: .badConfiguration, description: text) }
    guard PeerAddress(host, port: 0) != nil else {
      throw MediaGatewayError(
        code: .badAddress, description: "the listening address \"\(host)\" is no numeric IP address")
    }
    if let advertisedAddress, PeerAddress(advertisedAddress, port: 0) == nil {
      throw bad("media.advertised_address \"\(advertisedAddress)\" is no numeric IP address; use one, or auto")
    }
    guard (0...65_535).contains(sipPort) else { throw bad("media.sip_port \(sipPort) is no port (0 to 65535)") }
    guard !sipTransports.isEmpty else { throw bad("media.sip_transport names no transport; use udp, tcp or tls") }
    guard (0...65_535).contains(sipTLSPort) else {
      throw bad("media.sip_tls_port \(sipTLSPort) is no port (0 to 65535)")
    }
    guard !sipTransports.contains(.tls) || sipCertificates != nil else {
      throw bad("media.sip_transport names tls, which needs media.sip_tls_cert and media.sip_tls_key")
    }
    guard !codecs.isEmpty else { throw bad("media.codecs names no codec that is built in; use g711-ulaw or g711-alaw") }
    guard (1024...65_535).contains(rtpPorts.lowerBound), rtpPorts.upperBound <= 65_535 else {
      throw bad(
        "media.rtp_port_range \(rtpPorts.lowerBound)-\(rtpPorts.upperBound) must lie within 1024-65535")
    }
    guard maxCalls > 0 else { throw bad("media.max_calls must be at least 1") }
  }
}
