import Base
import CallLink
import Storage

/// For which calls' media one process may act: claims new ones, prolongs what it has, and takes over those of processes that have
/// died. Pure; each ``Action`` that asks the directory is answered exactly once, with nothing where no answer came.
///
/// Nobody else can say that a media process is gone, so its leases are short and are prolonged together. A directory that does not
/// answer ends no call. Whoever has lost one to another process hears it from the directory, from the peers of its hop, or from the
/// store, which refuses its writes.
public struct MediaClaims: Sendable {
  /// What a dead process's calls wait for at most, before somebody may take them.
  public static let length: Duration = .milliseconds(1_200)
  /// What is left of a lease that others may have.
  public static let moment: Duration = .milliseconds(1)
  /// Between two prolongations.
  public static let interval: Duration = .milliseconds(300)
  /// Between two questions for calls whose process is gone.
  public static let lookEvery: Duration = .milliseconds(200)
  /// Orphans that one question asks for: the calls of a process or two.
  static let page = 256
  /// Orphans that are on their way to this process at once.
  static let batch = 64
  /// Prolongations, and looks, without an answer, after which the next one waits for one: as many as fit into a lease.
  static let unanswered = 4

  public enum Action: Sendable, Hashable {
    /// Answered with ``claimed(_:_:at:)``.
    case claim(CallSeat)
    /// For ``MediaClaims/length``, or, where others may have the calls, for a millisecond. Answered with ``renewed(_:lost:at:)``.
    case renew([CallLease], forOthers: Bool, number: Int)
    /// Answered with ``looked(_:_:room:at:)``.
    case look(limit: Int, number: Int)
    case release(CallLease)
    /// Others may have it at once.
    case expire(CallLease)

    /// A new call may be served.
    case granted(CallLease)
    /// A new call is not to be served.
    case refused(CallSeat, Refusal)
    /// A call of a process that has died is this one's now: to be read from the store under the lease's token.
    case adopt(CallLease)
    /// The directory knew the lease no longer and has given a new one. Whether somebody had the call in between is for the store to
    /// say, which knows the token that was read with: something has to be written.
    case prove(CallSeat)
    /// Another process has the call.
    case lost(CallSeat)
  }

  public enum Refusal: Sendable, Hashable {
    case heldElsewhere
    case unreachable
  }

  /// What the directory says to a claim; nil in its place: nothing.
  public enum Answer: Sendable, Hashable {
    case granted(CallLease)
    case heldElsewhere
  }

  private struct Held {
    var lease: CallLease
    /// By our clock: when the directory was asked what it last agreed to.
    var provenAt: Instant
    /// On its way here from another process: nobody serves it yet.
    var isArriving = false
  }

  /// What a claim is for that has not been answered.
  private enum Claim {
    case call
    case orphan
    /// The directory has forgotten the lease, or somebody else has one.
    case again(Held)
    /// Others may have it; it is served here until they do.
    case offer(CallLease)
    /// It is of no use any more. Where it is granted, the lease is given back, or left to others.
    case nothing(forOthers: Bool)
  }

  private enum Seat {
    case claiming(Claim, askedAt: Instant)
    case held(Held)
    /// Others may have it. It is served here until they do, which the directory is asked for.
    case offered(CallLease)

    var isArriving: Bool {
      switch self {
      case .claiming(.orphan, _): true
      case .claiming(.again(let held), _), .held(let held): held.isArriving
      case .claiming, .offered: false
      }
    }
  }

  private var seats: [CallSeat: Seat] = [:]
  private var watch = OrphanWatch(length: MediaClaims.length)
  private var renewals: [Int: (leases: [CallLease], at: Instant)] = [:]
  private var number = 0
  private var renewAt = Instant.zero
  private var lookAt = Instant.zero
  private var looks: [Int: Instant] = [:]

  public init() {}

  // MARK: Calls of this process

  /// A new call.
  public mutating func claim(_ seat: CallSeat, at now: Instant) -> [Action] {
    guard seats[seat] == nil else { return [.refused(seat, .heldElsewhere)] }
    return ask(seat, .call, at: now)
  }

  private mutating func ask(_ seat: CallSeat, _ claim: Claim, at now: Instant) -> [Action] {
    seats[seat] = .claiming(claim, askedAt: now)
    return [.claim(seat)]
  }

  /// An adopted call is served from now on.
  public mutating func hold(_ lease: CallLease, at now: Instant) {
    switch seats[lease.seat] {
    case .held(var held):
      held.isArriving = false
      seats[lease.seat] = .held(held)
    case .claiming(.again(var held), let askedAt):
      held.isArriving = false
      seats[lease.seat] = .claiming(.again(held), askedAt: askedAt)
    case .claiming, .offered: break
    // Lost on its way here: the directory says so again.
    case nil: seats[lease.seat] = .held(Held(lease: lease, provenAt: now - Self.length))
    }
  }

  /// The call is over.
  public mutating func leave(_ seat: CallSeat) -> [Action] {
    switch seats.removeValue(forKey: seat) {
    case .held(let held): return [.release(held.lease)]
    case .offered(let lease): return [.release(lease)]
    case .claiming(.nothing(let forOthers), let askedAt):
      seats[seat] = .claiming(.nothing(forOthers: forOthers), askedAt: askedAt)
      return []
    case .claiming(_, let askedAt):
      seats[seat] = .claiming(.nothing(forOthers: false), askedAt: askedAt)
      return []
    case nil: return []
    }
  }

  /// This process cannot act for the call, or may not: another has read it from the store, or speaks to its peers. Where the
  /// directory does not know of that one, the call must not be left without an owner.
  public mutating func yield(_ seat: CallSeat) -> [Action] {
    switch seats.removeValue(forKey: seat) {
    case .held(let held): return [.expire(held.lease)]
    case .claiming(_, let askedAt):
      seats[seat] = .claiming(.nothing(forOthers: true), askedAt: askedAt)
      return []
    case .offered, nil: return []
    }
  }

