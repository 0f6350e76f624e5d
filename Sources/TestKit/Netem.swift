import Base

/// An emulated network path in one direction: loses, delays, reorders and duplicates payloads of any type, in virtual time
/// and by a seed. Send with `send(_:at:)`, take what has arrived with `receive(at:)`.
public struct Netem<Payload> {
  public struct Conditions: Sendable {
    public var delay: Duration
    /// Added to `delay`, evenly between zero and this.
    public var jitter: Duration
    /// 0 to 1.
    public var loss: Double
    /// The chance that the packet after a lost one is lost too; nil: independent losses.
    public var lossBurst: Double?
    /// The chance of arriving twice.
    public var duplication: Double
    /// The chance of an extra `reorderDelay`, by which later packets overtake.
    public var reordering: Double
    public var reorderDelay: Duration
    /// Whether jitter alone may reorder. Most real paths queue, so they do not.
    public var jitterReorders: Bool

    public init(
      delay: Duration = .milliseconds(20), jitter: Duration = .zero, loss: Double = 0, lossBurst: Double? = nil,
      duplication: Double = 0, reordering: Double = 0, reorderDelay: Duration = .milliseconds(30),
      jitterReorders: Bool = false
    ) {
      self.delay = delay
      self.jitter = jitter
      self.loss = loss
      self.lossBurst = lossBurst
      self.duplication = duplication
      self.reordering = reordering
      self.reorderDelay = reorderDelay
      self.jitterReorders = jitterReorders
    }

    /// Nothing is lost or delayed.
    public static var perfect: Conditions { Conditions(delay: .zero) }
  }

  /// May be changed while packets are under way; it holds for those sent later.
  public var conditions: Conditions
  public private(set) var sent = 0
  public private(set) var lost = 0
  public private(set) var duplicated = 0

  private var random: SeededRandom
  private var inFlight: [(arrival: Instant, order: Int, payload: Payload)] = []
  private var order = 0
  private var lastLost = false
  private var lastArrival: Instant?

  public init(_ conditions: Conditions = Conditions(), seed: UInt64) {
    self.conditions = conditions
    random = SeededRandom(seed: seed)
  }

  /// When the next payload arrives; nil where none is under way.
  public var deadline: Instant? { inFlight.first?.arrival }

  /// Puts a payload on the path.
  public mutating func send(_ payload: Payload, at now: Instant) {
    sent += 1
    let chance = lastLost ? conditions.lossBurst ?? conditions.loss : conditions.loss
    lastLost = draw() < chance
    if lastLost {
      lost += 1
      return
    }
    schedule(payload, at: now)
    if draw() < conditions.duplication {
      duplicated += 1
      schedule(payload, at: now)
    }
  }

  /// What has arrived by `now`, in order of arrival.
  public mutating func receive(at now: Instant) -> [(payload: Payload, at: Instant)] {
    var count = 0
    while count < inFlight.count, inFlight[count].arrival <= now { count += 1 }
    let out = inFlight[..<count].map { ($0.payload, $0.arrival) }
    inFlight.removeFirst(count)
    return out
  }

  private mutating func schedule(_ payload: Payload, at now: Instant) {
    var arrival = now + conditions.delay
    if conditions.jitter > .zero { arrival += .nanoseconds(Int64(draw() * Double(conditions.jitter.nanoseconds))) }
    if let last = lastArrival, !conditions.jitterReorders { arrival = max(arrival, last) }
    lastArrival = arrival
    if draw() < conditions.reordering { arrival += conditions.reorderDelay }
    order += 1
    let at = inFlight.lastIndex { $0.arrival <= arrival }.map { $0 + 1 } ?? 0
    inFlight.insert((arrival, order, payload), at: at)
  }

  private mutating func draw() -> Double { Double(random.next() >> 11) / Double(1 << 53) }
}

extension Netem: Sendable where Payload: Sendable {}
