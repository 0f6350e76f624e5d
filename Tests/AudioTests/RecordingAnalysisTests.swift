import Audio
import Testing

@Suite struct RecordingAnalysisTests {
  /// 8 kHz: silence, with a 400 Hz square wave where `sounds` says so (milliseconds).
  private func channel(_ lengthMs: Int, _ sounds: [ClosedRange<Int>], noise: Int16 = 0) -> [Int16] {
    (0..<lengthMs * 8).map { i in
      let background = noise == 0 ? 0 : (i % 3 == 0 ? noise : -noise / 2)
      return sounds.contains { $0.contains(i / 8) } ? (i / 10 % 2 == 0 ? 4000 : -4000) : background
    }
  }

  @Test func soundsAreFoundToTenMilliseconds() {
    let found = RecordingAnalysis.segments(channel(3000, [500...999, 1200...1499, 2400...2599]), pauseMs: 300)
    #expect(found == [HeardSegment(fromMs: 500, toMs: 1500), HeardSegment(fromMs: 2400, toMs: 2600)])
  }

  @Test func steadyNoiseIsNotSpeech() {
    let found = RecordingAnalysis.segments(channel(3000, [1000...1999], noise: 300), pauseMs: 300)
    #expect(found == [HeardSegment(fromMs: 1000, toMs: 2000)])
  }

  @Test func responseTimesCountFromTheEndOfTheTurnToTheFirstSoundAfterIt() {
    let caller = [HeardSegment(fromMs: 1000, toMs: 2000), HeardSegment(fromMs: 4000, toMs: 5000)]
    let gateway = [HeardSegment(fromMs: 0, toMs: 800), HeardSegment(fromMs: 2300, toMs: 3500)]
    #expect(RecordingAnalysis.responseTimes(caller: caller, gateway: gateway) == [300, nil])
  }

  @Test func bargeInsCountFromTheCallersFirstSoundToSilence() {
    let caller = [HeardSegment(fromMs: 1500, toMs: 2500), HeardSegment(fromMs: 6000, toMs: 7000)]
    let gateway = [HeardSegment(fromMs: 0, toMs: 1640), HeardSegment(fromMs: 3000, toMs: 5000)]
    #expect(RecordingAnalysis.bargeIns(caller: caller, gateway: gateway) == [140])
  }
}
