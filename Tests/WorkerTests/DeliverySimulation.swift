import Base
import Worker

/// A webhook, its database and its receiver in virtual time: one seed, one story.
///
/// The receiver takes events, fails, stalls, redirects, asks for time and recovers; the gateway crashes between any two
/// steps and loses all but its last checkpoint. What must hold at every step is checked at every step.
struct DeliverySimulation {
  enum Failure: Error, CustomStringConvertible {
    case rule(String, seed: UInt64, step: Int)
    var description: String {
      switch self {
      case .rule(let rule, let seed, let step): "\(rule) (seed \(seed), step \(step))"
      }
    }
  }

  /// What the receiver does with most requests for a while.
  enum Mood: CaseIterable { case well, slow, failing, stalled, busy, fickle }

  struct Flight {
    var place: Int64
    var session: SessionID
    var arrivesAt: Instant
    var outcome: DeliveryMachine.Outcome
    var attempt: Int
    /// Requests of an earlier life: nobody waits for the answer.
    var isOrphan = false
  }

  let seed: UInt64
  private var random: SeededRandom
  private var now = Instant.zero
  private let policy: DeliveryPolicy
  private var machine: DeliveryMachine

  // The record and what the database keeps of the webhook.
  private var record: [DeliveryMachine.Owed] = []
  private var reached: Int64 = 0
  private var rows: [Int64: DeliveryMachine.Parked] = [:]
  private var dead: Set<Int64> = []

  // The receiver.
  private var mood = Mood.well
  private var flights: [Flight] = []
  private var taken: Set<Int64> = []
  private var started: [Instant] = []

  private(set) var crashes = 0
  private(set) var attempts = 0
  private(set) var duplicates = 0
  private(set) var deadCount = 0
  private(set) var sent = 0

  init(seed: UInt64) {
    self.seed = seed
    var random = SeededRandom(seed: seed)
    policy = DeliveryPolicy(
      maxAttempts: Int.random(in: 1...8, using: &random),
      backoffInitial: .milliseconds(Int.random(in: 1...2000, using: &random)),
      backoffMax: .seconds(Int.random(in: 2...300, using: &random)), concurrency: Int.random(in: 1...8, using: &random),
      ratePerSecond: Bool.random(using: &random) ? Double.random(in: 0.5...200, using: &random) : nil)
    self.random = random
    machine = DeliveryMachine(policy: policy, reached: 0, seed: seed)
  }

