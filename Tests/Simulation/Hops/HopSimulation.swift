import Base
import CallLink
import FoundationEssentials
import Testing

/// A caller who presses keys, hears what the dialog says to each, and hangs up.
final class HopCall {
  let number: Int
  weak var media: CallAtNode?
  /// What the owners' safe states hold: once it is there it stays.
  var keys: [Int] = []
  var record: [Int] = []
  var said: [Int] = []
  var failure: String?
  var isOver = false
  var wantsToHangUp = false

  init(_ number: Int) { self.number = number }

  static func answers(to key: Int) -> [Int] { key % 3 == 0 ? [10 * key, 10 * key + 1] : [10 * key] }
  static func answers(to keys: [Int]) -> [Int] { keys.flatMap { answers(to: $0) } }
}

extension HopCounts {
  mutating func add(_ other: HopCounts) {
    duplicates += other.duplicates
    repeated += other.repeated
    gaps += other.gaps
    breaks += other.breaks
    resumed += other.resumed
    replaced += other.replaced
    stale += other.stale
  }
}

extension HopWorld {
  func remember(_ state: CallState) -> [UInt8] {
    memories.append(state)
    return Array("\(memories.count - 1)".utf8)
  }

  func memory(_ bytes: [UInt8]) -> CallState { memories[Int(String(decoding: bytes, as: UTF8.self)) ?? 0] }

  func count(_ call: CallAtNode) {
    for counted in call.counts { counts.add(counted) }
  }

  /// A state is about to replace the last one: nothing that was safe may be gone or changed.
  func check(_ key: HopStore.Key, _ old: CallState?, _ new: CallState) {
    let call = calls[key.call]
    if let old,
      !new.inputs.starts(with: old.inputs) || !new.said.starts(with: old.said)
        || old.isOver && (old.inputs, old.said) != (new.inputs, new.said)
    {
      fail("call \(key.call): the \(key.role) forgot: \(old.inputs) \(old.said) became \(new.inputs) \(new.said)")
    }
    switch key.role {
    case .media:
      call.keys = new.inputs
      call.said = new.said
      call.isOver = new.isOver
      if new.isOver { call.failure = new.failure }
      // A process that has been replaced may find that its memory is old; the owners never do. Without a peer for too
      // long the runtime ends the call for itself, which the others then learn.
      if let failure = new.failure, ![HopEnding.outage, .over].map(\.rawValue).contains(failure) {
        fail("call \(key.call) was ended: \(failure)")
      }
      if !HopCall.answers(to: call.record).starts(with: new.said) {
        fail("call \(key.call): the caller heard \(new.said) after \(call.record)")
      }
    case .runtime:
      call.record = new.inputs
      if !call.keys.starts(with: new.inputs) { fail("call \(key.call): the record \(new.inputs) of keys \(call.keys)") }
    case .speech: break
    }
  }

  /// A call has been given to another process: the old one, where it lives, must have stopped within a lease: its own,
  /// and those of the neighbours on whose word it goes on without the directory.
  func handedOver(_ key: HopStore.Key, from previous: HopParty?) {
    guard let previous, let old = nodes.first(where: { $0.instance == previous.instance && $0.isAlive }),
      let stale = old.calls[key.call], stale.lease.token == previous.fence
    else { return }
    handovers += 1
    if key.role == .media, !isReported(key) { fail("call \(key.call): two media processes own it") }
    let leases: Duration = key.role == .media ? Self.mediaLease : Self.mediaLease + Self.otherLease * key.role.rawValue
    after(leases + .milliseconds(100)) { [self, weak stale, weak old] in
      guard let stale, let old, old.isAlive, old.instance == previous.instance, old.calls[key.call] === stale else {
        return
      }
      if stale.lease.token == previous.fence { fail("\(previous) still acts for call \(key.call)") }
    }
  }

  /// Whether a neighbour gave the call up for its owner.
  private func isReported(_ key: HopStore.Key) -> Bool { store.reported.contains(key) }

  // MARK: A run

  static func run(seed: UInt64, calls: Int, trouble: HopTrouble) -> HopWorld {
    let world = HopWorld(seed: seed, slots: 3)
    // Media processes watch the directory for a lease before they judge.
    world.run(until: world.now + .seconds(8))
    for number in 0..<calls {
      let call = HopCall(number)
      world.calls.append(call)
      world.after(.milliseconds(Int64(world.pick(0...500)))) { world.begin(call, keys: trouble.keys) }
    }
    var at = 800
    for _ in 0..<world.pick(trouble.faults) {
      world.after(.milliseconds(Int64(at + world.pick(0...3_000)))) { world.breakSomething(trouble) }
      at += trouble.overlap ? world.pick(0...4_000) : trouble.longestMs + 8_000
    }
    // Until the last fault, then until nobody does anything for a call any more: at most until everybody has given up.
    world.run(until: world.now + .milliseconds(Int64(at)) + .seconds(15))
    let end = world.now + .seconds(105)
    while world.now < end, !world.isQuiet { world.run(until: world.now + .seconds(1)) }
    world.run(until: world.now + .seconds(10))
    world.judge()
    return world
  }

  private func begin(_ call: HopCall, keys: ClosedRange<Int>) {
    let media = nodes.filter { $0.role == .media && $0.isAlive }
    guard !media.isEmpty else { return after(.milliseconds(500)) { self.begin(call, keys: keys) } }
    let node = media[pick(0...(media.count - 1))]
    let state = CallAtNode(call.number, node)
    node.calls[call.number] = state
    state.claim(replacing: nil)
    var at = 100
    for key in 1...pick(keys) {
      at += pick(20...900)
      after(.milliseconds(Int64(at))) { call.media?.press(key) }
    }
    after(.milliseconds(Int64(at))) { self.hangUp(call, patience: 1_200) }
  }

