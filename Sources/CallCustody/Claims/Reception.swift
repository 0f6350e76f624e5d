import Base
import CallLink
import NIOCore
import Storage

/// Who comes for a call while it is not ours yet, and the claim to it, which lasts as long as we have it. Confined to the call's event
/// loop.
final class Reception<Outgoing: Sendable, Incoming: Sendable> {
  struct Visitor {
    var open: HopOpen
    var link: HopLink
    var wire: any HopWire<Outgoing>
  }

  /// What becomes of the claim.
  enum News {
    case held(token: UInt64)
    /// Not to be had: whoever came has been told.
    case refused
    /// It was ours, and is another's now.
    case lost
  }

  /// Transports of one call that wait; a neighbour has one, or two while it changes.
  private static var limit: Int { 8 }

  private let seat: CallSeat
  private let context: CustodyContext
  private let eventLoop: any EventLoop
  private let tell: (News) -> Void
  private var owner: SeatOwner?
  private(set) var visitors: [Visitor] = []

  init(_ seat: CallSeat, _ context: CustodyContext, on eventLoop: any EventLoop, tell: @escaping (News) -> Void) {
    self.seat = seat
    self.context = context
    self.eventLoop = eventLoop
    self.tell = tell
  }

  func receive(_ visitor: Visitor, at now: Instant) {
    guard visitors.count < Self.limit else { return Self.refuse(HopClose(.busy), visitor) }
    visitors.append(visitor)
    guard owner == nil else { return }
    let owner = SeatOwner(
      seat, by: context.holder, for: CustodyContext.seatLength, replaces: visitor.open.replaces, in: context.directory,
      on: eventLoop
    ) { [weak self] in self?.receive($0) }
    self.owner = owner
    owner.start(at: now)
  }

  /// - Returns: whether anybody still waits.
  func left(_ link: HopLink) -> Bool {
    visitors.removeAll { $0.link == link }
    return !visitors.isEmpty
  }

  private func receive(_ action: CallClaim.Action) {
    switch action {
    case .held(let token): tell(.held(token: token))
    case .stop(let reason):
      let wasHeld = visitors.isEmpty
      switch reason {
      case .heldBy(let holder): refuse(HopClose(holder == nil ? .unavailable : .heldElsewhere, holder: holder))
      case .unproven: refuse(HopClose(.unavailable, message: "the call directory does not answer"))
      }
      tell(wasHeld ? .lost : .refused)
    case .ask: break
    }
  }

  var token: UInt64? { owner?.token }
  var deadline: Instant? { owner?.deadline }

  /// - Parameter vouched: the neighbour talks to us as the owner of the call.
  func timeout(at now: Instant, vouched: Bool) {
    if vouched { owner?.vouch(at: now) }
    owner?.timeout(at: now)
  }

  /// The call is ours: the visitors go on to it.
  func admit() -> [Visitor] {
    defer { visitors = [] }
    return visitors
  }

  func refuse(_ close: HopClose) { for visitor in admit() { Self.refuse(close, visitor) } }

  func release() {
    owner?.release()
    owner = nil
  }

  static func refuse(_ close: HopClose, _ visitor: Visitor) {
    visitor.wire.transmit(.close(close), on: visitor.link)
    visitor.wire.drop(visitor.link)
  }
}