  /// Another process is to take the call, as if this one had died; until one does, it goes on here.
  public mutating func offer(_ seat: CallSeat) -> [Action] {
    switch seats[seat] {
    case .held(let held):
      seats[seat] = .offered(held.lease)
      return [.expire(held.lease)]
    case .claiming(.again(let held), let askedAt):
      seats[seat] = .claiming(.offer(held.lease), askedAt: askedAt)
      return []
    case .claiming, .offered, nil: return []
    }
  }

  /// Whether nobody else can have the call yet, as far as our clock can tell.
  public func isProven(_ seat: CallSeat, at now: Instant) -> Bool {
    switch seats[seat] {
    case .held(let held), .claiming(.again(let held), _): now - held.provenAt < Self.length
    case .claiming, .offered, nil: false
    }
  }

  // MARK: What the directory answers

  public mutating func claimed(_ seat: CallSeat, _ answer: Answer?, at now: Instant) -> [Action] {
    guard case .claiming(let claim, let askedAt) = seats.removeValue(forKey: seat) else { return [] }
    switch (claim, answer) {
    case (.call, .granted(let lease)):
      seats[seat] = .held(Held(lease: lease, provenAt: askedAt))
      return [.granted(lease)]
    case (.call, .heldElsewhere): return [.refused(seat, .heldElsewhere)]
    case (.call, nil): return [.refused(seat, .unreachable)]
    case (.orphan, .granted(let lease)):
      seats[seat] = .held(Held(lease: lease, provenAt: askedAt, isArriving: true))
      return [.adopt(lease)]
    case (.orphan, _): return []
    case (.again(var held), .granted(let lease)):
      let isNew = lease.token != held.lease.token
      held.lease = lease
      held.provenAt = askedAt
      seats[seat] = .held(held)
      return isNew ? [.prove(seat)] : []
    case (.offer, .granted(let lease)):
      seats[seat] = .offered(lease)
      return [.expire(lease)]
    case (.again, .heldElsewhere), (.offer, .heldElsewhere): return [.lost(seat)]
    case (.again(let held), nil):
      seats[seat] = .held(held)
      return []
    case (.offer(let lease), nil):
      seats[seat] = .offered(lease)
      return []
    case (.nothing(let forOthers), .granted(let lease)): return [forOthers ? .expire(lease) : .release(lease)]
    // What was granted all the same runs out.
    case (.nothing, _): return []
    }
  }

  /// - Parameter lost: those that the directory does not know; nil: it did not answer.
  public mutating func renewed(_ number: Int, lost: [CallLease]?, at now: Instant) -> [Action] {
    guard let renewal = renewals.removeValue(forKey: number), let lost else { return [] }
    let gone = Set(lost)
    return renewal.leases.flatMap { lease -> [Action] in
      switch seats[lease.seat] {
      case .held(var held) where held.lease == lease:
        if gone.contains(lease) { return ask(lease.seat, .again(held), at: now) }
        held.provenAt = max(held.provenAt, renewal.at)
        seats[lease.seat] = .held(held)
        return []
      case .offered(lease) where gone.contains(lease): return ask(lease.seat, .offer(lease), at: now)
      default: return []
      }
    }
  }

  /// - Parameters:
  ///   - number: of the look.
  ///   - found: nil: the directory did not answer. In any order: two processes that ask for the same ones in turn get in each
  ///     other's way.
  ///   - room: calls that this process can take.
  public mutating func looked(
    _ number: Int, _ found: CallOrphans?, room: Int, at now: Instant
  ) -> [Action] {
    guard let askedAt = looks.removeValue(forKey: number) else { return [] }
    guard let found else {
      watch.failed()
      return []
    }
    watch.answered(askedAt: askedAt, at: now, clock: found.clock)
    guard watch.mayClaim(at: now), !found.leases.isEmpty else { return [] }
    let free = min(Self.batch, room) - seats.values.count { $0.isArriving }
    // One that this process has already, and could not prolong in time, is not an orphan.
    let orphans = found.leases.filter { seats[$0.seat] == nil }.prefix(max(0, free))
    return orphans.flatMap { ask($0.seat, .orphan, at: now) }
  }

  // MARK: Time

  /// When ``timeout(at:)`` wants to be called.
  public var deadline: Instant { min(renewAt, lookAt) }

  public mutating func timeout(at now: Instant) -> [Action] {
    var actions: [Action] = []
    if renewAt <= now {
      renewAt = now + Self.interval
      var held: [CallLease] = []
      var offered: [CallLease] = []
      for seat in seats.values {
        switch seat {
        case .held(let found): held.append(found.lease)
        case .offered(let lease): offered.append(lease)
        case .claiming: break
        }
      }
      if renewals.count < Self.unanswered {
        actions += renew(held, forOthers: false, at: now) + renew(offered, forOthers: true, at: now)
      }
    }
    if lookAt <= now {
      lookAt = now + Self.lookEvery
      if looks.count < Self.unanswered {
        number += 1
        looks[number] = now
        actions.append(.look(limit: Self.page, number: number))
      }
    }
    return actions
  }

  private mutating func renew(_ leases: [CallLease], forOthers: Bool, at now: Instant) -> [Action] {
    if leases.isEmpty { return [] }
    number += 1
    // In an order that a dictionary does not have, so that a run can be repeated.
    let leases = leases.sorted { $0.token < $1.token }
    renewals[number] = (leases, now)
    return [.renew(leases, forOthers: forOthers, number: number)]
  }
}
