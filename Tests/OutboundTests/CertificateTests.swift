import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Outbound
import ScriptedServers
import Settings
import Testing

/// TLS with an authority of our own, and certificates on both sides, made by openssl.
@Suite(.serialized) struct CertificateTests {
  private struct Failed: Error { var output: String }

  /// A folder with `NAME.pem` and `NAME.key` of an authority and of those that it has signed.
  private struct Authority {
    let folder: String

    init(_ names: [String]) throws {
      folder = NSTemporaryDirectory() + "/parley-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try openssl([
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
        "/CN=Test authority", "-keyout", path("ca.key"), "-out", path("ca.pem"),
      ])
      try Data("subjectAltName=DNS:crm.test\n".utf8).write(to: URL(fileURLWithPath: path("names")))
      for name in names {
        try openssl([
          "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=\(name)",
          "-keyout",
          path("\(name).key"), "-out", path("\(name).csr"),
        ])
        try openssl([
          "x509", "-req", "-in", path("\(name).csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
          "-CAcreateserial",
          "-days", "2", "-extfile", path("names"), "-out", path("\(name).pem"),
        ])
      }
    }

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    private func openssl(_ arguments: [String]) throws {
      let process = Process()
      let pipe = Pipe()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["openssl"] + arguments
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
      let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      guard process.terminationStatus == 0 else { throw Failed(output: output) }
    }
  }

  private struct OneAddress: AddressResolver {
    func addresses(of name: String) async throws -> [IPAddress] { [IPAddress("127.0.0.1")].compactMap { $0 } }
  }

  private static func client() -> OutboundClient {
    OutboundClient(
      settings: OutboundSettings(allowPrivate: [OutboundRule("127.0.0.0/8")].compactMap { $0 }),
      group: MultiThreadedEventLoopGroup.singleton, resolver: OneAddress())
  }

  private static func with(
    _ authority: Authority, wantsCertificate: Bool, _ body: (String, ScriptedHTTPServer) async throws -> Void
  ) async throws {
    var tls = TLSConfiguration.makeServerConfiguration(
      certificateChain: try NIOSSLCertificate.fromPEMFile(authority.path("server.pem")).map { .certificate($0) },
      privateKey: .privateKey(try NIOSSLPrivateKey(file: authority.path("server.key"), format: .pem)))
    if wantsCertificate {
      tls.certificateVerification = .noHostnameVerification
      tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authority.path("ca.pem")))
    }
    let server = ScriptedHTTPServer(tls: try NIOSSLContext(configuration: tls)) { _ in
      ScriptedHTTPServer.Step.answer(200, "secret")
    }
    let port = try await server.start()
    try await body("https://crm.test:\(port)/", server)
    await server.stop()
  }

  private static func status(_ client: OutboundClient, _ url: String, _ identity: ClientIdentity?) async throws -> UInt
  {
    let response = try await client.execute(HTTPClientRequest(url: url), identity: identity, timeout: .seconds(10))
    _ = try await response.body.collect(upTo: 1 << 16)
    return response.status.code
  }

  @Test func anAuthorityOfOnesOwnIsBelievedForItsNamesOnly() async throws {
    let authority = try Authority(["server"])
    try await Self.with(authority, wantsCertificate: false) { url, server async throws in
      let client = Self.client()
      let error = await #expect(throws: OutboundError.self) { try await Self.status(client, url, nil) }
      #expect(error?.kind == .untrusted, "\(error?.description ?? "")")
      let trust = ClientIdentity(authoritiesFile: authority.path("ca.pem"))
      #expect(try await Self.status(client, url, trust) == 200)
      // The address is the same; the name in the certificate is not.
      let other = url.replacingOccurrences(of: "crm.test", with: "erp.test")
      let wrong = await #expect(throws: OutboundError.self) { try await Self.status(client, other, trust) }
      #expect(wrong?.kind == .untrusted, "\(wrong?.description ?? "")")
      #expect(server.requests.count == 1)
      await client.shutdown()
    }
  }

  @Test func theClientShowsItsCertificateAndTakesUpNewFiles() async throws {
    let authority = try Authority(["server", "gateway"]), stranger = try Authority(["gateway"])
    try await Self.with(authority, wantsCertificate: true) { url, server async throws in
      let client = Self.client()
      let trust = ClientIdentity(authoritiesFile: authority.path("ca.pem"))
      await #expect(throws: OutboundError.self) { try await Self.status(client, url, trust) }
      let files = FileManager.default
      let identity = ClientIdentity(
        certificateFile: authority.path("used.pem"), keyFile: authority.path("used.key"),
        authoritiesFile: authority.path("ca.pem"))
      func use(_ source: Authority, _ parts: [String]) throws {
        for part in parts {
          try? files.removeItem(atPath: authority.path("used.\(part)"))
          try files.copyItem(atPath: source.path("gateway.\(part)"), toPath: authority.path("used.\(part)"))
        }
      }
      let missing = await #expect(throws: OutboundError.self) { try await Self.status(client, url, identity) }
      #expect(missing?.kind == .failed)
      #expect(missing?.description.contains("used.pem") == true)
      try use(stranger, ["pem", "key"])
      await #expect(throws: OutboundError.self) { try await Self.status(client, url, identity) }
      #expect(server.requests.isEmpty)
      try use(authority, ["pem", "key"])
      #expect(try await Self.status(client, url, identity) == 200)
      // Half replaced: the certificate of one with the key of the other. What fitted together is used on.
      try use(stranger, ["pem"])
      #expect(try await Self.status(client, url, identity) == 200)
      await client.shutdown()
    }
  }
}
