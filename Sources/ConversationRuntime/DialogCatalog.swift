import Base
import CallLink
import Dialogs
import FoundationEssentials
import Settings

/// The dialogs that calls are routed to, and what was wrong with those that are not among them. A value: replacing the
/// runtime's catalog changes nothing for the calls that already hold a dialog of an older one.
public struct DialogCatalog: Sendable {
  /// A folder with more files than this is taken for a mistake in the configuration.
  public static let fileLimit = 1_000

  /// Those without errors, in the order of their files' names.
  public let dialogs: [Dialog]
  /// Errors of the dialogs that were refused, and warnings of those that serve.
  public let diagnostics: [Diagnostic]
  /// The files that were read.
  public let files: [String]
  private let router: DialogRouter

  /// - Parameter dialogs: of dialogs with one name, the first serves and the others become errors.
  public init(_ dialogs: [Dialog], diagnostics: [Diagnostic] = [], files: [String] = []) {
    let unique = DialogLoader.unique(dialogs)
    self.dialogs = unique.dialogs
    self.diagnostics = diagnostics + unique.diagnostics + DialogLoader.link(unique.dialogs)
    self.files = files
    router = DialogRouter(unique.dialogs)
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
    var dialogs: [Dialog] = []
    var diagnostics: [Diagnostic] = []
    for file in files {
      do {
        let outcome = DialogLoader.load(try YAML.load(path: file), file: file)
        diagnostics += outcome.diagnostics
        if let dialog = outcome.dialog { dialogs.append(dialog) }
      } catch {
        diagnostics += error.all
      }
    }
    return DialogCatalog(dialogs, diagnostics: diagnostics, files: files)
  }

  /// The dialog files that `path` stands for, sorted by name; see ``load(path:)``.
  public static func files(at path: String) throws(FolderError) -> [String] {
    var isFolder = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw FolderError(description: "there is no file or folder \(path)")
    }
    guard isFolder else { return [path] }
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: path)
    } catch {
      throw FolderError(description: "the folder \(path) cannot be read")
    }
    let files = names.filter(isDialogFile).sorted().map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
    guard files.count <= fileLimit else {
      throw FolderError(description: "the folder \(path) has \(files.count) dialogs; the limit is \(fileLimit)")
    }
    return files
  }

  private static func isDialogFile(_ name: String) -> Bool {
    guard !name.hasPrefix("."), name.hasSuffix(".yaml") || name.hasSuffix(".yml") else { return false }
    return !name.hasSuffix(".test.yaml") && !name.hasSuffix(".test.yml")
  }

  /// The dialog that answers the call; nil where none does.
  public func route(_ call: CallInfo) -> Dialog? { router.route(call.facts) }
}

extension CallInfo {
  /// The call as dialogs see it.
  var facts: CallFacts {
    CallFacts(
      session: session, callerID: callerID, calledNumber: calledNumber, fromURI: fromURI, toURI: toURI, trunk: trunk,
      headers: headers)
  }
}
