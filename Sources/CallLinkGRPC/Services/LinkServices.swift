#if Cluster
  import Base
  import CallLink
  import SwiftProtobuf
  import GRPCCore
  import GRPCNIOTransportHTTP2
  import GRPCProtobuf
  import Logging
  import NIOConcurrencyHelpers
  import X509

  /// Takes the streams of the role before this one.
  struct StreamHost<Up: LinkFrame, Down: LinkFrame>: Sendable {
    let answerer: any HopAnswerer<Down.Content, Up.Content>

    /// Serves one stream until either side ends it.
    func serve(_ frames: RPCAsyncSequence<Up, any Error>, _ writer: RPCWriter<Down>) async throws {
      let link = HopLink.new()
      let queue = FrameQueue<Down>()
      let wire = AnsweringWire<Down>(queue: queue)
      try await withThrowingTaskGroup { group in
        group.addTask {
          while let frames = await queue.next() { try await writer.write(contentsOf: frames) }
        }
        group.addTask {
          var receive: (@Sendable (HopWireEvent<Up.Content>) -> Void)?
          defer { receive?(.broken(link)) }
          for try await frame in frames {
            switch frame.part {
            case .open(let open, let call):
              guard receive == nil else { throw RPCError(code: .invalidArgument, message: "a stream has one `open`") }
              try Self.check(open, call)
              receive = answerer.accept(open, call, on: link, over: wire)
            case .frame(let frame):
              guard let receive else {
                throw RPCError(code: .invalidArgument, message: "the first frame must be `open`")
              }
              receive(.frame(frame, link))
            case .sound(let sound): receive?(.sound(sound, link))
            case .unknown: break
            }
          }
        }
        // Whichever ends first ends the stream.
        try await group.next()
        queue.finish()
        group.cancelAll()
      }
    }

    /// What no honest peer sends.
    private static func check(_ open: HopOpen, _ call: CallInfo) throws(RPCError) {
      let texts = [call.callerID, call.calledNumber, call.fromURI, call.toURI, call.source, open.from.instance]
      let isSmall =
        texts.allSatisfy { $0.utf8.count <= 4_096 } && call.headers.count <= 256
        && call.headers.allSatisfy { $0.name.utf8.count + $0.value.utf8.count <= 16_384 }
      guard (1...128).contains(open.session.value.utf8.count), !open.from.instance.isEmpty, isSmall else {
        throw RPCError(code: .invalidArgument, message: "the call has no name, or too much is said of it")
      }
    }
  }

  /// One stream's way back.
  private struct AnsweringWire<Down: LinkFrame>: HopWire {
    let queue: FrameQueue<Down>

    func transmit(_ frame: HopFrame<Down.Content>, on link: HopLink) {
      if !queue.put(Down(frame, call: nil)) { queue.finish() }
    }
    func transmit(_ sound: HopSound, on link: HopLink) { if !queue.put(Down(sound: sound)) { queue.finish() } }
    func drop(_ link: HopLink) { queue.finish() }
  }

  struct SpeechLinkService: Parley_Calllink_V1_SpeechLink.SimpleServiceProtocol {
    let guardian: RoleGuard
    let host: StreamHost<Parley_Calllink_V1_MediaFrame, Parley_Calllink_V1_SpeechFrame>

    func call(
      request: RPCAsyncSequence<Parley_Calllink_V1_MediaFrame, any Error>,
      response: RPCWriter<Parley_Calllink_V1_SpeechFrame>, context: ServerContext
    ) async throws {
      try guardian.check(context, role: "media")
      try await host.serve(request, response)
    }
  }

  struct RuntimeLinkService: Parley_Calllink_V1_RuntimeLink.SimpleServiceProtocol {
    let guardian: RoleGuard
    let host: StreamHost<Parley_Calllink_V1_TurnFrame, Parley_Calllink_V1_OrderFrame>

    func call(
      request: RPCAsyncSequence<Parley_Calllink_V1_TurnFrame, any Error>,
      response: RPCWriter<Parley_Calllink_V1_OrderFrame>, context: ServerContext
    ) async throws {
      try guardian.check(context, role: "speech")
      try await host.serve(request, response)
    }
  }

  /// How this process is, for those who choose among peers.
  struct PeerLinkService: Parley_Calllink_V1_PeerLink.SimpleServiceProtocol {
    /// Between two reports; a report is believed for ten seconds.
    static let interval: Duration = .seconds(1)

    let guardian: RoleGuard
    let state: PeerState

    func watch(
      request: Parley_Calllink_V1_WatchRequest, response: RPCWriter<Parley_Calllink_V1_PeerReport>,
      context: ServerContext
    ) async throws {
      try guardian.check(context, role: nil)
      let theirs = HopVersion(request.version)
      guard HopVersion.current.agreed(with: theirs) != nil else {
        throw RPCError(
          code: .failedPrecondition,
          message:
            "this process speaks version \(HopVersion.current) of the hops, which version \(theirs) does not understand"
        )
      }
      while !Task.isCancelled {
        try await response.write(
          .with {
            $0.version = .init(HopVersion.current)
            $0.instance = state.instance
            $0.load = state.load()
            $0.draining = state.isDraining
          })
        await state.wait(Self.interval)
      }
    }
  }

  /// Whether a peer's certificate is that of a role that may talk to this one.
  struct RoleGuard: Sendable {
    /// Roles that this process takes streams from; nil: connections carry no certificates.
    let allowed: Set<String>?

    /// - Parameter role: nil: any that is allowed.
    func check(_ context: ServerContext, role: String?) throws(RPCError) {
      guard let allowed else { return }
      let wanted = role.map { [$0] } ?? allowed.sorted()
      let certificate = (context.transportSpecific as? HTTP2ServerTransport.Posix.Context)?.peerCertificate
      let names = Self.names(certificate)
      guard wanted.contains(where: { names.contains(ClusterSecurity.name(of: $0)) }) else {
        let shown = names.isEmpty ? "none" : names.sorted().joined(separator: ", ")
        throw RPCError(
          code: .permissionDenied,
          message:
            "a certificate for \(wanted.map(ClusterSecurity.name).joined(separator: " or ")) is needed; the peer's names are: \(shown)"
        )
      }
    }

    private static func names(_ certificate: Certificate?) -> Set<String> {
      guard let certificate, let alternatives = try? certificate.extensions.subjectAlternativeNames else { return [] }
      return Set(alternatives.compactMap { if case .dnsName(let name) = $0 { name } else { nil } })
    }
  }

  /// What peers are told of this process.
  public final class PeerState: Sendable {
    public let instance: String
    let load: @Sendable () -> Double
    private struct State {
      var isDraining = false
      var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
      var next = 0
    }
    private let state = NIOLockedValueBox(State())

    /// - Parameter load: the share of its capacity that is taken.
    public init(instance: String, load: @escaping @Sendable () -> Double) {
      self.instance = instance
      self.load = load
    }

    public var isDraining: Bool { state.withLockedValue { $0.isDraining } }

    /// New calls are to go elsewhere: everybody who watches is told at once.
    public func drain() {
      let waiters = state.withLockedValue { state in
        state.isDraining = true
        defer { state.waiters = [:] }
        return state.waiters.values
      }
      for waiter in waiters { waiter.resume() }
    }

    /// Until something changes, or the time has passed.
    func wait(_ limit: Duration) async {
      let number = state.withLockedValue { state in
        state.next += 1
        return state.next
      }
      let timer = Task {
        try? await Task.sleep(for: limit)
        state.withLockedValue { $0.waiters.removeValue(forKey: number) }?.resume()
      }
      let wasDraining = isDraining
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let isDue = state.withLockedValue { state in
            if timer.isCancelled || state.isDraining != wasDraining { return true }
            state.waiters[number] = continuation
            return false
          }
          if isDue { continuation.resume() }
        }
      } onCancel: {
        timer.cancel()
        state.withLockedValue { $0.waiters.removeValue(forKey: number) }?.resume()
      }
      timer.cancel()
    }
  }
#endif
