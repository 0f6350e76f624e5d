import Base
import Storage
import Testing

@Suite struct TokenStoreTests {
  private static let hour: Int64 = 3_600_000

  private func draft(_ tenant: String = "default", expiresAtMs: Int64? = nil) -> TokenDraft {
    TokenDraft(tenant: tenant, name: "ci", roles: [.viewer, .developer], createdBy: "test", expiresAtMs: expiresAtMs)
  }

  @Test(arguments: Backend.allCases)
  func aTokenIsKnownByItselfAlone(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    let store = TokenStore(database)
    let made = try await store.make(draft(), nowMs: 1000)
    #expect(made.token.hasPrefix("parley_") && made.token.utf8.count == 71)
    let found = try #require(try await store.find(made.token, nowMs: 2000))
    #expect(found.id == made.record.id)
    #expect(found.roles == [.viewer, .developer])
    #expect(found.lastUsedAtMs == 2000)
    var wrong = Array(made.token)
    wrong[70] = wrong[70] == "0" ? "1" : "0"
    #expect(try await store.find(String(wrong), nowMs: 2000) == nil)
    #expect(try await store.find(made.token + " ", nowMs: 2000) == nil)
    // The database holds nothing that could be sent as a token.
    let rows = try await database.read { try $0.rows("SELECT * FROM tokens") }
    let secret = made.token.dropFirst(7)
    #expect(!rows.contains { row in row.values.contains { "\($0)".contains(secret) } })
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func twoTokensDiffer(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = TokenStore(stores.database)
    let one = try await store.make(draft(), nowMs: 1), two = try await store.make(draft(), nowMs: 1)
    #expect(one.token != two.token && one.record.id != two.record.id)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aRevokedTokenIsRefusedAtOnceHereAndSoonElsewhere(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    let here = TokenStore(database), elsewhere = TokenStore(database)
    let made = try await here.make(draft(), nowMs: 0)
    for store in [here, elsewhere] { #expect(try await store.find(made.token, nowMs: 10) != nil) }
    let revoked = try await here.revoke(made.record.id, tenant: "default", nowMs: 20)
    #expect(revoked?.revokedAtMs == 20)
    #expect(try await here.find(made.token, nowMs: 21) == nil)
    #expect(try await elsewhere.find(made.token, nowMs: 21) != nil, "it remembers")
    #expect(try await elsewhere.find(made.token, nowMs: 10 + TokenLimits.cacheMs) == nil)
    #expect(try await here.revoke(made.record.id, tenant: "default", nowMs: 99)?.revokedAtMs == 20, "the first stays")
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aTokenExpiresAlsoWhileItIsRemembered(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = TokenStore(stores.database)
    let made = try await store.make(draft(expiresAtMs: 100), nowMs: 0)
    #expect(try await store.find(made.token, nowMs: 99) != nil)
    #expect(try await store.find(made.token, nowMs: 100) == nil)
    #expect(store.remembered(made.token, nowMs: 100) == nil)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func theLastUseIsWrittenOncePerHour(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    let made = try await TokenStore(database).make(draft(), nowMs: 0)
    func use(_ at: Int64) async throws -> Int64? {
      // Nothing remembered: each use asks the database.
      let store = TokenStore(database)
      _ = try await store.find(made.token, nowMs: at)
      return try await store.token(made.record.id, tenant: "default")?.lastUsedAtMs
    }
    #expect(try await use(Self.hour) == Self.hour)
    #expect(try await use(Self.hour + 1000) == Self.hour)
    #expect(try await use(2 * Self.hour) == 2 * Self.hour)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aTenantSeesAndRevokesItsOwnAlone(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = TokenStore(stores.database)
    let own = try await store.make(draft("acme"), nowMs: 1).record
    let other = try await store.make(draft("rival"), nowMs: 2).record
    #expect(try await store.tokens(tenant: "acme", limit: 10).map(\.id) == [own.id])
    #expect(try await store.token(other.id, tenant: "acme") == nil)
    #expect(try await store.revoke(other.id, tenant: "acme", nowMs: 3) == nil)
    #expect(try await store.token(other.id, tenant: "rival")?.revokedAtMs == nil)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func tokensArePaged(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = TokenStore(stores.database)
    var ids: [String] = []
    for i in 1...5 { ids.append(try await store.make(draft(), nowMs: Int64(i) * 1000).record.id) }
    let first = try await store.tokens(tenant: "default", limit: 3)
    #expect(first.map(\.id) == Array(ids.prefix(3)))
    #expect(try await store.tokens(tenant: "default", after: first[2].id, limit: 3).map(\.id) == Array(ids.suffix(2)))
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aSenselessDraftIsRefused(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = TokenStore(stores.database)
    let senseless = [
      draft("Not A Tenant"), draft(""), draft(expiresAtMs: 5),
      TokenDraft(tenant: "default", name: "", roles: [.viewer], createdBy: ""),
      TokenDraft(tenant: "default", name: "x", roles: [], createdBy: ""),
    ]
    for draft in senseless {
      await #expect(throws: StorageError.self) { try await store.make(draft, nowMs: 10) }
    }
    await stores.close()
  }
}
