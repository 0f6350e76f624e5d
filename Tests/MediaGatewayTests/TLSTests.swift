import Base
import CallLink
import Foundation
import Logging
import MediaGateway
import NIOCore
import NIOPosix
import NIOSSL
import SIP
import ScriptedServers
import Testing

/// SIP over TLS: who is let in, whom peers see, and certificates that are renewed while the gateway runs.
@Suite(.timeLimit(.minutes(1))) struct TLSTests {
  private struct Rig {
    let gateway: MediaGateway
    let speech: FakeSpeech
    let authority: TestAuthority

    init(wantsCertificates: Bool = false) async throws {
      authority = try TestAuthority("IP:127.0.0.1")
      speech = FakeSpeech { call in
        call.tell(.ringing)
        call.tell(.answer)
      }
      var configuration = MediaGatewayConfiguration()
      configuration.host = "127.0.0.1"
      configuration.sipPort = 0
      configuration.sipTLSPort = 0
      configuration.sipTransports = [.udp, .tls]
      configuration.rtpPorts = 30_000...30_031
      configuration.sipCertificates = SIPCertificateFiles(
        certificate: authority.folder + "/server.pem", key: authority.folder + "/server.key",
        clientAuthorities: wantsCertificates ? authority.folder + "/ca.pem" : nil)
      gateway = MediaGateway(
        configuration: configuration, speech: speech, group: MultiThreadedEventLoopGroup.singleton,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      try await gateway.start()
    }

    func end() async {
      await gateway.stop()
      authority.remove()
    }

    func address(_ transport: MediaGatewayConfiguration.SIPTransport = .tls) throws -> ListeningAddress {
      try #require(gateway.listeningAddresses.first { $0.transport == transport })
    }

    /// A phone that believes `authority` only.
    func phone(trusting authority: TestAuthority? = nil, certificate: TestAuthority? = nil) async throws -> Phone {
      var tls = TLSConfiguration.makeClientConfiguration()
      tls.trustRoots = .file((authority ?? self.authority).folder + "/ca.pem")
      if let certificate {
        tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate.folder + "/server.pem").map {
          .certificate($0)
        }
        tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: certificate.folder + "/server.key", format: .pem))
      }
      return try await Phone.make(transport: .tls, server: try address(), tls: tls)
    }

    /// What a peer sees of the gateway's certificate.
    func serial() throws -> String {
      let process = Process(), output = Pipe()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = [
        "-c",
        "openssl s_client -connect 127.0.0.1:\(try address().port) </dev/null 2>/dev/null | openssl x509 -noout -serial",
      ]
      process.standardOutput = output
      try process.run()
      let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      return text
    }
  }

  private func isEnded(_ event: Phone.Event) -> Bool { if case .ended = event { true } else { false } }

  @Test func aCallComesAndGoesOverTLS() async throws {
    let rig = try await Rig()
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    let call = try #require(await rig.speech.next())
    #expect(await phone.next { $0 == .answered } != nil)
    try await phone.run { $0.hangup() }
    let end = await call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .caller) } else { Issue.record("no end") }
    #expect(await phone.next(isEnded) == .ended(.localHangup, status: 200))
    await phone.close()
    await rig.end()
  }

  /// The BYE of the gateway goes where the call came from: over the phone's own connection.
  @Test func theGatewayHangsUpOverTheCallersConnection() async throws {
    let rig = try await Rig()
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    let call = try #require(await rig.speech.next())
    #expect(await phone.next { $0 == .answered } != nil)
    call.tell(.hangup(.normal))
    #expect(await phone.next(isEnded) == .ended(.remoteHangup, status: 0))
    await phone.close()
    await rig.end()
  }

  @Test func whoDoesNotTrustTheCertificateDoesNotCall() async throws {
    let rig = try await Rig()
    let stranger = try TestAuthority("IP:127.0.0.1")
    let phone = try await rig.phone(trusting: stranger)
    try await phone.run { $0.dial() }
    #expect(await phone.next(isEnded) == .ended(.transportFailed, status: 503))
    #expect(rig.speech.opened == 0)
    await phone.close()
    stranger.remove()
    await rig.end()
  }

  @Test func peersShowTheirCertificatesWhereTheyMust() async throws {
    let rig = try await Rig(wantsCertificates: true)
    let stranger = try TestAuthority("IP:127.0.0.1")
    for certificate in [nil, stranger] {
      let phone = try await rig.phone(certificate: certificate)
      try await phone.run { $0.dial() }
      let end = await phone.next(isEnded)
      #expect(
        end == .ended(.transportFailed, status: 503),
        "with \(certificate == nil ? "no certificate" : "a stranger's"): \(String(describing: end))")
      await phone.close()
    }
    #expect(rig.speech.opened == 0)
    let phone = try await rig.phone(certificate: rig.authority)
    try await phone.run { $0.dial() }
    #expect(await phone.next { $0 == .answered } != nil)
    await phone.close()
    stranger.remove()
    await rig.end()
  }

  @Test func aRenewedCertificateIsShownAndCallsGoOn() async throws {
    let rig = try await Rig()
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    #expect(await phone.next { $0 == .answered } != nil)
    let before = try rig.serial()
    #expect(before.hasPrefix("serial="))
    try rig.authority.sign("IP:127.0.0.1")
    await rig.gateway.reloadCertificates()
    let after = try rig.serial()
    #expect(after.hasPrefix("serial=") && after != before)
    // A key that is not the certificate's is a renewal that is not finished.
    try Data("nonsense".utf8).write(to: URL(fileURLWithPath: rig.authority.folder + "/server.key"))
    await rig.gateway.reloadCertificates()
    #expect(try rig.serial() == after)
    try await phone.run { $0.hangup() }
    #expect(await phone.next(isEnded) == .ended(.localHangup, status: 200))
    await phone.close()
    await rig.end()
  }

  @Test func filesThatAreNoCertificatesAreNamed() async throws {
    let authority = try TestAuthority("IP:127.0.0.1")
    defer { authority.remove() }
    var configuration = MediaGatewayConfiguration()
    configuration.sipPort = 0
    configuration.sipTLSPort = 0
    configuration.sipTransports = [.tls]
    for (certificate, key, said) in [
      ("/nowhere.pem", "/server.key", "/nowhere.pem cannot be read (media.sip_tls_cert)"),
      ("/server.pem", "/ca.key", "the certificate and key of SIP over TLS cannot be used"),
      ("/server.key", "/server.key", "the certificate and key of SIP over TLS cannot be used"),
    ] {
      configuration.sipCertificates = SIPCertificateFiles(
        certificate: authority.folder + certificate, key: authority.folder + key)
      let gateway = MediaGateway(
        configuration: configuration, speech: FakeSpeech(), group: MultiThreadedEventLoopGroup.singleton,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      let error = await #expect(throws: MediaGatewayError.self) { try await gateway.start() }
      #expect(error?.code == .badConfiguration)
      #expect(error?.description.contains(said) == true, "\(error?.description ?? "")")
      await gateway.stop()
    }
  }

  /// One address may take a part of the connections and no more.
  @Test func oneAddressCannotTakeAllConnections() async throws {
    let rig = try await Rig()
    let port = try rig.address().port
    var channels: [any Channel] = []
    for _ in 0..<256 {
      channels.append(
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port)
          .get())
    }
    let phone = try await rig.phone()
    try await phone.run { $0.dial() }
    #expect(await phone.next(isEnded) == .ended(.transportFailed, status: 503))
    await phone.close()
    for channel in channels { try await channel.close() }
    await rig.end()
  }
}
