import Base

/// One source of a dialog that the store keeps. Versions are never changed; what is published moves from one to another.
public struct DialogVersion: Sendable, Hashable {
  /// Where a source came from.
  public enum Origin: String, Sendable { case folder, api }
  public enum State: String, Sendable {
    /// Never published.
    case draft
    /// New calls are served by it.
    case published
    /// Was published once.
    case retired
  }
  /// The dialog's name.
  public var dialog: String
  /// From 1, per dialog.
  public var number: Int
  /// SHA-256 of the source, lower-case hexadecimal. Several versions may share it.
  public var digest: String
  public var source: String
  public var origin: Origin
  /// Who wrote it: the file's name, or what an API client says of itself; may be empty.
  public var author: String
  public var note: String
  /// Wall-clock milliseconds.
  public var createdAtMs: Int64
  /// When it was last published; nil: never.
  public var publishedAtMs: Int64?
  public var state: State
}

/// A source on its way into the store.
public struct DialogDraft: Sendable, Hashable {
  public var dialog: String
  public var source: String
  public var origin: DialogVersion.Origin
  public var author: String
  public var note: String

  public init(
    dialog: String, source: String, origin: DialogVersion.Origin, author: String = "", note: String = ""
  ) {
    self.dialog = dialog
    self.source = source
    self.origin = origin
    self.author = author
    self.note = note
  }
}

/// What the runtime says of one dialog: kept beside its versions, so that the API can show it.
public struct DialogStatus: Sendable, Hashable {
  public enum State: String, Sendable {
    /// New calls are served by what was meant to serve them.
    case serving
    /// The newest source has errors. ``served`` says whether an older version serves in its place.
    case broken
    /// There is no file for it any more, or nothing was ever published.
    case off
  }
  public var dialog: String
  public var state: State
  /// The version that takes new calls; nil: none.
  public var served: Int?
  /// The file of the folder that the dialog comes from; empty: it lives in the store alone.
  public var file: String
  /// The author's `version`, `description` and `language` of what serves.
  public var label: String
  public var description: String
  public var language: String
  public var diagnostics: [Diagnostic]

  public init(
    dialog: String, state: State, served: Int? = nil, file: String = "", label: String = "", description: String = "",
    language: String = "", diagnostics: [Diagnostic] = []
  ) {
    self.dialog = dialog
    self.state = state
    self.served = served
    self.file = file
    self.label = label
    self.description = description
    self.language = language
    self.diagnostics = diagnostics
  }
}

/// A dialog as the store knows it, without its sources.
public struct DialogRecord: Sendable, Hashable {
  public var name: String
  /// The newest version; 0: none, the dialog is only known by a file that cannot be read.
  public var latest: Int
  /// The digest of the newest version's source; empty where there is none.
  public var latestDigest: String
  public var published: Int?
  /// The digest of the folder's source that was rolled back: it is not published again before it changes.
  public var heldDigest: String
  /// nil before the runtime has looked at it.
  public var status: DialogStatus?
}

/// The dialogs of every tenant.
public protocol DialogLibrary: Sendable {
  /// One tenant's dialogs; nothing of another's can be seen or changed through them.
  func scoped(to tenant: String) -> any DialogStore
  /// The tenants that have dialogs, by name.
  func tenants() async throws -> [String]
  /// One element after each ``DialogStore/publish(_:version:nowMs:)`` and ``DialogStore/rollback(_:version:nowMs:)`` of any
  /// tenant, and after what the API keeps and publishes at once; changes that come quickly may share one. Ends when the store
  /// closes.
  func changes() -> AsyncStream<Void>
}

/// The versions of one tenant's dialogs. Every change is durable when its call returns. Each version that was ever published is kept:
/// a call's record names it by its digest.
public protocol DialogStore: Sendable {
  /// Keeps each source as the next version of its dialog, all of them or none; a source that equals the newest version
  /// of its dialog is that version.
  /// - Parameters:
  ///   - publish: new calls are served by them from now on.
  ///   - expecting: the newest version's number that the caller knows (0: none); nil: any. For a single draft.
  /// - Returns: the versions in the order of the drafts.
  /// - Throws: ``StorageError`` `conflict` where `expecting` does not hold, `limit`, `writeFailed`.
  func keep(_ drafts: [DialogDraft], publish: Bool, expecting: Int?, nowMs: Int64) async throws -> [DialogVersion]

  /// Publishes a version in the place of the published one.
  /// - Throws: `notFound`; `conflict` where a file of the folder owns the dialog.
  func publish(_ dialog: String, version: Int, nowMs: Int64) async throws -> DialogVersion

  /// Publishes an older version that was published before: `version`, or (nil) the one that was published before the present
  /// one. Where a file of the folder owns the dialog, the file's source is held back until it changes.
  /// - Throws: `notFound` where there is none; `conflict` for a draft.
  func rollback(_ dialog: String, version: Int?, nowMs: Int64) async throws -> DialogVersion

  /// No version of these is published any more. Unknown names are ignored.
  func withdraw(_ dialogs: [String]) async throws

  /// By name, those after `cursor`.
  func dialogs(limit: Int, after cursor: String?) async throws -> [DialogRecord]
  func dialog(_ name: String) async throws -> DialogRecord?
  /// Newest first, those older than `before`.
  func versions(of dialog: String, limit: Int, before: Int?) async throws -> [DialogVersion]
  func version(_ number: Int, of dialog: String) async throws -> DialogVersion?
  /// The tenant's newest version with this source, of whichever dialog.
  func version(digest: String) async throws -> DialogVersion?
  /// What is published now, by name.
  func published() async throws -> [DialogVersion]

  /// What the runtime serves: replaces everything that was reported before.
  func report(_ statuses: [DialogStatus]) async throws
}
