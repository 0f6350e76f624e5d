#if Cluster
  import Base
  import CallLink
  import GRPCCore
  import GRPCProtobuf
  import Logging
  import NIOConcurrencyHelpers

  /// The way to the next role in other processes: one gRPC stream for every transport of a hop.
  struct GRPCDialer<Up: LinkFrame, Down: LinkFrame>: HopDialer {
    typealias Outgoing = Up.Content
    typealias Incoming = Down.Content

    let pool: PeerPool
    let method: MethodDescriptor
    let logger: Logger

    func wire(
      for call: CallInfo, _ receive: @escaping @Sendable (HopWireEvent<Down.Content>) -> Void
    ) -> any HopDialingWire<Up.Content> {
      DialedWire<Up, Down>(call: call, pool: pool, method: method, logger: logger, receive: receive)
    }
  }

  /// The streams of one call's dialling end.
  private final class DialedWire<Up: LinkFrame, Down: LinkFrame>: HopDialingWire {
    private struct Stream {
      var queue: FrameQueue<Up>
      var task: Task<Void, Never>?
    }

    private let call: CallInfo
    private let pool: PeerPool
    private let method: MethodDescriptor
    private let logger: Logger
    private let receive: @Sendable (HopWireEvent<Down.Content>) -> Void
    private let streams = NIOLockedValueBox<[HopLink: Stream]>([:])

    init(
      call: CallInfo, pool: PeerPool, method: MethodDescriptor, logger: Logger,
      receive: @escaping @Sendable (HopWireEvent<Down.Content>) -> Void
    ) {
      self.call = call
      self.pool = pool
      self.method = method
      self.logger = logger
      self.receive = receive
    }

    func dial(_ dial: HopDial) {
      guard let peer = pool.choose(preferring: dial.prefer?.instance, avoiding: dial.avoid?.instance) else {
        return receive(.unreachable)
      }
      let link = HopLink.new()
      let queue = FrameQueue<Up>()
      streams.withLockedValue { $0[link] = Stream(queue: queue, task: nil) }
      receive(.linked(link))
      let task = Task { [self] in
        await run(peer, link, queue)
        _ = streams.withLockedValue { $0.removeValue(forKey: link) }
        receive(.broken(link))
      }
      streams.withLockedValue { $0[link]?.task = task }
    }

    private func run(_ peer: PeerPool.Peer, _ link: HopLink, _ queue: FrameQueue<Up>) async {
      var options = CallOptions.defaults
      options.waitForReady = false
      let request = StreamingClientRequest<Up>(metadata: [:]) { writer in
        while let frames = await queue.next() { try await writer.write(contentsOf: frames) }
      }
      do {
        try await peer.client.bidirectionalStreaming(
          request: request, descriptor: method, serializer: ProtobufSerializer<Up>(),
          deserializer: ProtobufDeserializer<Down>(), options: options
        ) { [receive] response in
          for try await frame in response.messages {
            switch frame.part {
            case .frame(let frame): receive(.frame(frame, link))
            case .sound(let sound): receive(.sound(sound, link))
            case .open, .unknown: break
            }
          }
        }
      } catch {
        logger.debug("a stream has ended", metadata: ["peer": "\(peer.address)", "reason": "\(error)"])
        if let error = error as? RPCError, error.code == .unavailable { pool.failed(peer.address) }
      }
      queue.finish()
    }

    func transmit(_ frame: HopFrame<Up.Content>, on link: HopLink) { put(Up(frame, call: call), link) }

    func transmit(_ sound: HopSound, on link: HopLink) { put(Up(sound: sound), link) }

    private func put(_ frame: Up, _ link: HopLink) {
      guard let stream = streams.withLockedValue({ $0[link] }) else { return }
      if !stream.queue.put(frame) { stream.task?.cancel() }
    }

    func drop(_ link: HopLink) {
      guard let stream = streams.withLockedValue({ $0.removeValue(forKey: link) }) else { return }
      stream.queue.finish()
      // A peer that is silent does not end the stream either.
      Task {
        try? await Task.sleep(for: .seconds(2))
        stream.task?.cancel()
      }
    }

    func close() { for link in streams.withLockedValue({ Array($0.keys) }) { drop(link) } }
  }

  extension PeerPool {
    /// media -> speech.
    public func speech() -> some HopDialer<MediaToSpeech, SpeechToMedia> {
      GRPCDialer<Parley_Calllink_V1_MediaFrame, Parley_Calllink_V1_SpeechFrame>(
        pool: self, method: Parley_Calllink_V1_SpeechLink.Method.Call.descriptor, logger: logger)
    }

    /// speech -> runtime.
    public func runtime() -> some HopDialer<SpeechToRuntime, RuntimeToSpeech> {
      GRPCDialer<Parley_Calllink_V1_TurnFrame, Parley_Calllink_V1_OrderFrame>(
        pool: self, method: Parley_Calllink_V1_RuntimeLink.Method.Call.descriptor, logger: logger)
    }
  }
#endif
