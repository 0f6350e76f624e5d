import Base
import Testing
import Worker

@Suite struct DeliveryMachineTests {
  /// Order per session and at-least-once, whatever the receiver does and whenever the gateway dies.
  @Test func tenThousandStoriesEndWell() throws {
    var crashes = 0, duplicates = 0, dead = 0, sent = 0
    for seed in 0..<10_000 as Range<UInt64> {
      var story = DeliverySimulation(seed: seed)
      try story.run(steps: 60)
      crashes += story.crashes
      duplicates += story.duplicates
      dead += story.deadCount
      sent += story.sent
    }
    // The stories were no idyll.
    #expect(
      crashes > 1000 && duplicates > 100 && dead > 100 && sent > 100_000, "\(crashes) \(duplicates) \(dead) \(sent)")
  }

  private let start = Instant.zero

  private func owed(_ place: Int64, _ session: String) -> DeliveryMachine.Owed {
    DeliveryMachine.Owed(place: place, session: SessionID(session), timestampMs: place)
  }

  private func places(_ actions: [DeliveryMachine.Action]) -> [Int64] {
    actions.compactMap { if case .send(let place, _) = $0 { place } else { nil } }
  }

  @Test func aSessionThatHangsStopsNoOtherHoweverManyEventsFollow() {
    var machine = DeliveryMachine(policy: DeliveryPolicy(), reached: 0, seed: 1)
    var under = places(machine.offer([owed(1, "stuck")], readUpTo: 1, at: start))
    #expect(under == [1])
    under = []
    var parked = 0
    for place in 2...5000 as ClosedRange<Int64> {
      #expect(machine.wantsMore, "at \(place)")
      under += places(
        machine.offer([owed(place, place % 50 == 0 ? "stuck" : "s\(place % 7)")], readUpTo: place, at: start))
      while let next = under.popLast() { under += places(machine.answered(next, .delivered, at: start)) }
      if let checkpoint = machine.checkpoint(evenIfRead: false) { parked += checkpoint.parked.count }
    }
    #expect(machine.owedCount == 101 && parked == machine.parkedCount && parked > 80)
    // The one that hung answers at last, and its session goes on in order.
    var order: [Int64] = []
    under = places(machine.answered(1, .delivered, at: start))
    while let next = under.popLast() {
      order.append(next)
      under += places(machine.answered(next, .delivered, at: start))
    }
    #expect(order == (1...100).map { $0 * 50 } && machine.owedCount == 0)
  }

  @Test func anOutageUsesUpTheAttemptsOfFewEvents() {
    var machine = DeliveryMachine(
      policy: DeliveryPolicy(maxAttempts: 8, backoffInitial: .seconds(1), backoffMax: .seconds(300)), reached: 0,
      seed: 7)
    var under = places(
      machine.offer((1...400).map { owed($0, "s\($0)") }, readUpTo: 400, at: start))
    var now = start, attempts = 0, atOnce = 0
    let end = start + .seconds(3600)
    while now < end {
      while let place = under.popLast() {
        attempts += 1
        under += places(machine.answered(place, .failed(reason: "down"), at: now))
      }
      guard let next = machine.deadline else { break }
      #expect(next > now)
      now = next
      under = places(machine.wake(at: now))
      if attempts > 20 { atOnce = max(atOnce, under.count) }
    }
    #expect(attempts < 60 && atOnce == 1, "\(attempts) attempts, \(atOnce) at once")
    let dead = machine.checkpoint(evenIfRead: true)?.dead.count ?? .max
    #expect(dead <= 6 && machine.owedCount >= 394, "\(dead) dead")
  }

  @Test func aReceiverThatFailsForDaysIsLeftAlone() {
    var machine = DeliveryMachine(
      policy: DeliveryPolicy(), reached: 9, failingSince: start - .seconds(5 * 86_400 + 1), seed: 1)
    let begun = places(machine.offer([owed(10, "a")], readUpTo: 10, at: start))
    #expect(begun == [10])
    guard case .disable(let reason)? = machine.answered(10, .failed(reason: "down"), at: start).first else {
      Issue.record("it goes on")
      return
    }
    #expect(reason.contains("5 days") && machine.isStopped && !machine.wantsMore && machine.deadline == nil)
    let last = machine.checkpoint(evenIfRead: true)
    #expect(last?.reached == 9, "what is owed stays owed")
  }

  @Test func whatTheReceiverAsksForIsBounded() {
    var machine = DeliveryMachine(policy: DeliveryPolicy(), reached: 0, seed: 1)
    _ = machine.offer([owed(1, "a")], readUpTo: 1, at: start)
    let none = machine.answered(1, .deferred(.seconds(1_000_000)), at: start)
    #expect(none.isEmpty && machine.deadline == start + DeliveryLimits.retryAfter)
    let early = machine.wake(at: start + .seconds(3599))
    let due = machine.wake(at: start + .seconds(3600))
    #expect(early.isEmpty && due == [.send(place: 1, attempt: 1)])
    let past = machine.answered(1, .deferred(.seconds(-5)), at: start + .seconds(3601))
    #expect(past == [.send(place: 1, attempt: 1)])
  }
}
