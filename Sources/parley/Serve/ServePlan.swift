import Base
import FoundationEssentials
import Settings

/// What `parley serve` has decided to run before anything is started: the configuration, and where it had to choose.
struct ServePlan {
  var configuration: Configuration
  /// nil: the built-in defaults.
  var file: String?
  var environment: [String: String]
  /// Sentences for the person at the terminal: what was chosen, and warnings.
  var notes: [String] = []

  /// - Parameter roles: of this process; nil where that is not known.
  static func make(
    config: String?, environment: [String: String], roles: GatewayRoles? = nil
  ) throws(CommandFailure) -> ServePlan {
    let loaded: ConfigurationLoader.Loaded
    do {
      loaded = try ConfigurationLoader(environment: environment).load(path: config)
    } catch {
      throw CommandFailure(configuration: error)
    }
    let models = loaded.configuration.speech.modelDir
    if loaded.keysSet.contains("speech.model_dir"), !FileManager.default.fileExists(atPath: models) {
      throw CommandFailure("speech.model_dir: the folder \(models) does not exist")
    }
    var plan = ServePlan(configuration: loaded.configuration, file: loaded.file, environment: environment)
    plan.notes = (loaded.warnings + loaded.configuration.outboundWarnings(file: loaded.file)).map(\.description)
    if let roles, roles.has(.media) { try plan.checkInstance(keysSet: loaded.keysSet) }
    if let roles, roles.isAll, let idle = idleKeys(loaded) { plan.notes.append(idle) }
    if loaded.file == nil { plan.settleOnLaptop(keysSet: loaded.keysSet) }
    return plan
  }

  /// Other roles read the same file and need not know who they are; the one that takes ports must.
  private mutating func checkInstance(keysSet: Set<String>) throws(CommandFailure) {
    let media = configuration.media
    if media.rtpPortsPerInstance > 0, media.instance.isEmpty {
      throw CommandFailure(
        "media.rtp_ports_per_instance needs media.instance (VG_MEDIA_INSTANCE), which says whose ports are whose")
    }
    if media.rtpPortsPerInstance == 0, keysSet.contains("media.instance"), !media.instance.isEmpty {
      notes.append("media.instance: without effect, because media.rtp_ports_per_instance is 0")
    }
  }

  /// A sentence about keys that are about other processes, for one that has all roles; nil: there are none.
  private static func idleKeys(_ loaded: ConfigurationLoader.Loaded) -> String? {
    var keys = loaded.keysSet.filter { $0.hasPrefix("cluster.") }
    keys.subtract(["cluster.drain_handover_after", "cluster.pod_deletion_cost"])
    if loaded.configuration.security.mtls.enabled { keys.insert("security.mtls") }
    if keys.isEmpty { return nil }
    return
      "\(keys.sorted().joined(separator: ", ")): without effect, because all roles run in this process (see --role)"
  }

  /// Without a configuration file the system's folders may not exist or belong to somebody else: a checkout on a laptop must
  /// serve all the same, and say what it does.
  private mutating func settleOnLaptop(keysSet: Set<String>) {
    let files = FileManager.default
    let examples = "examples/dialogs"
    if !keysSet.contains("runtime.dialog_dir"), !files.fileExists(atPath: configuration.runtime.dialogDir),
      files.fileExists(atPath: examples)
    {
      notes.append("\(configuration.runtime.dialogDir) does not exist; serving the example dialogs in \(examples)")
      configuration.runtime.dialogDir = examples
    }
    let dataDir = configuration.storage.dataDir
    if !keysSet.contains("storage.data_dir"), !Self.canWrite(dataDir) {
      let own = ".parley"
      notes.append("\(dataDir) cannot be written; keeping data in \(own)")
      configuration.moveData(to: own, keeping: keysSet)
    }
  }

  /// Whether the folder is there and ours, or can be made.
  static func canWrite(_ folder: String) -> Bool {
    let files = FileManager.default
    var path = folder
    while !files.fileExists(atPath: path) {
      guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
        return files.isWritableFile(atPath: "/")
      }
      path = String(path[..<slash])
    }
    return files.isWritableFile(atPath: path)
  }
}
