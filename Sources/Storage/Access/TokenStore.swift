import Base
import NIOConcurrencyHelpers

/// A token of the API as the database knows it: everything but the token itself.
public struct TokenRecord: Sendable, Hashable {
  /// A ULID: what the audit log names.
  public var id: String
  public var tenant: String
  /// For people.
  public var name: String
  public var roles: Set<Role>
  /// The principal that made it.
  public var createdBy: String
  /// Wall-clock milliseconds since 1970, here and below.
  public var createdAtMs: Int64
  /// nil: never.
  public var expiresAtMs: Int64?
  /// To within an hour; nil: never used.
  public var lastUsedAtMs: Int64?
  public var revokedAtMs: Int64?

  public func isValid(atMs: Int64) -> Bool { revokedAtMs == nil && (expiresAtMs.map { atMs < $0 } ?? true) }

  /// In the order of ``Role``.
  public var roleNames: [String] { Role.allCases.filter(roles.contains).map(\.rawValue) }

  /// As the API and the command line show it.
  public var shown: [String: Value] {
    [
      "id": .string(id), "name": .string(name), "tenant": .string(tenant),
      "roles": .list(roleNames.map { .string($0) }),
      "created_by": .string(createdBy), "created_at": .time(createdAtMs), "expires_at": .time(expiresAtMs),
      "last_used_at": .time(lastUsedAtMs), "revoked_at": .time(revokedAtMs),
    ]
  }
}

/// What a new token is to be.
public struct TokenDraft: Sendable {
  public var tenant: String
  public var name: String
  public var roles: Set<Role>
  public var createdBy: String
  public var expiresAtMs: Int64?

  public init(tenant: String, name: String, roles: Set<Role>, createdBy: String, expiresAtMs: Int64? = nil) {
    self.tenant = tenant
    self.name = name
    self.roles = roles
    self.createdBy = createdBy
    self.expiresAtMs = expiresAtMs
  }
}

/// Tokens of the API. Only their SHA-256 is kept: they are 256 random bits, so there is nothing to guess that a slow hash would
/// have to protect. Any thread.
///
/// What a token may do is remembered for ``TokenLimits/cacheMs``: a token that is revoked by this process is refused at once,
/// one that another process revoked within that time.
public final class TokenStore: Sendable {
  private let database: any SQLDatabase
  private let cache = NIOLockedValueBox(Cache())

  private struct Cache {
    /// By hash.
    var entries: [[UInt8]: (record: TokenRecord, untilMs: Int64)] = [:]
    /// Counts revocations: what was read before one may not be remembered after it.
    var generation = 0
  }

  public init(_ database: any SQLDatabase) { self.database = database }

  /// How every token begins, so that people and scanners of leaked secrets know it.
  public static let prefix = "parley_"

  /// Whether a text can be a token of this store: anything else needs no look into the database.
  public static func isToken(_ text: some StringProtocol) -> Bool {
    text.utf8.count == prefix.utf8.count + 64 && text.hasPrefix(prefix)
  }

  private static let columns =
    "token_id, tenant, name, roles, created_by, created_at_ms, expires_at_ms, last_used_at_ms, revoked_at_ms"