  /// Runs the story, then lets the receiver recover and waits until nothing is owed.
  mutating func run(steps: Int) throws {
    let sessions = Int.random(in: 1...6, using: &random)
    for step in 0..<steps {
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<30:
        for _ in 0..<Int.random(in: 1...5, using: &random) {
          let session = SessionID("S\(Int.random(in: 0..<sessions, using: &random))")
          record.append(
            DeliveryMachine.Owed(
              place: Int64(record.count + 1), session: session, timestampMs: now.nanoseconds / 1_000_000))
        }
      case 30..<55: try read(step)
      case 55..<80: try advance(by: .milliseconds(Int.random(in: 0...3000, using: &random)), step)
      case 80..<92: if Int.random(in: 0..<4, using: &random) > 0 { keep() }
      case 92..<96: mood = Mood.allCases.randomElement(using: &random) ?? .well
      case 96..<98: crash()
      default: try advance(by: .seconds(Int.random(in: 0...600, using: &random)), step)
      }
    }
    mood = .well
    var rounds = 0
    while machine.readUpTo < Int64(record.count) || machine.owedCount > 0 {
      try read(steps)
      try advance(by: .seconds(30), steps)
      keep()
      rounds += 1
      if rounds > 5000 { throw broken("events are owed for ever", steps) }
    }
    // The last checkpoint may need some attempts.
    for _ in 0..<100 { keep() }
    if reached != Int64(record.count) || !rows.isEmpty {
      throw broken("the checkpoint owes what was settled: \(reached) of \(record.count), \(rows.keys.sorted())", steps)
    }
    deadCount = dead.count
    sent = record.count
  }

  private func broken(_ rule: String, _ step: Int) -> Failure { .rule(rule, seed: seed, step: step) }

  private mutating func read(_ step: Int) throws {
    guard machine.wantsMore else { return }
    let from = Int(machine.readUpTo)
    let page = record[from..<min(record.count, from + 20)]
    guard let last = page.last else { return }
    try perform(machine.offer(Array(page), readUpTo: last.place, at: now), step)
  }

  /// Time passes: answers come in, and the machine wakes when it asked to.
  private mutating func advance(by duration: Duration, _ step: Int) throws {
    let end = now + duration
    while true {
      let arrival = flights.map(\.arrivesAt).min()
      guard let next = [arrival, machine.deadline].compactMap({ $0 }).min(), next <= end else { break }
      now = max(now, next)
      if let at = flights.firstIndex(where: { $0.arrivesAt <= now }) {
        let flight = flights.remove(at: at)
        try take(flight, step)
        if case .failed = flight.outcome, flight.attempt == policy.maxAttempts { given.insert(flight.place) }
        if !flight.isOrphan { try perform(machine.answered(flight.place, flight.outcome, at: now), step) }
      } else {
        let before = machine.deadline
        try perform(machine.wake(at: now), step)
        if let before, machine.deadline == before, flights.isEmpty, before <= now {
          throw broken("the machine asks to be woken and does nothing", step)
        }
      }
    }
    now = end
  }

  private mutating func perform(_ actions: [DeliveryMachine.Action], _ step: Int) throws {
    for action in actions {
      guard case .send(let place, let attempt) = action else { throw broken("disabled without cause", step) }
      let owed = record[Int(place) - 1]
      attempts += 1
      if attempt > policy.maxAttempts { throw broken("more attempts than allowed", step) }
      let live = flights.filter { !$0.isOrphan }
      if live.contains(where: { $0.session == owed.session }) { throw broken("two requests of one session", step) }
      if live.count >= policy.concurrency { throw broken("more requests at once than allowed", step) }
      if let rate = policy.ratePerSecond {
        started.append(now)
        let recent = started.filter { now - $0 < .seconds(1) }
        if Double(recent.count) > rate + max(1, rate) + 1 { throw broken("faster than the rate", step) }
        started = recent
      }
      flights.append(answer(owed, attempt: attempt))
    }
  }

  /// The receiver's answer to a request that goes out now, and when it comes.
  private mutating func answer(_ owed: DeliveryMachine.Owed, attempt: Int) -> Flight {
    var flight = Flight(
      place: owed.place, session: owed.session, arrivesAt: now + .milliseconds(Int.random(in: 1...50, using: &random)),
      outcome: .delivered, attempt: attempt)
    let chance = Int.random(in: 0..<100, using: &random)
    switch mood {
    case .well: break
    case .slow: flight.arrivesAt = now + .milliseconds(Int.random(in: 1000...9000, using: &random))
    case .failing: flight.outcome = .failed(reason: chance < 50 ? "500" : "302: redirects are not followed")
    case .stalled:
      flight.arrivesAt = now + .seconds(10)
      flight.outcome = .failed(reason: "no answer")
    case .busy: flight.outcome = .deferred(chance < 50 ? .seconds(Int.random(in: 0...120, using: &random)) : nil)
    case .fickle:
      // One session's events are not taken, the others' are.
      if owed.session == SessionID("S0") || chance < 20 { flight.outcome = .failed(reason: "422") }
    }
    return flight
  }

  /// The receiver handles a request. Of each session it must see events in order, the dead left out; an event that comes
  /// again after a later one of its session is a repetition that it knows by its number.
  private mutating func take(_ flight: Flight, _ step: Int) throws {
    guard flight.outcome == .delivered else { return }
    if !taken.insert(flight.place).inserted {
      duplicates += 1
      return
    }
    for event in record[..<Int(flight.place - 1)] where event.session == flight.session {
      let isKnownDead = dead.contains(event.place) || given.contains(event.place)
      if !taken.contains(event.place), !isKnownDead { throw broken("an event overtook its session's", step) }
    }
  }

  /// Given up by the machine, maybe not yet in a checkpoint.
  private var given: Set<Int64> = []

  private mutating func keep() {
    guard let checkpoint = machine.checkpoint(evenIfRead: Bool.random(using: &random)) else { return }
    if Int.random(in: 0..<10, using: &random) == 0 {
      // The database is away.
      machine.restore(checkpoint)
      return
    }
    reached = checkpoint.reached
    for row in checkpoint.parked { rows[row.owed.place] = row }
    for place in checkpoint.settled { rows[place] = nil }
    for death in checkpoint.dead { dead.insert(death.place) }
  }

  private mutating func crash() {
    crashes += 1
    for i in flights.indices { flights[i].isOrphan = true }
    // A request of the earlier life that was on the wire has arrived before the new one begins.
    for flight in flights where flight.outcome == .delivered {
      if Bool.random(using: &random),
        record[..<Int(flight.place - 1)].allSatisfy({
          $0.session != flight.session || taken.contains($0.place) || dead.contains($0.place)
            || given.contains($0.place)
        })
      {
        taken.insert(flight.place)
      }
    }
    flights = []
    now += .seconds(Int.random(in: 0...60, using: &random))
    machine = DeliveryMachine(
      policy: policy, reached: reached, parked: rows.values.sorted { $0.owed.place < $1.owed.place },
      seed: random.next())
    started = []
  }
}
