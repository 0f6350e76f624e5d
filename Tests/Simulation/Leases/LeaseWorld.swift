import Base
import CallCustody
import Storage

// Virtual time, a store that is slow, away or loses answers, and media processes that die, stand still and are cut off.

/// A call as its caller knows it.
final class LeasedCall {
  let number: Int
  var hasBegun = false
  /// The caller is gone.
  var isOver = false
  /// The highest token of a process that has spoken to the call's speech process.
  var met: Int64 = 0
  /// Since when nobody serves it; nil: somebody does.
  var deserted: Instant?

  init(_ number: Int) { self.number = number }

  var seat: CallSeat { CallSeat(SessionID("\(number)"), role: "media") }
}

/// What breaks.
struct LeaseTrouble {
  var faults = 1...1
  /// The longest that a path or the store is away, or a process stands still.
  var longestMs = 6_000
  /// Between two faults. Below what is needed to get over one they fall together.
  var pauseMs = 8_000...12_000
  /// Whether the store may forget a lease, and its clock jump. Not beside other faults: nobody can claim a call whose owner dies
  /// before it has said again that it has it, and a process that stands still may miss a jump.
  var mayDeceive = false
  /// The share of questions that are not answered though they may have been heard.
  var loss = 0.0
}

final class LeaseWorld {
  private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
  private var events = EventHeap()
  private var random: SeededRandom
  let store: LeaseStore
  private(set) var processes: [MediaProcess] = []
  private(set) var calls: [LeasedCall] = []
  private(set) var problems: [String] = []
  private(set) var takeovers = 0
  private var cuts: [(process: String, from: Side, until: Instant)] = []
  /// Since when nothing has gone wrong anywhere.
  private var calmSince: Instant

  /// What a process can be cut off from.
  enum Side { case store, peers }

  init(seed: UInt64, _ trouble: LeaseTrouble) {
    random = SeededRandom(seed: seed)
    calmSince = now
    store = LeaseStore()
    store.loss = trouble.loss
    store.rate = 1 + (uniform() - 0.5) * 0.01
    store.slowest = .milliseconds(Int64([2, 20, 120, 300][pick(0...3)]))
    for slot in 0..<pick(2...4) { processes.append(MediaProcess(slot, self)) }
    for process in processes { process.boot() }
  }

  // MARK: Time and chance

