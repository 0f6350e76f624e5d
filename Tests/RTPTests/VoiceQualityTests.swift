import RTP
import Testing

@Suite struct VoiceQualityTests {
  @Test func theScoreFollowsTheEModel() {
    // Values of G.107's formula, worked by hand.
    for (loss, delay, expected) in [
      (0.0, 0.0, 4.41), (0, 150, 4.34), (0, 400, 3.05), (0.01, 50, 4.31), (0.05, 50, 3.87), (0.2, 50, 2.57),
      (1, 0, 1.19),
    ] {
      let score = VoiceQuality.meanOpinionScore(loss: loss, delayMs: delay)
      #expect(abs(score - expected) < 0.05, "\(loss) \(delay): \(score)")
    }
  }

  @Test func aCleanCallScoresHighAndALossyOneDoesNot() {
    var clean = receiver()
    var lossy = receiver()
    for i in 0..<1000 {
      let bytes = packet(UInt16(i), UInt32(i * 160))
      _ = clean.receive(bytes, at: at(Double(i) * 20))
      if i % 8 != 0 { _ = lossy.receive(bytes, at: at(Double(i) * 20)) }
      clean.pull(at: at(Double(i) * 20 + 3)) { _ in }
      lossy.pull(at: at(Double(i) * 20 + 3)) { _ in }
    }
    #expect(clean.meanOpinionScore(roundTripMs: 20) > 4.3)
    #expect((2.0...3.5).contains(lossy.meanOpinionScore(roundTripMs: 20)))
  }

  @Test func nonsenseStaysInRange() {
    for loss in [-1.0, 0.5, 7] {
      for delay in [-50.0, 1e9] {
        #expect((1...4.5).contains(VoiceQuality.meanOpinionScore(loss: loss, burstRatio: 0, delayMs: delay)))
      }
    }
  }
}
