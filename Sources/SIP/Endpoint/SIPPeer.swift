/// A host and a port as SIP writes them. IPv6 addresses stand here without brackets.
public struct SIPHostPort: Hashable, Sendable, CustomStringConvertible {
  public var host: String
  public var port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// `host:port`, IPv6 in brackets.
  public var description: String { "\(SIPHostPort.bracketed(host)):\(port)" }

  static func bracketed(_ host: String) -> String {
    host.utf8.contains(UInt8(ascii: ":")) && host.utf8.first != UInt8(ascii: "[") ? "[\(host)]" : host
  }
}

/// The other end of a hop: where a message came from or is to be sent.
public struct SIPPeer: Hashable, Sendable, CustomStringConvertible {
  public var transport: SIPTransport
  /// An IP address without brackets. Only where the owner itself gave a host name to ``SIPInvite`` can it be a name.
  public var host: String
  public var port: Int
  /// The stream connection, numbered by the owner and never reused; nil for UDP. In a `send` action nil over a stream
  /// transport means: use any connection to this host and port, or open one.
  public var connection: UInt64?

  public init(_ transport: SIPTransport, host: String, port: Int, connection: UInt64? = nil) {
    self.transport = transport
    self.host = host
    self.port = port
    self.connection = connection
  }

  /// `udp:host:port`.
  public var description: String { "\(transport.rawValue):\(SIPHostPort(host: host, port: port))" }
}
