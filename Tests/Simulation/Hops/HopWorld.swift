import Base
import CallLink

// Virtual time, a network that breaks and a directory that fails, for processes that die.

enum Up: Hashable, Sendable {
  case key(Int)
  case hangup
}

enum Down: Hashable, Sendable {
  case say(Int)
}

enum Wire: Sendable {
  case up(HopFrame<Up>)
  case down(HopFrame<Down>)
}

enum HopRole: Int, CaseIterable, Sendable {
  case media, speech, runtime
  var isLeftmost: Bool { self == .media }
  var isRightmost: Bool { self == .runtime }
  var right: HopRole? { HopRole(rawValue: rawValue + 1) }
}

/// What breaks, and how often.
struct HopTrouble {
  var faults = 1...1
  /// The longest that the store, or a path, is away.
  var longestMs = 2_000
  /// Whether faults may fall together.
  var overlap = false
  /// Keys that a caller presses.
  var keys = 4...16
  /// Nobody dies: only paths break.
  var onlyPaths = false
}

final class HopWorld {
  static let mediaLease: Duration = .seconds(6)
  static let otherLease: Duration = .seconds(3)

  private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
  private var events = EventHeap()
  var random: SeededRandom
  var nodes: [HopNode] = []
  var calls: [HopCall] = []
  var problems: [String] = []
  var counts = HopCounts()
  var handovers = 0
  /// What speech processes gave their neighbours to keep; the bytes that travel are a number of these.
  var memories: [CallState] = []
  private var links: [UInt64: Link] = [:]
  private var nextLink: UInt64 = 0
  private var cuts: [(a: String, b: String, until: Instant)] = []
  let store: HopStore
  /// Actions until the process that performs them dies in the middle of them; nil: not planned.
  var actionsUntilDeath: Int?

  private final class Link {
    let ends: [HopNode]
    let instances: [String]
    var isOpen = [true, true]
    var lastArrival: [Instant]
    /// What is under way to this end is lost from here on.
    var isLost = [false, false]
    init(_ a: HopNode, _ b: HopNode, at now: Instant) {
      ends = [a, b]
      instances = [a.instance, b.instance]
      lastArrival = [now, now]
    }
  }

  init(seed: UInt64, slots: Int) {
    random = SeededRandom(seed: seed)
    store = HopStore()
    store.rate = 1 + (uniform() - 0.5) * 0.01
    // A slow store leaves much that is said but not yet safe.
    store.slowestUs = [2_000, 2_000, 20_000, 120_000][pick(0...3)]
    for role in HopRole.allCases {
      for slot in 0..<slots { nodes.append(HopNode(role: role, slot: slot, world: self)) }
    }
    for node in nodes { node.boot() }
  }

  // MARK: Time and chance

