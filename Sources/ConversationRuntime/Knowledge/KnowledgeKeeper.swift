// Keeps the documents in step with their folder, while calls ask for them.

import Base
import Logging
import Settings
import Storage

/// Watches the folder of documents: what changes is cut into passages and indexed anew; where there is an embedder, passages
/// get their vectors afterwards, a few at a time. Safe to use from any thread.
public actor KnowledgeKeeper {
  /// Folders below the folder of documents that are gone into.
  static let depth = 8
  /// Passages of one request for vectors.
  static let batch = 64
  static let embeddingTimeout: Duration = .seconds(60)
  /// Looks that pass before an embedder that failed is asked again.
  static let patience = 60

  private let folder: String
  private let store: any DocumentStore
  private let embedder: (any Embedder)?
  private let logger: Logger

  private var machine = FolderReload()
  private var complaint = ""
  private var looksToWait = 0
  private var tail: Task<Void, Never>?

  /// The names that can be searched; nil before the first look.
  public private(set) var names: Set<String>?

  /// - Parameters:
  ///   - folder: `runtime.knowledge_dir`; there need not be any.
  public init(
    folder: String, store: any DocumentStore, embedder: (any Embedder)? = nil,
    logger: Logger = Logger(label: "parley.knowledge")
  ) {
    self.folder = folder
    self.store = store
    self.embedder = embedder
    self.logger = logger
  }

  /// Looks every ``CatalogKeeper/interval`` until the task is cancelled. The first look takes in everything.
  /// - Parameter onChange: after documents came or went.
  public func run(onChange: @Sendable () async -> Void) async {
    var known = names
    await look(isForced: true)
    while !Task.isCancelled {
      if names != known {
        known = names
        await onChange()
      }
      do { try await Task.sleep(for: CatalogKeeper.interval) } catch { return }
      await look()
    }
  }

  /// Looks at the folder once, indexes what has changed and come to rest, and asks for vectors that are missing.
  public func look(isForced: Bool = false) async {
    let before = tail
    let task = Task {
      await before?.value
      await lookNow(isForced: isForced)
      await embedSome()
    }
    tail = task
    await task.value
  }

  private func lookNow(isForced: Bool) async {
    var listing: [String: FolderReload.Stamp] = [:]
    do {
      if FolderListing.isFolder(folder) {
        listing = try FolderListing.look(
          at: folder, depth: Self.depth, limit: StorageLimits.documents, isWanted: Self.isDocument)
      }
    } catch {
      return complain("the folder of documents cannot be read", "\(error)")
    }
    guard case .read(let changed, let gone) = machine.look(listing, isForced: isForced) else {
      if names == nil { await readNames() }
      return
    }
    do {
      let known = Dictionary(
        try await store.documents().map { ($0.name, $0.digest) }, uniquingKeysWith: { first, _ in first })
      // Of files that differ in their ending alone, the first is the document.
      let owners = Dictionary(
        listing.keys.sorted().map { (Self.name($0), $0) }, uniquingKeysWith: { first, _ in first })
      for file in changed {
        if let owner = owners[Self.name(file)], owner != file {
          logger.warning("two documents have one name", metadata: ["served": "\(owner)", "left_out": "\(file)"])
        } else if await index(file, known: known) {
          // Whoever changes a document may have mended the model, too.
          looksToWait = 0
        }
      }
      // Also what went away while nobody looked.
      let present = Set(listing.keys.map(Self.name))
      let lost = known.keys.filter { !present.contains($0) }.sorted()
      if !lost.isEmpty { try await store.remove(lost) }
      machine.read(changed, gone: gone)
      complaint = ""
    } catch {
      return complain("the documents cannot be indexed", "\(error)")
    }
    await readNames()
  }

  private func readNames() async {
    do { names = Set(try await store.documents().map(\.name)) } catch {
      complain("the documents cannot be read", "\(error)")
    }
  }

  /// A file that cannot be read or kept says so, and its older text stays. Returns whether the index has changed.
  private func index(_ file: String, known: [String: String]) async -> Bool {
    let path = folder.hasSuffix("/") ? folder + file : "\(folder)/\(file)"
    let text: String
    do {
      text = try TextFile.read(path, limit: StorageLimits.documentBytes)
    } catch {
      logger.warning("a document cannot be read", metadata: ["place": "\(path)", "reason": "\(error)"])
      return false
    }
    let name = Self.name(file), digest = SHA256.hex(text)
    if known[name] == digest { return false }
    let passages = DocumentChunks.cut(text, isMarkdown: !file.hasSuffix(".txt"))
    if passages.isEmpty { logger.warning("a document has no text", metadata: ["place": "\(path)"]) }
    do {
      try await store.put(name, digest: digest, passages: passages)
      logger.debug("a document was indexed", metadata: ["document": "\(name)", "passages": "\(passages.count)"])
      return true
    } catch {
      logger.error("a document cannot be kept", metadata: ["place": "\(path)", "reason": "\(error)"])
      return false
    }
  }

  // MARK: Vectors

  private func embedSome() async {
    guard let embedder else { return }
    if looksToWait > 0 {
      looksToWait -= 1
      return
    }
    do {
      while !Task.isCancelled {
        let waiting = try await store.unembedded(model: embedder.model, limit: Self.batch)
        if waiting.isEmpty { return }
        let vectors = try await embedder.embed(waiting.map(\.text), timeout: Self.embeddingTimeout)
        guard vectors.count == waiting.count else { throw EmbeddingError("there is no vector for each text") }
        try await store.putVectors(zip(waiting, vectors).map { (passage: $0.id, values: $1) }, model: embedder.model)
      }
    } catch is CancellationError {
    } catch {
      looksToWait = Self.patience
      complain("documents get no vectors; they are searched by words alone", "\(error)")
    }
  }

  private func complain(_ message: Logger.Message, _ reason: String) {
    if complaint == reason { return }
    complaint = reason
    logger.warning(message, metadata: ["folder": "\(folder)", "reason": "\(reason)"])
  }

  // MARK: Names

  private static func isDocument(_ name: String) -> Bool {
    [".md", ".markdown", ".txt"].contains { name.hasSuffix($0) && name.count > $0.count }
  }

  /// `plans/mobile.md` is `plans/mobile`.
  private static func name(_ file: String) -> String {
    for ending in [".md", ".markdown", ".txt"] where file.hasSuffix(ending) {
      return String(file.dropLast(ending.count))
    }
    return file
  }
}
