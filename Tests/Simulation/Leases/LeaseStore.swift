import Base
import CallCustody
import Storage

/// The directory, and the states of calls behind their fence, with a clock of its own.
final class LeaseStore {
  struct Entry {
    var lease: CallLease
    var until: Instant
  }
  struct State {
    var token: Int64
    var version = 0
    var hasEnded = false
  }

  var rate = 1.0
  var offset = Duration.zero
  /// The longest that a question, or an answer, is under way.
  var slowest = Duration.zero
  var loss = 0.0
  var downUntil = Instant.zero
  var leases: [CallSeat: Entry] = [:]
  private var states: [Int: State] = [:]
  private var lastToken: Int64 = 0

  func clock(_ world: LeaseWorld) -> Instant {
    Instant(nanoseconds: Int64(Double(world.now.nanoseconds) * rate)) + offset
  }

  /// Asks over a network that may lose the question or the answer.
  /// - Parameter done: nil where no answer came in time. Not called where the asker has died.
  func ask<Answer>(
    _ process: MediaProcess, _ question: @escaping (LeaseStore) -> Answer, done: @escaping (Answer?) -> Void
  ) {
    let world = process.world
    func way() -> Duration { .microseconds(100) + slowest * world.uniform() }
    func isReachable() -> Bool { downUntil <= world.now && !world.isCut(process, from: .store) }
    let (there, back) = (way(), way())
    let isLost = world.uniform() < loss, isAnswerLost = world.uniform() < loss
    let answer = process.whenRunning(done)
    func giveUp() {
      world.disturb()
      process.isDisturbed()
      world.after(.milliseconds(250)) { answer(nil) }
    }
    world.after(there) { [self] in
      // A question that is under way when its asker dies arrives all the same.
      guard isReachable(), !isLost else { return giveUp() }
      let made = question(self)
      world.after(back) { if isReachable(), !isAnswerLost { answer(made) } else { giveUp() } }
    }
  }

  // MARK: The directory

  func claim(_ seat: CallSeat, _ holder: CallHolder, _ length: Duration, _ world: LeaseWorld) -> CallLease {
    let clock = clock(world)
    if let held = leases[seat], held.until > clock {
      if held.lease.holder == holder { leases[seat]?.until = clock + length }
      return held.lease
    }
    if let old = leases[seat] { world.given(seat, from: old.lease, to: holder) }
    lastToken += 1
    let lease = CallLease(seat: seat, holder: holder, token: lastToken)
    leases[seat] = Entry(lease: lease, until: clock + length)
    return lease
  }

  func renew(_ asked: [CallLease], _ length: Duration, _ world: LeaseWorld) -> [CallLease] {
    asked.filter { lease in
      guard leases[lease.seat]?.lease.token == lease.token else { return true }
      leases[lease.seat]?.until = clock(world) + length
      return false
    }
  }

  func release(_ lease: CallLease) { if leases[lease.seat]?.lease.token == lease.token { leases[lease.seat] = nil } }

  func orphans(_ limit: Int, _ world: LeaseWorld) -> CallOrphans {
    let clock = clock(world)
    let found = leases.values.filter { $0.until <= clock }.sorted {
      ($0.until, $0.lease.token) < ($1.until, $1.lease.token)
    }
    return CallOrphans(found.prefix(limit).map(\.lease), clock: clock)
  }

  // MARK: States

  /// - Returns: false: somebody with a higher token has the call, or it has ended.
  func put(_ call: Int, _ token: Int64, _ version: Int) -> Bool {
    let state = states[call] ?? State(token: token)
    guard state.token <= token, !state.hasEnded else { return false }
    states[call] = State(token: token, version: version)
    return true
  }

  enum Found { case overtaken, nothing, state(version: Int) }

  func takeOver(_ call: Int, _ token: Int64) -> Found {
    guard var state = states[call] else {
      states[call] = State(token: token)
      return .nothing
    }
    if state.hasEnded { return .nothing }
    if state.token > token { return .overtaken }
    state.token = token
    states[call] = state
    return state.version == 0 ? .nothing : .state(version: state.version)
  }

  func remove(_ call: Int, _ token: Int64) {
    if let state = states[call], state.token > token { return }
    states[call] = State(token: token, hasEnded: true)
  }
}
