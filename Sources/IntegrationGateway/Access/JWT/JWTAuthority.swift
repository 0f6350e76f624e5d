import Base
import Logging
import NIOConcurrencyHelpers
import Settings

/// Believes tokens of one identity provider, by the keys that it publishes. Any thread.
///
/// The keys are fetched at the first token, again in the background when they are ``refreshAfter`` old, and at once for a token
/// whose key is not among them (the provider has a new one), but never more often than ``retryAfter``. While the provider
/// cannot be reached, the keys of before go on.
final class JWTAuthority: Sendable {
  static let refreshAfter: Duration = .seconds(300)
  static let retryAfter: Duration = .seconds(10)
  /// The largest set of keys that is read.
  static let documentBytes = 256 * 1024

  private struct State {
    var keys: [JWTKey] = []
    var fetchedAt: Instant?
    var triedAt: Instant?
    var fetching: Task<Void, Never>?
  }

  private let settings: SecuritySettings.JWT
  private let fetch: @Sendable (String) async throws -> [UInt8]
  private let now: @Sendable () -> Instant
  private let nowMs: @Sendable () -> Int64
  private let logger: Logger
  private let state = NIOLockedValueBox(State())

  /// - Parameter fetch: the document at an address, bounded in time and by ``documentBytes``.
  init(
    _ settings: SecuritySettings.JWT, fetch: @escaping @Sendable (String) async throws -> [UInt8],
    now: @escaping @Sendable () -> Instant = Instant.monotonic, nowMs: @escaping @Sendable () -> Int64, logger: Logger
  ) {
    self.settings = settings
    self.fetch = fetch
    self.now = now
    self.nowMs = nowMs
    self.logger = logger
  }

  /// nil for a token that is not to be believed.
  func principal(of text: String) async -> Principal? {
    guard let token = JWTText(text), JWTKey.algorithms.contains(token.algorithm) else { return nil }
    // What does not even claim to be for us is not worth a look at keys.
    let claims = JWTClaims(settings: settings)
    guard let principal = claims.principal(token.claims, nowMs: nowMs()) else { return nil }
    var keys = keys(for: token)
    if keys.isEmpty {
      await refresh()?.value
      keys = self.keys(for: token)
    } else if isOld {
      _ = refresh()
    }
    return keys.contains { $0.verifies(token) } ? principal : nil
  }

  private func keys(for token: JWTText) -> [JWTKey] {
    let keys = state.withLockedValue { $0.keys }
    guard let id = token.keyID else { return keys }
    return keys.filter { $0.id == id }
  }

  private var isOld: Bool {
    let at = now()
    return state.withLockedValue { $0.fetchedAt.map { at - $0 >= Self.refreshAfter } ?? true }
  }

  /// The fetch that is under way, or a new one; nil where it is too early for one.
  private func refresh() -> Task<Void, Never>? {
    let at = now()
    return state.withLockedValue { state in
      if let fetching = state.fetching { return fetching }
      if let tried = state.triedAt, at - tried < Self.retryAfter { return nil }
      state.triedAt = at
      let task = Task { await load() }
      state.fetching = task
      return task
    }
  }

  private func load() async {
    let outcome: Result<[JWTKey], any Error>
    do {
      let document = try await fetch(settings.jwksURL)
      guard let keys = JWTKey.set(document), !keys.isEmpty else { throw NoKeys() }
      outcome = .success(keys)
    } catch {
      outcome = .failure(error)
    }
    let at = now()
    state.withLockedValue { state in
      state.fetching = nil
      guard case .success(let keys) = outcome else { return }
      state.keys = keys
      state.fetchedAt = at
    }
    if case .failure(let error) = outcome {
      logger.warning(
        "the keys of the identity provider cannot be fetched",
        metadata: ["url": "\(settings.jwksURL)", "error": "\(error)"])
    }
  }

  private struct NoKeys: Error, CustomStringConvertible {
    let description = "the document holds no key that can be used (RS256, PS256, ES256, ES384, EdDSA)"
  }
}
