import Base

/// Connections that the owner opened and that are to be kept alive (RFC 5626 3.5.1, 4.4.1), and WebSocket frames (RFC 7118).
extension SIPEndpoint {
  /// A connection that is pinged while it lives.
  struct Flow: Sendable {
    let peer: SIPPeer
    let interval: Duration
    var pingAt: Instant
    /// Set while a pong is missing.
    var deadAt: Instant?
    var armed: Instant?

    var deadline: Instant { deadAt ?? pingAt }
  }

  /// How long a pong may take (RFC 5626 4.4.1).
  static let pongLimit = Duration.seconds(10)

  /// A stream connection has been opened from here, and the peer keeps flows (a trunk that was told so, a registrar whose
  /// answer had Flow-Timer or `outbound`): from now on it is pinged, and closed when it stays silent for ten seconds. Peers
  /// that do not know RFC 5626 answer no ping: do not call this for them.
  /// - Parameter interval: at most so long between pings; each waits 80 to 100 % of it, so that pings do not bunch. The RFC's
  ///   own bound for TCP is 120 s. At least a second.
  public mutating func keepAlive(
    _ connection: UInt64, to peer: SIPPeer, every interval: Duration = .seconds(120), at now: Instant
  ) -> [SIPAction] {
    guard peer.transport.isReliable, flows[connection] != nil || flows.count < configuration.limits.connections else {
      return ignored()
    }
    var peer = peer
    peer.connection = connection
    let interval = max(interval, .seconds(1))
    flows[connection] = Flow(peer: peer, interval: interval, pingAt: now + pingDelay(interval))
    rearm(.flow(connection))
    return flush()
  }

  private mutating func pingDelay(_ interval: Duration) -> Duration {
    interval * Int64(800 + random.next() % 201) / 1_000
  }

  mutating func wakeFlow(_ connection: UInt64, at now: Instant) {
    guard let flow = flows[connection] else { return }
    if flow.deadAt != nil {
      counters.deadFlows += 1
      actions.append(.close(connection: connection))
      forget(connection: connection, at: now)
    } else {
      flows[connection]?.deadAt = now + Self.pongLimit
      if framers[connection] == nil {
        framers[connection] = SIPStreamFramer(messageBytes: configuration.limits.messageBytes)
      }
      framers[connection]?.expectPong()
      send([0x0D, 0x0A, 0x0D, 0x0A], to: flow.peer)
    }
  }

  /// Something came over the connection: it lives. Whatever comes counts, because
  /// a pong may be stuck behind a long message.
  mutating func heard(_ connection: UInt64, at now: Instant) {
    guard let flow = flows[connection], flow.deadAt != nil else { return }
    let pingAt = now + pingDelay(flow.interval)
    flows[connection]?.deadAt = nil
    flows[connection]?.pingAt = pingAt
    rearm(.flow(connection))
  }

  /// One WebSocket frame, text or binary: one whole message, which needs no Content-Length (RFC 7118 5), or a ping of CRLFs.
  /// `peer.connection` must be set.
  public mutating func receive(frame bytes: [UInt8], from peer: SIPPeer, at now: Instant) -> [SIPAction] {
    guard let connection = peer.connection else { return [] }
    heard(connection, at: now)
    if bytes.allSatisfy({ $0 == 0x0D || $0 == 0x0A }) {
      counters.keepAlives += 1
      if bytes.count >= 4 { send([0x0D, 0x0A], to: peer) }
    } else {
      handle(bytes, .datagram, from: peer, at: now)
    }
    return flush()
  }
}
