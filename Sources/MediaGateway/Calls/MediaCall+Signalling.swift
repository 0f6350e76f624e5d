import Base
import CallLink
import Logging
import SDP
import SIP

/// What the peer does: its answers, its re-INVITEs, and hold.
extension MediaCall {
  func receive(_ event: SignallingEvent) {
    guard state != .ended else { return }
    switch event {
    case .acknowledged(let body): acknowledged(body)
    case .reinvite(let offer): reinvited(offer)
    // One of theirs that had asked for our offer.
    case .reinviteCancelled: if resumption == nil, exchange.isOfferOpen { exchange.offerRefused() }
    case .reinviteAnswered(let body): reinviteAnswered(body)
    case .reinviteFailed(let status): reinviteFailed(status)
    case .info(let body): informed(body)
    case .dialog(let new):
      dialog = new
      if isLeaving { handOver() }
    case .hangup(let reason): hangup(reason)
    case .handOver: handOver()
    case .ended(let ended):
      switch ended.cause {
      case .remoteHangup: end(.caller)
      case .remoteCancel: end(.cancelled)
      case .localHangup, .localCancel, .replaced: end(.normal)
      case .rejected: end(.rejected)
      case .timeout, .transportFailed, .acknowledgementMissing, .dialogLost, .sessionExpired, .refused, .redirected,
        .challenged:
        logger.info("the signalling of a call was lost", metadata: ["cause": "\(ended.cause.rawValue)"])
        end(.error)
      }
    }
    keep()
  }

  /// A digit by INFO (RFC 6086). Some phones send a key both ways: once RFC 4733 has brought one, that is how they come.
  private func informed(_ body: SIPBody) {
    guard state == .live, let digit = SIPDigit(body), keys.takesInformation(digit.digit, at: .monotonic()) else {
      return
    }
    tell(.digit(digit.digit, durationMs: digit.durationMs ?? Self.informedDigitMs))
  }

  /// How long a key counts as held where INFO does not say.
  private static let informedDigitMs = 160

  private func acknowledged(_ body: SIPBody?) {
    if exchange.isOfferOpen {
      guard let body, let description = try? Self.parse(body), let audio = try? exchange.apply(answer: description)
      else {
        // RFC 3261 13.3.1.4 and RFC 3264: an ACK that owed us an answer and brought none, or a useless one.
        logger.info("the peer's answer could not be used")
        return hangup(.error)
      }
      guard apply(audio) else { return hangup(.error) }
    }
    becomeLive()
  }

  private func reinvited(_ offer: SIPBody?) {
    guard let offer else {
      do {
        context.signalling.perform(.answerReinvite(handle, .sdp(try exchange.offer(capabilities).serialized())))
      } catch {
        context.signalling.perform(.rejectReinvite(handle, error.status))
      }
      return
    }
    let description: SessionDescription
    do { description = try Self.parse(offer) } catch {
      return context.signalling.perform(.rejectReinvite(handle, error.status))
    }
    do throws(NegotiationError) {
      var next = exchange
      let made = try next.answer(description, with: capabilities)
      guard LegFormat(made.audio) != nil else { throw NegotiationError.noCommonCodec }
      exchange = next
      context.signalling.perform(.answerReinvite(handle, .sdp(made.answer.serialized())))
      if !apply(made.audio) { hangup(.error) }
    } catch {
      context.signalling.perform(.rejectReinvite(handle, error.status))
    }
  }

  func apply(_ audio: NegotiatedAudio) -> Bool {
    guard let leg else { return startLeg(audio) }
    guard let format = LegFormat(audio) else { return false }
    leg.renegotiate(format, at: .monotonic())
    tellHold(audio.isHeldByPeer)
    return true
  }

  private func tellHold(_ held: Bool) {
    guard held != isHeld else { return }
    isHeld = held
    tell(held ? .held : .resumed)
  }

  func becomeLive() {
    guard state == .answered, leg != nil else { return }
    state = .live
    tell(.answered)
    if let audio = exchange.negotiated { tellHold(audio.isHeldByPeer) }
  }
}
