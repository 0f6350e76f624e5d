import AsyncHTTPClient
import Base
import Logging
import NIOCore
import NIOHTTP1
import NIOSSL
import Settings

/// The gateway's one way out: every HTTP request to somebody else's server goes through it.
///
/// A name is resolved once, every address that it has is judged by ``AddressPolicy``, and the connection goes to an address
/// that was judged; the name stays in `Host`, in SNI and in the check of the certificate. Redirects are not followed unless
/// asked for. Proxies of the environment (`HTTP_PROXY`) are not used: they would connect where nobody has judged.
/// Safe to use from any thread.
public final class OutboundClient: Sendable {
  /// Redirects that are followed at most (as RFC 9110 section 15.4 leaves to the client).
  public static let redirectLimit = 5
  /// Addresses of one name that are tried.
  static let addressLimit = 4

  private let policy: AddressPolicy
  private let names: NameCache
  private let pool: ClientPool
  private let identities = IdentityLoader()
  private let logger: Logger

  /// - Parameters:
  ///   - settings: `integration.outbound`.
  ///   - group: event loops of the connections; not shut down here.
  ///   - resolver: of names to addresses.
  ///   - clock: for how long addresses are remembered.
  public init(
    settings: OutboundSettings, group: any EventLoopGroup, resolver: any AddressResolver = SystemAddressResolver(),
    clock: @escaping @Sendable () -> Instant = Instant.monotonic, logger: Logger = Logger(label: "parley.outbound")
  ) {
    policy = AddressPolicy(settings)
    names = NameCache(resolver, clock: clock)
    pool = ClientPool(group: group)
    self.logger = logger
  }

  /// Closes all connections; requests that are under way fail. Idempotent.
  public func shutdown() async { await pool.close() }

  /// Whether `url` may be asked, as far as that can be said without looking its name up.
  /// - Throws: ``OutboundError`` of kind `invalidURL` or `refused`.
  public static func check(_ url: String, _ settings: OutboundSettings) throws(OutboundError) {
    let url = try OutboundURL(url)
    let policy = AddressPolicy(settings)
    // What `localhost` means is known everywhere (RFC 6761 section 6.3).
    let known = url.literal ?? (url.host == "localhost" ? IPAddress("127.0.0.1") : nil)
    let verdict = known.map { policy.verdict(host: url.host, address: $0) } ?? policy.verdict(host: url.host)
    if case .refused(let why) = verdict { throw OutboundError(.refused, "\(url.host) \(why)") }
  }

  /// Sends a request and waits for the head of its answer.
  /// - Parameters:
  ///   - identity: for TLS; nil: no certificate, and the system's authorities.
  ///   - timeout: for looking up the name, connecting, and the whole answer.
  ///   - redirects: how many are followed, at most ``redirectLimit``, and only of GET and HEAD. Each is judged like the first
  ///     URL, none leads from https to http, and headers other than `Accept` and `User-Agent` never go to another origin.
  public func execute(
    _ request: HTTPClientRequest, identity: ClientIdentity? = nil, timeout: Duration, redirects: Int = 0
  ) async throws(OutboundError) -> HTTPClientResponse {
    let deadline = Instant.monotonic() + timeout
    var request = request
    var url = try OutboundURL(request.url)
    let mayFollow = request.method == .GET || request.method == .HEAD
    var hops = mayFollow ? min(redirects, Self.redirectLimit) : 0
    let home = url.origin
    while true {
      request.url = url.text
      // Our certificate is for the server that it was configured for.
      let shown = url.origin == home ? identity : nil
      let response = try await send(request, url, shown, deadline: deadline)
      guard hops > 0, let next = try redirect(response, from: url) else { return response }
      hops -= 1
      if next.origin != home {
        let kept = request.headers.filter { ["accept", "user-agent"].contains($0.name.lowercased()) }
        request.headers = HTTPHeaders(Array(kept))
      }
      url = next
    }
  }

  // MARK: One hop

  private func send(
    _ request: HTTPClientRequest, _ url: OutboundURL, _ identity: ClientIdentity?, deadline: Instant
  ) async throws(OutboundError) -> HTTPClientResponse {
    if case .refused(let why) = policy.verdict(host: url.host) { throw refusal(url, why) }
    let tls =
      url.isSecure ? try identity.map { (identity) throws(OutboundError) in try identities.load(identity) } : nil
    var addresses: [IPAddress]
    if let literal = url.literal {
      addresses = [literal]
    } else {
      addresses = try await names.addresses(of: url.host, timeout: left(until: deadline, url))
    }
    // One bad address spoils the name: it is not for us to guess which of them the next lookup would give.
    for address in addresses {
      if case .refused(let why) = policy.verdict(host: url.host, address: address) { throw refusal(url, why, address) }
    }
    addresses = Array(addresses.prefix(Self.addressLimit))
    while true {
      let address = addresses.removeFirst()
      let key = ClientPool.Key(
        host: url.literal == nil ? url.host : "", address: address, identityVersion: tls?.version ?? 0)
      let lease = try pool.lease(key, tls: tls?.tls)
      let limit = try left(until: deadline, url)
      do {
        let response = try await lease.client.execute(
          request, timeout: .nanoseconds(limit.nanoseconds), logger: Self.silent)
        if url.literal == nil { names.prove(address, for: url.host) }
        return HTTPClientResponse(
          version: response.version, status: response.status, headers: response.headers,
          body: .stream(LeasedBody(body: response.body, lease: lease)))
      } catch {
        let failure = OutboundError(error, host: url.host)
        logger.debug(
          "a request failed",
          metadata: ["host": "\(url.host)", "address": "\(address)", "reason": "\(failure)", "error": "\(error)"])
        // Nothing was sent, so the next address may be asked the same.
        guard failure.kind == .unreachable, !addresses.isEmpty, !Task.isCancelled else { throw failure }
      }
    }
  }

  private func refusal(_ url: OutboundURL, _ why: String, _ address: IPAddress? = nil) -> OutboundError {
    logger.debug(
      "a request was refused",
      metadata: ["host": "\(url.host)", "address": "\(address?.description ?? "")", "reason": "\(why)"])
    return OutboundError(.refused, "\(url.host) \(why)")
  }

  private func left(until deadline: Instant, _ url: OutboundURL) throws(OutboundError) -> Duration {
    let left = deadline - Instant.monotonic()
    guard left > .zero else { throw OutboundError(.timeout, "\(url.host) gave no answer in time") }
    return left
  }

  private func redirect(_ response: HTTPClientResponse, from url: OutboundURL) throws(OutboundError) -> OutboundURL? {
    guard [301, 302, 303, 307, 308].contains(response.status.code),
      let location = response.headers.first(name: "Location")
    else { return nil }
    let lower = location.lowercased()
    let text: String
    if lower.hasPrefix("http://") || lower.hasPrefix("https://") {
      text = location
    } else if location.hasPrefix("//") {
      text = (url.isSecure ? "https:" : "http:") + location
    } else if location.hasPrefix("/") {
      text = url.origin + location
    } else {
      throw OutboundError(.refused, "\(url.host) leads to an address that is not followed")
    }
    let next = try OutboundURL(text)
    guard next.isSecure || !url.isSecure else {
      throw OutboundError(.refused, "\(url.host) leads from https to http, which is not followed")
    }
    return next
  }

  private static let silent = Logger(label: "parley.outbound.http") { _ in SwiftLogNoOpLogHandler() }
}
