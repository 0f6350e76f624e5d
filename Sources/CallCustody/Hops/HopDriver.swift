import Base
import CallLink

/// One end of a hop with its transports: performs what the end decides about them, and hands the rest to the owner. Confined to
/// its owner's event loop.
final class HopDriver<Outgoing: Sendable, Incoming: Sendable> {
  typealias End = HopEnd<Outgoing, Incoming>

  private(set) var end: End
  /// Of the dialling end.
  private var dialingWire: (any HopDialingWire<Outgoing>)?
  /// Of the answering end, by link.
  private var wires: [HopLink: any HopWire<Outgoing>] = [:]
  /// What is not about transports.
  private let tell: (End.Action) -> Void
  private var queue: [End.Action] = []
  private var isPerforming = false

  init(_ end: End, tell: @escaping (End.Action) -> Void) {
    self.end = end
    self.tell = tell
  }

  func start(over wire: any HopDialingWire<Outgoing>, at now: Instant) {
    dialingWire = wire
    perform(end.start(at: now))
  }

  /// Of the answering end: a transport with its first frame.
  func accept(_ open: HopOpen, on link: HopLink, over wire: any HopWire<Outgoing>, at now: Instant) {
    wires[link] = wire
    perform(end.receive(.frame(.open(open), link), at: now))
  }

  func receive(_ event: HopWireEvent<Incoming>, at now: Instant) {
    switch event {
    case .linked(let link): perform(end.receive(.linked(link), at: now))
    case .unreachable: perform(end.receive(.unreachable, at: now))
    case .frame(let frame, let link): perform(end.receive(.frame(frame, link), at: now))
    case .broken(let link):
      wires[link] = nil
      perform(end.receive(.broken(link), at: now))
    // The owner has taken it.
    case .sound: end.heard(at: now)
    }
  }

  func timeout(at now: Instant) { if let deadline = end.deadline, deadline <= now { perform(end.timeout(at: now)) } }

  func send(_ message: Outgoing) -> UInt64 { end.send(message) }

  func flush(through number: UInt64? = nil, at now: Instant) { perform(end.flush(through: number, at: now)) }

  func settle(through number: UInt64, at now: Instant) { perform(end.settle(through: number, at: now)) }

  func keep(_ bytes: [UInt8], at now: Instant) -> UInt64 {
    let (number, actions) = end.keep(at: now, bytes)
    perform(actions)
    return number
  }

  func keptMemory(_ id: HopMemory.ID, at now: Instant) { perform(end.keptMemory(id, at: now)) }

  func leave(at now: Instant) { perform(end.leave(at: now)) }

  func finish(at now: Instant) { perform(end.finish(at: now)) }

  func close(_ close: HopClose, at now: Instant) { perform(end.close(close, at: now)) }

  /// To the peer, where there is one.
  func transmit(_ sound: HopSound) {
    if let link = end.link { wire(of: link)?.transmit(sound, on: link) }
  }

  /// Gives up every transport without a word.
  func vanish() {
    for (link, wire) in wires { wire.drop(link) }
    wires = [:]
    dialingWire?.close()
    dialingWire = nil
  }

  private func wire(of link: HopLink) -> (any HopWire<Outgoing>)? { wires[link] ?? dialingWire }

  /// Performs what the end wants in its order: what an action leads to comes after those before it.
  private func perform(_ actions: [End.Action]) {
    queue += actions
    guard !isPerforming else { return }
    isPerforming = true
    defer { isPerforming = false }
    var next = 0
    while next < queue.count {
      perform(queue[next])
      next += 1
    }
    queue.removeAll(keepingCapacity: true)
  }

  private func perform(_ action: End.Action) {
    switch action {
    case .dial(let dial): dialingWire?.dial(dial)
    case .transmit(let frame, let link): wire(of: link)?.transmit(frame, on: link)
    case .drop(let link):
      wire(of: link)?.drop(link)
      wires[link] = nil
    case .ended:
      tell(action)
      dialingWire?.close()
      dialingWire = nil
    case .deliver, .met, .lost, .remember, .kept: tell(action)
    }
  }
}
