import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1
import Outbound
import Settings

/// Sends requests to services with the credentials of each. Safe to use from any thread.
final class ServiceClient: Sendable {
  private let outbound: OutboundClient
  private let tokens: OAuth2Tokens
  private let wallClock: @Sendable () -> Int64

  /// - Parameter wallClock: milliseconds since 1970, for signatures.
  init(outbound: OutboundClient, wallClock: @escaping @Sendable () -> Int64) {
    self.outbound = outbound
    tokens = OAuth2Tokens(outbound: outbound)
    self.wallClock = wallClock
  }

  /// - Parameters:
  ///   - body: what the request carries; signed, where the service wants that.
  ///   - headers: of the dialog; stronger than those of the service.
  func send(
    _ request: HTTPClientRequest, body: String?, headers: [String: String] = [:], to target: HookTarget,
    timeout: Duration
  ) async throws -> HTTPClientResponse {
    let start = Instant.monotonic()
    let service = target.service
    var request = request
    let bytes = Array((body ?? "").utf8)
    if body != nil { request.body = .bytes(ByteBuffer(bytes: bytes)) }
    for (name, value) in service.headers { request.headers.replaceOrAdd(name: name, value: value.reveal()) }
    var identity = service.authoritiesFile.isEmpty ? nil : ClientIdentity(authoritiesFile: service.authoritiesFile)
    var token: OAuth2Tokens.Token?
    switch service.auth {
    case .none: break
    case .bearer(let token):
      request.headers.replaceOrAdd(name: "Authorization", value: "Bearer \(token.reveal())")
    case .apiKey(let header, let key): request.headers.replaceOrAdd(name: header, value: key.reveal())
    case .basic(let username, let password):
      request.setBasicAuth(username: username, password: password.reveal())
    case .hmac(let secrets):
      let seconds = wallClock() / 1000
      request.headers.replaceOrAdd(name: PayloadSignature.timestampHeader, value: String(seconds))
      request.headers.replaceOrAdd(
        name: PayloadSignature.header,
        value: PayloadSignature(secrets: secrets).value(body: bytes, timestamp: seconds))
    case .oauth2(let settings):
      let found = try await tokens.token(settings, identity: identity, label: target.label, timeout: timeout)
      request.headers.replaceOrAdd(name: "Authorization", value: "Bearer \(found.text.reveal())")
      token = found
    case .mtls(let certificate, let key):
      identity = ClientIdentity(
        certificateFile: certificate, keyFile: key, authoritiesFile: identity?.authoritiesFile)
    }
    for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
    let response = try await outbound.execute(request, identity: identity, timeout: timeout)
    guard response.status == .unauthorized, let token, case .oauth2(let settings) = service.auth,
      headers.keys.allSatisfy({ $0.lowercased() != "authorization" })
    else { return response }
    // The token may have been taken back before its time: once more with a fresh one.
    tokens.discard(token, of: settings)
    let left = timeout - (Instant.monotonic() - start)
    guard left > .zero else { return response }
    let fresh = try await tokens.token(settings, identity: identity, label: target.label, timeout: left)
    request.headers.replaceOrAdd(name: "Authorization", value: "Bearer \(fresh.text.reveal())")
    return try await outbound.execute(
      request, identity: identity, timeout: max(timeout - (Instant.monotonic() - start), .milliseconds(1)))
  }
}
