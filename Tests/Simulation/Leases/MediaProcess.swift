import Base
import CallCustody
import Storage

/// One media process: the real claims, around calls that write their state and hear of successors from their peers.
final class MediaProcess {
  /// How long a call goes on without a peer.
  static let outage: Duration = .seconds(10)

  /// A call that this process acts for.
  final class Serving {
    let token: Int64
    var version: Int
    var isOffered = false
    var isWriting = false
    var isOver = false
    /// By the process's clock: since when there is no peer.
    var lonelySince: Instant?
    /// Another one has acted since.
    var overtakenAt: Instant?

    init(_ lease: CallLease, version: Int) {
      token = lease.token
      self.version = version
    }
  }

  let name: String
  unowned let world: LeaseWorld
  private(set) var instance = ""
  private(set) var isAlive = false
  private(set) var isPaused = false
  private(set) var isLeaving = false
  /// Since when it runs and the store answers it; nil: it does not.
  private(set) var wellSince: Instant?
  /// Since when it runs, and neither store nor peers can be reached.
  private(set) var isolatedSince: Instant?
  private var boots = 0
  private var rate = 1.0
  private var offset = Duration.zero
  private var claims = MediaClaims()
  private var calls: [Int: Serving] = [:]
  private var waiting: [() -> Void] = []

  init(_ slot: Int, _ world: LeaseWorld) {
    name = "media-\(slot)"
    self.world = world
  }

  private var holder: CallHolder { CallHolder(instance: instance) }
  private var local: Instant { Instant(nanoseconds: Int64(Double(world.now.nanoseconds) * rate)) + offset }
  var isIdle: Bool { calls.isEmpty }
  func serves(_ call: Int) -> Serving? { calls[call] }

  // MARK: Life

  func boot() {
    boots += 1
    instance = "\(name)/\(boots)"
    isAlive = true
    isLeaving = false
    // Clocks of machines differ, and run up to half a percent fast or slow.
    offset = .milliseconds(Int64(world.pick(0...1_000_000)))
    rate = 1 + (world.uniform() - 0.5) * 0.01
    claims = MediaClaims()
    wake()
  }

  func die(bootAfter pause: Duration) {
    guard isAlive else { return }
    isAlive = false
    isPaused = false
    calls = [:]
    waiting = []
    world.disturb()
    world.after(pause) { [self] in
      world.disturb()
      boot()
    }
  }

  /// Stands still, as a process that is stopped or a machine that is moved; in the latter its clock stands still, too.
  func pause(for time: Duration, clockStands: Bool) {
    guard isAlive, !isPaused else { return }
    isPaused = true
    let instance = instance
    world.after(time) { [self] in
      guard isAlive, self.instance == instance else { return }
      if clockStands { offset -= time }
      isPaused = false
      world.disturb()
      let waiting = waiting
      self.waiting = []
      for body in waiting where isAlive { body() }
    }
  }

  /// As a process that is told to stop: offers its calls, then goes.
  func drain(_ limit: Duration) {
    guard isAlive, !isPaused, !isLeaving else { return }
    isLeaving = true
    for (number, state) in calls.sorted(by: { $0.key < $1.key }) {
      state.isOffered = true
      perform(claims.offer(LeasedCall(number).seat))
    }
    let instance = instance
    world.after(limit) { [self] in if self.instance == instance { die(bootAfter: .milliseconds(500)) } }
  }

  /// What happens in this run of the process, once it runs.
  func whenRunning<Value>(_ body: @escaping (Value) -> Void) -> (Value) -> Void {
    let instance = instance
    return { [weak self] value in
      guard let self, isAlive, self.instance == instance else { return }
      if isPaused { waiting.append { body(value) } } else { body(value) }
    }
  }

  private func after(_ delay: Duration, _ body: @escaping () -> Void) {
    let running = whenRunning(body)
    world.after(delay) { running(()) }
  }

  func isDisturbed() { wellSince = nil }

  func judgeHealth() {
    let runs = isAlive && !isPaused
    let canAsk = runs && !world.isCut(self, from: .store) && world.store.downUntil <= world.now
    wellSince = canAsk ? wellSince ?? world.now : nil
    isolatedSince = runs && !canAsk && world.isCut(self, from: .peers) ? isolatedSince ?? world.now : nil
  }

  // MARK: Claims

  private func wake() {
    perform(claims.timeout(at: local))
    let pause = claims.deadline - local
    after(.nanoseconds(Int64(Double(pause.nanoseconds) / rate) + 1_000)) { [self] in wake() }
  }

  private func perform(_ actions: [MediaClaims.Action]) { for action in actions { perform(action) } }

