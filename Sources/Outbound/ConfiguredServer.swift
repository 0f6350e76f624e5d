import AsyncHTTPClient
import Base
import Logging
import NIOCore
import NIOHTTP1
import Settings

/// One server that the operator's own configuration names, such as a collector of traces: it may live in a private network
/// without a word in `integration.outbound`, and nothing else may on its account. Safe to use from any thread.
public struct ConfiguredServer: Sendable {
  /// A request in all its parts.
  public struct Request: Sendable {
    public var method: String
    /// Path and query, percent-encoded, beginning with a slash; nil: those of the server's URL.
    public var target: String?
    /// Beside `User-Agent`.
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]

    public init(
      method: String, target: String? = nil, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
      self.method = method
      self.target = target
      self.headers = headers
      self.body = body
    }
  }

  public struct Response: Sendable {
    public var status: Int
    /// nil: it was longer than it might be.
    public var body: [UInt8]?
    fileprivate var headers: HTTPHeaders

    /// The first header of this name, in any case of letters.
    public func header(_ name: String) -> String? { headers.first(name: name) }

    /// How long the server wants to be left alone, up to an hour; nil: it says nothing, or not in whole seconds.
    public var retryAfter: Duration? {
      header("Retry-After").flatMap { Int64($0) }.map { .seconds(min(max($0, 0), 3_600)) }
    }
  }

  /// Bytes of an answer that are read where nobody says otherwise.
  public static let answerBytes = 64 * 1024

  private let url: String
  private let product: String
  private let identity: ClientIdentity?
  private let client: OutboundClient

  /// - Parameters:
  ///   - product: the `User-Agent`.
  ///   - identity: for TLS; nil: no certificate, and the system's authorities.
  ///   - group: see ``OutboundClient/init(settings:group:resolver:clock:logger:)``.
  public init(
    url: String, product: String, identity: ClientIdentity? = nil, group: any EventLoopGroup, logger: Logger
  ) {
    self.url = url
    self.product = product
    self.identity = identity
    // A URL that cannot be read is refused with its first request.
    let host = (try? OutboundURL(url))?.host
    let own = host.flatMap { OutboundRule($0) }
    client = OutboundClient(
      settings: OutboundSettings(allowPrivate: own.map { [$0] } ?? []), group: group, logger: logger)
  }

  /// Asks once and reads the whole answer. Redirects are not followed.
  /// - Parameters:
  ///   - limit: bytes of the answer's body.
  ///   - timeout: for all of it.
  public func exchange(
    _ request: Request, limit: Int = ConfiguredServer.answerBytes, timeout: Duration
  ) async throws(OutboundError) -> Response {
    let server = try OutboundURL(url)
    var sent = HTTPClientRequest(url: request.target.map { server.origin + $0 } ?? url)
    sent.method = HTTPMethod(rawValue: request.method)
    sent.headers = HTTPHeaders(request.headers.map { ($0.name, $0.value) })
    sent.headers.add(name: "User-Agent", value: product)
    if !request.body.isEmpty { sent.body = .bytes(ByteBuffer(bytes: request.body)) }
    let response = try await client.execute(sent, identity: identity, timeout: timeout)
    var answer = Response(status: Int(response.status.code), body: [], headers: response.headers)
    guard sent.method != .HEAD else { return answer }
    do {
      answer.body = Array(try await response.body.collect(upTo: limit).readableBytesView)
    } catch is NIOTooManyBytesError {
      answer.body = nil
    } catch {
      throw OutboundError(error, host: server.host)
    }
    return answer
  }

  /// Closes its connections; a request that is under way fails. Idempotent.
  public func close() async { await client.shutdown() }
}
