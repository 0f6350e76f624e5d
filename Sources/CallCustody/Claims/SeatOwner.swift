import Base
import CallLink
import NIOCore
import Storage

/// Owns the claim to one seat: asks the directory what ``CallClaim`` wants to know. Confined to one event loop; its owner calls
/// ``timeout(at:)`` at ``deadline``.
final class SeatOwner {
  private var claim: CallClaim
  private let seat: CallSeat
  private let directory: any CallDirectory
  private let holder: CallHolder
  private let eventLoop: any EventLoop
  private let tell: (CallClaim.Action) -> Void

  /// - Parameter tell: `held` and `stop`.
  init(
    _ seat: CallSeat, by holder: CallHolder, for length: Duration, replaces: HopParty?, in directory: any CallDirectory,
    on eventLoop: any EventLoop, tell: @escaping (CallClaim.Action) -> Void
  ) {
    claim = CallClaim(owner: holder.instance, length: length, replaces: replaces)
    self.seat = seat
    self.holder = holder
    self.directory = directory
    self.eventLoop = eventLoop
    self.tell = tell
  }

  var token: UInt64? { claim.token }
  var deadline: Instant? { claim.deadline }

  func start(at now: Instant) { perform(claim.start(at: now)) }
  func vouch(at now: Instant) { claim.vouch(at: now) }
  func timeout(at now: Instant) {
    if let deadline = claim.deadline, deadline <= now { perform(claim.timeout(at: now)) }
  }

  /// Gives the seat back, so that nobody has to wait for the lease's end.
  func release() {
    guard let party = claim.release() else { return }
    let lease = CallLease(seat: seat, holder: holder, token: Int64(clamping: party.fence))
    // A lease that cannot be given back runs out by itself.
    Task { [directory] in try? await directory.release(lease) }
  }

  private func perform(_ actions: [CallClaim.Action]) {
    for action in actions {
      if case .ask(let request) = action { ask(request) } else { tell(action) }
    }
  }

  private func ask(_ request: CallClaim.Request) {
    let directory = directory, seat = seat, holder = holder
    let promise = eventLoop.makePromise(of: CallClaim.Answer.self)
    promise.completeWithTask { await Self.answer(request.command, seat, holder, directory) }
    promise.futureResult.assumeIsolated().whenSuccess { [weak self] answer in
      guard let self else { return }
      self.perform(self.claim.receive(answer, to: request.number, at: .monotonic()))
    }
  }

  private static func answer(
    _ command: CallClaim.Request.Command, _ seat: CallSeat, _ holder: CallHolder, _ directory: any CallDirectory
  ) async -> CallClaim.Answer {
    do {
      switch command {
      case .claim(let length):
        let lease = try await directory.claim(seat, by: holder, for: length)
        let token = UInt64(clamping: lease.token)
        if lease.holder.instance == holder.instance { return .granted(token: token) }
        return .heldBy(HopParty(instance: lease.holder.instance, fence: token))
      case .renew(let token, let length):
        let lease = CallLease(seat: seat, holder: holder, token: Int64(clamping: token))
        return try await directory.renew([lease], for: length).isEmpty ? .renewed : .refused
      case .release(let party):
        let lease = CallLease(
          seat: seat, holder: CallHolder(instance: party.instance), token: Int64(clamping: party.fence))
        try await directory.release(lease)
        return .released
      }
    } catch {
      return .unreachable
    }
  }
}
