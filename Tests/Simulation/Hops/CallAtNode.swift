import Base
import CallLink

/// One call in one process: the real ends and the real lease, around a small model of its role.
///
/// Media takes keys of the caller and plays; speech passes on; the runtime writes a record and says what follows from
/// it. Each lets nothing out, and calls nothing handled, before the state that remembers it is safe: in the store, or
/// with the left neighbour (speech).
final class CallAtNode {
  let number: Int
  unowned let node: HopNode
  private let world: HopWorld
  private(set) var lease: CallClaim
  private var left: HopEnd<Down, Up>?
  private var right: HopEnd<Up, Down>?
  private var state = CallState()
  private var pending: (open: HopOpen, link: HopLink)?
  private var isGone = false
  private var isFailing = false
  private var leftHandled: UInt64 = 0
  private var rightHandled: UInt64 = 0
  private var armed: Instant?

  /// A state that is on its way to safety, and what may happen once it is there.
  private struct Cut {
    var state: CallState
    var leftHandled: UInt64
    var leftSent: UInt64
    var rightHandled: UInt64
    var rightSent: UInt64
    var memory: HopMemory.ID?
  }
  private var isDirty = false
  private var isWriting = false
  private var memories: [(number: UInt64, cut: Cut)] = []

  init(_ number: Int, _ node: HopNode) {
    self.number = number
    self.node = node
    world = node.world
    lease = CallClaim(owner: node.instance, length: Self.length(node.role))
  }

  private static func length(_ role: HopRole) -> Duration {
    role == .media ? HopWorld.mediaLease : HopWorld.otherLease
  }

  private var role: HopRole { node.role }
  private var key: HopStore.Key { HopStore.Key(call: number, role: role) }
  private var session: SessionID { SessionID("\(number)") }
  private var isLive: Bool { !isGone && node.isAlive && node.calls[number] === self }
  var counts: [HopCounts] { [left?.counts, right?.counts].compactMap { $0 } }
  var description: String {
    "\(node.instance) lease \(lease.token ?? 0) left \(left?.phase ?? "-") right \(right?.phase ?? "-") \(state)"
  }

  private var limits: HopLimits { HopLimits(outage: role == .media ? .seconds(30) : .seconds(20)) }
  private var leftLimits: HopLimits { HopLimits(outage: .seconds(40)) }

  // MARK: Owning the call

  func claim(replacing party: HopParty?) {
    lease = CallClaim(owner: node.instance, length: Self.length(role), replaces: party)
    perform(lease.start(at: node.local))
    arm()
  }

  func opened(_ open: HopOpen, _ link: HopLink) {
    pending = (open, link)
    claim(replacing: open.replaces)
  }

  private func perform(_ actions: [CallClaim.Action]) {
    for action in actions where isLive {
      switch action {
      case .ask(let request):
        let key = self.key
        let owner = node.instance
        world.store.ask(node) { [world] store in
          switch request.command {
          case .claim(let length): store.claim(key, owner, length, world)
          case .renew(let token, let length): store.renew(key, owner, token, length, world)
          case .release(let party): store.release(key, party)
          }
        } done: { [self] answer in
          guard isLive else { return }
          perform(lease.receive(answer ?? .unreachable, to: request.number, at: node.local))
          arm()
        }
      case .held(let token): load(token)
      case .stop(let stop):
        if let pending {
          var holder: HopParty?
          if case .heldBy(let party) = stop { holder = party }
          world.transmit(.down(.close(HopClose(.heldElsewhere, holder: holder))), pending.link, from: node)
          world.drop(pending.link, from: node)
        }
        dispose(HopClose(.unavailable))
      }
    }
  }

  private func load(_ token: UInt64) {
    if role == .speech {
      let found = pending?.open.memory.map { world.memory($0.bytes) }
      return begin(token, found)
    }
    let key = self.key
    world.store.ask(node) {
      $0.states[key]
    } done: { [self] found in
      guard isLive else { return }
      guard let found else {
        world.after(.milliseconds(50)) { [self] in if isLive { load(token) } }
        return
      }
      begin(token, found)
    }
  }

