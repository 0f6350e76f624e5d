import Base

/// The user agent core of RFC 3261: owns every transaction, dialog and call of one SIP address, without touching a socket
/// or a clock.
///
/// Every function takes the present instant and returns what is to be done, in order; afterwards ``deadline`` says when
/// ``timeout(at:)`` must be called. Commands for a call that is not in a state for them do nothing and are counted, because
/// a command can cross with the other side's hang-up.
public struct SIPEndpoint: Sendable {
  public let configuration: SIPConfiguration
  /// New INVITEs and OPTIONS get 503; what is running goes on.
  public var isDraining = false
  public internal(set) var counters = SIPCounters()

  var random: SeededRandom
  /// Makes the To tags of answers without state: the same for a request that comes again, guessed by nobody.
  let tagSecret: UInt64
  /// The option tags of the endpoint and its owner, and the value of Supported.
  let options: [String]
  let supported: String
  var nextID: UInt64 = 1
  var calls: [UInt64: SIPCall] = [:]
  var dialogs: [SIPDialogKey: UInt64] = [:]
  var clients: [UInt64: SIPClientTransaction] = [:]
  var clientIDs: [SIPClientKey: UInt64] = [:]
  var servers: [UInt64: SIPServerTransaction] = [:]
  var serverIDs: [SIPServerKey: UInt64] = [:]
  /// From tag, Call-ID and CSeq of requests outside dialogs (8.2.2.2).
  var merges: [String: UInt64] = [:]
  /// REFERs of both sides, those of each dialog, and the dialogs of those whose call is over.
  var referrals: [UInt64: SIPReferralState] = [:]
  var referralIDs: [SIPDialogKey: [UInt64]] = [:]
  var detached: [SIPDialogKey: SIPDialog] = [:]
  /// Dialogs that have been given up, and until when they are spoken for.
  var departed: [SIPDialogKey: Instant] = [:]
  var framers: [UInt64: SIPStreamFramer] = [:]
  var screen: SIPScreen?
  /// Connections that are pinged.
  var flows: [UInt64: Flow] = [:]
  /// Peers that refused TCP, and until when it is not tried again.
  var streamRefusals: [SIPHostPort: Instant] = [:]
  var timers = SIPTimerQueue<SIPTimerKey>()
  /// The nonces that other sides have given us.
  var authentication = SIPClientAuthentication()
  /// Checks the passwords of others.
  var authenticator: SIPAuthenticator?
  /// What the function that is running has to hand out.
  var actions: [SIPAction] = []

  /// - Parameter random: makes tags, branches and Call-IDs; seeded by the operating system outside of tests.
  public init(configuration: SIPConfiguration, random: SeededRandom) {
    self.configuration = configuration
    self.random = random
    var options = configuration.supported
    if configuration.sessionExpires > 0 { options.append("timer") }
    if configuration.reliability != .never { options.append("100rel") }
    self.options = options + ["replaces", "norefersub"]
    supported = self.options.joined(separator: ", ")
    authenticator = configuration.authenticator
    tagSecret = self.random.next()
    screen = configuration.screen.map { SIPScreen($0) }
  }

  /// When ``timeout(at:)`` wants to be called; nil: not at all.
  public var deadline: Instant? { timers.first?.at }

  /// Nothing is left to send or to wait for: a process may exit.
  public var isIdle: Bool { calls.isEmpty && clients.isEmpty && servers.isEmpty && referrals.isEmpty }

  /// Calls alive: offered, placed, established, or with a BYE on its way.
  public var callCount: Int { calls.count }

  /// Transactions alive, those included that only wait for stray retransmissions.
  public var transactionCount: Int { clients.count + servers.count }

  /// The Call-ID of a living call: what logs of other SIP systems name it by.
  public func callID(of call: SIPCallHandle) -> String? { calls[call.value]?.callID }

  // MARK: Input

  /// One UDP datagram.
  public mutating func receive(datagram bytes: [UInt8], from peer: SIPPeer, at now: Instant) -> [SIPAction] {
    if bytes.allSatisfy({ $0 == 0x0D || $0 == 0x0A || $0 == 0 }) {
      // A NAT keep-alive of any fashion. It wants no answer over UDP.
      counters.keepAlives += 1
    } else {
      handle(bytes, .datagram, from: peer, at: now)
    }
    return flush()
  }

  /// Bytes of a stream, in any portions. `peer.connection` must be set.
  public mutating func receive(stream bytes: [UInt8], from peer: SIPPeer, at now: Instant) -> [SIPAction] {
    guard let connection = peer.connection else { return [] }
    if framers[connection] == nil {
      guard framers.count < configuration.limits.connections else {
        counters.overloaded += 1
        return [.close(connection: connection)]
      }
      framers[connection] = SIPStreamFramer(messageBytes: configuration.limits.messageBytes)
    }
    heard(connection, at: now)
    framers[connection]?.append(bytes)
    while let frame = framers[connection]?.next() {
      switch frame {
      case .message(let message): handle(message, .stream, from: peer, at: now)
      case .ping:
        counters.keepAlives += 1
        actions.append(.send([0x0D, 0x0A], to: peer))
      case .broken(let reason, let head):
        if head.isEmpty {
          counters.malformed[reason, default: 0] += 1
        } else {
          handle(head, .stream, from: peer, at: now)
        }
        actions.append(.close(connection: connection))
      }
    }
    return flush()
  }

  /// A stream connection has been closed by either side or has failed; its number is never used again. What waited for an
  /// answer over it fails with 503; established calls go on over a new connection.
  public mutating func connectionClosed(_ connection: UInt64, at now: Instant) -> [SIPAction] {
    forget(connection: connection, at: now)
    return flush()
  }

