import Base
import CallLink
import CallLinkGRPC
import Dispatch
import Foundation
import Logging
import NIOPosix
import Synchronization

/// What a hop between two processes costs: frames of a caller's voice through gRPC with mTLS, one way, both ends in this process so
/// that one clock measures.
enum HopCost {
  /// Each with a frame of 20 ms every 20 ms, both ends on this machine's cores.
  private static let sizes = [1, 10, 100, 500]
  private static let seconds = 4.0

  static func run(_ report: inout Report) throws {
    let folder = try certificates()
    for size in sizes {
      let measured = try measure(size, folder)
      let at = "\(size) calls"
      report.add(
        Row(
          metric: "a frame of audio through a hop, p50", unit: "ms", value: percentile(measured.latencies, 0.5), at: at)
      )
      report.add(
        Row(
          metric: "a frame of audio through a hop, p99", unit: "ms", value: percentile(measured.latencies, 0.99), at: at
        ))
      report.add(
        Row(metric: "processor time of a frame, both ends", unit: "us", value: measured.cpuMicroseconds, at: at))
      report.add(
        Row(
          metric: "frames that arrived", unit: "%", value: measured.arrived * 100, bar: .atLeast(99), at: at))
    }
  }

  private struct Measured {
    /// Milliseconds.
    var latencies: [Double]
    var cpuMicroseconds: Double
    var arrived: Double
  }

  private static func measure(_ calls: Int, _ folder: String) throws -> Measured {
    let done = DispatchSemaphore(value: 0)
    let outcome = Mutex<Result<Measured, any Error>>(.failure(Missing()))
    Task {
      let result: Result<Measured, any Error>
      do { result = .success(try await go(calls, folder)) } catch { result = .failure(error) }
      outcome.withLock { $0 = result }
      done.signal()
    }
    done.wait()
    return try outcome.withLock { $0 }.get()
  }

  private struct Missing: Error {}

  private static func go(_ calls: Int, _ folder: String) async throws -> Measured {
    let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
    func security(_ role: String) throws -> ClusterSecurity {
      let own = "\(folder)/\(role)"
      return try ClusterSecurity(
        .init(
          serverCertificate: "\(own)/tls.crt", serverKey: "\(own)/tls.key", clientCertificate: "\(own)/tls.crt",
          clientKey: "\(own)/tls.key", authority: "\(own)/ca.crt"), logger: logger)
    }
    let ear = Ear()
    var answerers = LinkServer.Answerers()
    answerers.speech = ear
    let server = try await LinkServer.start(
      host: "127.0.0.1", port: 0, answerers: answerers, state: PeerState(instance: "speech") { 0 },
      security: try security("speech"), group: .singleton, logger: logger)
    let pool = PeerPool(
      .init(role: "speech", addresses: ["127.0.0.1:\(server.port)"], security: try security("media")),
      group: MultiThreadedEventLoopGroup.singleton, logger: logger)
    let looking = Task { await pool.run() }
    while pool.trouble != nil { try await Task.sleep(for: .milliseconds(10)) }

    let mouths = (0..<calls).map { Mouth(number: $0, pool) }
    while ear.streams < calls { try await Task.sleep(for: .milliseconds(10)) }
    let before = spent()
    let frames = Int(seconds * 50)
    let start = ContinuousClock.now
    for frame in 0..<frames {
      for mouth in mouths { mouth.say() }
      try await Task.sleep(until: start + .milliseconds(20 * (frame + 1)))
    }
    try await Task.sleep(for: .milliseconds(300))
    let cpu = spent() - before
    for mouth in mouths { mouth.close() }
    looking.cancel()
    await looking.value
    await server.stop()
    let latencies = ear.latencies
    return Measured(
      latencies: latencies, cpuMicroseconds: cpu * 1e6 / Double(max(1, latencies.count)),
      arrived: Double(latencies.count) / Double(frames * calls))
  }

  private static func spent() -> Double { FirstCall.cpuSeconds(getpid()) }

  /// One call's dialling end.
  private final class Mouth: Sendable {
    private let wire: any HopDialingWire<MediaToSpeech>
    private let link = Mutex<HopLink?>(nil)

    init(number: Int, _ pool: PeerPool) {
      let session = SessionID("bench-\(number)")
      let call = CallInfo(
        session: session, direction: .inbound, callerID: "a", calledNumber: "b", fromURI: "sip:a@x", toURI: "sip:b@x")
      let linked = Mutex<(@Sendable (HopLink) -> Void)?>(nil)
      wire = pool.speech().wire(for: call) { event in
        if case .linked(let link) = event { linked.withLock { $0 }?(link) }
      }
      linked.withLock {
        $0 = { [self] link in
          let open = HopOpen(
            version: .current, session: session, from: HopParty(instance: "media", fence: 1), replaces: nil,
            place: HopPlace(received: 0, oldest: 1, next: 1, mayReach: 100), memory: nil)
          wire.transmit(.open(open), on: link)
          self.link.withLock { $0 = link }
        }
      }
      wire.dial(HopDial(attempt: 0))
    }

    /// The position says when it was said.
    func say() {
      guard let link = link.withLock({ $0 }) else { return }
      wire.transmit(
        .samples(lane: HopSound.caller, position: Instant.monotonic().nanoseconds, [Int16](repeating: 77, count: 320)),
        on: link)
    }

    func close() { wire.close() }
  }

  private final class Ear: HopAnswerer {
    typealias Outgoing = SpeechToMedia
    typealias Incoming = MediaToSpeech

    private let heard = Mutex<[Double]>([])
    private let opened = Mutex(0)

    var latencies: [Double] { heard.withLock { $0 } }
    var streams: Int { opened.withLock { $0 } }

    func accept(
      _ open: HopOpen, _ call: CallInfo, on link: HopLink, over wire: any HopWire<SpeechToMedia>
    ) -> @Sendable (HopWireEvent<MediaToSpeech>) -> Void {
      opened.withLock { $0 += 1 }
      return { [self] event in
        guard case .sound(.samples(_, let position, _), _) = event else { return }
        let late = Double(Instant.monotonic().nanoseconds - position) / 1e6
        heard.withLock { $0.append(late) }
      }
    }
  }

  private static func certificates() throws -> String {
    let folder = try Tools.temporaryFolder()
    try Cluster.makeCertificates(["media", "speech"], in: folder)
    return folder
  }
}
