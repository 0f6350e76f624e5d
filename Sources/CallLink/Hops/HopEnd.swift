import Base

/// Names one transport between two processes; given by whoever owns the end.
public struct HopLink: Sendable, Hashable {
  public var number: UInt64
  public init(_ number: UInt64) { self.number = number }
}

/// That a transport to a peer is wanted.
public struct HopDial: Sendable, Hashable {
  /// Attempts since the last peer that stayed.
  public var attempt: Int
  /// Where the call is, as far as is known: to be tried before any other.
  public var prefer: HopParty?
  /// Who is silent or asked to be left.
  public var avoid: HopParty?

  public init(attempt: Int, prefer: HopParty? = nil, avoid: HopParty? = nil) {
    self.attempt = attempt
    self.prefer = prefer
    self.avoid = avoid
  }
}

/// One end of one call's hop: delivers every message once and in order to whoever owns the other side, over transports
/// that break and to processes that die.
///
/// The dialling end (the left one: media of speech, speech of runtime) chooses the peer and looks for another; the
/// answering end waits. Own messages are numbered by ``send(_:)``, leave with ``flush(through:at:)`` and are repeated
/// on every new transport until the peer has settled them. An owner that is to survive its process keeps
/// ``snapshot(handled:)`` with its own state before it lets a message out (`flush`) or calls one handled
/// (``settle(through:at:)``): then whoever goes on from that state neither loses nor repeats anything. Pure: `now` in,
/// actions out.
public struct HopEnd<Outgoing: Sendable, Incoming: Sendable>: Sendable {
  public enum Side: Sendable { case dialing, answering }

  public enum Input: Sendable {
    /// The transport that was dialled is there.
    case linked(HopLink)
    /// It could not be had.
    case unreachable
    case frame(HopFrame<Incoming>, HopLink)
    case broken(HopLink)
  }

  public enum Action: Sendable {
    case dial(HopDial)
    case transmit(HopFrame<Outgoing>, HopLink)
    /// Closes the transport once what was transmitted is out. Nothing that still comes from it counts.
    case drop(HopLink)
    /// To be handled, then ``HopEnd/settle(through:at:)``.
    case deliver(Numbered<Incoming>)
    case met(HopMeeting, HopParty)
    /// No peer for now; another is looked for, or waited for.
    case lost
    /// The peer has given something to keep (``HopSnapshot/memory``): once it is safe,
    /// ``HopEnd/keptMemory(through:at:)``.
    case remember(HopMemory.ID)
    /// The neighbour keeps the memory of this number; those before it are of no use any more.
    case kept(UInt64)
    /// Nothing follows. The peer's reason, where it gave one.
    case ended(HopEnding, HopClose?)
  }

  enum Phase: Sendable {
    case detached(since: Instant)
    case attached(HopLink, since: Instant)
    case ended
  }

  /// Of the dialling end: a transport that is not a peer yet.
  enum Candidate: Sendable {
    case none
    case waiting(until: Instant)
    case dialing(until: Instant)
    case opening(HopLink, until: Instant)
  }

  public let side: Side
  public let me: HopParty
  public let session: SessionID
  public private(set) var counts = HopCounts()
  /// The newest owner of the other side.
  public internal(set) var peer: HopParty?
  let limits: HopLimits
  let version: HopVersion
  var phase: Phase
  var candidate = Candidate.none
  var outbox: HopOutbox<Outgoing>
  /// Everything through this number has been delivered, or handled.
  var received: UInt64
  var settled: UInt64
  var granted: UInt64 = 0
  /// Whether the numbers are to be taken from the peer.
  var isForgetful: Bool
  var attempts = 0
  var refusal: HopClose?
  /// Of the dialling end: what it keeps for the peer's successor. Of the answering end: the latest that it gave and
  /// that is not said to be kept yet.
  var memory: HopMemory?
  /// Of the answering end: memories that it has given.
  private var memoryNumber: UInt64 = 0
  /// Of the answering end: the predecessor's memory that it began with.
  var origin: HopMemory.ID?
  /// Whether there has been a peer in this process's life.
  private(set) var hasMet = false
  private var heardAt: Instant
  private var hasPinged = false
  private var isOverfull = false
  private var isFinishing = false
  var isPeerLeaving = false
  var isLeaving = false

