import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Settings
import Storage

/// Where recorded sessions come from: files, or the database of the configuration, which is opened when it is first needed.
struct RecordArchive {
  private let config: String?
  private var archive: SessionArchive?

  /// A long call has some thousand lines; this is a hundred times that.
  private static let fileLimit = 256 * 1_024 * 1_024

  init(config: String?) { self.config = config }

  mutating func endedSessions() async throws -> [String] {
    let archive = try database()
    do {
      return try await archive.endedSessions().map(\.value)
    } catch {
      throw CommandFailure("\(error)")
    }
  }

  /// The session that a file holds, or that the database has under this identifier.
  mutating func record(_ name: String) async throws -> SessionExport {
    guard !FileManager.default.fileExists(atPath: name) else {
      do {
        return try SessionExport(try TextFile.read(name, limit: Self.fileLimit))
      } catch let problem as JournalProblem {
        throw CommandFailure("\(name): \(problem)")
      } catch {
        throw CommandFailure("\(error)")
      }
    }
    // A path that is mistyped should not send people looking for a database.
    if name.contains("/") || name.contains(".") { throw CommandFailure("there is no file \(name)") }
    let archive = try database()
    do {
      let events = try await archive.events(of: SessionID(name))
      guard !events.isEmpty else { throw CommandFailure("there is no file and no session \(name)") }
      var record = SessionExport(
        session: SessionID(name),
        lines: events.map(RecordedLine.init))
      try await addDialogs(to: &record, from: archive)
      return record
    } catch let error as StorageError {
      throw CommandFailure("\(error)")
    }
  }

  /// The texts that the call was pinned to, as far as they are kept; all of them, or none.
  private func addDialogs(to record: inout SessionExport, from archive: SessionArchive) async throws {
    guard let first = record.lines.first, let start = try? SessionStart(first.entry, session: record.session) else {
      return
    }
    let wanted = [(start.dialogName, start.dialogDigest)] + start.subDialogs.sorted { $0.key < $1.key }
    var sources: [SessionExport.Source] = []
    for (name, digest) in wanted {
      guard let version = try await archive.dialog(digest: digest) else { return }
      sources.append(
        SessionExport.Source(
          name: name, digest: digest,
          // The name of the file is the dialog's where its text says none; what came by the API has no file.
          file: version.origin == .folder ? version.author : "\(name).yaml", text: version.source))
    }
    record.dialogs = sources
  }

  private mutating func database() throws -> SessionArchive {
    if let archive { return archive }
    let loaded: ConfigurationLoader.Loaded
    do {
      loaded = try ConfigurationLoader(environment: environmentVariables()).load(path: config)
    } catch {
      throw CommandFailure(configuration: error)
    }
    if let url = loaded.configuration.storage.postgresURL {
      let opened = SessionArchive(postgres: url.reveal())
      archive = opened
      return opened
    }
    guard let path = loaded.configuration.storage.databasePath else {
      throw CommandFailure("a database in memory keeps no sessions to look up (storage.database)")
    }
    do {
      let opened = try SessionArchive(path: path)
      archive = opened
      return opened
    } catch {
      throw CommandFailure("\(error)")
    }
  }
}
