import Base
import Dialogs
import Storage

/// Puts the folder's dialogs and the store's together. Pure: it is given texts and versions, and says what to publish, what
/// to take back, what serves, and what to tell people.
///
/// A file owns the name of its dialog. What its text says is published; where the text is broken, the version of the store
/// that was published last serves on. Other names belong to the API and serve what the store says is published.
struct CatalogAssembly: Sendable {
  /// What the store knows.
  struct Stored: Sendable {
    /// What is published, by name.
    var published: [String: DialogVersion] = [:]
    /// Digests of files that a rollback holds back, by name.
    var held: [String: String] = [:]
    /// Which dialog each file was last known to be.
    var names: [String: String] = [:]
    /// Every name that has a version.
    var known: [String] = []

    init() {}

    init(_ records: [DialogRecord], published: [DialogVersion]) {
      self.published = Dictionary(published.map { ($0.dialog, $0) }, uniquingKeysWith: { first, _ in first })
      for version in published where version.origin == .folder { names[version.author] = version.dialog }
      for record in records {
        if record.latest > 0 { known.append(record.name) }
        if !record.heldDigest.isEmpty { held[record.name] = record.heldDigest }
        if let file = record.status?.file, !file.isEmpty { names[file] = record.name }
      }
    }
  }

  struct Outcome: Sendable {
    var catalog: DialogCatalog
    /// By name; what the API shows.
    var statuses: [DialogStatus]
    /// What is wrong among the dialogs, and in the store's; what is wrong in a file is said when it is read.
    var remarks: [Diagnostic]
    /// Dialogs that take new calls, and dialogs whose newest text has errors.
    var serving: Int
    var broken: Int
  }

  /// The newest text of each file, by its path below the folder.
  private(set) var files: [String: DialogSource] = [:]
  /// The dialog that a file was when it was last in order.
  private var names: [String: String] = [:]
  /// The last text of a file that was in order, for a store that has none of it.
  private var good: [String: DialogSource] = [:]
  /// What the versions of the store say, by name and digest: reading them is the dear part.
  private var parsed: [Key: DialogSource] = [:]

  private struct Key: Hashable {
    var dialog: String
    var digest: String
  }

  mutating func put(_ source: DialogSource, of file: String) {
    files[file] = source
    if let dialog = source.dialog {
      names[file] = dialog.name
      good[file] = source
    }
  }

  mutating func remove(_ file: String) {
    files[file] = nil
    names[file] = nil
    good[file] = nil
  }

  // MARK: What has to change in the store

  /// The files that serve, by the names of their dialogs: of two with one name the first.
  private var owners: [String: String] {
    var owners: [String: String] = [:]
    for file in files.keys.sorted() {
      if let name = files[file]?.dialog?.name, owners[name] == nil { owners[name] = file }
    }
    return owners
  }

  /// The name that a file is meant to be, also where it is broken.
  private func claim(_ file: String, _ stored: Stored) -> String {
    files[file]?.dialog?.name ?? names[file] ?? stored.names[file] ?? Self.stem(file)
  }

  /// What the folder wants published and is not.
  func drafts(_ stored: Stored) -> [DialogDraft] {
    owners.sorted { $0.key < $1.key }.compactMap { name, file in
      guard let source = files[file], stored.published[name]?.digest != source.digest,
        stored.held[name] != source.digest || stored.published[name] == nil
      else { return nil }
      return DialogDraft(dialog: name, source: source.text, origin: .folder, author: file)
    }
  }

  /// What came from the folder and has no file any more.
  func withdrawn(_ stored: Stored) -> [String] {
    let claimed = Set(files.keys.map { claim($0, stored) })
    return stored.published.values.filter { $0.origin == .folder && !claimed.contains($0.dialog) }.map(\.dialog)
      .sorted()
  }

  // MARK: What serves

