import Base
import Storage
import Testing

/// Nothing of one tenant is another's; and lists that cost what they show.
@Suite struct TenantStoreTests {
  @Test(arguments: Backend.allCases)
  func callsAndEventsAreTheirTenants(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = stores.sessions
    for tenant in ["a", "b"] {
      var call = summary("s-\(tenant)", startedAtMs: 1)
      call.tenant = tenant
      store.put(call)
      for i in 1...3 {
        var event = event(i, session: "s-\(tenant)")
        event.tenant = tenant
        store.append(event)
      }
    }
    await store.flush()
    let b = SessionID("s-b")
    #expect(try await store.session(b, tenant: "a") == nil)
    #expect(try await store.session(b, tenant: "b")?.tenant == "b")
    #expect(try await store.events(of: b, tenant: "a", after: 0, limit: 9).isEmpty)
    #expect(try await store.events(of: b, tenant: "b", after: 0, limit: 9).count == 3)
    let mine = try await store.events(tenant: "a", after: nil, limit: 9)
    #expect(mine.map(\.session) == Array(repeating: SessionID("s-a"), count: 3))
    // Somebody else's event is a place to go on from, and no more.
    let foreign = event(2, session: "s-b").eventID
    #expect(try await store.events(tenant: "a", after: foreign, limit: 9).allSatisfy { $0.tenant == "a" })
    #expect(try await store.sessions(SessionQuery(tenant: "a", ended: false, limit: 9)).map(\.session.value) == ["s-a"])
    #expect(try await store.sessions(SessionQuery(tenant: "c", ended: false, limit: 9)).isEmpty)
    await #expect(throws: StorageError.self) {
      _ = try await store.sessions(SessionQuery(tenant: "a", ended: false, limit: 9, cursor: b))
    }
    await stores.close()
  }

  @Test(arguments: Backend.allCases)
  func dialogsOfOneNameAreTwo(backend: Backend) async throws {
    let stores = try await backend.open()
    let a = stores.dialogs.scoped(to: "a"), b = stores.dialogs.scoped(to: "b")
    func draft(_ source: String) -> DialogDraft { DialogDraft(dialog: "menu", source: source, origin: .api) }
    _ = try await a.keep([draft("one")], publish: true, expecting: 0, nowMs: 1)
    _ = try await b.keep([draft("two")], publish: true, expecting: 0, nowMs: 1)
    _ = try await b.keep([draft("three")], publish: false, expecting: 1, nowMs: 1)
    #expect(try await a.published().map(\.source) == ["one"])
    #expect(try await a.versions(of: "menu", limit: 9, before: nil).map(\.source) == ["one"])
    #expect(try await a.version(digest: SHA256.hex("two")) == nil)
    #expect(try await stores.dialogs.tenants() == ["a", "b"])
    try await a.report([])
    try await a.withdraw(["menu"])
    #expect(try await b.published().map(\.source) == ["two"])
    #expect(try await stores.dialogs.scoped(to: "c").dialogs(limit: 9, after: nil).isEmpty)
    await stores.close()
  }

  // MARK: Lists

  @Test(arguments: Backend.allCases)
  func aListIsNarrowedByWhatIsAsked(backend: Backend) async throws {
    let stores = try await backend.open()
    for i in 0..<12 {
      var call = summary("s\(i + 10)", startedAtMs: Int64(100 + i))
      call.dialogName = i % 2 == 0 ? "menu" : "sales"
      call.callerID = "c\(i % 3)"
      call.calledNumber = "n\(i % 4)"
      if i < 8 { call.state = .ended }
      stores.sessions.put(call)
    }
    await stores.sessions.flush()
    func list(_ change: (inout SessionQuery) -> Void) async throws -> [String] {
      var query = SessionQuery(tenant: Tenant.standard, ended: true, limit: 20)
      change(&query)
      return try await stores.sessions.sessions(query).map { String($0.session.value.dropFirst()) }
    }
    #expect(try await list { _ in } == ["17", "16", "15", "14", "13", "12", "11", "10"])
    #expect(try await list { $0.ended = false } == ["21", "20", "19", "18"])
    #expect(try await list { $0.dialog = "menu" } == ["16", "14", "12", "10"])
    #expect(try await list { $0.callerID = "c1" } == ["17", "14", "11"])
    #expect(try await list { $0.calledNumber = "n3" } == ["17", "13"])
    #expect(
      try await list {
        $0.startedFromMs = 102
        $0.startedBeforeMs = 105
      } == ["14", "13", "12"])
    #expect(
      try await list {
        $0.dialog = "menu"
        $0.callerID = "c0"
      } == ["16", "10"])
    #expect(
      try await list {
        $0.dialog = "menu"
        $0.cursor = SessionID("s14")
        $0.limit = 1
      } == ["12"])
    await stores.close()
  }

  /// One walk along an index that has the list's order, whatever is asked: then a page costs the same among ten calls and ten
  /// million.
  @Test(arguments: Backend.allCases)
  func aPageIsOneWalkAlongAnIndex(backend: Backend) async throws {
    let stores = try await backend.open()
    let count = 3_000
    for i in 0..<count {
      var call = summary("s\(i)", startedAtMs: Int64(i))
      call.tenant = i % 3 == 0 ? "a" : "b"
      call.dialogName = "d\(i % 5)"
      call.state = i % 7 == 0 ? .active : .ended
      call.callerID = "c\(i % 50)"
      stores.sessions.put(call)
    }
    await stores.sessions.flush()
    if backend == .postgres { try await stores.database.alone { _ = try $0.run("ANALYZE sessions") } }
    for (query, index) in [
      (SessionQuery(tenant: "a", ended: true, limit: 50), "sessions_by_start"),
      (SessionQuery(tenant: "a", ended: true, limit: 50, cursor: SessionID("s1500")), "sessions_by_start"),
      (SessionQuery(tenant: "a", ended: true, dialog: "d3", limit: 50), "sessions_by_dialog"),
      (SessionQuery(tenant: "a", ended: true, callerID: "c3", limit: 50), "sessions_by_caller"),
      (SessionQuery(tenant: "a", ended: true, startedFromMs: 100, limit: 50), "sessions_by_start"),
    ] {
      let plan = try await stores.sessions.explain(query).joined(separator: "\n")
      // So small a table is sorted as quickly by PostgreSQL, where the filter leaves a few dozen rows.
      let isSmall = backend == .postgres && query.callerID != nil
      #expect(isSmall || plan.contains(index), "\(plan)")
      #expect(isSmall || !plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "\(plan)")
    }
    await stores.close()
  }
}
