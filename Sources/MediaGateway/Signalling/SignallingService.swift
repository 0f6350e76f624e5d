import Base
import CallLink
import Glibc
import Logging
import MediaIO
import NIOCore
import SIP
import Synchronization

/// What a call asks of the signalling.
enum SignallingCommand: Sendable {
  case ring(SIPCallHandle)
  case answer(SIPCallHandle, SIPBody?)
  case reject(SIPCallHandle, Int, String?)
  case hangup(SIPCallHandle)
  case answerReinvite(SIPCallHandle, SIPBody?)
  case rejectReinvite(SIPCallHandle, Int)
  case reinvite(SIPCallHandle, SIPBody)
  /// The call has let go of everything; only its last messages are still on their way.
  case finished(SIPCallHandle)
  /// Another process has the call: nothing more is said in its dialog.
  case abandon(SIPCallHandle)
}

/// The signalling's address: takes commands from any thread.
final class SignallingMailbox: Sendable {
  let eventLoop: any EventLoop
  private let service: NIOLoopBoundBox<SignallingService?>

  init(eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
    service = .makeEmptyBox(valueType: SignallingService.self, eventLoop: eventLoop)
  }

  /// On the event loop.
  func attach(_ service: SignallingService?) { self.service.value = service }

  func perform(_ command: SignallingCommand) {
    eventLoop.execute { self.service.value?.perform(command) }
  }

  /// Runs `body` with the service on its loop; nil where the gateway has stopped.
  func submit<T: Sendable>(_ body: @escaping @Sendable (SignallingService?) -> T) -> EventLoopFuture<T> {
    eventLoop.submit { body(self.service.value) }
  }
}

/// Calls that are live, readable from any thread.
final class LiveCount: Sendable {
  private let value = Atomic<Int>(0)
  var calls: Int { value.load(ordering: .relaxed) }
  func set(_ calls: Int) { value.store(calls, ordering: .relaxed) }
}

/// Owns the SIP endpoint and its sockets, decides who may call, and connects calls to their dialogs. Confined to one event
/// loop.
final class SignallingService {
  /// What a caller that is turned away is told to wait.
  static let retryAfterSeconds = 5
  /// What dialogs see of a call's headers.
  private static let headerFilter = SIPHeaderFilter()
  /// Metrics of requests are gathered this long before they are told.
  private static let metricsDelay = TimeAmount.milliseconds(250)
  /// How long the last BYEs may take before the sockets close.
  static let farewellLimit = TimeAmount.seconds(2)

  private let context: MediaCall.Context
  private let mediaLoops: [NIOLoopBoundBox<MediaLoop?>]
  private let eventLoop: any EventLoop
  private let live: LiveCount
  private var endpoint: SIPEndpoint
  private var sockets: SIPSockets?
  private var calls: [SIPCallHandle: CallMailbox] = [:]
  private var nextLoop = 0
  private var admission: Admission
  private var random = SeededRandom.fromSystem()
  private var armed: Instant?
  private var timer: NIOScheduledCallback?
  private var watch: RepeatedTask?
  private var told: [SIPCounters.Outcome: Int] = [:]
  private var toldUnread = 0
  private var isMetricsDue = false
  private var emptied: [EventLoopPromise<Void>] = []
  private var idle: [EventLoopPromise<Void>] = []

  init(
    context: MediaCall.Context, eventLoop: any EventLoop, mediaLoops: [NIOLoopBoundBox<MediaLoop?>],
    admission: Admission, live: LiveCount
  ) {
    self.context = context
    self.eventLoop = eventLoop
    self.mediaLoops = mediaLoops
    self.admission = admission
    self.live = live
    endpoint = SIPEndpoint(configuration: SIPConfiguration(), random: .fromSystem())
  }

  // MARK: Opening and closing

  /// Opens the sockets; the result is where they listen.
  func open() -> EventLoopFuture<[ListeningAddress]> {
    let me = NIOLoopBound(self, eventLoop: eventLoop)
    let settings = context.configuration
    let sockets = SIPSockets(
      loop: eventLoop, certificates: context.certificates,
      handler: SIPSockets.Handler(
        datagram: { bytes, peer in me.value.received(datagram: bytes, from: peer) },
        stream: { bytes, transport, peer, connection in
          me.value.received(stream: bytes, transport, from: peer, connection)
        },
        connectionClosed: { connection in me.value.feed { $0.connectionClosed(connection, at: $1) } },
        sendFailed: { peer in me.value.feed { $0.sendFailed(to: peer, at: $1) } },
        admits: { peer in me.value.admission.admits(peer) }))
    self.sockets = sockets
    return sockets.open(
      host: settings.host, port: settings.sipPort, tlsPort: settings.sipTLSPort, transports: settings.sipTransports
    ).map { me.value.opened() }
  }