  func uniform() -> Double { Double(random.next() >> 11) / Double(1 << 53) }
  func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(random.next() % UInt64(range.count)) }
  func fail(_ problem: String) {
    if problems.count < 20 { problems.append("\(now.nanoseconds / 1_000_000 - 1_000_000) ms: \(problem)") }
  }

  func after(_ delay: Duration, _ body: @escaping () -> Void) { events.push(now + delay, body) }
  func at(_ moment: Instant, _ body: @escaping () -> Void) { events.push(max(now, moment), body) }

  func run(until end: Instant) {
    while let (moment, body) = events.pop(until: end) {
      now = moment
      body()
    }
    now = end
  }

  // MARK: Network

  func node(at address: String) -> HopNode? { nodes.first { $0.address == address } }

  func isCut(_ a: String, _ b: String) -> Instant? {
    cuts.filter { ($0.a == a && $0.b == b || $0.a == b && $0.b == a) && $0.until > now }.map(\.until).max()
  }

  func cut(_ a: String, _ b: String, for time: Duration) { cuts.append((a, b, now + time)) }

  private var hopDelay: Duration { .microseconds(Int64(200 + uniform() * uniform() * 20_000)) }

  /// - Parameter done: nil where the connection was refused; never called where nothing answers.
  func dial(_ from: HopNode, _ address: String, done: @escaping (HopLink?) -> Void) {
    let instance = from.instance
    after(hopDelay) { [self] in
      guard from.isAlive, from.instance == instance, isCut(from.address, address) == nil else { return }
      guard let target = node(at: address), target.isAlive else { return done(nil) }
      nextLink += 1
      links[nextLink] = Link(from, target, at: now)
      done(HopLink(nextLink))
    }
  }

  func transmit(_ wire: Wire, _ link: HopLink, from node: HopNode) {
    guard let found = links[link.number], let side = found.instances.firstIndex(of: node.instance), found.isOpen[side]
    else { return }
    deliver(link, found, to: 1 - side) { $0.receive(wire, link) }
  }

  func drop(_ link: HopLink, from node: HopNode) {
    guard let found = links[link.number], let side = found.instances.firstIndex(of: node.instance), found.isOpen[side]
    else { return }
    found.isOpen[side] = false
    deliver(link, found, to: 1 - side) { $0.broken(link) }
  }

  /// In order, and late where the path is cut: what was sent before a cut may arrive long after it.
  private func deliver(_ link: HopLink, _ found: Link, to side: Int, _ body: @escaping (HopNode) -> Void) {
    found.lastArrival[side] = max(found.lastArrival[side], now + hopDelay)
    arrive(link, found, at: found.lastArrival[side], side, body)
  }

  private func arrive(
    _ link: HopLink, _ found: Link, at moment: Instant, _ side: Int, _ body: @escaping (HopNode) -> Void
  ) {
    at(moment) { [self] in
      let (here, there) = (found.ends[side], found.ends[1 - side])
      if let until = isCut(here.address, there.address) {
        found.lastArrival[side] = max(found.lastArrival[side], until)
        return arrive(link, found, at: until, side, body)
      }
      guard here.isAlive, here.instance == found.instances[side], found.isOpen[side], !found.isLost[side] else {
        return
      }
      body(here)
    }
  }

  /// A transport breaks; what is under way on it is lost. One side may learn of it long after the other, or never.
  func breakLink() {
    let open = links.filter { $0.value.isOpen == [true, true] }.keys.sorted()
    guard !open.isEmpty, let found = links[open[pick(0...(open.count - 1))]] else { return }
    let number = links.first { $0.value === found }.map(\.key) ?? 0
    let silent = pick(0...2)
    for side in 0..<2 where side != silent {
      let node = found.ends[side]
      found.isLost[side] = true
      after(hopDelay) {
        guard node.instance == found.instances[side], node.isAlive else { return }
        found.isOpen[side] = false
        node.broken(HopLink(number))
      }
    }
    if silent < 2 { found.isLost[silent] = true }
  }

  /// The kernel of a dead process closes its connections.
  func died(_ node: HopNode, instance: String) {
    for (number, found) in links.sorted(by: { $0.key < $1.key }) {
      guard let side = found.instances.firstIndex(of: instance), found.isOpen[side] else { continue }
      found.isOpen[side] = false
      if uniform() < 0.5 { found.lastArrival[1 - side] = now }
      deliver(HopLink(number), found, to: 1 - side) { $0.broken(HopLink(number)) }
    }
  }
}

// MARK: The store

/// The directory and the states of calls, with its own clock.
final class HopStore {
  struct Key: Hashable {
    var call: Int
    var role: HopRole
  }
  struct Entry {
    var owner: HopParty?
    /// Who had it last.
    var previous: HopParty?
    var expires = Instant.zero
    var lastFence: UInt64 = 0
  }
  enum PutAnswer { case stored, stale, unreachable }

