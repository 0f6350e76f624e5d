import Base
import FoundationEssentials
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL

/// The gateway's certificate for SIP over TLS, read anew when its files change. Safe to use from any thread.
final class SIPCertificates: Sendable {
  /// How often the files are looked at.
  static let interval = TimeAmount.seconds(10)
  /// Bytes of one file.
  private static let fileBytes = 1 << 20

  private struct Loaded: Sendable {
    var server: NIOSSLContext
    var client: NIOSSLContext
    var content: [[UInt8]]
  }

  private let files: SIPCertificateFiles
  private let logger: Logger
  private let loaded: NIOLockedValueBox<Loaded>

  /// - Throws: ``MediaGatewayError``, which names the file.
  init(_ files: SIPCertificateFiles, logger: Logger) throws(MediaGatewayError) {
    self.files = files
    self.logger = logger
    loaded = NIOLockedValueBox(try Self.load(files))
  }

  /// What answers on a new connection.
  func serverHandler() -> NIOSSLServerHandler { NIOSSLServerHandler(context: loaded.withLockedValue { $0.server }) }

  /// What opens a connection. The other side's certificate must be for its address, since nobody has named it otherwise.
  func clientHandler() throws -> NIOSSLClientHandler {
    try NIOSSLClientHandler(context: loaded.withLockedValue { $0.client }, serverHostname: nil)
  }

  /// Reads the files again. Files that do not fit together, as while they are being replaced, change nothing.
  func reload() async {
    do {
      let new = try await NIOThreadPool.singleton.runIfActive { [files] in try Self.load(files) }
      let isNew = loaded.withLockedValue { loaded in
        if loaded.content == new.content { return false }
        loaded = new
        return true
      }
      if isNew { logger.notice("the certificates of SIP were read anew") }
    } catch {
      logger.error(
        "the certificates of SIP cannot be read anew; the old ones stay", metadata: ["reason": "\(error)"])
    }
  }

  private static func load(_ files: SIPCertificateFiles) throws(MediaGatewayError) -> Loaded {
    let certificate = try read(files.certificate, "media.sip_tls_cert")
    let key = try read(files.key, "media.sip_tls_key")
    let authorities = try files.clientAuthorities.map { path throws(MediaGatewayError) in
      try read(path, "media.sip_tls_client_ca")
    }
    do {
      var server = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMBytes(certificate).map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(bytes: key, format: .pem)))
      server.minimumTLSVersion = .tlsv12
      var client = TLSConfiguration.makeClientConfiguration()
      client.minimumTLSVersion = .tlsv12
      // Asked for, it is shown.
      client.certificateChain = server.certificateChain
      client.privateKey = server.privateKey
      if let authorities {
        let roots = try NIOSSLCertificate.fromPEMBytes(authorities)
        guard !roots.isEmpty else {
          throw bad("\(files.clientAuthorities ?? "") holds no certificate (media.sip_tls_client_ca)")
        }
        server.trustRoots = .certificates(roots)
        // A phone's certificate says who its user is, not where it is.
        server.certificateVerification = .noHostnameVerification
        client.additionalTrustRoots = [.certificates(roots)]
      }
      return Loaded(
        server: try NIOSSLContext(configuration: server), client: try NIOSSLContext(configuration: client),
        content: [certificate, key, authorities ?? []])
    } catch {
      throw error as? MediaGatewayError
        ?? bad("the certificate and key of SIP over TLS cannot be used: \(error) (media.sip_tls_cert, sip_tls_key)")
    }
  }

  private static func read(_ path: String, _ name: String) throws(MediaGatewayError) -> [UInt8] {
    do {
      let content = try Data(contentsOf: URL(filePath: path))
      guard content.count <= fileBytes else { throw bad("\(path) is no certificate: it is too large (\(name))") }
      return Array(content)
    } catch {
      throw error as? MediaGatewayError ?? bad("\(path) cannot be read (\(name))")
    }
  }

  private static func bad(_ text: String) -> MediaGatewayError {
    MediaGatewayError(code: .badConfiguration, description: text)
  }
}
