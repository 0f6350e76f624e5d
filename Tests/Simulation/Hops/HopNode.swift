import Base
import CallLink

/// One process of a role, with a clock of its own; after its death the next one at the same address.
final class HopNode {
  let role: HopRole
  let address: String
  unowned let world: HopWorld
  private(set) var instance = ""
  private(set) var isAlive = false
  private(set) var isDraining = false
  private var boots = 0
  private var clockOffset: Int64 = 0
  private var clockRate = 1.0
  var calls: [Int: CallAtNode] = [:]
  var choice: PeerChoice
  private var owners: [HopLink: CallAtNode] = [:]
  private var watch = OrphanWatch(length: HopWorld.mediaLease)

  init(role: HopRole, slot: Int, world: HopWorld) {
    self.role = role
    address = "\(role)-\(slot)"
    self.world = world
    choice = PeerChoice(random: SeededRandom(seed: 0))
  }

  var local: Instant { Instant(nanoseconds: clockOffset + Int64(Double(world.now.nanoseconds) * clockRate)) }

  func worldTime(_ local: Instant) -> Instant {
    Instant(nanoseconds: Int64((Double(local.nanoseconds - clockOffset) / clockRate).rounded(.up)) + 1_000)
  }

  func boot() {
    boots += 1
    instance = "\(address)/\(boots)"
    isAlive = true
    isDraining = false
    // Clocks of machines differ, and run up to half a percent fast or slow.
    clockOffset = Int64(world.pick(0...1_000_000_000)) * 1_000
    clockRate = 1 + (world.uniform() - 0.5) * 0.01
    calls = [:]
    owners = [:]
    choice = PeerChoice(random: SeededRandom(seed: world.random.next()))
    if let right = role.right { choice.replace(world.nodes.filter { $0.role == right }.map(\.address)) }
    watch = OrphanWatch(length: HopWorld.mediaLease)
    if role == .media { lookForOrphans(instance) }
  }

  func die(bootAfter pause: Duration) {
    guard isAlive else { return }
    isAlive = false
    world.actionsUntilDeath = nil
    for call in calls.values { world.count(call) }
    calls = [:]
    world.died(self, instance: instance)
    world.after(pause) { [self] in boot() }
  }

  /// As a process that is told to stop: hands its calls over, then goes.
  func drain(_ limit: Duration) {
    guard isAlive, !isDraining, role != .media else { return }
    isDraining = true
    let instance = instance
    for call in calls.values.sorted(by: { $0.number < $1.number }) { call.leave() }
    world.after(limit) { [self] in if self.instance == instance { die(bootAfter: .milliseconds(500)) } }
  }

  // MARK: Transports

  func own(_ link: HopLink, _ call: CallAtNode) { owners[link] = call }

  func receive(_ wire: Wire, _ link: HopLink) {
    if let call = owners[link] { return call.receive(wire, link) }
    guard case .up(.open(let open)) = wire, let number = Int(open.session.value) else { return }
    if let call = calls[number] {
      owners[link] = call
      return call.receive(wire, link)
    }
    if isDraining {
      world.transmit(.down(.close(HopClose(.draining))), link, from: self)
      return world.drop(link, from: self)
    }
    let call = CallAtNode(number, self)
    calls[number] = call
    owners[link] = call
    call.opened(open, link)
  }

  func broken(_ link: HopLink) { owners.removeValue(forKey: link)?.broken(link) }

  // MARK: Calls that lost their media process

  private func lookForOrphans(_ instance: String) {
    guard isAlive, self.instance == instance else { return }
    world.after(.milliseconds(600 + Int64(world.uniform() * 200))) { [self] in lookForOrphans(instance) }
    let askedAt = local
    world.store.ask(self) { [world] in
      (orphans: $0.orphans(.media, world), clock: $0.clock(world))
    } done: { [self] answer in
      guard let (orphans, clock) = answer else { return watch.failed() }
      watch.answered(askedAt: askedAt, at: local, clock: clock)
      guard watch.mayClaim(at: local) else { return }
      for number in orphans where calls[number] == nil {
        let call = CallAtNode(number, self)
        calls[number] = call
        call.claim(replacing: nil)
      }
    }
  }
}
