import Base
import CallLink
import NIOConcurrencyHelpers
import NIOCore

/// One call of a role that the role before it dials. Confined to one event loop.
protocol AnsweredCall: SendableMetatype {
  associatedtype Outgoing: Sendable
  associatedtype Incoming: Sendable

  func accept(_ open: HopOpen, on link: HopLink, over wire: any HopWire<Outgoing>)
  func receive(_ event: HopWireEvent<Incoming>)
  /// The neighbour is asked to take the call elsewhere.
  func leave()
}

/// The calls that such a role has in this process: makes one for every session that somebody comes for, until the process is on
/// its way out. Any thread.
final class AnsweredCalls<Call: AnsweredCall>: Sendable {
  typealias Make = @Sendable (CallInfo, OnLoop<Call>, _ onOver: @escaping () -> Void) -> Call

  private let group: any EventLoopGroup
  private let make: Make
  private let isLeaving = NIOLockedValueBox(false)
  private let calls = NIOLockedValueBox<[SessionID: OnLoop<Call>]>([:])

  init(_ group: any EventLoopGroup, make: @escaping Make) {
    self.group = group
    self.make = make
  }

  func accept(
    _ open: HopOpen, _ info: CallInfo, on link: HopLink, over wire: any HopWire<Call.Outgoing>
  ) -> @Sendable (HopWireEvent<Call.Incoming>) -> Void {
    let call = calls.withLockedValue { calls -> OnLoop<Call>? in
      if let call = calls[open.session] { return call }
      if isLeaving.withLockedValue({ $0 }) { return nil }
      let call = OnLoop<Call>(group.next()) { [make] door in
        make(info, door) { [weak self] in
          self?.calls.withLockedValue { if $0[info.session] === door { $0[info.session] = nil } }
        }
      }
      calls[open.session] = call
      return call
    }
    guard let call else {
      Reception<Call.Outgoing, Call.Incoming>.refuse(HopClose(.draining), .init(open: open, link: link, wire: wire))
      return { _ in }
    }
    call.post { $0.accept(open, on: link, over: wire) }
    return { event in call.post { $0.receive(event) } }
  }

  /// Takes no new calls from now on.
  func drain() { isLeaving.withLockedValue { $0 = true } }

  /// Asks the neighbours to take their calls elsewhere, too.
  func leave() {
    drain()
    for call in calls.withLockedValue({ Array($0.values) }) { call.post { $0.leave() } }
  }

  var count: Int { calls.withLockedValue { $0.count } }
}