  /// Makes a token.
  /// - Returns: the token, which nobody can find out again, and its record.
  /// - Throws: ``StorageError`` `limit`; `conflict` for a draft that makes no sense.
  public func make(_ draft: TokenDraft, nowMs: Int64) async throws -> (token: String, record: TokenRecord) {
    guard Tenant.isName(draft.tenant) else {
      throw StorageError(
        .conflict, "a tenant has 1 to 64 lower-case letters, digits, `-` and `_`, a letter or digit first")
    }
    guard (1...TokenLimits.nameCharacters).contains(draft.name.count), !draft.roles.isEmpty else {
      throw StorageError(
        .conflict, "a token has a name of 1 to \(TokenLimits.nameCharacters) characters and at least one role")
    }
    if let expires = draft.expiresAtMs, expires <= nowMs {
      throw StorageError(.conflict, "the token would expire before it is made")
    }
    var chance = SystemRandomNumberGenerator()
    let secret = Self.prefix + (0..<32).map { _ in UInt8.random(in: 0...255, using: &chance) }.hexadecimal
    let record = TokenRecord(
      id: ULID.make(unixMilliseconds: nowMs, using: &chance), tenant: draft.tenant, name: draft.name,
      roles: draft.roles, createdBy: draft.createdBy, createdAtMs: nowMs, expiresAtMs: draft.expiresAtMs)
    let hash = SHA256.digest(Array(secret.utf8))
    try await database.write { connection in
      let count = try connection.row("SELECT COUNT(*) AS count FROM tokens WHERE tenant = ?", [.text(record.tenant)])
      guard try count?.int("count") ?? 0 < Int64(TokenLimits.perTenant) else {
        throw StorageError(.limit, "a tenant has at most \(TokenLimits.perTenant) tokens, revoked ones included")
      }
      try connection.run(
        "INSERT INTO tokens (\(Self.columns), hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
          .text(record.id), .text(record.tenant), .text(record.name),
          .text(record.roles.map(\.rawValue).sorted().joined(separator: " ")), .text(record.createdBy),
          .int(record.createdAtMs), SQLValue(record.expiresAtMs), .null, .null, .bytes(hash),
        ])
    }
    return (secret, record)
  }

  /// The record of a token that is valid now, without a look into the database; nil where it is not remembered.
  public func remembered(_ token: some StringProtocol, nowMs: Int64) -> TokenRecord? {
    remembered(SHA256.digest(Array(token.utf8)), nowMs)
  }

  private func remembered(_ hash: [UInt8], _ nowMs: Int64) -> TokenRecord? {
    cache.withLockedValue { cache in
      guard let entry = cache.entries[hash], nowMs < entry.untilMs, entry.record.isValid(atMs: nowMs) else {
        return nil
      }
      return entry.record
    }
  }

  /// The record of a token that is valid now; nil for any other text.
  public func find(_ token: some StringProtocol, nowMs: Int64) async throws -> TokenRecord? {
    guard Self.isToken(token) else { return nil }
    let hash = SHA256.digest(Array(token.utf8))
    if let record = remembered(hash, nowMs) { return record }
    let generation = cache.withLockedValue { $0.generation }
    let found = try await database.read { connection in
      try connection.row("SELECT \(Self.columns) FROM tokens WHERE hash = ?", [.bytes(hash)]).map(Self.record)
    }
    guard var record = found, record.isValid(atMs: nowMs) else { return nil }
    if record.lastUsedAtMs.map({ nowMs - $0 >= TokenLimits.lastUsedMs }) ?? true {
      record.lastUsedAtMs = nowMs
      let id = record.id
      // Who was there is a convenience: a database that cannot be written keeps nobody out.
      _ = try? await database.write { connection in
        try connection.run(
          "UPDATE tokens SET last_used_at_ms = ? WHERE token_id = ?", [.int(nowMs), .text(id)])
      }
    }
    let remembered = record
    cache.withLockedValue { cache in
      guard cache.generation == generation else { return }
      if cache.entries.count >= TokenLimits.cached { cache.entries = [:] }
      cache.entries[hash] = (remembered, nowMs + TokenLimits.cacheMs)
    }
    return record
  }

  /// A tenant's tokens by age, those younger than the one named `cursor`.
  public func tokens(tenant: String, after cursor: String? = nil, limit: Int) async throws -> [TokenRecord] {
    try await database.read { connection in
      try connection.rows(
        "SELECT \(Self.columns) FROM tokens WHERE tenant = ? AND token_id > ? ORDER BY token_id LIMIT ?",
        [.text(tenant), .text(cursor ?? ""), SQLValue(min(max(0, limit), StorageLimits.page))]
      ).map(Self.record)
    }
  }

  /// nil where the tenant has no such token.
  public func token(_ id: String, tenant: String) async throws -> TokenRecord? {
    try await database.read { connection in
      try connection.row(
        "SELECT \(Self.columns) FROM tokens WHERE token_id = ? AND tenant = ?", [.text(id), .text(tenant)]
      ).map(Self.record)
    }
  }

  /// Refuses a token from now on. The first revocation stays.
  /// - Returns: the record as it is now; nil where the tenant has no such token.
  public func revoke(_ id: String, tenant: String, nowMs: Int64) async throws -> TokenRecord? {
    let record = try await database.write { connection in
      try connection.run(
        "UPDATE tokens SET revoked_at_ms = ? WHERE token_id = ? AND tenant = ? AND revoked_at_ms IS NULL",
        [.int(nowMs), .text(id), .text(tenant)])
      return try connection.row(
        "SELECT \(Self.columns) FROM tokens WHERE token_id = ? AND tenant = ?", [.text(id), .text(tenant)]
      ).map(Self.record)
    }
    cache.withLockedValue { cache in
      cache.generation += 1
      cache.entries = cache.entries.filter { $0.value.record.id != id }
    }
    return record
  }

  private static func record(_ row: SQLRow) throws -> TokenRecord {
    // A role that this version does not know gives nothing.
    let roles = try row.text("roles").split(separator: " ").compactMap { Role(rawValue: String($0)) }
    return TokenRecord(
      id: try row.text("token_id"), tenant: try row.text("tenant"), name: try row.text("name"), roles: Set(roles),
      createdBy: try row.text("created_by"), createdAtMs: try row.int("created_at_ms"),
      expiresAtMs: try row.optionalInt("expires_at_ms"), lastUsedAtMs: try row.optionalInt("last_used_at_ms"),
      revokedAtMs: try row.optionalInt("revoked_at_ms"))
  }
}

/// Limits of the tokens.
public enum TokenLimits {
  /// How long what a token may do is remembered.
  public static let cacheMs: Int64 = 5_000
  /// Tokens that are remembered.
  static let cached = 10_000
  /// How exactly the last use is known: a write per use would cost more than the use.
  static let lastUsedMs: Int64 = 3_600_000
  public static let nameCharacters = 100
  /// Tokens of one tenant.
  public static let perTenant = 10_000
}
