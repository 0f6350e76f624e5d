import Base
import CallLink
import Testing

@Suite struct PeerChoiceTests {
  private let now = Instant(nanoseconds: 1_000_000_000)
  private let names = ["a", "b", "c", "d"]

  private func choice(_ seed: UInt64 = 1) -> PeerChoice {
    var choice = PeerChoice(random: SeededRandom(seed: seed))
    choice.replace(names)
    return choice
  }

  private func counts(_ choice: inout PeerChoice, _ times: Int, at: Instant? = nil) -> [String: Int] {
    var counts: [String: Int] = [:]
    for _ in 0..<times { if case .peer(let name) = choice.choose(at: at ?? now) { counts[name, default: 0] += 1 } }
    return counts
  }

  @Test func callsSpreadBeforeAnybodyHasReported() {
    var choice = choice()
    let counts = counts(&choice, 400)
    for name in names { #expect((80...120).contains(counts[name] ?? 0), "\(counts)") }
  }

  @Test func theBusyGetFewerAndTheBusiestOfTwoNone() {
    var choice = choice()
    for (name, load) in zip(names, [0.9, 0.1, 0.1, 0.1]) {
      choice.report(name, load: load, isDraining: false, at: now)
    }
    let counts = counts(&choice, 60)
    #expect(counts["a"] == nil, "\(counts)")
    #expect(counts.count == 3)
  }

  @Test func nobodyIsSentToTheDraining() {
    var choice = choice()
    choice.report("b", load: 0, isDraining: true, at: now)
    #expect(counts(&choice, 100)["b"] == nil)
    choice.replace(["b"])
    #expect(choice.choose(at: now) == .nobody(until: nil))
  }

  @Test func theFullAreAskedOnlyWhereAllAre() {
    var choice = choice()
    choice.report("a", load: 1, isDraining: false, at: now)
    #expect(counts(&choice, 100)["a"] == nil)
    for name in names { choice.report(name, load: 1.2, isDraining: false, at: now) }
    #expect(counts(&choice, 1).count == 1)
  }

  @Test func whoeverFailedRestsLongerEachTimeAndNotTogether() {
    var rests: Set<Duration> = []
    for seed in 0..<20 {
      var choice = PeerChoice(random: SeededRandom(seed: UInt64(seed)))
      choice.replace(["a"])
      choice.failed("a", at: now)
      guard case .nobody(let until?) = choice.choose(at: now) else { Issue.record("it is chosen"); continue }
      #expect(((PeerChoice.pause / 2)...PeerChoice.pause).contains(until - now))
      rests.insert(until - now)
      #expect(choice.choose(at: until) == .peer("a"))
      for _ in 0..<40 { choice.failed("a", at: now) }
      guard case .nobody(let late?) = choice.choose(at: now) else { Issue.record("it is chosen"); continue }
      #expect(((PeerChoice.pauseAtMost / 2)...PeerChoice.pauseAtMost).contains(late - now))
      choice.succeeded("a")
      #expect(choice.choose(at: now) == .peer("a"))
    }
    #expect(rests.count > 15)
  }

  @Test func whatIsKnownOfAPeerStaysWhenTheListIsResolvedAgain() {
    var choice = choice()
    choice.report("a", load: 0, isDraining: true, at: now)
    choice.replace(["a", "e"])
    #expect(counts(&choice, 10) == ["e": 10])
    choice.replace((0..<5_000).map { "\($0)" })
    #expect(choice.addresses.count == PeerChoice.addressLimit)
  }

  @Test func anOldReportSaysNothing() {
    var choice = choice()
    choice.replace(["a", "b"])
    choice.report("a", load: 0.9, isDraining: false, at: now)
    #expect(counts(&choice, 20)["a"] == nil)
    #expect(counts(&choice, 100, at: now + .seconds(60))["a"] ?? 0 > 20)
  }
}
