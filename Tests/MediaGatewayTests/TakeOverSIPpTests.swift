import Foundation
import Base
import CallLink
import Logging
import MediaGateway
import NIOPosix
import Synchronization
import Testing

/// SIPp, which nobody here wrote, is the caller of a process that dies. It sends everything to one address, so the successor
/// takes that over as well; the RTP port is another.
@Suite(.timeLimit(.minutes(1))) struct TakeOverSIPpTests {
  private func gateway(_ speech: KeptSpeech, port: Int, rtp: ClosedRange<Int>) async throws -> MediaGateway {
    var configuration = MediaGatewayConfiguration()
    configuration.host = "127.0.0.1"
    configuration.sipPort = port
    configuration.sipTransports = [.udp]
    configuration.rtpPorts = rtp
    let gateway = MediaGateway(
      configuration: configuration, speech: speech, group: MultiThreadedEventLoopGroup.singleton,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await gateway.start()
    return gateway
  }

  @Test func followsTheReinvite() async throws {
    let speech = KeptSpeech()
    let first = try await gateway(speech, port: 0, rtp: 27_000...27_007)
    let port = try #require(first.listeningAddresses.first).port
    let folder = FileManager.default.temporaryDirectory.appending(path: "sipp-\(port)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let scenario = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "EndToEnd/Scenarios/uac-followed.xml").path
    let sipp = Process()
    sipp.executableURL = URL(filePath: "/usr/bin/env")
    sipp.arguments = [
      "timeout", "--signal=KILL", "50", "sipp", "127.0.0.1:\(port)", "-sf", scenario, "-s", "help", "-m", "1", "-i",
      "127.0.0.1", "-timeout", "40", "-timeout_error", "-trace_err", "-error_file",
      folder.appending(path: "errors").path,
      "-nostdin", "-rtp_echo",
    ]
    sipp.currentDirectoryURL = folder
    sipp.standardOutput = FileHandle.nullDevice
    sipp.standardError = FileHandle.nullDevice
    sipp.standardInput = FileHandle.nullDevice
    let (ended, continuation) = AsyncStream.makeStream(of: Int32.self)
    sipp.terminationHandler = { continuation.yield($0.terminationStatus) }
    try sipp.run()

    let before = try #require(await speech.next())
    let kept = try #require(await before.custodian.next { $0.phase == "live" })
    before.media.abandon()
    await first.stop()

    let second = try await gateway(speech, port: port, rtp: 27_010...27_017)
    #expect(await second.takeOver(before.call.info, state: kept.state))
    let after = try #require(await speech.next())
    #expect(after.resuming)
    // What is said comes back from SIPp.
    after.call.say(1, (0..<8_000).map { Int16($0 % 40 < 20 ? 9000 : -9000) })
    let end = await after.call.next { if case .ended = $0 { true } else { false } }
    if case .ended(let reason) = end { #expect(reason == .caller) } else { Issue.record("no end") }
    #expect(after.call.loudFrames.load(ordering: .relaxed) >= 20)
    let status = await ended.first { _ in true }
    let errors = (try? String(contentsOf: folder.appending(path: "errors"), encoding: .utf8)) ?? ""
    #expect(status == 0, "\(errors)")
    await second.stop()
  }
}
