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

  static func make(config: String?, environment: [String: String]) throws(CommandFailure) -> ServePlan {
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
    if loaded.file == nil { plan.settleOnLaptop(keysSet: loaded.keysSet) }
    return plan
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
