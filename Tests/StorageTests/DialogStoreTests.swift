import Base
import Storage
import Testing

/// The versions of dialogs: numbers, publishing, rolling back, and who owns a name.
@Suite struct DialogStoreTests {
  private func draft(_ dialog: String, _ source: String, origin: DialogVersion.Origin = .api) -> DialogDraft {
    DialogDraft(dialog: dialog, source: source, origin: origin, author: "ann", note: "why")
  }

  private func put(
    _ store: any DialogStore, _ dialog: String, _ source: String, origin: DialogVersion.Origin = .api,
    publish: Bool = false, nowMs: Int64 = 1
  ) async throws -> DialogVersion {
    try await store.keep([draft(dialog, source, origin: origin)], publish: publish, expecting: nil, nowMs: nowMs)[0]
  }

  @Test(arguments: Backend.allCases) func sourcesAreNumberedAndKnownByTheirDigest(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    let one = try await put(store, "menu", "name: menu")
    #expect(one.number == 1 && one.state == .draft && one.publishedAtMs == nil)
    #expect(one.digest == SHA256.hex("name: menu"))
    #expect(one.author == "ann" && one.note == "why" && one.createdAtMs == 1)
    let two = try await put(store, "menu", "name: menu # 2")
    #expect(two.number == 2)
    #expect(try await put(store, "menu", "name: menu # 2").number == 2, "the same source is the same version")
    let three = try await put(store, "menu", "name: menu", nowMs: 5)
    #expect(three.number == 3, "an old source that comes back is a new version")
    #expect(try await store.version(digest: one.digest)?.number == 3)
    #expect(try await put(store, "other", "name: menu").number == 1, "each dialog counts for itself")
    #expect(try await store.versions(of: "menu", limit: 2, before: nil).map(\.number) == [3, 2])
    #expect(try await store.versions(of: "menu", limit: 2, before: 2).map(\.number) == [1])
    #expect(try await store.version(2, of: "menu")?.source == "name: menu # 2")
    #expect(try await store.version(4, of: "menu") == nil)
  }

  @Test(arguments: Backend.allCases) func whatIsPublishedMoves(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    for i in 1...3 { _ = try await put(store, "menu", "v\(i)") }
    #expect(try await store.published().isEmpty)
    #expect(try await store.publish("menu", version: 1, nowMs: 10).state == .published)
    _ = try await store.publish("menu", version: 3, nowMs: 20)
    #expect(try await store.published().map(\.number) == [3])
    #expect(try await store.versions(of: "menu", limit: 9, before: nil).map(\.state) == [.published, .draft, .retired])
    let back = try await store.rollback("menu", version: nil, nowMs: 30)
    #expect(back.number == 1 && back.publishedAtMs == 30, "a draft is no version to go back to")
    #expect(try await store.published().map(\.source) == ["v1"])
    #expect(try await store.rollback("menu", version: 3, nowMs: 40).number == 3)
    await #expect(throws: StorageError.self) { try await store.rollback("menu", version: 2, nowMs: 50) }
    await #expect(throws: StorageError.self) { try await store.publish("menu", version: 9, nowMs: 50) }
    await #expect(throws: StorageError.self) { try await store.rollback("nobody", version: nil, nowMs: 50) }
    #expect(try await store.published().map(\.number) == [3])
    try await store.withdraw(["menu", "nobody"])
    #expect(try await store.published().isEmpty)
    #expect(try await store.version(3, of: "menu")?.state == .retired)
  }

