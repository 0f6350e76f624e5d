import Base

/// Decides whose packets are the call's: learns the peer's address from the first valid packets (symmetric RTP,
/// RFC 4961), then accepts no other, so that nobody can inject audio into a call by guessing its port.
public struct SourceLock: Sendable {
  public enum Mode: Sendable {
    /// `media.rtp_symmetric: true`. The address of SDP is a hint: behind NAT the real one is seen only on the wire.
    case symmetric
    /// Only the address and port that SDP named.
    case strict
  }

  public enum Verdict: Sendable, Hashable {
    /// From the peer.
    case accepted
    /// From the peer, whose address has just been learned: ``SourceLock/remote`` is now where to send.
    case learned
    /// From somebody who may become the peer with the next packet. Drop it.
    case unproven
    /// From somebody else. Drop it.
    case foreign
  }

  /// Packets in sequence from one address and SSRC before an address that SDP did not name is believed. Two, as RFC 3550
  /// appendix A.1: a single stray or forged packet cannot move the call's audio.
  public static let packetsToLearn = 2
  /// Silence of the locked peer after which another may take its place (a phone that changed networks). Shorter than the
  /// default `reconnection_timeout`, longer than any pause of a sender without silence suppression.
  public static let relearnAfterSilence = Duration.seconds(3)
  /// How far ahead a candidate's next sequence number may be and still count as "in sequence".
  private static let learnGap: UInt16 = 8

  public private(set) var mode: Mode
  /// The address that SDP named, where it did.
  public private(set) var expected: RTPPeer?
  /// The locked peer.
  public private(set) var locked: RTPPeer?
  /// Packets dropped so far because of their source.
  public private(set) var foreignPackets = 0

  private var lastHeard = Instant.zero
  /// The first peer that was locked since the address was negotiated.
  private var owner: RTPPeer?
  private var candidate: (peer: RTPPeer, ssrc: SSRC, sequence: UInt16, count: Int)?

  /// - Parameter expected: the peer of the negotiated SDP; nil or unspecified (`0.0.0.0`) where none is known.
  public init(mode: Mode, expected: RTPPeer?) {
    self.mode = mode
    self.expected = expected.flatMap { $0.isUnspecified || $0.port == 0 ? nil : $0 }
  }

  /// Where to send: the locked peer, else the one of SDP.
  public var remote: RTPPeer? { locked ?? expected }

  /// Judges a packet that has passed ``RTPPacketView``'s checks.
  public mutating func check(_ peer: RTPPeer, ssrc: SSRC, sequence: UInt16, at now: Instant) -> Verdict {
    if peer == locked {
      lastHeard = now
      candidate = nil
      return .accepted
    }
    // Whoever was pushed aside after a silence (on hold, say) takes its place back with its first packet: the newcomer may
    // have been an intruder, and a phone that has really moved is not heard from its old address again.
    if let owner, peer == owner { return lock(peer, now) }
    if locked != nil, now - lastHeard < Self.relearnAfterSilence {
      foreignPackets += 1
      return .foreign
    }
    if peer == expected { return lock(peer, now) }
    guard mode == .symmetric else {
      foreignPackets += 1
      return .foreign
    }
    if let seen = candidate, seen.peer == peer, seen.ssrc == ssrc,
      (1...Self.learnGap).contains(sequence &- seen.sequence)
    {
      if seen.count + 1 >= Self.packetsToLearn { return lock(peer, now) }
      candidate = (peer, ssrc, sequence, seen.count + 1)
    } else {
      candidate = (peer, ssrc, sequence, 1)
    }
    return .unproven
  }

  /// Whether a control packet may come from `peer`: the same host as the stream, whatever its port.
  public func admitsControl(from peer: RTPPeer) -> Bool { remote?.sameHost(as: peer) ?? false }

  /// A new offer/answer exchange. The lock stays where it named the same address again, or none (the old way to hold);
  /// otherwise the next valid packets may come from elsewhere.
  public mutating func renegotiated(expected new: RTPPeer?) {
    guard let new, !new.isUnspecified, new.port != 0, new != expected else { return }
    expected = new
    locked = nil
    owner = nil
    candidate = nil
  }

  private mutating func lock(_ peer: RTPPeer, _ now: Instant) -> Verdict {
    let changed = locked != peer
    locked = peer
    if owner == nil { owner = peer }
    lastHeard = now
    candidate = nil
    return changed ? .learned : .accepted
  }
}
