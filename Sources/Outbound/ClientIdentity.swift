import NIOConcurrencyHelpers
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How the gateway shows who it is by TLS, and whom it believes: paths of PEM files.
public struct ClientIdentity: Sendable, Hashable {
  /// The client's certificate and those between it and its root; nil: none is shown.
  public var certificateFile: String?
  /// Its private key, without a passphrase.
  public var keyFile: String?
  /// Authorities that the server's certificate may come from, beside the system's.
  public var authoritiesFile: String?

  public init(certificateFile: String? = nil, keyFile: String? = nil, authoritiesFile: String? = nil) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.authoritiesFile = authoritiesFile
  }
}

/// Reads identities, and reads them again when their files have changed. Safe to use from any thread.
final class IdentityLoader: Sendable {
  struct Loaded: Sendable {
    /// Differs after every change of the files.
    var version: Int
    var tls: TLSConfiguration
  }

  private struct Entry {
    var stamps: [Stamp?]
    var loaded: Loaded
  }

  /// What a file looks like from outside.
  private struct Stamp: Equatable {
    var seconds: Int
    var nanoseconds: Int
    var size: Int64
    var number: UInt64
  }

  private struct State {
    var entries: [ClientIdentity: Entry] = [:]
    var versions = 0
  }
  private let state = NIOLockedValueBox(State())

  /// The identity as its files have it now. Files that are half replaced change nothing until they fit together.
  /// - Throws: ``OutboundError`` of kind ``OutboundError/Kind/failed``, which names the file.
  func load(_ identity: ClientIdentity) throws(OutboundError) -> Loaded {
    let stamps = [identity.certificateFile, identity.keyFile, identity.authoritiesFile].map { $0.flatMap(Self.stamp) }
    let known = state.withLockedValue { $0.entries[identity] }
    if let known, known.stamps == stamps { return known.loaded }
    let tls: TLSConfiguration
    do {
      tls = try Self.read(identity)
    } catch {
      if let known { return known.loaded }
      throw error
    }
    return state.withLockedValue { state in
      state.versions += 1
      let loaded = Loaded(version: state.versions, tls: tls)
      state.entries[identity] = Entry(stamps: stamps, loaded: loaded)
      return loaded
    }
  }

  private static func stamp(_ path: String) -> Stamp? {
    var found = stat()
    guard stat(path, &found) == 0 else { return nil }
    return Stamp(
      seconds: Int(found.st_mtim.tv_sec), nanoseconds: Int(found.st_mtim.tv_nsec), size: Int64(found.st_size),
      number: UInt64(found.st_ino))
  }

  private static func read(_ identity: ClientIdentity) throws(OutboundError) -> TLSConfiguration {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv12
    func read<Part>(_ path: String, _ what: String, _ body: () throws -> Part) throws(OutboundError) -> Part {
      do {
        return try body()
      } catch {
        throw OutboundError(.failed, "\(path) holds no \(what) in PEM form that can be read")
      }
    }
    if let path = identity.authoritiesFile {
      let roots = try read(path, "certificates") { try NIOSSLCertificate.fromPEMFile(path) }
      tls.additionalTrustRoots = [.certificates(roots)]
    }
    if let path = identity.certificateFile {
      let chain = try read(path, "certificate") { try NIOSSLCertificate.fromPEMFile(path) }
      tls.certificateChain = chain.map { .certificate($0) }
    }
    if let path = identity.keyFile {
      let key = try read(path, "private key") { try NIOSSLPrivateKey(file: path, format: .pem) }
      tls.privateKey = .privateKey(key)
    }
    do {
      _ = try NIOSSLContext(configuration: tls)
    } catch {
      throw OutboundError(
        .failed, "\(identity.certificateFile ?? identity.authoritiesFile ?? "the certificate") cannot be used: \(error)"
      )
    }
    return tls
  }
}