  @Test(arguments: Backend.allCases) func whoWritesMustKnowWhatIsNewest(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    _ = try await store.keep([draft("menu", "v1")], publish: false, expecting: 0, nowMs: 1)
    let error = await #expect(throws: StorageError.self) {
      try await store.keep([self.draft("menu", "v2")], publish: false, expecting: 0, nowMs: 1)
    }
    #expect(error?.code == .conflict)
    #expect(error?.description == "the newest version of `menu` is 1, not 0")
    #expect(try await store.keep([draft("menu", "v2")], publish: false, expecting: 1, nowMs: 1)[0].number == 2)
  }

  @Test(arguments: Backend.allCases) func allOfThemOrNone(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    let long = String(repeating: "a", count: StorageLimits.dialogBytes + 1)
    await #expect(throws: StorageError.self) {
      try await store.keep([self.draft("a", "x"), self.draft("b", long)], publish: true, expecting: nil, nowMs: 1)
    }
    #expect(try await store.dialogs(limit: 10, after: nil).isEmpty)
  }

  @Test(arguments: Backend.allCases) func oldDraftsGoAndWhatWasPublishedStays(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    let first = try await put(store, "menu", "first", publish: true)
    for i in 1...(StorageLimits.drafts + 5) { _ = try await put(store, "menu", "draft \(i)") }
    let versions = try await store.versions(of: "menu", limit: 1000, before: nil)
    #expect(versions.filter { $0.state == .draft }.count == StorageLimits.drafts)
    #expect(versions.first?.number == StorageLimits.drafts + 6, "numbers are not used twice")
    #expect(versions.last == first)
    #expect(try await store.version(digest: SHA256.hex("draft 5")) == nil)
    #expect(try await store.version(digest: SHA256.hex("draft 6")) != nil)
  }

  // MARK: The folder's dialogs

  @Test(arguments: Backend.allCases) func aFileOwnsItsDialog(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    _ = try await put(store, "menu", "v1", origin: .folder, publish: true)
    try await store.report([DialogStatus(dialog: "menu", state: .serving, served: 1, file: "menu.yaml")])
    _ = try await put(store, "menu", "from the API")
    let error = await #expect(throws: StorageError.self) { try await store.publish("menu", version: 2, nowMs: 2) }
    #expect(error?.code == .conflict)
    #expect(error?.description == "the dialog `menu` comes from the file menu.yaml: change it there")
  }

  @Test(arguments: Backend.allCases) func aRollbackHoldsTheFileBackUntilItChanges(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    _ = try await put(store, "menu", "v1", origin: .folder, publish: true)
    _ = try await put(store, "menu", "v2", origin: .folder, publish: true)
    try await store.report([DialogStatus(dialog: "menu", state: .serving, served: 2, file: "menu.yaml")])
    _ = try await store.rollback("menu", version: nil, nowMs: 3)
    #expect(try await store.dialog("menu")?.heldDigest == SHA256.hex("v2"))
    #expect(try await store.dialog("menu")?.published == 1)
    #expect(try await store.publish("menu", version: 2, nowMs: 4).state == .published, "taking it back")
    #expect(try await store.dialog("menu")?.heldDigest == "")
    _ = try await store.rollback("menu", version: 1, nowMs: 5)
    _ = try await put(store, "menu", "v3", origin: .folder, publish: true)
    #expect(try await store.dialog("menu")?.heldDigest == "")
    #expect(try await store.published().map(\.number) == [3])
  }

  @Test(arguments: Backend.allCases) func theRuntimesReportStandsBesideTheVersions(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let store = stores.dialogs.scoped(to: Tenant.standard)
    _ = try await put(store, "a", "v1", publish: true)
    let finding = Diagnostic(
      code: "D002", severity: .error, file: "b.yaml", position: SourcePosition(line: 3, column: 4), message: "no",
      hint: "yes")
    let broken = DialogStatus(dialog: "b", state: .broken, file: "b.yaml", diagnostics: [finding])
    let serving = DialogStatus(
      dialog: "a", state: .serving, served: 1, label: "1.0", description: "Menu", language: "en")
    try await store.report([serving, broken])
    #expect(try await store.dialogs(limit: 10, after: nil).map(\.status) == [serving, broken])
    #expect(try await store.dialogs(limit: 10, after: "a").map(\.name) == ["b"])
    #expect(try await store.dialog("b")?.latest == 0)
    try await store.report([serving])
    #expect(try await store.dialog("b") == nil, "nothing is known of it any more")
    try await store.report([])
    #expect(try await store.dialog("a")?.status == nil)
    #expect(try await store.dialog("a")?.latest == 1)
  }

  @Test(arguments: Backend.allCases) func listenersHearOfWhatIsPublished(backend: Backend) async throws {
    let stores = try await backend.open()
    defer { Task { await stores.close() } }
    let library = stores.dialogs
    let store = library.scoped(to: Tenant.standard)
    var changes = library.changes().makeAsyncIterator()
    _ = try await put(store, "a", "v1")
    _ = try await store.publish("a", version: 1, nowMs: 1)
    #expect(await changes.next() != nil)
    _ = try await put(store, "a", "v2", publish: true)
    _ = try await store.rollback("a", version: nil, nowMs: 1)
    #expect(await changes.next() != nil, "two changes that nobody looked at are one")
  }

  @Test func versionsOutliveTheProcess() async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let path = folder.path + "/parley.db"
    let first = try await DatabaseStores.sqlite(path: path, nowMs: 1, logger: quiet)
    _ = try await first.dialogs.scoped(to: Tenant.standard).keep(
      [draft("menu", "v1")], publish: true, expecting: nil, nowMs: 1)
    let changes = first.dialogs.changes()
    await first.close()
    for await _ in changes {}
    let second = try await DatabaseStores.sqlite(path: path, nowMs: 2, logger: quiet)
    #expect(try await second.dialogs.scoped(to: Tenant.standard).published().map(\.source) == ["v1"])
    await second.close()
  }
}
