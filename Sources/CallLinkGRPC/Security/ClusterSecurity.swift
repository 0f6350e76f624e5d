#if Cluster
  import FoundationEssentials
  import Logging
  import NIOConcurrencyHelpers
  import NIOCore
  import NIOSSL

  /// Certificates between the roles: TLS 1.3 both ways, from PEM files as cert-manager writes them. A process proves its role by a DNS
  /// name of its certificate, `ROLE.parley`; a dialler accepts only the role that it looks for, an answerer only the one before it.
  public final class ClusterSecurity: Sendable {
    /// What is wrong with the files: one sentence.
    public struct Problem: Error, Sendable, CustomStringConvertible {
      public var description: String
    }

    public struct Files: Sendable, Hashable {
      /// Certificate chain and key that this process answers with.
      public var serverCertificate: String
      public var serverKey: String
      /// Those that it dials with.
      public var clientCertificate: String
      public var clientKey: String
      /// Who vouches for the others.
      public var authority: String

      public init(
        serverCertificate: String, serverKey: String, clientCertificate: String, clientKey: String, authority: String
      ) {
        self.serverCertificate = serverCertificate
        self.serverKey = serverKey
        self.clientCertificate = clientCertificate
        self.clientKey = clientKey
        self.authority = authority
      }

      var all: [String] { [serverCertificate, serverKey, clientCertificate, clientKey, authority] }
    }

    private struct Contexts: Sendable {
      var server: NIOSSLContext
      var client: NIOSSLContext
      var content: [[UInt8]]
    }

    /// How often the files are looked at.
    public static let interval: Duration = .seconds(10)

    private let files: Files
    private let logger: Logger
    private let contexts: NIOLockedValueBox<Contexts>

    /// The DNS name that proves a role.
    public static func name(of role: String) -> String { "\(role).parley" }

    public init(_ files: Files, logger: Logger) throws(Problem) {
      self.files = files
      self.logger = logger
      contexts = NIOLockedValueBox(try Self.load(files))
    }

    /// Looks at the files until the task is cancelled. New connections use what is there; those that are open go on.
    public func watch() async {
      while !Task.isCancelled {
        do { try await Task.sleep(for: Self.interval) } catch { return }
        reload()
      }
    }

    /// Reads the files again where they have changed. Files that are of no use change nothing.
    public func reload() {
      do throws(Problem) {
        let loaded = try Self.load(files)
        let isNew = contexts.withLockedValue { contexts in
          if contexts.content == loaded.content { return false }
          contexts = loaded
          return true
        }
        if isNew { logger.notice("certificates were read anew") }
      } catch {
        logger.error("certificates cannot be read anew; the old ones stay", metadata: ["reason": "\(error)"])
      }
    }

    private static func load(_ files: Files) throws(Problem) -> Contexts {
      var content: [[UInt8]] = []
      for file in files.all {
        do { content.append(Array(try Data(contentsOf: URL(filePath: file)))) } catch {
          throw Problem(description: "the file \(file) cannot be read (security.mtls)")
        }
      }
      do {
        let roots = try NIOSSLCertificate.fromPEMBytes(content[4])
        guard !roots.isEmpty else {
          throw Problem(description: "\(files.authority) holds no certificate (security.mtls.ca_cert)")
        }
        func configuration(_ certificate: [UInt8], _ key: [UInt8]) throws -> (TLSConfiguration) {
          var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: key, format: .pem)))
          configuration.minimumTLSVersion = .tlsv13
          configuration.trustRoots = .certificates(roots)
          configuration.applicationProtocols = ["h2"]
          return configuration
        }
        var server = try configuration(content[0], content[1])
        // The role is looked at when a stream begins; who vouches for it, here.
        server.certificateVerification = .noHostnameVerification
        let own = try configuration(content[2], content[3])
        var client = TLSConfiguration.makeClientConfiguration()
        client.certificateChain = own.certificateChain
        client.privateKey = own.privateKey
        client.minimumTLSVersion = .tlsv13
        client.trustRoots = own.trustRoots
        client.certificateVerification = .fullVerification
        client.applicationProtocols = ["h2"]
        return Contexts(
          server: try NIOSSLContext(configuration: server), client: try NIOSSLContext(configuration: client),
          content: content)
      } catch {
        throw error as? Problem
          ?? Problem(
            description: "the certificates cannot be used: \(error) (security.mtls: server_cert, client_cert, ca_cert)")
      }
    }

    // MARK: Connections

    /// On the connection's event loop, before it is used.
    func secureServer(_ channel: any Channel) -> EventLoopFuture<Void> {
      let context = contexts.withLockedValue { $0.server }
      return channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context), position: .first)
      }
    }

    func secureClient(_ channel: any Channel, role: String) -> EventLoopFuture<Void> {
      let context = contexts.withLockedValue { $0.client }
      return channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(
          NIOSSLClientHandler(context: context, serverHostname: Self.name(of: role)), position: .first)
      }
    }
  }
#endif