  private func opened() -> [ListeningAddress] {
    guard let sockets else { return [] }
    let settings = context.configuration
    var configuration = SIPConfiguration()
    configuration.product = settings.product
    configuration.retryAfterSeconds = Self.retryAfterSeconds
    configuration.limits.calls = settings.maxCalls + 64
    configuration.sessionExpires = settings.sessionTimerSeconds
    var screen = SIPScreenSettings()
    // How much one source may send, only its owner knows; calls have a limit of their own (``Admission``).
    screen.requestsPerSecond = nil
    screen.malformedPerSecond = nil
    if !settings.access.dropsScanners { screen.scanners = [] }
    configuration.screen = screen
    configuration.tellsDialogs = context.kept != nil
    // 192.0.2.1 stands for the rest of the world; a peer on another network is told the address it reaches us at.
    let general = Self.advertised(settings, towards: PeerAddress(ipv4: 0xC000_0201, port: 5060))
    configuration.localHost = { peer in
      PeerAddress(peer.host, port: peer.port).map { Self.advertised(settings, towards: $0) }
    }
    var addresses: [ListeningAddress] = []
    for transport in settings.sipTransports {
      guard let bound = sockets.bound[transport] else { continue }
      let port = Int(bound.port)
      configuration.localAddresses[Self.spoken(transport)] = SIPHostPort(host: general, port: port)
      addresses.append(ListeningAddress(transport: transport, host: bound.host, port: port))
    }
    endpoint = SIPEndpoint(configuration: configuration, random: .fromSystem())
    watchCertificates()
    return addresses
  }

  private static func spoken(_ transport: MediaGatewayConfiguration.SIPTransport) -> SIPTransport {
    switch transport {
    case .udp: .udp
    case .tcp: .tcp
    case .tls: .tls
    }
  }

  private func watchCertificates() {
    guard let certificates = context.certificates else { return }
    let interval = SIPCertificates.interval
    watch = eventLoop.scheduleRepeatedAsyncTask(initialDelay: interval, delay: interval) { [eventLoop] _ in
      eventLoop.makeFutureWithTask { await certificates.reload() }
    }
  }

  /// The address that a peer is told: the configured one, the bound one, or the one that it is reached from.
  private static func advertised(_ settings: MediaGatewayConfiguration, towards peer: PeerAddress) -> String {
    if let configured = settings.advertisedAddress { return configured }
    if let bound = PeerAddress(settings.host, port: 0), !bound.isUnspecified { return settings.host }
    return localAddress(towards: peer)?.host ?? "127.0.0.1"
  }

  /// New calls get 503 from now on.
  func beginDraining() { endpoint.isDraining = true }

  func hangupAll(_ reason: HangupReason) {
    for mailbox in calls.values { mailbox.post(.hangup(reason)) }
  }

  /// Succeeds when no call is left.
  func whenEmpty() -> EventLoopFuture<Void> {
    if live.calls == 0 { return eventLoop.makeSucceededVoidFuture() }
    let promise = eventLoop.makePromise(of: Void.self)
    emptied.append(promise)
    return promise.futureResult
  }

  func close() -> EventLoopFuture<Void> {
    timer?.cancel()
    timer = nil
    watch?.cancel()
    tellMetrics()
    for promise in emptied + idle { promise.succeed() }
    emptied = []
    idle = []
    return sockets?.close() ?? eventLoop.makeSucceededVoidFuture()
  }

  /// Succeeds when no call is left and every BYE has been answered.
  func whenIdle() -> EventLoopFuture<Void> {
    if calls.isEmpty, endpoint.callCount == 0 { return eventLoop.makeSucceededVoidFuture() }
    let promise = eventLoop.makePromise(of: Void.self)
    idle.append(promise)
    return promise.futureResult
  }

  // MARK: Input

  private func received(datagram: ByteBuffer, from peer: PeerAddress) {
    let bytes = Array(datagram.readableBytesView)
    feed { $0.receive(datagram: bytes, from: SIPPeer(.udp, host: peer.host, port: Int(peer.port)), at: $1) }
  }

  private func received(
    stream: ByteBuffer, _ transport: SIPTransport, from peer: PeerAddress, _ connection: UInt64
  ) {
    let bytes = Array(stream.readableBytesView)
    let peer = SIPPeer(transport, host: peer.host, port: Int(peer.port), connection: connection)
    feed { $0.receive(stream: bytes, from: peer, at: $1) }
  }

