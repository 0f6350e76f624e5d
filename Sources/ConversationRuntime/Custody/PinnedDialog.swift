import Base
import CallLink
import Dialogs
import Storage

/// The dialog that a call is pinned to, with those that it may run.
struct PinnedDialog: Sendable {
  var dialog: Dialog
  var library: [String: Dialog] = [:]
  /// The version's number in the store; 0 where it was not stored.
  var number = 0
  /// Of the source; empty where it is not known.
  var digest = ""
  /// The same of those that it may run.
  var digests: [String: String] = [:]

  /// A new call's.
  init(_ dialog: Dialog, in catalog: DialogCatalog) {
    self.dialog = dialog
    library = catalog.library(of: dialog.name)
    let identity = catalog.identity(of: dialog.name)
    number = identity?.number ?? 0
    digest = identity?.digest ?? ""
    digests = library.mapValues { catalog.identity(of: $0.name)?.digest ?? "" }
  }

  /// A kept call's, made of dialogs that were found.
  /// - Returns: nil where one is missing.
  init?(_ kept: SessionState, _ find: (_ name: String, _ digest: String) -> Dialog?) {
    guard let dialog = find(kept.dialogName, kept.dialogDigest), dialog.version == kept.dialogVersion else {
      return nil
    }
    self.dialog = dialog
    for (name, digest) in kept.library {
      guard let dialog = find(name, digest) else { return nil }
      library[name] = dialog
    }
    number = kept.dialogNumber
    digest = kept.dialogDigest
    digests = kept.library
  }

  /// A kept call's, where the catalog of today still has it.
  init?(_ kept: SessionState, in catalog: DialogCatalog) {
    self.init(kept) { name, digest in
      (catalog.identity(of: name)?.digest ?? "") == digest ? catalog.dialog(named: name) : nil
    }
  }

  /// Stands for a dialog that cannot be had.
  init(missing kept: SessionState) {
    dialog = .missing(kept.dialogName)
    number = kept.dialogNumber
    digest = kept.dialogDigest
    digests = kept.library
  }
}

/// Where the texts of dialogs are found that live calls are pinned to, and that new calls are not routed to any more.
public protocol DialogVersions: Sendable {
  /// - Returns: the source with this SHA-256; nil where it is not kept.
  func source(digest: String, tenant: String) async throws -> String?
}

/// The versions of the store.
public struct StoredDialogVersions: DialogVersions {
  private let library: any DialogLibrary

  public init(_ library: any DialogLibrary) { self.library = library }

  public func source(digest: String, tenant: String) async throws -> String? {
    try await library.scoped(to: tenant).version(digest: digest)?.source
  }
}

/// There is no store of dialogs.
struct NoDialogVersions: DialogVersions {
  func source(digest: String, tenant: String) async -> String? { nil }
}

extension PinnedDialog {
  /// A store that does not answer is asked so often, once in a second: the caller hears nothing meanwhile.
  private static let attempts = 5

  /// A kept call's, from the catalog and the store.
  static func find(
    _ kept: SessionState, in catalog: DialogCatalog, _ versions: any DialogVersions, _ clock: any RuntimeClock
  ) async throws(CallStateError) -> PinnedDialog {
    var found: [String: Dialog] = [:]
    for (name, digest) in [kept.dialogName: kept.dialogDigest].merging(
      kept.library, uniquingKeysWith: { own, _ in own })
    {
      if (catalog.identity(of: name)?.digest ?? "") == digest {
        found[name] = catalog.dialog(named: name)
        continue
      }
      guard let text = try await text(digest, tenant: kept.tenant, versions, clock),
        let dialog = DialogSource.check(text, file: name + ".yaml").dialog, dialog.name == name
      else {
        throw CallStateError("the version of the dialog `\(name)` that the call began with cannot be had any more")
      }
      found[name] = dialog
    }
    guard let pinned = PinnedDialog(kept, { name, _ in found[name] }) else {
      throw CallStateError("the dialog `\(kept.dialogName)` that the call began with cannot be had any more")
    }
    return pinned
  }

  private static func text(
    _ digest: String, tenant: String, _ versions: any DialogVersions, _ clock: any RuntimeClock
  ) async throws(CallStateError) -> String? {
    var trouble = ""
    for attempt in 1...attempts {
      do {
        return try await versions.source(digest: digest, tenant: tenant)
      } catch {
        trouble = "\(error)"
      }
      if attempt == attempts { break }
      await withCheckedContinuation { continuation in
        _ = clock.schedule(at: clock.now() + .seconds(1)) { continuation.resume() }
      }
    }
    throw CallStateError("the store of dialogs does not answer: \(trouble)")
  }
}
