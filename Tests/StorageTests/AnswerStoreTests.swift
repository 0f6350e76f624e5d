import Base
import Storage
import Testing

/// Answers by `Idempotency-Key`: once, per tenant, across restarts, for a day.
@Suite struct AnswerStoreTests {
  @Test(arguments: Backend.allCases)
  func aRequestIsNewOnce(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    let store = AnswerStore(database)
    #expect(try await store.begin("k", tenant: "a", digest: "d", nowMs: 0) == .new)
    #expect(try await store.begin("k", tenant: "a", digest: "d", nowMs: 1000) == .underWay)
    #expect(try await store.begin("k", tenant: "a", digest: "e", nowMs: 1000) == .different)
    #expect(
      try await store.begin("k", tenant: "b", digest: "e", nowMs: 1000) == .new, "another tenant's key is another key")
    try await store.finish("k", tenant: "a", ["x": 1], status: 201)
    // A new process has nothing but the database.
    let after = AnswerStore(database)
    #expect(try await after.begin("k", tenant: "a", digest: "d", nowMs: 2000) == .same(["x": 1], status: 201))
    #expect(try await after.begin("k", tenant: "a", digest: "d", nowMs: AnswerStore.keptMs + 1) == .new)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aRequestThatFailedMayComeAgain(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = AnswerStore(stores.database)
    #expect(try await store.begin("k", tenant: "a", digest: "d", nowMs: 0) == .new)
    try await store.forget("k", tenant: "a")
    #expect(try await store.begin("k", tenant: "a", digest: "e", nowMs: 0) == .new)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aRequestThatACrashCutOffIsNotDoneTwice(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = AnswerStore(stores.database)
    #expect(try await store.begin("k", tenant: "a", digest: "d", nowMs: 0) == .new)
    #expect(try await store.begin("k", tenant: "a", digest: "d", nowMs: AnswerStore.longestMs + 1) == .unknown)
    await stores.close()
  }
}