  mutating func forget(connection: UInt64, at now: Instant) {
    framers[connection] = nil
    flows[connection] = nil
    for id in servers.keys where servers[id]?.replyPeer.connection == connection {
      guard let server = servers[id] else { continue }
      servers[id]?.replyPeer = SIPPeer(
        server.source.transport, host: server.source.host, port: server.viaPort)
    }
    for id in calls.keys {
      switch calls[id]?.phase {
      case .offered(var offered):
        offered.early.dialog.connectionClosed(connection)
        calls[id]?.phase = .offered(offered)
      case .established(var call):
        call.dialog.connectionClosed(connection)
        if call.unacknowledged?.peer.connection == connection { call.unacknowledged?.peer = call.dialog.peer }
        calls[id]?.phase = .established(call)
      case .calling, .ending, nil: break
      }
    }
    for key in detached.keys { detached[key]?.connectionClosed(connection) }
    failClients(at: now) { $0.connection == connection }
  }

  /// What a `send` action asked for could not be done (no route, connection refused, ICMP error).
  public mutating func sendFailed(to peer: SIPPeer, at now: Instant) -> [SIPAction] {
    failClients(at: now) {
      $0.transport == peer.transport && $0.host == peer.host && $0.port == peer.port
        && ($0.connection == peer.connection || $0.connection == nil || peer.connection == nil)
    }
    return flush()
  }

  /// The deadline has come.
  public mutating func timeout(at now: Instant) -> [SIPAction] {
    while let first = timers.first, first.at <= now {
      timers.removeFirst()
      wake(first.key, at: now)
    }
    return flush()
  }

  private mutating func failClients(at now: Instant, where matches: (SIPPeer) -> Bool) {
    let failed = clients.filter { !$0.value.hasFinal && matches($0.value.peer) }.keys.sorted()
    for id in failed {
      if fallBack(id, at: now) { continue }
      guard let client = removeClient(id) else { continue }
      counters.sent[.init(method: client.key.method.label, status: 503), default: 0] += 1
      noResponse(client, id: id, status: 503, at: now)
    }
  }

  mutating func handle(_ bytes: [UInt8], _ framing: SIPFraming, from peer: SIPPeer, at now: Instant) {
    if let verdict = screen?.judge(bytes, from: peer, at: now), verdict != .pass {
      counters.screened[verdict, default: 0] += 1
      return
    }
    do throws(SIPParseError) {
      let message = try SIPMessage.parse(bytes, framing: framing, limits: configuration.limits)
      if message.isRequest {
        counters.requestsReceived[message.method.label, default: 0] += 1
        handleRequest(message, from: peer, at: now)
      } else {
        counters.responsesReceived[message.status, default: 0] += 1
        handleResponse(message, from: peer, at: now)
      }
    } catch {
      counters.malformed[error.reason, default: 0] += 1
      screen?.sawMalformed(from: peer, at: now)
      guard case .answerable(let request, let status) = error.scope, !isUnwelcome(request, from: peer) else { return }
      let why = SIPHeaderField("Warning", "399 parley \"\(error.reason.rawValue)\"")
      respondStateless(to: request, from: peer, status: status, headers: [why])
    }
  }

  // MARK: Housekeeping

  mutating func makeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  mutating func emit(_ event: SIPEvent) { actions.append(.event(event)) }

  mutating func send(_ bytes: [UInt8], to peer: SIPPeer) { actions.append(.send(bytes, to: peer)) }

  /// Hands out the actions, and makes ``deadline`` exact.
  mutating func flush() -> [SIPAction] {
    while let first = timers.first {
      let wanted = deadline(of: first.key)
      if wanted == first.at { break }
      timers.removeFirst()
      setArmed(first.key, nil)
      rearm(first.key)
    }
    defer { actions = [] }
    return actions
  }

  private func deadline(of key: SIPTimerKey) -> Instant? {
    switch key {
    case .client(let id): clients[id]?.deadline
    case .server(let id): servers[id]?.deadline
    case .call(let id): calls[id]?.deadline
    case .flow(let id): flows[id]?.deadline
    case .referral(let id): referrals[id]?.deadline
    }
  }

  private mutating func setArmed(_ key: SIPTimerKey, _ at: Instant?) {
    switch key {
    case .client(let id): clients[id]?.armed = at
    case .server(let id): servers[id]?.armed = at
    case .call(let id): calls[id]?.armed = at
    case .flow(let id): flows[id]?.armed = at
    case .referral(let id): referrals[id]?.armed = at
    }
  }

  /// Puts the key into the queue where it is not there early enough yet. Called after every change of a deadline.
  mutating func rearm(_ key: SIPTimerKey) {
    guard let wanted = deadline(of: key) else { return }
    let armed: Instant? =
      switch key {
      case .client(let id): clients[id]?.armed
      case .server(let id): servers[id]?.armed
      case .call(let id): calls[id]?.armed
      case .flow(let id): flows[id]?.armed
      case .referral(let id): referrals[id]?.armed
      }
    if let armed, armed <= wanted { return }
    timers.insert(key, at: wanted)
    setArmed(key, wanted)
  }

  private mutating func wake(_ key: SIPTimerKey, at now: Instant) {
    setArmed(key, nil)
    if let wanted = deadline(of: key), wanted <= now {
      switch key {
      case .client(let id): wakeClient(id, at: now)
      case .server(let id): wakeServer(id, at: now)
      case .call(let id): wakeCall(id, at: now)
      case .flow(let id): wakeFlow(id, at: now)
      case .referral(let id): wakeReferral(id, at: now)
      }
    }
    rearm(key)
  }
}
