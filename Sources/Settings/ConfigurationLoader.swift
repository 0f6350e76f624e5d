import Base

/// Makes a ``Configuration`` of a file, the environment and the defaults, and says everything that is wrong at once.
public struct ConfigurationLoader: Sendable {
  /// Where the configuration is looked for when nobody names a file.
  public static let defaultPath = "/etc/voice-gateway/config.yaml"

  /// The process's environment, or a test's.
  public var environment: [String: String]

  public init(environment: [String: String]) { self.environment = environment }

  /// What a load gives: the configuration, where it came from, and warnings that do not stop a start.
  public struct Loaded: Sendable {
    public var configuration: Configuration
    /// The file that was read; nil: the built-in defaults.
    public var file: String?
    public var warnings: [Diagnostic]
    /// The dotted keys that the file or the environment set (`media.sip_port`).
    public var keysSet: Set<String>
  }

  /// Reads `path`, else the file that `PARLEY_CONFIG` names, else ``defaultPath`` if there is one, else nothing.
  /// - Throws: everything that is wrong, each with its file, line and column, or the environment variable's name.
  public func load(path: String? = nil) throws(Diagnostics) -> Loaded {
    if let file = path ?? environment["PARLEY_CONFIG"].flatMap({ $0.isEmpty ? nil : $0 }) {
      return try load(text: try TextFile.read(file, limit: YAML.sizeLimit), file: file)
    }
    guard TextFile.exists(Self.defaultPath) else { return try load(text: "", file: nil) }
    return try load(text: try TextFile.read(Self.defaultPath, limit: YAML.sizeLimit), file: Self.defaultPath)
  }

  /// The same for a text that was read already; `file` is what diagnostics call it.
  public func load(text: String, file: String?) throws(Diagnostics) -> Loaded {
    let root = try YAML.read(text, file: file ?? "defaults")
    var configuration = Configuration()
    var decoding = Decoding(file: file ?? "defaults", environment: environment)
    decoding.apply(ConfigurationKeys.all, root, to: &configuration)
    decoding.applyEnvironment(ConfigurationKeys.all, to: &configuration)
    decoding.deriveFromDataDir(&configuration)
    decoding.deriveCredentials(&configuration.storage)
    decoding.checkTogether(configuration)
    let errors = decoding.problems.filter { $0.severity == .error }
    if !errors.isEmpty { throw Diagnostics(decoding.problems) }
    return Loaded(
      configuration: configuration, file: file, warnings: decoding.problems, keysSet: decoding.keysSet)
  }
}