  /// - Parameters:
  ///   - me: this process and the token under which it owns its side of the call.
  ///   - snapshot: what a predecessor left; nil for the first owner. It settles nothing and lets nothing out by itself:
  ///     a snapshot that came from the neighbour is safe only when the neighbour has kept this owner's own first
  ///     memory.
  ///   - isForgetful: a successor that has no snapshot.
  public init(
    _ side: Side, session: SessionID, me: HopParty, limits: HopLimits = HopLimits(), version: HopVersion = .current,
    restoring snapshot: HopSnapshot<Outgoing>? = nil, isForgetful: Bool = false, at now: Instant
  ) {
    self.side = side
    self.session = session
    self.me = me
    self.limits = limits
    self.version = version
    self.isForgetful = isForgetful
    outbox = HopOutbox(restoring: snapshot?.kept ?? [], next: snapshot?.next ?? 1)
    received = snapshot?.received ?? 0
    settled = 0
    peer = snapshot?.peer
    memory = side == .dialing ? snapshot?.memory : nil
    phase = .detached(since: now)
    heardAt = now
  }

  // MARK: What the owner sees

  public var isAttached: Bool { link != nil }
  /// The transport to the peer; nil without one.
  public var link: HopLink? { if case .attached(let link, _) = phase { link } else { nil } }
  public var hasEnded: Bool { if case .ended = phase { true } else { false } }
  /// The number of the last own message.
  public var lastSent: UInt64 { outbox.next - 1 }
  /// When a frame of the peer came last; nil without a peer.
  public var lastHeard: Instant? { isAttached ? heardAt : nil }
  /// Own messages that the peer has not settled.
  public var unsettled: Int { outbox.kept.count }

  /// What a successor needs, if the owner's state goes with it. It counts as sent what was given to ``send(_:)``.
  /// - Parameter handled: the number of the last message that the owner's state has seen.
  public func snapshot(handled: UInt64) -> HopSnapshot<Outgoing> {
    HopSnapshot(
      received: handled, next: outbox.next, kept: outbox.kept, peer: peer,
      memory: side == .dialing ? memory : nil)
  }

  // MARK: What the owner does

  /// Looks for the first peer. Of the dialling end, once.
  public mutating func start(at now: Instant) -> [Action] {
    var out: [Action] = []
    if side == .dialing { dial(prefer: peer, at: now, &out) }
    return out
  }

  /// Numbers a message. It leaves with ``flush(through:at:)``.
  @discardableResult
  public mutating func send(_ message: Outgoing) -> UInt64 {
    guard outbox.kept.count < limits.kept, !hasEnded else {
      isOverfull = true
      return outbox.next
    }
    return outbox.append(message)
  }

  /// Lets out messages through a number, or all: the state that remembers having sent them is safe.
  public mutating func flush(through number: UInt64? = nil, at now: Instant) -> [Action] {
    var out: [Action] = []
    guard !hasEnded else { return out }
    if isOverfull {
      end(.overflow, saying: HopClose(.unavailable, message: "too much could not be delivered"), &out)
      return out
    }
    outbox.release(through: number ?? lastSent)
    pump(&out)
    return out
  }

  /// Messages through this number have been handled, and will never be needed again.
  public mutating func settle(through number: UInt64, at now: Instant) -> [Action] {
    settled = max(settled, min(number, received))
    guard case .attached(let link, _) = phase else { return [] }
    return [acknowledge(link)]
  }

  /// Asks the neighbour to keep bytes for this end's successor, in the place of those before. Of the answering end.
  /// What is transmitted after it arrives after it.
  /// - Parameter bytes: at most ``HopMemory/byteLimit``; more ends the hop.
  /// - Returns: the number of the memory, which comes back as ``Action/kept(_:)``.
  public mutating func keep(at now: Instant, _ bytes: [UInt8]) -> (number: UInt64, actions: [Action]) {
    var out: [Action] = []
    guard side == .answering, !hasEnded else { return (memoryNumber, out) }
    guard bytes.count <= HopMemory.byteLimit else {
      end(.overflow, saying: HopClose(.unavailable, message: "its memory is too large"), &out)
      return (memoryNumber, out)
    }
    memoryNumber += 1
    let memory = HopMemory(id: HopMemory.ID(fence: me.fence, number: memoryNumber), bytes: bytes)
    self.memory = memory
    if case .attached(let link, _) = phase { out.append(.transmit(.keep(memory), link)) }
    return (memoryNumber, out)
  }