  func perform(_ command: SignallingCommand) {
    switch command {
    case .ring(let call): feed { $0.ring(call, at: $1) }
    case .answer(let call, let body): feed { $0.answer(call, body: body, at: $1) }
    case .reject(let call, let status, let reason): reject(call, status, reason)
    case .hangup(let call): feed { $0.hangup(call, at: $1) }
    case .answerReinvite(let call, let body): feed { $0.answerReinvite(call, body: body, at: $1) }
    case .rejectReinvite(let call, let status): feed { $0.rejectReinvite(call, status: status, at: $1) }
    case .reinvite(let call, let body): feed { $0.reinvite(call, body: body, at: $1) }
    case .finished(let call): forget(call)
    case .abandon(let call):
      forget(call)
      feed { $0.abandon(call, at: $1) }
    }
  }

  private func reject(_ call: SIPCallHandle, _ status: Int, _ reason: String?) {
    let headers = status == 503 ? [SIPHeaderField("Retry-After", "\(Self.retryAfterSeconds)")] : []
    feed { $0.reject(call, status: status, reason: reason, headers: headers, at: $1) }
  }

  private func feed(_ body: (inout SIPEndpoint, Instant) -> [SIPAction]) {
    let actions = body(&endpoint, .monotonic())
    for action in actions {
      switch action {
      case .send(let bytes, let peer): sockets?.send(bytes, to: peer)
      case .close(let connection): sockets?.close(connection: connection)
      case .event(let event): handle(event)
      }
    }
    arm()
    scheduleMetrics()
    if !idle.isEmpty, calls.isEmpty, endpoint.callCount == 0 {
      for promise in idle { promise.succeed() }
      idle = []
    }
  }

  // MARK: Calls

  private func handle(_ event: SIPEvent) {
    switch event {
    case .incoming(let handle, let call): offered(handle, call)
    case .acknowledged(let handle, let body): calls[handle]?.post(.acknowledged(body))
    case .reinvite(let handle, let offer):
      if let mailbox = calls[handle] {
        mailbox.post(.reinvite(offer))
      } else {
        feed { $0.rejectReinvite(handle, status: 481, at: $1) }
      }
    case .reinviteCancelled(let handle): calls[handle]?.post(.reinviteCancelled)
    case .reinviteAnswered(let handle, let body, _): calls[handle]?.post(.reinviteAnswered(body))
    case .reinviteFailed(let handle, let status, _): calls[handle]?.post(.reinviteFailed(status))
    case .dialogChanged(let handle, let dialog): calls[handle]?.post(.dialog(dialog))
    case .ended(let handle, let end): calls[handle]?.post(.ended(end))
    case .referred(_, let referral):
      // Nobody can be called from here yet.
      feed { $0.rejectRefer(referral.handle, at: $1) }
    case .info(let handle, let body): calls[handle]?.post(.info(body))
    case .progress, .answered, .response, .provisionalAcknowledged, .infoAnswered, .referral, .request,
      .authenticationFailed:
      // Of calls and requests that we place, of early media, of passwords that we ask for: none of them is done yet.
      break
    }
  }

  private func offered(_ handle: SIPCallHandle, _ call: SIPIncomingCall) {
    let now = Instant.monotonic()
    guard admission.admitCall(live: live.calls, at: now) == .admitted else {
      return reject(handle, 503, nil)
    }
    guard let peer = PeerAddress(call.peer.host, port: call.peer.port) else {
      return reject(handle, 500, nil)
    }
    let info = CallInfo(
      session: SessionID(ULID.make(unixMilliseconds: Self.unixMilliseconds(), using: &random)), direction: .inbound,
      callerID: call.from.uri.decodedUser, calledNumber: call.requestURI.decodedUser,
      fromURI: call.from.uri.address, toURI: call.requestURI.address, headers: Self.headers(of: call.request),
      source: peer.description)
    let (media, mailbox) = place(handle)
    let context = context
    let address = Self.advertised(context.configuration, towards: peer)
    let offer = call.offer
    media.eventLoop.execute {
      guard let loop = media.value else { return context.signalling.perform(.reject(handle, 503, nil)) }
      do throws(MediaCall.Refusal) {
        // The mailbox keeps the call for as long as it lives.
        _ = try MediaCall(
          info, offer: offer, handle: handle, advertised: address, mailbox: mailbox, loop: loop, context: context)
      } catch {
        context.signalling.perform(.reject(handle, error.status, error.reason))
        context.signalling.perform(.finished(handle))
      }
    }
  }

  /// Gives a new call its loop.
  private func place(_ handle: SIPCallHandle) -> (NIOLoopBoundBox<MediaLoop?>, CallMailbox) {
    let media = mediaLoops[nextLoop]
    nextLoop = (nextLoop + 1) % mediaLoops.count
    let mailbox = CallMailbox(eventLoop: media.eventLoop)
    calls[handle] = mailbox
    changed()
    return (media, mailbox)
  }

