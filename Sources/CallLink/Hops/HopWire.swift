import Synchronization

// What stands between an end of a hop and the process on the other side: in the same process a function call, between
// processes a gRPC stream.

extension HopLink {
  private static let given = Atomic<UInt64>(0)

  /// A link that no other transport of this process has.
  public static func new() -> HopLink { HopLink(given.wrappingAdd(1, ordering: .relaxed).newValue) }
}

/// Voice on a transport, beside the messages, and what the listener has of it.
public enum HopSound: Sendable, Hashable {
  /// The lane of the caller's voice, to the right. Those to the left are numbered by the message that opened the
  /// playback.
  public static let caller: UInt64 = 0
  /// Samples of the caller's voice that may be under way: ten seconds, so that what was said while a process was looked for comes at
  /// once.
  public static let window: Int64 = 160_000

  /// Mono PCM, 16 kHz, from a position in its lane.
  case samples(lane: UInt64, position: Int64, [Int16])
  /// The listener has no use for what is before `through`, and takes what is before `mayReach`. The first on a new transport says
  /// from where it wants to hear; of the caller's voice it has heard everything before `mayReach` less ``window``.
  case heard(lane: UInt64, through: Int64, mayReach: Int64)
}

/// What happens on the transports of one end.
public enum HopWireEvent<Incoming: Sendable>: Sendable {
  case linked(HopLink)
  case unreachable
  case frame(HopFrame<Incoming>, HopLink)
  case sound(HopSound, HopLink)
  /// Nothing more comes from it.
  case broken(HopLink)
}

/// Carries what one end says. Nothing blocks; what cannot be carried breaks the link. Safe from any thread; the order of calls
/// from one thread is kept.
public protocol HopWire<Outgoing>: Sendable {
  associatedtype Outgoing: Sendable
  func transmit(_ frame: HopFrame<Outgoing>, on link: HopLink)
  func transmit(_ sound: HopSound, on link: HopLink)
  /// Closes the link once what was transmitted is out.
  func drop(_ link: HopLink)
}

/// The wire of a dialling end.
public protocol HopDialingWire<Outgoing>: HopWire {
  /// Looks for a peer; ``HopWireEvent/linked(_:)`` or ``HopWireEvent/unreachable`` follows.
  func dial(_ dial: HopDial)
  /// The end is over: what is under way is given up.
  func close()
}

/// The way to the processes of the next role.
public protocol HopDialer<Outgoing, Incoming>: Sendable {
  associatedtype Outgoing: Sendable
  associatedtype Incoming: Sendable
  /// - Parameter receive: called on any thread, in order, without blocking it.
  func wire(
    for call: CallInfo, _ receive: @escaping @Sendable (HopWireEvent<Incoming>) -> Void
  ) -> any HopDialingWire<Outgoing>
}

/// The processes' own side: who takes the streams of the previous role.
public protocol HopAnswerer<Outgoing, Incoming>: Sendable {
  associatedtype Outgoing: Sendable
  associatedtype Incoming: Sendable
  /// A transport has come with its first frame, which is handled by this.
  /// - Returns: who takes what follows on it.
  func accept(
    _ open: HopOpen, _ call: CallInfo, on link: HopLink, over wire: any HopWire<Outgoing>
  ) -> @Sendable (HopWireEvent<Incoming>) -> Void
}

/// The next role in the same process.
public struct LocalHopDialer<Outgoing: Sendable, Incoming: Sendable>: HopDialer {
  private let answerer: any HopAnswerer<Incoming, Outgoing>

  public init(_ answerer: any HopAnswerer<Incoming, Outgoing>) { self.answerer = answerer }

  public func wire(
    for call: CallInfo, _ receive: @escaping @Sendable (HopWireEvent<Incoming>) -> Void
  ) -> any HopDialingWire<Outgoing> {
    LocalHopWire(call: call, answerer: answerer, receive: receive)
  }
}

/// Hands what the dialling end says to the answering one, without bytes.
private final class LocalHopWire<Outgoing: Sendable, Incoming: Sendable>: HopDialingWire {
  private let call: CallInfo
  private let answerer: any HopAnswerer<Incoming, Outgoing>
  private let receive: @Sendable (HopWireEvent<Incoming>) -> Void
  private let peers = Mutex<[HopLink: @Sendable (HopWireEvent<Outgoing>) -> Void]>([:])

  init(
    call: CallInfo, answerer: any HopAnswerer<Incoming, Outgoing>,
    receive: @escaping @Sendable (HopWireEvent<Incoming>) -> Void
  ) {
    self.call = call
    self.answerer = answerer
    self.receive = receive
  }

  func dial(_ dial: HopDial) { receive(.linked(.new())) }

  func transmit(_ frame: HopFrame<Outgoing>, on link: HopLink) {
    if let peer = peers.withLock({ $0[link] }) { return peer(.frame(frame, link)) }
    guard case .open(let open) = frame else { return }
    let peer = answerer.accept(open, call, on: link, over: LocalHopReturn(receive: receive))
    peers.withLock { $0[link] = peer }
  }

  func transmit(_ sound: HopSound, on link: HopLink) { peers.withLock({ $0[link] })?(.sound(sound, link)) }

  func drop(_ link: HopLink) { peers.withLock { $0.removeValue(forKey: link) }?(.broken(link)) }

  func close() {
    let open = peers.withLock { peers in
      defer { peers = [:] }
      return peers
    }
    for (link, peer) in open { peer(.broken(link)) }
  }
}

/// The way back.
private struct LocalHopReturn<Outgoing: Sendable>: HopWire {
  let receive: @Sendable (HopWireEvent<Outgoing>) -> Void

  func transmit(_ frame: HopFrame<Outgoing>, on link: HopLink) { receive(.frame(frame, link)) }
  func transmit(_ sound: HopSound, on link: HopLink) { receive(.sound(sound, link)) }
  func drop(_ link: HopLink) { receive(.broken(link)) }
}
