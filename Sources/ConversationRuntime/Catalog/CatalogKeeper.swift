// Keeps the catalog in step with the folder of dialogs and with the store, while calls come in.

import Base
import Dialogs
import Logging
import Storage
import Telemetry

/// Watches the folder of dialogs and the store, and hands out a new catalog when what should serve has changed.
///
/// One thing at a time: a reload that is asked for while another runs comes after it. Safe to use from any thread.
public actor CatalogKeeper {
  /// How often the folder is looked at: one `stat` for each file.
  public static let interval: Duration = .seconds(1)

  private let folder: String
  private let library: any DialogLibrary
  private let metrics: CatalogMetrics
  private let nowMs: @Sendable () -> Int64
  private let logger: Logger
  private let documents: @Sendable () async -> Set<String>?
  private let onChange: @Sendable (TenantCatalogs) -> Void

  private var machine = FolderReload()
  /// What is known of one tenant's dialogs.
  private struct Shelf {
    var assembly = CatalogAssembly()
    /// The last answer of the store: what is gone by while it does not answer.
    var stored = CatalogAssembly.Stored()
    var reported: [DialogStatus]?
    var remarks: Set<Diagnostic> = []
    var outcome: CatalogAssembly.Outcome?
  }
  /// By tenant. The folder's dialogs are the owner's.
  private var shelves: [String: Shelf] = [Tenant.standard: Shelf()]
  /// Listened to from the beginning, so that nothing is missed between the start and ``run(reloads:)``.
  private let changes: AsyncStream<Void>
  /// What the log was told last, so that it is told once.
  private var complaint = ""
  private var tail: Task<Void, Never>?

  /// What is served now, for every tenant.
  public var catalogs: TenantCatalogs {
    TenantCatalogs(shelves.compactMapValues(\.outcome?.catalog))
  }
  /// What is served now of the gateway's owner.
  public var catalog: DialogCatalog { catalogs[Tenant.standard] }

  /// - Parameters:
  ///   - folder: `runtime.dialog_dir`: a folder, or a single file.
  ///   - documents: the names of the documents that agent states can answer from; nil: not known yet.
  ///   - onChange: gets the catalogs after each change, not the first ones.
  public init(
    folder: String, library: any DialogLibrary, metrics: CatalogMetrics = CatalogMetrics(),
    logger: Logger = Logger(label: "parley.dialogs"),
    nowMs: @escaping @Sendable () -> Int64 = { WallClock.nowMilliseconds() },
    documents: @escaping @Sendable () async -> Set<String>? = { nil },
    onChange: @escaping @Sendable (TenantCatalogs) -> Void
  ) {
    self.folder = folder
    self.library = library
    changes = library.changes()
    self.metrics = metrics
    self.logger = logger
    self.nowMs = nowMs
    self.documents = documents
    self.onChange = onChange
  }

  /// Reads everything for the first time. A file that is broken serves its last good version, where the store has one.
  /// - Throws: where the folder itself cannot be read.
  public func start() async throws(DialogCatalog.FolderError) -> DialogCatalog {
    let listing: [String: FolderReload.Stamp]
    do {
      listing = try list()
    } catch {
      throw DialogCatalog.FolderError(description: error.description)
    }
    if case .read(let changed, let gone) = machine.look(listing, isForced: true) { read(changed, gone: gone) }
    await rebuild(isFirst: true)
    return catalog
  }

  /// Looks at the folder once and reloads what has changed and come to rest.
  /// - Parameter isForced: reads everything now (SIGHUP).
  public func look(isForced: Bool = false) async { await inTurn { await $0.lookNow(isForced: isForced) } }

  private func lookNow(isForced: Bool) async {
    let listing: [String: FolderReload.Stamp]
    do {
      listing = try list()
    } catch {
      // What serves goes on serving; the folder may come back.
      return complain("the folder of dialogs cannot be read", "\(error)")
    }
    complaint = ""
    guard case .read(let changed, let gone) = machine.look(listing, isForced: isForced) else { return }
    if read(changed, gone: gone) || isForced { await rebuild() }
  }

  /// Takes over what was published or rolled back in the store, and documents that came or went.
  public func storeChanged() async { await inTurn { await $0.rebuild() } }

  /// Looks every ``interval``, when `reloads` says so (SIGHUP), and when the store changes; until the task is cancelled.
  public func run(reloads: AsyncStream<Void>) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        while !Task.isCancelled {
          do { try await Task.sleep(for: Self.interval) } catch { return }
          await self.look()
        }
      }
      group.addTask { for await _ in reloads { await self.look(isForced: true) } }
      let changes = changes
      group.addTask { for await _ in changes { await self.storeChanged() } }
    }
  }

  /// After everything that was begun before.
  private func inTurn(_ body: @escaping @Sendable (isolated CatalogKeeper) async -> Void) async {
    let before = tail
    let task = Task {
      await before?.value
      await body(self)
    }
    tail = task
    await task.value
  }

  // MARK: The folder

  private func list() throws(FolderListing.Failure) -> [String: FolderReload.Stamp] {
    try FolderListing.look(
      at: folder, depth: 0, limit: DialogCatalog.fileLimit, isWanted: DialogCatalog.isDialogFile)
  }

  private var files: [String: DialogSource] { shelves[Tenant.standard]?.assembly.files ?? [:] }

  /// Reads files; returns whether any text is another one.
  @discardableResult
  private func read(_ changed: [String], gone: [String]) -> Bool {
    var isNew = false
    for file in changed {
      let source = DialogSource.read(path: place(file))
      let old = files[file]
      if let old, old.digest == source.digest, old.diagnostics == source.diagnostics { continue }
      isNew = true
      shelves[Tenant.standard]?.assembly.put(source, of: file)
      metrics.reload(source.dialog == nil ? "broken" : "loaded")
      tell(source.diagnostics)
    }
    for file in gone where files[file] != nil {
      isNew = true
      shelves[Tenant.standard]?.assembly.remove(file)
      metrics.reload("removed")
      logger.notice("a dialog's file is gone", metadata: ["file": "\(place(file))"])
    }
    machine.read(changed, gone: gone)
    return isNew
  }

  private func place(_ file: String) -> String { DialogCatalog.place(of: file, in: folder) }

  /// Each finding once, when its file changed.
  private func tell(_ diagnostics: [Diagnostic]) {
    for diagnostic in diagnostics {
      let isError = diagnostic.severity == .error
      logger.warning(
        isError ? "dialog refused" : "dialog has a flaw",
        metadata: [
          "code": "\(diagnostic.code)",
          "place": "\(diagnostic.file):\(diagnostic.position?.description ?? "1:1")",
          "reason": "\(diagnostic.message)", "hint": "\(diagnostic.hint)",
        ])
    }
  }

  private func complain(_ message: Logger.Message, _ reason: String) {
    if complaint == reason { return }
    complaint = reason
    logger.error(message, metadata: ["reason": "\(reason)"])
  }

  // MARK: The store and the catalog

  private func rebuild(isFirst: Bool = false) async {
    do {
      for tenant in try await library.tenants() where shelves[tenant] == nil { shelves[tenant] = Shelf() }
    } catch {
      tellTrouble(error)
    }
    let documents = await documents()
    for tenant in shelves.keys.sorted() { await rebuild(tenant, documents: documents) }
    let outcomes = shelves.values.compactMap(\.outcome)
    metrics.dialogs("serving", outcomes.map(\.serving).reduce(0, +))
    metrics.dialogs("broken", outcomes.map(\.broken).reduce(0, +))
    if !isFirst { onChange(catalogs) }
  }

  private func rebuild(_ tenant: String, documents: Set<String>?) async {
    guard var shelf = shelves[tenant] else { return }
    let store = library.scoped(to: tenant)
    do {
      shelf.stored = try await fetch(store)
      let drafts = shelf.assembly.drafts(shelf.stored), withdrawn = shelf.assembly.withdrawn(shelf.stored)
      if !drafts.isEmpty {
        for draft in drafts { tellOwner(draft, shelf.stored) }
        _ = try await store.keep(drafts, publish: true, expecting: nil, nowMs: nowMs())
      }
      if !withdrawn.isEmpty { try await store.withdraw(withdrawn) }
      if !drafts.isEmpty || !withdrawn.isEmpty { shelf.stored = try await fetch(store) }
    } catch {
      tellTrouble(error)
    }
    let outcome = shelf.assembly.assemble(shelf.stored, documents: documents) { place($0) }
    shelf.outcome = outcome
    tell(outcome.remarks.filter { !shelf.remarks.contains($0) })
    shelf.remarks = Set(outcome.remarks)
    if shelf.reported != outcome.statuses {
      do {
        try await store.report(outcome.statuses)
        shelf.reported = outcome.statuses
      } catch {
        logger.error("the state of the dialogs cannot be written down", metadata: ["reason": "\(error)"])
      }
    }
    shelves[tenant] = shelf
  }

  /// The folder serves all the same; only the numbers of its versions are not known.
  private func tellTrouble(_ error: any Error) {
    logger.error("the store of dialogs does not answer", metadata: ["reason": "\(error)"])
  }

  /// The folder wins where the API had published under the same name.
  private func tellOwner(_ draft: DialogDraft, _ stored: CatalogAssembly.Stored) {
    guard let published = stored.published[draft.dialog], published.origin == .api else { return }
    logger.warning(
      "a file takes the place of a dialog of the API",
      metadata: ["dialog": "\(draft.dialog)", "file": "\(draft.author)", "version": "\(published.number)"])
  }

  private func fetch(_ store: any DialogStore) async throws -> CatalogAssembly.Stored {
    var records: [DialogRecord] = []
    while true {
      let page = try await store.dialogs(limit: StorageLimits.page, after: records.last?.name)
      records += page
      if page.count < StorageLimits.page { break }
    }
    return CatalogAssembly.Stored(records, published: try await store.published())
  }
}

/// Where reloads are counted. Every closure may be called on any thread and must not block; the defaults do nothing.
public struct CatalogMetrics: Sendable {
  /// `vg_dialog_reloads_total{outcome}`: a file was read anew (`loaded`, `broken`) or is gone (`removed`).
  public var reload: @Sendable (_ outcome: String) -> Void = { _ in }
  /// `vg_dialogs{state}`: dialogs that take new calls (`serving`), and those whose newest text has errors (`broken`), which
  /// may serve an older version.
  public var dialogs: @Sendable (_ state: String, _ count: Int) -> Void = { _, _ in }

  public init() {}

  /// Counts in the process's metrics.
  public init(_ metrics: VoiceMetrics) {
    reload = { metrics.dialogReloads.with($0).add() }
    dialogs = { metrics.dialogs.with($0).set($1) }
  }
}