  var rate = 1.0
  /// The longest that a question, or an answer, is under way.
  var slowestUs = 2_000.0
  var downUntil = Instant.zero
  var entries: [Key: Entry] = [:]
  var states: [Key: CallState] = [:]
  /// Given up by a neighbour since the last claim.
  var reported: Set<Key> = []

  func clock(_ world: HopWorld) -> Instant { Instant(nanoseconds: Int64(Double(world.now.nanoseconds) * rate)) }

  /// Asks over a network that may lose the question or the answer.
  /// - Parameter done: nil where no answer came in time. Not called where the asker has died.
  func ask<Answer>(_ node: HopNode, _ body: @escaping (HopStore) -> Answer, done: @escaping (Answer?) -> Void) {
    let world = node.world
    let instance = node.instance
    let there = Duration.microseconds(Int64(100 + world.uniform() * slowestUs))
    let back = Duration.microseconds(Int64(100 + world.uniform() * slowestUs))
    let isUnlucky = world.uniform() < 0.005
    func isReachable() -> Bool { downUntil <= world.now && world.isCut(node.address, "store") == nil }
    func answer(_ answer: Answer?) { if node.isAlive, node.instance == instance { done(answer) } }
    world.after(there) { [self] in
      // A question that is under way when its asker dies arrives all the same.
      guard isReachable() else { return world.after(.milliseconds(250)) { answer(nil) } }
      let made = body(self)
      world.after(back) {
        if isReachable(), !isUnlucky { answer(made) } else { world.after(.milliseconds(250)) { answer(nil) } }
      }
    }
  }

  func claim(_ key: Key, _ owner: String, _ lease: Duration, _ world: HopWorld) -> CallClaim.Answer {
    let clock = clock(world)
    var entry = entries[key] ?? Entry()
    if let held = entry.owner, entry.expires > clock {
      if held.instance == owner {
        entry.expires = clock + lease
        entries[key] = entry
        return .granted(token: held.fence)
      }
      return .heldBy(held)
    }
    let previous = entry.previous
    entry.lastFence += 1
    entry.owner = HopParty(instance: owner, fence: entry.lastFence)
    entry.previous = entry.owner
    entry.expires = clock + lease
    entries[key] = entry
    world.handedOver(key, from: previous)
    reported.remove(key)
    return .granted(token: entry.lastFence)
  }

  func renew(_ key: Key, _ owner: String, _ token: UInt64, _ lease: Duration, _ world: HopWorld) -> CallClaim.Answer {
    guard entries[key]?.owner == HopParty(instance: owner, fence: token) else { return .refused }
    entries[key]?.expires = clock(world) + lease
    return .renewed
  }

  func release(_ key: Key, _ party: HopParty) -> CallClaim.Answer {
    guard entries[key]?.owner == party else { return .refused }
    entries[key]?.owner = nil
    entries[key]?.expires = .zero
    reported.insert(key)
    return .released
  }

  func orphans(_ role: HopRole, _ world: HopWorld) -> [Int] {
    let clock = clock(world)
    return entries.filter { $0.key.role == role && $0.value.expires <= clock && states[$0.key]?.isOver == false }
      .map(\.key.call).sorted()
  }

  func put(_ key: Key, _ fence: UInt64, _ state: CallState, _ world: HopWorld) -> PutAnswer {
    guard entries[key]?.lastFence == fence else { return .stale }
    world.check(key, states[key], state)
    states[key] = state
    return .stored
  }

  func isHeld(_ key: Key, _ world: HopWorld) -> Bool {
    entries[key].map { $0.owner != nil && $0.expires > clock(world) } ?? false
  }
}

/// What an owner keeps of a call.
struct CallState {
  /// Of media: the caller's keys, and what was played to the caller. Of the runtime: the record.
  var inputs: [Int] = []
  var said: [Int] = []
  var hasHungUp = false
  var isOver = false
  /// Why the call was ended without its end; nil: it was not.
  var failure: String?
  var left: HopSnapshot<Down>?
  var right: HopSnapshot<Up>?
}
