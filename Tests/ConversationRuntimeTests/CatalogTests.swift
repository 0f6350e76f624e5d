import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Logging
import Storage
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What serves while files and versions change: the catalog in step with a real folder and a real store.
@Suite struct CatalogTests {
  private func text(_ name: String, _ prompt: String) -> String {
    """
    name: \(name)
    states:
      start:
        on_enter:
          - action: play_tts
            text: "\(prompt)"
          - action: hangup
        terminal: true
    """
  }
  private static let broken = "name: menu\nstates:\n  start:\n    on_entry: []\n"

  /// The first prompt of a dialog that serves; nil where none of that name does.
  private func prompt(_ catalog: DialogCatalog, _ name: String = "menu") -> String? {
    guard let dialog = catalog.dialog(named: name) else { return nil }
    var simulator = DialogSimulator(dialog: dialog)
    return simulator.start().first { $0.hasPrefix("<< ") }.map { String($0.dropFirst(3)) }
  }

  // MARK: Files

  @Test func aFileThatChangesIsServedAndItsVersionsStay() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "One.")]) { fixture in
      let first = try await fixture.keeper.start()
      #expect(prompt(first) == "One.")
      #expect(first.identity(of: "menu") == DialogIdentity(number: 1, digest: SHA256.hex(text("menu", "One."))))
      try fixture.write("menu.yaml", text("menu", "Two."))
      await fixture.keeper.look()
      #expect(fixture.changes.with { $0 }.isEmpty, "it may still be being written")
      await fixture.keeper.look()
      let second = try #require(fixture.changes.with { $0 }.last)
      #expect(prompt(second) == "Two.")
      #expect(second.identity(of: "menu")?.number == 2)
      #expect(prompt(first) == "One.", "who holds the old one keeps it")
      let old = try await fixture.store.version(digest: SHA256.hex(text("menu", "One.")))
      #expect(old?.source == text("menu", "One."))
      for _ in 0..<3 { await fixture.keeper.look() }
      #expect(fixture.changes.with { $0.count } == 1)
      #expect(fixture.counted.with { $0 } == ["loaded", "loaded"])
    }
  }

  @Test func aBrokenFileKeepsTheLastGoodVersionAndSaysSoOnce() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "Good."), "other.yaml": text("other", "Other.")]) { fixture in
      _ = try await fixture.keeper.start()
      fixture.lines.with { $0 = [] }
      try fixture.write("menu.yaml", Self.broken)
      for _ in 0..<5 { await fixture.keeper.look() }
      let catalog = await fixture.keeper.catalog
      #expect(prompt(catalog) == "Good.")
      #expect(prompt(catalog, "other") == "Other.")
      let status = try #require(try await fixture.store.dialog("menu")?.status)
      #expect(status.state == .broken && status.served == 1)
      #expect(status.diagnostics.first?.position?.line == 4)
      #expect(status.diagnostics.first?.code == "D002")
      let lines = fixture.lines.with { $0.filter { $0.contains("dialog refused") } }
      #expect(lines.count == status.diagnostics.filter { $0.severity == .error }.count, "once per change")
      #expect(lines.first?.contains("D002") == true && lines.first?.contains(":4:") == true, "\(lines)")
      #expect(lines.first?.hasPrefix("warning") == true)
      #expect(fixture.gauges.with { $0 } == ["serving": 2, "broken": 1])
      #expect(fixture.counted.with { $0.last } == "broken")

      try fixture.write("menu.yaml", text("menu", "Better."))
      for _ in 0..<2 { await fixture.keeper.look() }
      #expect(prompt(await fixture.keeper.catalog) == "Better.")
      #expect(try await fixture.store.dialog("menu")?.status?.state == .serving)
      #expect(fixture.gauges.with { $0["broken"] } == 0)
    }
  }

  @Test func aFileThatIsBrokenAtTheStartServesWhatTheStoreHas() async throws {
    try await Fixture.with(["m.yaml": text("menu", "Good.")]) { fixture in
      _ = try await fixture.keeper.start()
      // Another process, the same store: the file does not even say its name any more.
      for damage in [Self.broken, "a: [\n", ""] {
        try fixture.write("m.yaml", damage)
        let catalog = try await fixture.anotherKeeper().start()
        #expect(prompt(catalog) == "Good.", "\(damage)")
        #expect(try await fixture.store.dialog("menu")?.status?.state == .broken)
      }
      try fixture.write("m.yaml", text("menu", "New."))
      #expect(prompt(try await fixture.anotherKeeper().start()) == "New.")
    }
  }

  @Test func aFileThatIsGoneTakesNoNewCalls() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "One."), "other.yaml": text("other", "Other.")]) { fixture in
      _ = try await fixture.keeper.start()
      try fixture.remove("menu.yaml")
      for _ in 0..<2 { await fixture.keeper.look() }
      let catalog = await fixture.keeper.catalog
      #expect(catalog.dialogs.map(\.name) == ["other"])
      #expect(try await fixture.store.dialog("menu")?.status?.state == .off)
      #expect(try await fixture.store.version(1, of: "menu")?.source == text("menu", "One."), "a replay needs it")
      #expect(try await fixture.anotherKeeper().start().dialogs.map(\.name) == ["other"])
      try fixture.write("menu.yaml", text("menu", "One."))
      for _ in 0..<2 { await fixture.keeper.look() }
      #expect(await fixture.keeper.catalog.identity(of: "menu")?.number == 1, "the same text is the same version")
    }
  }

  @Test func aConfigMapIsSwappedAsAWhole() async throws {
    try await Fixture.with([:]) { fixture in
      let files = FileManager.default
      for (folder, word) in [("..2026_1", "Old."), ("..2026_2", "New.")] {
        try files.createDirectory(atPath: "\(fixture.path)/\(folder)", withIntermediateDirectories: true)
        for name in ["a", "b"] { try fixture.write("\(folder)/\(name).yaml", text(name, word)) }
      }
      try files.createSymbolicLink(atPath: "\(fixture.path)/..data", withDestinationPath: "..2026_1")
      for name in ["a", "b"] {
        try files.createSymbolicLink(
          atPath: "\(fixture.path)/\(name).yaml", withDestinationPath: "..data/\(name).yaml")
      }
      #expect(prompt(try await fixture.keeper.start(), "a") == "Old.")
      try files.createSymbolicLink(atPath: "\(fixture.path)/..data_tmp", withDestinationPath: "..2026_2")
      #expect(rename("\(fixture.path)/..data_tmp", "\(fixture.path)/..data") == 0)
      for _ in 0..<2 { await fixture.keeper.look() }
      #expect(fixture.changes.with { $0.count } == 1, "one catalog with both")
      let catalog = await fixture.keeper.catalog
      #expect(prompt(catalog, "a") == "New." && prompt(catalog, "b") == "New.")
    }
  }

  @Test func aFolderThatGoesAwayTakesNothingWithIt() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "One.")]) { fixture in
      _ = try await fixture.keeper.start()
      try FileManager.default.removeItem(atPath: fixture.path)
      for _ in 0..<4 { await fixture.keeper.look() }
      #expect(prompt(await fixture.keeper.catalog) == "One.")
      #expect(fixture.lines.with { $0.filter { $0.contains("folder of dialogs cannot be read") } }.count == 1)
      await #expect(throws: DialogCatalog.FolderError.self) { try await fixture.anotherKeeper().start() }
    }
  }

  @Test func whoAsksNeedNotWait() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "One.")]) { fixture in
      _ = try await fixture.keeper.start()
      try fixture.write("menu.yaml", text("menu", "Two."))
      await fixture.keeper.look(isForced: true)
      #expect(prompt(await fixture.keeper.catalog) == "Two.")
    }
  }

  @Test func ofTwoFilesWithOneNameTheFirstServes() async throws {
    try await Fixture.with(["a.yaml": text("menu", "A."), "b.yaml": text("menu", "B.")]) { fixture in
      let catalog = try await fixture.keeper.start()
      #expect(prompt(catalog) == "A.")
      #expect(catalog.diagnostics.contains { $0.code == "D014" && $0.file.hasSuffix("b.yaml") })
      #expect(try await fixture.store.dialog("b")?.status?.state == .broken)
      try fixture.remove("a.yaml")
      for _ in 0..<2 { await fixture.keeper.look() }
      #expect(prompt(await fixture.keeper.catalog) == "B.")
      #expect(try await fixture.store.dialog("b") == nil)
    }
  }

  // MARK: The API

  @Test func whatTheAPIPublishesServesBesideTheFolder() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "File.")]) { fixture in
      _ = try await fixture.keeper.start()
      let draft = DialogDraft(dialog: "own", source: text("own", "Own."), origin: .api)
      _ = try await fixture.store.keep([draft], publish: false, expecting: nil, nowMs: 1)
      await fixture.keeper.storeChanged()
      #expect(await fixture.keeper.catalog.dialogs.map(\.name) == ["menu"], "a draft serves nobody")
      _ = try await fixture.store.publish("own", version: 1, nowMs: 2)
      await fixture.keeper.storeChanged()
      #expect(prompt(await fixture.keeper.catalog, "own") == "Own.")
      #expect(try await fixture.anotherKeeper().start().dialogs.map(\.name) == ["menu", "own"])

      // A file of that name takes it over.
      try fixture.write("own.yaml", text("own", "From the file."))
      for _ in 0..<2 { await fixture.keeper.look() }
      #expect(prompt(await fixture.keeper.catalog, "own") == "From the file.")
      #expect(fixture.lines.with { $0.contains { $0.contains("takes the place of a dialog of the API") } })
      await #expect(throws: StorageError.self) { try await fixture.store.publish("own", version: 1, nowMs: 3) }
    }
  }

  @Test func aRollbackServesTheOlderVersionUntilTheFileChanges() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "One.")]) { fixture in
      _ = try await fixture.keeper.start()
      try fixture.write("menu.yaml", text("menu", "Two."))
      for _ in 0..<2 { await fixture.keeper.look() }
      _ = try await fixture.store.rollback("menu", version: nil, nowMs: 5)
      await fixture.keeper.storeChanged()
      #expect(prompt(await fixture.keeper.catalog) == "One.")
      #expect(await fixture.keeper.catalog.identity(of: "menu")?.number == 1)
      #expect(try await fixture.store.dialog("menu")?.status?.diagnostics.map(\.code) == ["S001"])
      for _ in 0..<2 { await fixture.keeper.look() }
      await fixture.keeper.look(isForced: true)
      #expect(prompt(await fixture.keeper.catalog) == "One.", "the file still says what was rolled back")
      #expect(prompt(try await fixture.anotherKeeper().start()) == "One.", "also after a restart")
      try fixture.write("menu.yaml", text("menu", "Three."))
      for _ in 0..<2 { await fixture.keeper.look() }
      #expect(prompt(await fixture.keeper.catalog) == "Three.")
    }
  }

  @Test func aDocumentThatNobodyHasIsAWarning() async throws {
    let text = """
      name: menu
      states:
        start:
          agent:
            prompt: Help.
            knowledge: [faq, opening]
            exits: [{ name: done, description: done, target: bye }]
            fallback: bye
        bye: { terminal: true }
      """
    let names = Locked<Set<String>?>(nil)
    try await Fixture.with(["menu.yaml": text], documents: { names.with { $0 } }) { fixture in
      let first = try await fixture.keeper.start()
      #expect(first.dialogs.map(\.name) == ["menu"], "\(first.diagnostics)")
      func warnings() async throws -> [Diagnostic] {
        try await fixture.store.dialog("menu")?.status?.diagnostics.filter { $0.code == "S002" } ?? []
      }
      #expect(try await warnings().isEmpty, "nobody has looked yet")
      names.with { $0 = ["faq", "openings"] }
      await fixture.keeper.storeChanged()
      let found = try await warnings()
      #expect(found.map(\.message) == ["there is no document `opening`"])
      #expect(found.first?.hint == "did you mean `openings`?")
      #expect(found.first?.position?.line ?? 0 >= 4)
      names.with { $0 = ["faq", "opening"] }
      await fixture.keeper.storeChanged()
      #expect(try await warnings().isEmpty)
    }
  }

  @Test func theKeeperHearsOfTheStoreByItself() async throws {
    try await Fixture.with(["menu.yaml": text("menu", "File.")]) { fixture in
      _ = try await fixture.keeper.start()
      let (reloads, asking) = AsyncStream<Void>.makeStream()
      let (seen, telling) = AsyncStream<Void>.makeStream()
      fixture.onChange.with { $0 = { telling.yield() } }
      let keeper = fixture.keeper
      let running = Task { await keeper.run(reloads: reloads) }
      var changes = seen.makeAsyncIterator()
      // The first reload tells that the keeper runs and listens.
      asking.yield()
      _ = await changes.next()
      let draft = DialogDraft(dialog: "own", source: text("own", "Own."), origin: .api)
      _ = try await fixture.store.keep([draft], publish: true, expecting: nil, nowMs: 1)
      while await keeper.catalog.dialog(named: "own") == nil { _ = await changes.next() }
      running.cancel()
      await running.value
    }
  }
}