  // MARK: From process to process

  /// Goes on with a call of a process that is gone; the result comes when the peer has followed or refused to.
  func takeOver(
    _ info: CallInfo, _ kept: MediaCallState, _ dialog: SIPDialogState, hop: any KeptMediaHop
  ) -> EventLoopFuture<ResumeOutcome> {
    let result = eventLoop.makePromise(of: ResumeOutcome.self)
    guard !endpoint.isDraining, live.calls < context.configuration.maxCalls,
      let peer = PeerAddress(dialog.peer.host, port: dialog.peer.port), let handle = endpoint.adopt(dialog)
    else {
      result.succeed(.unavailable)
      return result.futureResult
    }
    // What this process keeps from now on is its own dialog: the next successor has to begin above its numbers.
    var kept = kept
    kept.dialog = endpoint.dialog(of: handle)
    let (media, mailbox) = place(handle)
    let context = context
    let address = Self.advertised(context.configuration, towards: peer)
    media.eventLoop.execute { [kept] in
      guard let loop = media.value else {
        context.signalling.perform(.abandon(handle))
        return result.succeed(.unavailable)
      }
      do throws(MediaCall.Refusal) {
        _ = try MediaCall(
          resuming: kept, of: info, handle: handle, advertised: address, mailbox: mailbox, loop: loop,
          context: context, hop: hop, resumption: result)
      } catch {
        // Another process may have the ports that are missing here: the call is left as it was found.
        context.signalling.perform(.abandon(handle))
        result.succeed(.unavailable)
      }
    }
    return result.futureResult
  }

  /// Between two calls that are given away. Keys that are pressed between a successor's claim and the peer's answer to its re-INVITE
  /// are heard by nobody, and that takes longer the more are moved at once.
  private static let handOverPause: TimeAmount = .milliseconds(20)

  /// Has every answered call handed over, one after the other; the number of calls that were asked.
  func handOver() -> Int {
    beginDraining()
    for (number, mailbox) in calls.values.enumerated() {
      eventLoop.scheduleTask(in: Self.handOverPause * number) { mailbox.post(.handOver) }
    }
    return calls.count
  }

  private func forget(_ handle: SIPCallHandle) {
    guard calls.removeValue(forKey: handle) != nil else { return }
    changed()
  }

  private func changed() {
    live.set(calls.count)
    context.metrics.activeCalls(calls.count)
    guard calls.isEmpty else { return }
    for promise in emptied { promise.succeed() }
    emptied = []
  }

  private static func headers(of request: SIPMessage) -> [(name: String, value: String)] {
    headerFilter.incoming(request).map { ($0.name, $0.value) }
  }

  private static func unixMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  // MARK: Time and counts

  /// One real timer for all of SIP's: re-armed only where the next deadline comes before the one it waits for.
  private func arm() {
    guard let deadline = endpoint.deadline else { return }
    if let armed, armed <= deadline { return }
    timer?.cancel()
    armed = deadline
    let wait = max(0, (deadline - .monotonic()).nanoseconds)
    do {
      timer = try eventLoop.assumeIsolated().scheduleCallback(in: .nanoseconds(wait), handler: Wake(service: self))
    } catch {
      // Only a loop that is shutting down refuses; nothing can be retransmitted then.
      armed = nil
    }
  }

  fileprivate func wake() {
    armed = nil
    timer = nil
    let now = Instant.monotonic()
    if let deadline = endpoint.deadline, deadline <= now {
      feed { $0.timeout(at: $1) }
    } else {
      arm()
    }
  }

  private struct Wake: NIOScheduledCallbackHandler {
    let service: SignallingService
    func handleScheduledCallback(eventLoop: some EventLoop) { service.wake() }
  }

  private func scheduleMetrics() {
    guard !isMetricsDue else { return }
    isMetricsDue = true
    eventLoop.assumeIsolated().scheduleTask(in: Self.metricsDelay) { [weak self] in self?.tellMetrics() }
  }

  private func tellMetrics() {
    isMetricsDue = false
    for (outcome, count) in endpoint.counters.served {
      for _ in told[outcome, default: 0]..<count { context.metrics.sipRequest(outcome.method, outcome.status) }
      told[outcome] = count
    }
    let unread = endpoint.counters.malformed.values.reduce(0, +) + endpoint.counters.screened.values.reduce(0, +)
    for _ in toldUnread..<unread { context.metrics.sipRequest("OTHER", 0) }
    toldUnread = unread
  }
}
