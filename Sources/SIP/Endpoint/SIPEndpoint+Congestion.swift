import Base

/// Requests that are too large for a datagram go over TCP (RFC 3261 18.1.1), and back to UDP where there is none.
extension SIPEndpoint {
  /// A request as it would have gone over UDP.
  struct Datagram: Sendable {
    let bytes: [UInt8]
    let peer: SIPPeer
    let via: String
  }

  /// How long a peer without TCP is left alone with it, and how many such peers are remembered.
  private static let refusalTime = Duration.seconds(600)
  private static let refusalLimit = 256

  /// The same request over TCP, where its size asks for that and TCP is to be had; nil: it stays as it is.
  func overStream(_ bytes: [UInt8], to peer: SIPPeer, branch: String, at now: Instant) -> (
    bytes: [UInt8], peer: SIPPeer, via: String
  )? {
    guard peer.transport == .udp, bytes.count > configuration.limits.datagramRequestBytes,
      configuration.localAddresses[.tcp] != nil, streamRefusals[peer.address].map({ $0 <= now }) ?? true
    else { return nil }
    let stream = SIPPeer(.tcp, host: peer.host, port: peer.port)
    let via = via(stream, branch)
    guard let rewritten = SIPMessageWriter.replacingVia(of: bytes, with: via) else { return nil }
    return (rewritten, stream, via)
  }

  /// The connection of a request that was too large failed before any answer: it goes over UDP after all, and so do the next
  /// ones. False where the request was meant for its transport.
  mutating func fallBack(_ id: UInt64, at now: Instant) -> Bool {
    guard let client = clients[id], let datagram = client.datagram, !client.hasResponse else { return false }
    if streamRefusals.count >= Self.refusalLimit { streamRefusals = [:] }
    streamRefusals[datagram.peer.address] = now + Self.refusalTime
    clients[id]?.datagram = nil
    clients[id]?.peer = datagram.peer
    clients[id]?.request = datagram.bytes
    clients[id]?.template?.via = datagram.via
    let machine = clientMachine(client.key.method, isReliable: false, at: now)
    clients[id]?.machine = machine
    send(datagram.bytes, to: datagram.peer)
    rearm(.client(id))
    return true
  }
}

extension SIPPeer {
  /// Without transport and connection.
  var address: SIPHostPort { SIPHostPort(host: host, port: port) }
}

extension SIPMessageWriter {
  /// A request of this writer, whose second line is its Via, with another Via.
  static func replacingVia(of bytes: [UInt8], with via: String) -> [UInt8]? {
    guard let first = bytes.firstIndex(of: 0x0A), let second = bytes[(first + 1)...].firstIndex(of: 0x0D),
      bytes[(first + 1)...].starts(with: "Via: ".utf8)
    else { return nil }
    return Array(bytes[...first]) + "Via: ".utf8 + via.utf8 + bytes[second...]
  }
}
