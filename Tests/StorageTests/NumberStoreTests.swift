import Base
import Storage
import Testing

/// Whose a number is.
@Suite struct NumberStoreTests {
  @Test(arguments: Backend.allCases)
  func aNumberIsKnownAtOnceAndAfterARestart(backend: Backend) async throws {
    let stores = try await backend.open()
    let numbers = stores.numbers
    #expect(numbers.destination(of: "+491") == nil)
    let made = try await numbers.put("+491", tenant: "a", dialog: "menu", description: "Main", nowMs: 5)
    #expect(numbers.destination(of: "+491") == made)
    let moved = try await numbers.put("+491", tenant: "a", dialog: "sales", description: "", nowMs: 9)
    #expect(moved.createdAtMs == 5 && moved.updatedAtMs == 9)
    #expect(numbers.destination(of: "+491")?.dialog == "sales")
    let other = SQLNumberStore(stores.database)
    try await other.reload()
    #expect(other.destination(of: "+491") == moved)
    #expect(try await numbers.remove("+491", tenant: "a"))
    #expect(try await !numbers.remove("+491", tenant: "a"))
    #expect(numbers.destination(of: "+491") == nil)
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func aNumberIsOneTenants(backend: Backend) async throws {
    let stores = try await backend.open()
    let numbers = stores.numbers
    for number in ["3", "1", "2"] {
      _ = try await numbers.put(number, tenant: "a", dialog: "menu", description: "", nowMs: 1)
    }
    let error = await #expect(throws: StorageError.self) {
      _ = try await numbers.put("1", tenant: "b", dialog: "mine", description: "", nowMs: 1)
    }
    #expect(error?.code == .conflict)
    #expect(error?.description == "the number 1 is not free", "whose it is, is nobody's business")
    #expect(try await !numbers.remove("1", tenant: "b"))
    #expect(try await numbers.number("1", tenant: "b") == nil)
    #expect(try await numbers.number("1", tenant: "a")?.dialog == "menu")
    #expect(try await numbers.numbers(tenant: "a", limit: 2, after: nil).map(\.number) == ["1", "2"])
    #expect(try await numbers.numbers(tenant: "a", limit: 2, after: "2").map(\.number) == ["3"])
    #expect(try await numbers.numbers(tenant: "b", limit: 2, after: nil).isEmpty)
    await stores.close()
  }

  @Test(arguments: ["", "1 2", "a@b", "é", String(repeating: "1", count: 65)])
  func whatIsNoNumberIsExplained(number: String) async throws {
    let numbers = try SQLNumberStore.inMemory()
    let error = await #expect(throws: StorageError.self) {
      _ = try await numbers.put(number, tenant: "a", dialog: "menu", description: "", nowMs: 1)
    }
    #expect(error?.code == .limit)
  }
}
