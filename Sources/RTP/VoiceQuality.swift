/// How a G.711 conversation sounds by its measurements: the E-model (ITU-T G.107) reduced to what a gateway can see, with
/// the codec's figures of G.113. An estimate for the `vg_mos` metric and `quality` events.
public enum VoiceQuality {
  /// The transmission rating of a perfect G.711 call.
  private static let best = 93.2
  /// Robustness of G.711 with loss concealment (G.113 appendix I).
  private static let robustness = 25.1

  /// The mean opinion score, 1 (bad) to 4.4 (as good as G.711 gets).
  /// - Parameters:
  ///   - loss: share of packets not heard, late ones included, 0 to 1.
  ///   - burstRatio: 1 where losses are independent, above it where they come in bursts.
  ///   - delayMs: from mouth to ear, one way: half the round trip, plus the buffer, plus a packet.
  public static func meanOpinionScore(loss: Double, burstRatio: Double = 1, delayMs: Double = 0) -> Double {
    let percent = min(max(loss, 0), 1) * 100
    let equipment = 95 * percent / (percent / max(burstRatio, 1) + robustness)
    let delay = max(0, delayMs)
    let delayImpairment = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0)
    let rating = min(max(best - equipment - delayImpairment, 0), 100)
    return min(4.5, max(1, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6))
  }
}

extension RTPReceiver {
  /// The score of what was heard since the call began.
  /// - Parameter roundTripMs: of ``RTCPSession/roundTripMs``; nil counts as none.
  public func meanOpinionScore(roundTripMs: Double?) -> Double {
    let now = statistics
    let sent = now.received + now.lost
    let missed = now.lost + Int64(now.buffer.late)
    return VoiceQuality.meanOpinionScore(
      loss: sent > 0 ? Double(missed) / Double(sent) : 0,
      delayMs: (roundTripMs ?? 0) / 2 + Double(now.buffer.delayMs + JitterBuffer.tickMs))
  }
}
