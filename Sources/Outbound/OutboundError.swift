import AsyncHTTPClient
import NIOCore
import NIOSSL

/// Why a request was not made, or got no answer: a kind to branch on and one sentence for a person.
public struct OutboundError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    case invalidURL
    /// The guard refuses the server; the sentence names the key of the configuration.
    case refused
    /// The name has no address.
    case unresolved
    /// No connection came about.
    case unreachable
    /// The server's certificate, or ours, was not accepted.
    case untrusted
    case timeout
    /// The server closed the connection before it answered: a connection that was idle may have been closed meanwhile.
    case closed
    case cancelled
    /// Our own side cannot: a certificate that cannot be read, a body that cannot be sent again, a client that was shut down.
    case failed
  }

  public var kind: Kind
  public var description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// An error of the HTTP library, also one that a body ends with.
  public init(_ error: any Error, host: String) {
    switch error {
    case let known as OutboundError: self = known
    case is CancellationError: self.init(.cancelled, "\(host) was not waited for")
    case let error as HTTPClientError where error == .cancelled: self.init(.cancelled, "\(host) was not waited for")
    case let error as HTTPClientError where error == .connectTimeout:
      self.init(.unreachable, "\(host) does not accept connections")
    case let error as HTTPClientError where Self.timeouts.contains(error):
      self.init(.timeout, "\(host) gave no answer in time")
    case let error as HTTPClientError where error == .remoteConnectionClosed:
      self.init(.closed, "\(host) closed the connection")
    case let error as HTTPClientError: self.init(.failed, "\(host): \(error.shortDescription)")
    case let error as NIOSSLError:
      self.init(.untrusted, "\(host): the TLS handshake failed (\(error))")
    case is NIOSSLExtraError: self.init(.untrusted, "\(host) has a certificate for another name")
    case let error as BoringSSLError: self.init(.untrusted, "\(host): TLS failed (\(error))")
    default: self.init(.unreachable, "\(host) cannot be reached")
    }
  }

  private static let timeouts: [HTTPClientError] = [
    .readTimeout, .writeTimeout, .deadlineExceeded, .getConnectionFromPoolTimeout, .tlsHandshakeTimeout,
  ]
}