  private func begin(_ token: UInt64, _ found: CallState?) {
    guard lease.token == token else { return }
    let me = HopParty(instance: node.instance, fence: token)
    if let found { state = found }
    if state.isOver {
      if let pending {
        world.transmit(.down(.close(HopClose(.over))), pending.link, from: node)
        world.drop(pending.link, from: node)
      }
      return dispose(nil)
    }
    if !role.isLeftmost {
      left = HopEnd(.answering, session: session, me: me, limits: leftLimits, restoring: state.left, at: node.local)
      leftHandled = state.left?.received ?? 0
    }
    if !role.isRightmost {
      right = HopEnd(.dialing, session: session, me: me, limits: limits, restoring: state.right, at: node.local)
      rightHandled = state.right?.received ?? 0
    }
    if role.isLeftmost { world.calls[number].media = self }
    if let pending {
      self.pending = nil
      receive(.up(.open(pending.open)), pending.link)
    }
    update(\.right) { $0.start(at: self.node.local) }
    changed()
  }

  /// Stops without a word to the call itself: it is another's, or over.
  private func dispose(_ close: HopClose?) {
    guard !isGone else { return }
    if let close {
      update(\.left) { $0.close(close, at: self.node.local) }
      update(\.right) { $0.close(close, at: self.node.local) }
    }
    isGone = true
    world.count(self)
    if node.calls[number] === self { node.calls[number] = nil }
    if let party = lease.release() {
      let key = self.key
      world.store.ask(node) {
        $0.release(key, party)
      } done: { _ in
      }
    }
  }

  func leave() { update(\.left) { $0.leave(at: self.node.local) } }

  // MARK: Transports

  func receive(_ wire: Wire, _ link: HopLink) {
    guard isLive else { return }
    switch wire {
    case .up(let frame):
      if left == nil {
        // Still claiming: the newest dialler counts.
        if case .open(let open) = frame { pending = (open, link) }
        return
      }
      update(\.left) { $0.receive(.frame(frame, link), at: self.node.local) }
      if left?.isAttached == true { lease.vouch(at: node.local) }
    case .down(let frame): update(\.right) { $0.receive(.frame(frame, link), at: self.node.local) }
    }
    arm()
  }

  func broken(_ link: HopLink) {
    guard isLive else { return }
    update(\.left) { $0.receive(.broken(link), at: self.node.local) }
    update(\.right) { $0.receive(.broken(link), at: self.node.local) }
    arm()
  }

  private func update<Outgoing, Incoming>(
    _ end: ReferenceWritableKeyPath<CallAtNode, HopEnd<Outgoing, Incoming>?>,
    _ body: (inout HopEnd<Outgoing, Incoming>) -> [HopEnd<Outgoing, Incoming>.Action]
  ) {
    guard isLive, var value = self[keyPath: end] else { return }
    let actions = body(&value)
    self[keyPath: end] = value
    for action in actions {
      guard isLive else { return }
      if let left = world.actionsUntilDeath {
        world.actionsUntilDeath = left - 1
        if left == 0 { return node.die(bootAfter: .milliseconds(Int64(world.pick(500...3_000)))) }
      }
      if let action = action as? HopEnd<Down, Up>.Action { perform(action) }
      if let action = action as? HopEnd<Up, Down>.Action { perform(action) }
    }
    arm()
  }

  private func expect(_ sequence: UInt64, after handled: UInt64) {
    if sequence != handled + 1 { world.fail("\(node.instance) was given message \(sequence) after \(handled)") }
  }

  // MARK: The left end

  private func perform(_ action: HopEnd<Down, Up>.Action) {
    switch action {
    case .dial, .met, .remember: break
    case .transmit(let frame, let link): world.transmit(.down(frame), link, from: node)
    case .drop(let link): world.drop(link, from: node)
    case .deliver(let message):
      expect(message.sequence, after: leftHandled)
      leftHandled = message.sequence
      heard(message.message)
      changed()
    case .lost: reportDeath()
    case .kept(let number):
      guard let last = memories.lastIndex(where: { $0.number <= number }) else { break }
      let cut = memories[last].cut
      memories.removeFirst(last + 1)
      settleRight(cut)
    case .ended(let ending, let close):
      switch ending {
      case .over: if role.isRightmost || right?.hasEnded == true { dispose(HopClose(.over)) }
      case .superseded, .closed: dispose(HopClose(.unavailable))
      default: fail(ending, close)
      }
    }
  }