/// A folder, a store and a keeper for one test.
private struct Fixture {
  let path: String
  let library: SQLDialogLibrary
  var store: any DialogStore { library.scoped(to: Tenant.standard) }
  let keeper: CatalogKeeper
  let changes = Locked<[DialogCatalog]>([])
  let onChange = Locked<@Sendable () -> Void>({})
  let counted = Locked<[String]>([])
  let gauges = Locked<[String: Int]>([:])
  let lines = Locked<[String]>([])

  static func with(
    _ files: [String: String], documents: @escaping @Sendable () async -> Set<String>? = { nil },
    _ body: (Fixture) async throws -> Void
  ) async throws {
    let fixture = try Fixture(files, documents)
    defer { try? FileManager.default.removeItem(atPath: fixture.path) }
    try await body(fixture)
  }

  private init(_ files: [String: String], _ documents: @escaping @Sendable () async -> Set<String>?) throws {
    path = FileManager.default.temporaryDirectory.path + "/parley-catalog-\(UInt64.random(in: .min ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    library = try SQLDialogLibrary.inMemory()
    var metrics = CatalogMetrics()
    let counted = counted, gauges = gauges, changes = changes, onChange = onChange, lines = lines
    metrics.reload = { outcome in counted.with { $0.append(outcome) } }
    metrics.dialogs = { state, count in gauges.with { $0[state] = count } }
    keeper = CatalogKeeper(
      folder: path, library: library, metrics: metrics, logger: Logger(label: "test") { _ in LineLog(lines: lines) },
      nowMs: { 1 }, documents: documents,
      onChange: { catalogs in
        changes.with { $0.append(catalogs[Tenant.standard]) }
        onChange.with { $0 }()
      })
    for (name, text) in files { try write(name, text) }
  }

  /// As after a restart of the process.
  func anotherKeeper() -> CatalogKeeper {
    CatalogKeeper(
      folder: path, library: library, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, nowMs: { 2 },
      onChange: { _ in })
  }

  func write(_ name: String, _ text: String) throws {
    try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
  }

  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
}

/// Keeps log lines as `level message key=value ...`.
private struct LineLog: LogHandler {
  let lines: Locked<[String]>
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.debug
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    lines.with { $0.append("\(event.level) \(event.message) \(fields.joined(separator: " "))") }
  }
}
