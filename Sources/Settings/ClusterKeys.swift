import Base

/// The keys of `cluster` and `security.mtls`.
enum ClusterKeys {
  static let cluster: [Field<ClusterSettings>] = [
    .key(
      "listen_address", \.listenAddress, ConfigurationKeys.ipAddress,
      "The address that the hops between roles are listened on."),
    .key("speech_port", \.speechPort, .port, "Where the role `speech` takes calls of `media`."),
    .key("runtime_port", \.runtimePort, .port, "Where the role `runtime` takes calls of `speech`."),
    .key("integration_port", \.integrationPort, .port, "Where the role `integration` takes questions of `runtime`."),
    .key(
      "speech", \.speech, peers,
      "Processes of the role `speech`, as `host:port`; a name may stand for many and is looked up every two seconds. Needed by `media` where it runs without `speech`."
    ),
    .key("runtime", \.runtime, peers, "The same for `runtime`, needed by `speech`."),
    .key("integration", \.integration, peers, "The same for `integration`, needed by `runtime`."),
    .key(
      "drain_handover_after", \.drainHandoverAfter, .duration(.zero, .seconds(86_400)),
      "How long live calls may end by themselves after a signal to stop, before another process gets them."),
    .key(
      "pod_deletion_cost", \.podDeletionCost, .bool,
      "Whether a pod tells Kubernetes how many calls it holds, so that scaling down takes empty pods first; see docs/operations/cluster.md."
    ),
  ]

  static let mtls: [Field<MutualTLSSettings>] = [
    .key("enabled", \.enabled, .bool, "Whether processes show each other certificates of their roles."),
    .key(
      "cert_dir", \.folder, .text("path"),
      "A folder with `tls.crt`, `tls.key` and `ca.crt`, as cert-manager makes it; read again when it changes."),
    .key("server_cert", \.serverCertificate, .text("path"), "The certificate to answer with; empty: of `cert_dir`."),
    .key("server_key", \.serverKey, .text("path"), "Its key."),
    .key("ca_cert", \.authority, .text("path"), "Who vouches for the others; empty: of `cert_dir`."),
    .key("client_cert", \.clientCertificate, .text("path"), "The certificate to dial with; empty: the server's."),
    .key("client_key", \.clientKey, .text("path"), "Its key."),
    .later("min_version", "1.3"), .later("client_auth", "require"),
  ]

  private static let peers: Codec<[String]> = .list(of: peer, "list of `host:port`", count: 0...256, distinct: true)

  private static let peer: Codec<String> = .checked("an address as `host:port`") { text in
    guard text.utf8.count <= 300, let colon = text.lastIndex(of: ":"), colon != text.startIndex,
      let port = Int(text[text.index(after: colon)...])
    else { return false }
    return (1...65_535).contains(port)
  }
}