  /// The process that held the call's media is perhaps dead: if it does not come back, others may take the call.
  private func reportDeath() {
    guard role == .speech, let party = left?.peer else { return }
    world.after(.milliseconds(600)) { [self] in
      guard isLive, left?.isAttached == false, left?.hasEnded == false, left?.peer == party else { return }
      let key = HopStore.Key(call: number, role: .media)
      world.store.ask(node) {
        $0.release(key, party)
      } done: { _ in
      }
    }
  }

  private func heard(_ message: Up) {
    if role == .speech {
      right?.send(message)
      if message == .hangup { state.hasHungUp = true }
      return
    }
    switch message {
    case .key(let key):
      state.inputs.append(key)
      for say in HopCall.answers(to: key) { left?.send(.say(say)) }
    case .hangup:
      state.hasHungUp = true
      state.isOver = true
    }
  }

  // MARK: The right end

  private func perform(_ action: HopEnd<Up, Down>.Action) {
    switch action {
    case .dial(let dial): self.dial(dial)
    case .met(_, let party): node.choice.succeeded(Self.address(party))
    case .transmit(let frame, let link): world.transmit(.up(frame), link, from: node)
    case .drop(let link): world.drop(link, from: node)
    case .deliver(let message):
      expect(message.sequence, after: rightHandled)
      rightHandled = message.sequence
      switch message.message {
      case .say(let say):
        if role == .speech { left?.send(.say(say)) } else { state.said.append(say) }
      }
      changed()
    case .lost: break
    case .remember: changed()
    case .kept: break
    case .ended(let ending, let close):
      switch ending {
      case .over:
        if role.isLeftmost {
          state.isOver = true
          if !state.hasHungUp { state.failure = HopEnding.over.rawValue }
          changed()
        } else if state.hasHungUp {
          // Everything of the call has been said to the right: now the left neighbour may forget it.
          let handled = leftHandled
          update(\.left) { $0.settle(through: handled, at: self.node.local) }
          update(\.left) { $0.finish(at: self.node.local) }
          if left?.hasEnded == true { dispose(nil) }
        } else {
          dispose(HopClose(.over))
        }
      case .superseded, .closed: dispose(HopClose(.unavailable))
      default: fail(ending, close)
      }
    }
  }

  private static func address(_ party: HopParty) -> String { String(party.instance.prefix { $0 != "/" }) }

  private func dial(_ dial: HopDial) {
    let now = node.local
    var address = dial.prefer.map(Self.address)
    if address == nil {
      let avoided = Set(dial.avoid.map { [Self.address($0)] } ?? [])
      if case .peer(let chosen) = node.choice.choose(avoiding: avoided, at: now) { address = chosen }
    }
    let isLive = { [weak self] in self?.isLive ?? false }
    guard let address else {
      world.after(.milliseconds(20)) { [self] in
        if isLive() { update(\.right) { $0.receive(.unreachable, at: self.node.local) } }
      }
      return
    }
    world.dial(node, address) { [self] link in
      if let link {
        node.own(link, self)
        guard isLive() else { return world.drop(link, from: node) }
        update(\.right) { $0.receive(.linked(link), at: self.node.local) }
      } else {
        node.choice.failed(address, at: node.local)
        if isLive() { update(\.right) { $0.receive(.unreachable, at: self.node.local) } }
      }
    }
  }

  // MARK: The caller

  func press(_ key: Int) {
    guard isLive, role == .media, right != nil, !state.hasHungUp, !state.isOver else { return }
    state.inputs.append(key)
    right?.send(.key(key))
    changed()
  }

  func hangUp() {
    guard isLive, role == .media, right != nil, !state.hasHungUp, !state.isOver else { return }
    state.hasHungUp = true
    right?.send(.hangup)
    changed()
  }

  var said: [Int] { state.said }
  var inputs: [Int] { state.inputs }

