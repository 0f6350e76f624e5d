import CallLink
import Logging
import NIOCore
import SDP
import SIP

/// How a call outlives its process: what a successor would need is kept, and what a predecessor kept is gone on from.
extension MediaCall {
  /// Tells the custodian where the call is, once something has been said or heard or has changed. The state is written out only
  /// where it is another than before: most messages are about playbacks, which are no part of it.
  func keep() {
    guard let custodian, isKeepDue || isStateStale, state != .ended else { return }
    isKeepDue = false
    if isStateStale {
      isStateStale = false
      keptState = MediaCallState(
        session: info.session, phase: phase, isHeld: isHeld, exchange: exchange, dialog: dialog
      ).encoded()
    }
    custodian.keep(keptState, handled: CallPlace(right: lastSequence))
  }

  /// Answered is what has a dialog to go on with: it comes from the signalling a moment after the answer.
  private var phase: MediaCallState.Phase {
    switch state {
    case .live: .live
    case .answered where dialog != nil: .answered
    case .offered, .answered, .ended: .offered
    }
  }

  /// Gives the call to whoever takes it. A call that is not answered stays until it is: only this process can answer it. One
  /// that is being taken over right now stays until the peer has followed.
  func handOver() {
    isLeaving = true
    guard let custodian, dialog != nil, state == .answered || state == .live else { return }
    guard resumption == nil, !isReleased else { return }
    isReleased = true
    isKeepDue = true
    keep()
    custodian.release()
  }

  // MARK: Of another process

  /// Speaks and listens, and asks the peer to send here.
  func resume() {
    if let audio = exchange.negotiated, !startLeg(audio) { return hangup(.error) }
    // The exchange is about the address and nothing else: who was on hold stays on hold.
    var wanted = capabilities
    wanted.direction = exchange.negotiated?.direction ?? .sendrecv
    do {
      let offer = try exchange.offer(wanted)
      // The numbers that it uses up are handed to the custodian before they can be seen.
      keep()
      context.signalling.perform(.reinvite(handle, .sdp(offer.serialized())))
    } catch {
      logger.error("no session description could be made", metadata: ["error": "\(error)"])
      hangup(.error)
    }
  }

  func reinviteAnswered(_ body: SIPBody?) {
    guard exchange.isOfferOpen else { return }
    guard let body, let description = try? Self.parse(body), let audio = try? exchange.apply(answer: description),
      apply(audio)
    else {
      logger.info("the peer's answer could not be used")
      return hangup(.error)
    }
    becomeLive()
    guard let waiting = resumption else { return }
    resumption = nil
    waiting.succeed(.resumed)
    if isLeaving { handOver() }
  }

  /// The session stays as it was, which is of no use here: the peer goes on sending to a process that is gone.
  func reinviteFailed(_ status: Int) {
    guard exchange.isOfferOpen else { return }
    exchange.offerRefused()
    logger.info("the peer did not follow to this process", metadata: ["status": "\(status)"])
    hangup(.error)
  }
}
