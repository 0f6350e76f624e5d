import Base

/// One process's claim to one role of one call: a lease in a directory that all processes share, and the fencing token
/// that goes with it.
///
/// The directory is four commands; expiry is by its own clock, and tokens of one call and role only grow:
/// - `claim(session, owner, lease)`: a new, higher token where nobody holds an unexpired lease; the same token again
///   where `owner` itself holds it; otherwise who does.
/// - `renew(session, owner, token, lease)`: refused where another token has been given since, or the lease was forgotten.
/// - `release(session, owner, token)`: nothing where the token is not the current one.
/// - `orphans(role)`: calls whose lease has expired.
///
/// Here is what the owner does with them, by its own clock alone: it counts its lease from the moment it *asked*, and
/// less a margin for a clock that runs slow, so that it has stopped before anybody else can be given the call. Pure.
public struct CallClaim: Sendable {
  /// A command for the directory. One is under way at a time; a newer one makes the answer to an older one worthless.
  public struct Request: Sendable, Hashable {
    public enum Command: Sendable, Hashable {
      case claim(lease: Duration)
      case renew(token: UInt64, lease: Duration)
      /// Of the owner that a neighbour has left.
      case release(HopParty)
    }
    /// Comes back with the answer.
    public var number: Int
    public var command: Command
  }

  public enum Action: Sendable, Hashable {
    case ask(Request)
    /// The call may be served under this token.
    case held(token: UInt64)
    /// Nothing may be done for the call from now on.
    case stop(Stop)
  }

  public enum Stop: Sendable, Hashable {
    /// It is another's; nil where the directory did not say whose.
    case heldBy(HopParty?)
    /// The directory has not answered in time.
    case unproven
  }

  public enum Answer: Sendable, Hashable {
    case granted(token: UInt64)
    case heldBy(HopParty)
    case renewed
    /// The token is not the current one.
    case refused
    case released
    /// No answer, or an error: it may have been done or not.
    case unreachable
  }

  private enum Phase: Sendable {
    case idle
    case claiming(until: Instant)
    case held(token: UInt64, until: Instant)
    case over
  }

  public let owner: String
  public let length: Duration
  /// Whom the neighbour has left: where the directory still names this one as owner, it is released.
  private let replaces: HopParty?
  private var phase = Phase.idle
  private var asked: (request: Request, at: Instant)?
  private var askAt = Instant.zero
  private var vouchedAt: Instant?
  private var requests = 0

  /// - Parameters:
  ///   - owner: this process's instance.
  ///   - length: of the lease; renewed at a third of it.
  ///   - replaces: ``HopOpen/replaces``.
  public init(owner: String, length: Duration, replaces: HopParty? = nil) {
    self.owner = owner
    self.length = length
    self.replaces = replaces
  }

  /// What a clock may run slow by, and what a process may be late in stopping: a tenth.
  private var usable: Duration { length - length / 10 }

  /// nil: the call is not held.
  public var token: UInt64? { if case .held(let token, _) = phase { token } else { nil } }

  public mutating func start(at now: Instant) -> [Action] {
    guard case .idle = phase else { return [] }
    phase = .claiming(until: now + length)
    return ask(.claim(lease: length), at: now)
  }

  private mutating func ask(_ command: Request.Command, at now: Instant) -> [Action] {
    requests += 1
    let request = Request(number: requests, command: command)
    asked = (request, now)
    // A command without an answer for so long is asked again.
    askAt = now + length / 3
    return [.ask(request)]
  }

  /// What the directory answered.
  /// - Parameter number: of the request.
  public mutating func receive(_ answer: Answer, to number: Int, at now: Instant) -> [Action] {
    guard let (request, askedAt) = asked, request.number == number else { return [] }
    asked = nil
    askAt = askedAt + length / 3
    switch (phase, request.command, answer) {
    case (.claiming, .claim, .granted(let token)):
      phase = .held(token: token, until: askedAt + usable)
      return [.held(token: token)]
    case (.claiming, .claim, .heldBy(let holder)):
      if holder == replaces { return ask(.release(holder), at: now) }
      return stop(.heldBy(holder))
    case (.claiming, .release, .released), (.claiming, .release, .refused):
      return ask(.claim(lease: length), at: now)
    case (.held(let token, let until), .renew, .renewed):
      phase = .held(token: token, until: max(until, askedAt + usable))
      return []
    case (.held, .renew, .refused):
      // A directory that comes back empty, or without its last words, has forgotten whose the call is. While the neighbour
      // talks to us nobody else has taken it, and a directory that knows better will say so.
      guard let vouchedAt, vouchedAt >= askedAt else { return stop(.heldBy(nil)) }
      return ask(.claim(lease: length), at: now)
    case (.held(_, let until), .claim, .granted(let token)):
      phase = .held(token: token, until: max(until, askedAt + usable))
      return []
    case (.held, .claim, .heldBy(let holder)): return stop(.heldBy(holder))
    default:
      // Soon again: what was asked may have been done, which changes nothing for the next time.
      askAt = now + length / 12
      return []
    }
  }

  private mutating func stop(_ reason: Stop) -> [Action] {
    phase = .over
    asked = nil
    return [.stop(reason)]
  }

  /// The left neighbour talks to this process as the owner of the call. As long as it does, it has not let anybody else
  /// take it: a directory out of reach, or one that has forgotten the call, ends none then. Of no use to the leftmost role, which answers to the
  /// directory alone.
  public mutating func vouch(at now: Instant) {
    guard case .held(let token, let until) = phase else { return }
    vouchedAt = now
    phase = .held(token: token, until: max(until, now + usable))
  }

  /// Ends the lease. What is returned is to be released in the directory: nobody has to wait for its end then.
  public mutating func release() -> HopParty? {
    defer { phase = .over }
    return token.map { HopParty(instance: owner, fence: $0) }
  }

  public var deadline: Instant? {
    switch phase {
    case .idle, .over: nil
    case .claiming(let until), .held(_, let until): min(until, askAt)
    }
  }

  public mutating func timeout(at now: Instant) -> [Action] {
    switch phase {
    case .idle, .over: return []
    case .claiming(let until):
      if until <= now { return stop(.unproven) }
      guard askAt <= now else { return [] }
      return ask(asked?.request.command ?? .claim(lease: length), at: now)
    case .held(let token, let until):
      if until <= now { return stop(.unproven) }
      return askAt <= now ? ask(.renew(token: token, lease: length), at: now) : []
    }
  }
}

/// Whether a process may take calls whose leases have expired: only once the directory has answered it without a gap
/// for as long as a lease, and its clock has not jumped meanwhile. After an outage of the directory, or a jump of its
/// clock, every lease has expired and every owner needs the time to renew. Pure.
public struct OrphanWatch: Sendable {
  private let length: Duration
  private var since: Instant?
  private var last: (askedAt: Instant, at: Instant, clock: Instant)?

  /// - Parameter length: of the leases that it judges.
  public init(length: Duration) { self.length = length }

  /// The directory has answered; to be asked at least three times in a lease.
  /// - Parameters:
  ///   - askedAt: by our clock.
  ///   - clock: what the directory's clock showed when it answered; only its progress means something.
  public mutating func answered(askedAt: Instant, at now: Instant, clock: Instant) {
    if let last {
      // Between the two answers no more time can have passed than this.
      let most = now - last.askedAt
      if now - last.at > length / 2 || clock - last.clock > most + length / 8 { since = nil }
    }
    since = since ?? now
    last = (askedAt, now, clock)
  }

  public mutating func failed() { since = nil }

  public func mayClaim(at now: Instant) -> Bool { since.map { now - $0 >= length } ?? false }
}
