import Base

/// The INVITE server transaction: RFC 3261 17.2.1 with the Accepted state of RFC 6026.
public struct SIPInviteServerMachine: Sendable {
  public enum State: Hashable, Sendable {
    case proceeding(hasResponse: Bool)
    /// Timers G (nil over reliable transports) and H.
    case completed(resendAt: Instant?, interval: Duration, until: Instant)
    /// Timer I.
    case confirmed(until: Instant)
    /// Timer L. The transaction user repeats its 2xx itself.
    case accepted(until: Instant)
    case terminated
  }

  public private(set) var state: State = .proceeding(hasResponse: false)
  private let timers: SIPTimers
  private let isReliable: Bool

  public init(timers: SIPTimers, isReliable: Bool) {
    self.timers = timers
    self.isReliable = isReliable
  }

  /// When ``timeout(at:)`` wants to be called.
  public var deadline: Instant? {
    switch state {
    case .completed(let resendAt, _, let until): resendAt.map { min($0, until) } ?? until
    case .confirmed(let until), .accepted(let until): until
    case .proceeding, .terminated: nil
    }
  }

  /// Whether no final response has been sent yet.
  public var isProceeding: Bool { if case .proceeding = state { true } else { false } }

  /// The transaction user responds. `send` where the state allows it.
  /// - Parameter repeats: whether a refusal is sent again until it is acknowledged, over UDP. Not where the INVITE has had no
  ///   provisional response: then the client itself still repeats it, and a forged sender is not sent eleven for one.
  public mutating func respond(status: Int, repeats: Bool = true, at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .proceeding(let hasResponse):
      switch status {
      case ..<200: state = .proceeding(hasResponse: true)
      case ..<300: state = .accepted(until: now + timers.transaction)
      default:
        state = .completed(
          resendAt: isReliable || !repeats && !hasResponse ? nil : now + timers.t1, interval: timers.t1,
          until: now + timers.transaction)
      }
      return .send
    case .accepted: return (200..<300).contains(status) ? .send : []
    case .completed, .confirmed, .terminated: return []
    }
  }

  /// The same INVITE came again.
  public mutating func receiveRetransmission() -> SIPTransactionEffects {
    switch state {
    case .proceeding(let hasResponse): hasResponse ? .send : []
    case .completed: .send
    case .confirmed, .accepted, .terminated: []
    }
  }

  /// An ACK of this transaction came. `deliver`: it acknowledges a 2xx.
  public mutating func receiveAck(at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .completed:
      guard !isReliable else {
        state = .terminated
        return .terminated
      }
      state = .confirmed(until: now + timers.t4)
      return []
    case .accepted: return .deliver
    case .proceeding, .confirmed, .terminated: return []
    }
  }

  /// Time has passed.
  public mutating func timeout(at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .completed(let resendAt, let interval, let until):
      if now >= until {
        state = .terminated
        return [.timedOut, .terminated]
      }
      guard let resendAt, now >= resendAt else { return [] }
      let next = min(interval * 2, timers.t2)
      state = .completed(resendAt: now + next, interval: next, until: until)
      return .send
    case .confirmed(let until), .accepted(let until):
      guard now >= until else { return [] }
      state = .terminated
      return .terminated
    case .proceeding, .terminated: return []
    }
  }
}

/// The non-INVITE server transaction: RFC 3261 17.2.2.
public struct SIPRequestServerMachine: Sendable {
  public enum State: Hashable, Sendable {
    case trying
    case proceeding
    /// Timer J.
    case completed(until: Instant)
    case terminated
  }

  public private(set) var state: State = .trying
  private let timers: SIPTimers
  private let isReliable: Bool

  public init(timers: SIPTimers, isReliable: Bool) {
    self.timers = timers
    self.isReliable = isReliable
  }

  /// When ``timeout(at:)`` wants to be called.
  public var deadline: Instant? { if case .completed(let until) = state { until } else { nil } }

  /// The transaction user responds. `send` where the state allows it.
  public mutating func respond(status: Int, at now: Instant) -> SIPTransactionEffects {
    switch state {
    case .trying, .proceeding:
      if status < 200 {
        state = .proceeding
        return .send
      }
      guard !isReliable else {
        state = .terminated
        return [.send, .terminated]
      }
      state = .completed(until: now + timers.transaction)
      return .send
    case .completed, .terminated: return []
    }
  }

  /// The same request came again.
  public mutating func receiveRetransmission() -> SIPTransactionEffects {
    switch state {
    case .proceeding, .completed: .send
    case .trying, .terminated: []
    }
  }

  /// Time has passed.
  public mutating func timeout(at now: Instant) -> SIPTransactionEffects {
    guard case .completed(let until) = state, now >= until else { return [] }
    state = .terminated
    return .terminated
  }
}