  func uniform() -> Double { Double(random.next() >> 11) / Double(1 << 53) }
  func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(random.next() % UInt64(range.count)) }
  func shuffled(_ leases: [CallLease]) -> [CallLease] { leases.shuffled(using: &random) }
  func fail(_ problem: String) {
    if problems.count < 20 { problems.append("\(now.nanoseconds / 1_000_000 - 1_000_000) ms: \(problem)") }
  }
  func after(_ delay: Duration, _ body: @escaping () -> Void) { events.push(now + delay, body) }

  private func run(for time: Duration) {
    let end = now + time
    while let (moment, body) = events.pop(until: end) {
      now = moment
      body()
    }
    now = end
  }

  // MARK: Trouble

  func isCut(_ process: MediaProcess, from side: Side) -> Bool {
    cuts.contains { $0.process == process.name && $0.from == side && $0.until > now }
  }

  /// Something has gone wrong, or still does until then.
  func disturb(until end: Instant? = nil) { calmSince = max(calmSince, end ?? now) }

  private func breakSomething(_ trouble: LeaseTrouble) {
    let process = processes[pick(0...(processes.count - 1))]
    let length = Duration.milliseconds(Int64(pick(100...trouble.longestMs)))
    disturb(until: now + length)
    func cut(_ side: Side) { cuts.append((process.name, side, now + length)) }
    switch pick(0...(trouble.mayDeceive ? 9 : 7)) {
    case 0, 1: process.die(bootAfter: length)
    case 2: process.pause(for: length, clockStands: false)
    case 3: process.pause(for: length, clockStands: true)
    case 4: cut(.store)
    case 5: cut(.peers)
    case 6:
      cut(.store)
      cut(.peers)
    case 7: store.downUntil = now + length
    case 8: jump()
    default: return forget()
    }
    if pick(0...3) == 0 { processes[pick(0...(processes.count - 1))].drain(.seconds(3)) }
  }

  /// The clock of the store is set. A jump is noticed as far as answers take less time than it.
  private func jump() {
    guard store.slowest < .milliseconds(200) else { return }
    let jump = Duration.milliseconds(Int64(pick(-800...5_000)))
    store.offset += jump
    disturb(until: jump < .zero ? now - jump : now)
  }

  /// The directory loses what it knows of a call whose owner is well.
  private func forget() {
    let known = calls.filter { call in processes.contains { $0.serves(call.number) != nil && $0.wellSince != nil } }
    guard let call = known.randomElement(using: &random) else { return }
    store.leases[call.seat] = nil
    disturb()
  }

  // MARK: Calls

  private func begin(_ call: LeasedCall) {
    let willing = processes.filter { $0.isAlive && !$0.isPaused && !$0.isLeaving }
    guard !willing.isEmpty else { return after(.milliseconds(300)) { self.begin(call) } }
    willing[pick(0...(willing.count - 1))].begin(call)
    after(.milliseconds(Int64(pick(2_000...60_000)))) { self.hangUp(call) }
  }

  func hangUp(_ call: LeasedCall) {
    call.isOver = true
    for process in processes { process.callerIsGone(call.number) }
  }

  /// A process begins to act for a call.
  func served(_ call: LeasedCall, by process: MediaProcess, taken: Bool) {
    call.hasBegun = true
    call.deserted = nil
    if taken { takeovers += 1 }
  }

  /// The directory gives a call from one process to another.
  func given(_ call: CallSeat, from old: CallLease, to new: CallHolder) {
    guard old.holder != new, let process = processes.first(where: { $0.instance == old.holder.instance }),
      let number = Int(call.session.value), let state = process.serves(number), state.token == old.token,
      !state.isOffered, let well = process.wellSince
    else { return }
    if now - well > MediaClaims.length + .milliseconds(500) + store.slowest * 2 {
      fail("call \(number) of \(process.instance), which is well, was given to \(new.instance)")
    }
  }

  // MARK: What must hold

  /// How long the store may take for a question and for what follows from the answer.
  private var delay: Duration { store.slowest * 4 }

  private func look() {
    for process in processes { process.judgeHealth() }
    for call in calls where call.hasBegun {
      let serving = processes.compactMap { process in process.serves(call.number).map { (process, $0) } }
      judge(call, serving)
      guard !call.isOver else { continue }
      // One that stands still serves nobody.
      if serving.contains(where: { !$0.0.isPaused }) { call.deserted = nil } else { desert(call) }
    }
    after(.milliseconds(50)) { self.look() }
  }

  /// Of two that act for a call the older stops within a lease, if it hears of the other from the store, and within
  /// the time that it goes on without peers, if it hears nothing at all.
  private func judge(_ call: LeasedCall, _ serving: [(MediaProcess, MediaProcess.Serving)]) {
    let newest = serving.map { $0.1.token }.max()
    for (process, state) in serving where state.token != newest {
      let since = state.overtakenAt ?? now
      state.overtakenAt = since
      if let well = process.wellSince, now - max(since, well) > MediaClaims.length + delay {
        fail("\(process.instance) still acts for call \(call.number) under \(state.token), \(newest ?? 0) is current")
      }
      if let cut = process.isolatedSince, now - max(since, cut) > MediaProcess.outage + MediaClaims.length {
        fail("\(process.instance), which nobody hears, still acts for call \(call.number)")
      }
    }
  }

  /// A call without a process is taken by a survivor: its lease runs out, the survivors have watched the directory for a lease,
  /// and one of them asks.
  private func desert(_ call: LeasedCall) {
    let since = call.deserted ?? now
    call.deserted = since
    let quiet = max(since, calmSince)
    let bound = MediaClaims.length * 2 + MediaClaims.lookEvery + MediaClaims.interval + delay
    guard now - quiet > bound else { return }
    if processes.contains(where: { process in
      !process.isLeaving && process.wellSince.map { now - $0 > bound } ?? false
    }) {
      fail("nobody has taken call \(call.number): \(store.leases[call.seat].map { "\($0)" } ?? "no lease")")
      call.deserted = now
    }
  }

  // MARK: A run

  static func run(seed: UInt64, _ trouble: LeaseTrouble) -> LeaseWorld {
    let world = LeaseWorld(seed: seed, trouble)
    world.look()
    world.run(for: .seconds(4))
    for number in 0..<4 {
      let call = LeasedCall(number)
      world.calls.append(call)
      world.after(.milliseconds(Int64(world.pick(0...4_000)))) { world.begin(call) }
    }
    for _ in 0..<world.pick(trouble.faults) {
      world.run(for: .milliseconds(Int64(world.pick(trouble.pauseMs))))
      world.breakSomething(trouble)
    }
    world.run(for: .milliseconds(Int64(trouble.longestMs)))
    world.store.loss = 0
    world.run(for: .seconds(20))
    for call in world.calls where call.hasBegun && !call.isOver {
      let owners = world.processes.filter { $0.serves(call.number) != nil }
      if owners.count != 1 { world.fail("call \(call.number) has \(owners.count) owners in the end") }
    }
    for call in world.calls where call.hasBegun && !call.isOver { world.hangUp(call) }
    world.run(for: .seconds(8))
    for process in world.processes where !process.isIdle { world.fail("\(process.instance) still has calls") }
    for lease in world.store.leases.values { world.fail("left behind: \(lease)") }
    return world
  }
}