  private func perform(_ action: MediaClaims.Action) {
    let store = world.store, world = world, holder = holder
    switch action {
    case .claim(let seat):
      store.ask(self) {
        $0.claim(seat, holder, MediaClaims.length, world)
      } done: { [self] lease in
        let answer = lease.map { $0.holder == holder ? MediaClaims.Answer.granted($0) : .heldElsewhere }
        perform(claims.claimed(seat, answer, at: local))
      }
    case .renew(let leases, let forOthers, let number):
      store.ask(self) {
        $0.renew(leases, forOthers ? MediaClaims.moment : MediaClaims.length, world)
      } done: { [self] in
        perform(claims.renewed(number, lost: $0, at: local))
      }
    case .look(let limit, let number):
      store.ask(self) {
        $0.orphans(limit, world)
      } done: { [self] found in
        let found = found.map { CallOrphans(world.shuffled($0.leases), clock: $0.clock) }
        perform(claims.looked(number, found, room: isLeaving ? 0 : 100, at: local))
      }
    case .release(let lease): store.ask(self, { $0.release(lease) }, done: { _ in })
    case .expire(let lease): store.ask(self, { $0.renew([lease], MediaClaims.moment, world) }, done: { _ in })
    case .granted(let lease): serve(lease, version: 0)
    case .refused: break
    case .adopt(let lease): adopt(lease)
    case .prove(let seat): if let number = Int(seat.session.value) { write(number) }
    case .lost(let seat): if let number = Int(seat.session.value) { calls[number] = nil }
    }
  }

  private func adopt(_ lease: CallLease) {
    guard let number = Int(lease.seat.session.value) else { return }
    world.store.ask(self) {
      $0.takeOver(number, lease.token)
    } done: { [self] found in
      switch found {
      case .state(let version):
        claims.hold(lease, at: local)
        serve(lease, version: version)
      case .nothing:
        // It has ended, or died before anything was kept of it.
        world.calls[number].isOver = true
        perform(claims.leave(lease.seat))
      case .overtaken, nil: perform(claims.yield(lease.seat))
      }
    }
  }

  // MARK: Calls

  func begin(_ call: LeasedCall) { perform(claims.claim(call.seat, at: local)) }

  private func serve(_ lease: CallLease, version: Int) {
    guard let number = Int(lease.seat.session.value) else { return }
    let call = world.calls[number]
    calls[number] = Serving(lease, version: version)
    world.served(call, by: self, taken: version > 0)
    write(number)
    meet(call)
    if call.isOver { after(.milliseconds(50)) { [self] in callerIsGone(number) } }
  }

  /// Another process has the call, or may have it.
  private func yield(_ number: Int) {
    guard calls.removeValue(forKey: number) != nil else { return }
    perform(claims.yield(LeasedCall(number).seat))
  }

  private func write(_ number: Int) {
    guard let state = calls[number], !state.isWriting, !state.isOver else { return }
    state.isWriting = true
    let version = state.version + 1
    world.store.ask(self) {
      $0.put(number, state.token, version)
    } done: { [self] isKept in
      state.isWriting = false
      guard calls[number] === state, !state.isOver else { return }
      if isKept == false { return yield(number) }
      if isKept == true { state.version = version }
      // Sometimes there is nothing to write for long.
      let pause = isKept == nil ? 100 : world.pick(0...3) == 0 ? 60_000 : world.pick(100...2_000)
      after(.milliseconds(Int64(pause))) { [self] in
        if calls[number] === state { write(number) }
      }
    }
  }

  /// Keeps the hop to the call's speech process alive, which knows the newest of its owners.
  private func meet(_ call: LeasedCall) {
    guard let state = calls[call.number], !state.isOver else { return }
    if world.isCut(self, from: .peers) {
      let since = state.lonelySince ?? local
      state.lonelySince = since
      if local - since >= Self.outage { return end(call, state) }
    } else {
      state.lonelySince = nil
      if call.met > state.token { return yield(call.number) }
      call.met = state.token
    }
    after(.milliseconds(500)) { [self] in if calls[call.number] === state { meet(call) } }
  }

  /// There has been no peer for too long.
  private func end(_ call: LeasedCall, _ state: Serving) {
    guard claims.isProven(call.seat, at: local) else { return yield(call.number) }
    if let other = world.processes.first(where: { ($0.serves(call.number)?.token ?? 0) > state.token }) {
      world.fail("\(instance) ends call \(call.number), which \(other.instance) has")
    }
    world.hangUp(call)
  }

  /// Everything is said, and is forgotten.
  func callerIsGone(_ number: Int) {
    whenRunning { [self] () in
      guard let state = calls[number], !state.isOver else { return }
      state.isOver = true
      let token = state.token
      world.store.ask(self) {
        $0.remove(number, token)
      } done: { [self] _ in
        guard calls[number] === state else { return }
        calls[number] = nil
        perform(claims.leave(LeasedCall(number).seat))
      }
    }(())
  }
}