  /// - Parameters:
  ///   - documents: the names of those that agent states can answer from; nil: not known yet.
  ///   - place: the path that diagnostics name for a file.
  mutating func assemble(_ stored: Stored, documents: Set<String>?, place: (String) -> String) -> Outcome {
    let owners = owners
    var statuses: [String: DialogStatus] = [:]
    var serving: [Dialog] = []
    var identities: [String: DialogIdentity] = [:]
    var findings: [Diagnostic] = []
    var remarks: [Diagnostic] = []
    var used: Set<Key> = []

    func serve(_ dialog: Dialog, _ identity: DialogIdentity) {
      serving.append(dialog)
      identities[dialog.name] = identity
    }

    for file in files.keys.sorted() {
      guard let source = files[file] else { continue }
      var own = source.diagnostics
      let name = claim(file, stored)
      let published = stored.published[name]
      if let dialog = source.dialog, owners[name] == file {
        if let published, published.digest != source.digest, stored.held[name] == source.digest,
          let older = check(published, place(file), &used).dialog
        {
          own = [
            Diagnostic(
              code: CatalogCode.heldBack.rawValue, severity: .warning, file: place(file), position: nil,
              message: "version \(published.number) serves: what the file says was rolled back",
              hint: "change the file, or publish its version again")
          ]
          serve(older, DialogIdentity(number: published.number, digest: published.digest))
          statuses[name] = status(older, .serving, published.number, file, own)
        } else {
          let number = published?.digest == source.digest ? published?.number ?? 0 : 0
          serve(dialog, DialogIdentity(number: number, digest: source.digest))
          statuses[name] = status(dialog, .serving, number, file, own)
        }
        findings += own
        continue
      }
      if let dialog = source.dialog {
        // Another file has the name already.
        own.append(
          Diagnostic(
            code: DialogCode.duplicateDialog.rawValue, severity: .error, file: place(file), position: nil,
            message: "the dialog `\(dialog.name)` already exists in \(owners[name].map(place) ?? "")",
            hint: "give one of them another name"))
      }
      findings += own
      if owners[name] == nil, statuses[name] == nil {
        if let published, let older = check(published, place(file), &used).dialog {
          serve(older, DialogIdentity(number: published.number, digest: published.digest))
          statuses[name] = status(older, .broken, published.number, file, own)
        } else if let older = good[file], let dialog = older.dialog, source.dialog == nil {
          serve(dialog, DialogIdentity(number: 0, digest: older.digest))
          statuses[name] = status(dialog, .broken, 0, file, own)
        } else {
          statuses[name] = DialogStatus(dialog: name, state: .broken, file: file, diagnostics: own)
        }
      } else {
        // The name serves; what is wrong with this file is shown under the file's own.
        let other = Self.stem(file)
        if owners[other] == nil, statuses[other] == nil, stored.published[other] == nil {
          statuses[other] = DialogStatus(dialog: other, state: .broken, file: file, diagnostics: own)
        }
      }
    }

    for (name, version) in stored.published.sorted(by: { $0.key < $1.key }) where statuses[name] == nil {
      let source = check(version, "\(name).yaml", &used)
      findings += source.diagnostics
      remarks += source.diagnostics
      if let dialog = source.dialog {
        serve(dialog, DialogIdentity(number: version.number, digest: version.digest))
        statuses[name] = status(dialog, .serving, version.number, "", source.diagnostics)
      } else {
        statuses[name] = DialogStatus(dialog: name, state: .broken, diagnostics: source.diagnostics)
      }
    }
    for name in stored.known where statuses[name] == nil { statuses[name] = DialogStatus(dialog: name, state: .off) }
    parsed = parsed.filter { used.contains($0.key) }
    let catalog = DialogCatalog(
      serving, identities: identities, diagnostics: findings, files: files.keys.sorted().map(place))
    let missing = documents.map { documents in serving.flatMap { Self.missing(documents, $0) } } ?? []
    // What is wrong among the dialogs stands behind what is wrong with each.
    for finding in catalog.diagnostics.dropFirst(findings.count) + missing {
      remarks.append(finding)
      for dialog in serving where dialog.file == finding.file { statuses[dialog.name]?.diagnostics.append(finding) }
    }
    return Outcome(
      catalog: catalog, statuses: statuses.values.sorted { $0.dialog < $1.dialog }, remarks: remarks,
      serving: serving.count,
      broken: statuses.values.filter { $0.state == .broken }.count)
  }

  /// Documents that a dialog names and nobody has.
  private static func missing(_ documents: Set<String>, _ dialog: Dialog) -> [Diagnostic] {
    dialog.states.compactMap(\.agent).flatMap { agent in
      agent.knowledge.filter { !documents.contains($0) }.map { name in
        Diagnostic(
          code: CatalogCode.unknownDocument.rawValue, severity: .warning, file: dialog.file, position: agent.position,
          message: "there is no document `\(name)`",
          hint: nearest(to: name, in: documents.sorted()).map { "did you mean `\($0)`?" }
            ?? "put \(name).md into runtime.knowledge_dir")
      }
    }
  }

  private func status(
    _ dialog: Dialog, _ state: DialogStatus.State, _ number: Int, _ file: String, _ diagnostics: [Diagnostic]
  ) -> DialogStatus {
    DialogStatus(
      dialog: dialog.name, state: state, served: number == 0 ? nil : number, file: file, label: dialog.version,
      description: dialog.description, language: dialog.language, diagnostics: diagnostics)
  }

  /// A version of the store, read at most once. A text that names another dialog than its version is broken.
  private mutating func check(_ version: DialogVersion, _ file: String, _ used: inout Set<Key>) -> DialogSource {
    let key = Key(dialog: version.dialog, digest: version.digest)
    used.insert(key)
    if let source = parsed[key] { return source }
    var source = DialogSource.check(version.source, file: file)
    if let name = source.dialog?.name, name != version.dialog {
      source.dialog = nil
      source.diagnostics.append(
        Diagnostic(
          code: DialogCode.badValue.rawValue, severity: .error, file: file, position: nil,
          message: "the text names the dialog `\(name)`, not `\(version.dialog)`"))
    }
    parsed[key] = source
    return source
  }

  static func stem(_ file: String) -> String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    for ending in [".yaml", ".yml"] where name.hasSuffix(ending) { return String(name.dropLast(ending.count)) }
    return name
  }
}

/// Codes of what only a gateway that serves can say of a dialog: `docs/dialogs/versions.md`, `docs/dialogs/knowledge.md`.
enum CatalogCode: String {
  /// A rollback holds back what the file says.
  case heldBack = "S001"
  /// An agent state answers from a document that is not there.
  case unknownDocument = "S002"
}