  /// Hangs up when everything was heard, or when the caller has lost patience.
  private func hangUp(_ call: HopCall, patience: Int) {
    guard !call.isOver, call.media != nil || patience > 0 else { return }
    let heardAll = call.media.map { $0.said == HopCall.answers(to: $0.inputs) } ?? false
    if heardAll || patience == 0 { call.media?.hangUp() }
    if patience == 0, !heardAll { fail("call \(call.number): the caller waits in vain") }
    after(.milliseconds(50)) { self.hangUp(call, patience: max(patience - 1, -1)) }
  }

  private func breakSomething(_ trouble: HopTrouble) {
    let length = Duration.milliseconds(Int64(pick(300...trouble.longestMs)))
    let node = nodes[pick(0...(nodes.count - 1))]
    switch pick(trouble.onlyPaths ? 3...6 : 0...6) {
    case 0: node.die(bootAfter: .milliseconds(Int64(pick(500...3_000))))
    case 1: actionsUntilDeath = pick(0...60)
    case 2: node.drain(.seconds(5))
    case 3: for _ in 0..<pick(1...4) { breakLink() }
    case 4:
      let others = nodes.filter { abs($0.role.rawValue - node.role.rawValue) == 1 }
      cut(node.address, others[pick(0...(others.count - 1))].address, for: length)
    case 5: cut(node.address, "store", for: length)
    default: store.downUntil = now + length
    }
  }

  private var isQuiet: Bool { calls.allSatisfy(\.isOver) && nodes.allSatisfy { $0.calls.isEmpty } }

  private func judge() {
    // A call whose media process died before it had kept anything never began.
    for call in calls where store.states[HopStore.Key(call: call.number, role: .media)] != nil {
      if !call.isOver {
        fail("call \(call.number) is stuck: \(nodes.compactMap { $0.calls[call.number]?.description })")
      }
      guard call.failure == nil else { continue }
      if call.record != call.keys { fail("call \(call.number): keys \(call.keys), record \(call.record)") }
      if call.said != HopCall.answers(to: call.record) {
        fail("call \(call.number): record \(call.record), said \(call.said)")
      }
    }
    for node in nodes {
      for call in node.calls.values { fail("left behind: \(call.description)") }
    }
    for key in store.entries.keys where store.isHeld(key, self) { fail("\(key) is still held") }
  }
}

@Suite struct HopSimulation {
  private static func environment(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  struct Outcome: Sendable {
    var calls = 0
    var failed = 0
    var handovers = 0
    var counts = HopCounts()
    var problems: [String] = []

    mutating func add(_ world: HopWorld, seed: UInt64) {
      calls += world.calls.count
      failed += world.calls.count { $0.failure != nil }
      handovers += world.handovers
      counts.add(world.counts)
      if !world.problems.isEmpty {
        problems.append("PARLEY_SEED=\(seed): " + world.problems.prefix(4).joined(separator: "\n  "))
      }
    }

    mutating func join(_ other: Outcome) {
      calls += other.calls
      failed += other.failed
      handovers += other.handovers
      counts.add(other.counts)
      problems += other.problems
    }
  }

  /// `PARLEY_SEED=7`: only this one; `PARLEY_SEEDS=100000`: so many.
  private func run(from first: UInt64, count: UInt64, calls: Int, _ trouble: HopTrouble) async -> Outcome {
    let one = Self.environment("PARLEY_SEED")
    let seeds = one.map { $0..<($0 + 1) } ?? first..<(first + (Self.environment("PARLEY_SEEDS") ?? count))
    let lanes = min(8, max(1, ProcessInfo.processInfo.activeProcessorCount))
    let outcome = await withTaskGroup(of: Outcome.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          var outcome = Outcome()
          for seed in seeds.dropFirst(lane) where (seed - seeds.lowerBound) % UInt64(lanes) == UInt64(lane) {
            outcome.add(HopWorld.run(seed: seed, calls: calls, trouble: trouble), seed: seed)
            if outcome.problems.count >= 3 { break }
          }
          return outcome
        }
      }
      var total = Outcome()
      for await outcome in group { total.join(outcome) }
      return total
    }
    print(
      "\(outcome.calls) calls, \(outcome.failed) ended politely, \(outcome.handovers) taken from a living owner; "
        + "\(outcome.counts)")
    return outcome
  }

  @Test func oneFaultEndsNoCallAndLosesNothing() async {
    let outcome = await run(from: 0, count: 1_000, calls: 4, HopTrouble())
    #expect(outcome.problems.isEmpty, "\(outcome.problems.joined(separator: "\n"))")
    #expect(outcome.failed == 0)
  }

  @Test func manyFaultsLoseNothingAndRepeatNothing() async {
    let outcome = await run(
      from: 100_000, count: 1_000, calls: 3, HopTrouble(faults: 3...8, longestMs: 10_000, overlap: true, keys: 10...60))
    #expect(outcome.problems.isEmpty, "\(outcome.problems.joined(separator: "\n"))")
  }

  @Test func brokenPathsLoseNothing() async {
    let outcome = await run(
      from: 200_000, count: 500, calls: 4,
      HopTrouble(faults: 4...10, longestMs: 4_000, overlap: true, keys: 10...60, onlyPaths: true))
    #expect(outcome.problems.isEmpty, "\(outcome.problems.joined(separator: "\n"))")
  }
}