  private func hungUp() {
    switch role {
    case .media, .speech: update(\.right) { $0.finish(at: self.node.local) }
    case .runtime: update(\.left) { $0.finish(at: self.node.local) }
    }
  }

  /// The call cannot go on: whoever owns it ends it, politely.
  private func fail(_ ending: HopEnding, _ close: HopClose?) {
    guard !isFailing else { return }
    isFailing = true
    switch role {
    case .media, .runtime:
      if role == .runtime || !state.hasHungUp { state.failure = ending == .failed ? close?.message : ending.rawValue }
      state.isOver = true
      changed()
    case .speech:
      dispose(HopClose(.failed, message: close?.reason == .failed ? close?.message ?? "" : ending.rawValue))
    }
  }

  // MARK: Safety first

  private func changed() {
    guard isLive else { return }
    isDirty = true
    if !isWriting { save() }
  }

  private func save() {
    guard isDirty, isLive, let token = lease.token else { return }
    isDirty = false
    state.left = left?.snapshot(handled: leftHandled)
    state.right = right?.snapshot(handled: rightHandled)
    let cut = Cut(
      state: state, leftHandled: leftHandled, leftSent: left?.lastSent ?? 0, rightHandled: rightHandled,
      rightSent: right?.lastSent ?? 0, memory: right?.latestMemory)
    if role == .speech {
      var number: UInt64 = 0
      let bytes = world.remember(state)
      update(\.left) { left in
        let kept = left.keep(at: self.node.local, bytes)
        number = kept.number
        return kept.actions
      }
      memories.append((number, cut))
      // It arrives behind the memory of it.
      return settleLeft(cut)
    }
    isWriting = true
    let key = self.key
    world.store.ask(node) { [world] in
      $0.put(key, token, cut.state, world)
    } done: { [self] answer in
      isWriting = false
      guard isLive else { return }
      switch answer ?? .unreachable {
      case .stored:
        settleLeft(cut)
        settleRight(cut)
        if cut.state.hasHungUp { hungUp() }
        if cut.state.isOver, role == .media || cut.state.failure != nil || left?.hasEnded == true {
          return dispose(HopClose(.over))
        }
        save()
      case .stale: dispose(HopClose(.unavailable))
      case .unreachable:
        isDirty = true
        world.after(.milliseconds(50)) { [self] in if !isWriting { save() } }
      }
    }
  }

  private func settleLeft(_ cut: Cut) {
    // The end of a call is handled when it has been passed on: until then the neighbour's memory is needed.
    let through = role == .speech && cut.state.hasHungUp ? cut.leftHandled - 1 : cut.leftHandled
    update(\.left) { $0.settle(through: through, at: self.node.local) }
    update(\.left) { $0.flush(through: cut.leftSent, at: self.node.local) }
  }

  private func settleRight(_ cut: Cut) {
    if let memory = cut.memory { update(\.right) { $0.keptMemory(memory, at: self.node.local) } }
    update(\.right) { $0.settle(through: cut.rightHandled, at: self.node.local) }
    update(\.right) { $0.flush(through: cut.rightSent, at: self.node.local) }
    if role == .speech, cut.state.hasHungUp { hungUp() }
  }

  // MARK: Time

  private func arm() {
    guard isLive else { return }
    guard let next = [lease.deadline, left?.deadline, right?.deadline].compactMap({ $0 }).min() else { return }
    let moment = node.worldTime(next)
    if let armed, armed <= moment, armed > world.now { return }
    armed = moment
    world.at(moment) { [weak self] in
      guard let self, armed == moment else { return }
      armed = nil
      guard isLive else { return }
      let now = node.local
      if let deadline = lease.deadline, deadline <= now { perform(lease.timeout(at: now)) }
      if let deadline = left?.deadline, deadline <= now { update(\.left) { $0.timeout(at: now) } }
      if let deadline = right?.deadline, deadline <= now { update(\.right) { $0.timeout(at: now) } }
      arm()
    }
  }
}

extension HopEnd {
  fileprivate var phase: String { hasEnded ? "ended" : isAttached ? peer?.description ?? "" : "detached" }
}
