import AsyncHTTPClient
import Base
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Outbound
import Settings

/// Keeps the tokens of authorization servers (RFC 6749 section 4.4, client credentials) until shortly before they expire. All
/// who need the same token wait for one request. Safe to use from any thread.
final class OAuth2Tokens: Sendable {
  struct Token: Sendable, Equatable {
    var text: Secret
    /// From then on a new one is fetched.
    var refreshAt: Instant
    /// Tells tokens of equal text apart.
    var number: UInt64
  }

  enum Limits {
    static let answerBytes = 64 << 10
    /// Of one request for a token.
    static let timeout: Duration = .seconds(10)
    /// Where the server does not say how long a token lives (`expires_in` is only recommended).
    static let usualSeconds: Int64 = 300
    static let longestSeconds: Int64 = 7 * 86_400
    /// How long before its end a token is not used any more: a request takes its time, and clocks differ.
    static let leadSeconds: Int64 = 60
  }

  private struct State {
    var tokens: [IntegrationSettings.OAuth2: Token] = [:]
    var requests: [IntegrationSettings.OAuth2: Task<Token, any Error>] = [:]
    var count: UInt64 = 0
  }

  private let outbound: OutboundClient
  private let clock: @Sendable () -> Instant
  private let state = NIOLockedValueBox(State())

  init(outbound: OutboundClient, clock: @escaping @Sendable () -> Instant = Instant.monotonic) {
    self.outbound = outbound
    self.clock = clock
  }

  /// - Parameter label: the service, for sentences.
  func token(
    _ settings: IntegrationSettings.OAuth2, identity: ClientIdentity?, label: String, timeout: Duration
  ) async throws -> Token {
    let now = clock()
    let (known, request) = state.withLockedValue { state -> (Token?, Task<Token, any Error>?) in
      if let token = state.tokens[settings], now < token.refreshAt { return (token, nil) }
      if let request = state.requests[settings] { return (nil, request) }
      // A task of its own: the caller who asked first may hang up, the others still want it.
      let request = Task { [self] in
        defer { finish(settings) }
        let token = try await fetch(settings, identity, label)
        return keep(token.text, lifetime: token.seconds, of: settings)
      }
      state.requests[settings] = request
      return (nil, request)
    }
    if let known { return known }
    guard let request else { throw HookFailure("unauthorized", "\(label) has no token") }
    return try await firstOf(
      request, limit: timeout,
      late: HookFailure("unauthorized", "the token server of \(label) gave no answer in time", mayRetry: true),
      left: HookFailure("timeout", "\(label) was not waited for"))
  }

  /// The service does not take the token any more.
  func discard(_ token: Token, of settings: IntegrationSettings.OAuth2) {
    state.withLockedValue { if $0.tokens[settings] == token { $0.tokens[settings] = nil } }
  }

  private func finish(_ settings: IntegrationSettings.OAuth2) {
    state.withLockedValue { $0.requests[settings] = nil }
  }

  private func keep(_ text: Secret, lifetime: Int64, of settings: IntegrationSettings.OAuth2) -> Token {
    let now = clock()
    return state.withLockedValue { state in
      state.count += 1
      let lead = min(Limits.leadSeconds, lifetime / 5)
      let token = Token(text: text, refreshAt: now + .seconds(lifetime - lead), number: state.count)
      state.tokens[settings] = token
      return token
    }
  }

  private func fetch(
    _ settings: IntegrationSettings.OAuth2, _ identity: ClientIdentity?, _ label: String
  ) async throws -> (text: Secret, seconds: Int64) {
    let server = "the token server of \(label)"
    var form = [("grant_type", "client_credentials")]
    if !settings.scopes.isEmpty { form.append(("scope", settings.scopes.joined(separator: " "))) }
    if !settings.audience.isEmpty { form.append(("audience", settings.audience)) }
    var request = HTTPClientRequest(url: settings.tokenURL)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
    request.headers.add(name: "Accept", value: "application/json")
    request.headers.add(name: "User-Agent", value: "Parley")
    switch settings.clientAuthentication {
    case .basic:
      request.setBasicAuth(
        username: Self.encoded(settings.clientID), password: Self.encoded(settings.clientSecret.reveal()))
    case .post:
      form += [("client_id", settings.clientID), ("client_secret", settings.clientSecret.reveal())]
    }
    let text = form.map { "\($0.0)=\(Self.encoded($0.1))" }.joined(separator: "&")
    request.body = .bytes(ByteBuffer(string: text))
    let response: HTTPClientResponse
    do {
      // Our certificate is for the service; what it trusts may stand for the token server, too.
      let trust = identity?.authoritiesFile.map { ClientIdentity(authoritiesFile: $0) }
      response = try await outbound.execute(request, identity: trust, timeout: Limits.timeout)
    } catch {
      throw HookFailure(
        "unauthorized", "\(server) gave no token: \(error)",
        mayRetry: [.timeout, .unreachable, .closed].contains(error.kind))
    }
    let status = Int(response.status.code)
    let answer = try? JSON.decode(try await response.bytes(upTo: Limits.answerBytes, server))
    guard status == 200 else {
      // `error` is a word of RFC 6749 section 5.2; what else the server says may hold anything.
      let word = answer?["error"]?.stringValue ?? ""
      let isPlain =
        (1...64).contains(word.utf8.count) && word.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }
      throw HookFailure(
        "unauthorized", status: status, "\(server) answered \(status)" + (isPlain ? " (\(word))" : ""),
        mayRetry: status >= 500 || status == 429)
    }
    guard let token = answer?["access_token"]?.stringValue, (1...8192).contains(token.utf8.count),
      token.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw HookFailure("unauthorized", status: status, "\(server) answered without an access_token") }
    let type = answer?["token_type"]?.stringValue?.lowercased() ?? "bearer"
    guard type == "bearer" else {
      throw HookFailure("unauthorized", status: status, "\(server) gives tokens of another type than Bearer")
    }
    // Some servers write the number as a text.
    let given = answer?["expires_in"]
    let seconds = given?.intValue ?? given?.stringValue.flatMap { Int64($0) } ?? Limits.usualSeconds
    return (Secret(token), min(max(seconds, 1), Limits.longestSeconds))
  }

  /// application/x-www-form-urlencoded, which RFC 6749 wants for the parts of Basic, too (section 2.3.1).
  private static func encoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
        out.unicodeScalars.append(UnicodeScalar(byte))
      case UInt8(ascii: " "): out += "+"
      default: out += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
      }
    }
    return out
  }
}
