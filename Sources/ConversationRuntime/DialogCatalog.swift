import Base
import CallLink
import Dialogs
import Settings

/// Which source a dialog was made of.
public struct DialogIdentity: Sendable, Hashable {
  /// The version's number in the store; 0 where it was not stored.
  public var number: Int
  /// SHA-256 of the source, lower-case hexadecimal.
  public var digest: String

  public init(number: Int, digest: String) {
    self.number = number
    self.digest = digest
  }
}

/// The dialogs that calls are routed to, and what was wrong with those that are not among them. A value: a call pins the
/// whole catalog it began with, so replacing the runtime's catalog changes nothing for it, nor for the dialogs it may run.
public struct DialogCatalog: Sendable {
  /// A folder with more files than this is taken for a mistake in the configuration.
  public static let fileLimit = 1_000

  /// Those without errors, in the order of their files' names.
  public let dialogs: [Dialog]
  /// Errors of the dialogs that were refused, and warnings of those that serve.
  public let diagnostics: [Diagnostic]
  /// The files that were read.
  public let files: [String]
  private let identities: [String: DialogIdentity]
  private let places: [String: Int]
  private let router: DialogRouter

  /// - Parameters:
  ///   - dialogs: of dialogs with one name, the first serves and the others become errors.
  ///   - identities: by the dialogs' names.
  public init(
    _ dialogs: [Dialog], identities: [String: DialogIdentity] = [:], diagnostics: [Diagnostic] = [],
    files: [String] = []
  ) {
    let unique = DialogLoader.unique(dialogs)
    self.dialogs = unique.dialogs
    self.diagnostics = diagnostics + unique.diagnostics + DialogLoader.link(unique.dialogs)
    self.files = files
    self.identities = identities
    places = Dictionary(unique.dialogs.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    router = DialogRouter(unique.dialogs)
  }

  /// The dialog of that name; nil where none serves.
  public func dialog(named name: String) -> Dialog? { places[name].map { dialogs[$0] } }

  /// Which source the dialog of that name was made of; nil where that is not known.
  public func identity(of name: String) -> DialogIdentity? { identities[name] }

  /// The dialogs that the dialog of that name may run, itself or through others, by their names.
  public func library(of name: String) -> [String: Dialog] {
    var found: [String: Dialog] = [:]
    var open = [name]
    while let next = open.popLast() {
      for step in dialog(named: next)?.runs ?? [] where found[step.name] == nil {
        guard let other = dialog(named: step.name) else { continue }
        found[step.name] = other
        open.append(step.name)
      }
    }
    return found
  }

  /// Why a folder of dialogs cannot be read: one sentence.
  public struct FolderError: Error, Sendable, CustomStringConvertible {
    public var description: String
  }

  /// Loads every dialog below `path`: a file, or a folder with `*.yaml` and `*.yml` (not `*.test.yaml`, not hidden, not in
  /// subfolders). A file with mistakes is left out and explained in ``diagnostics``; the others serve.
  /// - Throws: where `path` itself cannot be read.
  public static func load(path: String) throws(FolderError) -> DialogCatalog {
    try load(files: files(at: path))
  }

  /// The same for a list of files.
  public static func load(files: [String]) -> DialogCatalog {
    let loaded = files.map { DialogSource.read(path: $0) }
    return DialogCatalog(
      loaded.compactMap(\.dialog),
      identities: Dictionary(
        loaded.compactMap { source in source.dialog.map { ($0.name, DialogIdentity(number: 0, digest: source.digest)) }
        },
        uniquingKeysWith: { first, _ in first }),
      diagnostics: loaded.flatMap(\.diagnostics), files: files)
  }

  /// The dialog files that `path` stands for, sorted by name; see ``load(path:)``.
  public static func files(at path: String) throws(FolderError) -> [String] {
    let listing: [String: FolderReload.Stamp]
    do {
      listing = try FolderListing.look(at: path, depth: 0, limit: fileLimit, isWanted: isDialogFile)
    } catch {
      throw FolderError(description: error.description)
    }
    return listing.keys.sorted().map { place(of: $0, in: path) }
  }

  /// The path of a file that a listing of `path` found: `path` may be that file itself.
  static func place(of file: String, in path: String) -> String {
    if path == file || path.hasSuffix("/" + file), !FolderListing.isFolder(path) { return path }
    return path.hasSuffix("/") ? path + file : "\(path)/\(file)"
  }

  static func isDialogFile(_ name: String) -> Bool {
    guard name.hasSuffix(".yaml") || name.hasSuffix(".yml") else { return false }
    return !name.hasSuffix(".test.yaml") && !name.hasSuffix(".test.yml")
  }

  /// The dialog that answers the call; nil where none does.
  public func route(_ call: CallInfo) -> Dialog? { router.route(call.facts) }
}

/// One text of a dialog, read and checked.
struct DialogSource: Sendable {
  /// Empty where the file could not be read.
  var text: String
  var digest: String
  /// nil where there is any error.
  var dialog: Dialog?
  var diagnostics: [Diagnostic]

  static func read(path: String) -> DialogSource {
    do {
      return check(try TextFile.read(path, limit: YAML.sizeLimit), file: path)
    } catch {
      return DialogSource(text: "", digest: "", dialog: nil, diagnostics: error.all)
    }
  }

  /// - Parameter file: the name that diagnostics carry, and the dialog's own where the text does not say one.
  static func check(_ text: String, file: String) -> DialogSource {
    let digest = SHA256.hex(text)
    do {
      let outcome = DialogLoader.load(try YAML.read(text, file: file), file: file)
      return DialogSource(text: text, digest: digest, dialog: outcome.dialog, diagnostics: outcome.diagnostics)
    } catch {
      return DialogSource(text: text, digest: digest, dialog: nil, diagnostics: error.all)
    }
  }
}

extension CallInfo {
  /// The call as dialogs see it.
  var facts: CallFacts {
    CallFacts(
      session: session, callerID: callerID, calledNumber: calledNumber, fromURI: fromURI, toURI: toURI, trunk: trunk,
      headers: headers)
  }
}
