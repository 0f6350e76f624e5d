import Base

/// `cluster`: roles in processes of their own.
public struct ClusterSettings: Sendable, Hashable {
  /// The address that the hops are listened on.
  public var listenAddress = "0.0.0.0"
  /// Where each role takes the one before it; 0 asks the system for a free port.
  public var speechPort = 50051
  public var runtimePort = 50052
  public var integrationPort = 50053
  /// Where the processes of the next role are, as `host:port`; a name may stand for many.
  public var speech: [String] = []
  public var runtime: [String] = []
  public var integration: [String] = []
  /// How long live calls may end by themselves after a signal to stop, before they are handed to another process.
  public var drainHandoverAfter: Duration = .seconds(10)
  /// Whether Kubernetes is told how many calls this pod holds, so that scaling down takes empty ones first.
  public var podDeletionCost = false

  public init() {}
}

/// `security.mtls`: certificates between the roles.
public struct MutualTLSSettings: Sendable, Hashable {
  public var enabled = false
  /// A folder as cert-manager fills it (`tls.crt`, `tls.key`, `ca.crt`): what the other keys leave open.
  public var folder = ""
  public var serverCertificate = ""
  public var serverKey = ""
  public var authority = ""
  public var clientCertificate = ""
  public var clientKey = ""

  public init() {}

  private func file(_ own: String, _ name: String) -> String {
    if !own.isEmpty || folder.isEmpty { return own }
    return folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }

  /// The files that count.
  public var serverCertificateFile: String { file(serverCertificate, "tls.crt") }
  public var serverKeyFile: String { file(serverKey, "tls.key") }
  public var authorityFile: String { file(authority, "ca.crt") }
  public var clientCertificateFile: String {
    clientCertificate.isEmpty ? serverCertificateFile : clientCertificate
  }
  public var clientKeyFile: String { clientKey.isEmpty ? serverKeyFile : clientKey }
}