  /// The peer's memory is as safe as this end's own state. Of the dialling end.
  public mutating func keptMemory(_ id: HopMemory.ID, at now: Instant) -> [Action] {
    guard case .attached(let link, _) = phase, let memory, id <= memory.id, id.fence == peer?.fence else { return [] }
    return [.transmit(.kept(id), link)]
  }

  /// The latest of the peer's memories; nil for none.
  public var latestMemory: HopMemory.ID? { side == .dialing ? memory?.id : nil }

  /// Asks the dialler to go elsewhere. Of the answering end, whose process is on the way out.
  public mutating func leave(at now: Instant) -> [Action] {
    guard side == .answering, !hasEnded else { return [] }
    isLeaving = true
    guard case .attached(let link, _) = phase else { return [] }
    return [.transmit(.leave, link)]
  }

  /// Says that no message follows: ends the hop when everything is settled.
  public mutating func finish(at now: Instant) -> [Action] {
    isFinishing = true
    return flush(at: now)
  }

  /// Ends the hop now, whatever is under way.
  public mutating func close(_ reason: HopClose, at now: Instant) -> [Action] {
    var out: [Action] = []
    end(.closed, saying: reason, &out)
    return out
  }

  /// Something else than a frame shows that the peer lives: audio on the transport.
  public mutating func heard(at now: Instant) {
    heardAt = max(heardAt, now)
    hasPinged = false
  }

  // MARK: What happens

  public mutating func receive(_ input: Input, at now: Instant) -> [Action] {
    var out: [Action] = []
    switch input {
    case .linked(let link): linked(link, at: now, &out)
    case .unreachable: if case .dialing = candidate { attemptFailed(at: now, &out) }
    case .broken(let link): broken(link, at: now, &out)
    case .frame(let frame, let link): receive(frame, link, at: now, &out)
    }
    return out
  }

  private mutating func receive(_ frame: HopFrame<Incoming>, _ link: HopLink, at now: Instant, _ out: inout [Action]) {
    if case .attached(link, _) = phase { return receiveAttached(frame, link, at: now, &out) }
    if case .opening(link, _) = candidate { return receiveAnswer(frame, link, at: now, &out) }
    if case .open(let open) = frame, side == .answering { return answer(open, link, at: now, &out) }
    // Of a transport that has been given up.
  }

  private mutating func receiveAttached(
    _ frame: HopFrame<Incoming>, _ link: HopLink, at now: Instant, _ out: inout [Action]
  ) {
    heard(at: now)
    switch frame {
    case .message(let message): receive(message, link, at: now, &out)
    case .ack(let through, let mayReach):
      guard mayReach < 2 * HopPlace.limit, outbox.settle(through: through) else { return violation(&out) }
      outbox.allow(through: mayReach)
      pump(&out)
    case .keep(let memory):
      guard side == .dialing, memory.bytes.count <= HopMemory.byteLimit else { return violation(&out) }
      guard memory.id.fence == peer?.fence else { return violation(&out) }
      if memory.id > latestMemory ?? .none { self.memory = memory }
      out.append(.remember(memory.id))
    case .kept(let id):
      guard side == .answering, id.fence == me.fence, id.number <= memoryNumber else { return violation(&out) }
      if let memory, memory.id <= id { self.memory = nil }
      out.append(.kept(id.number))
    case .ping: out.append(.transmit(.pong, link))
    case .pong: break
    case .leave:
      isPeerLeaving = true
      if side == .dialing, case .none = candidate { dial(avoid: peer, at: now, &out) }
    case .close(let close): closed(close, at: now, &out)
    case .open, .opened: violation(&out)
    }
  }

  private mutating func receive(
    _ message: Numbered<Incoming>, _ link: HopLink, at now: Instant, _ out: inout [Action]
  ) {
    guard message.sequence > received else { return counts.duplicates += 1 }
    guard message.sequence == received + 1 else {
      // A transport that loses something is no transport: on the next one the peer repeats it.
      counts.gaps += 1
      out.append(.drop(link))
      return detach(prefer: peer, at: now, &out)
    }
    guard message.sequence <= granted else { return violation(&out) }
    received += 1
    out.append(.deliver(message))
  }

  private mutating func closed(_ close: HopClose, at now: Instant, _ out: inout [Action]) {
    guard case .attached(let link, _) = phase else { return }
    if let ending = close.reason.ending { return end(ending, because: close, &out) }
    refusal = close
    out.append(.drop(link))
    detach(avoid: peer, at: now, &out)
  }

