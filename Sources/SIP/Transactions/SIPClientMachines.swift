import Base

/// The INVITE client transaction: RFC 3261 17.1.1 with the Accepted state of RFC 6026.
public struct SIPInviteClientMachine: Sendable {
  public enum State: Hashable, Sendable {
    /// Timers A (nil over reliable transports) and B.
    case calling(resendAt: Instant?, interval: Duration, until: Instant)
    case proceeding
    /// Timer D.
    case completed(until: Instant)
    /// Timer M.
    case accepted(until: Instant)
    case terminated
  }

  public private(set) var state: State
  private let timers: SIPTimers
  private let isReliable: Bool

  /// The request has just been sent.
  public init(timers: SIPTimers, isReliable: Bool, at now: Instant) {
    self.timers = timers
    self.isReliable = isReliable
    state = .calling(
      resendAt: isReliable ? nil : now + timers.t1, interval: timers.t1, until: now + timers.transaction)
  }

  /// When ``timeout(at:)`` wants to be called.
  public var deadline: Instant? {
    switch state {
    case .calling(let resendAt, _, let until): resendAt.map { min($0, until) } ?? until
    case .completed(let until), .accepted(let until): until
    case .proceeding, .terminated: nil
    }
  }

  /// A response with this status came.
  public mutating func receive(status: Int, at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .calling, .proceeding:
      switch status {
      case ..<200:
        state = .proceeding
        return .deliver
      case ..<300:
        state = .accepted(until: now + timers.transaction)
        return .deliver
      default:
        guard !isReliable else {
          state = .terminated
          return [.deliver, .acknowledge, .terminated]
        }
        state = .completed(until: now + timers.d)
        return [.deliver, .acknowledge]
      }
    case .completed: return status >= 300 ? .acknowledge : []
    case .accepted: return (200..<300).contains(status) ? .deliver : []
    case .terminated: return []
    }
  }

  /// Time has passed.
  public mutating func timeout(at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .calling(let resendAt, let interval, let until):
      if now >= until {
        state = .terminated
        return [.timedOut, .terminated]
      }
      guard let resendAt, now >= resendAt else { return [] }
      state = .calling(resendAt: now + interval * 2, interval: interval * 2, until: until)
      return .send
    case .completed(let until), .accepted(let until):
      guard now >= until else { return [] }
      state = .terminated
      return .terminated
    case .proceeding, .terminated: return []
    }
  }
}

/// The non-INVITE client transaction: RFC 3261 17.1.2.
public struct SIPRequestClientMachine: Sendable {
  public enum State: Hashable, Sendable {
    /// Timers E (nil over reliable transports) and F.
    case trying(resendAt: Instant?, interval: Duration, until: Instant)
    case proceeding(resendAt: Instant?, until: Instant)
    /// Timer K.
    case completed(until: Instant)
    case terminated
  }

  public private(set) var state: State
  private let timers: SIPTimers
  private let isReliable: Bool

  /// The request has just been sent.
  public init(timers: SIPTimers, isReliable: Bool, at now: Instant) {
    self.timers = timers
    self.isReliable = isReliable
    state = .trying(
      resendAt: isReliable ? nil : now + timers.t1, interval: timers.t1, until: now + timers.transaction)
  }

  /// When ``timeout(at:)`` wants to be called.
  public var deadline: Instant? {
    switch state {
    case .trying(let resendAt, _, let until), .proceeding(let resendAt, let until):
      resendAt.map { min($0, until) } ?? until
    case .completed(let until): until
    case .terminated: nil
    }
  }

  /// A response with this status came.
  public mutating func receive(status: Int, at now: Instant) -> SIPTransactionEffects {
    let until: Instant
    switch state {
    case .trying(_, _, let limit), .proceeding(_, let limit): until = limit
    case .completed, .terminated: return []
    }
    if status < 200 {
      state = .proceeding(resendAt: isReliable ? nil : now + timers.t2, until: until)
      return .deliver
    }
    guard !isReliable else {
      state = .terminated
      return [.deliver, .terminated]
    }
    state = .completed(until: now + timers.t4)
    return .deliver
  }

  /// Time has passed.
  public mutating func timeout(at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .trying(let resendAt, let interval, let until):
      if now >= until { return expire() }
      guard let resendAt, now >= resendAt else { return [] }
      let next = min(interval * 2, timers.t2)
      state = .trying(resendAt: now + next, interval: next, until: until)
      return .send
    case .proceeding(let resendAt, let until):
      if now >= until { return expire() }
      guard let resendAt, now >= resendAt else { return [] }
      state = .proceeding(resendAt: now + timers.t2, until: until)
      return .send
    case .completed(let until):
      guard now >= until else { return [] }
      state = .terminated
      return .terminated
    case .terminated: return []
    }
  }

  private mutating func expire() -> SIPTransactionEffects {
    state = .terminated
    return [.timedOut, .terminated]
  }
}
