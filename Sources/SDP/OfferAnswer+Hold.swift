// Hold and resume (RFC 3264 section 8.4, RFC 6337 section 5.3). Each side holds for itself: whether the peer holds us is in
// `NegotiatedAudio.isHeldByPeer`, and neither changes the other.

extension OfferAnswer {
  /// Makes an offer that puts the peer on hold: `sendonly`, so that it can hear music, or `inactive` where it holds us. From
  /// its answer on, our answers and offers keep the hold until ``resume(_:)``: a peer that resumes on its side is told
  /// `sendonly`.
  /// - Parameter capabilities: as for every offer; only who receives is taken from the hold.
  public mutating func hold(_ capabilities: AudioCapabilities) throws(NegotiationError) -> SessionDescription {
    var wanted = capabilities.holding
    if let negotiated, !negotiated.direction.sends {
      wanted.direction = MediaDirection(sends: false, receives: false)
    }
    return try offer(wanted, holds: true)
  }

  /// Makes an offer that takes the peer off hold again. It says what we want, not what the peer does: a peer that holds us
  /// answers so.
  public mutating func resume(_ capabilities: AudioCapabilities) throws(NegotiationError) -> SessionDescription {
    try offer(capabilities, holds: false)
  }
}

extension AudioCapabilities {
  /// The same, but nothing is wanted of the peer.
  var holding: AudioCapabilities {
    var held = self
    held.direction = MediaDirection(sends: direction.sends, receives: false)
    return held
  }
}
