import Base
import Testing

@Suite struct CircuitBreakerTests {
  private var now = Instant.zero
  private var breaker = CircuitBreaker(threshold: 3, timeout: .seconds(30), halfOpenRequests: 2)

  private mutating func request(_ outcome: CircuitBreaker.Outcome) {
    guard let permit = breaker.admit(at: now) else {
      Issue.record("the request was not let through")
      return
    }
    breaker.settle(permit, outcome, at: now)
  }

  @Test mutating func onlyFailuresInARowOpenIt() {
    for outcome in [CircuitBreaker.Outcome.failure, .failure, .success, .failure, .neither, .failure] {
      request(outcome)
      #expect(breaker.state == .closed)
    }
    request(.failure)
    #expect(breaker.state == .open)
    #expect(breaker.admit(at: now) == nil)
    #expect(breaker.untilTrial(at: now) == .seconds(30))
  }

  @Test mutating func aFewMayTryAndAllOfThemMustSucceed() {
    for _ in 0..<3 { request(.failure) }
    now += .milliseconds(29_999)
    #expect(breaker.admit(at: now) == nil)
    now += .milliseconds(1)
    let first = breaker.admit(at: now), second = breaker.admit(at: now)
    #expect(first != nil && second != nil)
    #expect(breaker.state == .halfOpen)
    #expect(breaker.admit(at: now) == nil, "no more than two at once")
    if let first { breaker.settle(first, .success, at: now) }
    #expect(breaker.state == .halfOpen)
    #expect(breaker.admit(at: now) == nil, "one succeeded, one tries: that is two")
    if let second { breaker.settle(second, .success, at: now) }
    #expect(breaker.state == .closed)
    request(.failure)
    #expect(breaker.state == .closed, "it counts anew")
  }

  @Test mutating func oneFailureOpensItAgain() {
    for _ in 0..<3 { request(.failure) }
    now += .seconds(30)
    let other = breaker.admit(at: now)
    request(.failure)
    #expect(breaker.state == .open)
    #expect(breaker.untilTrial(at: now) == .seconds(30))
    if let other { breaker.settle(other, .success, at: now) }
    #expect(breaker.state == .open, "an outcome from before says nothing")
  }

  @Test mutating func whoSaysNothingGivesItsPlaceBack() {
    for _ in 0..<3 { request(.failure) }
    now += .seconds(30)
    for _ in 0..<5 { request(.neither) }
    request(.success)
    request(.success)
    #expect(breaker.state == .closed)
  }

  @Test mutating func lateFailuresDoNotOpenItTwice() {
    let permits = (0..<6).compactMap { _ in breaker.admit(at: now) }
    #expect(permits.count == 6)
    for permit in permits.prefix(3) { breaker.settle(permit, .failure, at: now) }
    now += .seconds(29)
    for permit in permits.dropFirst(3) { breaker.settle(permit, .failure, at: now) }
    #expect(breaker.untilTrial(at: now) == .seconds(1), "it is not prolonged by those that were under way")
  }

  /// Whatever happens: no more trials at once than allowed, and a server that works is used again.
  @Test(arguments: 0..<50 as Range<UInt64>)
  func itComesBackWhateverHappens(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var breaker = CircuitBreaker(threshold: 3, timeout: .seconds(5), halfOpenRequests: 2)
    var now = Instant.zero
    var running: [CircuitBreaker.Permit] = []
    for _ in 0..<500 {
      now += .milliseconds(Int64(random.next() % 2_000))
      if random.next() % 2 == 0, let permit = breaker.admit(at: now) { running.append(permit) }
      if !running.isEmpty, random.next() % 2 == 0 {
        let permit = running.remove(at: Int(random.next() % UInt64(running.count)))
        breaker.settle(permit, [.failure, .failure, .success, .neither][Int(random.next() % 4)], at: now)
      }
    }
    for permit in running { breaker.settle(permit, .neither, at: now) }
    for _ in 0..<4 {
      now += .seconds(6)
      if let permit = breaker.admit(at: now) { breaker.settle(permit, .success, at: now) }
    }
    #expect(breaker.state == .closed)
  }
}