  // MARK: Transports

  private mutating func broken(_ link: HopLink, at now: Instant, _ out: inout [Action]) {
    if case .attached(link, _) = phase {
      detach(prefer: isPeerLeaving ? nil : peer, at: now, &out)
    } else if case .opening(link, _) = candidate {
      attemptFailed(at: now, &out)
    }
  }

  /// The peer is out of reach.
  mutating func detach(
    prefer: HopParty? = nil, avoid: HopParty? = nil, at now: Instant, _ out: inout [Action]
  ) {
    guard case .attached(_, let since) = phase else { return }
    counts.breaks += 1
    // Peers that accept a call and drop it at once must not be asked without a pause.
    if now - since >= limits.retryAtMost { attempts = 0 }
    phase = .detached(since: now)
    isPeerLeaving = false
    out.append(.lost)
    if isFinishing, outbox.isSettled { return end(.over, saying: nil, &out) }
    guard side == .dialing else { return }
    switch candidate {
    case .none, .waiting: dial(prefer: prefer, avoid: avoid, at: now, &out)
    case .dialing, .opening: break
    }
  }

  mutating func pump(_ out: inout [Action]) {
    guard case .attached(let link, _) = phase else {
      if isFinishing, outbox.isSettled { end(.over, saying: nil, &out) }
      return
    }
    while let (message, isRepeated) = outbox.take() {
      if isRepeated { counts.repeated += 1 }
      out.append(.transmit(.message(message), link))
    }
    if isFinishing, outbox.isSettled { end(.over, saying: HopClose(.over), &out) }
  }

  mutating func acknowledge(_ link: HopLink) -> Action {
    granted = max(granted, settled + limits.window)
    return .transmit(.ack(through: settled, mayReach: granted), link)
  }

  mutating func violation(_ out: inout [Action]) { end(.violation, saying: HopClose(.violation), &out) }

  mutating func end(
    _ ending: HopEnding, saying close: HopClose? = nil, because reason: HopClose? = nil, _ out: inout [Action]
  ) {
    guard !hasEnded else { return }
    if case .attached(let link, _) = phase {
      if let close { out.append(.transmit(.close(close), link)) }
      out.append(.drop(link))
    }
    if case .opening(let link, _) = candidate { out.append(.drop(link)) }
    candidate = .none
    phase = .ended
    out.append(.ended(ending, reason))
  }

  mutating func attach(_ link: HopLink, to party: HopParty, _ meeting: HopMeeting, at now: Instant) {
    phase = .attached(link, since: now)
    candidate = .none
    hasMet = true
    peer = party
    refusal = nil
    isPeerLeaving = false
    heard(at: now)
    switch meeting {
    case .first: break
    case .resumed: counts.resumed += 1
    case .replaced, .forgetful: counts.replaced += 1
    }
  }

  mutating func countStale() { counts.stale += 1 }

  // MARK: Time

  /// When ``timeout(at:)`` wants to be called; nil: never.
  public var deadline: Instant? {
    var earliest: Instant?
    func consider(_ at: Instant) { earliest = min(earliest ?? at, at) }
    switch phase {
    case .ended: return nil
    case .detached(let since): consider(since + limits.outage)
    case .attached: consider(heardAt + (hasPinged ? limits.silence : limits.pingAfter))
    }
    switch candidate {
    case .none: break
    case .waiting(let until), .dialing(let until), .opening(_, let until): consider(until)
    }
    return earliest
  }

  public mutating func timeout(at now: Instant) -> [Action] {
    var out: [Action] = []
    switch phase {
    case .ended: return out
    case .detached(let since):
      if now - since >= limits.outage {
        end(.outage, because: refusal, &out)
        return out
      }
    case .attached(let link, _):
      let quiet = now - heardAt
      if quiet >= limits.silence {
        out.append(.drop(link))
        detach(avoid: peer, at: now, &out)
      } else if quiet >= limits.pingAfter, !hasPinged {
        hasPinged = true
        out.append(.transmit(.ping, link))
      }
    }
    switch candidate {
    case .none: break
    case .waiting(let until): if until <= now { redial(at: now, &out) }
    case .dialing(let until), .opening(_, let until): if until <= now { attemptFailed(at: now, &out) }
    }
    return out
  }
}
